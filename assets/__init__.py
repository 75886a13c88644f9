"""The Dagster code location: one asset per table, their checks, the jobs.

    definitions   what Dagster loads: assets, checks, the jobs sync, rematch and apply, schedule, sensors
    specs         an asset's description, columns and kinds, from the table contract
    resources     the installation: its workspace, and the lock of the one sync that writes
    workers       steps on Celery workers, where the configuration names a broker
    failures      our errors as Dagster's, with their retry decision
    catalogue     Microsoft's published list of products, fetched once a day
    microsoft     m365.*, sync.tenants: shards fanned out inside the run
    documentation itglue.*
    relations     match.*, compare.*, history.*
    changes       sync.changes, and what of it was written
    published     the copy that analysts open
    automation    what happens with nobody watching: the schedule, and the sensors for requests, decisions, failed runs
    causes        why a run failed, in one line without anybody's data
    checks        table contracts (blocking) and what a person should look at (not blocking)

An asset body gets, calls, puts and reports; everything else is `o365_etl.pipeline`.
"""
