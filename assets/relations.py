"""Match tenants and users, compare both sides, remember what changed."""

from collections.abc import Iterator

import dagster as dg

from assets.failures import reported
from assets.resources import Installation
from assets.specs import counted, key, spec, tables_of
from o365_etl.pipeline import relating

ORGANIZATION_INPUTS = (
    "m365.tenants",
    "m365.domains",
    "m365.users",
    "m365.user_addresses",
    "sync.tenants",
    "itglue.organizations",
    "itglue.contact_emails",
)
CONTACT_INPUTS = (
    "match.organizations",
    "m365.users",
    "m365.user_addresses",
    "itglue.contacts",
    "itglue.contact_emails",
)
COMPARE_INPUTS = {
    "compare.organizations": ("match.organizations", "m365.tenants", "itglue.organizations", "itglue.locations"),
    "compare.contacts": ("match.contacts", "itglue.contact_phones", "itglue.contact_emails", "m365.mailboxes"),
    "compare.licenses": ("match.organizations", "m365.licenses", "itglue.license_assets"),
}
HISTORY_INPUTS = {
    "history.users": ("m365.users",),
    "history.license_assignments": ("m365.license_assignments",),
    "history.match_organizations": ("match.organizations",),
    "history.match_contacts": ("match.contacts",),
}


@dg.multi_asset(
    name="match_organizations",
    specs=[spec(table, ORGANIZATION_INPUTS) for table in ("match.organizations", "match.organization_suggestions")],
)
def match_organizations(installation: Installation) -> Iterator[dg.MaterializeResult]:
    """Tenant → organization: decisions, links, the three rules, then suggestions."""
    with reported():
        done = relating.match_organizations(installation.workspace)
    for table, rows in done.rows.items():
        yield dg.MaterializeResult(
            asset_key=key(table),
            metadata={"dagster/row_count": rows, "outcome": counted(done.counts, "tenants")},
        )


@dg.multi_asset(name="match_contacts", specs=[spec("match.contacts", CONTACT_INPUTS)])
def match_contacts(installation: Installation) -> dg.MaterializeResult:
    """User → contact inside the matched organization: decisions, links, the three rules."""
    with reported():
        done = relating.match_contacts(installation.workspace)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.rows["match.contacts"],
            "outcome": counted(done.counts, "users"),
        }
    )


@dg.multi_asset(name="compare", specs=[spec(table, deps) for table, deps in COMPARE_INPUTS.items()])
def compare(installation: Installation) -> Iterator[dg.MaterializeResult]:
    """Both sides, field by field."""
    with reported():
        done = relating.compare(installation.workspace)
    for table, rows in done.rows.items():
        states = {name.removeprefix(f"{table} "): n for name, n in done.counts.items() if name.startswith(f"{table} ")}
        yield dg.MaterializeResult(
            asset_key=key(table), metadata={"dagster/row_count": rows, "states": counted(states, "fields")}
        )


@dg.multi_asset(name="history", specs=[spec(table, HISTORY_INPUTS[table]) for table in tables_of("history")])
def history(installation: Installation) -> Iterator[dg.MaterializeResult]:
    """A new version of every row that changed since the last sync."""
    with reported():
        done = relating.remember(installation.workspace)
    for table, rows in done.rows.items():
        yield dg.MaterializeResult(
            asset_key=key(table), metadata={"dagster/row_count": rows, "versions opened": done.counts[table]}
        )
