"""Reads many tenants at once: a bounded number of them in the air, one pool of threads for all their requests."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence

from o365_etl.graph.model import TenantResult, TenantTarget
from o365_etl.graph.scheduling import Pool
from o365_etl.graph.session import GraphSession
from o365_etl.graph.tenant import TenantRead
from o365_etl.receipts import Landing

__all__ = ["TenantResult", "read_tenants"]

TENANTS_PER_THREAD = 4
"""Tenants in the air per thread: enough that a thread never lacks a task, few enough that memory stays flat."""


def read_tenants(
    session: GraphSession,
    targets: Sequence[TenantTarget],
    landing: Landing,
    read_id: str,
    *,
    full: bool = False,
    on_done: Callable[[TenantResult], None] | None = None,
) -> list[TenantResult]:
    """Read all targets and return one result each, in their order; whatever fails is a result, not an exception.

    `full` reads everything, also where a read of what changed would do. `on_done` is called in the caller's thread as
    tenants come in. If it raises, or the program is interrupted, the rest is dropped, and the session cannot be used
    again.
    """
    finished: queue.SimpleQueue[tuple[int, TenantResult]] = queue.SimpleQueue()
    results: dict[int, TenantResult] = {}
    claims = _Claims()
    waiting = iter(enumerate(targets))
    with Pool(session.threads) as pool:

        def start(number: int, target: TenantTarget) -> None:
            def done(result: TenantResult) -> None:
                finished.put((number, result))

            TenantRead(session, target, landing, read_id, pool, full=full, claim=claims.take, done=done).start()

        try:
            for number, target in itertools.islice(waiting, session.threads * TENANTS_PER_THREAD):
                start(number, target)
            while len(results) < len(targets):
                number, result = finished.get()
                results[number] = result
                if on_done is not None:
                    on_done(result)
                for following, target in itertools.islice(waiting, 1):
                    start(following, target)
        except BaseException:  # an interrupt included: threads in a long wait must not hold the program
            session.clock.stop()
            raise
    return [results[number] for number in range(len(targets))]


class _Claims:
    """Which tenants are being read: two names for one tenant must not write the same files."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self, tenant_id: str) -> bool:
        """True for the first who asks for this tenant."""
        with self._lock:
            if tenant_id in self._taken:
                return False
            self._taken.add(tenant_id)
            return True
