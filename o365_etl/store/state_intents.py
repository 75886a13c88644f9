"""What is about to be written to IT Glue, noted before it is sent, and what became of it.

An intent that is still open when its run is over was sent or not: nobody knows. The next run reads IT Glue and closes
it before it writes anything. What does not live here: sending and finding out (`sync`, `pipeline`), and the table
itself (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from o365_etl.errors import ConflictError, LocalError
from o365_etl.store.state_database import Database, Row, chunks
from o365_etl.store.state_links import write_place, write_tenant_links, write_user_links
from o365_etl.store.state_schema import intents
from o365_etl.tables import TABLES

Outcome: TypeAlias = Literal["applied", "failed", "skipped"]
OUTCOMES: tuple[Outcome, ...] = ("applied", "failed", "skipped")

# The rule of a link to a record that this program created.
CREATED = "created"
_CHANGE = (
    "change_id",
    "tenant_id",
    "organization_id",
    "action",
    "resource",
    "target_id",
    "subject_id",
    "fields",
    "reason",
    "plan_hash",
)


class Intents:
    """Notes changes and what became of them. Part of `StateStore`; raises what it raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, run_id: str, changes: Sequence[Mapping[str, Any]]) -> list[int]:
        """Note changes (rows of `sync.changes`) that are going to be sent, all or none; their numbers, in order.

        When this returns, they outlive the process and a power cut.
        """
        if not changes:
            return []
        values = _values(run_id, changes, state="open", opened_at=datetime.now(UTC))
        with self._database.writing() as connection:
            returning = sa.insert(intents).returning(intents.c.number, sort_by_parameter_order=True)
            return list(connection.scalars(returning, values))

    def close(self, outcomes: Sequence[Mapping[str, Any]]) -> None:
        """Note what became of changes, and in the same transaction what is to be remembered of them.

        An outcome has `number` and `state`, and where there is something to say `target_id`, `message`, `link` (tenant,
        user, organization, contact), `tenant_link` (tenant, organization), `place` (tenant, resource, subject, target).
        Raises `ConflictError` if one is closed already, `LocalError` if there is none; then nothing is noted.
        """
        at = datetime.now(UTC)
        for outcome in outcomes:
            _check(outcome["state"])
        with self._database.writing() as connection:
            for outcome in outcomes:
                _close(connection, outcome, at)
            links = [(*outcome["link"], CREATED) for outcome in outcomes if outcome.get("link")]
            write_user_links(connection, links, at)
            tenant_links = [(*outcome["tenant_link"], CREATED) for outcome in outcomes if outcome.get("tenant_link")]
            write_tenant_links(connection, tenant_links, at)
            for outcome in outcomes:
                if outcome.get("place"):
                    write_place(connection, outcome["place"], at)

    def record(self, run_id: str, changes: Iterable[Mapping[str, Any]], state: Outcome, message: str | None) -> None:
        """Note changes that ended without a request: skipped, or failed before anything was sent."""
        _check(state)
        at = datetime.now(UTC)
        with self._database.writing() as connection:
            for chunk in chunks(changes):
                values = _values(run_id, chunk, state=state, message=message, opened_at=at, closed_at=at)
                connection.execute(sa.insert(intents), values)

    def pending(self) -> list[Row]:
        """The intents of which nobody knows yet what became of them, oldest first."""
        return self._database.rows(sa.select(intents).where(intents.c.state == "open").order_by(intents.c.number))

    def finished_table(self, since: datetime | None = None) -> pa.Table:
        """What became of changes in the shape of `sync.changes`, the last outcome of each; finished since, if given."""
        columns = intents.c
        schema = TABLES["sync.changes"].arrow_schema()
        newest = sa.select(sa.func.max(columns.number)).where(columns.state != "open").group_by(columns.change_id)
        shown = {**dict(columns.items()), "finished_at": columns.closed_at}
        query = sa.select(*(shown[name].label(name) for name in schema.names))
        query = query.where(columns.number.in_(newest)).order_by(columns.number)
        if since is not None:
            query = query.where(columns.closed_at >= since)
        return self._database.table(query, schema)

    def counts(self, run_id: str) -> dict[str, int]:
        """How many changes of a run are open, applied, failed, skipped; what there is none of is left out."""
        query = sa.select(intents.c.state, sa.func.count()).where(intents.c.run_id == run_id).group_by(intents.c.state)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def _close(connection: sa.Connection, outcome: Mapping[str, Any], at: datetime) -> None:
    values: Row = {"state": outcome["state"], "message": outcome.get("message"), "closed_at": at}
    if outcome.get("target_id") is not None:
        values["target_id"] = outcome["target_id"]
    number = outcome["number"]
    is_it = intents.c.number == number
    if not connection.execute(sa.update(intents).where(is_it, intents.c.state == "open").values(values)).rowcount:
        found = connection.scalar(sa.select(intents.c.state).where(is_it))
        if found is None:
            raise LocalError(f"the state store knows no change number {number}")
        raise ConflictError(f"change number {number} is closed already, as {found}")


def _check(state: str) -> None:
    if state not in OUTCOMES:
        raise ValueError(f"{state!r} is nothing that a change ends as: {', '.join(OUTCOMES)}")


def _values(run_id: str, changes: Iterable[Mapping[str, Any]], **common: Any) -> list[Row]:
    return [{**{name: change.get(name) for name in _CHANGE}, "run_id": run_id, **common} for change in changes]
