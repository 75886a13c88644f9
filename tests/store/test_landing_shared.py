"""The landing zone in a folder that several machines share: a step that was thought lost may still be at work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from o365_etl.receipts import Receipt
from o365_etl.store import disk
from o365_etl.store.landing import LandingWriter, LandingZone

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def receipt(read_id: str = "r1") -> Receipt:
    return Receipt(source="t1", stream="users", read_id=read_id, state="ok", started_at=NOW, ended_at=NOW)


@pytest.fixture
def zone(data_dir: Path) -> LandingZone:
    return LandingZone(data_dir / "landing")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on this is another machine."""
    return lambda name: monkeypatch.setattr(disk.socket, "gethostname", lambda: name)


def begun(zone: LandingZone, content: bytes) -> LandingWriter:
    writer = zone.writer("t1", "users", "r1")
    writer.write("users", content)
    return writer


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_two_readers_of_one_read_do_not_mix(
    zone: LandingZone, machine: Callable[[str], None], first_to_end: int
) -> None:
    """Each commits what it has read; the last to end counts, and what is kept is whole."""
    machine("here")
    writers = [begun(zone, b"[1]")]
    machine("there")
    writers.append(begun(zone, b"[22]"))
    order = [writers[first_to_end], writers[1 - first_to_end]]
    for writer in order:
        writer.commit(receipt())

    assert list(zone.read("t1", "users")) == [("users", b"[22]" if order[1] is writers[1] else b"[1]")]
    machine("here")
    writer = zone.writer("t1", "users", "r2")
    writer.write("users", b"[3]")
    writer.commit(receipt("r2"))
    assert sorted(path.name for path in (zone.root / "t1").iterdir()) == ["users.r2.jsonl.zst", "users.receipt.json"]


def test_a_reader_that_begins_meanwhile_takes_nothing_away(zone: LandingZone, machine: Callable[[str], None]) -> None:
    """A receipt that was read before another reader of the same read has ended still finds its answers."""
    machine("here")
    first = begun(zone, b"[1]")
    machine("there")
    second = begun(zone, b"[22]")
    first.commit(receipt())
    answers = zone.read("t1", "users")
    second.commit(receipt())
    assert list(answers) == [("users", b"[1]")]


WRITE = """
import sys
from pathlib import Path
from o365_etl.store.landing import LandingZone
writer = LandingZone(Path(sys.argv[1])).writer("t1", "users", "r1")
writer.write("users", b"[1]")
print("written", flush=True)
sys.stdin.readline()
"""


def test_of_this_machine_only_the_dead_are_swept_up(
    zone: LandingZone, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """The temporary file of a living process stays; that of a dead one goes."""
    process = child(WRITE, zone.root)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    (of_the_other,) = (zone.root / "t1").glob("*.tmp")
    zone.writer("t1", "users", "r1").abandon()
    assert of_the_other.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    zone.writer("t1", "users", "r1").abandon()
    assert not of_the_other.exists()


def test_of_other_machines_only_the_old_is_swept_up(zone: LandingZone, machine: Callable[[str], None]) -> None:
    """Nobody here knows whether a process there lives; after a day without a touch it does not."""
    machine("there")
    writer = begun(zone, b"[1]")
    (of_the_other,) = (zone.root / "t1").glob("*.tmp")
    machine("here")
    zone.writer("t1", "users", "r2").abandon()
    assert of_the_other.exists()
    old = time.time() - 25 * 3600
    os.utime(of_the_other, (old, old))
    zone.writer("t1", "users", "r2").abandon()
    assert not of_the_other.exists()
    writer.abandon()


def test_what_an_older_version_left_is_swept_up(zone: LandingZone) -> None:
    """Its names told nobody whose they were."""
    zone.writer("t1", "users", "r1").abandon()
    (zone.root / "t1" / ".users.r0.tmp").write_bytes(b"half")
    zone.writer("t1", "users", "r1").abandon()
    assert list((zone.root / "t1").iterdir()) == []
