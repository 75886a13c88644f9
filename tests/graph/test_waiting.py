"""Waits: how long a server asks for, gates, and the order in which tasks run."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.graph.scheduling import Pool, Step
from o365_etl.graph.waiting import Clock, Gate, backoff, jitter, retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("2.128", 2.128), ("0.249", 0.249), (" 3 ", 3.0), ("0", 0.0), ("-5", 0.0), ("1e2", 100.0)],
)
def test_numbers(text: str, seconds: float) -> None:
    """Integers and decimals are seconds."""
    assert retry_after({"Retry-After": text}) == seconds


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "Wed, 99 Foo 2026", "2026-01-01"])
def test_nonsense_is_no_wait(text: str) -> None:
    """What is no wait is as if it were absent, so that the own backoff applies."""
    assert retry_after({"retry-after": text}) is None
    assert retry_after({}) is None


def test_dates() -> None:
    """An HTTP date is the time until then; one in the past is no wait at all."""
    future, past = (format_datetime(datetime.now(UTC) + timedelta(seconds=s), usegmt=True) for s in (90, -90))

    assert 85 < (retry_after({"Retry-After": future}) or 0) <= 90
    assert retry_after({"Retry-After": past}) == 0


@given(text=st.text(max_size=40))
def test_any_text_is_survived(text: str) -> None:
    """Whatever stands in the header, the answer is None or a number of seconds that is not negative."""
    seconds = retry_after({"Retry-After": text})

    assert seconds is None or 0 <= seconds < float("inf")


@given(attempt=st.integers(1, 5), seconds=st.floats(0, 1000))
def test_waits_grow_and_are_never_shortened(attempt: int, seconds: float) -> None:
    """Backoff doubles within its jitter, and a server's own wait is only ever lengthened."""
    assert 0.8 * 2 ** (attempt - 1) <= backoff(attempt) <= 1.2 * 2 ** (attempt - 1)
    assert seconds <= jitter(seconds) <= seconds + 0.25


def test_the_longest_closure_of_a_gate_holds() -> None:
    """A short wait asked for later does not open a gate that a long one keeps shut."""
    gate = Gate(Clock(0.001))
    gate.close(1000)
    gate.close(1)

    assert gate.remaining > 900


def test_a_stopped_clock_waits_no_more() -> None:
    """Once stopped, neither sleeps nor gates hold anybody."""
    clock = Clock()
    gate = Gate(clock)
    gate.close(3600)
    clock.stop()

    clock.sleep(3600)
    gate.pass_through()

    assert clock.stopped


def test_a_clock_cannot_run_backwards() -> None:
    """A scale of zero or less is a mistake."""
    with pytest.raises(ValueError, match="positive"):
        Clock(0)


def test_long_ways_first() -> None:
    """Of what is waiting, the step with the longest way to go runs first; within a step the order is kept."""
    ran: list[str] = []
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait()

    with Pool(1) as pool:
        pool.submit(Step.LEAF, block)
        begun.wait()
        for step, name in (
            (Step.LEAF, "d"),
            (Step.MAILBOXES, "c"),
            (Step.OPEN, "a"),
            (Step.LISTS, "b1"),
            (Step.LISTS, "b2"),
        ):
            pool.submit(step, lambda name=name: ran.append(name))  # type: ignore[misc]  # mypy cannot infer a default
        pool.submit(Step.LEAF, done.set)
        go.set()
        done.wait()

    assert ran == ["a", "b1", "b2", "c", "d"]


def test_a_pool_that_ended_takes_nothing() -> None:
    """What is submitted after the end is dropped, and the threads are gone."""
    pool = Pool(2)
    with pool:
        pass
    pool.submit(Step.OPEN, pytest.fail)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("graph-")]
