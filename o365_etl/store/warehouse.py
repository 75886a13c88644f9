"""The warehouse: the embedded DuckDB file `{data_dir}/warehouse.duckdb`, its connection and its tables.

One process at a time may have the file open, even for reading (DuckDB's lock), so a connection is opened late and
closed early; people open the published copy instead (`o365_etl.store.published`). All access goes through `Db`, which
uses only what DuckDB 1.5 and 2.0 do alike.

What does not live here: the columns (`o365_etl.tables`), the checks (`checks`) and the SQL that fills the tables
(`store/sql`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from duckdb.func import PythonUDFType

from o365_etl.errors import BusyError, LocalError
from o365_etl.store.disk import local_errors, make_folder
from o365_etl.tables import SCHEMAS, TABLES

FILE_NAME = "warehouse.duckdb"

Parameters = Sequence[object] | Mapping[str, object]
ArrowRows: TypeAlias = "pa.Table | pa.RecordBatchReader"

_DAMAGED = re.compile(
    r"not a valid DuckDB|corrupt|checksum|read enough bytes|version number|serializ|invalidated", re.I
)
_FULL = re.compile(r"no space left|file too large|disk quota|temp_directory_size|could not write", re.I)

_FIELDS = next(column.values for column in TABLES["compare.contacts"].columns if column.name == "field")
# Tables of the warehouse that are not published, and tables of the contract that are views of them here; the file
# with the view's SQL beside it. The published copy has a table of each.
WORKING: Mapping[str, tuple[str, ...]] = {
    "work.contact_sides": (
        *("tenant_id", "user_id", "organization_id", "contact_id", "user_principal_name"),
        *(f"{side}_{field}" for side in "mis" for field in _FIELDS),
    ),
    "work.tenant_locations": ("tenant_id", "location_id", "is_open"),
}
VIEWS: Mapping[str, str] = {"compare.contacts": "compare_contacts"}

# NULL must stay NULL: by default pandas makes floats of integers and objects of booleans that have one.
_NULLABLE: Mapping[pa.DataType, Any] = {
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


class Warehouse:
    """Where the tables are.

    `memory_limit` bounds DuckDB's own memory, beyond it DuckDB writes to `{data_dir}/warehouse.tmp`.
    """

    def __init__(self, data_dir: Path, *, memory_limit: str = "400MB", threads: int | None = None) -> None:
        self.data_dir = data_dir
        self.path = data_dir / FILE_NAME
        self._config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": str(data_dir / "warehouse.tmp"),
            # Order costs memory on large inserts; whoever needs one says ORDER BY.
            "preserve_insertion_order": False,
            # Nothing is ever fetched from the network behind the user's back.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if threads is not None:
            self._config["threads"] = threads

    @contextlib.contextmanager
    def connect(
        self, functions: Mapping[str, Callable[[str], str]] | None = None, *, memory_limit: str | None = None
    ) -> Iterator[Db]:
        """Open the file, create what the contract of the tables names and the file lacks, close at the end.

        `memory_limit` instead of the warehouse's own, for work that needs much memory of Python beside DuckDB's.

        `functions` become SQL functions VARCHAR → VARCHAR; they never see a NULL: NULL in is NULL out.
        Raises `BusyError` if another process has it open, `LocalError` with code `damaged` if it is not a DuckDB
        file of a version this one reads, or `disk_full`, `memory`, `local`.
        """
        make_folder(self.data_dir)
        is_new = not self.path.exists()
        with _duckdb_errors(self.path):
            connection = duckdb.connect(str(self.path), config=self._config)
        try:
            if is_new:
                with local_errors(f"protect {self.path}"):
                    self.path.chmod(0o600)
            db = Db(connection, self.path)
            db.execute("SET TimeZone = 'UTC'")
            if memory_limit is not None:
                db.execute(f"SET memory_limit = '{memory_limit}'")
            for name, function in (functions or {}).items():
                db.create_function(name, function)
            create_tables(db)
            yield db
        finally:
            with _duckdb_errors(self.path):
                connection.close()


class Db:
    """One open connection. Values go in as parameters, names of tables and columns come from the contract only."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._connection = connection
        self._in_transaction = False
        self.path = path

    def execute(self, sql: str, params: Parameters | None = None) -> None:
        """Run one statement for its effect."""
        self.rows(sql, params)

    def rows(self, sql: str, params: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows; an INSERT, UPDATE or DELETE returns one: the count."""
        with _duckdb_errors(self.path):
            return self._connection.execute(sql, params).fetchall()

    def scalar(self, sql: str, params: Parameters | None = None) -> Any:
        """The first column of the first row; None if there is no row."""
        rows = self.rows(sql, params)
        return rows[0][0] if rows else None

    def arrow(self, sql: str, params: Parameters | None = None) -> pa.Table:
        """The result of a SELECT as an Arrow table."""
        with _duckdb_errors(self.path):
            # Not `execute(…)`: there DuckDB 2 warns that it copies the rows once more.
            return self._connection.sql(sql, params=params).to_arrow_table()

    def frame(self, sql: str, params: Parameters | None = None) -> pd.DataFrame:
        """The result of a SELECT as a pandas frame; integers and booleans are nullable."""
        frame: pd.DataFrame = self.arrow(sql, params).to_pandas(types_mapper=_NULLABLE.get)
        return frame

    def run_file(self, name: str, **params: object) -> list[tuple[Any, ...]]:
        """Run the one statement in `o365_etl/store/sql/{name}.sql`, with `$name` parameters; returns its rows."""
        return self.rows(sql_of(name), params or None)

    def arrow_file(self, name: str) -> pa.Table:
        """The result of the SELECT in `o365_etl/store/sql/{name}.sql` as an Arrow table."""
        return self.arrow(sql_of(name))

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
            with contextlib.suppress(duckdb.Error, LocalError):
                self.execute("ROLLBACK")
            raise
        finally:
            self._in_transaction = False

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


def sql_of(name: str) -> str:
    """The statement in `o365_etl/store/sql/{name}.sql`."""
    return resources.files("o365_etl.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def create_tables(db: Db) -> None:
    """Create the schemas and tables of the contract, and add the columns that a newer contract has."""
    present: dict[str, set[str]] = {}
    for table_name, column_name in db.rows(
        "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal"
    ):
        present.setdefault(table_name, set()).add(column_name)
    contract = {name: table for name, table in TABLES.items() if name not in VIEWS}
    wanted = {**{name: set(table.column_names) for name, table in contract.items()}, **WORKING}
    if all(present.get(name, set()).issuperset(columns) for name, columns in wanted.items()):
        return
    with db.transaction():
        for schema in (*SCHEMAS, "work"):
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, columns in WORKING.items():
            if present.get(name) != set(columns):
                db.execute(f"CREATE OR REPLACE TABLE {name} ({', '.join(f'{column} VARCHAR' for column in columns)})")
        for name, file in VIEWS.items():
            _drop_table(db, name)
            db.run_file(file)
        for name, table in contract.items():
            db.execute(table.ddl())
            for column in table.columns:
                if name in present and column.name not in present[name]:
                    db.execute(f'ALTER TABLE {name} ADD COLUMN "{column.name}" {column.type}')


def _drop_table(db: Db, name: str) -> None:
    """What is a view today was a table once."""
    if db.scalar("SELECT count(*) FROM duckdb_tables() WHERE schema_name || '.' || table_name = ?", [name]):
        db.execute(f"DROP TABLE {name}")


@contextlib.contextmanager
def _duckdb_errors(path: Path) -> Iterator[None]:
    """Turn the errors of the file, the disk and the memory into ours; a wrong statement stays DuckDB's own error."""
    try:
        yield
    except duckdb.Error as error:
        translated = _translated(error, path)
        if translated is None:
            raise
        raise translated from error


def _translated(error: duckdb.Error, path: Path) -> LocalError | BusyError | None:
    text = str(error).splitlines()[0]
    is_file_error = isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException)
    if isinstance(error, duckdb.OutOfMemoryException):
        if _FULL.search(text):
            return _disk_full(path)
        return LocalError(
            "the memory that DuckDB may use is not enough",
            code="memory",
            remedy="Stop other programs on this machine, or sync fewer tenants at once.",
        )
    # DuckDB 2 raises the bare base class for a damaged header.
    if not is_file_error and type(error) is not duckdb.Error:
        return None
    if "lock" in text.lower() and (holder := re.search(r"PID (\d+)", str(error))):
        return BusyError(f"{path} is open in another process (pid {holder[1]})")
    if _FULL.search(text):
        return _disk_full(path)
    if _DAMAGED.search(text) or isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return LocalError(
            f"{path} is damaged, or was written by a newer DuckDB",
            code="damaged",
            remedy="Move it away; the next sync makes a new one.",
        )
    return LocalError(f"DuckDB cannot use {path}: {text}")


def _disk_full(path: Path) -> LocalError:
    return LocalError(f"the disk of {path.parent} is full", code="disk_full", remedy="Free disk space, then run again.")
