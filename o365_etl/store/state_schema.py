"""The tables of the state store, as SQLAlchemy knows them.

Column types are those that SQLite and PostgreSQL both have. What does not live here: queries (`state`).
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeDecorator

METADATA = sa.MetaData()


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, with its zone on the Python side also where the database (SQLite) keeps none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Convert to UTC; a time without zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give it the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself only in a column of type INTEGER.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Append-only. `before` is what held until then, for the person who asks; `undo` takes back the last decision.
decisions = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("organization_id", sa.Text),
    sa.Column("contact_id", sa.Text),
    sa.Column("before", sa.JSON),
    sqlite_autoincrement=True,
)

links_tenant = sa.Table(
    "links_tenant",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("organization_id", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("rule", sa.Text),
)

links_user = sa.Table(
    "links_user",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("contact_id", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("rule", sa.Text),
)

# `number` is the order of the runs: two may start within one tick of the clock.
runs = sa.Table(
    "runs",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.Text, nullable=False, unique=True),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("tenants_ok", sa.BigInteger),
    sa.Column("tenants_failed", sa.BigInteger),
    sa.Column("counts", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

log = sa.Table(
    "log",
    METADATA,
    sa.Column("entry_id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.Text, index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, index=True),
    sa.Column("stream", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)


def create_tables(engine: sa.Engine) -> None:
    """Create what is missing, also when several processes do so at once."""
    # Not METADATA.create_all: it looks first and creates then, and between the two another process may have created.
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
