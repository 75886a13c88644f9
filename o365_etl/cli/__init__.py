"""The command line `o365-etl`: a front door to the pipeline's verbs.

    options   what commands share: --config, --json, errors → exit codes
    output    tables, JSON and progress on a terminal
    running   a sync in this process, through Dagster (the only place that imports `assets`)
    syncing   sync, demo, simulate
    asking    status, logs, match, explain, query
    answers   how the answers to those look on a terminal

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done but some tenants failed, 4 stopped by a brake.
`o365-etl --help` loads neither Dagster nor pandas: commands import what they need when they run.
"""

from __future__ import annotations

from o365_etl.cli.main import main

__all__ = ["main"]
