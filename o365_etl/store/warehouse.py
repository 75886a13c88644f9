"""The warehouse: the embedded DuckDB file `{data_dir}/warehouse.duckdb`, its connection and its tables.

One process at a time may have the file open, even for reading (DuckDB's lock), so a connection is opened late and
closed early; people open the published copy instead (`o365_etl.store.published`). All access goes through `Db`, which
uses only what DuckDB 1.5 and 2.0 do alike.

What does not live here: the warehouse that several machines share (`lake`), the columns (`o365_etl.tables`), the checks
(`checks`) and the SQL that fills the tables (`store/sql`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from duckdb.func import PythonUDFType

from o365_etl.errors import O365EtlError
from o365_etl.store.disk import local_errors, make_folder
from o365_etl.store.duckdb_errors import file_errors
from o365_etl.tables import SCHEMAS, TABLES, Table

FILE_NAME = "warehouse.duckdb"
# Closing the gaps that deleted rows leave rewrites a table around them, for one row as for all: it is done when there
# are so many rows stored for each that is left, in a table of so many rows.
_MOST_STORED = 1.5
_LARGE = 250_000
_VACUUM_TASKS = 100
# As many as the limits of memory were measured with, whatever the machine has. With a small file one: to wake another
# costs more than the statement that it helps with.
THREADS = 2
_LITTLE_MEMORY = "250MB"
# Bytes of the file, and of the changes that are not yet in it.
_SMALL = 32 * 1024 * 1024

Parameters = Sequence[object] | Mapping[str, object]
Config: TypeAlias = dict[str, str | bool | int | float | list[str]]
ArrowRows: TypeAlias = "pa.Table | pa.RecordBatchReader"

# What is concluded about a tenant, in this order; and about a slice of its users.
STAGES = ("match_contacts", "hold_back", "compare", "history", "plan", "plan_records")
SLICED = ("compare_contacts", "versions", "plan_people")
_FIELDS = next(column.values for column in TABLES["compare.contacts"].columns if column.name == "field")
_PLANNED = (
    *("change_id", "tenant_id", "organization_id", "action", "resource", "target_id", "fields", "reason", "state"),
    "subject_id",
)
# Tables of the warehouse that are not published, and tables of the contract that are views of them here; the file
# with the view's SQL beside it. The published copy has a table of each.
WORKING: Mapping[str, tuple[str, ...]] = {
    "work.contact_sides": (
        *("tenant_id", "user_id", "organization_id", "contact_id", "user_principal_name"),
        *(f"{side}_{field}" for side in "mis" for field in _FIELDS),
    ),
    "work.tenant_locations": ("tenant_id", "location_id", "is_open"),
    # What of the landing zone stands in the tables: a source (`itglue`), a stream, what names its state; of tenants all
    # streams together, and parts of them (`pipeline.loading` says which). And what was concluded of it. Steps that may
    # be at work at once have a table each.
    "work.loaded": ("source", "stream", "mark"),
    "work.loaded_tenants": ("tenant_id", "mark", "basis", "slices"),
    **{f"work.concluded_{stage}": ("tenant_id", "mark") for stage in STAGES},
    **{f"work.concluded_{stage}": ("tenant_id", "slice", "mark") for stage in SLICED},
    # Whom the audit held back.
    "work.held": ("tenant_id", "user_id", "candidates", "evidence"),
    # What is planned for each tenant's contacts, locations and assets, which stands until something of it changes, with
    # what the brakes count of each slice of it; and what is planned anew by each run. The plan of a run: each tenant's
    # (the account's: '') hash and state, and why it waits. And what became of changes: the columns of sync.changes.
    "work.planned": _PLANNED,
    "work.tallies": ("tenant_id", "slice", "tally"),
    "work.planned_now": _PLANNED,
    "work.plans": ("tenant_id", "run_id", "plan_hash", "state", "why"),
    "work.finished": TABLES["sync.changes"].column_names,
}
VIEWS: Mapping[str, str] = {"compare.contacts": "compare_contacts", "sync.changes": "sync_changes"}

# NULL must stay NULL: by default pandas makes floats of integers and objects of booleans that have one.
_NULLABLE: Mapping[pa.DataType, Any] = {
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


class Warehouse:
    """Where the tables are.

    `memory_limit` bounds DuckDB's own memory, beyond it DuckDB writes to `{data_dir}/warehouse.tmp`. Each of its
    threads takes memory of its own: with eight instead of two the same limit is not enough for the same work.
    """

    def __init__(self, data_dir: Path, *, memory_limit: str = "400MB") -> None:
        self.data_dir = data_dir
        self.path = data_dir / FILE_NAME
        self._config: Config = {
            "memory_limit": memory_limit,
            "temp_directory": str(data_dir / "warehouse.tmp"),
            # Order costs memory on large inserts; whoever needs one says ORDER BY.
            "preserve_insertion_order": False,
            # Nothing is ever fetched from the network behind the user's back.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }

    @property
    def is_small(self) -> bool:
        """Whether an open one holds so little memory that it may stay open."""
        return sum(path.stat().st_size for path in self.data_dir.glob(f"{FILE_NAME}*") if path.is_file()) <= _SMALL

    @property
    def exists(self) -> bool:
        """Whether it was made already."""
        return self.path.is_file()

    @contextlib.contextmanager
    def connect(self, functions: Mapping[str, Callable[[str], str]] | None = None) -> Iterator[Db]:
        """Open the file, create what the contract of the tables names and the file lacks, close at the end.

        `functions` become SQL functions VARCHAR → VARCHAR; they never see a NULL: NULL in is NULL out.
        Raises `BusyError` if another process has it open, `LocalError` with code `damaged` if it is not a DuckDB
        file of a version this one reads, or `disk_full`, `memory`, `local`.
        """
        make_folder(self.data_dir)
        settings = {**self._config, "threads": self._threads()}
        with self._opened(settings) as connection:
            db = Db(connection, self._errors, settings)
            db.execute("SET TimeZone = 'UTC'")
            for name, function in (functions or {}).items():
                db.create_function(name, function)
            if not _is_complete(db):
                with self._creating():
                    create_tables(db)
            # The published copy is written through this connection too, and made anew when it has grown.
            db.execute(f"SET max_vacuum_tasks = {_VACUUM_TASKS if self._has_gaps(db) else 0}")
            yield db

    def tidy(self, db: Db) -> None:
        """What is to be done once a sync is published: nothing, for a file keeps no older versions."""

    def _threads(self) -> int:
        return 1 if self.is_small else THREADS

    @contextlib.contextmanager
    def _opened(self, settings: Config) -> Iterator[duckdb.DuckDBPyConnection]:
        is_new = not self.path.exists()
        with self._errors():
            connection = duckdb.connect(str(self.path), config=settings)
        try:
            if is_new:
                with local_errors(f"protect {self.path}"):
                    self.path.chmod(0o600)
            yield connection
        finally:
            with self._errors():
                connection.close()

    def _has_gaps(self, db: Db) -> bool:
        """Whether so many rows were deleted that what is changed next is better written anew."""
        stored = db.rows(
            "SELECT schema_name, table_name, estimated_size FROM duckdb_tables()"
            " WHERE database_name = current_database() AND estimated_size > ?",
            [_LARGE],
        )
        return any(
            rows > _MOST_STORED * int(db.scalar(f'SELECT count(*) FROM "{schema}"."{table}"'))
            for schema, table, rows in stored
        )

    def _creating(self) -> AbstractContextManager[object]:
        """Held while tables are created: nobody else does so then."""
        return contextlib.nullcontext()

    def _errors(self) -> AbstractContextManager[None]:
        return file_errors(self.path)


class Db:
    """One open connection. Values go in as parameters, names of tables and columns come from the contract only."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        errors: Callable[[], AbstractContextManager[None]],
        settings: Config,
    ) -> None:
        self._connection = connection
        self._settings = dict(settings)
        self._in_transaction = False
        self._errors = errors

    def execute(self, sql: str, params: Parameters | None = None) -> None:
        """Run one statement for its effect."""
        self.rows(sql, params)

    def rows(self, sql: str, params: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows; an INSERT, UPDATE or DELETE returns one: the count."""
        with self._errors():
            return self._connection.execute(sql, params).fetchall()

    def dicts(self, sql: str, params: Parameters | None = None) -> list[dict[str, Any]]:
        """The rows of a SELECT by column name; by way of Arrow they would take nearly twice as long."""
        with self._errors():
            found = self._connection.execute(sql, params)
            names = [name for name, *_ in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def scalar(self, sql: str, params: Parameters | None = None) -> Any:
        """The first column of the first row; None if there is no row."""
        rows = self.rows(sql, params)
        return rows[0][0] if rows else None

    def counts(self, tables: Sequence[str]) -> dict[str, int]:
        """How many rows each of these tables of the contract has."""
        asked = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {quoted(name)}" for name in tables)
        found = dict(self.rows(asked))
        return {name: found[name] for name in tables}

    def arrow(self, sql: str, params: Parameters | None = None) -> pa.Table:
        """The result of a SELECT as an Arrow table."""
        with self._errors():
            # Not `execute(…)`: there DuckDB 2 warns that it copies the rows once more.
            return self._connection.sql(sql, params=params).to_arrow_table()

    def frame(self, sql: str, params: Parameters | None = None) -> pd.DataFrame:
        """The result of a SELECT as a pandas frame; integers and booleans are nullable."""
        frame: pd.DataFrame = self.arrow(sql, params).to_pandas(types_mapper=_NULLABLE.get)
        return frame

    def run_file(self, name: str, **params: object) -> list[tuple[Any, ...]]:
        """Run the one statement in `o365_etl/store/sql/{name}.sql`, with `$name` parameters; returns its rows."""
        return self.rows(sql_of(name), params or None)

    def portions(self, name: str, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of the SELECT in `o365_etl/store/sql/{name}.sql`, at most so many at a time, as they are asked for;
        nothing else can be run before the last.
        """
        with self._errors():
            result = self._connection.execute(sql_of(name))
            while portion := result.fetchmany(rows):
                yield portion

    def arrow_file(self, name: str, **params: object) -> pa.Table:
        """The result of the SELECT in `o365_etl/store/sql/{name}.sql`, with `$name` parameters, as an Arrow table."""
        return self.arrow(sql_of(name), params or None)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; inside another transaction it is a part of that one."""
        if self._in_transaction:
            yield
            return
        self.execute("BEGIN TRANSACTION")
        self._in_transaction = True
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            # A failed COMMIT, or a broken database, has ended the transaction already.
            with contextlib.suppress(duckdb.Error, O365EtlError):
                self.execute("ROLLBACK")
            raise
        finally:
            self._in_transaction = False

    def on_one_thread(self) -> AbstractContextManager[None]:
        """DuckDB works on one thread within: for rows handed in from Python, or copied from file to file. Several would
        cost up to twice the CPU, a fifth more memory and gain no time, for rows are packed by one thread when they are
        committed.
        """
        return self._having("threads", 1)

    def in_little_memory(self) -> AbstractContextManager[None]:
        """DuckDB uses less memory within: where much is held beside it, by Python, or by DuckDB itself beyond its limit
        (the rows of a transaction that is not committed yet).
        """
        return self._having("memory_limit", _LITTLE_MEMORY)

    @contextlib.contextmanager
    def _having(self, setting: str, value: str | int) -> Iterator[None]:
        before = self._settings[setting]
        if before == value:
            yield
            return
        self.execute(f"SET {setting} = '{value}'")
        self._settings[setting] = value
        try:
            yield
        finally:
            self._settings[setting] = before
            with contextlib.suppress(duckdb.Error, O365EtlError):  # of a broken database the first error is told
                self.execute(f"SET {setting} = '{before}'")

    @contextlib.contextmanager
    def registered(self, **frames: ArrowRows) -> Iterator[None]:
        """Make Arrow tables or readers (read once) usable as tables in SQL, under these names, without a copy."""
        try:
            for name, frame in frames.items():
                self.register(name, frame)
            yield
        finally:
            for name in frames:
                self._connection.unregister(name)

    def register(self, name: str, frame: ArrowRows) -> None:
        """Make an Arrow table or reader usable as a table in SQL until the connection is closed."""
        self._connection.register(name, frame)

    def replace(self, table: str, frame: ArrowRows, tenants: Sequence[str] | None) -> int:
        """Delete the rows of `tenants` (None: all rows) and insert those of `frame`; returns the number inserted.

        `table` is a name of the contract (`m365.users`). One transaction, or a part of the one that is open.
        """
        with self.transaction():
            if tenants is None:
                self.execute(f"DELETE FROM {TABLES[table].full_name}")
            else:
                self.execute(
                    f"DELETE FROM {TABLES[table].full_name} WHERE tenant_id IN (SELECT unnest(?::VARCHAR[]))",
                    [list(tenants)],
                )
            return self.append(table, frame)

    def append(self, table: str, frame: ArrowRows) -> int:
        """Insert the rows of `frame`, matched by column name; columns it lacks become NULL. Returns their number."""
        with self.registered(incoming=frame):
            return int(self.scalar(f"INSERT INTO {TABLES[table].full_name} BY NAME SELECT * FROM incoming"))

    def create_function(self, name: str, function: Callable[[str], str]) -> None:
        """Make `function` callable in SQL: VARCHAR → VARCHAR, NULL → NULL."""

        def over_column(column: pa.ChunkedArray) -> pa.Array:
            return pa.array([None if value is None else function(value) for value in column.to_pylist()], pa.string())

        # Functions belong to the database as it is open in this process: another connection may have brought it.
        with contextlib.suppress(duckdb.CatalogException):
            # A column at a time: a third less time than a call from DuckDB for each value.
            self._connection.create_function(name, over_column, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def quoted(table: str) -> str:
    """The name of a table as SQL takes it in every version: `match` is a word of the language in newer DuckDB."""
    return ".".join(f'"{part}"' for part in table.split("."))


def name_tenants(db: Db, table: str, tenants: Sequence[str]) -> None:
    """Make a temporary table of these tenants' ids."""
    db.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT unnest(?::VARCHAR[]) AS tenant_id", [list(tenants)])


def sql_of(name: str) -> str:
    """The statement in `o365_etl/store/sql/{name}.sql`."""
    return resources.files("o365_etl.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def create_tables(db: Db) -> None:
    """Create the schemas and tables of the contract, and add the columns that a newer contract has."""
    if _is_complete(db):
        return
    present = _columns(db)
    with db.transaction():
        for schema in (*SCHEMAS, "work"):
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, columns in WORKING.items():
            if present.get(name) != set(columns):
                db.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{column} VARCHAR' for column in columns)})")
        for name, file in VIEWS.items():
            _drop_table(db, name)
            db.run_file(file)
        for name, table in _stored().items():
            db.execute(table.ddl())
            for column in table.columns:
                if name in present and column.name not in present[name]:
                    db.execute(f'ALTER TABLE {name} ADD COLUMN "{column.name}" {column.type}')


def _drop_table(db: Db, name: str) -> None:
    """What is a view today was a table once."""
    if db.scalar("SELECT count(*) FROM duckdb_tables() WHERE schema_name || '.' || table_name = ?", [name]):
        db.execute(f"DROP TABLE {name}")


def _stored() -> dict[str, Table]:
    return {name: table for name, table in TABLES.items() if name not in VIEWS}


def _is_complete(db: Db) -> bool:
    present = _columns(db)
    wanted = {**{name: set(table.column_names) for name, table in _stored().items()}, **WORKING}
    return all(present.get(name, set()).issuperset(columns) for name, columns in wanted.items())


def _columns(db: Db) -> dict[str, set[str]]:
    """Table → the columns it has."""
    present: dict[str, set[str]] = {}
    for table_name, column_name in db.rows(
        "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal"
    ):
        present.setdefault(table_name, set()).add(column_name)
    return present
