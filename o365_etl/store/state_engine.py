"""How the database of the state store is opened, and its errors in our terms.

What does not live here: the tables (`state_schema`) and what is done with them (`state_database`, `state`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy import event, exc
from sqlalchemy.pool import NullPool

from o365_etl.errors import ConfigError, LocalError, UnreachableError
from o365_etl.store.disk import create_file, local_errors, make_folder
from o365_etl.store.server import first_line, is_sign_in, patiently

FILE_NAME = "state.sqlite"
# The option of a connection by which a transaction says that it is going to write.
WRITES = "o365_etl_writes"
# How long a writer waits for another one; transactions here take milliseconds.
_BUSY_SECONDS = 30.0


def open_engine(place: Path | str) -> sa.Engine:
    """The engine for a data folder or a URL. Connects to nothing yet; a new SQLite file is made, readable by this
    user alone. Raises `ConfigError` for a URL that is none or whose driver is missing.
    """
    url = sa.URL.create("sqlite", database=str(place / FILE_NAME)) if isinstance(place, Path) else _parsed(place)
    if url.get_backend_name() != "sqlite":
        return _create(url, {})
    if url.database:
        _make_private(Path(url.database))
    # One connection is used by one transaction, but DuckDB may ask for its next rows from another thread.
    engine = _create(url, {"timeout": _BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def connect(engine: sa.Engine) -> sa.Connection:
    """A connection; a server that is away is waited for, for nothing was sent yet."""
    if engine.dialect.name == "sqlite":
        return engine.connect()
    return patiently(engine.connect, exc.OperationalError)


@contextlib.contextmanager
def state_errors(engine: sa.Engine) -> Iterator[None]:
    """Turn the errors of the database into ours; a wrong statement stays SQLAlchemy's own error."""
    try:
        yield
    except exc.DatabaseError as error:
        reason = first_line(error.orig) if error.orig else ""
        where = engine.url.render_as_string(hide_password=True)
        if engine.dialect.name == "sqlite":
            raise _sqlite_error(reason, engine.url.database or "memory") from error
        if is_sign_in(reason):
            raise ConfigError(
                f"state.url: {where} does not let this user in: {reason}",
                remedy="Correct the user or the password where `url` points, or what the server allows (pg_hba.conf).",
            ) from error
        if isinstance(error, exc.OperationalError | exc.InterfaceError):
            raise UnreachableError(
                f"the state store {where} does not answer: {reason}", remedy="Start it, or correct its URL."
            ) from error
        raise


def _create(url: sa.URL, connect_args: dict[str, Any]) -> sa.Engine:
    try:
        # No pool: a connection that outlives its statement would cross a fork, and block SQLite's checkpoints.
        return sa.create_engine(url, poolclass=NullPool, connect_args=connect_args)
    except (exc.ArgumentError, ImportError) as error:
        raise ConfigError(
            f"the state store's URL names no database that can be used: {url.drivername}",
            remedy="Write sqlite:///PATH or postgresql+psycopg://…, and install the driver it names.",
        ) from error


def _parsed(text: str) -> sa.URL:
    try:
        return sa.make_url(text)
    except exc.ArgumentError as error:
        # The text may hold a password: it is not repeated.
        raise ConfigError("the state store's URL is no URL", remedy="Write sqlite:///PATH or postgresql://…") from error


def _make_private(path: Path) -> None:
    """Make a new database if there is none, readable by this user alone, and complete before anyone sees it.

    Turned to WAL once and here: SQLite does not wait for others when it changes the mode, so that processes which
    open a new file at the same time would fail.
    """
    make_folder(path.parent)
    with local_errors(f"create {path}"):
        if path.exists():
            return
        with FileLock(path.with_name(f".{path.name}.lock"), mode=0o600, timeout=_BUSY_SECONDS):
            if path.exists():
                return
            new = path.with_name(f".{path.name}.new")
            new.unlink(missing_ok=True)
            os.close(create_file(new))
            with contextlib.closing(sqlite3.connect(new)) as connection:
                # Readers and the writer do not wait for each other. The mode stays with the file.
                connection.execute("PRAGMA journal_mode = WAL")
            new.rename(path)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Python's driver must not begin transactions by itself: it would do so after the first read (see _begin_sqlite).
    connection.isolation_level = None
    # A change is noted here before it is sent: the note must survive a power cut that the change survives.
    connection.execute("PRAGMA synchronous = FULL").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # Who is going to write takes the lock at once. Taken only after a read, it would be refused without any waiting
    # whenever another process wrote in between.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _sqlite_error(reason: str, path: str) -> LocalError:
    if "not a database" in reason or "malformed" in reason:
        return LocalError(
            f"{path} is damaged: {reason}",
            code="damaged",
            remedy="Restore it from a backup: it holds people's decisions, which no sync can make again.",
        )
    if "is full" in reason:
        return LocalError(f"{path}: {reason}", code="disk_full", remedy="Free disk space, then run again.")
    return LocalError(f"the state store {path} cannot be used: {reason}")
