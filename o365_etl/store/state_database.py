"""Transactions on the database of the state store, and what SQLite and PostgreSQL say differently.

A connection is held for one statement or one short transaction only, so that a forked process or a waiting review
website never blocks a sync. What does not live here: opening the database (`state_engine`), its tables
(`state_schema`), and what is done with them (`state` and the modules named after their subject).
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from o365_etl.store.state_engine import WRITES, connect, open_engine, state_errors
from o365_etl.store.state_schema import create_tables, wait_for_turn

Row = dict[str, Any]
T = TypeVar("T")

# Rows that are in memory at a time, on the way in and on the way out.
ROWS_PER_BATCH = 50_000
# Rows that are objects of their own at a time: so few are gone before the collection of garbage looks at them.
_ROWS_FETCHED = 500


class Database:
    """The database of the state store. `place` is a data folder or a database URL; made on first use.

    Every method raises `LocalError` (the file is damaged, locked or not writable), `UnreachableError` (a database
    server does not answer) or `ConfigError` (the URL is wrong).
    """

    def __init__(self, place: Path | str) -> None:
        self._engine = open_engine(place)
        self._is_ready = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees the database at one moment and changes nothing."""
        with self._connected() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self, *, exclusive: bool = False) -> Iterator[sa.Connection]:
        """A transaction that is done as a whole or not at all.

        `exclusive`: for what reads first and then writes what follows from it; such transactions of all processes
        come one after the other. (On SQLite every writing transaction is like that.)
        """
        with self._connected() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                if exclusive:
                    wait_for_turn(connection)
                yield connection

    def rows(self, query: sa.Select[Any]) -> list[Row]:
        """What a query finds, a dict per row. For what is small."""
        with self.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def batches(self, query: sa.Select[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """What a query finds, in batches of `ROWS_PER_BATCH` that are read as they are asked for.

        The query must find at least the columns of `schema`. An object or a list becomes JSON text.
        """
        found = query.selected_columns
        with self.reading() as connection:
            options = connection.execution_options(yield_per=_ROWS_FETCHED)
            # Closed also if nobody asks for the rest: a server keeps the rows of an open result.
            with options.execute(query) as result:
                partitions = result.partitions()
                while some := list(itertools.islice(map(_columns, partitions), ROWS_PER_BATCH // _ROWS_FETCHED)):
                    values = (list(itertools.chain.from_iterable(parts)) for parts in zip(*some, strict=True))
                    columns = {c.name: _plain(c, each) for c, each in zip(found, values, strict=True)}
                    yield pa.record_batch([pa.array(columns[f.name], f.type) for f in schema], schema=schema)

    def table(self, query: sa.Select[Any], schema: pa.Schema) -> pa.Table:
        """What a query finds as one table; as `batches` otherwise."""
        return pa.Table.from_batches(self.batches(query, schema), schema)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with state_errors(self._engine):
            if not self._is_ready:
                create_tables(self._engine)
                self._is_ready = True
            with connect(self._engine) as connection:
                yield connection


def execute_many(
    connection: sa.Connection, statement: sa.Executable, names: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Execute a statement once per row, which fills the parameters `names`. The statement marks them with `parameter`,
    and values of its own with `constant`. For a million rows: SQLAlchemy's own way takes three times as long.
    """
    inline = {"render_postcompile": True}
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs=inline)  # type: ignore[attr-defined]
    order = [names.index(name) for name in compiled.positiontup] if compiled.positional else []
    for chunk in chunks(rows):
        if not compiled.positional:
            connection.exec_driver_sql(compiled.string, [dict(zip(names, row, strict=True)) for row in chunk])
        elif order == [*range(len(names))]:
            connection.exec_driver_sql(compiled.string, chunk)
        else:
            connection.exec_driver_sql(compiled.string, [tuple(row[place] for place in order) for row in chunk])


def parameter(name: str) -> sa.BindParameter[str]:
    """The place of a text from each row of `execute_many`."""
    return sa.bindparam(name, "", type_=sa.Text)  # compiling with `constant` asks for some value


def constant(column: sa.Column[Any], value: Any) -> sa.BindParameter[Any]:
    """The same value for this column in every row of `execute_many`: becomes part of the statement's text."""
    return sa.bindparam(None, value, type_=column.type, literal_execute=True)


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    *,
    constants: Row,
    replaced: Sequence[str],
    if_other: str,
) -> None:
    """Insert rows, which have the text columns `names`; `constants` are the same in all of them.

    Of a row that is there already, the columns `replaced` are replaced if column `if_other` differs. Columns like
    since when and by which rule thereby keep telling how it came about.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values: dict[str, Any] = {name: parameter(name) for name in names}
    values |= {name: constant(table.c[name], value) for name, value in constants.items()}
    statement = insert(table).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in replaced},
        where=table.c[if_other] != statement.excluded[if_other],
    )
    execute_many(connection, statement, names, rows)


def chunks(items: Iterable[T], size: int = ROWS_PER_BATCH) -> Iterator[list[T]]:
    """Lists of at most `size` items, none of them empty."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _columns(rows: Sequence[sa.Row[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def _plain(column: sa.ColumnElement[Any], values: Sequence[Any]) -> Sequence[Any]:
    if isinstance(column.type, sa.JSON):
        return [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return values
