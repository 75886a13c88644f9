"""Keeps Microsoft 365 tenants and IT Glue in step.

The library: reading two APIs, transforming, matching, comparing, storing. It knows nothing of Dagster; the
Dagster code location is the package `assets`, the front doors are `o365_etl.cli` and `o365_etl.review`.
"""
