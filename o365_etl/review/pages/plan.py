"""The plan: what would be written to IT Glue, tenant by tenant and field by field; approving it, and having it written.

What does not live here: what an approval is good for (`pipeline.deciding`) and the writing (a command of its own).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from o365_etl.errors import ConfigError, ConflictError, NotFoundError
from o365_etl.pipeline import deciding, planned
from o365_etl.pipeline.overviewing import names_of
from o365_etl.pipeline.publishing import outcomes
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.answering import back, desk_of, page, session_of, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.pages.plan_changes import RESOURCES, grouped
from o365_etl.review.paging import page_of
from o365_etl.review.rendering import plural

Row = dict[str, Any]

TENANTS_ON_A_PAGE = 50
CHANGES_ON_A_PAGE = 50
# More ticks than these nobody sets after looking: the others are approved tenant by tenant.
MOST_TICKS = 200
# Approvals that are shown, and tenants that are named of each.
_APPROVALS = 20
_NAMED = 5
ACCOUNT = "account"
STATES = ("planned", "blocked", "approved", "skipped")
# The parts of a tenant's page: what is in them.
PARTS: Mapping[str, Sequence[str]] = {
    "open": planned.OPEN_STATES,
    "skipped": ("skipped",),
    "failed": ("failed",),
    "applied": ("applied",),
}
ACTIONS = {"create": "Create", "update": "Update", "deactivate": "Mark as left"}
APPROVED = "The plan of {} is approved. It is written with the next apply, as long as it stays the same."


def show(request: Request) -> Response:
    """The whole plan, a line for each tenant."""
    workspace, asked = workspace_of(request), request.query_params
    rows = planned.by_tenant(workspace)
    text, state = asked.get("q", "").strip(), asked.get("state", "")
    state = state if state in STATES else ""
    found = planned.find(rows, text=text, state=state)
    counts = Counter(row["state"] for row in rows)
    counts["skipped"] = sum(1 for row in rows if row["skipped"])
    number, pages = page_of(request, len(found), TENANTS_ON_A_PAGE)
    first = (number - 1) * TENANTS_ON_A_PAGE
    writable = planned.to_write(workspace, rows)
    return page(
        request,
        "plan.html",
        {
            "rows": found[first : first + TENANTS_ON_A_PAGE],
            "found": len(found),
            "counts": counts,
            "all": len(rows),
            "states": STATES,
            "state": state,
            "text": text,
            "page": number,
            "pages": pages,
            "resources": planned.by_resource(workspace),
            "resource_names": RESOURCES,
            "mode": workspace.settings.itglue.mode,
            "to_write": sum(row["changes"] for row in writable),
            "to_approve": sum(1 for row in rows if row["tenant_id"] and row["state"] in ("planned", "blocked")),
            "is_asked": _is_asked(request),
            "last": _last_written(workspace),
            "approvals": _approvals(workspace),
        },
    )


def show_tenant(request: Request) -> Response:
    """The changes of one tenant, field by field."""
    return _tenant(request, str(request.path_params["tenant_id"]))


def _tenant(request: Request, wanted: str, status: int = 200) -> HTMLResponse:
    workspace, asked = workspace_of(request), request.query_params
    tenant_id = None if wanted == ACCOUNT else wanted
    row = next((each for each in planned.by_tenant(workspace) if each["tenant_id"] == tenant_id), None)
    name = row["tenant_name"] if row else _name_of(workspace, tenant_id)
    approvals = workspace.state.approvals.open()
    groups = planned.counts_of(workspace, tenant_id)
    sizes = {part: sum(each["changes"] for each in groups if each["state"] in PARTS[part]) for part in PARTS}
    part = asked.get("part", "")
    if part not in PARTS:
        part = next((each for each in PARTS if sizes[each]), "open")
    resource, action = asked.get("resource", ""), asked.get("action", "")
    if resource not in RESOURCES or action not in ACTIONS:
        resource = action = ""
    size = _size(groups, PARTS[part], resource, action)
    number, pages = page_of(request, size, CHANGES_ON_A_PAGE)
    changes = planned.changes_of(
        workspace,
        tenant_id,
        states=PARTS[part],
        resource=resource or None,
        action=action or None,
        limit=CHANGES_ON_A_PAGE,
        skip=(number - 1) * CHANGES_ON_A_PAGE,
    )
    for change in changes:
        change["state"] = planned.state_now(change, approvals)
    return page(
        request,
        "plan_tenant.html",
        {
            "tenant_id": tenant_id,
            "address": f"/plan/{wanted}",
            "name": name,
            "row": row,
            "part": part,
            "sizes": sizes,
            "kinds": _kinds(groups, PARTS[part]),
            "resource": resource,
            "action": action,
            "page": number,
            "pages": pages,
            "groups": grouped(workspace, tenant_id, changes),
            "resource_names": RESOURCES,
            "action_names": ACTIONS,
            "mode": workspace.settings.itglue.mode,
        },
        status=status,
    )


def approve_tenant(request: Request, form: Form) -> Response:
    """Approve the plan of one tenant as the person saw it."""
    workspace, tenant_id = workspace_of(request), str(request.path_params["tenant_id"])
    try:
        done = deciding.approve_plan(
            workspace, (), who=session_of(request).who, seen={tenant_id: form.get("plan_hash")}
        )
    except ConflictError:
        session_of(request).note(
            "wrong", "The plan has changed since you looked at it, so nothing was approved. This is the plan now."
        )
        return _tenant(request, tenant_id, status=409)
    name = next((row["tenant_name"] for row in done if row["tenant_id"] == tenant_id), None) or tenant_id
    return back(request, form, "/plan", APPROVED.format(name))


def confirm_all(request: Request) -> Response:
    """What approving everything would mean, and each brake by itself."""
    return _confirm_all(request)


def _confirm_all(request: Request, status: int = 200, ticked: Iterable[str] = ()) -> HTMLResponse:
    rows = [row for row in planned.by_tenant(workspace_of(request)) if row["tenant_id"] is not None]
    free = [row for row in rows if row["state"] == "planned"]
    held = [row for row in rows if row["state"] == "blocked"]
    return page(
        request,
        "plan_confirm.html",
        {
            "what": "approve",
            "tenants": len(free),
            "totals": _totals(free),
            "seen": planned.fingerprint(free),
            "held": held[:MOST_TICKS],
            "held_more": max(0, len(held) - MOST_TICKS),
            "ticked": set(ticked),
        },
        status=status,
    )


def approve_all(request: Request, form: Form) -> Response:
    """Approve every plan that no brake holds back, and of the others those that were ticked."""
    workspace = workspace_of(request)
    rows = planned.by_tenant(workspace)
    free = [row for row in rows if row["tenant_id"] is not None and row["state"] == "planned"]
    ticks = form.all("tick")
    seen = {row["tenant_id"]: row["plan_hash"] for row in free}
    for tick in ticks:
        tenant_id, _, plan_hash = tick.rpartition(" ")
        seen[tenant_id] = plan_hash
    try:
        if planned.fingerprint(free) != form.get("seen"):
            raise ConflictError("the plan has changed since you looked at it")
        if not seen:
            return back(request, form, "/plan/approve", "Nothing was ticked, so nothing was approved.", "told")
        deciding.approve_plan(workspace, (), who=session_of(request).who, why=form.get("why") or None, seen=dict(seen))
    except ConflictError:
        session_of(request).note(
            "wrong", "The plan has changed since you looked at it, so nothing was approved. This is the plan now."
        )
        return _confirm_all(request, status=409, ticked=ticks)
    text = f"Approved: the plans of {plural(len(seen), 'tenant')}, {len(ticks):,} of them in spite of a brake."
    return back(request, form, "/plan", text if ticks else f"Approved: the plans of {plural(len(seen), 'tenant')}.")


def confirm_apply(request: Request) -> Response:
    """How much would be written."""
    return _confirm_apply(request)


def _confirm_apply(request: Request, status: int = 200) -> HTMLResponse:
    workspace = workspace_of(request)
    rows = planned.to_write(workspace, planned.by_tenant(workspace))
    return page(
        request,
        "plan_confirm.html",
        {
            "what": "apply",
            "tenants": sum(1 for row in rows if row["tenant_id"] is not None),
            "totals": _totals(rows),
            "seen": planned.fingerprint(rows),
            "why_not": _why_not(request, rows),
            "held": [],
            "held_more": 0,
            "ticked": set(),
        },
        status=status,
    )


def apply(request: Request, form: Form) -> Response:
    """Have the approved part of the plan written."""
    workspace = workspace_of(request)
    if workspace.settings.itglue.mode == "off":
        raise ConfigError("itglue.mode is off: nothing is ever written", remedy='Set itglue.mode to "plan" or "apply".')
    if _is_asked(request):
        return back(request, form, "/plan", "It is being written already.", "told")
    rows = planned.to_write(workspace, planned.by_tenant(workspace))
    if not rows or planned.fingerprint(rows) != form.get("seen"):
        session_of(request).note(
            "wrong", "The plan has changed since you looked at it, so nothing is written. This would be written now."
        )
        return _confirm_apply(request, status=409)
    desk_of(request).worker.ask("apply")
    said = f"Writing {plural(sum(row['changes'] for row in rows), 'change')} to IT Glue has begun."
    return back(request, form, "/plan", said)


def _why_not(request: Request, rows: Sequence[Row]) -> str | None:
    if workspace_of(request).settings.itglue.mode == "off":
        return "itglue.mode is off: nothing is ever written."
    if _is_asked(request):
        return "It is being written already."
    return None if rows else "Nothing is approved, so there is nothing to write."


def _is_asked(request: Request) -> bool:
    running, waiting, _ = desk_of(request).worker.state()
    return any(job.command == "apply" for job in (running, *waiting) if job is not None)


def _totals(rows: Iterable[Row]) -> Row:
    totals: Counter[str] = Counter()
    for row in rows:
        totals.update({name: row[name] for name in ("create", "update", "deactivate", "changes")})
    return {name: totals[name] for name in ("create", "update", "deactivate", "changes")}


def _last_written(workspace: Workspace) -> Row | None:
    """The last run that wrote something or tried to, and what became of it."""
    for run in workspace.state.runs(limit=30):
        if became := outcomes(run["counts"]):
            return {**run, "outcomes": became}
    return None


def _approvals(workspace: Workspace) -> list[Row]:
    """Who approved what when; what was approved with one click is one line."""
    lines: dict[tuple[Any, ...], Row] = {}
    for row in workspace.state.approvals.history(limit=300):
        line = lines.setdefault((row["at"], row["who"], row["state"], row["run_id"]), {**row, "ids": []})
        # The account is part of every plan: it is not told apart.
        if row["tenant_id"] is not None:
            line["ids"].append(row["tenant_id"])
    shown = [line for line in lines.values() if line["ids"]][:_APPROVALS]
    names = names_of(workspace, {each for line in shown for each in line["ids"][:_NAMED]})
    return [
        {
            **line,
            "names": [names.get(each, each) for each in line["ids"][:_NAMED]],
            "more": max(0, len(line["ids"]) - _NAMED),
        }
        for line in shown
    ]


def _name_of(workspace: Workspace, tenant_id: str | None) -> str:
    if tenant_id is None:
        return "The account"
    found = names_of(workspace, [tenant_id])
    if not found:
        raise NotFoundError("no tenant of that id was read", remedy="The page Plan lists the tenants.")
    return found[tenant_id]


def _size(groups: Sequence[Row], states: Sequence[str], resource: str, action: str) -> int:
    return sum(
        each["changes"]
        for each in groups
        if each["state"] in states and (not resource or (each["resource"], each["action"]) == (resource, action))
    )


def _kinds(groups: Sequence[Row], states: Sequence[str]) -> list[Row]:
    """What kinds of changes there are, and how many of each."""
    kinds: Counter[tuple[str, str]] = Counter()
    for each in groups:
        if each["state"] in states:
            kinds[each["resource"], each["action"]] += each["changes"]
    return [{"resource": resource, "action": action, "changes": count} for (resource, action), count in kinds.items()]


PAGES: Mapping[str, Callable[[Request], Response]] = {
    "/plan": show,
    "/plan/approve": confirm_all,
    "/plan/apply": confirm_apply,
    "/plan/{tenant_id}": show_tenant,
}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/plan/approve": approve_all,
    "/plan/apply": apply,
    "/plan/{tenant_id}": approve_tenant,
}
