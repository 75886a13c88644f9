"""Questions about the published plan that stay quick with a thousand tenants: sums by tenant, and one tenant's changes
page by page.

What does not live here: making the plan (`changing`), approving it (`deciding`) and writing it (`applying`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from o365_etl.normalise import normalise
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.tables import BRAKE_MARK

Row = dict[str, Any]
Plans = Mapping[str | None, str]

# What is still to be written, and what this program leaves alone.
OPEN_STATES = ("planned", "approved", "blocked")
STATES = (*OPEN_STATES, "skipped")
RESOURCES = ("organization", "location", "contact", "flexible_asset_type", "license_asset", "user_asset")
ACTIONS = ("create", "update", "deactivate")


def state_now(change: Row, approvals: Plans) -> str:
    """The state of a change (state, tenant_id, plan_hash, reason): `approved` also where a person approved this plan
    since it was published. Where a run has used the approval up and was stopped, it waits again as it was planned.
    """
    state: str = change["state"]
    if state not in OPEN_STATES:
        return state
    if change["plan_hash"] is not None and approvals.get(change["tenant_id"]) == change["plan_hash"]:
        return "approved"
    if state == "approved":
        return "blocked" if brake_of(change["reason"]) else "planned"
    return state


def reason_of(reason: str | None) -> str:
    """Why a change is planned, without the brake that holds it back."""
    return (reason or "").partition(BRAKE_MARK)[0]


def brake_of(reason: str | None) -> str | None:
    """Why a brake holds a change back; None if none does. Told also once it was approved."""
    return (reason or "").partition(BRAKE_MARK)[2] or None


def by_tenant(workspace: Workspace) -> list[Row]:
    """One row for each tenant (None: the account, first) that something is planned for, or left alone.

    tenant_id, tenant_name, name_key, organization_id, organization_name, plan_hash, state (planned, approved, blocked,
    or skipped where nothing is to be written), brake (why one was pulled; also once that is approved), create, update,
    deactivate, changes (their sum), skipped.
    """
    approvals = workspace.state.approvals.open()
    rows = query(
        workspace,
        "SELECT c.*, coalesce(m.tenant_name, t.display_name) AS tenant_name, k.name_key, m.organization_id,"
        " m.organization_name FROM ("
        " SELECT tenant_id, any_value(plan_hash) FILTER (state <> 'skipped') AS plan_hash,"
        " coalesce(any_value(state) FILTER (state <> 'skipped'), 'skipped') AS state,"
        f" any_value(reason) FILTER (contains(reason, '{BRAKE_MARK}')) AS reason,"
        " count(*) FILTER (action = 'create' AND state <> 'skipped') AS create,"
        " count(*) FILTER (action = 'update' AND state <> 'skipped') AS update,"
        " count(*) FILTER (action = 'deactivate' AND state <> 'skipped') AS deactivate,"
        " count(*) FILTER (state <> 'skipped') AS changes, count(*) FILTER (state = 'skipped') AS skipped"
        " FROM sync.changes WHERE state IN ('planned', 'approved', 'blocked', 'skipped') GROUP BY tenant_id"
        ") c LEFT JOIN match.organizations m USING (tenant_id) LEFT JOIN sync.tenants t USING (tenant_id)"
        " LEFT JOIN m365.tenants k USING (tenant_id)"
        " ORDER BY c.tenant_id IS NOT NULL, k.name_key, c.tenant_id",
        remember=True,
    )
    return [
        {
            **{name: value for name, value in row.items() if name != "reason"},
            "tenant_name": row["tenant_name"] or ("The account" if row["tenant_id"] is None else row["tenant_id"]),
            "state": state_now(row, approvals),
            "brake": brake_of(row["reason"]),
        }
        for row in rows
    ]


def find(rows: Iterable[Row], *, text: str = "", state: str = "") -> list[Row]:
    """Those whose name contains a text, or whose id or organization does; in this state, or with something skipped."""
    key, plain = normalise(text), text.strip().casefold()
    return [
        row
        for row in rows
        if (not state or row["state"] == state or (state == "skipped" and row["skipped"]))
        and (
            not key
            or key in (row["name_key"] or "")
            or plain in (row["tenant_id"] or "")
            or key in normalise(row["organization_name"] or "")
        )
    ]


def by_resource(workspace: Workspace) -> list[Row]:
    """What is to be written in all: resource, create, update, deactivate; what there is nothing of is left out."""
    return query(
        workspace,
        "SELECT resource, count(*) FILTER (action = 'create') AS create, count(*) FILTER (action = 'update') AS update,"
        " count(*) FILTER (action = 'deactivate') AS deactivate FROM sync.changes"
        " WHERE state IN ('planned', 'approved', 'blocked') GROUP BY resource"
        " ORDER BY list_position(?::VARCHAR[], resource)",
        [list(RESOURCES)],
        remember=True,
    )


def to_write(workspace: Workspace, rows: Sequence[Row]) -> list[Row]:
    """The rows of `by_tenant` that an apply would write now. What the account lacks is part of every tenant's plan."""
    states = {"plan": ("approved",), "apply": ("approved", "planned")}.get(workspace.settings.itglue.mode, ())
    found = [row for row in rows if row["tenant_id"] is not None and row["state"] in states]
    account = [row for row in rows if row["tenant_id"] is None and row["changes"]]
    return [*account, *found] if found else []


