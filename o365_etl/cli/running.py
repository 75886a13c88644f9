"""A job through Dagster, in this process or with its steps on workers, and the worker itself. Runs, assets and checks
stand in the instance's history.

Without DAGSTER_HOME the instance is `{data_dir}/dagster`, made on first use from the project's `dagster.yaml`, so the
Dagster UI started on the same folder shows the same runs. This module alone imports `assets`, and only in functions.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from o365_etl.config import Settings, dagster_home
from o365_etl.config_overrides import CONFIG_VARIABLE
from o365_etl.errors import ConfigError, LocalError, O365EtlError, PermanentError

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance

# The daemon writes one at least every half minute.
_SIGN_OF_LIFE_SECONDS = 180
_SEE_THE_TRACE = "The Dagster UI shows the whole trace."


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its id and status, tenants read, tenants that should have been read and were not, and changes by
    outcome.
    """

    run_id: str
    status: str
    tenants_ok: int
    tenants_failed: int
    changes: dict[str, int]


def run_sync(
    settings: Settings,
    *,
    tenants: Sequence[str] = (),
    only_failed: bool = False,
    preview: bool = False,
    full: bool = False,
    trigger: str = "manual",
    wait_seconds: float = 600,
) -> Outcome:
    """Run the job `sync` to its end. Raises the error that stopped it."""
    ops = {
        "microsoft": {"config": {"tenants": list(tenants), "only_failed": only_failed, "full": full}},
        "itglue": {"config": {"full": full}},
        "applied": {"config": {"preview": preview}},
    }
    return _run(settings, "sync", ops, trigger, wait_seconds)


def run_rematch(settings: Settings, *, trigger: str = "decision", wait_seconds: float = 600) -> Outcome:
    """Run the job `rematch` to its end: match, compare, plan and publish, without reading anything; in mode `apply` it
    writes. Raises the error that stopped it.
    """
    return _run(settings, "rematch", {}, trigger, wait_seconds)


def run_apply(settings: Settings, *, trigger: str = "apply", wait_seconds: float = 600) -> Outcome:
    """Run the job `apply` to its end: write what is approved. Raises the error that stopped it."""
    return _run(settings, "apply", {"applied": {"config": {"by_person": True}}}, trigger, wait_seconds)


def _run(settings: Settings, name: str, ops: dict[str, Any], trigger: str, wait_seconds: float) -> Outcome:
    import dagster as dg

    from assets.definitions import definitions
    from assets.resources import TRIGGER_TAG
    from o365_etl.pipeline.publishing import outcomes
    from o365_etl.pipeline.workspace import Workspace

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    workspace = Workspace.of(settings)
    run_config = {
        "ops": ops,
        "resources": {"installation": {"config": {"config": str(settings.file), "wait_seconds": wait_seconds}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    tags = {TRIGGER_TAG: trigger}
    with dg.DagsterInstance.from_config(str(prepare_home(settings))) as instance:
        try:
            if settings.workers.broker is not None:
                run_id = _on_workers(settings, name, instance, run_config, tags)
            else:
                job = definitions(settings.file).resolve_job_def(name)
                run_id = job.execute_in_process(instance=instance, tags=tags, run_config=run_config).run_id
        except (dg.Failure, dg.DagsterError) as error:
            raise _cause(error) from error
    run = workspace.state.run(run_id)
    read, failed = int(run["tenants_ok"] or 0), int(run["tenants_failed"] or 0)
    return Outcome(run_id, run["status"], read, failed, outcomes(run["counts"]))


def _on_workers(
    settings: Settings, name: str, instance: DagsterInstance, run_config: dict[str, Any], tags: dict[str, str]
) -> str:
    """Run a job whose steps the workers execute, and return the id of its run. Raises the error that stopped it."""
    import dagster as dg

    # Workers make the job again by itself, so this folder, which they need not have, is left out of it.
    words: Any = (name, str(settings.file))
    job = dg.build_reconstructable_job("assets.definitions", "job", words, reconstructor_working_directory="")
    # Not as a context: that would open the resources here once more.
    result = dg.execute_job(job, instance, run_config=run_config, tags=tags, raise_on_error=True)
    if result.success:
        return result.run_id
    for event in result.all_events:
        if event.is_step_failure:
            raise _failed_step(event)
    raise PermanentError(f"the run {result.run_id} failed", code="internal", remedy=_SEE_THE_TRACE)


def _failed_step(event: DagsterEvent) -> O365EtlError:
    """Our own error behind a step that failed in another process, as far as it was told."""
    failure = event.step_failure_data
    said = failure.user_failure_data
    if said is None or said.description is None:
        what = failure.error.cls_name if failure.error else "an unknown error"
        return PermanentError(f"the step {event.step_key} failed: {what}", code="internal", remedy=_SEE_THE_TRACE)
    code, remedy = (str(said.metadata[key].value) for key in ("code", "what to do"))
    message = said.description.removesuffix(remedy).rstrip()
    kind = ConfigError if code == ConfigError.code else PermanentError
    return kind(message, code=code, remedy=remedy)


def run_worker(settings: Settings) -> None:
    """Be a worker of this configuration: execute steps, one at a time, until a signal ends it (SIGTERM: after the step
    that is under way).
    """
    # For the runs of the daemon, which name no configuration file.
    os.environ[CONFIG_VARIABLE] = str(settings.file)
    os.environ["DAGSTER_HOME"] = str(prepare_home(settings))
    from assets.workers import application

    # Two workers may live on one machine.
    name = f"o365-etl-{uuid.uuid4().hex[:8]}@%h"
    options = ["--queues=dagster", "--concurrency=1", "--loglevel=WARNING", f"--hostname={name}"]
    application(settings).worker_main(["worker", *options])


def daemon_runs(settings: Settings) -> bool:
    """Whether a Dagster daemon that looks for queued syncs gave a sign of life in the last minutes."""
    import dagster as dg

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with dg.DagsterInstance.from_config(str(prepare_home(settings))) as instance:
        heartbeat = instance.get_daemon_heartbeats().get("SENSOR")
    return heartbeat is not None and time.time() - heartbeat.timestamp < _SIGN_OF_LIFE_SECONDS


def _cause(error: BaseException) -> O365EtlError:
    """Our own error inside Dagster's, or what Dagster says where there is none."""
    if lost := getattr(error, "subprocess_error_infos", None):
        # What went wrong in a worker outside of a step: its own text is the whole trace, and foreign.
        what = f"a worker could not execute a step ({lost[0].cls_name})"
        return PermanentError(f"the sync failed: {what}", code="internal", remedy=_SEE_THE_TRACE)
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, O365EtlError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return PermanentError(f"the sync failed: {error}", code="internal", remedy=_SEE_THE_TRACE)


def prepare_home(settings: Settings) -> Path:
    """The folder of the Dagster instance, with its `dagster.yaml`."""
    home = dagster_home(settings)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(project_file("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise LocalError(f"the Dagster home {home} cannot be made ({error.strerror})") from error
    return home


def project_file(name: str) -> Path:
    """A file of the project: at the top of a checkout, beside the code location of an installed wheel."""
    import assets

    package = Path(str(assets.__file__)).parent
    installed = package / name
    return installed if installed.is_file() else package.parent / name
