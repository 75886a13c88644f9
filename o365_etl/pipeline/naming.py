"""Whom a person means: tenants, organizations, users and contacts by id, domain or address, or exact name.

A name that fits several is refused with the candidates: nobody's record is changed on a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from o365_etl.errors import ConfigError, NotFoundError
from o365_etl.normalise import normalise
from o365_etl.pipeline.workspace import Workspace, query

Row = dict[str, Any]


class AmbiguousNameError(ConfigError):
    """A name stands for several records."""

    code = "ambiguous_name"
    remedy = "Give the id."


def find_tenant(workspace: Workspace, wanted: str) -> Row:
    """The tenant by id, domain or exact name: a row of `match.organizations`, with its best suggestion.

    Raises `NotFoundError`, `AmbiguousNameError`.
    """
    rows = query(
        workspace,
        "SELECT DISTINCT m.*, s.organization_id AS suggested_id, s.organization_name AS suggested_name"
        " FROM match.organizations m JOIN m365.tenants t USING (tenant_id)"
        " LEFT JOIN match.organization_suggestions s ON s.tenant_id = m.tenant_id AND s.rank = 1"
        " WHERE lower(m.tenant_id) = lower(?) OR t.name_key = ? OR lower(t.default_domain) = lower(?)"
        " OR lower(t.initial_domain) = lower(?) OR lower(t.microsoft_name) = lower(?)"
        " OR m.tenant_id IN (SELECT tenant_id FROM m365.domains WHERE domain = lower(?) AND is_verified)"
        " ORDER BY m.tenant_id",
        [wanted.strip(), normalise(wanted), *[wanted.strip()] * 4],
    )
    exact = [row for row in rows if row["tenant_id"].lower() == wanted.strip().lower()]
    return _only(
        exact or rows,
        f"no tenant that was read is known as {wanted!r}",
        f"{wanted!r} stands for several tenants",
        lambda row: f"{row['tenant_id']} ({row['tenant_name']})",
    )


def find_organization(workspace: Workspace, wanted: str) -> Row:
    """The organization by id, exact name or short name, or a domain that only its contacts' e-mails have.

    Raises `NotFoundError`, `AmbiguousNameError`.
    """
    by_id = query(workspace, "SELECT * FROM itglue.organizations WHERE organization_id = ?", [wanted.strip()])
    by_name = query(
        workspace,
        "SELECT * FROM itglue.organizations WHERE name_key = ? OR short_name_key = ? ORDER BY organization_id",
        [normalise(wanted)] * 2,
    )
    by_domain: list[Row] = []
    if "." in wanted and " " not in wanted.strip():
        by_domain = query(
            workspace,
            "SELECT * FROM itglue.organizations WHERE organization_id IN ("
            " SELECT organization_id FROM itglue.contact_emails WHERE split_part(address, '@', 2) = ?)"
            " ORDER BY organization_id",
            [normalise(wanted)],
        )
    return _only(
        by_id or by_name or by_domain,
        f"no organization is known as {wanted!r}",
        f"{wanted!r} stands for several organizations",
        lambda row: f"{row['organization_id']} ({row['name']})",
    )


def organization_names(workspace: Workspace, ids: Iterable[str | None]) -> dict[str, str]:
    """What these organizations are called, by their id where they have no name; what is gone is left out."""
    wanted = sorted({each for each in ids if each})
    if not wanted:
        return {}
    rows = query(
        workspace,
        "SELECT organization_id, coalesce(name, organization_id) AS name FROM itglue.organizations"
        " WHERE organization_id IN (SELECT unnest(?::VARCHAR[]))",
        [wanted],
    )
    return {row["organization_id"]: row["name"] for row in rows}


def find_user(workspace: Workspace, tenant_id: str, wanted: str) -> Row:
    """The user of a tenant by object id, user name, any address or exact name: a row of `match.contacts`.

    Raises `NotFoundError`, `AmbiguousNameError`.
    """
    rows = query(
        workspace,
        "SELECT DISTINCT m.*, u.display_name FROM match.contacts m JOIN m365.users u USING (tenant_id, user_id)"
        " LEFT JOIN m365.user_addresses a USING (tenant_id, user_id)"
        " WHERE m.tenant_id = ? AND (lower(m.user_id) = lower(?) OR lower(m.user_principal_name) = lower(?)"
        " OR a.address = ? OR u.name_key = ? OR lower(u.display_name) = lower(?)) ORDER BY m.user_id",
        [tenant_id, wanted.strip(), wanted.strip(), normalise(wanted), normalise(wanted), wanted.strip()],
    )
    own = wanted.strip().lower()
    exact = [row for row in rows if own in (row["user_id"].lower(), (row["user_principal_name"] or "").lower())]
    return _only(
        exact or rows,
        f"no user of this tenant is known as {wanted!r}",
        f"{wanted!r} stands for several users",
        lambda row: f"{row['user_id']} ({row['user_principal_name']})",
    )


def find_contact(workspace: Workspace, organization_id: str | None, wanted: str) -> Row:
    """The contact of an organization by id, address or exact name. Raises `NotFoundError`, `AmbiguousNameError`."""
    rows = query(
        workspace,
        "SELECT DISTINCT c.* FROM itglue.contacts c LEFT JOIN itglue.contact_emails e USING (contact_id)"
        " WHERE c.organization_id = ? AND (c.contact_id = ? OR e.address = ? OR c.name_key = ?) ORDER BY c.contact_id",
        [organization_id, wanted.strip(), normalise(wanted), normalise(wanted)],
    )
    exact = [row for row in rows if row["contact_id"] == wanted.strip()]
    return _only(
        exact or rows,
        f"the tenant's organization has no contact known as {wanted!r}",
        f"{wanted!r} stands for several contacts",
        lambda row: f"{row['contact_id']} ({row['first_name']} {row['last_name'] or ''})",
    )


def _only(rows: Sequence[Row], none: str, several: str, shown: Callable[[Row], str]) -> Row:
    if not rows:
        raise NotFoundError(none, remedy="Give an id, a domain or an exact name; `o365-etl match list` shows them.")
    if len(rows) > 1:
        raise AmbiguousNameError(f"{several}: {', '.join(shown(row) for row in rows[:10])}")
    return rows[0]
