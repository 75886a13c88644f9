"""The published copy, `{data_dir}/o365.duckdb`: the file that analysts open, also while a sync is running.

Built beside it under a temporary name and moved over it, so that a reader sees one sync or the next, never a mixture;
who has the old file open keeps reading the old one. Also the read-only queries of the command line.

What does not live here: what is in the tables, and how a copy is filled (`copying`).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from o365_etl.errors import LocalError, NotFoundError, PermanentError
from o365_etl.store import copying
from o365_etl.store.disk import local_errors
from o365_etl.store.warehouse import ArrowRows, Db

# A person's query reaches neither other files nor the network.
_QUERY_CONFIG: Mapping[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "1GB",
}

# Answers kept with one copy: the figures of a few pages, not the rows of a thousand tenants.
_MOST_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query; `is_cut` if there were more than asked for."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_cut: bool = False


def publish(db: Db, path: Path, *, run_id: str, extra: Mapping[str, ArrowRows]) -> None:
    """Replace `path` by a copy of every table of the contract; `extra` gives tables that the warehouse does not hold.

    Raises `LocalError` (disk full, not writable); the old copy stays in that case.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with local_errors(f"write {path}"):
        _sweep(path)
    try:
        copying.build(db, temporary, path, run_id, extra)
        with local_errors(f"write {path}"):
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        # After a success nothing is left to remove.
        with contextlib.suppress(OSError):
            _sweep(path)


def query(path: Path, sql: str, parameters: Sequence[object] = (), max_rows: int | None = None) -> Answer:
    """The rows of a read-only statement, at most `max_rows`.

    Raises `NotFoundError` if nothing was published yet, `PermanentError` with code `query` for a statement that is
    wrong or would do more than read, `LocalError` if the file is not what was published.
    """
    if not path.is_file():
        raise NotFoundError("nothing was published yet", remedy="Run `o365-etl sync` first.")
    try:
        connection = duckdb.connect(str(path), read_only=True, config=dict(_QUERY_CONFIG))
    except duckdb.Error as error:
        raise LocalError(
            f"{path} cannot be opened: {_first_line(error)}", code="damaged", remedy="The next sync writes it anew."
        ) from error
    with contextlib.closing(connection):
        try:
            # Times as UTC whatever zone this machine is in; after that no setting can be changed any more.
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET lock_configuration = true")
            result = connection.execute(sql, list(parameters))
            if result is None:  # a comment, or nothing at all
                return Answer((), [])
            columns = tuple(column[0] for column in result.description or ())
            rows = result.fetchall() if max_rows is None else result.fetchmany(max_rows + 1)
        except duckdb.Error as error:
            raise PermanentError(
                f"the query failed: {_first_line(error)}",
                code="query",
                remedy="Correct the SQL; `docs/tables.md` lists tables and columns.",
            ) from error
    if max_rows is None or len(rows) <= max_rows:
        return Answer(columns, rows)
    return Answer(columns, rows[:max_rows], is_cut=True)


class OpenCopy:
    """The published copy, kept open for many small questions, and opened anew when a sync has replaced it.

    Five times as fast as `query` for a single row, and for the program's own statements only: it sees no other file,
    but a person's SQL belongs into `query`. Any number of threads may ask at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, ...] = ()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._remembered: dict[tuple[str, str], Answer] = {}

    def query(self, sql: str, parameters: Sequence[object] = (), *, remember: bool = False) -> Answer:
        """The rows of a statement; with `remember` the answer is kept for as long as the copy is not replaced.

        Raises as `query` does.
        """
        cursor, remembered = self._cursor()
        key = (sql, repr(list(parameters)))
        if remember and key in remembered:
            return remembered[key]
        with contextlib.closing(cursor):
            try:
                cursor.execute("USE published")
                result = cursor.execute(sql, list(parameters))
                columns = tuple(column[0] for column in result.description or ())
                answer = Answer(columns, result.fetchall())
            except duckdb.Error as error:
                raise PermanentError(f"the query failed: {_first_line(error)}", code="query") from error
        if remember and len(remembered) < _MOST_REMEMBERED:
            remembered[key] = answer
        return answer

    def version(self) -> tuple[int, ...]:
        """Another one for each copy; empty if nothing was published yet."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _cursor(self) -> tuple[duckdb.DuckDBPyConnection, dict[tuple[str, str], Answer]]:
        version = self.version()
        if not version:
            raise NotFoundError("nothing was published yet", remedy="Run `o365-etl sync` first.")
        with self._lock:
            if self._connection is None or version != self._version:
                # Whoever still reads the old one has cursors of his own on it.
                self._connection, self._version, self._remembered = self._open(), version, {}
            return self._connection.cursor(), self._remembered

    def _open(self) -> duckdb.DuckDBPyConnection:
        # Attached to a database in memory, so that the old and the new file of one path can be open side by side.
        config = {**_QUERY_CONFIG, "enable_external_access": True}
        try:
            connection = duckdb.connect(":memory:", config=config)
            quoted = str(self._path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS published (READ_ONLY)")
            # For the cursors as well, whatever zone this machine is in.
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute("SET enable_external_access = false")
        except duckdb.Error as error:
            raise LocalError(
                f"{self._path} cannot be opened: {_first_line(error)}",
                code="damaged",
                remedy="The next sync writes it anew.",
            ) from error
        return connection


def _sweep(path: Path) -> None:
    """Remove what earlier attempts left; the lock sees to it that no other attempt is alive."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
