"""The request rate: never above what IT Glue publishes, at full speed for a small account."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from o365_etl.itglue.rate import RateLimit


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def bucket(rate: float = 9.0, burst: int = 100) -> tuple[RateLimit, Time]:
    time = Time()
    return RateLimit(rate, burst, clock=lambda: time.now, sleep=time.sleep), time


def test_a_small_account_is_read_at_once() -> None:
    """The first requests up to the burst wait for nothing, the next one does."""
    limit, time = bucket(burst=100)

    assert [limit.wait() for _ in range(100)] == [0.0] * 100
    assert limit.wait() > 0
    assert time.now > 1000.0


@given(idle=st.lists(st.floats(0, 400), max_size=40), chunk=st.integers(1, 400))
def test_no_window_holds_more_than_published(idle: list[float], chunk: int) -> None:
    """However requests come, no 300 seconds hold more than 3,000 of them."""
    limit, time = bucket()
    sent = []
    for pause in [0.0, *idle]:
        time.now += pause
        for _ in range(chunk):
            limit.wait()
            sent.append(time.now)

    for first, second in zip(sent, sent[2999:], strict=False):
        assert second - first > 300


def test_after_a_pause_requests_come_evenly() -> None:
    """A pause holds everybody back, and uses up the burst: the server has counted more than we have."""
    limit, time = bucket(rate=10.0)
    limit.wait()
    limit.pause(60)
    start = time.now
    times = []
    for _ in range(5):
        limit.wait()
        times.append(round(time.now - start, 6))

    assert times == [60.0, 60.1, 60.2, 60.3, 60.4]
