"""When the scheduled sync runs: the cron of this installation, and its next time for people who ask.

What does not live here: who starts it (the Dagster schedule, which reads cron with a parser of its own; in the hour in
which clocks are changed the two may differ).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from o365_etl.config import Settings


def cron_of(settings: Settings) -> str:
    """The cron in force: the one that is configured, to the letter, else hourly at this installation's own minute.

    The minute comes from the data folder, so that it is the same after every restart.
    """
    schedule = settings.schedule
    if "cron" in schedule.model_fields_set:
        return schedule.cron
    digest = hashlib.sha256(str(settings.data_dir).encode()).digest()
    return f"{int.from_bytes(digest[:4], 'big') % schedule.spread_minutes} * * * *"


def next_time(cron: str, timezone: str, after: datetime) -> datetime:
    """The first time after `after` that the cron names, in UTC. Both are valid settings."""
    found: datetime = next(CronSim(cron, after.astimezone(ZoneInfo(timezone))))
    return found.astimezone(UTC)
