"""The command line `o365-etl`: a front door to the pipeline's verbs.

    options   what commands share: --config, --json, errors → exit codes
    output    tables, JSON and progress on a terminal
    running   a job in this process, through Dagster (the only place that imports `assets`)
    connecting  connect, disconnect · connected: how that looks
    doctoring doctor: what is wrong, and the mend
    selecting select: what is synced
    syncing   sync, simulate · demo: the demo, and the loop of decisions and writing at its end
    asking    status, logs, explain, query
    matching  match … · changing: plan, plan approve, apply, rematch
    alerting  alerts: what is raised, and whether it reaches people
    answers   how the answers to those look on a terminal

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done but some tenants failed, 4 stopped by a brake.
`o365-etl --help` loads neither Dagster nor pandas: commands import what they need when they run.
"""

from __future__ import annotations

from o365_etl.cli.main import main

__all__ = ["main"]