def fingerprint(rows: Iterable[Row]) -> str:
    """The same for the same plans of the same tenants: a form says with it what its reader has seen."""
    plans = sorted(f"{row['tenant_id'] or ''}:{row['plan_hash']}" for row in rows)
    return hashlib.sha256("\n".join(plans).encode()).hexdigest()[:32]


def counts_of(workspace: Workspace, tenant_id: str | None) -> list[Row]:
    """How many changes one tenant (None: the account) has: state as published, resource, action, changes."""
    return query(
        workspace,
        f"SELECT state, resource, action, count(*) AS changes FROM sync.changes WHERE {_of(tenant_id)}"
        " GROUP BY state, resource, action"
        " ORDER BY list_position($2::VARCHAR[], resource), list_position($3::VARCHAR[], action), state",
        [tenant_id or "", list(RESOURCES), list(ACTIONS)],
    )


def changes_of(
    workspace: Workspace,
    tenant_id: str | None,
    *,
    states: Sequence[str],
    resource: str | None = None,
    action: str | None = None,
    limit: int = 50,
    skip: int = 0,
) -> list[Row]:
    """Changes of one tenant (None: the account) in these states, by resource and action and then by name.

    Beside the columns of `sync.changes`: `fields` as a dict, display_name and user_principal_name of the user it is
    about, product_name of the license.
    """
    # The order is found without the wide columns, which are read for this page alone: a third of the time.
    rows = query(
        workspace,
        "WITH shown AS MATERIALIZED (SELECT c.place, u.display_name, u.user_principal_name, p.product_name,"
        " row_number() OVER (ORDER BY list_position($5::VARCHAR[], c.resource),"
        "  list_position($6::VARCHAR[], c.action),"
        "  lower(coalesce(u.display_name, u.user_principal_name, p.product_name)), c.place) AS number"
        " FROM (SELECT rowid AS place, resource, action, subject_id FROM sync.changes WHERE"
        f"  {_of(tenant_id)} AND list_contains($2::VARCHAR[], state) AND ($3::VARCHAR IS NULL OR resource = $3)"
        "  AND ($4::VARCHAR IS NULL OR action = $4)) c"
        " LEFT JOIN (SELECT user_id, display_name, user_principal_name FROM m365.users WHERE tenant_id = $1) u"
        " ON u.user_id = c.subject_id"
        " LEFT JOIN m365.products p ON p.sku_id = c.subject_id"
        " QUALIFY number > $8 AND number <= $7 + $8)"
        " SELECT c.*, s.display_name, s.user_principal_name, s.product_name"
        " FROM shown s JOIN sync.changes c ON c.rowid = s.place ORDER BY s.number",
        [tenant_id or "", list(states), resource, action, list(RESOURCES), list(ACTIONS), limit, skip],
    )
    return [{**row, "fields": json.loads(row["fields"] or "{}")} for row in rows]


def names_of(workspace: Workspace, tenant_id: str | None, contacts: Iterable[str], users: Iterable[str]) -> Row:
    """What contacts and users of a tenant are called, by their id; whoever is not known is left out."""
    wanted = [sorted(set(contacts)), tenant_id, sorted(set(users))]
    if not wanted[0] and not wanted[2]:
        return {}
    found = query(
        workspace,
        "SELECT contact_id AS id, nullif(trim(concat_ws(' ', first_name, last_name)), '') AS name FROM itglue.contacts"
        " WHERE contact_id IN (SELECT unnest(?::VARCHAR[]))"
        " UNION ALL SELECT user_id, coalesce(display_name, user_principal_name) FROM m365.users"
        " WHERE tenant_id = ? AND user_id IN (SELECT unnest(?::VARCHAR[]))",
        wanted,
    )
    return {row["id"]: row["name"] for row in found if row["name"]}


def _of(tenant_id: str | None) -> str:
    """The condition for the changes of the tenant in the first parameter; '' is the account. The plain comparison lets
    whole blocks of the table be passed over.
    """
    return "coalesce(tenant_id, '') = $1" if tenant_id is None else "tenant_id = $1"
