"""The errors of DuckDB in our terms: the file, the lake, the disk and the memory. A wrong statement stays DuckDB's own.

What does not live here: what was being done (`warehouse`, `lake`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from o365_etl.errors import BusyError, ConfigError, LocalError, O365EtlError, TransientError, UnreachableError

_DAMAGED = re.compile(
    r"not a valid DuckDB|corrupt|checksum|read enough bytes|version number|serializ|invalidated", re.I
)
_FULL = re.compile(r"no space left|file too large|disk quota|temp_directory_size|could not write", re.I)
_CATALOG = re.compile(
    r"unable to connect to postgres|connection to server|server closed the connection|terminating connection"
    r"|no connection to the server|failed to execute query|failed to query most recent snapshot|database system is",
    re.I,
)
_CONFLICT = re.compile(r"transaction conflict|maximum retry count|conflict on commit", re.I)
_MISSING = re.compile(r"no files found|no such file|cannot open file|404", re.I)
_OTHER_PATH = re.compile(r"does not match existing data path", re.I)


@contextlib.contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Errors of the warehouse in the file `path`."""
    try:
        yield
    except duckdb.Error as error:
        translated = _of_memory(error, path.parent) or _of_file(error, path)
        if translated is None:
            raise
        raise translated from error


@contextlib.contextmanager
def lake_errors(data_path: str, scratch: Path) -> Iterator[None]:
    """Errors of the warehouse in a lake whose files are below `data_path`; DuckDB's own overflow is in `scratch`."""
    try:
        yield
    except duckdb.Error as error:
        translated = _of_memory(error, scratch) or _of_lake(error, data_path)
        if translated is None:
            raise
        raise translated from error


def _of_memory(error: duckdb.Error, folder: Path) -> O365EtlError | None:
    if not isinstance(error, duckdb.OutOfMemoryException):
        return None
    if _FULL.search(_first_line(error)):
        return _disk_full(str(folder))
    return LocalError(
        "the memory that DuckDB may use is not enough",
        code="memory",
        remedy="Stop other programs on this machine, or sync fewer tenants at once.",
    )


def _of_file(error: duckdb.Error, path: Path) -> O365EtlError | None:
    text = _first_line(error)
    is_file_error = isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException)
    # DuckDB 2 raises the bare base class for a damaged header.
    if not is_file_error and type(error) is not duckdb.Error:
        return None
    if "lock" in text.lower() and (holder := re.search(r"PID (\d+)", str(error))):
        return BusyError(f"{path} is open in another process (pid {holder[1]})")
    if _FULL.search(text):
        return _disk_full(str(path.parent))
    if _DAMAGED.search(text) or isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return LocalError(
            f"{path} is damaged, or was written by a newer DuckDB",
            code="damaged",
            remedy="Move it away; the next sync makes a new one.",
        )
    return LocalError(f"DuckDB cannot use {path}: {text}")


def _of_lake(error: duckdb.Error, data_path: str) -> O365EtlError | None:
    # The extension wraps one error in another, over several lines and in several classes.
    text = str(error)
    if _CATALOG.search(text):
        return UnreachableError(
            "the catalog of the warehouse (`warehouse.catalog`) stopped answering",
            remedy="Start its server; the next sync does again what was not finished.",
        )
    if isinstance(error, duckdb.ProgrammingError | duckdb.DataError | duckdb.IntegrityError):
        return None
    if _CONFLICT.search(text):
        return TransientError(
            f"another process changed the same table of the lake {data_path} at the same time", code="lake_conflict"
        )
    if _FULL.search(text):
        return _disk_full(data_path)
    if _OTHER_PATH.search(text):
        return ConfigError(
            f"warehouse.data_path: the catalog knows another place for its files than {data_path}",
            remedy="Write the path that the lake was made with, the same on every machine, or use an empty database.",
        )
    if _MISSING.search(text):
        return LocalError(
            f"a file of the lake {data_path} is missing",
            code="damaged",
            remedy="See that every machine sees that folder. If its files are lost, empty the catalog's database and "
            "the folder: the next sync makes them anew.",
        )
    return LocalError(f"DuckDB cannot use the lake {data_path}: {_first_line(error)}")


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _disk_full(folder: str) -> LocalError:
    return LocalError(f"the disk of {folder} is full", code="disk_full", remedy="Free disk space, then run again.")
