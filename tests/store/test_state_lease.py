"""The lease: who may write where several machines share the state store."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from o365_etl.errors import BusyError
from o365_etl.store import state_lease, state_schema
from o365_etl.store.lock import Holder, SyncLock
from o365_etl.store.state import StateStore


def run(name: str, host: str = "elsewhere") -> Holder:
    return Holder(name, "schedule", 7, host)


def age(place: str, seconds: float) -> None:
    """Let the lease be renewed so long ago."""
    with sa.create_engine(place, poolclass=sa.pool.NullPool).begin() as connection:
        at = datetime.now(UTC) - timedelta(seconds=seconds)
        connection.execute(sa.update(state_schema.leases).values(renewed_at=at))


def rob(state: StateStore) -> None:
    """Give the lease of r1 to another run, and wait until who renewed it has noticed."""
    state.lease.give_back("r1")
    state.lease.take(run("r2"))
    assert _soon(lambda: not any(thread.name == "lease" for thread in threading.enumerate()))


def test_a_lease_is_one_runs(state: StateStore) -> None:
    """Another run is told who has it; the same run may enter again; given back it is free."""
    lease = state.lease
    assert lease.holder() is None
    assert lease.take(run("r1")) is None
    other = lease.take(run("r2"))
    assert other is not None
    assert (other.run_id, other.trigger, other.pid, other.host) == ("r1", "schedule", 7, "elsewhere")
    assert "the sync r1 (schedule, process 7 on elsewhere) holds the lock since 2" in other.sentence
    assert lease.take(run("r1", host="a worker")) is None

    lease.give_back("r2")
    assert lease.holder() is not None
    lease.give_back("r1")
    assert lease.holder() is None
    assert lease.take(run("r2")) is None


def test_a_run_that_died_loses_it(place: str, state: StateStore) -> None:
    """What nobody renews is free after a while; its late steps are refused."""
    lease = state.lease
    lease.take(run("r1"))
    age(place, state_lease.LEASE_SECONDS - 30)
    assert lease.take(run("r2")) is not None
    age(place, state_lease.LEASE_SECONDS + 30)
    assert lease.holder() is None
    assert lease.take(run("r2")) is None
    assert not lease.renew("r1")
    with pytest.raises(BusyError, match="the run r1 has no right to write"), lease.keep("r1"):
        pytest.fail("a run without the lease works")


def test_a_server_that_was_away_takes_nobodys_lease(place: str, state: StateStore) -> None:
    """A run that could not renew it in time keeps it if nobody else has taken it."""
    state.lease.take(run("r1"))
    age(place, state_lease.LEASE_SECONDS + 30)
    with state.lease.keep("r1"):
        pass
    assert state.lease.holder() is not None


def test_who_works_renews(place: str, state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as it works, and it is told at the end if the lease was lost meanwhile."""
    monkeypatch.setattr(state_lease, "RENEW_SECONDS", 0.02)
    state.lease.take(run("r1"))
    with state.lease.keep("r1"):
        age(place, state_lease.LEASE_SECONDS + 30)
        assert _soon(lambda: state.lease.holder() is not None)

    with pytest.raises(BusyError), state.lease.keep("r1"):
        rob(state)


TAKE = """
import sys
from o365_etl.store.lock import Holder
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
state.lease.holder()
print("ready", flush=True)
sys.stdin.readline()
print(state.lease.take(Holder(sys.argv[2], "manual", 1, "here")) is None)
"""


def test_of_many_at_once_one_gets_it(place: str, child: Callable[..., subprocess.Popen[str]]) -> None:
    """Processes that ask at the same moment."""
    StateStore(place).lease.holder()
    children = [child(TAKE, place, f"r{number}") for number in range(4)]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=60)[0].strip() for process in children) == ["False"] * 3 + ["True"]


def test_the_lock_waits_for_the_lease(tmp_path: Path, state: StateStore) -> None:
    """Another machine has its own lock file: there the lease keeps two syncs apart, and says who is at work."""
    lease = state.lease
    here, there = SyncLock(tmp_path / "here", lease), SyncLock(tmp_path / "there", lease)
    with here.hold("r1", "schedule", 0):
        for seen in (there.holder(), there.plate(), here.holder()):
            assert seen is not None
            assert seen.run_id == "r1"
        with pytest.raises(BusyError, match=r"the sync r1 \(schedule"), there.hold("r2", "manual", 0):
            pytest.fail("two syncs write")

    waited_for: list[str] = []

    def let_go(holder: Holder) -> None:
        waited_for.append(holder.run_id)
        lease.give_back("r3")

    lease.take(run("r3"))
    with there.hold("r2", "manual", 30, on_wait=let_go):
        assert waited_for == ["r3"]
    assert lease.holder() is None
    assert there.holder() is None
    assert there.plate() == Holder()


def test_a_lock_whose_lease_was_lost_says_so(
    tmp_path: Path, state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of its block, and without ending the other run's lease."""
    monkeypatch.setattr(state_lease, "RENEW_SECONDS", 0.02)
    with pytest.raises(BusyError), SyncLock(tmp_path, state.lease).hold("r1", "schedule", 0):
        rob(state)
    holder = state.lease.holder()
    assert holder is not None
    assert holder.run_id == "r2"


def _soon(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        threading.Event().wait(0.02)
    return False
