"""Quarantine: growing pauses for syncs that nobody asked for, and every way out of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from o365_etl.errors import ConfigError
from o365_etl.graph import aadsts
from o365_etl.graph.model import TenantTarget
from o365_etl.pipeline import changing, microsoft, planning, publishing, quarantining, relating, reporting
from o365_etl.simulator import Estate, Fault
from tests.conftest import World

Start = Callable[..., World]
MORNING = datetime(2026, 1, 2, 6, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


def tick(world: World, hour: float, **more: bool) -> microsoft.Certified:
    """A sync that nobody asked for, so many hours after the first; up to the published copy, without IT Glue."""
    workspace, at, run_id = world.workspace, MORNING + hour * HOUR, f"tick-{hour}"
    with workspace.writing(run_id, "schedule", wait_seconds=5):
        plan = planning.plan_shards(workspace, **{"respect_pauses": True} | more, at=at)
        results = [r for shard in plan.shards for r in microsoft.read_shard(workspace, shard, run_id)]
        done = microsoft.certify(workspace, run_id, plan, results)
        for stage in (relating.match_organizations, relating.match_contacts, relating.compare, relating.remember):
            stage(workspace)
        changing.plan_changes(workspace, run_id)
        publishing.publish(workspace, run_id)
    return done


def asked(world: World, tenant_id: str) -> int:
    """How often the tenant was signed in to since the last look."""
    count = world.simulator.count("login", tenant_id)
    world.simulator.reset_log()
    return count


def row(world: World, tenant_id: str) -> tuple[object, ...]:
    (found,) = world.rows(
        f"SELECT status, error_code, failing_since, next_try_at FROM sync.tenants WHERE tenant_id = '{tenant_id}'"
    )
    return found


def test_pauses_double_up_to_a_day() -> None:
    """Two failures are free; whatever their number, the pause has an end."""
    hours = [quarantining.pause_after(failures) / HOUR for failures in range(1, 10)]
    assert hours == [0, 0, 2, 4, 8, 16, 24, 24, 24]
    assert quarantining.pause_after(100_000) == quarantining.LONGEST_PAUSE


def test_every_refusal_of_the_sign_in_counts() -> None:
    """What only a person can mend in the table of refusals is not forgotten here."""
    # This machine's own clock is wrong for all tenants at once: put right, it must not leave them alone for a day.
    of_tenants = {code for code, _, _ in aadsts._REFUSALS.values()} - {"clock_off"}
    assert of_tenants <= quarantining.MENDED_BY_PEOPLE
    passing = {"transient", "throttled", "bad_answer", "unavailable", "tls", "local", "clock_off"}
    assert not quarantining.MENDED_BY_PEOPLE & passing


def test_a_failing_tenant_is_left_alone_for_longer_and_longer(start: Start, contoso: Estate) -> None:
    """Tried at the hours 0, 1, 2, 4, 8; shown with since-when and the mend; its rows stay; the other goes on."""
    tenant, other = contoso.tenants
    world = start(contoso)
    tick(world, -1)
    tenant.consented = False
    contoso.touch()
    world.simulator.reset_log()
    tries = []
    for hour in range(10):
        done = tick(world, hour)
        tries += [hour] if asked(world, tenant.tenant_id) else []
        status, code, since, next_try = row(world, tenant.tenant_id)
        assert (code, since) == ("not_consented", MORNING)
        assert status == ("not_consented" if tries[-1] == hour else "quarantined")
        assert next_try is None or next_try > MORNING + hour * HOUR
        assert done.failed == 0
        assert row(world, other.tenant_id) == ("ok", None, None, None)

    assert tries == [0, 1, 2, 4, 8]
    assert row(world, tenant.tenant_id)[3] == MORNING + 16 * HOUR
    assert world.rows(f"SELECT is_stale FROM m365.tenants WHERE tenant_id = '{tenant.tenant_id}'") == [(True,)]
    assert world.rows(f"SELECT count(*) FROM m365.users WHERE tenant_id = '{tenant.tenant_id}'") == [(3,)]
    assert world.rows(f"SELECT count(*) FROM match.contacts WHERE tenant_id = '{tenant.tenant_id}'") == [(3,)]
    assert "adminconsent" in str(world.rows("SELECT remedy FROM sync.tenants WHERE status = 'quarantined'"))


def test_whoever_asks_gets_an_answer_and_a_read_ends_it(start: Start, contoso: Estate) -> None:
    """A sync that somebody asked for tries everybody; a tenant that answers again is ok at once, without a trace."""
    tenant = contoso.tenants[0]
    tenant.consented = False
    contoso.touch()
    world = start(contoso)
    for hour in range(3):
        tick(world, hour)
    assert [r["tenant_id"] for r in reporting.status(world.workspace)["quarantine"]] == []
    assert len(world.workspace.state.quarantine.paused(MORNING + 3 * HOUR)) == 1
    world.simulator.reset_log()
    tick(world, 3)
    assert asked(world, tenant.tenant_id) == 0
    tick(world, 3.1, respect_pauses=False)
    assert asked(world, tenant.tenant_id) > 0
    tenant.consented = True
    contoso.touch()
    tick(world, 3.2, respect_pauses=False, only_failed=True)

    assert row(world, tenant.tenant_id) == ("ok", None, None, None)
    assert world.workspace.state.quarantine.rows() == []


def test_a_release_brings_it_back_at_once(start: Start, contoso: Estate) -> None:
    """What `doctor` says counts: the next sync tries it. Failing again, it has failed since the first time."""
    tenant = contoso.tenants[0]
    tenant.consented = False
    contoso.touch()
    world = start(contoso)
    for hour in range(3):
        tick(world, hour)
    world.simulator.reset_log()
    assert world.workspace.state.quarantine.release(tenant.tenant_id)
    tick(world, 3)
    assert asked(world, tenant.tenant_id) > 0
    assert row(world, tenant.tenant_id)[2:] == (MORNING, None)
    tick(world, 4)
    assert asked(world, tenant.tenant_id) > 0, "it is counted from the start"


@pytest.mark.parametrize(
    ("key", "value"), [("client_secret", "another-secret"), ("client_id", "0f000000-0000-4000-8000-00000000000f")]
)
def test_another_credential_brings_it_back_at_once(start: Start, contoso: Estate, key: str, value: str) -> None:
    """The secret behind the reference, or the application, is another one: what failed may work now."""
    world = start(contoso)
    workspace = world.workspace
    (connection,) = [c for c in workspace.settings.connections if c.kind == "partner"]
    target = TenantTarget(tenant_id=contoso.tenants[0].tenant_id, connection=connection.name, kind="partner")
    refused = microsoft.TenantResult(target=target, status="failed", error_code="secret_expired", remedy="Renew it.")
    for hour in range(3):
        quarantining.note(workspace, [refused], [], MORNING + hour * HOUR)
    later = MORNING + 3 * HOUR
    assert quarantining.left_alone(workspace, [target], later) == {target.tenant_id}
    if key == "client_secret":
        secret = world.folder / "another.secret"
        secret.write_text(value, encoding="utf-8")
        world.configure("")
        text = world.config.read_text(encoding="utf-8")
        old = next(line for line in text.splitlines() if line.startswith("client_secret"))
        world.config.write_text(text.replace(old, f'client_secret = {{ file = "{secret}" }}', 1), encoding="utf-8")
    else:
        text = world.config.read_text(encoding="utf-8")
        world.config.write_text(text.replace(connection.client_id, value), encoding="utf-8")

    assert quarantining.left_alone(world.workspace, [target], later) == set()
    assert value not in str(world.workspace.state.quarantine.rows())


def test_what_may_pass_by_itself_never_counts(start: Start, contoso: Estate) -> None:
    """A server that has no time is asked every hour; nothing is written down about it."""
    tenant = contoso.tenants[0]
    world = start(contoso)
    world.add_fault(Fault("graph", "throttle", tenant.tenant_id, "/organization", retry_after="0"))
    for hour in range(4):
        tick(world, hour)
        assert asked(world, tenant.tenant_id) > 0
        assert row(world, tenant.tenant_id)[0] == "failed"
    assert row(world, tenant.tenant_id)[2:] == (None, None)
    assert world.workspace.state.quarantine.rows() == []


def test_other_tenants_connections_and_exclusions_end_it(start: Start, contoso: Estate) -> None:
    """Who is excluded, or whose connection is gone, is nobody's worry any more."""
    tenant = contoso.tenants[0]
    tenant.consented = False
    contoso.touch()
    world = start(contoso)
    gone = TenantTarget(tenant_id="gone", connection="removed", kind="partner")
    store = world.workspace.state.quarantine
    tick(world, 0)
    (known,) = store.rows()
    store.note([known | {"tenant_id": gone.tenant_id, "connection": gone.connection}])
    world.configure(f'[selection]\nexclude_tenants = ["{tenant.tenant_id}"]')
    tick(world, 1)
    assert store.rows() == []


