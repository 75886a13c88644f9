"""The state store on a PostgreSQL server: the same tests once more, on a server that is started for them.

Skipped where Debian's `postgresql` package or the driver psycopg is missing.
"""

from __future__ import annotations

import itertools
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

# What these modules test is collected here again, with the databases of this module.
from test_state_approvals import *  # noqa: F403
from test_state_decisions import *  # noqa: F403
from test_state_intents import *  # noqa: F403
from test_state_lease import *  # noqa: F403
from test_state_leavers import *  # noqa: F403
from test_state_links import *  # noqa: F403
from test_state_schema import *  # noqa: F403

from o365_etl.errors import ConfigError, LocalError, UnreachableError
from o365_etl.store.state import StateStore
from tests.postgres import PASSWORD, PostgresServer, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def new_place(server: PostgresServer) -> Callable[[], str]:
    """Makes the URL of an empty schema, which is a database for whoever uses it; any number of them."""
    numbers = itertools.count()
    engine = sa.create_engine(server.url, poolclass=sa.pool.NullPool)

    def create() -> str:
        name = f"state_{next(numbers)}"
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(name))
        return f"{server.url}&options=-csearch_path%3D{name}"

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


def test_a_server_that_is_gone_is_said(server: PostgresServer) -> None:
    """A database that does not answer is an error with a remedy, and its URL is shown without the password."""
    url = sa.make_url(server.url).set(password="secret", database="nosuchdatabase")
    with pytest.raises(UnreachableError) as caught:
        StateStore(url.render_as_string(hide_password=False)).runs()

    assert "does not answer" in caught.value.message
    assert "nosuchdatabase" in caught.value.message
    assert "secret" not in caught.value.line


def test_a_wrong_password_is_said(server: PostgresServer) -> None:
    """Who is not let in has to correct what he wrote; no text holds the password."""
    url = sa.make_url(server.url).set(username="etl", password=PASSWORD + "x", database=server.new_database())
    with pytest.raises(ConfigError) as caught:
        StateStore(url.render_as_string(hide_password=False)).runs()

    assert "password" in caught.value.remedy
    assert "Pa55" not in "".join(traceback.format_exception(caught.value))
    assert StateStore(url.set(password=PASSWORD).render_as_string(hide_password=False)).runs() == []


def test_a_server_that_is_away_is_waited_for(
    place: str, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent the store waits; what was cut off in the middle is not there, and is not sent again."""
    state = StateStore(place)
    state.start_run("r1", "manual", NOW)  # noqa: F405
    server.stop(abort=True)
    later = threading.Timer(1.0, server.start)
    later.start()
    state.start_run("r2", "manual", NOW)  # noqa: F405
    later.join()
    assert {run["run_id"] for run in state.runs()} == {"r1", "r2"}

    def cut_off() -> None:
        with state._database.writing() as connection:
            connection.execute(sa.text("DELETE FROM runs"))
            server.stop(abort=True)

    with pytest.raises(UnreachableError):
        cut_off()
    monkeypatch.setattr("o365_etl.store.server.WAIT_SECONDS", 0.3)
    with pytest.raises(UnreachableError):
        state.runs()
    server.start()
    assert len(state.runs()) == 2
