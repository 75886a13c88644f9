"""A job in this process, through Dagster: its run, assets and checks stand in the instance's history.

Without DAGSTER_HOME the instance is `{data_dir}/dagster`, made on first use from the project's `dagster.yaml`, so the
Dagster UI started on the same folder shows the same runs. This module alone imports `assets`, and only in functions.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o365_etl.config import Settings, dagster_home
from o365_etl.errors import LocalError, O365EtlError, PermanentError

# The daemon writes one at least every half minute.
_SIGN_OF_LIFE_SECONDS = 180


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

    from assets.definitions import defs
    from assets.resources import TRIGGER_TAG
    from o365_etl.pipeline.publishing import outcomes
    from o365_etl.pipeline.workspace import Workspace

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    workspace = Workspace.of(settings)
    job = defs().resolve_job_def(name)
    with dg.DagsterInstance.from_config(str(prepare_home(settings))) as instance:
        try:
            result = job.execute_in_process(
                instance=instance,
                tags={TRIGGER_TAG: trigger},
                run_config={
                    "ops": ops,
                    "resources": {
                        "installation": {"config": {"config": str(settings.file), "wait_seconds": wait_seconds}}
                    },
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
        except (dg.Failure, dg.DagsterError) as error:
            raise _cause(error) from error
    run = workspace.state.run(result.run_id)
    read, failed = int(run["tenants_ok"] or 0), int(run["tenants_failed"] or 0)
    return Outcome(result.run_id, run["status"], read, failed, outcomes(run["counts"]))


def daemon_runs(settings: Settings) -> bool:
    """Whether a Dagster daemon that looks for queued syncs gave a sign of life in the last minutes."""
    import dagster as dg

    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with dg.DagsterInstance.from_config(str(prepare_home(settings))) as instance:
        heartbeat = instance.get_daemon_heartbeats().get("SENSOR")
    return heartbeat is not None and time.time() - heartbeat.timestamp < _SIGN_OF_LIFE_SECONDS


def _cause(error: BaseException) -> O365EtlError:
    """Our own error inside Dagster's, or what Dagster says where there is none."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, O365EtlError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return PermanentError(f"the sync failed: {error}", code="internal", remedy="`make dagster` shows the whole trace.")


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
