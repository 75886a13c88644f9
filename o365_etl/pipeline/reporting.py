"""Questions about what is there: status, sync log, summary of a sync, one user explained.

Everything is read from the published copy and the state store, so that an answer never waits for a sync.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from o365_etl.errors import NotFoundError
from o365_etl.pipeline import planned, queueing
from o365_etl.pipeline.naming import find_tenant
from o365_etl.pipeline.workspace import Workspace, query

Row = dict[str, Any]


def tenants(workspace: Workspace) -> list[Row]:
    """`sync.tenants`, failing ones first."""
    return query(
        workspace,
        "SELECT tenant_id, display_name, status, error_code, remedy, last_ok_at, as_of, connection, streams,"
        " failing_since, next_try_at"
        " FROM sync.tenants"
        " ORDER BY array_position(['failed', 'partial', 'not_consented', 'quarantined', 'excluded', 'ok'], status),"
        " display_name, tenant_id",
    )


def matches(workspace: Workspace, status: str | None = None) -> list[Row]:
    """`match.organizations` with the best suggestion beside each."""
    return query(
        workspace,
        "SELECT m.tenant_id, m.tenant_name, m.status, m.organization_id, m.organization_name, m.rule, m.evidence,"
        " s.organization_id AS suggested_id, s.organization_name AS suggested_name, s.score"
        " FROM match.organizations m"
        " LEFT JOIN match.organization_suggestions s ON s.tenant_id = m.tenant_id AND s.rank = 1"
        " WHERE ? IS NULL OR m.status = ?"
        " ORDER BY array_position(['unmatched', 'suggested', 'ignored', 'matched'], m.status), m.tenant_name, 1",
        [status, status],
    )


def summary(workspace: Workspace) -> Row:
    """The sync in figures: tenants per status, rows, matches per rule, suggestions, differences."""

    def counted(sql: str) -> dict[str, int]:
        return {str(row["what"]): int(row["n"]) for row in query(workspace, sql)}

    return {
        "tenants": counted("SELECT status AS what, count(*) AS n FROM sync.tenants GROUP BY 1 ORDER BY 1"),
        "not_ok": [row for row in tenants(workspace) if row["status"] != "ok" or row["remedy"]],
        "rows": counted(
            "SELECT 'users' AS what, count(*) AS n FROM m365.users"
            " UNION ALL SELECT 'users in scope', count(*) FROM m365.users WHERE in_scope"
            " UNION ALL SELECT 'mailboxes', count(*) FROM m365.mailboxes"
            " UNION ALL SELECT 'mailboxes with unknown figures', count(*) FROM m365.mailboxes"
            " WHERE unknown_reason IS NOT NULL"
            " UNION ALL SELECT 'licenses', count(*) FROM m365.licenses"
            " UNION ALL SELECT 'license assignments', count(*) FROM m365.license_assignments"
            " UNION ALL SELECT 'organizations', count(*) FROM itglue.organizations"
            " UNION ALL SELECT 'contacts', count(*) FROM itglue.contacts"
        ),
        "organization_matches": counted(
            "SELECT coalesce(rule, status) AS what, count(*) AS n FROM match.organizations GROUP BY 1 ORDER BY 2 DESC"
        ),
        "suggestions": query(
            workspace,
            "SELECT m.tenant_name, s.organization_name, s.score, s.evidence FROM match.organizations m"
            " JOIN match.organization_suggestions s USING (tenant_id)"
            " WHERE m.status = 'suggested' AND s.rank = 1 ORDER BY s.score DESC, m.tenant_name",
        ),
        "contact_matches": counted(
            "SELECT CASE status WHEN 'matched' THEN rule ELSE status END AS what, count(*) AS n"
            " FROM match.contacts GROUP BY 1 ORDER BY 2 DESC"
        ),
        "changes": counted(
            "SELECT state || ' ' || action || ' ' || replace(resource, '_', ' ') AS what, count(*) AS n"
            " FROM sync.changes WHERE state IN ('planned', 'approved', 'blocked', 'skipped')"
            " OR run_id = (SELECT run_id FROM sync.runs ORDER BY started_at DESC LIMIT 1) GROUP BY 1 ORDER BY 1"
        ),
        "differences": query(
            workspace,
            "SELECT what, field, count(*) FILTER (state = 'different') AS different,"
            " count(*) FILTER (state = 'only_m365') AS only_m365,"
            " count(*) FILTER (state = 'only_itglue') AS only_itglue FROM ("
            " SELECT 'organization' AS what, field, state FROM compare.organizations"
            " UNION ALL SELECT 'contact', field, state FROM compare.contacts"
            " UNION ALL SELECT 'license', field, state FROM compare.licenses)"
            " WHERE state NOT IN ('equal', 'unknown') GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC, 2",
        ),
    }


def status(workspace: Workspace) -> Row:
    """Connections, what is to come, the last syncs, and every tenant's state."""
    runs = workspace.state.runs(limit=10)
    known = tenants(workspace) if workspace.published.is_file() else []
    connections = []
    for connection in workspace.settings.connections:
        own = [row for row in known if row["connection"] == connection.name]
        connections.append(
            {
                "name": connection.name,
                "kind": connection.kind,
                "paused": connection.paused,
                "tenants_ok": sum(1 for row in own if row["status"] == "ok"),
                "tenants_not_ok": sum(1 for row in own if row["status"] not in ("ok", "excluded")),
            }
        )
    return {
        "connections": connections,
        **queueing.outlook(workspace),
        "last_sync": next((run for run in runs if run["status"] != "queued"), None),
        "runs": runs,
        "tenants": [{**row, "streams": json.loads(row["streams"] or "{}")} for row in known],
    }


