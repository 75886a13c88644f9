"""`make scale-test`: an installation on several machines, on one: PostgreSQL, Redis and two workers.

A sync during which a worker is killed and the broker restarts must end with the tables that one process makes of the
same estate. Not collected by a plain `pytest`: it takes minutes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from tests.scale.services import (
    SERVER_USER,
    Broker,
    Installation,
    broker,
    installation,
    kill,
    postgres,
    simulator,
    wait_until,
)

TENANTS = int(os.environ.get("SCALE_TENANTS", "1000"))
USERS = int(os.environ.get("SCALE_USERS", "10"))
SHARD_SIZE = max(1, TENANTS // 20)
# What two syncs of the same estate may tell differently: when, and in which run.
OTHER_EACH_TIME = {"as_of", "last_ok_at", "valid_from", "fetched_at", "run_id"}
# Nor how many requests a stream took: a tenant that the killed worker had read to its end is read once more, and the
# types of its mailboxes are known by then. Everything else in this column is compared.
SHOWN = {("sync.tenants", "streams"): """regexp_replace(streams, '"requests": [0-9]+', '', 'g')"""}

ELSEWHERE = """
[state]
url = { env = "O365_STATE_URL" }
[warehouse]
catalog = { env = "O365_CATALOG" }
[workers]
broker = { env = "O365_BROKER" }
"""


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The settings against a simulated estate."""
    folder = tmp_path_factory.mktemp("simulator")
    with simulator(TENANTS, USERS, folder / "files") as facts:
        yield f"{facts['settings_toml']}\n[limits]\nshard_size = {SHARD_SIZE}\n"


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    with postgres() as folder:
        yield folder


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("redis") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def one_process(estate: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published copy of a sync by one process."""
    with installation(tmp_path_factory.mktemp("one") / "here", estate, {}, workers=0) as made:
        started = time.monotonic()
        _to_the_end(made.start("sync", log="sync.log"), made)
        _say(f"one process: {time.monotonic() - started:.0f} s")
        return made.data_dir / "o365.duckdb"


@pytest.fixture(scope="module")
def many(
    estate: str, database: Path, redis_server: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The same estate with two workers."""
    at = f"host={database} user={SERVER_USER}"
    environment = {
        "O365_STATE_URL": f"postgresql+psycopg://{SERVER_USER}@/o365_state?host={database}",
        "O365_CATALOG": f"dbname=o365_lake {at}",
        "O365_DAGSTER_URL": f"postgresql://{SERVER_USER}@/o365_dagster?host={database}",
        "O365_BROKER": redis_server.url,
    }
    folder = tmp_path_factory.mktemp("many") / "here"
    with installation(folder, estate + ELSEWHERE, environment, workers=2) as made:
        yield made


@pytest.mark.timeout(900)
def test_a_worker_is_killed_and_the_broker_restarts(
    many: Installation, database: Path, redis_server: Broker, one_process: Path
) -> None:
    """What was lost is done by another worker, and the tables are those of one process."""
    started = time.monotonic()
    run = many.start("sync", log="sync.log")
    killed: list[int] = []

    def a_worker_is_killed() -> bool:
        assert _goes_on(run, many)
        if _read(many) >= TENANTS // 5:
            killed.extend(_kill_a_reader(many))
        return bool(killed)

    wait_until(a_worker_is_killed, 300, "killing a worker")
    killed_at, done = time.monotonic() - started, _read(many)
    assert done < TENANTS, "the worker was to be killed in the middle"
    many.add_worker()
    wait_until(lambda: _goes_on(run, many) and _read(many) >= TENANTS // 2, 300, "reading half of the tenants")
    redis_server.stop()
    time.sleep(5)
    redis_server.start()
    restarted_at = time.monotonic() - started
    _to_the_end(run, many)

    took = time.monotonic() - started
    _say(
        f"two workers: {took:.0f} s; one was killed after {killed_at:.0f} s, when {done} of {TENANTS} tenants were"
        f" read, and another started; the broker was away for 5 s until {restarted_at:.0f} s"
    )
    twice = [step for step, times in _begun(database).items() if times > 1]
    _say(f"begun twice: {', '.join(twice)}")
    assert twice
    assert all("read_shard" in step for step in twice)
    assert _different(one_process, many.data_dir / "o365.duckdb") == {}
    assert _leases(database) == 0
    _say("the tables are the same")


def _kill_a_reader(made: Installation) -> list[int]:
    """Kill the worker that writes into the landing zone at this moment, if one does: its process is in the name."""
    for path in (made.data_dir / "landing").glob("*/.*.tmp"):
        pid = int(path.name.rsplit(".", 2)[1].split("-")[1])
        for worker in made.workers:
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == worker.pid:
                    kill(worker)
                    return [worker.pid]
    return []


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


def _to_the_end(run: subprocess.Popen[bytes], made: Installation) -> None:
    assert run.wait(timeout=600) == 0, _logs(made)


def _goes_on(run: subprocess.Popen[bytes], made: Installation) -> bool:
    assert run.poll() is None, _logs(made)
    return True


def _logs(made: Installation) -> str:
    logs = {path.name: made.said(path.name) for path in made.config.parent.glob("*.log")}
    return "\n".join(f"--- {name}\n{text[-6000:]}" for name, text in logs.items())


def _read(made: Installation) -> int:
    """Tenants whose users are in the landing zone."""
    return sum(1 for _ in (made.data_dir / "landing").glob("*/users.receipt.json"))


def _begun(database: Path) -> dict[str, int]:
    """How often each step of the runs so far was begun."""
    with psycopg.connect(host=str(database), user=SERVER_USER, dbname="o365_dagster") as server:
        rows = server.execute(
            "SELECT step_key, count(*) FROM event_logs WHERE dagster_event_type = 'STEP_START'"
            " GROUP BY run_id, step_key"
        )
        return {str(step): int(number) for step, number in rows.fetchall()}


def _leases(database: Path) -> int:
    with psycopg.connect(host=str(database), user=SERVER_USER, dbname="o365_state") as server:
        row = server.execute("SELECT count(*) FROM leases").fetchone()
        return int(row[0]) if row else 0


def _different(one: Path, other: Path) -> dict[str, str]:
    """Tables that are not the same in two published copies, with how many rows only one of them has."""
    found: dict[str, Any] = {}
    with duckdb.connect() as db:
        db.execute(f"ATTACH '{one}' AS one (READ_ONLY); ATTACH '{other}' AS other (READ_ONLY)")
        columns = db.execute(
            "SELECT schema_name || '.' || table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()"
            " WHERE database_name = 'one' AND NOT internal AND schema_name NOT IN ('main') GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for table, names in columns:
            if table in ("sync.runs", "sync.log"):
                continue
            same = ", ".join(SHOWN.get((table, name), f'"{name}"') for name in names if name not in OTHER_EACH_TIME)
            rows = [f"SELECT {same} FROM {copy}.{table}" for copy in ("one", "other")]
            missing, extra = (
                db.execute(f"SELECT count(*) FROM ({first} EXCEPT ALL {second})").fetchone()[0]
                for first, second in (rows, rows[::-1])
            )
            if missing or extra:
                found[table] = f"{missing} rows only in one process, {extra} only on workers"
        assert len(columns) > 20
    return found
