"""The request rate of one IT Glue account, shared by all threads that use it.

What does not live here: what a 429 means (`client`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """A bucket that fills with `rate` permissions a second and holds at most `burst`.

    No stretch of t seconds sees more than burst + rate × t requests. IT Glue allows 3,000 in any 300 seconds; 9 a
    second with a burst of 100 make at most 2,800, and a small account is read at full speed.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1.0 / rate
        self._slack = (burst - 1) * self._interval
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        # When the next request would be due if all were sent evenly; the burst may run ahead of it by the slack.
        self._due = clock() - self._slack
        self._paused_until = clock()

    def wait(self) -> float:
        """Take a permission, sleeping until there is one; returns the seconds slept."""
        start = self._clock()
        with self._lock:
            self._due = max(self._due, start - self._slack)
            mine = max(self._due, self._paused_until)
            self._due += self._interval
        while (left := self._left(mine)) > 0:
            self._sleep(left)
        return self._clock() - start

    def pause(self, seconds: float) -> None:
        """Nobody sends for that long, and then evenly: the server's own count is fuller than ours."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)
            self._due = max(self._due, self._paused_until)

    def _left(self, mine: float) -> float:
        with self._lock:
            return max(mine, self._paused_until) - self._clock()
