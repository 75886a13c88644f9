"""The tables of the state store, as SQLAlchemy knows them, and how an older database grows into them.

Column types are those that SQLite and PostgreSQL both have. A column that is added to a table after it was released
must be nullable. What does not live here: queries (`state` and the modules named after their subject).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, DropTable
from sqlalchemy.types import TypeDecorator

from o365_etl.store.state_engine import WRITES, connect

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
# `kind` is tenant or user.
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
    sa.Index("ix_decisions_subject", "tenant_id", "user_id"),
    sqlite_autoincrement=True,
)

# `since` and `rule` tell how the link came about, `applied_at` when the tenant's plan was first written.
links_tenant = sa.Table(
    "links_tenant",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("organization_id", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("rule", sa.Text),
    sa.Column("applied_at", UtcTime),
)

# Of the same user a tenant may leave contacts in several organizations, one after the other.
links_user = sa.Table(
    "links_user",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("organization_id", sa.Text, primary_key=True),
    sa.Column("contact_id", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("rule", sa.Text),
    sqlite_with_rowid=False,  # a million rows are written in half the time
)

# Records of IT Glue that are known by nothing else. A key has no NULL: '' is "about nobody in particular".
places = sa.Table(
    "places",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("resource", sa.Text, primary_key=True),
    sa.Column("subject_id", sa.Text, primary_key=True),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

# An approval is good for one run. `tenant_id` NULL is the account; `state` is open, used or replaced.
approvals = sa.Table(
    "approvals",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text),
    sa.Column("tenant_id", sa.Text),
    sa.Column("plan_hash", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("closed_at", UtcTime),
    sqlite_autoincrement=True,
)

# What is about to be written, noted before it is sent, and what became of it: open, applied, failed or skipped.
intents = sa.Table(
    "intents",
    METADATA,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("change_id", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("tenant_id", sa.Text),
    sa.Column("organization_id", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text),
    sa.Column("subject_id", sa.Text),
    sa.Column("fields", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("plan_hash", sa.Text),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("message", sa.Text),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("closed_at", UtcTime),
    sqlite_autoincrement=True,
)

# Who left: gone, disabled, shared or unlicensed.
leavers = sa.Table(
    "leavers",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
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

# Syncs that were asked for. `state` is queued, started, done or cancelled; `run_id` is the run that took it up.
requests = sa.Table(
    "requests",
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("queued_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime, nullable=False, index=True),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("tenants", sa.JSON, nullable=False),
    sa.Column("only_failed", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("closed_at", UtcTime),
)

# Tenants that fail for a reason only a person can mend: tried by themselves again not before `next_try_at`.
# `credential` is a fingerprint of what they were tried with.
quarantine = sa.Table(
    "quarantine",
    METADATA,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("error_code", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text),
    sa.Column("failing_since", UtcTime, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("next_try_at", UtcTime, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
)

# What people were told, or are to be told: `state` is raised, seen (not told yet) or over, `sent_at` NULL until the
# message went out. A row of kind `debt` is what one target still has to get.
alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("sent_at", UtcTime),
)

# Who may write, where several machines share the state store: one row, or none.
leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("renewed_at", UtcTime, nullable=False),
)


# Names the queue of `wait_for_turn` among the locks of a PostgreSQL database: "o365" in ASCII.
_TURN = 0x6F333635


def create_tables(engine: sa.Engine) -> None:
    """Create what is missing, tables and columns, also when several processes do so at once."""
    with connect(engine) as connection, connection.begin():
        if not list(_missing(connection)):
            return  # almost always: then nobody waits for a lock
    with connect(engine) as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            wait_for_turn(connection)
            # Looked at again: another process may have created in between.
            for statement in list(_missing(connection)):
                connection.execute(statement)


def wait_for_turn(connection: sa.Connection) -> None:
    """Wait until no other transaction that called this is left, and make the next ones wait for the end of this one.

    On SQLite a transaction that writes has waited for its turn already, when it began.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))


def _missing(connection: sa.Connection) -> Iterator[sa.Executable]:
    """The statements that make the database what is declared here."""
    inspector = sa.inspect(connection)
    found = {name: inspector.get_columns(name) for name in inspector.get_table_names() if name in METADATA.tables}
    for table in METADATA.sorted_tables:
        names = {column["name"] for column in found.get(table.name, ())}
        indexes = {index["name"] for index in inspector.get_indexes(table.name)} if names else set()
        if names and table is links_user and "organization_id" not in names:
            # Of this shape it was never filled.
            yield DropTable(table)
            names, indexes = set(), set()
        if not names:
            yield CreateTable(table)
        for column in table.columns if names else ():
            if column.name not in names:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                yield sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
        yield from (CreateIndex(index) for index in table.indexes if index.name not in indexes)
