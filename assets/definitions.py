"""What Dagster loads: the assets, their checks, and the job `sync` that makes them all in one run."""

from __future__ import annotations

import dagster as dg

from assets import documentation, microsoft, published, relations
from assets.checks import CHECKS
from assets.resources import Installation

ASSETS = [
    microsoft.microsoft,
    documentation.itglue,
    relations.match_organizations,
    relations.match_contacts,
    relations.compare,
    relations.history,
    published.publish,
]

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(*ASSETS),
    description="Read Microsoft 365 and IT Glue, match, compare, publish: one run is one sync.",
    # One process: a shard is threads, and the lock of the one writer belongs to a process.
    executor_def=dg.in_process_executor,
)


@dg.definitions
def defs() -> dg.Definitions:
    """Everything, made afresh at each call."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=[sync],
        resources={"installation": Installation()},
        executor=dg.in_process_executor,
    )
