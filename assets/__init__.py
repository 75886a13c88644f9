"""The Dagster code location: one asset per table, their checks, the job `sync`.

    definitions   what Dagster loads
    specs         an asset's description, columns and kinds, from the table contract
    resources     the installation: its workspace, and the lock of the one sync that writes
    failures      our errors as Dagster's, with their retry decision
    microsoft     m365.*, sync.tenants: shards fanned out inside the run
    documentation itglue.*
    relations     match.*, compare.*, history.*
    published     the copy that analysts open
    checks        table contracts (blocking) and what a person should look at (not blocking)

An asset body gets, calls, puts and reports; everything else is `o365_etl.pipeline`.
"""
