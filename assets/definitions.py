"""What Dagster loads: the assets, their checks, the job `sync` that makes them all in one run, and two parts of it."""

from collections.abc import Iterator

import dagster as dg

from assets import changes, documentation, microsoft, published, relations
from assets.checks import CHECKS
from assets.resources import TRIGGER_TAG, Installation
from o365_etl.pipeline.workspace import Workspace

ASSETS = [
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
CONCLUSIONS = ASSETS[2:]

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(*ASSETS),
    description="Read Microsoft 365 and IT Glue, match, compare, plan, write what may be written: one run is one sync.",
    # One process: a shard is threads, and the lock of the one writer belongs to a process.
    executor_def=dg.in_process_executor,
)
rematch = dg.define_asset_job(
    "rematch",
    selection=dg.AssetSelection.assets(*CONCLUSIONS),
    description="Match, compare, plan and publish again, without reading anything: what a decision takes to count.",
    executor_def=dg.in_process_executor,
)
apply = dg.define_asset_job(
    "apply",
    selection=dg.AssetSelection.assets(changes.applied, published.publish),
    description="Write the approved part of the plan to IT Glue.",
    config={"ops": {"applied": {"config": {"by_person": True}}}},
    executor_def=dg.in_process_executor,
)


@dg.sensor(
    job=rematch,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a rematch when somebody decided something since the last one.",
)
def decided(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run for all decisions since the last look; the first look only remembers where it starts."""
    latest = str(Workspace.open().state.decisions.latest())
    if context.cursor is not None and context.cursor != latest:
        yield dg.RunRequest(run_key=f"decision-{latest}", tags={TRIGGER_TAG: "decision"})
    context.update_cursor(latest)


@dg.definitions
def defs() -> dg.Definitions:
    """Everything, made afresh at each call."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[sync, rematch, apply],
        sensors=[decided],
        resources={"installation": Installation()},
        executor=dg.in_process_executor,
    )
