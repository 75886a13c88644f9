"""A shared folder that fills up in the middle of a sync: a clear end, nothing lost, and the next sync heals."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from o365_etl.errors import LocalError
from o365_etl.pipeline import microsoft, planning, publishing
from o365_etl.simulator import Estate
from o365_etl.tables import TABLES
from tests.conftest import World

Start = Callable[..., World]
COUNTS = " UNION ALL ".join(
    f"SELECT '{name}' AS name, count(*) AS rows FROM {TABLES[name].full_name}"
    for name in TABLES
    if name not in ("sync.runs", "sync.log")
)


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: to the program the same as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def read(world: World, *, room: AbstractContextManager[None]) -> microsoft.Certified:
    """All tenants, read and loaded within `writing`; `room` holds while they are read."""
    plan = planning.plan_shards(world.workspace)
    with room:
        results = [r for shard in plan.shards for r in microsoft.read_shard(world.workspace, shard, "run-full")]
    return microsoft.certify(world.workspace, "run-full", plan, results)


def test_no_room_for_the_answers(start: Start, contoso: Estate) -> None:
    """The tenants say so, with the mend; what is known of them stays; the next sync is as if nothing had been."""
    world = start(contoso)
    world.sync()
    before = world.rows(COUNTS)
    workspace = world.workspace
    with workspace.writing("run-full", "test", wait_seconds=5):
        done = read(world, room=no_room(100))
        publishing.publish(workspace, "run-full")

    assert done.statuses == {"failed": len(contoso.tenants)}
    told = world.rows("SELECT DISTINCT error_code, remedy FROM sync.tenants")
    assert told == [("disk_full", "Free disk space, then run again.")]
    assert world.rows("SELECT DISTINCT is_stale FROM m365.tenants") == [(True,)]
    assert world.rows(COUNTS) == before

    assert world.sync().statuses == {"ok": len(contoso.tenants)}
    assert world.rows(COUNTS) == before
    assert world.rows("SELECT DISTINCT is_stale FROM m365.tenants") == [(False,)]


def test_no_room_for_the_published_copy(start: Start, contoso: Estate) -> None:
    """The copy of before stays, the run is failed, and nothing of the attempt is left."""
    world = start(contoso)
    world.sync()
    before = world.rows(COUNTS)
    workspace = world.workspace
    with workspace.writing("run-full", "test", wait_seconds=5):
        read(world, room=nullcontext())
        with no_room(workspace.published.stat().st_size // 2), pytest.raises(LocalError) as full:
            publishing.publish(workspace, "run-full")

    assert full.value.code == "disk_full"
    assert [run["status"] for run in workspace.state.runs()] == ["failed", "ok"]  # newest first
    assert [path.name for path in workspace.data_dir.glob(f"*{workspace.published.name}*")] == ["o365.duckdb"]
    assert world.rows(COUNTS) == before
    world.sync()
    assert [run["status"] for run in workspace.state.runs()] == ["ok", "failed", "ok"]
