"""Requests: asked for once, taken up once, cancelled in time, shown among the syncs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from o365_etl.store.state import StateStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=10), NOW + timedelta(minutes=60)


def queue(state: StateStore, due_at: datetime = LATER, **more: Any) -> str:
    return state.requests.queue(**{"trigger": "queue", "who": "lead", "at": NOW} | more, due_at=due_at)


def test_a_request_becomes_due_at_its_time(state: StateStore) -> None:
    """Not before it, from then on; the soonest first; every column is kept."""
    later = queue(state)
    soon = queue(state, SOON, tenants=["contoso.example"], only_failed=True)

    assert [row["request_id"] for row in state.requests.open()] == [soon, later]
    assert state.requests.due(SOON - timedelta(seconds=1)) == []
    assert [row["request_id"] for row in state.requests.due(SOON)] == [soon]
    assert [row["request_id"] for row in state.requests.due(LATER)] == [soon, later]
    assert state.requests.open()[0] == {
        "request_id": soon,
        "queued_at": NOW,
        "due_at": SOON,
        "who": "lead",
        "trigger": "queue",
        "tenants": ["contoso.example"],
        "only_failed": True,
        "state": "queued",
        "run_id": None,
        "closed_at": None,
    }


def test_an_equal_request_is_not_doubled_and_becomes_due_sooner(state: StateStore) -> None:
    """The order and the case of tenants say nothing; the sooner time holds, whoever came with it."""
    first = queue(state, tenants=["b.example", "a.example"])
    assert queue(state, SOON, tenants=["A.example", "b.example", "b.example "]) == first
    assert queue(state, LATER + timedelta(days=1), tenants=["a.example", "b.example"]) == first

    (row,) = state.requests.open()
    assert row["due_at"] == SOON


def test_what_differs_is_another_request(state: StateStore) -> None:
    """Other tenants, all tenants, only the failed ones: each is its own."""
    asked: list[dict[str, Any]] = [{}, {"tenants": ["a"]}, {"tenants": ["a", "b"]}, {"only_failed": True}]
    assert len({queue(state, **each) for each in asked}) == len(asked)


def test_the_same_id_twice_is_one_request(state: StateStore) -> None:
    """Also when it was answered in the meantime: a form that is sent twice starts one sync."""
    assert queue(state, request_id="form-1") == "form-1"
    assert state.requests.take_up("form-1", "run-1")
    assert queue(state, request_id="form-1", tenants=["other"]) == "form-1"

    assert state.requests.open() == []


def test_what_was_taken_up_can_be_asked_for_again(state: StateStore) -> None:
    """A sync that runs already may have read what changed since."""
    first = queue(state)
    state.requests.take_up(first, "run-1")
    assert queue(state) != first


def test_only_one_taker_wins(state: StateStore) -> None:
    """A request is the business of one run, and is closed with that run."""
    request_id = queue(state)
    assert [state.requests.take_up(request_id, run_id) for run_id in ("run-1", "run-2", "run-1")] == [
        True,
        False,
        False,
    ]
    state.requests.finish("run-2", SOON)
    assert (state.requests.find(request_id) or {})["state"] == "started"
    state.requests.finish("run-1", SOON)
    state.requests.finish("run-1", LATER)

    row = state.requests.find(request_id) or {}
    assert (row["state"], row["run_id"], row["closed_at"]) == ("done", "run-1", SOON)


def test_many_takers_and_askers_at_once(state: StateStore) -> None:
    """Processes do not see each other: the database decides."""
    with ThreadPoolExecutor(8) as pool:
        asked = set(pool.map(lambda _: queue(state), range(16)))
        (request_id,) = asked
        taken = list(pool.map(lambda n: state.requests.take_up(request_id, f"run-{n}"), range(16)))
    assert taken.count(True) == 1


def test_cancelled_in_time_or_not_at_all(state: StateStore) -> None:
    """What was taken back is never due; what runs, ran or never was cannot be taken back."""
    request_id = queue(state, SOON)
    assert state.requests.cancel(request_id, NOW)
    assert not state.requests.cancel(request_id, NOW)
    assert state.requests.due(LATER) == []
    assert not state.requests.take_up(request_id, "run-1")

    running = queue(state)
    state.requests.take_up(running, "run-2")
    assert not state.requests.cancel(running, NOW)
    assert not state.requests.cancel("never-was", NOW)
    assert state.requests.find("never-was") is None


def test_what_is_queued_stands_among_the_syncs(state: StateStore) -> None:
    """A row of status queued under the request's id, on top of the latest runs; gone once a run took it up."""
    state.start_run("run-1", "manual", NOW)
    request_id = queue(state)
    expected = {"run_id": request_id, "trigger": "queue", "started_at": None, "ended_at": None, "status": "queued"}
    expected |= {"tenants_ok": None, "tenants_failed": None, "counts": {}}
    assert state.runs(limit=1) == [expected, state.run("run-1")]
    assert state.runs_table().to_pylist()[1] == expected | {"counts": "{}"}

    state.requests.take_up(request_id, "run-1")
    assert [run["run_id"] for run in state.runs()] == ["run-1"]
    assert state.runs_table().num_rows == 1


def test_old_closed_requests_are_pruned(state: StateStore) -> None:
    """With the syncs they led to; what is still queued stays."""
    done, open_one = queue(state), queue(state, tenants=["a"])
    state.requests.take_up(done, "run-1")
    state.requests.finish("run-1", NOW)
    state.prune(LATER)
    assert state.requests.find(done) is None
    assert [row["request_id"] for row in state.requests.open()] == [open_one]


def test_another_process_sees_it(place: str, state: StateStore, run: Callable[..., str]) -> None:
    """The command line asks, the daemon answers: they share nothing but the database."""
    program = (
        "import sys; from datetime import UTC, datetime; from o365_etl.store.state import StateStore;"
        "at = datetime(2026, 1, 2, tzinfo=UTC);"
        "print(StateStore(sys.argv[1]).requests.queue(trigger='queue', who='x', at=at, due_at=at))"
    )
    request_id = run(program, place)
    assert [row["request_id"] for row in state.requests.due(NOW)] == [request_id]
