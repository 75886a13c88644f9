"""A pool of threads that takes the task with the longest way still to go first.

Reading a tenant is a chain of requests (sign-in, users, report, types) with single requests beside it (domains,
sign-ins). Long chains first and the single requests last keeps all threads busy to the end; the other way round the
last threads would each follow one chain while the rest stand idle.

What does not live here: what the tasks do (`tenant`).
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType

Task = Callable[[], None]


class Step(IntEnum):
    """The steps of a tenant, the longest way to go first."""

    OPEN = 0
    LISTS = 1
    MAILBOXES = 2
    LEAF = 3


class Pool:
    """Runs tasks on `threads` threads: smaller steps first, in order within a step. A task must not raise."""

    def __init__(self, threads: int) -> None:
        self._tasks: list[tuple[Step, int, Task]] = []
        self._numbers = itertools.count()
        self._ready = threading.Condition()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._work, name=f"graph-{number}", daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Pool:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._ready:
            self._ended = True
            self._tasks.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(self, step: Step, task: Task) -> None:
        """Run `task` when its turn comes; tasks may submit others. Nothing happens once the pool has ended."""
        with self._ready:
            if not self._ended:
                heapq.heappush(self._tasks, (step, next(self._numbers), task))
                self._ready.notify()

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._tasks and not self._ended:
                    self._ready.wait()
                if self._ended:
                    return
                _, _, task = heapq.heappop(self._tasks)
            task()
