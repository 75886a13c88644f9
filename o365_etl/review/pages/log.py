"""The sync log and the runs: what happened, when, to which tenant; what is queued can be taken back.

What does not live here: what is logged, and Dagster's own view of a run, which is linked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.errors import LocalError, NotFoundError
from o365_etl.normalise import normalise
from o365_etl.pipeline import queueing
from o365_etl.pipeline.publishing import outcomes
from o365_etl.pipeline.workspace import Workspace, now, query
from o365_etl.review.answering import back, desk_of, page, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.paging import asked_page

Row = dict[str, Any]

ENTRIES_ON_A_PAGE = 100
RUNS_ON_A_PAGE = 50
# Nobody turns so many pages: whoever looks for something older narrows the time.
_MOST_PAGES = 1_000
# A name that so many tenants have is too short.
_MOST_TENANTS = 200
LEVELS: Mapping[str, Sequence[str] | None] = {
    "": None,
    "warning": ("warning", "error"),
    "error": ("error",),
}
TRIGGERS = {
    "manual": "by hand",
    "schedule": "by the clock",
    "queue": "asked for",
    "connect": "a new connection",
    "decision": "decisions were made",
    "rematch": "decisions were made",
    "apply": "the plan was applied",
    "disconnect": "a connection was removed",
    "demo": "the demo",
}


def show(request: Request) -> Response:
    """The log, the newest first."""
    workspace, asked = workspace_of(request), request.query_params
    level = asked.get("level", "")
    level = level if level in LEVELS else ""
    text, run_id = asked.get("tenant", "").strip(), asked.get("run", "").strip()
    since, until = _time(asked.get("from")), _time(asked.get("to"))
    number = min(asked_page(request), _MOST_PAGES)
    tenants = _tenants(workspace, text) if text else {}
    entries = workspace.state.entries(
        run_id=run_id or None,
        level=LEVELS[level],
        tenant_id=list(tenants) if text else None,
        since=since,
        # The field tells minutes: the last one belongs to it.
        until=until + timedelta(minutes=1) if until else None,
        skip=(number - 1) * ENTRIES_ON_A_PAGE,
        limit=ENTRIES_ON_A_PAGE + 1,
    )[::-1]
    kept = {"tenant": text, "level": level, "run": run_id, "from": _field(since), "to": _field(until)}
    filters = {name: value for name, value in kept.items() if value}
    return page(
        request,
        "log.html",
        {
            "entries": _named(workspace, entries[:ENTRIES_ON_A_PAGE]),
            "kept": kept,
            "levels": LEVELS,
            "tenants": tenants,
            "page": number,
            "has_older": len(entries) > ENTRIES_ON_A_PAGE and number < _MOST_PAGES,
            "address": "/log?" + urlencode({**filters, "page": ""}),
            "without_run": "/log?" + urlencode({name: value for name, value in filters.items() if name != "run"}),
            "dagster": _dagster(workspace, run_id),
            "is_filtered": bool(filters),
        },
    )


def dismiss(request: Request, form: Form) -> Response:
    """What failed last was read."""
    desk_of(request).dismiss()
    return back(request, form, "/log")


def show_runs(request: Request) -> Response:
    """What is queued, and the runs, the newest first."""
    workspace, number = workspace_of(request), min(asked_page(request), _MOST_PAGES)
    first = (number - 1) * RUNS_ON_A_PAGE
    runs = [run for run in workspace.state.runs(limit=first + RUNS_ON_A_PAGE + 1) if run["status"] != "queued"][first:]
    return page(
        request,
        "runs.html",
        {
            "queued": workspace.state.requests.open(),
            "runs": [_shown(run) for run in runs[:RUNS_ON_A_PAGE]],
            "triggers": TRIGGERS,
            "page": number,
            "has_older": len(runs) > RUNS_ON_A_PAGE and number < _MOST_PAGES,
        },
    )


def show_run(request: Request) -> Response:
    """One run in figures, and its log."""
    workspace, run_id = workspace_of(request), str(request.path_params["run_id"])
    run = _run(workspace, run_id)
    number = min(asked_page(request), _MOST_PAGES)
    entries = workspace.state.entries(
        run_id=run_id, skip=(number - 1) * ENTRIES_ON_A_PAGE, limit=ENTRIES_ON_A_PAGE + 1
    )[::-1]
    shown = _shown(run)
    if run["status"] == "syncing":
        shown["written"] = workspace.state.intents.counts(run["run_id"])
    return page(
        request,
        "run.html",
        {
            "run": shown,
            "triggers": TRIGGERS,
            "entries": _named(workspace, entries[:ENTRIES_ON_A_PAGE]),
            "page": number,
            "has_older": len(entries) > ENTRIES_ON_A_PAGE and number < _MOST_PAGES,
            "dagster": _dagster(workspace, run["run_id"]),
        },
    )


def take_back(request: Request, form: Form) -> Response:
    """Take back a sync that is queued."""
    queueing.cancel(workspace_of(request), str(request.path_params["request_id"]))
    return back(request, form, "/runs", "The sync is taken back: it will not run.")


def _run(workspace: Workspace, run_id: str) -> Row:
    try:
        return workspace.state.run(run_id)
    except LocalError as error:
        request = workspace.state.requests.find(run_id)
        what = {
            "queued": "this sync is queued and has not begun",
            "cancelled": "this sync was taken back before it began",
        }.get(request["state"] if request else "", "there is no run of that id, or it is too old to be remembered")
        raise NotFoundError(what, remedy="The page Runs lists them.") from error


def _shown(run: Row) -> Row:
    """A run with its duration, and its counts apart: rows of tables, and changes by what became of them."""
    counts = run["counts"]
    ended = run["ended_at"] or now()
    return {
        **run,
        "seconds": (ended - run["started_at"]).total_seconds(),
        "written": outcomes(counts),
        "rows": {name: number for name, number in counts.items() if "." in name},
    }


def _tenants(workspace: Workspace, text: str) -> dict[str, str]:
    """The tenants that a person means: of this id, or with this in their name; an id that nobody knows is taken as it
    is, for the log may tell of tenants that were never read.
    """
    try:
        rows = query(
            workspace,
            "SELECT s.tenant_id, coalesce(s.display_name, s.tenant_id) AS name FROM sync.tenants s"
            " LEFT JOIN m365.tenants t USING (tenant_id)"
            " WHERE lower(s.tenant_id) = lower(?) OR contains(coalesce(t.name_key, lower(s.display_name)), ?)"
            " ORDER BY s.display_name, s.tenant_id LIMIT ?",
            [text, normalise(text), _MOST_TENANTS],
        )
    except NotFoundError:
        rows = []
    return {row["tenant_id"]: row["name"] for row in rows} or {text: text}


def _named(workspace: Workspace, entries: Sequence[Row]) -> list[Row]:
    """Entries with the name of their tenant, and of the user or product they are about; before the first sync there are
    only ids.
    """
    tenants = sorted({entry["tenant_id"] for entry in entries if entry["tenant_id"]})
    subjects = sorted({subject for entry in entries if (subject := _subject(entry))})
    try:
        rows = query(
            workspace,
            "SELECT 'tenant' AS kind, tenant_id AS id, display_name AS name FROM sync.tenants"
            " WHERE tenant_id IN (SELECT unnest($1::VARCHAR[]))"
            " UNION ALL SELECT 'user', user_id, coalesce(display_name, user_principal_name) FROM m365.users"
            " WHERE user_id IN (SELECT unnest($2::VARCHAR[]))"
            " UNION ALL SELECT 'product', sku_id, product_name FROM m365.products"
            " WHERE sku_id IN (SELECT unnest($2::VARCHAR[]))",
            [tenants, subjects],
        )
    except NotFoundError:
        rows = []
    names = {row["id"]: row["name"] for row in rows if row["kind"] == "tenant" and row["name"]}
    about = {row["id"]: {**row, "is_user": row["kind"] == "user"} for row in rows if row["kind"] != "tenant"}
    return [
        {
            **entry,
            "tenant_name": names.get(entry["tenant_id"]) or entry["tenant_id"],
            "is_known": entry["tenant_id"] in names,
            "about": about.get(_subject(entry) or ""),
            "detail": {name: value for name, value in entry["detail"].items() if value is not None},
        }
        for entry in entries
    ]


def _subject(entry: Row) -> str | None:
    """The id of the user or the product that an entry is about."""
    found = entry["detail"].get("subject_id") or entry["detail"].get("user_id")
    return found if isinstance(found, str) else None


def _dagster(workspace: Workspace, run_id: str) -> str | None:
    """Where Dagster shows a run. What did not come out of Dagster has no such page."""
    url = workspace.settings.review.dagster_url
    # The ids of Dagster are GUIDs; those of ours, like that of a removed connection, are not.
    is_its_own = len(run_id) == 36 and run_id.count("-") == 4
    return f"{url}/runs/{run_id}" if url and is_its_own else None


def _time(text: str | None) -> datetime | None:
    """A time in UTC as the field of a form gives it; None for anything else."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # Near the ends of the calendar nothing can be added or converted, and nothing was logged.
    if not 1970 <= found.year <= 9000:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _field(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%dT%H:%M") if at else ""


PAGES: Mapping[str, Callable[[Request], Response]] = {"/log": show, "/runs": show_runs, "/runs/{run_id}": show_run}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/activity/dismiss": dismiss,
    "/runs/{request_id}/take-back": take_back,
}