def plan(workspace: Workspace, tenants: Sequence[str] = ()) -> Row:
    """The plan: a summary by tenant, and each change with its fields. `tenants` narrows it: id, domain or exact name.

    What counts as approved says `planned.state_now`.
    """
    wanted = {find_tenant(workspace, tenant)["tenant_id"] for tenant in tenants}
    approvals = workspace.state.approvals.open()
    changes = []
    for row in query(
        workspace,
        "SELECT c.*, m.tenant_name FROM sync.changes c LEFT JOIN match.organizations m USING (tenant_id)"
        " WHERE list_contains(?::VARCHAR[], c.state) ORDER BY m.tenant_name NULLS FIRST, c.tenant_id, c.resource,"
        " c.action, c.subject_id, c.change_id",
        [list(planned.STATES)],
    ):
        if wanted and row["tenant_id"] not in wanted:
            continue
        row["state"] = planned.state_now(row, approvals)
        changes.append({**row, "fields": json.loads(row["fields"])})
    by_tenant: dict[str | None, Row] = {}
    for change in changes:
        summed = by_tenant.setdefault(
            change["tenant_id"],
            {
                "tenant_id": change["tenant_id"],
                "tenant_name": change["tenant_name"] or ("the account" if change["tenant_id"] is None else None),
                "plan_hash": None,
                "create": 0,
                "update": 0,
                "deactivate": 0,
                "skipped": 0,
                "state": "skipped",
                "reason": None,
            },
        )
        if change["state"] == "skipped":
            summed["skipped"] += 1
            continue
        summed[change["action"]] += 1
        summed |= {"plan_hash": change["plan_hash"], "state": change["state"]}
        if change["state"] == "blocked":
            summed["reason"] = planned.brake_of(change["reason"])
    return {"tenants": list(by_tenant.values()), "changes": changes}


def waiting(workspace: Workspace) -> Row:
    """How many changes of the published plan wait for a person, and in how many tenants because of a brake."""
    return query(
        workspace,
        "SELECT count(*) FILTER (state IN ('planned', 'blocked')) AS waiting,"
        " count(DISTINCT tenant_id) FILTER (state = 'blocked') AS blocked_tenants FROM sync.changes",
    )[0]


def explain(workspace: Workspace, wanted: str) -> list[Row]:
    """One user, every step from the read to the comparison. `wanted` is an object id, a user name or an address.

    Returns one entry for each user it names. Raises `NotFoundError` if it names none.
    """
    found = query(
        workspace,
        "SELECT DISTINCT u.* FROM m365.users u LEFT JOIN m365.user_addresses a USING (tenant_id, user_id)"
        " WHERE lower(u.user_id) = lower(?) OR lower(u.user_principal_name) = lower(?) OR a.address = lower(?)"
        " ORDER BY u.tenant_id, u.user_id",
        [wanted.strip()] * 3,
    )
    if not found:
        raise NotFoundError(
            "no user of that id, user name or address was read",
            remedy="Check the spelling, and `o365-etl status` for tenants that could not be read.",
        )
    return [_explain_one(workspace, user) for user in found]


