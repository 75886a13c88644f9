"""The state store on a PostgreSQL server: the same tests once more, on a server that is started for them.

Skipped where Debian's `postgresql` package or the driver psycopg is missing.
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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

# What these modules test is collected here again, with the databases of this module.
from test_state_approvals import *  # noqa: F403
from test_state_decisions import *  # noqa: F403
from test_state_intents import *  # noqa: F403
from test_state_leavers import *  # noqa: F403
from test_state_links import *  # noqa: F403
from test_state_schema import *  # noqa: F403

from o365_etl.errors import LocalError, UnreachableError
from o365_etl.store.state import StateStore

# A server refuses to run as root; Debian's package makes a user for it.
SERVER_USER = "postgres"


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


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that listens on a socket in a folder of its own; gives the URL of its first database."""
    programs, owner = _programs(), _owner()
    # Not below pytest's own folder: no other user may enter that one, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="o365-pg-") as name:
        folder, who = Path(name), {"user": owner, "group": owner, "extra_groups": []} if owner else {}
        if owner:
            shutil.chown(folder, owner, owner)
        data = folder / "data"
        common = {"cwd": folder, "stderr": subprocess.STDOUT, **who}
        initdb = [programs / "initdb", "-D", data, "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(initdb, check=True, env=environment, stdout=subprocess.DEVNULL, **common)
        options = {"listen_addresses": "", "unix_socket_directories": name, "fsync": "off", "shared_buffers": "32MB"}
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([programs / "postgres", "-D", data, *flags], stdout=output, **common)
        try:
            url = f"postgresql+psycopg://{SERVER_USER}@/postgres?host={name}"
            _wait(url, process, log)
            yield url
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs the data any more
            process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    for _ in range(300):
        with contextlib.suppress(sa.exc.OperationalError), engine.connect():
            return
        if process.poll() is not None:
            raise AssertionError(log.read_text())
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="module")
def new_place(server: str) -> Callable[[], str]:
    """Makes the URL of an empty schema, which is a database for whoever uses it; any number of them."""
    numbers = itertools.count()
    engine = sa.create_engine(server, poolclass=sa.pool.NullPool)

    def create() -> str:
        name = f"state_{next(numbers)}"
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(name))
        return f"{server}&options=-csearch_path%3D{name}"

    return create


def test_runs_and_log_are_kept(state: StateStore) -> None:
    """Syncs and their log, whose own tests are about the file, work on a server too."""
    state.start_run("r1", "manual", NOW)  # noqa: F405
    state.log("r1", "info", "ä % :x", detail={"é": 1})
    state.finish_run("r1", NOW, "ok", counts={"m365.users": 7})  # noqa: F405

    assert [(run["status"], run["started_at"], run["counts"]) for run in state.runs()] == [
        ("ok", NOW, {"m365.users": 7})  # noqa: F405
    ]
    assert state.log_table().to_pylist()[0]["message"] == "ä % :x"
    assert state.log_table().to_pylist()[0]["detail"] == '{"é": 1}'
    with pytest.raises(LocalError):
        state.run("never started")


def test_a_server_that_is_gone_is_said(server: str) -> None:
    """A database that does not answer is an error with a remedy, and its URL is shown without the password."""
    url = sa.make_url(server).set(password="secret", database="nosuchdatabase")
    with pytest.raises(UnreachableError) as caught:
        StateStore(url.render_as_string(hide_password=False)).runs()

    assert "does not answer" in caught.value.message
    assert "nosuchdatabase" in caught.value.message
    assert "secret" not in caught.value.line
