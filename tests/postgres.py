"""A PostgreSQL server for tests, from Debian's package `postgresql`; may be stopped and started again.

Skips the test where the package or the driver psycopg is missing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

# A server refuses to run as root; Debian's package makes a user for it.
SERVER_USER = "postgres"
PASSWORD = "Pa55-w0rd'of\\the lake"
"""Of the user `etl`, who must give it; it must never be seen anywhere."""


class PostgresServer:
    """A server that listens on a socket in a folder of its own."""

    def __init__(self, folder: Path, owner: str | None) -> None:
        self.folder = folder
        self._programs = _programs()
        self._who = {"user": owner, "group": owner, "extra_groups": []} if owner else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        initdb = ["initdb", "-D", self._data, "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        self._run(*initdb, env=environment)
        hba = self._data / "pg_hba.conf"
        hba.write_text(f"local all etl scram-sha-256\n{hba.read_text()}")

    @property
    def url(self) -> str:
        """The URL of its first database, as SQLAlchemy takes it."""
        return f"postgresql+psycopg://{SERVER_USER}@/postgres?host={self.folder}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = {"listen_addresses": "", "unix_socket_directories": self.folder, "shared_buffers": "32MB"}
        flags = [part for key, value in {**options, "fsync": "off"}.items() for part in ("-c", f"{key}={value}")]
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *flags],
                stdout=output,
                cwd=self.folder,
                stderr=subprocess.STDOUT,
                **self._who,
            )
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        for _ in range(300):
            with contextlib.suppress(sa.exc.OperationalError), engine.connect():
                return
            if self._process.poll() is not None:
                raise AssertionError(log.read_text())
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def stop(self, *, abort: bool = False) -> None:
        """End it: whoever is connected is thrown out; with `abort` as if the power had failed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if abort else signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None

    def new_database(self) -> str:
        """The name of a new database."""
        name = f"db_{next(self._numbers)}"
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            if not connection.scalar(sa.text("SELECT count(*) FROM pg_roles WHERE rolname = 'etl'")):
                quoted = PASSWORD.replace("'", "''")
                connection.execute(sa.text(f"CREATE ROLE etl LOGIN PASSWORD '{quoted}'"))
            connection.execute(sa.text(f"CREATE DATABASE {name} OWNER etl"))
        return name

    def _run(self, program: str, *arguments: object, **options: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(
            command,
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            **self._who,
            **options,
        )


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs; thrown away afterwards."""
    owner = _owner()
    # Not below pytest's own folder: no other user may enter that one, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="o365-pg-") as name:
        if owner:
            shutil.chown(name, owner, owner)
        server = PostgresServer(Path(name), owner)
        try:
            server.start()
            yield server
        finally:
            server.stop(abort=True)  # at once: nobody needs the data any more


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server is installed (package postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the driver psycopg is not installed")
    return found[-1].parent


def _owner() -> str | None:
    """The user to run the server as, None for this one."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        pytest.skip(f"a server does not run as root, and there is no user {SERVER_USER}")
    return SERVER_USER
