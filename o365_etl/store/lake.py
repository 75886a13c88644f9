"""The warehouse past one machine: a DuckLake, its catalog in a PostgreSQL database, its files in a folder or an object
store. Any number of processes may have it open, each with a DuckDB in memory to which the lake is attached.

Whoever writes a table alone is never disturbed, and any number may append to one; of two who replace rows of the same
table at the same time, be it of different tenants, one gets an error.
The catalog says which files a table is made of, with the smallest and the largest value of each column.

What does not live here: the tables and how they are asked (`warehouse`), the extensions of DuckDB that this takes
(`extensions`), and how long a server is waited for (`server`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from o365_etl.errors import ConfigError, UnreachableError
from o365_etl.store.disk import make_folder
from o365_etl.store.duckdb_errors import lake_errors
from o365_etl.store.extensions import are_checked, extensions_of, is_object_store, load_extensions, sign_in_to_store
from o365_etl.store.server import first_line, is_sign_in, patiently
from o365_etl.store.warehouse import THREADS, Config, Db, Warehouse

# What was replaced so long ago is deleted. No statement takes as long, and nobody asks for it: every sync is published.
KEPT = "3 hours"
# Names the queue of those who create among the locks of a PostgreSQL database: "lake" in ASCII.
_TURN = 0x6C616B65
# Tables of the catalog; nothing else is looked for before it is attached.
_MADE = "SELECT count(*) FROM pg_catalog.pg_tables WHERE tablename = 'ducklake_metadata'"
_SECRETS = ("password", "sslpassword")
_KEY = "warehouse.catalog"
_numbers = itertools.count()


class Lake(Warehouse):
    """Where the tables are, if not in a file of their own.

    `catalog` is the connection text or URL of a PostgreSQL database, as libpq takes it; `data_path` an absolute folder
    or the URL of an object store, the same for every process. `data_dir` holds what DuckDB has no memory for.
    """

    def __init__(self, data_dir: Path, catalog: str, data_path: str, **options: Any) -> None:
        super().__init__(data_dir, **options)
        self._catalog = _parsed(catalog)
        self._data_path = data_path
        self._extensions = extensions_of(data_path)

    @property
    def is_small(self) -> bool:
        """Never: what it has read of its files stays in memory while it is open."""
        return False

    @property
    def exists(self) -> bool:
        """Whether it was made already. Raises `UnreachableError`, `ConfigError`."""
        with self._server() as server:
            return _is_made(server)

    def tidy(self, db: Db) -> None:
        """Delete the files that were replaced more than `KEPT` ago, and write those anew that are half empty or tiny.

        Larger files are left: the next sync may replace them as a whole.
        """
        older = f"older_than => now() - INTERVAL '{KEPT}'"
        db.execute(f"CALL ducklake_expire_snapshots('lake', {older})")
        db.execute("CALL ducklake_rewrite_data_files('lake', delete_threshold => 0.5)")
        db.execute("CALL ducklake_merge_adjacent_files('lake', max_file_size => 1_000_000)")
        db.execute(f"CALL ducklake_cleanup_old_files('lake', {older})")

    def _threads(self) -> int:
        return THREADS  # there is no file here that would tell how much there is

    @contextlib.contextmanager
    def _opened(self, settings: Config) -> Iterator[duckdb.DuckDBPyConnection]:
        with _own_folder(self.data_dir / "lake.tmp") as overflow:
            config: Config = {**settings, "temp_directory": str(overflow)}
            config["allow_unsigned_extensions"] = are_checked(self._extensions)
            with self._errors():
                connection = duckdb.connect(":memory:", config=config)
            try:
                with self._errors():
                    self._attach(connection)
                yield connection
            finally:
                with self._errors():
                    connection.close()

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        load_extensions(connection, self._extensions)
        if is_object_store(self._data_path):
            sign_in_to_store(connection)
        else:
            make_folder(Path(self._data_path))
        # The password goes by another way than the text, which DuckDB repeats in its errors.
        if password := self._catalog.get("password"):
            connection.execute(f"CREATE SECRET catalog (TYPE postgres, PASSWORD {_literal(password)})")
        shown = _text({key: value for key, value in self._catalog.items() if key not in _SECRETS})
        # No rows in the catalog itself: it would keep those that were replaced, and no sync was faster for it.
        options = [f"DATA_PATH {_literal(self._data_path)}", "DATA_INLINING_ROW_LIMIT 0"]
        if password:
            options.append("META_SECRET 'catalog'")
        attach = f"ATTACH {_literal('ducklake:postgres:' + shown)} AS lake ({', '.join(options)})"
        with self._server() as server:
            # Two who attach an empty database would both make the catalog.
            if not _is_made(server):
                _wait_for_turn(server)
            connection.execute(attach)
        connection.execute("USE lake")
        # Many may finish at once; who comes second tries again.
        connection.execute("SET ducklake_max_retry_count = 30")

    def _has_gaps(self, db: Db) -> bool:
        return False  # nothing is changed in a file of a lake

    @contextlib.contextmanager
    def _creating(self) -> Iterator[None]:
        with self._server() as server:
            _wait_for_turn(server)
            yield

    def _errors(self) -> AbstractContextManager[None]:
        return lake_errors(self._data_path, self.data_dir)

    @contextlib.contextmanager
    def _server(self) -> Iterator[Any]:
        """A transaction of its own on the server of the catalog."""
        psycopg = _driver()
        try:
            connection = patiently(lambda: psycopg.connect(**self._catalog), psycopg.OperationalError)
        except psycopg.Error as error:
            raise _refused(first_line(error)) from error
        with connection:
            yield connection


def _refused(reason: str) -> UnreachableError | ConfigError:
    if is_sign_in(reason):
        return ConfigError(
            f"{_KEY}: the server does not let this user in: {reason}",
            remedy="Correct the user or the password where `catalog` points, or what the server allows (pg_hba.conf).",
        )
    return UnreachableError(
        f"the catalog of the warehouse (`{_KEY}`) does not answer: {reason}",
        remedy="Start its server, or correct the host and the database where `catalog` points.",
    )


def _is_made(server: Any) -> bool:
    return bool(server.execute(_MADE).fetchone()[0])


def _wait_for_turn(server: Any) -> None:
    """Until the end of the transaction nobody else who calls this goes on."""
    server.execute("SELECT pg_advisory_xact_lock(%s)", [_TURN])


def _driver() -> Any:
    try:
        import psycopg  # of the extra `scale`: only whoever shares the warehouse needs it
    except ImportError as error:
        raise ConfigError(
            f"{_KEY}: the driver psycopg is not installed", remedy="pip install 'o365-etl[scale]'"
        ) from error
    return psycopg


def _parsed(text: str) -> dict[str, str]:
    psycopg = _driver()
    try:
        parts: dict[str, str] = psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.Error:
        # Neither the text nor the driver's words: they may hold the password.
        raise ConfigError(
            f"{_KEY}: this is no connection text of PostgreSQL",
            remedy="Write dbname=… host=… user=… password=…, or postgresql://USER:PASSWORD@HOST/DATABASE.",
        ) from None
    return {key: str(value) for key, value in parts.items()}


def _text(parts: dict[str, str]) -> str:
    made: str = _driver().conninfo.make_conninfo(**parts)
    return made


@contextlib.contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A folder that no other process and no other connection uses; gone afterwards."""
    folder = make_folder(parent / f"{os.uname().nodename}-{os.getpid()}-{next(_numbers)}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
