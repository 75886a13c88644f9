"""`o365-etl worker`: executes steps of syncs, on this machine, for whoever starts them."""

from __future__ import annotations

from pathlib import Path

import click

from o365_etl.cli.options import config_option
from o365_etl.config import load_settings
from o365_etl.errors import ConfigError


@click.command()
@config_option
def worker(config: Path | None) -> None:
    """Execute steps of syncs, one at a time, until it is stopped (docs/scale.md). Start one per core to be used."""
    settings = load_settings(config)
    if settings.workers.broker is None:
        raise ConfigError(
            "workers.broker: no broker is configured, so a sync is one process and has no workers",
            remedy="Name the Redis broker (docs/scale.md), or leave this command out.",
        )
    settings.workers.broker.read("workers.broker")  # for its own error, before anything is started
    from o365_etl.cli.running import run_worker

    run_worker(settings)
