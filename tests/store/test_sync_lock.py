"""The lock: one sync at a time, and the others know who holds it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from o365_etl.errors import BusyError
from o365_etl.store.lock import Holder, SyncLock

Start = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import sys
from pathlib import Path
from o365_etl.store.lock import SyncLock
with SyncLock(Path(sys.argv[1])).hold("run-1", "schedule", 0):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(data_dir: Path, child: Start) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is told to go."""
    process = child(HOLD, data_dir)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(data_dir: Path, holder: subprocess.Popen[str]) -> None:
    """Who will not wait gets a `BusyError` that names run, trigger, process and time of the holder."""
    lock = SyncLock(data_dir)
    seen = lock.holder()

    assert seen is not None
    assert (seen.run_id, seen.trigger, seen.pid) == ("run-1", "schedule", holder.pid)
    with pytest.raises(BusyError) as caught, lock.hold("run-2", "manual", 0):
        pytest.fail("two syncs hold the lock")
    assert seen.sentence in caught.value.message
    assert f"the sync run-1 (schedule, process {holder.pid} on " in caught.value.message
    assert f"{seen.since:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message


def test_the_second_waits_its_turn(data_dir: Path, holder: subprocess.Popen[str]) -> None:
    """Who waits is told once for whom, gets the lock when it is free, and is then named as its holder."""
    waited_for: list[Holder] = []

    def let_go(seen: Holder) -> None:
        waited_for.append(seen)
        assert holder.stdin is not None
        holder.stdin.write("go\n")
        holder.stdin.flush()

    lock = SyncLock(data_dir)
    with lock.hold("run-2", "manual", 30, on_wait=let_go):
        now = SyncLock(data_dir).holder()

    assert [seen.run_id for seen in waited_for] == ["run-1"]
    assert now is not None
    assert now.run_id == "run-2"
    assert lock.holder() is None


def test_a_killed_holder_holds_nothing(data_dir: Path, holder: subprocess.Popen[str]) -> None:
    """The name plate of a process that was killed is ignored."""
    holder.kill()
    holder.wait()

    assert (data_dir / "sync.lock.json").is_file()
    assert SyncLock(data_dir).holder() is None
    with SyncLock(data_dir).hold("run-2", "manual", 0):
        pass
    assert not (data_dir / "sync.lock.json").exists()


def test_an_unreadable_plate_does_not_hide_the_lock(data_dir: Path, holder: subprocess.Popen[str]) -> None:
    """Where the plate cannot be read, the lock still holds and the message says so without a name."""
    (data_dir / "sync.lock.json").write_bytes(b"{")

    with pytest.raises(BusyError, match="another sync holds the lock"), SyncLock(data_dir).hold("r", "manual", 0):
        pytest.fail("two syncs hold the lock")


def test_an_error_lets_go(data_dir: Path) -> None:
    """The lock ends with its block, also when that fails; and nobody is waited for when it is free."""
    with pytest.raises(ZeroDivisionError), SyncLock(data_dir).hold("r1", "manual", 0, on_wait=pytest.fail):
        raise ZeroDivisionError
    with SyncLock(data_dir).hold("r2", "manual", 0, on_wait=pytest.fail):
        assert oct((data_dir / "sync.lock").stat().st_mode & 0o777) == "0o600"
        assert oct((data_dir / "sync.lock.json").stat().st_mode & 0o777) == "0o600"