def test_everybody_may_be_in_quarantine(start: Start, contoso: Estate) -> None:
    """A sync with nobody to read is a sync: nothing is lost and nothing concluded."""
    for tenant in contoso.tenants:
        tenant.consented = False
    contoso.touch()
    world = start(contoso)
    for hour in range(4):
        done = tick(world, hour)
    assert done.statuses == {"quarantined": 2}
    assert (done.read, done.failed) == (0, 0)


def test_a_paused_connection_is_not_asked(start: Start, contoso: Estate) -> None:
    """Its tenants keep their rows, stale, and are not concluded gone; whoever names one is told."""
    world = start(contoso)
    world.sync()
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace('kind = "partner"', 'kind = "partner"\npaused = true'), encoding="utf-8")
    world.simulator.reset_log()
    done = world.sync()

    assert (done.read, done.failed, done.statuses) == (0, 0, {})
    assert world.simulator.count("graph") == world.simulator.count("login") == 0
    assert world.rows("SELECT DISTINCT status, is_stale FROM sync.tenants JOIN m365.tenants USING (tenant_id)") == [
        ("ok", True)
    ]
    assert world.rows("SELECT count(*) FROM sync.changes WHERE action = 'deactivate'") == [(0,)]
    with pytest.raises(ConfigError, match="is paused"):
        world.sync(("Contoso",))