def explain_user(workspace: Workspace, tenant_id: str, user_id: str) -> Row:
    """The same for one user of one tenant, by the ids of both. Raises `NotFoundError` if he is not there."""
    found = query(workspace, "SELECT * FROM m365.users WHERE tenant_id = ? AND user_id = ?", [tenant_id, user_id])
    if not found:
        raise NotFoundError(
            "this tenant has no user of that id",
            remedy="He was deleted in Microsoft 365, or the tenant could not be read: the sync log says which.",
        )
    return _explain_one(workspace, found[0])


def _explain_one(workspace: Workspace, user: Mapping[str, Any]) -> Row:
    key = [user["tenant_id"], user["user_id"]]

    def rows(sql: str, parameters: Sequence[object] = key) -> list[Row]:
        return query(workspace, sql, parameters)

    match = next(iter(rows("SELECT * FROM match.contacts WHERE tenant_id = ? AND user_id = ?")), None)
    candidates = json.loads(match["candidates"] or "[]") if match else []
    if match and match["contact_id"] and match["contact_id"] not in candidates:
        candidates = [match["contact_id"], *candidates]
    return {
        "user": dict(user),
        "read": rows(
            "SELECT t.display_name, t.as_of, t.is_stale, s.status, s.error_code, s.remedy,"
            " s.streams -> 'sign_ins' ->> 'state' AS sign_ins, s.streams -> 'sign_ins' ->> 'reason' AS sign_ins_reason"
            " FROM m365.tenants t"
            " LEFT JOIN sync.tenants s USING (tenant_id) WHERE t.tenant_id = ?",
            key[:1],
        ),
        "addresses": rows(
            "SELECT address, kind FROM m365.user_addresses WHERE tenant_id = ? AND user_id = ?"
            " ORDER BY array_position(['primary', 'alias', 'upn', 'other'], kind), address"
        ),
        "licenses": rows(
            "SELECT product_name, state, error, assigned_by FROM m365.license_assignments"
            " WHERE tenant_id = ? AND user_id = ? ORDER BY product_name"
        ),
        "mailbox": rows("SELECT * FROM m365.mailboxes WHERE tenant_id = ? AND user_id = ?"),
        "in_scope": user["in_scope"],
        "out_of_scope_reason": user["out_of_scope_reason"],
        "organization": rows("SELECT * FROM match.organizations WHERE tenant_id = ?", key[:1]),
        "match": match,
        "candidates": _candidates(rows, candidates) if candidates else [],
        "changes": _changes(
            workspace,
            rows(
                "SELECT tenant_id, action, resource, state, fields, reason, message, target_id, plan_hash, finished_at"
                " FROM sync.changes WHERE tenant_id = ? AND subject_id = ? ORDER BY resource, action, finished_at"
            ),
        ),
        "comparison": rows(
            "SELECT field, m365_value, itglue_value, state FROM compare.contacts WHERE tenant_id = ? AND user_id = ?"
        ),
    }


def _candidates(rows: Any, contact_ids: Sequence[str]) -> list[Row]:
    """The contacts that match or could match, with the addresses each has and the user it belongs to by now."""
    found = rows(
        "SELECT c.contact_id, c.first_name, c.last_name, c.title, c.sync_owner, c.resource_url, e.addresses,"
        " m.matched_to FROM (SELECT * FROM itglue.contacts WHERE contact_id IN (SELECT unnest($1::VARCHAR[]))) c"
        " LEFT JOIN (SELECT contact_id, list(address ORDER BY address) AS addresses FROM itglue.contact_emails"
        "  WHERE contact_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY contact_id) e USING (contact_id)"
        " LEFT JOIN (SELECT contact_id, any_value(user_principal_name) AS matched_to FROM match.contacts"
        "  WHERE contact_id IN (SELECT unnest($1::VARCHAR[])) AND status = 'matched' GROUP BY contact_id) m"
        " USING (contact_id)",
        [list(contact_ids)],
    )
    by_id = {row["contact_id"]: row for row in found}
    return [by_id.get(contact_id, {"contact_id": contact_id, "missing": True}) for contact_id in contact_ids]


def _changes(workspace: Workspace, rows: Sequence[Row]) -> list[Row]:
    """Changes with their fields, in the state that they are in now."""
    approvals = workspace.state.approvals.open() if rows else {}
    return [
        {
            **row,
            "state": planned.state_now(row, approvals),
            "fields": json.loads(row["fields"]),
        }
        for row in rows
    ]
