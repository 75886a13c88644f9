"""The published copy: whole, atomic, described, and open to readers at any time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from o365_etl.errors import LocalError, NotFoundError, PermanentError
from o365_etl.store import published
from o365_etl.store.state import StateStore
from o365_etl.store.warehouse import Warehouse
from o365_etl.tables import TABLES

Start = Callable[..., "subprocess.Popen[str]"]

READ = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(connection.execute("SELECT domain FROM m365.domains").fetchall(), flush=True)
connection.close()
"""


@pytest.fixture
def warehouse(data_dir: Path) -> Warehouse:
    return Warehouse(data_dir)


@pytest.fixture
def copy(data_dir: Path) -> Path:
    return data_dir / "o365.duckdb"


def publish(warehouse: Warehouse, copy: Path, domain: str) -> None:
    with warehouse.connect() as db:
        db.replace("m365.domains", pa.table({"tenant_id": ["t1"], "domain": [domain]}), None)
        published.publish(db, copy, run_id="r1", extra={})


def damage(file: Path, table: str) -> None:
    """Overwrite what a DuckDB file keeps of the rows of a table."""
    with duckdb.connect(str(file), read_only=True) as connection:
        blocks = connection.execute(
            f"SELECT DISTINCT block_id FROM pragma_storage_info('{table}') WHERE persistent AND block_id >= 0"
        ).fetchall()
        (size,) = connection.execute("SELECT block_size FROM pragma_database_size()").fetchall()[0]
    assert blocks
    content = bytearray(file.read_bytes())
    for (number,) in blocks:
        start = 3 * 4096 + number * size  # behind the file's heads
        content[start : start + 4096] = b"\xa5" * 4096
    file.write_bytes(content)


def test_it_holds_every_table_with_its_description(warehouse: Warehouse, copy: Path) -> None:
    """Every table and column of the contract is there, in order, with the contract's words; `about` tells the run."""
    publish(warehouse, copy, "a.example")
    columns = published.query(
        copy,
        "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns()"
        " WHERE NOT internal AND schema_name <> 'main' ORDER BY 1, column_index",
    ).rows
    tables = published.query(copy, "SELECT comment FROM duckdb_tables() WHERE schema_name <> 'main'").rows
    about = dict(published.query(copy, "SELECT key, value FROM about").rows)

    assert columns == [
        (name, column.name, column.description) for name in sorted(TABLES) for column in TABLES[name].columns
    ]
    assert sorted(text for (text,) in tables) == sorted(table.description for table in TABLES.values())
    assert about["run_id"] == "r1"
    assert about["duckdb_version"] == duckdb.__version__
    assert published.query(copy, "SELECT tenant_id, domain FROM m365.domains").rows == [("t1", "a.example")]


def test_the_sync_log_comes_from_the_state_store(warehouse: Warehouse, copy: Path, data_dir: Path) -> None:
    """Tables given beside the warehouse take the place of its own."""
    state = StateStore(data_dir)
    state.log("r1", "warning", "look here", tenant_id="t1")
    with warehouse.connect() as db:
        published.publish(db, copy, run_id="r1", extra={"sync.log": state.log_table()})

    assert published.query(copy, "SELECT level, message, tenant_id FROM sync.log").rows == [
        ("warning", "look here", "t1")
    ]


def test_a_reader_keeps_what_it_opened(warehouse: Warehouse, copy: Path, child: Start) -> None:
    """A process that reads during a publish goes on reading its sync; one that opens afterwards sees the next."""
    publish(warehouse, copy, "first")
    reader = child(READ, copy)
    assert ask(reader) == "[('first',)]"
    publish(warehouse, copy, "second")

    assert ask(reader) == "[('first',)]"
    assert ask(child(READ, copy)) == "[('second',)]"


def test_it_opens_while_a_sync_writes(warehouse: Warehouse, copy: Path, child: Start) -> None:
    """A second process reads the copy while a transaction on the warehouse is open."""
    publish(warehouse, copy, "published")
    with warehouse.connect() as db, db.transaction():
        db.append("m365.domains", pa.table({"tenant_id": ["t2"], "domain": ["not yet"]}))

        assert ask(child(READ, copy)) == "[('published',)]"


def test_a_publish_that_fails_leaves_the_old_copy(warehouse: Warehouse, copy: Path) -> None:
    """When the copy cannot be made, the old one stays and nothing is left lying about; the next one works."""
    publish(warehouse, copy, "old")
    with warehouse.connect() as db, pytest.raises(duckdb.Error):
        published.publish(db, copy, run_id="r2", extra={"sync.log": pa.table({"nonsense": [1]})})

    assert published.query(copy, "SELECT domain FROM m365.domains").rows == [("old",)]
    assert sorted(path.name for path in copy.parent.iterdir()) == ["o365.duckdb", "warehouse.duckdb"]
    publish(warehouse, copy, "new")
    assert published.query(copy, "SELECT domain FROM m365.domains").rows == [("new",)]


