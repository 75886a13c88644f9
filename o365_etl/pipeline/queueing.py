"""Syncs that are asked for: queued, taken back, answered by one run each; and runs whose process is gone.

What does not live here: who starts the run (`assets.automation`), and the rows (`store.state_requests`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from o365_etl.errors import BusyError, ConflictError, NotFoundError
from o365_etl.pipeline import timetable
from o365_etl.pipeline.naming import AmbiguousNameError, find_tenant
from o365_etl.pipeline.workspace import Workspace, now

Row = dict[str, Any]

# A run that neither waits for the lock any more (ten minutes) nor tells people how it ended.
LOST_AFTER = timedelta(minutes=20)


def queue(
    workspace: Workspace,
    *,
    trigger: str,
    who: str,
    tenants: Sequence[str] = (),
    only_failed: bool = False,
    minutes: int = 0,
) -> Row:
    """Ask for a sync in so many minutes, and return the request as it stands: an equal one may have been there."""
    at = now()
    requests = workspace.state.requests
    request_id = requests.queue(
        trigger=trigger,
        who=who,
        at=at,
        due_at=at + timedelta(minutes=minutes),
        tenants=tenants,
        only_failed=only_failed,
    )
    return requests.find(request_id) or {}


def first_sync(workspace: Workspace) -> Row | None:
    """What `connect` queued, as long as nothing was synced yet: until it is due a person chooses what to sync, and the
    clock must not forestall him.
    """
    if any(run["status"] != "queued" for run in workspace.state.runs(limit=1)):
        return None
    return next((row for row in workspace.state.requests.open() if row["trigger"] == "connect"), None)


def has_matched_since(workspace: Workspace, at: datetime) -> bool:
    """Whether a sync or a rematch that began after this time has ended well: what was decided by then is in effect."""
    return any(
        run["status"] in ("ok", "blocked")
        and run["started_at"] >= at
        and (run["trigger"] in ("decision", "rematch") or run["tenants_ok"] is not None)
        for run in workspace.state.runs(limit=20)
    )


def unknown_tenants(workspace: Workspace, tenants: Sequence[str]) -> list[str]:
    """Those of these names that no tenant has that was read so far; a sync may still find them."""
    if not workspace.published.is_file():
        return []
    return [wanted for wanted in tenants if not _is_known(workspace, wanted)]


def outlook(workspace: Workspace) -> Row:
    """What is to come: the next scheduled sync, what is queued, and who is left alone until when."""
    at, schedule = now(), workspace.settings.schedule
    cron = timetable.cron_of(workspace.settings)
    next_at = timetable.next_time(cron, schedule.timezone, at)
    return {
        "schedule": {"cron": cron, "timezone": schedule.timezone, "next_at": next_at},
        "queued": workspace.state.requests.open(),
        "quarantine": [
            {name: value for name, value in row.items() if name != "credential"}
            for row in workspace.state.quarantine.paused(at)
        ],
    }


def _is_known(workspace: Workspace, wanted: str) -> bool:
    try:
        find_tenant(workspace, wanted)
    except NotFoundError:
        return False
    except AmbiguousNameError:
        pass  # a sync reads them all
    return True


def cancel(workspace: Workspace, request_id: str) -> None:
    """Take a request back. Raises `NotFoundError` if there is none, `ConflictError` if it is too late."""
    requests = workspace.state.requests
    if requests.cancel(request_id, now()):
        return
    known = requests.find(request_id)
    if known is None:
        raise NotFoundError(
            f"there is no request {request_id!r}", remedy="`o365-etl status` shows the ids of what is queued."
        )
    what = {"started": f"is being answered by the run {known['run_id']}", "cancelled": "was taken back already"}
    raise ConflictError(
        f"the request {request_id} {what.get(known['state'], 'is done')}",
        remedy="Stop a run that is under way in the Dagster UI.",
    )


@contextlib.contextmanager
def answering(workspace: Workspace, request_id: str | None, run_id: str, *, repeats: bool) -> Iterator[None]:
    """For the block, the run answers this request (None: no request); after it the request is done, however it ended.

    Raises `ConflictError` if the request is not queued any more; a run that `repeats` another one may answer again
    unless the request was taken back.
    """
    if request_id is None:
        yield
        return
    requests = workspace.state.requests
    if not requests.take_up(request_id, run_id):
        known = requests.find(request_id)
        state = known["state"] if known else "unknown"
        if state in ("unknown", "cancelled") or not repeats:
            raise ConflictError(
                f"nothing to do: the request {request_id} is {state}",
                code="not_queued",
                remedy="Ask again with `o365-etl sync --queue`.",
            )
    try:
        yield
    finally:
        requests.finish(run_id, now())


def is_lost(workspace: Workspace, run_id: str, started_at: datetime, at: datetime) -> bool:
    """Whether a run that looks as if it ran has no process any more. A run works under the lock, and closes its row in
    `sync.runs` before it gives the lock back: a row that is open while nobody holds the lock is nobody's.
    """
    before = _run(workspace, run_id)
    if workspace.lock.holder() is not None:
        return False
    after = _run(workspace, run_id)
    if before and before["status"] == "syncing":
        return after is not None and after["status"] == "syncing"
    # It waited for the lock in vain, or has given it back: either takes a while to come to an end.
    sign_of_life = (after["ended_at"] or after["started_at"]) if after else started_at
    return at - sign_of_life > LOST_AFTER


def _run(workspace: Workspace, run_id: str) -> Row | None:
    return next((run for run in workspace.state.runs(limit=100) if run["run_id"] == run_id), None)


def close_failed(workspace: Workspace, run_id: str, why: str) -> None:
    """Note in the sync log why a run failed, and close what its process could not close itself."""
    workspace.state.log(run_id, "error", why)
    # By another name than the run's: a lease that its steps still renew is not ended under their hands.
    with contextlib.suppress(BusyError), workspace.lock.hold(f"after {run_id}", "closing", wait_seconds=0):
        workspace.state.close_abandoned("the process ended before the sync did")
    workspace.state.requests.finish(run_id, now())
