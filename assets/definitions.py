"""What Dagster loads: the assets, their checks, the job `sync` that makes them all in one run, and two parts of it.

A run is one process, where a shard is threads; or, with `workers.broker` in the configuration, its steps are executed
by Celery workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from assets import alerting, automation, catalogue, changes, documentation, microsoft, published, relations
from assets.checks import CHECKS
from assets.resources import Installation
from o365_etl.config import load_settings
from o365_etl.errors import ConfigError

ASSETS = [
    catalogue.catalogue,
    microsoft.microsoft,
    documentation.itglue,
    relations.match_organizations,
    relations.match_contacts,
    relations.compare,
    relations.history,
    changes.plan,
    changes.applied,
    published.publish,
]
# What follows from the two sides as they were read last.
CONCLUSIONS = ASSETS[3:]


def definitions(config: Path | None = None) -> dg.Definitions:
    """Everything, made afresh at each call, for this configuration file (None: the one in force)."""
    on_workers = _on_workers(config)
    executor = on_workers[0] if on_workers else dg.in_process_executor
    sync = dg.define_asset_job(
        "sync",
        selection=dg.AssetSelection.assets(*ASSETS),
        description="Read Microsoft 365 and IT Glue, match, compare, plan, write what may be written: one run is one"
        " sync.",
        executor_def=executor,
    )
    rematch = dg.define_asset_job(
        "rematch",
        selection=dg.AssetSelection.assets(*CONCLUSIONS),
        description="Match, compare, plan and publish again, without reading anything: what a decision takes to count.",
        executor_def=executor,
    )
    apply = dg.define_asset_job(
        "apply",
        selection=dg.AssetSelection.assets(changes.applied, published.publish),
        description="Write the approved part of the plan to IT Glue.",
        config={"ops": {"applied": {"config": {"by_person": True}}}},
        executor_def=executor,
    )
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[sync, rematch, apply],
        schedules=automation.schedules(),
        sensors=[automation.requested, automation.decided, automation.sync_failed, alerting.alerts],
        resources={"installation": Installation(), **(on_workers[1] if on_workers else {})},
        executor=executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev`, the daemon and the code server load."""
    return definitions()


def job(name: str, config: str) -> dg.JobDefinition:
    """One job, for a configuration file: what a worker makes again from these two words."""
    return definitions(Path(config)).resolve_job_def(name)


def _on_workers(config: Path | None) -> tuple[dg.ExecutorDefinition, dict[str, Any]] | None:
    """How steps reach the workers, and the resource through which results reach the next step; None: one process."""
    try:
        settings = load_settings(config)
    except ConfigError:
        return None  # the sensors say why at each look, and a run fails with it
    if settings.workers.broker is None:
        return None
    try:
        from assets import workers
    except ImportError as error:
        raise ConfigError(
            f"workers.broker: {error.name} is not installed", remedy="pip install 'o365-etl[scale]'"
        ) from error
    return workers.executor(settings), {"io_manager": workers.results(settings)}