def test_rows_of_the_copy_that_were_damaged_are_made_anew(
    warehouse: Warehouse, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a copy is worth is in the warehouse: a copy whose head can be read, and not its rows, is no obstacle."""
    publish(warehouse, copy, "old")
    damage(copy, "main.contents")

    publish(warehouse, copy, "new")

    assert published.query(copy, "SELECT domain FROM m365.domains").rows == [("new",)]
    assert "made anew" in caplog.text


def test_a_damaged_warehouse_is_not_taken_for_a_damaged_copy(warehouse: Warehouse, copy: Path) -> None:
    """The copy cannot be made anew of it: it is the warehouse that is named, and the copy before stays."""
    publish(warehouse, copy, "old")
    damage(warehouse.path, "m365.domains")

    with warehouse.connect() as db, pytest.raises(LocalError, match=r"warehouse\.duckdb is damaged") as caught:
        published.publish(db, copy, run_id="r2", extra={})

    assert caught.value.code == "damaged"
    assert published.query(copy, "SELECT domain FROM m365.domains").rows == [("old",)]


def test_leftovers_of_a_dead_publish_are_removed(warehouse: Warehouse, copy: Path) -> None:
    """What a killed process left beside the copy is gone after the next publish."""
    copy.parent.mkdir()
    for name in (".o365.duckdb.4711", ".o365.duckdb.4711.wal"):
        (copy.parent / name).write_bytes(b"half")
    publish(warehouse, copy, "a")

    assert sorted(path.name for path in copy.parent.iterdir()) == ["o365.duckdb", "warehouse.duckdb"]
    assert oct(copy.stat().st_mode & 0o777) == "0o600"


def test_a_folder_with_a_quote_in_its_name(tmp_path: Path) -> None:
    """The path of the data folder is data, not SQL."""
    data_dir = tmp_path / "o'brien; DROP"
    publish(Warehouse(data_dir), data_dir / "o365.duckdb", "a")

    assert published.query(data_dir / "o365.duckdb", "SELECT domain FROM m365.domains").rows == [("a",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT * FROM nothing_like_it",
        "DELETE FROM m365.domains",
        "COPY m365.domains TO '{folder}/stolen.csv'",
        "SELECT * FROM read_csv('/etc/hosts')",
        "SELECT * FROM glob('/*')",
        "ATTACH '{folder}/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT CAST('x' AS INTEGER)",
    ],
)
def test_a_query_only_reads(warehouse: Warehouse, copy: Path, sql: str) -> None:
    """A wrong statement, or one that reaches beyond the file, is an error with code `query` and has no effect."""
    publish(warehouse, copy, "a")
    before = sorted(copy.parent.rglob("*"))

    with pytest.raises(PermanentError) as caught:
        published.query(copy, sql.format(folder=copy.parent))
    assert caught.value.code == "query"
    assert sorted(copy.parent.rglob("*")) == before


def test_query_answers_with_columns_and_a_limit(warehouse: Warehouse, copy: Path) -> None:
    """Parameters are values, the limit says when it cut, times are UTC, and nothing asked is nothing answered."""
    publish(warehouse, copy, "a")
    cut = published.query(copy, "SELECT i AS n FROM range(10) t(i) WHERE i >= ? ORDER BY i", [3], max_rows=2)
    whole = published.query(copy, "SELECT 1 UNION ALL SELECT 2", max_rows=2)
    (moment,) = published.query(copy, "SELECT TIMESTAMPTZ '2026-01-02 03:04:05+02'").rows[0]

    assert (cut.columns, cut.rows, cut.is_cut) == (("n",), [(3,), (4,)], True)
    assert whole.is_cut is False
    assert moment.isoformat() == "2026-01-02T01:04:05+00:00"
    assert published.query(copy, "-- nothing").rows == []


def test_nothing_published_and_damage_are_said(copy: Path) -> None:
    """A copy that is not there, or is none, is an error that says what to do."""
    with pytest.raises(NotFoundError):
        published.query(copy, "SELECT 1")
    copy.parent.mkdir()
    copy.write_bytes(b"not a database" * 1000)
    with pytest.raises(LocalError) as caught:
        published.query(copy, "SELECT 1")
    assert caught.value.code == "damaged"


def ask(reader: subprocess.Popen[str]) -> str:
    """One question to a process that runs READ."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("?\n")
    reader.stdin.flush()
    return reader.stdout.readline().strip()
