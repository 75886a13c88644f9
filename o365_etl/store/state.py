"""The state store: what cannot be computed again. Its syncs, their log and what is pruned of it are here; decisions,
links, approvals, intents, leavers, requests, quarantine, alerts and the lease are each a module `state_*` of its own.

A SQLite file `{data_dir}/state.sqlite` by default, any SQLAlchemy URL instead. Small, transactional, used by several
processes at once.

What does not live here: rows that a sync can make again (`warehouse`), and who may write (`lock`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from o365_etl.errors import LocalError
from o365_etl.store import state_schema as schema
from o365_etl.store.state_alerts import Alerts
from o365_etl.store.state_approvals import Approvals
from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_decisions import Decisions
from o365_etl.store.state_intents import Intents
from o365_etl.store.state_lease import Lease
from o365_etl.store.state_leavers import Leavers
from o365_etl.store.state_links import Links
from o365_etl.store.state_quarantine import Quarantine
from o365_etl.store.state_requests import Requests
from o365_etl.tables import TABLES

# Without their number: it is their order, and not part of the public shape.
_RUN = [column for column in schema.runs.c if column.name != "number"]


class StateStore:
    """Reads and writes the state. `place` is a data folder or a database URL.

    Every method raises `LocalError` (the file is damaged, locked or not writable), `UnreachableError` (a database
    server does not answer) or `ConfigError` (the URL is wrong).
    """

    def __init__(self, place: Path | str) -> None:
        self._database = Database(place)

    # --- the subjects that have a class of their own

    @cached_property
    def decisions(self) -> Decisions:
        """What people decided about tenants and users."""
        return Decisions(self._database)

    @cached_property
    def links(self) -> Links:
        """What belongs together for good."""
        return Links(self._database)

    @cached_property
    def approvals(self) -> Approvals:
        """The plans that people approved."""
        return Approvals(self._database)

    @cached_property
    def intents(self) -> Intents:
        """What is about to be written, and what became of it."""
        return Intents(self._database)

    @cached_property
    def leavers(self) -> Leavers:
        """Who left, since when."""
        return Leavers(self._database)

    @cached_property
    def lease(self) -> Lease:
        """Who may write, where several machines share this store."""
        return Lease(self._database)

    @cached_property
    def alerts(self) -> Alerts:
        """What people were told, or are to be told."""
        return Alerts(self._database)

    @cached_property
    def requests(self) -> Requests:
        """The syncs that were asked for."""
        return Requests(self._database)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Tenants that fail until a person mends something."""
        return Quarantine(self._database)

    # --- syncs

    def start_run(self, run_id: str, trigger: str, at: datetime, status: str = "syncing") -> None:
        """Open a run, or reopen it if its id is known (a retried run keeps its id)."""
        values = {"trigger": trigger, "started_at": at, "ended_at": None, "status": status, "counts": {}}
        values |= {"tenants_ok": None, "tenants_failed": None}
        with self._database.writing() as connection:
            known = connection.execute(sa.update(schema.runs).where(schema.runs.c.run_id == run_id).values(values))
            if not known.rowcount:
                connection.execute(sa.insert(schema.runs).values(run_id=run_id, **values))

    def finish_run(
        self,
        run_id: str,
        at: datetime,
        status: str,
        *,
        tenants_ok: int | None = None,
        tenants_failed: int | None = None,
        counts: Mapping[str, Any] | None = None,
    ) -> None:
        """Close a run as `ok`, `failed` or `blocked`; what is None stays as it is.

        Raises `LocalError` if the run was never started.
        """
        values: Row = {"ended_at": at, "status": status, "counts": dict(counts or {})}
        given = {"tenants_ok": tenants_ok, "tenants_failed": tenants_failed}
        self._update_run(run_id, values | {name: value for name, value in given.items() if value is not None})

    def count_tenants(self, run_id: str, *, ok: int, failed: int) -> None:
        """How many tenants this run read, and how many it should have read and did not. Raises as `finish_run`."""
        self._update_run(run_id, {"tenants_ok": ok, "tenants_failed": failed})

    def run(self, run_id: str) -> Row:
        """One run, in the columns of `sync.runs`. Raises `LocalError` if there is none."""
        rows = self._database.rows(sa.select(*_RUN).where(schema.runs.c.run_id == run_id))
        if not rows:
            raise LocalError(f"the state store knows no run {run_id}")
        return rows[0]

    def _update_run(self, run_id: str, values: Row) -> None:
        with self._database.writing() as connection:
            known = connection.execute(sa.update(schema.runs).where(schema.runs.c.run_id == run_id).values(values))
            if not known.rowcount:
                raise LocalError(f"the state store knows no run {run_id}")

    def close_abandoned(self, reason: str) -> list[str]:
        """Close every run still `syncing` as failed and log `reason`; returns their ids. For the lock's holder only."""
        at = datetime.now(UTC)
        with self._database.writing() as connection:
            open_runs = schema.runs.c.status == "syncing"
            run_ids = list(connection.scalars(sa.select(schema.runs.c.run_id).where(open_runs)))
            if run_ids:
                connection.execute(sa.update(schema.runs).where(open_runs).values(status="failed", ended_at=at))
                entries = [_entry({"at": at, "level": "error", "message": reason}, run_id) for run_id in run_ids]
                connection.execute(sa.insert(schema.log), entries)
        return run_ids

    def runs(self, limit: int = 100) -> list[Row]:
        """The latest runs, newest first, in the columns of `sync.runs`; `counts` is a dict. Before them stands what is
        queued, whatever the limit: its request id is the run id, and it has not started.
        """
        runs = self._database.rows(sa.select(*_RUN).order_by(schema.runs.c.number.desc()).limit(limit))
        return [_queued(request) for request in reversed(self.requests.open())] + runs

    # --- log

    def log(
        self,
        run_id: str | None,
        level: str,
        message: str,
        *,
        tenant_id: str | None = None,
        stream: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one entry; `level` is info, warning or error."""
        entry = {"level": level, "message": message, "tenant_id": tenant_id, "stream": stream, "detail": detail}
        self.log_many(run_id, [entry])

    def log_many(self, run_id: str | None, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries with the keys level, message and optionally at, tenant_id, stream, detail."""
        rows = [_entry(entry, run_id) for entry in entries]
        if rows:
            with self._database.writing() as connection:
                connection.execute(sa.insert(schema.log), rows)

    def entries(
        self,
        *,
        run_id: str | None = None,
        level: str | Collection[str] | None = None,
        tenant_id: str | Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        skip: int = 0,
        limit: int = 1000,
    ) -> list[Row]:
        """The latest `limit` entries that fit, oldest first, in the columns of `sync.log`; `detail` is a dict.

        `after` is the entry id of the last one already seen, `skip` how many of the latest are left out. From `since`
        on and before `until`. Of several levels or tenants any one fits.
        """
        columns = schema.log.c
        query = sa.select(schema.log).where(columns.entry_id > after)
        for column, wanted in ((columns.run_id, run_id), (columns.level, level), (columns.tenant_id, tenant_id)):
            if wanted is not None:
                query = query.where(column.in_([wanted] if isinstance(wanted, str) else wanted))
        if since is not None:
            query = query.where(columns.at >= since)
        if until is not None:
            query = query.where(columns.at < until)
        return self._database.rows(query.order_by(columns.entry_id.desc()).limit(limit).offset(skip))[::-1]

    def runs_table(self) -> pa.Table:
        """All runs in the shape of `sync.runs`, oldest first, and after them what is queued."""
        shape = TABLES["sync.runs"].arrow_schema()
        runs = self._database.table(sa.select(schema.runs).order_by(schema.runs.c.number), shape)
        queued = [_queued(request) | {"counts": "{}"} for request in self.requests.open()]
        return pa.concat_tables([runs, pa.Table.from_pylist(queued, schema=shape)])

    def log_table(self) -> pa.Table:
        """The whole log in the shape of `sync.log`, oldest first."""
        query = sa.select(schema.log).order_by(schema.log.c.entry_id)
        return self._database.table(query, TABLES["sync.log"].arrow_schema())

    # --- retention

    def prune(self, before: datetime) -> dict[str, int]:
        """Delete what ended before this time: log entries, finished changes, approvals that are not open any more, and
        finished syncs with the requests they answered; how many of each. Decisions, links, places, leavers and what is
        still open stay for ever.
        """
        ended = {
            "log": (schema.log, schema.log.c.at < before),
            "intents": (schema.intents, schema.intents.c.closed_at < before),
            "approvals": (schema.approvals, schema.approvals.c.closed_at < before),
            "runs": (schema.runs, schema.runs.c.ended_at < before),
        }
        with self._database.writing() as connection:
            connection.execute(sa.delete(schema.requests).where(schema.requests.c.closed_at < before))
            return {
                name: connection.execute(sa.delete(table).where(is_old)).rowcount
                for name, (table, is_old) in ended.items()
            }


def _queued(request: Row) -> Row:
    """A request in the columns of `sync.runs`."""
    unknown = dict.fromkeys(("started_at", "ended_at", "tenants_ok", "tenants_failed"))
    return {
        "run_id": request["request_id"],
        "trigger": request["trigger"],
        "status": "queued",
        "counts": {},
        **unknown,
    }


def _entry(entry: Mapping[str, Any], run_id: str | None) -> Row:
    return {
        "run_id": run_id,
        "at": entry.get("at") or datetime.now(UTC),
        "level": entry["level"],
        "tenant_id": entry.get("tenant_id"),
        "stream": entry.get("stream"),
        "message": entry["message"],
        "detail": dict(entry.get("detail") or {}),
    }
