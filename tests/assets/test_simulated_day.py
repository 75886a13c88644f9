"""One day with nobody watching: the schedule's own ticks as real runs; a tenant fails, another one stumbles.

Hours that are like the one before them are left out; every run is a whole sync.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.definitions import defs
from o365_etl.cli.running import prepare_home
from o365_etl.simulator import Estate, Fault, SimTenant, SimUser
from tests.conftest import World
from tests.receiver import NOT_OURS, Receiver, listen

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = (5, 6, 7, 8, 9, 10, 14)


@NOT_OURS
def test_a_day(start: Callable[..., World], contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent is taken back at six and given again at noon; another tenant stumbles at nine.

    The failing one is asked at 6, 7, 8 and 10, and found well at 14; the other misses one hour. People are told of the
    plan that a brake holds, of the failing one, and that it is back: three messages that day.
    """
    failing, stumbling = contoso.tenants
    contoso.tenants.append(SimTenant("Always There", users=[SimUser.person("Eve", "Gray", "alwaysthere.example")]))
    contoso.touch()
    world = start(contoso)
    receiver = Receiver()
    receiver.start()
    world.configure('[schedule]\ncron = "7 * * * *"\n' + listen(world.folder, receiver.address))
    monkeypatch.setenv("O365_ETL_CONFIG", str(world.config))
    loaded = defs()
    schedule, job = loaded.resolve_schedule_def("scheduled_sync"), loaded.resolve_job_def("sync")
    asked: dict[str, list[int]] = {failing.tenant_id: [], stumbling.tenant_id: []}
    told: dict[int, list[str]] = {}
    seen: dict[str, dict[int, str]] = {failing.tenant_id: {}, stumbling.tenant_id: {}}
    since: set[object] = set()

    def sync(hour: int, instance: dg.DagsterInstance, memory: dg.DagsterInstance) -> None:
        tick = MIDNIGHT + timedelta(hours=hour, minutes=7)
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=tick) as context:
            (request,) = schedule.evaluate_tick(context).run_requests or []
        # While that run is on its way the clock strikes again: nothing is doubled.
        coming = instance.create_run_for_job(job, tags={}, status=dg.DagsterRunStatus.STARTING)
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=tick) as context:
            again = schedule.evaluate_tick(context)
        assert (again.run_requests, coming.run_id in str(again.skip_message)) == ([], True)
        instance.delete_run(coming.run_id)
        world.simulator.reset_log()
        assert job.execute_in_process(instance=memory, run_config=request.run_config, tags=request.tags).success
        told[hour] = receiver.titles[sum(map(len, told.values())) :]
        for tenant_id, hours in asked.items():
            hours += [hour] if world.simulator.count("login", tenant_id) else []
            ((status, failing_since),) = world.rows(
                f"SELECT status, failing_since FROM sync.tenants WHERE tenant_id = '{tenant_id}'"
            )
            seen[tenant_id][hour] = status
            if tenant_id == failing.tenant_id:
                since.add(failing_since)

    # What runs is kept in memory: a day's events on a slow disk take minutes.
    home = str(prepare_home(world.settings))
    with dg.DagsterInstance.from_config(home) as instance, dg.DagsterInstance.ephemeral() as memory:
        for hour in HOURS:
            if hour in (6, 14):
                failing.consented = hour == 14
                contoso.touch(failing.tenant_id)
            if hour == 9:
                world.add_fault(Fault("graph", "throttle", stumbling.tenant_id, "/organization", retry_after="0"))
            sync(hour, instance, memory)
            world.heal()
        runs = memory.get_runs()
    receiver.stop()

    assert asked[failing.tenant_id] == [5, 6, 7, 8, 10, 14]
    expected = dict.fromkeys((6, 7, 8, 10), "not_consented") | {9: "quarantined"}
    assert seen[failing.tenant_id] == expected | dict.fromkeys((5, 14), "ok")
    assert since == {None, MIDNIGHT + timedelta(hours=6, minutes=7)}
    assert asked[stumbling.tenant_id] == list(HOURS)
    assert seen[stumbling.tenant_id] == dict.fromkeys(HOURS, "ok") | {9: "failed"}
    assert world.workspace.state.quarantine.rows() == []
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * len(HOURS)
    assert {(run["trigger"], run["status"]) for run in world.workspace.state.runs()} == {("schedule", "ok")}
    assert world.rows("SELECT count(*) FROM m365.users") == [(5,)]
    assert {hour: titles for hour, titles in told.items() if titles} == {
        5: ["o365_etl: a brake holds a plan"],
        6: ["o365_etl: a tenant waits for consent"],
        14: ["o365_etl: a tenant is connected"],
    }
