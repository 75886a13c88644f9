"""Which tenants there are: what connections list now, what earlier syncs know, what the configuration leaves out.

What does not live here: asking the connections (`graph.discovery`), and which of the tenants are read (`planning`) or
looked at (`doctor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from o365_etl.config import Connection, Selection, Settings
from o365_etl.graph.model import Discovery, TenantTarget

# What `sync.tenants` and `m365.tenants` say of one tenant, by column.
Known = Mapping[str, Any]
KNOWN_TENANTS = (
    "SELECT s.tenant_id, s.status, s.connection, coalesce(t.display_name, s.display_name) AS display_name,"
    " t.microsoft_name, t.default_domain, t.initial_domain"
    " FROM sync.tenants s LEFT JOIN m365.tenants t USING (tenant_id)"
)
"""One row for every tenant seen so far, in the warehouse and in the published copy alike."""


def gathered(
    listings: Iterable[tuple[Connection, Discovery]], known: Mapping[str, Known]
) -> tuple[dict[str, TenantTarget], dict[str, TenantTarget]]:
    """All tenants by id, and apart from them those that a complete list of their connection no longer names.

    A tenant that an incomplete list does not name is among the first: absent is not gone.
    """
    targets: dict[str, TenantTarget] = {}
    unlisted: dict[str, TenantTarget] = {}
    # Direct connections last: a tenant configured by itself wins over the partner's listing of it.
    for connection, found in sorted(listings, key=lambda listing: listing[0].kind == "direct"):
        targets.update((target.tenant_id, target) for target in found.targets)
        if connection.kind == "partner":
            for tenant_id, facts in known.items():
                if facts["connection"] == connection.name and tenant_id not in targets:
                    (unlisted if found.complete else targets)[tenant_id] = _remembered(tenant_id, connection, facts)
    return targets, {tenant_id: target for tenant_id, target in unlisted.items() if tenant_id not in targets}


def _remembered(tenant_id: str, connection: Connection, facts: Known) -> TenantTarget:
    return TenantTarget(
        tenant_id=tenant_id,
        connection=connection.name,
        kind="partner",
        display_name=facts["display_name"],
        default_domain=facts["default_domain"],
    )


def is_excluded(settings: Settings, target: TenantTarget) -> bool:
    """True if the selection of its connection leaves the tenant out."""
    return leaves_out(settings.selection_for(target.connection), target.tenant_id, target.default_domain)


def leaves_out(selection: Selection, tenant_id: str, default_domain: str | None) -> bool:
    """True if `exclude_tenants` names the tenant, by its id or its default domain."""
    excluded = {entry.strip().lower() for entry in selection.exclude_tenants}
    return bool(excluded & {tenant_id.lower(), (default_domain or tenant_id).lower()})


def names_of(target: TenantTarget, facts: Known) -> set[str]:
    """Everything a person may call the tenant: id, domains and names, in lower case."""
    columns = ("display_name", "microsoft_name", "default_domain", "initial_domain")
    names = [target.tenant_id, target.display_name, target.default_domain, *(facts.get(column) for column in columns)]
    return {name.strip().lower() for name in names if name}
