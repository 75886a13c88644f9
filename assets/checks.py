"""Checks: the table contracts, which stop what comes after, and what a person should look at, which does not.

Every check says what it found as numbers or as tenant ids with a remedy, never as rows of personal data.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg

from assets.failures import reported
from assets.resources import Installation
from assets.specs import key, tables_of
from o365_etl.pipeline import watching

Checks = Iterator[dg.AssetCheckResult]


def contract_checks(name: str, tables: Sequence[str]) -> dg.AssetChecksDefinition:
    """One step that holds these tables to their contracts; blocking, one check `contract` a table."""

    @dg.multi_asset_check(
        name=f"contracts_of_{name}",
        specs=[
            dg.AssetCheckSpec(
                "contract",
                asset=key(table),
                blocking=True,
                description="Keys are present and unique, and columns of ours hold only words of ours.",
            )
            for table in tables
        ],
    )
    def contracts(installation: Installation) -> Checks:
        with reported():
            broken = watching.broken_rules(installation.workspace, tables)
        for table, rules in broken.items():
            yield dg.AssetCheckResult(asset_key=key(table), check_name="contract", passed=not rules, metadata={**rules})

    return contracts


def _watch(asset: str, name: str, description: str, find: Callable[..., watching.Finding]) -> Any:
    @dg.asset_check(asset=key(asset), name=name, description=description)
    def check(installation: Installation) -> dg.AssetCheckResult:
        with reported():
            finding = find(installation.workspace)
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={**finding.numbers, "look at": dg.MetadataValue.md(finding.markdown)},
        )

    return check


CHECKS = [
    contract_checks("microsoft", (*tables_of("m365"), "sync.tenants")),
    contract_checks("itglue", tables_of("itglue")),
    contract_checks("match_organizations", ("match.organizations", "match.organization_suggestions")),
    contract_checks("match_contacts", ("match.contacts",)),
    contract_checks("compare", tables_of("compare")),
    contract_checks("changes", ("sync.changes",)),
    _watch(
        "sync.tenants",
        "every_tenant_read",
        "Which tenants were not read completely, since when, and what to do.",
        watching.tenants_not_read,
    ),
    _watch(
        "m365.mailboxes",
        "reports_not_concealed",
        "Which tenants conceal names in their usage reports: mailbox figures are unknown there.",
        watching.concealed_reports,
    ),
    _watch(
        "m365.licenses",
        "every_sku_known",
        "Products that the catalogue has no name for.",
        watching.unknown_skus,
    ),
    _watch(
        "m365.users",
        "rows_have_not_fallen",
        "Tables that lost more than a fifth of their rows since the sync before.",
        watching.fallen_rows,
    ),
    _watch(
        "sync.changes",
        "no_brake_pulled",
        "Which tenants' plans wait for approval because they look like an accident.",
        watching.brakes_pulled,
    ),
    _watch(
        "sync.applied",
        "every_change_written",
        "What IT Glue refused, and what nobody knows yet whether it was written.",
        watching.changes_not_written,
    ),
]
