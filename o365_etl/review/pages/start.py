"""Active integrations: each connection, its tenants, when it was synced and will be; a sync started by hand.

What does not live here: the settings of one connection (`connection`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from o365_etl.config import Connection
from o365_etl.errors import ConflictError
from o365_etl.pipeline import overviewing, queueing
from o365_etl.pipeline.overviewing import FAILING, TENANT_STATUSES
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.answering import back, desk_of, page, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.pages import connection as connection_page
from o365_etl.review.paging import asked_page

_PAGE = 50
# Of one kind of alert, so many lines.
_ALERTS = 3
_FAILING_ONLY = "failing"
# Where each kind of alert is mended or looked at.
_PATHS = {
    "run_failed": "/log?level=error",
    "tenant_failing": "/?status=failing#tenants",
    "tenant_waiting": "/?status=not_consented#tenants",
    "brake": "/plan",
    "plan": "/plan",
    "sku": "/overview#licenses",
}


def show(request: Request) -> Response:
    """The integrations."""
    workspace = workspace_of(request)
    is_published = workspace.published.is_file()
    counts = overviewing.tenant_counts(workspace) if is_published else []
    last = overviewing.last_sync(workspace)
    is_syncing = _is_syncing(request, last)
    connections = [_card(each, counts, last, is_syncing) for each in workspace.settings.connections]
    outlook = queueing.outlook(workspace)
    # What is queued for some tenants is not the next sync of a connection.
    whole = [row["due_at"] for row in outlook["queued"] if not row["tenants"] and not row["only_failed"]]
    return page(
        request,
        "integrations.html",
        {
            "connections": connections,
            "next_at": min([outlook["schedule"]["next_at"], *whole]),
            "is_published": is_published,
            "failing": sum(row["tenants"] for row in counts if row["status"] in FAILING),
            "last": last,
            "is_syncing": is_syncing,
            "mode": workspace.settings.itglue.mode,
            "alerts": overviewing.alerts(workspace, _ALERTS),
            "alert_paths": _PATHS,
            **outlook,
            **(_tenants(request, workspace, counts) if is_published else {"tenants": []}),
        },
    )


def activity(request: Request) -> Response:
    """What goes on, for the line at the top of every page."""
    return JSONResponse(asdict(desk_of(request).activity()))


def sync(request: Request, form: Form) -> Response:
    """Start a sync: of all, of one `tenant`, or with `failed` of those that were not read completely.

    Raises `NotFoundError` for a tenant that no sync has seen, `ConflictError` for one that a sync would not read.
    """
    worker = desk_of(request).worker
    if tenant_id := form.get("tenant"):
        tenant = overviewing.tenant(workspace_of(request), tenant_id)
        if not _can_sync(tenant, workspace_of(request).settings.connections):
            raise ConflictError(
                "this tenant is not synced: it is excluded, or its connection is paused or was removed",
                remedy="Sync settings of the connection.",
            )
        worker.ask("sync", ["--tenant", tenant["tenant_id"]])
        return back(request, form, "/", f"The sync of {tenant['display_name'] or tenant['tenant_id']} was started.")
    if form.get("failed"):
        worker.ask("sync", ["--failed"])
        return back(request, form, "/", "The sync of the tenants that were not read completely was started.")
    worker.ask("sync")
    return back(request, form, "/", "The sync was started.")


def take_back(request: Request, form: Form) -> Response:
    """Take a queued sync back. Raises `NotFoundError`, or `ConflictError` if it is too late."""
    queueing.cancel(workspace_of(request), form.get("request"))
    return back(request, form, "/", "The queued sync was taken back.")


def _is_syncing(request: Request, last: Mapping[str, Any] | None) -> bool:
    running, _, _ = desk_of(request).worker.state()
    return bool(last and last["status"] == "syncing") or bool(running and running.command == "sync")


def _card(
    connection: Connection,
    counts: Sequence[Mapping[str, Any]],
    last: Mapping[str, Any] | None,
    is_syncing: bool,
) -> dict[str, Any]:
    """A connection, with its tenants counted and how it stands: a kind of `ui.state`, and words."""
    own = [row for row in counts if row["connection"] == connection.name]
    by_status = Counter({row["status"]: row["tenants"] for row in own})
    failing = sum(by_status[status] for status in FAILING)
    return {
        "name": connection.name,
        "kind": connection.kind,
        "paused": connection.paused,
        "tenants_ok": by_status["ok"],
        "failing": failing,
        "excluded": by_status["excluded"],
        "as_of": max((row["as_of"] for row in own if row["as_of"]), default=None),
        "state": _standing(connection, by_status, failing, last, is_syncing),
    }


def _standing(
    connection: Connection,
    by_status: Mapping[str, int],
    failing: int,
    last: Mapping[str, Any] | None,
    is_syncing: bool,
) -> tuple[str, str]:
    if connection.paused:
        return "paused", "Paused"
    if is_syncing:
        return "syncing", "Syncing…"
    if last and last["status"] == "failed":
        return "failed", "The last sync failed"
    if not any(by_status.values()):
        return "queued", "Never synced"
    if failing:
        return ("partial", "Some tenants fail") if by_status["ok"] else ("failed", "No tenant is in order")
    return "ok", "OK"


def _tenants(request: Request, workspace: Workspace, counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One page of the tenant list, as the address asks; what it asks wrongly counts as not asked."""
    asked = request.query_params
    by_status: Counter[str] = Counter()
    for row in counts:
        by_status[row["status"]] += row["tenants"]
    names = [each.name for each in workspace.settings.connections]
    names += sorted({row["connection"] for row in counts if row["connection"]} - set(names))
    status = asked.get("status", "")
    statuses = {_FAILING_ONLY: FAILING, **{each: (each,) for each in TENANT_STATUSES}}.get(status)
    connection = asked.get("connection", "")
    text = asked.get("q", "").strip()[:200]
    wanted = overviewing.Wanted(text, statuses or TENANT_STATUSES, connection if connection in names else None)
    number = asked_page(request)
    rows, fitting = overviewing.tenants(workspace, wanted, limit=_PAGE, offset=(number - 1) * _PAGE)
    pages = max(1, -(-fitting // _PAGE))
    if number > pages:
        number = pages
        rows, fitting = overviewing.tenants(workspace, wanted, limit=_PAGE, offset=(number - 1) * _PAGE)
    chosen = {"q": text, "status": status if statuses else "", "connection": wanted.connection or ""}
    kept = urlencode({name: value for name, value in chosen.items() if value} | {"page": ""})
    connections = workspace.settings.connections
    return {
        "tenants": [{**row, "can_sync": _can_sync(row, connections)} for row in rows],
        "fitting": fitting,
        "known": sum(by_status.values()),
        "chosen": chosen,
        "statuses": [each for each in TENANT_STATUSES if by_status[each]],
        "by_status": by_status,
        "names": names,
        "number": number,
        "pages": pages,
        "address": f"/?{kept}",
    }


def _can_sync(tenant: Mapping[str, Any], connections: Sequence[Connection]) -> bool:
    active = {each.name for each in connections if not each.paused}
    return tenant["connection"] in active and tenant["status"] != "excluded"


PAGES: Mapping[str, Callable[[Request], Response]] = {"/": show, "/activity": activity, **connection_page.PAGES}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/sync": sync,
    "/sync/take-back": take_back,
    **connection_page.FORMS,
}
