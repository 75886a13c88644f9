"""The installation as a Dagster resource: its workspace, held by the one sync that writes.

The resource lives as long as a run's process does (the job runs in one), so the lock is taken before the first step
and given back after the last, also when the run fails or is cancelled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from o365_etl.pipeline import alerting, progress, queueing
from o365_etl.pipeline.workspace import Workspace
from o365_etl.store.lock import Holder

TRIGGER_TAG = "o365_etl/trigger"
REQUEST_TAG = "o365_etl/request"
# Dagster's own tag of a run that repeats another one.
_PARENT_TAG = "dagster/parent_run_id"


class Installation(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's class is generic over nothing here
    """One configuration file and what it stands for.

    `config` empty: as the command line finds it. `wait_seconds`: how long to wait for a sync that is running.
    """

    config: str = ""
    wait_seconds: float = 600
    _workspace: Workspace | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Installation]:
        """Open the workspace and hold its lock for the run."""
        # Files of libraries follow it: what a run of the daemon writes is for this user alone, as on the command line.
        os.umask(0o077)
        workspace = Workspace.open(Path(self.config) if self.config else None)
        run = context.run
        tags = run.tags if run else {}
        trigger = tags.get(TRIGGER_TAG) or ("schedule" if "dagster/schedule_name" in tags else "manual")
        run_id = run.run_id if run else "unknown"

        def say(holder: Holder | None) -> None:
            waiting = f"waiting: {(holder or Holder()).sentence}"
            progress.tell(waiting, 0)
            if context.log:
                context.log.info(waiting)

        try:
            with workspace.writing(run_id, trigger, wait_seconds=self.wait_seconds, on_wait=say):
                self._workspace = workspace
                with queueing.answering(workspace, tags.get(REQUEST_TAG), run_id, repeats=_PARENT_TAG in tags):
                    yield self
        finally:
            # After the lock was given back: who waits for it does not wait for a mail server.
            alerting.look_after_run(workspace)

    @property
    def workspace(self) -> Workspace:
        """The open workspace."""
        if self._workspace is None:
            raise RuntimeError("the installation is only open inside a run")
        return self._workspace
