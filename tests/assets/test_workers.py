"""Steps on workers, as far as it needs neither broker nor database: what is loaded, and what is refused.

That an installation of several processes does the same as one, also when a worker dies, is `make scale-test`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.definitions import definitions
from assets.failures import reported
from o365_etl.cli import main, running
from o365_etl.config import load_settings
from o365_etl.errors import ConfigError, LocalError, O365EtlError
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import Estate
from o365_etl.store.lock import Holder
from tests.conftest import World

workers = pytest.importorskip("assets.workers", reason="the extra `scale` is not installed", exc_type=ImportError)

JOBS = ("sync", "rematch", "apply")
ELSEWHERE = """
[state]
url = { env = "TEST_STATE_URL" }
[warehouse]
catalog = { env = "TEST_CATALOG" }
[workers]
broker = { env = "TEST_BROKER" }
"""


@pytest.fixture
def world(start: Callable[..., World], contoso: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An installation whose steps are the workers'; neither its broker nor its catalog is there."""
    made = start(contoso)
    made.configure(ELSEWHERE)
    monkeypatch.setenv("TEST_STATE_URL", f"sqlite:///{tmp_path}/shared.sqlite")
    monkeypatch.setenv("TEST_CATALOG", "dbname=none host=/nowhere")
    monkeypatch.setenv("TEST_BROKER", "redis://127.0.0.1:1/0")
    return made


def test_the_configuration_chooses_who_executes(world: World, start: Callable[..., World], contoso: Estate) -> None:
    """Every job; results go to a folder below `data_dir`, which all workers see."""
    loaded = definitions(world.config)
    assert {loaded.resolve_job_def(name).executor_def.name for name in JOBS} == {"celery"}
    assert workers.results_folder(world.settings) == world.settings.data_dir / "dagster" / "storage"
    alone = definitions(start(contoso).config)
    assert {alone.resolve_job_def(name).executor_def.name for name in JOBS} == {"in_process"}


def test_dagster_loads_without_the_broker_s_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for when a run starts."""
    monkeypatch.delenv("TEST_BROKER")
    assert definitions(world.config).resolve_job_def("sync").executor_def.name == "celery"
    with pytest.raises(ConfigError, match="TEST_BROKER is not set"):
        workers.OnWorkers(world.settings)


def test_a_lost_step_is_given_out_again(world: World) -> None:
    """What makes it so, in the settings that both the sender and the workers have."""
    for conf in (
        workers.application(world.settings).conf,
        workers.make_app(workers.OnWorkers(world.settings).app_args()).conf,
    ):
        assert conf.broker_url == conf.result_backend == "redis://127.0.0.1:1/0"
        assert conf.task_acks_late
        assert conf.task_reject_on_worker_lost
        assert conf.worker_deduplicate_successful_tasks
        assert conf.worker_prefetch_multiplier == 1
        assert conf.broker_transport_options["visibility_timeout"] == workers.LOST_AFTER_SECONDS
    assert isinstance(workers.application(world.settings).tasks["execute_plan"], workers.Step)


def test_a_step_works_only_for_the_run_that_has_the_lease(world: World) -> None:
    """A step of a run that has ended, or of none, does nothing; of the one that holds the lock it may."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            definitions(world.config)
            .resolve_job_def("rematch")
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={
                    "resources": {"installation": {"config": {"config": str(world.config)}}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
        )
    assert not result.success
    assert any("no right to write" in str(event.event_specific_data) for event in result.all_events)

    state = Workspace.of(world.settings).state
    state.lease.take(Holder("run-1", "manual", 1, "elsewhere"))
    with world.workspace.taking_part("run-1"):
        pass
    assert state.runs() == []


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("the key is wrong", remedy="Write another."),
        LocalError("cannot write: no space", code="disk_full", remedy="Free disk space."),
    ],
)
def test_what_stopped_a_step_elsewhere_is_told_here(error: O365EtlError) -> None:
    """With its code and its remedy; a wrong configuration ends the command with its own exit code."""

    @dg.op
    def stopped() -> None:
        with reported():
            raise error

    @dg.job
    def whole() -> None:
        stopped()

    loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = whole.execute_in_process(instance=instance, raise_on_error=False, run_config=loggers)
    (event,) = (each for each in result.all_events if each.is_step_failure)
    told = running._failed_step(event)
    assert (told.message.rstrip("."), told.code, told.remedy) == (error.message, error.code, error.remedy)
    assert isinstance(told, ConfigError) == isinstance(error, ConfigError)


def test_the_command_says_what_is_missing(world: World, start: Callable[..., World], contoso: Estate) -> None:
    """Without a broker there is nothing to work for; without its secret it cannot be found. Neither is a trace."""

    def said(config: Path) -> str:
        result = CliRunner().invoke(main, ["worker", "--config", str(config)])
        assert result.exit_code == 2
        assert "Traceback" not in result.output
        return result.output

    assert "no broker is configured" in said(start(contoso).config)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TEST_BROKER")
        assert "TEST_BROKER is not set" in said(world.config)


@pytest.mark.parametrize("missing", ["state.url", "warehouse.catalog"])
def test_many_processes_need_what_many_can_write(world: World, missing: str) -> None:
    """A file takes one writer."""
    section, key = missing.split(".")
    text = world.config.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f'{key} = {{ env = "TEST'))
    world.config.write_text(text.replace(f"[{section}]\n{line}\n", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"workers\.broker needs {missing}"):
        load_settings(world.config)
