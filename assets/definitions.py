"""What Dagster loads: the assets, their checks, the job `sync` that makes them all in one run, and two parts of it."""

import dagster as dg

from assets import alerting, automation, catalogue, changes, documentation, microsoft, published, relations
from assets.checks import CHECKS
from assets.resources import Installation

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


@dg.definitions
def defs() -> dg.Definitions:
    """Everything, made afresh at each call."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[sync, rematch, apply],
        schedules=automation.schedules(),
        sensors=[automation.requested, automation.decided, automation.sync_failed, alerting.alerts],
        resources={"installation": Installation()},
        executor=dg.in_process_executor,
    )
