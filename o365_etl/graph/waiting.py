"""Everything that waits: the clock, the gate a throttled tenant stands behind, and how long a server asks us to wait.

What does not live here: the decision whether to try again (`transport`).
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 120.0
"""Seconds one request may spend waiting in all before its stream gives up."""


class Clock:
    """The one place that sleeps. `scale` shortens every wait: tests pass 0.01 and need not patch anything."""

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError("scale must be positive")
        self._scale = scale
        self._stopped = threading.Event()

    def now(self) -> float:
        """Seconds since some fixed moment, in the same measure as `sleep`."""
        return time.monotonic() / self._scale

    def sleep(self, seconds: float) -> None:
        """Wait, or return at once if the clock is stopped."""
        if seconds > 0:
            self._stopped.wait(seconds * self._scale)

    def stop(self) -> None:
        """End all waits, now and later: the program is asked to end."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called."""
        return self._stopped.is_set()


class Gate:
    """Holds back all threads of one tenant (or of all tenants) until the server is ready again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at = -math.inf

    def close(self, seconds: float) -> None:
        """Keep everybody out for `seconds` from now; a longer closure in force stays."""
        with self._lock:
            self._opens_at = max(self._opens_at, self._clock.now() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds until it opens; 0 if it is open."""
        return max(0.0, self._opens_at - self._clock.now())

    def pass_through(self) -> float:
        """Wait until it is open and return the seconds waited."""
        waited = 0.0
        while (seconds := self.remaining) > 0 and not self._clock.stopped:
            self._clock.sleep(seconds)
            waited += seconds
        return waited


def backoff(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1) if the server named none: 1, 2, 4 …, jittered."""
    return float(2 ** (attempt - 1)) * random.uniform(0.8, 1.2)


def jitter(seconds: float) -> float:
    """The same wait or a little longer, so that threads do not come back in step. Never shorter."""
    return seconds + random.uniform(0.0, 0.25)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by `Retry-After`: integer, decimal (`2.128`) or HTTP date; None if absent or nonsense."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _until(text)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
