"""The schedule and the sensors: what they start, what keeps them from it, and what they do without a configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import automation
from assets.definitions import defs
from assets.resources import REQUEST_TAG
from o365_etl.cli.running import prepare_home, run_rematch
from o365_etl.config import load_settings
from o365_etl.pipeline import deciding, queueing
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate
from tests.conftest import World

Start = Callable[..., World]
ROOT = Path(__file__).parents[2]
TICK = datetime(2026, 3, 2, 8, 7, tzinfo=UTC)


@pytest.fixture
def world(start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose configuration is the one in force."""
    made = start(contoso)
    monkeypatch.setenv("O365_ETL_CONFIG", str(made.config))
    return made


@pytest.fixture
def instance(world: World) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(prepare_home(world.settings))) as made:
        yield made


def look(instance: dg.DagsterInstance, name: str = "requested", cursor: str | None = None) -> Any:
    """One evaluation of a sensor, with the whole code location."""
    loaded = defs()
    repository = loaded.get_repository_def()
    with dg.build_sensor_context(instance, cursor=cursor, repository_def=repository) as context:
        return loaded.resolve_sensor_def(name).evaluate_tick(context)


def strike(instance: dg.DagsterInstance) -> Any:
    """One tick of the schedule."""
    schedule = defs().resolve_schedule_def("scheduled_sync")
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=TICK) as context:
        return schedule.evaluate_tick(context)


def execute(instance: dg.DagsterInstance, request: dg.RunRequest, **options: Any) -> dg.ExecuteInProcessResult:
    job = defs().resolve_job_def("sync")
    return job.execute_in_process(instance=instance, run_config=request.run_config, tags=request.tags, **options)


def on_its_way(instance: dg.DagsterInstance, job: str = "sync", **options: Any) -> dg.DagsterRun:
    status = dg.DagsterRunStatus.STARTING
    return instance.create_run_for_job(defs().resolve_job_def(job), **{"status": status, "tags": {}} | options)


def ask(world: World, **more: Any) -> str:
    return str(queueing.queue(world.workspace, trigger="queue", who="lead", **more)["request_id"])


def test_everything_is_on_from_the_start(world: World) -> None:
    """Nobody has to switch anything on; the cron is the installation's own minute."""
    loaded = defs()
    schedule = loaded.resolve_schedule_def("scheduled_sync")
    minute, *rest = str(schedule.cron_schedule).split()
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (int(minute) < 15, rest) == (True, ["*"] * 4)
    for name in ("requested", "decided", "sync_failed"):
        assert loaded.resolve_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING


def test_the_configured_cron_counts_to_the_letter(world: World) -> None:
    """With its time zone."""
    world.configure('[schedule]\ncron = "0 6 * * 1-5"\ntimezone = "Europe/Berlin"')
    schedule = defs().resolve_schedule_def("scheduled_sync")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * 1-5", "Europe/Berlin")


def test_a_tick_asks_for_a_sync_that_respects_pauses(world: World, instance: dg.DagsterInstance) -> None:
    """At the time of the tick, whenever the run gets its turn."""
    (request,) = strike(instance).run_requests
    assert request.run_config["ops"]["microsoft"]["config"] == {"respect_pauses": True, "at": TICK.isoformat()}
    assert request.tags["o365_etl/trigger"] == "schedule"


def test_the_clock_does_not_forestall_the_first_sync(world: World, instance: dg.DagsterInstance) -> None:
    """Until the first sync is due a person chooses what to sync; once something was synced, the clock counts."""
    queueing.queue(world.workspace, trigger="connect", who="lead", minutes=60)
    assert "first sync" in strike(instance).skip_message

    world.sync()
    assert strike(instance).run_requests


def test_no_sync_while_another_is_on_its_way_or_holds_the_lock(world: World, instance: dg.DagsterInstance) -> None:
    """Neither by the clock nor because somebody asked; what was asked for waits and is not lost."""
    ask(world)
    coming = on_its_way(instance)
    for found in (strike(instance), look(instance)):
        assert not found.run_requests
        assert coming.run_id in found.skip_message
    instance.delete_run(coming.run_id)
    with world.workspace.writing("by-hand", "manual", wait_seconds=0):
        for found in (strike(instance), look(instance)):
            assert not found.run_requests
            assert "by-hand (manual" in found.skip_message

    assert len(strike(instance).run_requests) == len(look(instance).run_requests) == 1


