"""Steps on Celery workers: the executor that hands them out over a Redis broker, and the application of the workers.

The process that hands out the steps of a run holds the lock for all of them. A step that is lost with its worker is
done again by another one: a message counts as done only when its step has ended (`task_acks_late`), and one that
nobody has renewed for `LOST_AFTER_SECONDS` is given out again. A step renews its message as long as it runs, so that
this time is how soon a death is noticed, and no bound on how long a step may take.

What does not live here: what the steps do, and the command that starts a worker (`o365_etl.cli`).
"""

from __future__ import annotations

import contextlib
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import celery
import dagster as dg
from celery.exceptions import DuplicateTaskNameWarning
from dagster._core.execution.retries import RetryMode  # has no public name
from dagster_celery.executor import CeleryExecutor
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task
from redis.exceptions import RedisError

from assets import definitions
from assets.resources import holding
from o365_etl.config import Settings
from o365_etl.pipeline import progress
from o365_etl.pipeline.workspace import Workspace
from o365_etl.store.meanwhile import meanwhile

LOST_AFTER_SECONDS = 60
_RENEW_SECONDS = 10
# How long a run waits for a broker that is away, before it fails.
_BROKER_AWAY_SECONDS = 300
# Where kombu notes which message was given out when; its own default, said here because it is used here.
_GIVEN_OUT = "unacked_index"

SETTINGS: dict[str, Any] = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # A message that a worker has taken and not begun would wait for that worker although another one is idle.
    "worker_prefetch_multiplier": 1,
    # A step that ended while the broker was away is given out again: its first end counts.
    "worker_deduplicate_successful_tasks": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # Kibibytes after which a process executes no further step, and another one takes its place.
    "worker_max_memory_per_child": 600_000,
    "broker_transport_options": {"visibility_timeout": LOST_AFTER_SECONDS, "unacked_index_key": _GIVEN_OUT},
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "task_publish_retry_policy": {"max_retries": _BROKER_AWAY_SECONDS, "interval_start": 0, "interval_max": 1},
    "result_backend_always_retry": True,
    "result_backend_max_retries": _BROKER_AWAY_SECONDS,
    "result_backend_base_sleep_between_retries_ms": 100,
    "result_backend_max_sleep_between_retries_ms": 1000,
    "result_expires": 24 * 3600,
}


class OnWorkers(CeleryExecutor):
    """Hands the steps of a run to the workers, and holds the lock for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        broker = broker_of(settings)
        super().__init__(retries=RetryMode.ENABLED, broker=broker, backend=broker, config_source=SETTINGS)

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """The events of the run, as they come in from the workers."""
        run = plan_context.dagster_run
        configured = run.run_config.get("resources", {}).get("installation", {}).get("config", {})
        wait_seconds = float(configured.get("wait_seconds", 600))
        workspace = Workspace.of(self._settings)
        # dagster-celery makes the same task anew for each step that it hands out.
        warnings.simplefilter("ignore", DuplicateTaskNameWarning)
        with holding(workspace, run.run_id, run.tags, wait_seconds, plan_context.log):
            done, failed = 0, False
            for event in super().execute(plan_context, execution_plan):
                failed = failed or event.is_step_failure
                if event.is_step_success:
                    done += 1
                    progress.tell("steps done", done)
                yield event
        if not failed:
            # Of a run that failed the UI can repeat what is left, which needs what was done.
            shutil.rmtree(results_folder(self._settings) / run.run_id, ignore_errors=True)


def executor(settings: Settings) -> dg.ExecutorDefinition:
    """The executor of this configuration. Its broker is read when a run starts, so that Dagster loads without it."""

    @dg.executor(name="celery", requirements=dg.multiple_process_executor_requirements())
    def on_workers(_: dg.InitExecutorContext) -> OnWorkers:
        return OnWorkers(settings)

    return on_workers


def results(settings: Settings) -> dg.FilesystemIOManager:
    """What one step leaves for the next: ids and names of tenants and what became of them, in files all workers see."""
    return dg.FilesystemIOManager(base_dir=str(results_folder(settings)))


def results_folder(settings: Settings) -> Path:
    """Where these files are."""
    return settings.data_dir / "dagster" / "storage"


def broker_of(settings: Settings) -> str:
    """The URL of the broker. Raises `ConfigError` if the secret cannot be read."""
    assert settings.workers.broker is not None, "only asked where there is one"
    return settings.workers.broker.read("workers.broker")


def application(settings: Settings) -> celery.Celery:
    """What a worker runs."""
    # Loaded once and for all, not in each process of a step.
    definitions.definitions(settings.file)
    app = make_app(OnWorkers(settings).app_args())
    create_task(app, base=Step, shared=False)
    return app


class Step(celery.Task):  # type: ignore[misc]  # celery has no types
    """One step of a run, in a process of a worker."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Execute it, unless its run has ended meanwhile: a message that was given out twice may come late."""
        if _has_ended(kwargs["execute_step_args_packed"]):
            return []
        with self._renewing():
            return super().__call__(*args, **kwargs)

    def _renewing(self) -> AbstractContextManager[None]:
        """Renew the message for the block, so that it is not given out to another worker."""
        tag = self.request.properties["delivery_tag"]

        def renew() -> bool:
            # A broker that is away gives nothing out either.
            with contextlib.suppress(RedisError):
                self.backend.client.zadd(_GIVEN_OUT, {tag: time.time()}, xx=True)
            return True

        return meanwhile("message", _RENEW_SECONDS, renew)


def _has_ended(packed: Any) -> bool:
    from dagster._grpc.types import ExecuteStepArgs
    from dagster._serdes import unpack_value

    step = unpack_value(packed, as_type=ExecuteStepArgs)
    with dg.DagsterInstance.from_ref(step.instance_ref) as instance:
        run = instance.get_run_by_id(step.run_id)
    return run is None or run.is_finished
