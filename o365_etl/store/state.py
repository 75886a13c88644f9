"""The state store: what cannot be computed again. Decisions and links, the syncs and their log.

A SQLite file `{data_dir}/state.sqlite` by default, any SQLAlchemy URL instead. Small, transactional, used by several
processes at once; a connection is held for one statement or one short transaction only, so that a forked process or a
waiting review website never blocks a sync.

What does not live here: rows that a sync can make again (`warehouse`), and who may write (`lock`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from o365_etl.errors import LocalError
from o365_etl.store import state_schema as schema
from o365_etl.store.state_engine import open_engine, state_errors
from o365_etl.tables import TABLES

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TenantDecision:
    """What a person decided about a tenant. `action`: accept, to, create (an organization) or ignore."""

    tenant_id: str
    action: str
    organization_id: str | None
    who: str
    at: datetime
    why: str | None


@dataclass(frozen=True, slots=True)
class UserDecision:
    """What a person decided about a user. `action`: accept, to, create (a contact) or ignore."""

    tenant_id: str
    user_id: str
    action: str
    contact_id: str | None
    who: str
    at: datetime
    why: str | None


class StateStore:
    """Reads and writes the state. `place` is a data folder or a database URL.

    Every method raises `LocalError` (the file is damaged, locked or not writable), `UnreachableError` (a database
    server does not answer) or `ConfigError` (the URL is wrong).
    """

    def __init__(self, place: Path | str) -> None:
        self._engine = open_engine(place)
        self._is_ready = False

    # --- syncs

    def start_run(self, run_id: str, trigger: str, at: datetime, status: str = "syncing") -> None:
        """Open a run, or reopen it if its id is known (a retried run keeps its id)."""
        values = {"trigger": trigger, "started_at": at, "ended_at": None, "status": status, "counts": {}}
        values |= {"tenants_ok": None, "tenants_failed": None}
        with self._transaction() as connection:
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
        rows = self._rows(sa.select(schema.runs).where(schema.runs.c.run_id == run_id))
        if not rows:
            raise LocalError(f"the state store knows no run {run_id}")
        return rows[0]

    def _update_run(self, run_id: str, values: Row) -> None:
        with self._transaction() as connection:
            known = connection.execute(sa.update(schema.runs).where(schema.runs.c.run_id == run_id).values(values))
            if not known.rowcount:
                raise LocalError(f"the state store knows no run {run_id}")

    def close_abandoned(self, reason: str) -> list[str]:
        """Close every run still `syncing` as failed and log `reason`; returns their ids. For the lock's holder only."""
        at = datetime.now(UTC)
        with self._transaction() as connection:
            open_runs = schema.runs.c.status == "syncing"
            run_ids = list(connection.scalars(sa.select(schema.runs.c.run_id).where(open_runs)))
            if run_ids:
                connection.execute(sa.update(schema.runs).where(open_runs).values(status="failed", ended_at=at))
                entries = [_entry({"at": at, "level": "error", "message": reason}, run_id) for run_id in run_ids]
                connection.execute(sa.insert(schema.log), entries)
        return run_ids

    def runs(self, limit: int = 100) -> list[Row]:
        """The latest runs, newest first, in the columns of `sync.runs`; `counts` is a dict."""
        return self._rows(sa.select(schema.runs).order_by(schema.runs.c.number.desc()).limit(limit))

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
            with self._transaction() as connection:
                connection.execute(sa.insert(schema.log), rows)

    def entries(
        self,
        *,
        run_id: str | None = None,
        level: str | None = None,
        tenant_id: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Row]:
        """The latest `limit` entries that fit, oldest first, in the columns of `sync.log`; `detail` is a dict.

        `after` is the entry id of the last one already seen.
        """
        columns = schema.log.c
        query = sa.select(schema.log).where(columns.entry_id > after)
        for column, wanted in ((columns.run_id, run_id), (columns.level, level), (columns.tenant_id, tenant_id)):
            if wanted is not None:
                query = query.where(column == wanted)
        return self._rows(query.order_by(columns.entry_id.desc()).limit(limit))[::-1]

    def runs_table(self) -> pa.Table:
        """All runs in the shape of `sync.runs`, oldest first."""
        return self._arrow("sync.runs", sa.select(schema.runs).order_by(schema.runs.c.number))

    def log_table(self) -> pa.Table:
        """The whole log in the shape of `sync.log`, oldest first."""
        return self._arrow("sync.log", sa.select(schema.log).order_by(schema.log.c.entry_id))

    # --- decisions and links

    def decisions_in_force(self) -> tuple[list[TenantDecision], list[UserDecision]]:
        """The decision that holds for each subject. An `undo` takes back the last one that is not undone yet."""
        held: dict[tuple[str, str | None], list[Row]] = {}
        for row in self._rows(sa.select(schema.decisions).order_by(schema.decisions.c.id)):
            stack = held.setdefault((row["tenant_id"], row["user_id"]), [])
            if row["action"] != "undo":
                stack.append(row)
            elif stack:
                stack.pop()
        latest = [stack[-1] for stack in held.values() if stack]
        return (
            [_tenant_decision(row) for row in latest if row["kind"] == "tenant"],
            [_user_decision(row) for row in latest if row["kind"] == "user"],
        )

    def links(self) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
        """Links from earlier syncs: tenant id → organization id, and (tenant id, user id) → contact id."""
        tenants, users = schema.links_tenant.c, schema.links_user.c
        with self._transaction() as connection:
            of_tenants = connection.execute(sa.select(tenants.tenant_id, tenants.organization_id)).all()
            of_users = connection.execute(sa.select(users.tenant_id, users.user_id, users.contact_id)).all()
        return {row[0]: row[1] for row in of_tenants}, {(row[0], row[1]): row[2] for row in of_users}

    # --- how

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with state_errors(self._engine):
            if not self._is_ready:
                schema.create_tables(self._engine)
                self._is_ready = True
            with self._engine.begin() as connection:
                yield connection

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        with self._transaction() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        for row in rows:
            row.pop("number", None)  # the order of the runs, not part of the public shape
        return rows

    def _arrow(self, table: str, query: sa.Select[Any]) -> pa.Table:
        arrow_schema = TABLES[table].arrow_schema()
        rows = self._rows(query)
        columns: dict[str, Sequence[Any]] = {}
        for name in arrow_schema.names:
            values = [row[name] for row in rows]
            columns[name] = [json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for v in values]
        return pa.table(columns, schema=arrow_schema)


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


def _tenant_decision(row: Row) -> TenantDecision:
    return TenantDecision(row["tenant_id"], row["action"], row["organization_id"], row["who"], row["at"], row["why"])


def _user_decision(row: Row) -> UserDecision:
    return UserDecision(
        row["tenant_id"], row["user_id"], row["action"], row["contact_id"], row["who"], row["at"], row["why"]
    )
