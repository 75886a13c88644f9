"""What a person decides: which organization a tenant belongs to, which contact a user is, which plan may be written.

Every decision is appended with who, when, why and what held before; it takes effect with the next `rematch` or sync.
What does not live here: whom a name stands for (`naming`), applying the rules (`relating`) and writing (`applying`).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rapidfuzz import fuzz, process

from o365_etl.errors import ConfigError, ConflictError, NotFoundError
from o365_etl.normalise import without_legal_form
from o365_etl.pipeline.naming import find_contact, find_organization, find_tenant, find_user
from o365_etl.pipeline.standing import Standing, standings
from o365_etl.pipeline.workspace import Workspace, query

Row = dict[str, Any]
# A name at least this like an existing organization's is asked about before another one is created.
NEAR_DUPLICATE = 85.0
# Taking a legal form off is slow beside comparing, and the organizations are the same each time.
_bare = lru_cache(maxsize=50_000)(without_legal_form)


class NearDuplicateError(ConfigError):
    """An organization that looks like the one to be created exists already."""

    code = "near_duplicate"
    remedy = "Choose it with `match to`, or say --force to create another one."


def who_am_i() -> str:
    """The name that a decision is recorded under: the account of the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def accept(
    workspace: Workspace,
    tenant: str,
    *,
    organization: str | None = None,
    who: str,
    why: str | None = None,
    seen: int | None = None,
) -> Row:
    """Accept the best suggestion, or the match that a rule made. Raises `NotFoundError` if there is neither.

    `organization` is the id that the person saw: if it is another one by now, `ConflictError` instead of that.
    """
    row = find_tenant(workspace, tenant)
    organization_id = row["organization_id"] if row["status"] == "matched" else row["suggested_id"]
    if organization is not None and organization != organization_id:
        raise _changed(row["tenant_name"])
    if organization_id is None:
        raise NotFoundError(
            f"nothing is suggested for {row['tenant_name']!r}", remedy="Choose with `match to`, or `match create`."
        )
    return _decide(workspace, row, "accept", organization_id, who, why, seen)


def accept_all(
    workspace: Workspace,
    wanted: Sequence[tuple[str, str, int]],
    *,
    who: str,
    why: str | None = None,
) -> tuple[list[Row], list[Row]]:
    """Accept the suggestion of each of these tenants: (tenant id, organization id, `seen`).

    Returns what was decided, and what was not because something changed meanwhile: tenant_id, tenant_name, problem.
    """
    held = standings(workspace)
    names: dict[str, str] = {}
    refused: list[Row] = []
    asked: list[Row] = []
    for tenant_id, organization_id, seen in wanted:
        try:
            stands = held.of(tenant_id)
            names[tenant_id] = stands.tenant_name
            best = stands.suggested.organization_id if stands.suggested else None
            if organization_id != (stands.organization_id if stands.status == "matched" else best):
                raise _changed(stands.tenant_name)
        except (ConflictError, NotFoundError) as error:
            refused.append(_refused(tenant_id, names, error))
        else:
            content = {"tenant_id": tenant_id, "action": "accept", "organization_id": organization_id}
            asked.append({**content, "who": who, "why": why, "before": _before(stands), "seen": seen})
    done: list[Row] = []
    for each, outcome in zip(asked, workspace.state.decisions.decide_many(asked), strict=True):
        if isinstance(outcome, ConflictError):
            refused.append(_refused(each["tenant_id"], names, outcome))
        else:
            done.append(_said(outcome, names[each["tenant_id"]], each))
    workspace.state.log_many(None, [_entry(_words(row), who, why, row["tenant_id"]) for row in done])
    order = {tenant_id: place for place, (tenant_id, _, _) in enumerate(wanted)}
    return done, sorted(refused, key=lambda row: order[row["tenant_id"]])


def _refused(tenant_id: str, names: Mapping[str, str], error: ConflictError | NotFoundError) -> Row:
    return {"tenant_id": tenant_id, "tenant_name": names.get(tenant_id, tenant_id), "problem": error.message}


