"""What is landed but does not count, and streams that are deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from o365_etl.receipts import Receipt
from o365_etl.store.landing import LandingZone

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def land(zone: LandingZone, stream: str, *bodies: tuple[bytes, bool]) -> Receipt:
    """A certified read."""
    writer = zone.writer("tenant", stream, "read")
    for body, counts in bodies:
        writer.write("part", body, counts=counts)
    return writer.commit(
        Receipt(source="tenant", stream=stream, read_id="read", state="ok", started_at=NOW, ended_at=NOW)
    )


def test_an_answer_that_does_not_count_is_landed_all_the_same(tmp_path: Path) -> None:
    """It is read back, and the digest is the same without it."""
    zone = LandingZone(tmp_path)
    with_it = land(zone, "one", (b'{"a":1}', True), (b'{"b":1}', False))
    without = land(zone, "two", (b'{"a":1}', True))
    other = land(zone, "three", (b'{"a":1}', True), (b'{"b":1}', True))

    assert zone.parts("tenant", "one", "part") == [b'{"a":1}', b'{"b":1}']
    assert with_it.digest == without.digest != other.digest


def test_a_stream_is_deleted_and_its_neighbours_stay(tmp_path: Path) -> None:
    """Receipt, failed attempt and answers; a stream whose name begins the same is another one."""
    zone = LandingZone(tmp_path)
    land(zone, "users", (b"{}", True))
    land(zone, "users_changes", (b"{}", True))
    zone.writer("tenant", "users", "later").commit(
        Receipt(source="tenant", stream="users", read_id="later", state="failed", started_at=NOW, ended_at=NOW)
    )

    zone.discard("tenant", "users")
    zone.discard("tenant", "users")
    zone.discard("nobody", "users")

    assert zone.receipt("tenant", "users") is None
    assert zone.last_attempt("tenant", "users") is None
    assert zone.parts("tenant", "users_changes", "part") == [b"{}"]
    assert sorted(path.name for path in (tmp_path / "tenant").iterdir()) == [
        "users_changes.read.jsonl.zst",
        "users_changes.receipt.json",
    ]
