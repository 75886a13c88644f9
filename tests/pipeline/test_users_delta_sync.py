"""A whole sync of a tenant that is read by what changed: tables, freshness, log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from o365_etl.pipeline import microsoft, planning
from o365_etl.simulator import Estate, SimTenant, SimUser
from tests.conftest import World


def read(world: World, run_id: str, *, full: bool = False) -> None:
    """Read and load all tenants."""
    workspace = world.workspace
    with workspace.writing(run_id, "test", wait_seconds=5):
        plan = planning.plan_shards(workspace, full=full)
        results = [r for shard in plan.shards for r in microsoft.read_shard(workspace, shard, run_id)]
        microsoft.certify(workspace, run_id, plan, results)


def loaded(world: World) -> tuple[dict[str, str | None], Any, Any]:
    """Job titles by name, the tenant's time and whether it is stale, what is said of its streams."""
    with world.workspace.tables() as db:
        users = {row[0]: row[1] for row in db.rows("SELECT display_name, job_title FROM m365.users")}
        (tenant,) = db.rows("SELECT as_of, is_stale FROM m365.tenants")
        streams = db.scalar("SELECT streams FROM sync.tenants")
    return users, tenant, streams


def test_tables_follow_the_changes(start: Callable[..., World]) -> None:
    """The change is loaded, the tenant is fresh, a removed user stays and is told of once; a full sync is the truth."""
    users = [SimUser.person(f"Given{n}", "Family", "contoso.example") for n in range(8)]
    world = start(Estate.build([SimTenant("Contoso", users=users)]))
    config = world.config.read_text(encoding="utf-8")
    world.config.write_text(
        config.replace('kind = "partner"', 'kind = "partner"\nusers_delta = true'), encoding="utf-8"
    )
    tenant = world.simulator.estate.tenants[0]
    read(world, "one")
    _, (first, _), _ = loaded(world)
    users[0].job_title = "Head"
    tenant.users = users[:7]
    world.simulator.estate.touch()

    read(world, "two")
    read(world, "three")

    found, (second, is_stale), streams = loaded(world)
    assert (found["Given0 Family"], "Given7 Family" in found, len(found)) == ("Head", True, 8)
    assert second > first
    assert not is_stale
    assert '"reason": "only_changes"' in streams
    assert world.simulator.count("graph", path_prefix="/v1.0/users/delta") == 3
    said = [entry["message"] for entry in world.workspace.state.entries() if entry["stream"] == "users"]
    assert said == ["ok: removed since the last full read: 1 users, kept until the next one."]
    read(world, "four", full=True)
    found, _, streams = loaded(world)
    assert sorted(found) == sorted(user.display_name for user in users[:7] if user.display_name)
    assert "only_changes" not in streams
