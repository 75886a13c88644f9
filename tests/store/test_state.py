"""The state store: syncs and their log, in several processes at once; the file, and the URL of another place."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from o365_etl.errors import ConfigError, LocalError
from o365_etl.store.state import StateStore
from o365_etl.tables import TABLES

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def state(data_dir: Path) -> StateStore:
    return StateStore(data_dir)


def test_a_run_is_opened_and_closed(state: StateStore) -> None:
    """A run shows as syncing while it runs and with its figures afterwards; the newest comes first."""
    state.start_run("r1", "manual", NOW)
    state.start_run("r2", "schedule", NOW)
    (second, first) = state.runs()
    state.finish_run("r1", NOW + timedelta(minutes=1), "ok", tenants_ok=3, tenants_failed=1, counts={"m365.users": 7})
    done = state.runs()[1]

    assert (first["run_id"], second["run_id"]) == ("r1", "r2")
    assert (first["status"], first["started_at"], first["ended_at"]) == ("syncing", NOW, None)
    assert done == {
        "run_id": "r1",
        "trigger": "manual",
        "started_at": NOW,
        "ended_at": NOW + timedelta(minutes=1),
        "status": "ok",
        "tenants_ok": 3,
        "tenants_failed": 1,
        "counts": {"m365.users": 7},
    }
    assert len(state.runs(limit=1)) == 1
    with pytest.raises(LocalError):
        state.finish_run("never started", NOW, "ok")


def test_a_retried_run_is_one_run(state: StateStore) -> None:
    """A run that starts again under its id is open again, not doubled."""
    state.start_run("r1", "manual", NOW)
    state.finish_run("r1", NOW, "failed")
    state.start_run("r1", "manual", NOW)

    assert [(run["status"], run["ended_at"]) for run in state.runs()] == [("syncing", None)]


def test_abandoned_runs_are_closed_as_failed(state: StateStore) -> None:
    """A run left open by a dead process is closed as failed with the reason in the log; others stay."""
    state.start_run("r1", "manual", NOW)
    state.finish_run("r1", NOW, "ok")
    state.start_run("r2", "manual", NOW)

    assert state.close_abandoned("the process died") == ["r2"]
    assert state.close_abandoned("the process died") == []
    assert [run["status"] for run in state.runs()] == ["failed", "ok"]
    assert [(entry["run_id"], entry["level"], entry["message"]) for entry in state.entries()] == [
        ("r2", "error", "the process died")
    ]


def test_the_log_is_filtered(state: StateStore) -> None:
    """Entries come oldest first, the latest ones if there are too many, narrowed by run, level and tenant."""
    state.log_many("r1", [{"level": "info", "message": str(number), "tenant_id": "t1"} for number in range(5)])
    state.log("r2", "error", "bad", tenant_id="t2", stream="users", detail={"code": "throttled"})
    state.log_many("r2", [])

    def messages(**filters: Any) -> list[str]:
        return [entry["message"] for entry in state.entries(**filters)]

    assert messages() == ["0", "1", "2", "3", "4", "bad"]
    assert messages(limit=2) == ["4", "bad"]
    assert messages(run_id="r2") == messages(level="error") == messages(tenant_id="t2") == ["bad"]
    assert messages(after=state.entries()[3]["entry_id"]) == ["4", "bad"]
    assert state.entries()[-1]["detail"] == {"code": "throttled"}
    assert state.entries()[-1]["at"].utcoffset() == timedelta(0)


def test_tables_have_the_shape_of_the_contract(state: StateStore) -> None:
    """Runs and log come as Arrow tables that fit `sync.runs` and `sync.log`, also while they are empty."""
    for table, name in ((state.runs_table, "sync.runs"), (state.log_table, "sync.log")):
        assert table().schema == TABLES[name].arrow_schema()
        assert table().num_rows == 0
    state.start_run("r1", "manual", NOW)
    state.log("r1", "info", "ä", detail={"é": 1})

    assert state.runs_table().to_pylist()[0]["counts"] == "{}"
    assert state.runs_table().to_pylist()[0]["started_at"] == NOW
    assert state.log_table().to_pylist()[0]["detail"] == '{"é": 1}'


def test_times_need_a_zone_and_come_back_in_utc(state: StateStore) -> None:
    """A time of any zone is kept as that moment; one without a zone is refused."""
    east = timezone(timedelta(hours=5, minutes=30))
    state.start_run("r1", "manual", NOW.astimezone(east))

    assert state.runs()[0]["started_at"] == NOW
    with pytest.raises(sa.exc.StatementError):
        state.start_run("r2", "manual", NOW.replace(tzinfo=None))


WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from o365_etl.store.state import StateStore
sys.stdin.readline()
state = StateStore(Path(sys.argv[1]))
for number in range(20):
    state.log(sys.argv[2], "info", str(number))
state.start_run(sys.argv[2], "manual", datetime.now(UTC))
"""


def test_processes_write_at_once(
    state: StateStore, data_dir: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Processes that create the store and write to it at the same time lose nothing."""
    children = [child(WRITE, data_dir, f"r{number}") for number in range(4)]
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in children:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    assert len(state.entries()) == 80
    assert sorted(run["run_id"] for run in state.runs()) == ["r0", "r1", "r2", "r3"]


def test_the_file_is_private(state: StateStore, data_dir: Path) -> None:
    """The file and its journal are 0600 from their first moment, and readers do not block the writer (WAL)."""
    with contextlib.closing(sqlite3.connect(data_dir / "state.sqlite")) as reader:
        state.log("r1", "info", "x")
        assert reader.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        assert reader.execute("SELECT message FROM log").fetchall() == [("x",)]
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in data_dir.iterdir()}

    assert set(modes.values()) == {"0o600"}
    assert "state.sqlite-wal" in modes


def test_a_damaged_file_is_said(data_dir: Path) -> None:
    """A file that is no database is an error with code `damaged`, and is not replaced: it held decisions."""
    data_dir.mkdir()
    (data_dir / "state.sqlite").write_bytes(b"not a database at all" * 100)

    with pytest.raises(LocalError) as caught:
        StateStore(data_dir).runs()
    assert caught.value.code == "damaged"
    assert (data_dir / "state.sqlite").read_bytes().startswith(b"not a database")


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuchdatabase://u:secret@host/db", "postgresql+nosuchdriver://u:secret@h/d"]
)
def test_a_wrong_url_is_said_without_its_password(url: str) -> None:
    """A URL that cannot be used is a `ConfigError` that does not repeat the password."""
    with pytest.raises(ConfigError) as caught:
        StateStore(url)
    assert "secret" not in caught.value.line


def test_any_url_is_taken(tmp_path: Path) -> None:
    """The store can be put elsewhere by URL."""
    StateStore(f"sqlite:///{tmp_path}/elsewhere/state.db").log("r1", "info", "here")

    assert (tmp_path / "elsewhere" / "state.db").is_file()