def test_a_due_request_is_answered_once(world: World, instance: dg.DagsterInstance) -> None:
    """Not before it is due; the run does what was asked and closes the request; then there is nothing to do."""
    ask(world, tenants=["Contoso"], minutes=60)
    assert not look(instance).run_requests
    request_id = ask(world, tenants=["contoso"])
    (request,) = look(instance).run_requests
    assert (request.run_key, request.tags[REQUEST_TAG]) == (request_id, request_id)
    (again,) = look(instance).run_requests
    assert again.run_key == request_id, "Dagster starts one run for one key"
    with dg.DagsterInstance.ephemeral() as memory:
        result = execute(memory, request)
        assert result.success
        with pytest.raises(dg.DagsterError) as caught:
            execute(memory, again)
        assert "nothing to do" in str(caught.value.__cause__)

    found = world.workspace.state.requests.find(request_id) or {}
    assert (found["state"], found["run_id"]) == ("done", result.run_id)
    assert world.rows("SELECT display_name FROM m365.tenants") == [("Contoso",)]
    assert world.rows(f"SELECT trigger, status FROM sync.runs WHERE run_id = '{result.run_id}'") == [("queue", "ok")]
    assert not look(instance).run_requests


def test_a_cancelled_request_starts_nothing(world: World, instance: dg.DagsterInstance) -> None:
    """Also if its run was on its way already."""
    request_id = ask(world)
    (request,) = look(instance).run_requests
    queueing.cancel(world.workspace, request_id)
    assert not look(instance).run_requests
    with dg.DagsterInstance.ephemeral() as memory, pytest.raises(dg.DagsterError) as caught:
        execute(memory, request)
    assert "is cancelled" in str(caught.value.__cause__)
    assert world.simulator.requests == []


def test_a_run_that_never_started_leaves_its_request_queued(world: World, instance: dg.DagsterInstance) -> None:
    """It is asked for again under another key, and given up after the third; a run that a person stopped is the end."""
    request_id = ask(world)
    for attempt in (2, 3):
        failed = on_its_way(instance, tags={REQUEST_TAG: request_id})
        instance.report_run_failed(failed)
        (request,) = look(instance).run_requests
        assert request.run_key == f"{request_id}-{attempt}"
    instance.report_run_failed(on_its_way(instance, tags={REQUEST_TAG: request_id}))
    assert not look(instance).run_requests
    assert world.workspace.state.requests.open() == []
    assert "given up" in world.workspace.state.entries(level="error")[-1]["message"]

    stopped = ask(world)
    instance.report_run_canceled(on_its_way(instance, tags={REQUEST_TAG: stopped}))
    other = ask(world, only_failed=True)
    assert [request.run_key for request in look(instance).run_requests] == [other]
    assert (world.workspace.state.requests.find(stopped) or {})["state"] == "cancelled"


def test_a_run_whose_process_is_gone_blocks_nothing(world: World, instance: dg.DagsterInstance) -> None:
    """A sync of the command line that was killed holds Dagster's one place no longer than the lock."""
    killed = on_its_way(instance, status=dg.DagsterRunStatus.STARTED)
    workspace = world.workspace
    workspace.state.start_run(killed.run_id, "manual", now())
    working = on_its_way(instance, status=dg.DagsterRunStatus.STARTED)
    with workspace.writing(working.run_id, "manual", wait_seconds=0):
        workspace.state.start_run(killed.run_id, "manual", now())
        assert not strike(instance).run_requests
        assert instance.get_run_by_id(killed.run_id).status is dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]
        workspace.state.finish_run(working.run_id, now(), "ok")
    workspace.state.start_run(killed.run_id, "manual", now())
    assert working.run_id in strike(instance).skip_message, "it has only just given the lock back"
    instance.delete_run(working.run_id)

    assert len(strike(instance).run_requests) == 1
    assert instance.get_run_by_id(killed.run_id).status is dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]


def test_what_is_in_effect_is_not_matched_again(world: World, instance: dg.DagsterInstance) -> None:
    """The command line matches at once after a decision: the daemon does not do it a second time."""
    world.sync()
    cursor = look(instance, "decided").cursor
    deciding.ignore(world.workspace, "Fabrikam Ltd", who="test")
    run_rematch(world.settings)
    found = look(instance, "decided", cursor)
    assert (found.run_requests, "in effect" in found.skip_message) == ([], True)

    deciding.ignore(world.workspace, "Contoso", who="test")
    assert len(look(instance, "decided", found.cursor).run_requests) == 1


def test_many_decisions_are_one_rematch(world: World, instance: dg.DagsterInstance) -> None:
    """While a rematch is on its way the decisions of the meantime wait for the one after it."""
    world.sync()
    cursor = look(instance, "decided").cursor
    deciding.ignore(world.workspace, "Fabrikam Ltd", who="test")
    coming = on_its_way(instance, "rematch")
    deciding.ignore(world.workspace, "Contoso", who="test")
    waits = look(instance, "decided", cursor)
    assert (waits.run_requests, waits.cursor) == ([], cursor)
    instance.delete_run(coming.run_id)
    found = look(instance, "decided", cursor)
    assert len(found.run_requests) == 1
    assert not look(instance, "decided", found.cursor).run_requests