def _changed(tenant_name: str) -> ConflictError:
    return ConflictError(
        f"the suggestion for {tenant_name!r} has changed since", remedy="Look at what is suggested now."
    )


def choose(
    workspace: Workspace, tenant: str, organization: str, *, who: str, why: str | None = None, seen: int | None = None
) -> Row:
    """Match a tenant with the organization that a person names."""
    row = find_tenant(workspace, tenant)
    organization_id = find_organization(workspace, organization)["organization_id"]
    return _decide(workspace, row, "to", organization_id, who, why, seen)


def ignore(workspace: Workspace, tenant: str, *, who: str, why: str | None = None, seen: int | None = None) -> Row:
    """Leave a tenant alone: no organization, no contacts."""
    return _decide(workspace, find_tenant(workspace, tenant), "ignore", None, who, why, seen)


def create(
    workspace: Workspace,
    tenant: str,
    *,
    who: str,
    why: str | None = None,
    force: bool = False,
    seen: int | None = None,
) -> Row:
    """Have an organization created for a tenant. Raises `NearDuplicateError` if one that looks like it exists."""
    row = find_tenant(workspace, tenant)
    near = near_duplicates(workspace, row["tenant_name"])
    if near and not force:
        shown = ", ".join(f"{name} ({identity}, {score:.0f})" for identity, name, score in near)
        raise NearDuplicateError(f"organizations much like {row['tenant_name']!r} exist already: {shown}")
    before = {each.tenant_id: each.id for each in workspace.state.decisions.in_force()[0]}
    said = _decide(workspace, row, "create", None, who, why, seen)
    # Said once more, it means the organization that was created, unless that is gone: then another one.
    if said["decision"] != before.get(row["tenant_id"]) or row["status"] != "matched":
        workspace.state.links.unlink_tenant(row["tenant_id"])
    return said


def near_duplicates(workspace: Workspace, name: str) -> list[tuple[str, str, float]]:
    """Organizations whose name is much like this one: id, name, score (85 to 100), the most alike first."""
    rows = query(workspace, "SELECT organization_id, name FROM itglue.organizations WHERE name IS NOT NULL")
    names = [_bare(row["name"]) for row in rows]
    found = process.extract(_bare(name), names, scorer=fuzz.token_sort_ratio, score_cutoff=NEAR_DUPLICATE, limit=5)
    return [(rows[place]["organization_id"], rows[place]["name"], score) for _, score, place in found]


def undo(workspace: Workspace, tenant: str, *, who: str, why: str | None = None, seen: int | None = None) -> Row:
    """Take back the last decision about a tenant: what held before it holds again. Raises `NotFoundError`."""
    row = find_tenant(workspace, tenant)
    taken_back = workspace.state.decisions.undo(tenant_id=row["tenant_id"], who=who, why=why, seen=seen)
    before = taken_back["before"] or {}
    links = workspace.state.links
    if before.get("status") == "matched" and before.get("organization_id"):
        links.link_tenants([(row["tenant_id"], before["organization_id"], before.get("rule") or "link")])
    else:
        links.unlink_tenant(row["tenant_id"])
    _log(workspace, f"decision taken back: {taken_back['action']}", who, why, row["tenant_id"])
    return {"tenant_id": row["tenant_id"], "tenant_name": row["tenant_name"], "undone": taken_back["action"]}


