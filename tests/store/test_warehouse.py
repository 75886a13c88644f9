"""The warehouse: the contract's tables, whole transactions, one process, and errors that say what to do."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from o365_etl.errors import BusyError, LocalError
from o365_etl.store.checks import broken_rules
from o365_etl.store.warehouse import Db, Warehouse
from o365_etl.tables import TABLES

Start = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import sys
from pathlib import Path
from o365_etl.store.warehouse import Warehouse
with Warehouse(Path(sys.argv[1])).connect() as db:
    print("open", flush=True)
    sys.stdin.readline()
"""


def domains(*rows: tuple[str, str]) -> pa.Table:
    """Rows of m365.domains without its flags."""
    return pa.table({"domain": [row[1] for row in rows], "tenant_id": [row[0] for row in rows]})


@pytest.fixture
def warehouse(data_dir: Path) -> Warehouse:
    return Warehouse(data_dir)


def test_it_has_the_tables_of_the_contract(warehouse: Warehouse) -> None:
    """Every table is there with its columns in order and its types, also when opened again."""
    for _ in range(2):
        with warehouse.connect() as db:
            found = db.rows(
                "SELECT schema_name || '.' || table_name, column_name, data_type FROM duckdb_columns()"
                " WHERE NOT internal AND schema_name <> 'work' ORDER BY ALL"
            )
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}

    assert found == sorted(
        (name, column.name, types.get(column.type, column.type))
        for name, table in TABLES.items()
        for column in table.columns
    )


def test_only_this_user_may_read_it(warehouse: Warehouse) -> None:
    """The file is 0600 in a folder that is 0700."""
    with warehouse.connect():
        pass

    assert oct(warehouse.path.stat().st_mode & 0o777) == "0o600"
    assert oct(warehouse.data_dir.stat().st_mode & 0o777) == "0o700"


def test_a_grown_contract_keeps_the_rows(warehouse: Warehouse) -> None:
    """A file of an older version gets the new columns, NULL, and loses nothing."""
    warehouse.data_dir.mkdir()
    with duckdb.connect(str(warehouse.path)) as old:
        old.execute("CREATE SCHEMA m365")
        old.execute("CREATE TABLE m365.domains (tenant_id VARCHAR NOT NULL, domain VARCHAR NOT NULL)")
        old.execute("INSERT INTO m365.domains VALUES ('t1', 'a.example')")
    with warehouse.connect() as db:
        assert db.rows("SELECT tenant_id, domain, is_default, is_verified FROM m365.domains") == [
            ("t1", "a.example", None, None)
        ]


def test_replace_touches_the_named_tenants_only(warehouse: Warehouse) -> None:
    """Rows of the tenants read are replaced, also by nothing; those of others stay."""
    with warehouse.connect() as db:
        db.replace("m365.domains", domains(("t1", "a"), ("t2", "b"), ("t3", "c")), None)
        count = db.replace("m365.domains", domains(("t1", "new"), ("t1", "newer")), ["t1", "t2"])

        assert count == 2
        assert db.rows("SELECT tenant_id, domain FROM m365.domains ORDER BY ALL") == [
            ("t1", "new"),
            ("t1", "newer"),
            ("t3", "c"),
        ]
        assert db.replace("m365.domains", domains(), []) == 0
        assert db.scalar("SELECT count(*) FROM m365.domains") == 3
        assert db.replace("m365.domains", domains(("t9", "z")), None) == 1
        assert db.append("m365.domains", domains(("t9", "y"))) == 1
        assert db.scalar("SELECT count(*) FROM m365.domains") == 2


def test_a_reader_is_inserted_batch_by_batch(warehouse: Warehouse) -> None:
    """A stream of Arrow batches is inserted whole."""
    table = domains(*[("t1", f"{number}.example") for number in range(1000)])
    with warehouse.connect() as db:
        reader = pa.RecordBatchReader.from_batches(table.schema, iter(table.to_batches(max_chunksize=7)))

        assert db.replace("m365.domains", reader, ["t1"]) == 1000