def test_a_failed_run_says_why_in_the_sync_log(world: World, instance: dg.DagsterInstance) -> None:
    """Our own words of an error of ours; of a foreign one only what it is, for it may quote somebody's data."""
    ours = fail(instance, lambda: load_settings(world.folder / "missing.toml"))
    foreign = fail(instance, lambda: int("anna.berg@contoso.example"))
    killed = on_its_way(instance, status=dg.DagsterRunStatus.STARTED)
    request_id = ask(world)
    world.workspace.state.requests.take_up(request_id, killed.run_id)
    world.workspace.state.start_run(killed.run_id, "queue", now())
    event = instance.report_run_failed(killed, "The process of this run ended before the run did.")
    note(instance, killed, event)

    said = {entry["run_id"]: entry["message"] for entry in world.workspace.state.entries(level="error")[::-1]}
    assert said[ours].partition("failed: ")[2].startswith("there is no configuration file")
    assert "ValueError" in said[foreign]
    assert "anna.berg" not in str(said)
    messages = [entry["message"] for entry in world.workspace.state.entries(run_id=killed.run_id)]
    assert messages[0].endswith("failed: The process of this run ended before the run did.")
    assert world.workspace.state.run(killed.run_id)["status"] == "failed"
    assert (world.workspace.state.requests.find(request_id) or {})["state"] == "done"


def fail(instance: dg.DagsterInstance, act: Callable[[], object]) -> str:
    """A run that fails in a step, seen by the sensor; its id."""

    @dg.op
    def failing() -> None:
        from assets.failures import reported

        with reported():
            act()

    @dg.job
    def broken() -> None:
        failing()

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = broken.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet)
    note(instance, result.dagster_run, result.get_run_failure_event())
    return result.run_id


def note(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent) -> None:
    context = dg.build_run_status_sensor_context("sync_failed", event, instance, run).for_run_failure()
    automation.sync_failed(context)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no configuration file"),
        ("[itglue]\n", "api_key"),
        ('[itglue]\napi_key = { env = "X" }\n[schedule]\ncron = "every day"\n', "schedule.cron"),
        ('[itglue]\napi_key = { env = "X" }\n[schedule]\ncron = "0 6 LW * *"\n', "Dagster cannot use '0 6 LW * *'"),
        (
            '[itglue]\napi_key = { env = "X" }\n[schedule]\ntimezone = "Mars/Olympus"\n',
            "'Mars/Olympus' is no time zone",
        ),
    ],
)
def test_without_a_usable_configuration_the_location_loads_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, reason: str
) -> None:
    """No schedule, and every look of the sensor names the mend."""
    config = tmp_path / "o365_etl.toml"
    if text is not None:
        config.write_text(text, encoding="utf-8")
    monkeypatch.setenv("O365_ETL_CONFIG", str(config))
    dg.Definitions.validate_loadable(defs())
    assert automation.schedules() == []
    with dg.DagsterInstance.ephemeral() as instance:
        found = look(instance)
    assert not found.run_requests
    assert reason in found.skip_message


def test_a_schedule_that_was_mended_too_late_is_told(world: World) -> None:
    """Dagster reads the configuration when it loads the location."""
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text("", encoding="utf-8")
    loaded = defs()
    world.config.write_text(text, encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, repository_def=loaded.get_repository_def())
        assert "Reload the location" in str(loaded.resolve_sensor_def("requested").evaluate_tick(context).skip_message)


def test_the_daemon_does_it_with_nobody_watching(world: World) -> None:
    """`dagster dev` as docs/operate.md starts it answers a request; the run is a Dagster run of its own process."""
    request_id = ask(world)
    home = prepare_home(world.settings)
    environment = {**os.environ, "DAGSTER_HOME": str(home), "O365_ETL_CONFIG": str(world.config)}
    command = [sys.executable, "-m", "dagster", "dev", "-m", "assets.definitions", "-h", "127.0.0.1", "-p", "0"]
    with (
        (world.folder / "daemon.log").open("wb") as log,
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log) as daemon,
    ):
        try:
            deadline = datetime.now(UTC) + timedelta(seconds=200)
            while datetime.now(UTC) < deadline:
                found = world.workspace.state.requests.find(request_id) or {}
                if found["state"] == "done":
                    break
                assert daemon.poll() is None, (world.folder / "daemon.log").read_text()
                time.sleep(1)
        finally:
            daemon.send_signal(signal.SIGINT)
            daemon.wait(60)
    assert found["state"] == "done", (world.folder / "daemon.log").read_text()[-3000:]
    assert world.rows("SELECT count(*) FROM m365.users") == [(4,)]