def decide_user(
    workspace: Workspace,
    tenant: str,
    user: str,
    *,
    action: str,
    contact: str | None = None,
    who: str,
    why: str | None = None,
    seen: int | None = None,
) -> Row:
    """Say which contact a user is (`to`), that he needs a new one (`create`) or none (`ignore`), or take that back.

    Raises `NotFoundError`, `AmbiguousNameError`.
    """
    of_tenant = find_tenant(workspace, tenant)
    row = find_user(workspace, of_tenant["tenant_id"], user)
    key = {"tenant_id": row["tenant_id"], "user_id": row["user_id"]}
    links, organization_id = workspace.state.links, of_tenant["organization_id"]
    link_key = (row["tenant_id"], row["user_id"], organization_id)
    if action == "undo":
        taken_back = workspace.state.decisions.undo(**key, who=who, why=why, seen=seen)
        before = taken_back["before"] or {}
        if organization_id:
            links.unlink_users([link_key])
        if before.get("status") == "matched" and before.get("contact_id") and before.get("organization_id"):
            link = (row["tenant_id"], row["user_id"], before["organization_id"], before["contact_id"], "link")
            links.link_users([link])
        _log(workspace, f"decision about a user taken back: {taken_back['action']}", who, why, row["tenant_id"], row)
        return {**key, "user_principal_name": row["user_principal_name"], "undone": taken_back["action"]}
    contact_id = find_contact(workspace, organization_id, contact)["contact_id"] if contact is not None else None
    before_it = {(each.tenant_id, each.user_id): each.id for each in workspace.state.decisions.in_force()[1]}
    decision = workspace.state.decisions.decide(
        **key,
        action=action,
        contact_id=contact_id,
        who=who,
        why=why,
        before={name: row[name] for name in ("status", "organization_id", "contact_id", "rule")},
        seen=seen,
    )
    # Said once more, `create` means the contact that was created, unless that is gone: then another one.
    is_new = decision != before_it.get((row["tenant_id"], row["user_id"])) or row["status"] == "ambiguous"
    if action == "create" and organization_id and is_new:
        links.unlink_users([link_key])
    _log(workspace, f"decision about a user: {action}", who, why, row["tenant_id"], row)
    upn = row["user_principal_name"]
    return {"decision": decision, **key, "user_principal_name": upn, "action": action, "contact_id": contact_id}


def _decide(
    workspace: Workspace,
    row: Row,
    action: str,
    organization_id: str | None,
    who: str,
    why: str | None,
    seen: int | None,
) -> Row:
    content = {"tenant_id": row["tenant_id"], "action": action, "organization_id": organization_id}
    before = _before(standings(workspace).of(row["tenant_id"]))
    decision = workspace.state.decisions.decide(**content, who=who, why=why, before=before, seen=seen)
    said = _said(decision, row["tenant_name"], content)
    workspace.state.log_many(None, [_entry(_words(said), who, why, row["tenant_id"])])
    return said


def _before(held: Standing) -> Row:
    """What a person gets back who takes the decision back: also what was decided, or taken back, a moment ago."""
    return {"status": held.status, "organization_id": held.organization_id, "rule": held.rule}


def _said(decision: int, tenant_name: str, decided: Mapping[str, Any]) -> Row:
    """What a decision about a tenant comes to, for whoever made it."""
    shown = {name: decided[name] for name in ("action", "organization_id")}
    return {"decision": decision, "tenant_id": decided["tenant_id"], "tenant_name": tenant_name, **shown}


def _words(said: Row) -> str:
    return " ".join(filter(None, ["decision:", said["action"], said["organization_id"]]))


def _entry(message: str, who: str, why: str | None, tenant_id: str, user: Row | None = None) -> Row:
    detail: Row = {"who": who, "why": why}
    if user is not None:
        detail["user_id"] = user["user_id"]
    return {"level": "info", "message": message, "tenant_id": tenant_id, "stream": "decision", "detail": detail}


def _log(
    workspace: Workspace, message: str, who: str, why: str | None, tenant_id: str, user: Row | None = None
) -> None:
    workspace.state.log_many(None, [_entry(message, who, why, tenant_id, user)])


def users_to_decide(workspace: Workspace, tenant: str) -> list[Row]:
    """The ambiguous users of a tenant, each with the contacts in question."""
    row = find_tenant(workspace, tenant)
    return _with_candidates(
        workspace,
        query(
            workspace,
            "SELECT tenant_id, user_id, user_principal_name, status, rule, candidates, evidence FROM match.contacts"
            " WHERE tenant_id = ? AND status = 'ambiguous' ORDER BY user_principal_name",
            [row["tenant_id"]],
        ),
    )


