"""The command group."""

from __future__ import annotations

import os
from importlib.metadata import version

import click

from o365_etl.cli.alerting import alerts
from o365_etl.cli.asking import explain, logs, query, status
from o365_etl.cli.changing import apply, plan, rematch
from o365_etl.cli.connecting import connect, disconnect
from o365_etl.cli.demo import demo
from o365_etl.cli.doctoring import doctor
from o365_etl.cli.matching import match
from o365_etl.cli.options import Group
from o365_etl.cli.reviewing import review
from o365_etl.cli.selecting import select
from o365_etl.cli.syncing import simulate, sync
from o365_etl.cli.working import worker


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("o365-etl"), message="o365-etl %(version)s")
def main() -> None:
    """Keep Microsoft 365 tenants and IT Glue in step.

    Start with `o365-etl demo`: it syncs a whole simulated MSP and needs no account anywhere.
    """
    # Files of libraries (DuckDB's write-ahead log, Dagster's runs) follow it: people's data is for this user alone.
    os.umask(0o077)


for command in (
    connect,
    disconnect,
    doctor,
    select,
    demo,
    simulate,
    sync,
    status,
    logs,
    match,
    plan,
    apply,
    rematch,
    explain,
    query,
    alerts,
    review,
    worker,
):
    main.add_command(command)
