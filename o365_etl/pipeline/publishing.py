"""The end of a sync: close its run, then replace the copy that analysts open."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from o365_etl.errors import O365EtlError
from o365_etl.pipeline.memory import give_back
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store import published
from o365_etl.tables import TABLES

# The two tables of the sync log live in the state store; all others in the warehouse.
COUNTED = tuple(name for name in TABLES if name not in ("sync.runs", "sync.log"))


_OUTCOME = "changes "


def outcomes(counts: Mapping[str, int] | None) -> dict[str, int]:
    """What became of the changes of a run, out of the counts it was closed with: applied, failed, skipped, open."""
    return {name.removeprefix(_OUTCOME): number for name, number in (counts or {}).items() if name.startswith(_OUTCOME)}


def publish(workspace: Workspace, run_id: str, *, status: str | None = None) -> Mapping[str, int]:
    """Close the run, replace the published copy atomically, and return its rows per table.

    Without a `status` the run is `blocked` if a brake keeps it from writing, else `ok`. It is closed first so that the
    copy says so. Should the copy fail, the run is closed again as failed.
    """
    state = workspace.state
    give_back()
    state.prune(now() - timedelta(days=workspace.settings.retention.days))
    with workspace.tables() as db:
        rows = db.counts(COUNTED)
        if status is None:
            held = workspace.settings.itglue.mode == "apply" and db.scalar(
                "SELECT count(*) FROM sync.changes WHERE state = 'blocked'"
            )
            status = "blocked" if held else "ok"
        written = {f"{_OUTCOME}{state_}": number for state_, number in state.intents.counts(run_id).items()}
        state.finish_run(run_id, now(), status, counts=rows | written)
        try:
            extra = {"sync.runs": state.runs_table(), "sync.log": state.log_table()}
            published.publish(db, workspace.published, run_id=run_id, extra=extra)
        except BaseException:
            state.finish_run(run_id, now(), "failed", counts=rows)
            raise
        try:
            workspace.warehouse.tidy(db)
        except O365EtlError as error:
            # The next sync does it; this one is published.
            state.log(run_id, "warning", f"old files of the warehouse were not deleted: {error.line}")
    return rows | {name: frame.num_rows for name, frame in extra.items()}
