"""The installation as a Dagster resource: its workspace, held by the one sync that writes.

Where a run is one process, the resource lives as long as it does, so the lock is taken before the first step and given
back after the last, also when the run fails or is cancelled. Where steps are executed by workers, the process that
hands them out holds the lock for all of them (`assets.workers`), and the resource only checks that it does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from o365_etl.pipeline import alerting, progress, queueing
from o365_etl.pipeline.crawling import BackgroundCrawl
from o365_etl.pipeline.workspace import Workspace
from o365_etl.store.lock import Holder

TRIGGER_TAG = "o365_etl/trigger"
REQUEST_TAG = "o365_etl/request"
# The step that loads IT Glue.
CRAWL = "itglue"
# Dagster's own tag of a run that repeats another one.
_PARENT_TAG = "dagster/parent_run_id"


@contextmanager
def holding(
    workspace: Workspace, run_id: str, tags: Mapping[str, str], wait_seconds: float, log: logging.Logger | None
) -> Iterator[None]:
    """Hold the lock for the block, which is a whole run; answer the request that the run is for, and tell people
    afterwards what has changed.
    """
    trigger = tags.get(TRIGGER_TAG) or ("schedule" if "dagster/schedule_name" in tags else "manual")

    def say(holder: Holder | None) -> None:
        waiting = f"waiting: {(holder or Holder()).sentence}"
        progress.tell(waiting, 0)
        if log:
            log.info(waiting)

    try:
        with (
            workspace.writing(run_id, trigger, wait_seconds=wait_seconds, on_wait=say),
            queueing.answering(workspace, tags.get(REQUEST_TAG), run_id, repeats=_PARENT_TAG in tags),
        ):
            yield
    finally:
        # After the lock was given back: who waits for it does not wait for a mail server.
        alerting.look_after_run(workspace)


class Installation(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's class is generic over nothing here
    """One configuration file and what it stands for.

    `config` empty: as the command line finds it. `wait_seconds`: how long to wait for a sync that is running.
    """

    config: str = ""
    wait_seconds: float = 600
    _workspace: Workspace | None = PrivateAttr(default=None)
    _crawl: BackgroundCrawl | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Installation]:
        """Open the workspace and hold its lock for the run; a step on a worker takes part in the run that holds it."""
        # Files of libraries follow it: what a run of the daemon writes is for this user alone, as on the command line.
        os.umask(0o077)
        workspace = Workspace.open(Path(self.config) if self.config else None)
        run_id = context.run.run_id if context.run else "unknown"
        if workspace.settings.workers.broker is not None:
            held = workspace.taking_part(run_id)
        else:
            held = holding(workspace, run_id, context.run.tags if context.run else {}, self.wait_seconds, context.log)
        with held:
            self._workspace = workspace
            try:
                yield self
            finally:
                if self._crawl is not None:
                    self._crawl.end()

    @property
    def workspace(self) -> Workspace:
        """The open workspace."""
        if self._workspace is None:
            raise RuntimeError("the installation is only open inside a run")
        return self._workspace

    @property
    def crawl(self) -> BackgroundCrawl | None:
        """The crawl of IT Glue, if it has begun already."""
        return self._crawl

    def begin_crawl(self, context: dg.OpExecutionContext) -> None:
        """Begin the crawl that a later step of this run waits for, where both are steps of one process."""
        steps = context.run.step_keys_to_execute
        comes = context.job_def.has_node_named(CRAWL) and (steps is None or CRAWL in steps)
        if comes and self._crawl is None and self.workspace.settings.workers.broker is None:
            config = context.run.run_config.get("ops", {}).get(CRAWL, {}).get("config", {})
            self._crawl = BackgroundCrawl(self.workspace, context.run.run_id, full=bool(config.get("full")))
