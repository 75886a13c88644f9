"""The same jobs the way people do them today: one module a way, run in an environment of its own.

Nothing here imports `o365_etl`. A module takes a file with facts or a folder with Parquet files, does the job, and
prints one line of JSON (`measure.report`). Reading is the organization, domains, users, licenses and mailbox usage of
every tenant into tables of a DuckDB file; last sign-ins, subscriptions and report settings, which this program reads
as well, are left out.
"""