def test_a_failed_transaction_changes_nothing(warehouse: Warehouse) -> None:
    """When the second table of a transaction fails, the first is as before, and the connection goes on."""
    with warehouse.connect() as db:
        db.replace("m365.domains", domains(("t1", "old")), None)
        with pytest.raises(duckdb.Error):
            replace_two(db, domains(("t1", "new")), pa.table({"no_such_column": [1]}))

        assert db.rows("SELECT domain FROM m365.domains") == [("old",)]
        db.replace("m365.domains", domains(("t1", "next")), ["t1"])
    with warehouse.connect() as db:
        assert db.rows("SELECT domain FROM m365.domains") == [("next",)]


def replace_two(db: Db, first: pa.Table, second: pa.Table) -> None:
    """Two tables in one transaction."""
    with db.transaction():
        db.replace("m365.domains", first, ["t1"])
        db.replace("m365.users", second, ["t1"])


def test_names_come_from_the_contract(warehouse: Warehouse) -> None:
    """A table that the contract does not know cannot be written."""
    with warehouse.connect() as db, pytest.raises(KeyError):
        db.replace("m365.domains; DROP TABLE m365.users", domains(), None)


def test_functions_see_no_null(warehouse: Warehouse) -> None:
    """A function of the caller works in SQL, NULL stays NULL, and two connections do not collide."""
    functions = {"normalise": str.casefold}
    with warehouse.connect(functions) as db, warehouse.connect(functions) as other:
        sql = "SELECT normalise(t) FROM (VALUES (NULL), ('ÄB'), ('')) v(t)"
        assert db.rows(sql) == [(None,), ("äb",), ("",)]
        assert other.scalar("SELECT normalise('X')") == "x"
        assert other.scalar("SELECT normalise(NULL)") is None


def test_null_stays_null_in_frames(warehouse: Warehouse) -> None:
    """Integers and booleans with a NULL stay integers and booleans; times carry UTC."""
    with warehouse.connect() as db:
        frame = db.frame(
            "SELECT * FROM (VALUES (1::BIGINT, true, 'a', TIMESTAMPTZ '2026-01-02 03:04:05+02'),"
            " (NULL, NULL, NULL, NULL)) v(n, b, s, t)"
        )
        table = db.arrow("SELECT $x::VARCHAR AS x", {"x": "it's"})

    assert str(frame["n"].dtype) == "Int64"
    assert str(frame["b"].dtype) == "boolean"
    assert frame["t"][0].isoformat() == "2026-01-02T01:04:05+00:00"
    assert frame.isna().sum().tolist() == [1, 1, 1, 1]
    assert table.to_pylist() == [{"x": "it's"}]


def test_a_second_process_is_told_who_has_it(warehouse: Warehouse, child: Start) -> None:
    """While another process has the warehouse open, connecting is a `BusyError` that names it."""
    process = child(HOLD, warehouse.data_dir)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"

    with pytest.raises(BusyError, match=f"pid {process.pid}"), warehouse.connect():
        pass
    process.communicate("go\n")
    with warehouse.connect() as db:
        assert db.scalar("SELECT count(*) FROM m365.users") == 0


@pytest.mark.parametrize("damage", ["text", "empty", "header", "cut"])
def test_a_damaged_file_is_said(warehouse: Warehouse, damage: str) -> None:
    """A file that is not a DuckDB database gives a `LocalError` with the mend, and stays as it is."""
    with warehouse.connect() as db:
        db.replace("m365.domains", domains(("t1", "a")), None)
    whole = warehouse.path.read_bytes()
    content = {
        "text": b"not a database " * 1000,
        "empty": b"",
        "header": whole[:8192] + b"12345678" + whole[8200:],
        "cut": whole[:12500],
    }[damage]
    warehouse.path.write_bytes(content)

    with pytest.raises(LocalError) as caught, warehouse.connect():
        pass
    assert caught.value.code == "damaged"
    assert "Move it away" in caught.value.remedy
    assert warehouse.path.read_bytes() == content


FILL = """
import resource, signal, sys
from pathlib import Path
from o365_etl.errors import LocalError
from o365_etl.store.warehouse import Warehouse
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
warehouse = Warehouse(Path(sys.argv[1]))
with warehouse.connect() as db:
    db.execute("INSERT INTO m365.domains SELECT 'old', 'old', true, true, true")
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
try:
    with warehouse.connect() as db:
        db.execute(
            "INSERT INTO m365.domains SELECT 'new', hash(i) || '-' || hash(i + 1), true, true, true"
            " FROM range(1000000) t(i)"
        )
except LocalError as error:
    print(error.code)
"""


