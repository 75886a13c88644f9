"""Checks: the table contracts, which stop what comes after, and what a person should look at, which does not.

One step checks all tables of the step before it: a step costs more than most checks do. Every check says what it found
as numbers or as tenant ids with a remedy, never as rows of personal data.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.failures import reported
from assets.resources import Installation
from assets.specs import key, tables_of
from o365_etl.pipeline import watching
from o365_etl.pipeline.workspace import Workspace

Checks = Iterator[dg.AssetCheckResult]


@dataclass(frozen=True)
class Watch:
    """What a person should look at, as a check of one asset that stops nothing."""

    asset: str
    name: str
    description: str
    find: Callable[[Workspace], watching.Finding]

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check as Dagster lists it."""
        return dg.AssetCheckSpec(self.name, asset=key(self.asset), description=self.description)

    def result(self, workspace: Workspace) -> dg.AssetCheckResult:
        """What it finds now."""
        finding = self.find(workspace)
        return dg.AssetCheckResult(
            asset_key=key(self.asset),
            check_name=self.name,
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={**finding.numbers, "look at": dg.MetadataValue.md(finding.markdown)},
        )


def contract(table: str) -> dg.AssetCheckSpec:
    """The contract of one table as a blocking check."""
    return dg.AssetCheckSpec(
        "contract",
        asset=key(table),
        blocking=True,
        description="Keys are present and unique, and columns of ours hold only words of ours.",
    )


def checks_of(name: str, tables: Sequence[str], *watches: Watch) -> dg.AssetChecksDefinition:
    """One step that holds these tables to their contracts, and looks at what a person should know."""

    @dg.multi_asset_check(
        name=f"checks_of_{name}",
        specs=[*map(contract, tables), *(watch.spec for watch in watches)],
        can_subset=True,  # so that a person can execute one of them in the UI
    )
    def checks(context: dg.AssetCheckExecutionContext, installation: Installation) -> Checks:
        wanted = context.selected_asset_check_keys
        with reported():
            held = [table for table in tables if contract(table).key in wanted]
            broken = watching.broken_rules(installation.workspace, held) if held else {}
            found = [watch.result(installation.workspace) for watch in watches if watch.spec.key in wanted]
        for table, rules in broken.items():
            yield dg.AssetCheckResult(asset_key=key(table), check_name="contract", passed=not rules, metadata={**rules})
        yield from found

    return checks


CHECKS = [
    checks_of(
        "microsoft",
        (*tables_of("m365"), "sync.tenants"),
        Watch(
            "sync.tenants",
            "every_tenant_read",
            "Which tenants were not read completely, since when, and what to do.",
            watching.tenants_not_read,
        ),
        Watch(
            "sync.tenants",
            "rights_are_least",
            "Which tenants lack a permission that a stream needs, and which grant more than is needed.",
            watching.rights_not_least,
        ),
        Watch(
            "m365.mailboxes",
            "reports_not_concealed",
            "Which tenants conceal names in their usage reports: mailbox figures are unknown there.",
            watching.concealed_reports,
        ),
        Watch(
            "m365.unknown_skus",
            "every_sku_known",
            "Products that nobody knows a name for, who holds them, and how to give them one.",
            watching.unknown_skus,
        ),
        Watch(
            "m365.users",
            "rows_have_not_fallen",
            "Tables that lost more than a fifth of their rows since the sync before.",
            watching.fallen_rows,
        ),
    ),
    checks_of("itglue", tables_of("itglue")),
    checks_of("match_organizations", ("match.organizations", "match.organization_suggestions")),
    checks_of("match_contacts", ("match.contacts",)),
    checks_of("compare", tables_of("compare")),
    checks_of(
        "changes",
        ("sync.changes",),
        Watch(
            "sync.changes",
            "no_brake_pulled",
            "Which tenants' plans wait for approval because they look like an accident.",
            watching.brakes_pulled,
        ),
    ),
    checks_of(
        "applied",
        (),
        Watch(
            "sync.applied",
            "every_change_written",
            "What IT Glue refused, and what nobody knows yet whether it was written.",
            watching.changes_not_written,
        ),
    ),
]
