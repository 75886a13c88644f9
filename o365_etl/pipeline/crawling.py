"""The crawl of IT Glue into the landing zone: at once, or in the background while Microsoft 365 is read.

It needs neither the warehouse nor the state store, so it is in nobody's way. What does not live here: what is told of
it and what becomes of it (`documentation`).
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from o365_etl.itglue.changes import Policy
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.reader import read_itglue
from o365_etl.pipeline.workspace import Workspace
from o365_etl.receipts import Receipt

# For an answer that is on its way when nobody waits for it any more.
_LONGEST_FAREWELL = 5.0


def crawl(workspace: Workspace, run_id: str, *, full: bool, stopped: threading.Event | None = None) -> list[Receipt]:
    """Read every stream of IT Glue; `full`: everything, also where a read of what changed would do.

    Raises as `ItGlueClient` and `read_itglue`; `Stopped` soon after `stopped` is set.
    """
    settings = workspace.settings
    policy = Policy(settings.itglue.full_crawl_hours, settings.itglue.incremental_from, full)
    with ItGlueClient(settings.itglue, settings.ca_bundle, stopped=stopped) as client:
        return read_itglue(client, workspace.landing, run_id, policy)


class BackgroundCrawl:
    """A crawl that has begun in a thread of its own; `end` it before the lock of the sync is given back."""

    def __init__(self, workspace: Workspace, run_id: str, *, full: bool) -> None:
        self._stopped = threading.Event()
        self._result: Future[list[Receipt]] = Future()

        def work() -> None:
            try:
                self._result.set_result(crawl(workspace, run_id, full=full, stopped=self._stopped))
            except BaseException as error:
                self._result.set_exception(error)

        self._thread = threading.Thread(target=work, name="itglue-crawl", daemon=True)
        self._thread.start()

    def result(self) -> list[Receipt]:
        """Wait for its end; returns and raises as `crawl`."""
        return self._result.result()

    def end(self) -> None:
        """Stop it if it is still at work; returns soon, also while the server is silent."""
        self._stopped.set()
        self._thread.join(_LONGEST_FAREWELL)