def audit(workspace: Workspace, tenant: str) -> Row:
    """What the first apply of a tenant would get wrong: creates that look like a contact, and contacts that nothing in
    Microsoft 365 explains.
    """
    row = find_tenant(workspace, tenant)
    held = [user for user in users_to_decide(workspace, row["tenant_id"]) if "resembles" in user["evidence"]]
    unexplained = query(
        workspace,
        "SELECT c.contact_id, c.first_name, c.last_name, c.title, c.contact_type, c.sync_owner,"
        " (SELECT list(e.address ORDER BY e.address) FROM itglue.contact_emails e WHERE e.contact_id = c.contact_id)"
        " AS addresses FROM itglue.contacts c WHERE c.organization_id = ?"
        " AND c.contact_id NOT IN (SELECT contact_id FROM match.contacts WHERE contact_id IS NOT NULL)"
        " ORDER BY c.last_name, c.first_name, c.contact_id",
        [row["organization_id"]],
    )
    return {"tenant_id": row["tenant_id"], "tenant_name": row["tenant_name"], "held": held, "unexplained": unexplained}


def _with_candidates(workspace: Workspace, users: list[Row]) -> list[Row]:
    ids = sorted({each for user in users for each in json.loads(user["candidates"] or "[]")})
    found = {
        each["contact_id"]: each
        for each in query(
            workspace,
            "SELECT c.contact_id, c.first_name, c.last_name,"
            " (SELECT list(e.address ORDER BY e.address) FROM itglue.contact_emails e"
            "  WHERE e.contact_id = c.contact_id) AS addresses"
            " FROM itglue.contacts c WHERE list_contains(?::VARCHAR[], c.contact_id)",
            [ids],
        )
    }
    return [
        {
            **user,
            "evidence": json.loads(user["evidence"] or "{}"),
            "candidates": [found.get(each, {"contact_id": each}) for each in json.loads(user["candidates"] or "[]")],
        }
        for user in users
    ]


def approve_plan(
    workspace: Workspace,
    tenants: Sequence[str],
    *,
    who: str,
    why: str | None = None,
    seen: Mapping[str | None, str] | None = None,
) -> list[Row]:
    """Approve exactly the plan that is published, by its hash: of these tenants, or of all. Returns what is approved.

    With `seen`, the hashes of the plans that a person looked at by tenant id, those are approved and no others.
    Raises `NotFoundError` if nothing is planned, `ConflictError` if one is not the plan that was seen any more; then
    none is approved.
    """
    wanted = [find_tenant(workspace, tenant)["tenant_id"] for tenant in tenants] if seen is None else list(seen)
    rows = query(
        workspace,
        "SELECT c.tenant_id, any_value(m.tenant_name) AS tenant_name, any_value(plan_hash) AS plan_hash,"
        " count(*) AS changes FROM sync.changes c LEFT JOIN match.organizations m USING (tenant_id)"
        " WHERE c.state IN ('planned', 'approved', 'blocked') AND (? OR c.tenant_id IS NULL"
        " OR c.tenant_id IN (SELECT unnest(?::VARCHAR[]))) GROUP BY c.tenant_id ORDER BY tenant_name NULLS FIRST",
        [seen is None and not tenants, wanted],
    )
    found = {row["tenant_id"]: row["plan_hash"] for row in rows}
    other = [tenant_id for tenant_id, plan_hash in (seen or {}).items() if found.get(tenant_id) != plan_hash]
    if other:
        text = "the plan has" if len(other) == 1 else f"the plans of {len(other):,} tenants have"
        raise ConflictError(f"{text} changed since you looked at it", remedy="Look at the plan as it is now.")
    if not any(row["tenant_id"] is not None for row in rows):
        raise NotFoundError("nothing is planned that could be approved", remedy="`o365-etl plan` shows the plan.")
    workspace.state.approvals.approve([(row["tenant_id"], row["plan_hash"]) for row in rows], who, why)
    entries: list[dict[str, object]] = [
        {
            "level": "info",
            "message": f"plan approved: {row['changes']} changes, hash {row['plan_hash']}",
            "tenant_id": row["tenant_id"],
            "stream": "decision",
            "detail": {"who": who, "why": why},
        }
        for row in rows
    ]
    workspace.state.log_many(None, entries)
    return rows