def test_a_full_disk_is_said(warehouse: Warehouse, run: Callable[..., str]) -> None:
    """Where the disk has no room the error says so, and the rows of before are there afterwards."""
    assert run(FILL, warehouse.data_dir) == "disk_full"
    with warehouse.connect() as db:
        assert db.rows("SELECT tenant_id FROM m365.domains") == [("old",)]


def test_broken_rules_are_counted(warehouse: Warehouse) -> None:
    """A duplicate key and a word outside the contract are found; a table in order has no broken rule."""
    table = TABLES["match.organizations"]
    with warehouse.connect() as db:
        assert broken_rules(db, table) == {}
        rows = {"tenant_id": ["t1", "t1", "t2"], "status": ["matched", None, "odd"]}
        db.append("match.organizations", pa.table(rows))

        assert broken_rules(db, table) == {"duplicate_key": 1, "unknown_word:status": 1}


def test_null_keys_are_counted(warehouse: Warehouse) -> None:
    """A NULL in a key is found in a file whose older contract allowed it."""
    with warehouse.connect() as db:
        db.execute("ALTER TABLE m365.domains ALTER COLUMN domain DROP NOT NULL")
        db.append("m365.domains", pa.table({"tenant_id": ["t1", "t2"]}))

        assert broken_rules(db, TABLES["m365.domains"]) == {"null_key:domain": 2}


@pytest.mark.parametrize(("kept", "tasks"), [(9, 0), (6, 100)])
def test_gaps_are_closed_where_there_are_many(data_dir: Path, kept: int, tasks: int) -> None:
    """A table of which so many of ten rows are left is written anew at the next change, or left as it is."""
    warehouse = Warehouse(data_dir)
    with warehouse.connect() as db:
        db.execute("INSERT INTO work.held SELECT 't', range::VARCHAR, '[]', '{}' FROM range(1_000_000)")
    with warehouse.connect() as db:
        db.execute("DELETE FROM work.held WHERE user_id::INTEGER % 10 >= ?", [kept])
        db.execute("CHECKPOINT")
    stored = "SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'held'"
    with warehouse.connect() as db:
        assert db.scalar("SELECT current_setting('max_vacuum_tasks')") == tasks
        db.execute("INSERT INTO work.held VALUES ('t', 'u', '[]', '{}')")
        db.execute("CHECKPOINT")
        assert (db.scalar(stored) < 1_000_000) == bool(tasks)
        assert db.scalar("SELECT count(*) FROM work.held") == kept * 100_000 + 1


def grown(folder: Path) -> Warehouse:
    """A warehouse that is not small any more."""
    warehouse = Warehouse(folder)
    with warehouse.connect() as db:
        db.execute(
            "INSERT INTO work.held SELECT sha256(i::VARCHAR), sha256(i::VARCHAR || 'x'), '', ''"
            " FROM range(500_000) r(i)"
        )
    assert not warehouse.is_small
    return warehouse


def test_one_thread_and_little_memory_are_for_a_while_only(tmp_path: Path) -> None:
    """Whatever happens in between, also within a transaction."""
    threads, memory = "SELECT current_setting('threads')", "SELECT current_setting('memory_limit')"
    with grown(tmp_path).connect() as db:
        usual = db.scalar(memory)
        with contextlib.suppress(ValueError), db.on_one_thread(), db.transaction(), db.in_little_memory():
            assert db.scalar(threads) == 1
            assert db.scalar(memory) == "238.4 MiB"
            raise ValueError("broken")
        assert (db.scalar(threads), db.scalar(memory)) == (2, usual)


def test_it_takes_the_same_threads_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limits of memory are made for, with a small file one; DuckDB by itself would take one for each
    processor.
    """
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "16")  # what DuckDB believes before it asks the system
    threads = "SELECT current_setting('threads')"
    with duckdb.connect() as plain:
        assert plain.execute(threads).fetchone() == (16,)
    with Warehouse(tmp_path).connect() as db:
        assert db.scalar(threads) == 1
    with grown(tmp_path).connect() as db:
        assert db.scalar(threads) == 2
