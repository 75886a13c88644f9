"""Looks for what changed also where no sync ends: after syncs that died, and when a date comes near."""

import dagster as dg

from assets.failures import reported
from o365_etl.errors import ConfigError
from o365_etl.pipeline import alerting
from o365_etl.pipeline.workspace import Workspace


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people what changed for the worse or the better; sends again what a target did not take.",
)
def alerts() -> dg.SkipReason:
    """One look; it starts no run."""
    with reported():
        try:
            looked = alerting.look(Workspace.open())
        except ConfigError as error:
            return dg.SkipReason(error.line)
    failed = f"; no message taken by: {', '.join(looked.failed)}" if looked.failed else ""
    return dg.SkipReason(
        f"Newly raised: {len(looked.raised)}, over: {len(looked.over)}, messages sent: {looked.sent}{failed}."
    )
