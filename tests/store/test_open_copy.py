"""The published copy kept open: always the newest one, for any number of threads, and nothing but that one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from o365_etl.errors import LocalError, NotFoundError, PermanentError
from o365_etl.store import published
from o365_etl.store.published import OpenCopy
from o365_etl.store.warehouse import Warehouse

DOMAINS = "SELECT domain FROM m365.domains ORDER BY 1"

Publish = Callable[..., None]


@pytest.fixture
def publish(data_dir: Path) -> Publish:
    """Publishes a copy with these domains."""
    warehouse = Warehouse(data_dir)

    def write(*domains: str) -> None:
        with warehouse.connect() as db:
            db.replace("m365.domains", pa.table({"tenant_id": ["t1"] * len(domains), "domain": list(domains)}), None)
            published.publish(db, data_dir / "o365.duckdb", run_id="r1", extra={})

    return write


@pytest.fixture
def copy(data_dir: Path) -> OpenCopy:
    return OpenCopy(data_dir / "o365.duckdb")


def test_it_answers_from_the_newest_copy(copy: OpenCopy, publish: Publish) -> None:
    """The first question after a publish is answered from the new copy, and the version tells the two apart."""
    publish("first")
    before = copy.query(DOMAINS).rows, copy.version()
    publish("second")

    assert before[0] == [("first",)]
    assert copy.query(DOMAINS).rows == [("second",)]
    assert copy.version() != before[1]
    assert copy.version() == copy.version() != ()


def test_columns_and_parameters(copy: OpenCopy, publish: Publish) -> None:
    """Parameters are values, whatever they look like."""
    publish("a", "'; DROP TABLE m365.domains; --")
    answer = copy.query(
        "SELECT domain AS d, tenant_id FROM m365.domains WHERE domain = ?", ["'; DROP TABLE m365.domains; --"]
    )

    assert (answer.columns, answer.rows) == (("d", "tenant_id"), [("'; DROP TABLE m365.domains; --", "t1")])
    assert len(copy.query(DOMAINS).rows) == 2


def test_a_question_that_was_begun_is_finished_on_the_old_copy(copy: OpenCopy, publish: Publish) -> None:
    """Whoever reads while the copy is replaced gets the rest of what he began to read."""
    publish(*(f"old{number:05d}" for number in range(10_000)))
    cursor, _ = copy._cursor()
    with closing(cursor):
        cursor.execute("USE published")
        cursor.execute(DOMAINS)
        first = cursor.fetchmany(10)
        publish("new")
        now = copy.query(DOMAINS).rows
        rest = cursor.fetchall()

    assert now == [("new",)]
    assert [row[0] for row in first + rest] == [f"old{number:05d}" for number in range(10_000)]


def test_many_threads_ask_while_it_is_replaced(copy: OpenCopy, publish: Publish) -> None:
    """Every answer is one whole copy, never a mixture and never an error."""
    publish("0a", "0b")
    is_over = threading.Event()

    def ask(_: int) -> set[tuple[str, ...]]:
        seen = set()
        while not is_over.wait(0.002):
            seen.add(tuple(row[0] for row in copy.query(DOMAINS, remember=True).rows))
        return seen

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, number) for number in range(4)]
        for number in range(1, 6):
            publish(f"{number}a", f"{number}b")
        is_over.set()
        seen = set().union(*(each.result() for each in asked))

    assert seen <= {(f"{number}a", f"{number}b") for number in range(6)}
    assert copy.query(DOMAINS).rows == [("5a",), ("5b",)]


def test_a_remembered_answer_is_not_asked_for_again(copy: OpenCopy, publish: Publish) -> None:
    """`remember` gives the very same answer, by statement and parameters; without it, each question is asked."""
    publish("a")
    random = "SELECT random(), ?"
    first = copy.query(random, [1], remember=True).rows

    assert copy.query(random, [1], remember=True).rows == first
    assert copy.query(random, [2], remember=True).rows != first
    assert copy.query(random, [1]).rows != first


def test_a_remembered_answer_does_not_outlive_its_copy(copy: OpenCopy, publish: Publish) -> None:
    """A new copy has new answers."""
    publish("first")
    copy.query(DOMAINS, remember=True)
    publish("second")

    assert copy.query(DOMAINS, remember=True).rows == [("second",)]


def test_what_is_remembered_is_bounded(copy: OpenCopy, publish: Publish) -> None:
    """Beyond its limit nothing more is kept, and the answers stay right."""
    publish("a")
    asked = [copy.query("SELECT ?, random()", [number], remember=True).rows for number in range(600)]
    again = [copy.query("SELECT ?, random()", [number], remember=True).rows for number in range(600)]

    assert asked[:500] == again[:500]
    assert [row[0][0] for row in again] == list(range(600))
    assert asked[599] != again[599]


def test_nothing_published_yet(copy: OpenCopy, publish: Publish) -> None:
    """It says what to do, and answers as soon as there is a copy."""
    with pytest.raises(NotFoundError) as caught:
        copy.query(DOMAINS)
    assert "o365-etl sync" in caught.value.remedy
    assert copy.version() == ()
    publish("a")
    assert copy.query(DOMAINS).rows == [("a",)]


def test_a_damaged_file_is_said_and_the_next_publish_mends_it(copy: OpenCopy, publish: Publish, data_dir: Path) -> None:
    """A file that is no database is an error with code `damaged`, also for who had the good one open."""
    publish("a")
    copy.query(DOMAINS)
    damaged = data_dir / "damaged"
    damaged.write_bytes(b"not a database" * 1000)
    damaged.replace(data_dir / "o365.duckdb")
    with pytest.raises(LocalError) as caught:
        copy.query(DOMAINS)
    assert caught.value.code == "damaged"
    publish("b")
    assert copy.query(DOMAINS).rows == [("b",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hosts')",
        "SELECT * FROM read_text('{folder}/warehouse.duckdb')",
        "SELECT * FROM glob('/*')",
        "ATTACH '{folder}/warehouse.duckdb' AS other (READ_ONLY)",
        "COPY m365.domains TO '{folder}/stolen.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "CREATE TABLE published.main.mine (a INTEGER)",
        "DELETE FROM m365.domains",
        "SELEC 1",
    ],
)
def test_it_reads_nothing_but_the_copy_and_writes_nothing(
    copy: OpenCopy, publish: Publish, data_dir: Path, sql: str
) -> None:
    """A statement that reaches beyond the copy, changes it or is wrong is an error, and the next question works."""
    publish("a")
    before = sorted(data_dir.rglob("*"))
    with pytest.raises(PermanentError) as caught:
        copy.query(sql.format(folder=data_dir))

    assert caught.value.code == "query"
    assert sorted(data_dir.rglob("*")) == before
    assert copy.query(DOMAINS).rows == [("a",)]


def test_times_are_utc_in_any_time_zone(publish: Publish, data_dir: Path) -> None:
    """Where the machine stands has no part in an answer, whichever thread asks."""
    publish("a")
    program = (
        "import sys, pathlib\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from o365_etl.store.published import OpenCopy\n"
        "copy = OpenCopy(pathlib.Path(sys.argv[1]))\n"
        "ask = lambda _: copy.query(\"SELECT TIMESTAMPTZ '2026-07-02 03:04:05+02'\").rows[0][0].isoformat()\n"
        "with ThreadPoolExecutor(2) as pool: print(*pool.map(ask, range(2)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(data_dir / "o365.duckdb")],
        env={**os.environ, "TZ": "America/New_York", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["2026-07-02T01:04:05+00:00"] * 2


def test_a_row_of_times_comes_as_it_was_published(copy: OpenCopy, publish: Publish) -> None:
    """Times bear their zone."""
    publish("a")
    (moment,) = copy.query("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+02'").rows[0]

    assert moment.utcoffset() == timedelta(0)


def test_a_folder_with_a_quote_in_its_name(tmp_path: Path) -> None:
    """The path of the data folder is data, not SQL."""
    data_dir = tmp_path / "o'brien; DROP"
    with Warehouse(data_dir).connect() as db:
        published.publish(db, data_dir / "o365.duckdb", run_id="r1", extra={})

    assert OpenCopy(data_dir / "o365.duckdb").query(DOMAINS).rows == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the open files as Linux lists them")
def test_replaced_copies_are_let_go(copy: OpenCopy, publish: Publish, data_dir: Path) -> None:
    """However often it is replaced, one copy is open, and no replaced file is held on the disk."""
    for number in range(8):
        publish(str(number))
        assert copy.query(DOMAINS, remember=True).rows == [(str(number),)]
        copy.query(DOMAINS, remember=True)

    # A replaced file that is still open bears its old name and the word `(deleted)`.
    assert [Path(name).name for name in _open_files() if name.startswith(str(data_dir))] == ["o365.duckdb"]


def _open_files() -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        # The one that lists them is gone by now.
        with suppress(OSError):
            found.append(os.readlink(each))
    return found
