"""The warehouse as a lake, on a real PostgreSQL server."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa
import pytest

from o365_etl.errors import ConfigError, LocalError, O365EtlError, TransientError, UnreachableError
from o365_etl.store.checks import broken_rules
from o365_etl.store.extensions import load_extensions
from o365_etl.store.lake import Lake
from o365_etl.store.warehouse import Db
from o365_etl.tables import TABLES
from tests.lake import needs_a_lake
from tests.postgres import PASSWORD, PostgresServer, postgres_server

pytestmark = needs_a_lake


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def new_lake(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Lake]:
    """Makes lakes, each with an empty database for its catalog."""

    def make() -> Lake:
        folder = tmp_path_factory.mktemp("lake")
        return Lake(folder / "data", catalog_of(server, server.new_database()), str(folder / "files"))

    return make


@pytest.fixture(scope="module")
def lake(new_lake: Callable[[], Lake]) -> Lake:
    """One lake for all tests that leave others' tables alone."""
    return new_lake()


def catalog_of(server: PostgresServer, database: str, password: str = PASSWORD) -> str:
    """The connection text of a database, for a user who needs a password."""
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"host={server.folder} user=etl dbname={database} password='{quoted}'"


def files_of(lake: Lake) -> list[Path]:
    return list(lake.data_dir.with_name("files").rglob("*.parquet"))


def in_a_transaction(db: Db, *steps: str | Callable[[], object]) -> None:
    with db.transaction():
        for step in steps:
            if isinstance(step, str):
                db.execute(step)
            else:
                step()


def opened(lake: Lake) -> O365EtlError:
    """The error of opening it, which must not tell the password anywhere, its causes included."""
    with pytest.raises(O365EtlError) as caught, lake.connect():
        pass
    told = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in told
    assert "Pa55" not in told
    return caught.value


TWO_TABLES = (("m365.domains", "domain"), ("m365.licenses", "sku_id"))
WRITE = """
import sys
from pathlib import Path
from typing import ClassVar
from o365_etl.store.lake import Lake
data, catalog, files, table, column = sys.argv[1:]
lake = Lake(Path(data), catalog, files)
sys.stdin.readline()
with lake.connect() as db:
    for at in range(10):
        db.execute(f"INSERT INTO {table} (tenant_id, {column}) SELECT '{at}', i FROM range(1000) t(i)")
print("done")
"""


def test_two_processes_make_and_fill_it_at_once(
    server: PostgresServer, tmp_path: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Two who open an empty database at the same time both find all tables, and write each a table of its own."""
    place = (tmp_path / "data", catalog_of(server, server.new_database()), tmp_path / "files")
    lake = Lake(place[0], str(place[1]), str(place[2]))
    assert not lake.exists
    children = [child(WRITE, *place, *each) for each in TWO_TABLES]
    for each in children:
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in children:
        output, errors = each.communicate(timeout=120)
        assert output == "done\n", errors

    assert lake.exists
    with lake.connect() as db:
        for table, _ in TWO_TABLES:
            assert db.scalar(f"SELECT count(*) FROM {table}") == 10_000
        made = db.rows("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake'")
        assert made[0][0] >= len(TABLES) - 1  # compare.contacts is a view
    assert list(lake.data_dir.glob("lake.tmp/*")) == []


def test_rows_of_tenants_are_replaced_as_a_whole(lake: Lake) -> None:
    """Replacing touches the tenants named and no others; what fails leaves everything as it was."""
    with lake.connect() as db:
        frame = {"tenant_id": ["t1", "t1", "t2"], "domain": ["a", "b", "a"], "is_verified": [True, None, False]}
        db.replace("m365.domains", pa.table(frame), None)
        db.replace("m365.domains", pa.table({"tenant_id": ["t1"], "domain": ["c"]}), ["t1"])
        rows = "SELECT tenant_id, domain, is_verified FROM m365.domains ORDER BY ALL"
        assert db.rows(rows) == [("t1", "c", None), ("t2", "a", False)]

        with pytest.raises(duckdb.Error):
            in_a_transaction(db, "DELETE FROM m365.domains", "SELECT no_such_column FROM m365.domains")
        assert len(db.rows(rows)) == 2
        with pytest.raises(duckdb.ConstraintException):
            db.append("m365.domains", pa.table({"tenant_id": ["t3"]}))
    with lake.connect() as db:
        assert len(db.rows(rows)) == 2
        assert db.scalar("SELECT TIMESTAMPTZ '2026-01-01 00:00:00+00'::VARCHAR") == "2026-01-01 00:00:00+00"


def test_a_broken_contract_is_found(lake: Lake) -> None:
    """The checks of a table's contract see a duplicate key and a word that is none."""
    table = TABLES["match.organizations"]
    with lake.connect() as db:
        assert broken_rules(db, table) == {}
        rows = {"tenant_id": ["t1", "t1", "t2"], "status": ["matched", None, "odd"]}
        db.append("match.organizations", pa.table(rows))
        assert broken_rules(db, table) == {"duplicate_key": 1, "unknown_word:status": 1}


def test_a_column_that_is_new_in_the_contract_is_added(lake: Lake) -> None:
    """A lake of an older version gets the columns that it lacks; rows stay."""
    with lake.connect() as db:
        db.append("m365.products", pa.table({"sku_id": ["s"]}))
        db.execute("ALTER TABLE m365.products DROP COLUMN product_name")
    with lake.connect() as db:
        assert db.rows("SELECT sku_id, product_name FROM m365.products") == [("s", None)]


def test_rows_have_a_number_of_their_own(lake: Lake) -> None:
    """What relates the two sides goes by the number of a row: one row's alone, and the same until the row changes."""
    with lake.connect() as db:
        insert = "INSERT INTO m365.licenses (tenant_id, sku_id) SELECT ?, i FROM range(2000) t(i)"
        for tenant in ("t1", "t2"):
            db.execute(insert, [tenant])
        unchanged = "SELECT rowid, sku_id FROM m365.licenses WHERE tenant_id = 't2' AND sku_id::INT >= 100"
        numbers = dict(db.rows(unchanged))
        db.execute("DELETE FROM m365.licenses WHERE tenant_id = 't1'")
        db.execute("UPDATE m365.licenses SET status = 'x' WHERE sku_id::INT < 100")
        db.execute(insert, ["t3"])
        lake.tidy(db)

        assert dict(db.rows(unchanged)) == numbers
        assert db.rows("SELECT count(DISTINCT rowid), count(*) FROM m365.licenses") == [(4000, 4000)]


def test_files_that_were_replaced_are_deleted(new_lake: Callable[[], Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write is a file; once a sync is published the replaced ones go, after a while, and the tiny ones are one."""
    lake = new_lake()
    with lake.connect() as db:
        for at in range(6):
            db.replace("m365.domains", pa.table({"tenant_id": ["t1"] * 9, "domain": list("abcdefghi")}), ["t1"])
            db.append("m365.products", pa.table({"sku_id": [str(at)]}))
        assert len(files_of(lake)) == 12
        lake.tidy(db)
        assert len(files_of(lake)) >= 12  # who is reading still needs them
        monkeypatch.setattr("o365_etl.store.lake.KEPT", "0 seconds")
        lake.tidy(db)

        assert len(files_of(lake)) == 2
        assert db.scalar("SELECT count(*) FROM m365.domains") == 9
        assert db.scalar("SELECT count(*) FROM m365.products") == 6


def test_of_two_who_change_the_same_rows_one_gets_an_error(new_lake: Callable[[], Lake]) -> None:
    """The second of two is told that trying again may help; nothing of his is there."""
    lake = new_lake()
    with lake.connect() as one, lake.connect() as two:
        one.append("m365.products", pa.table({"sku_id": ["a"]}))
        update = "UPDATE m365.products SET product_name = '{}'"
        with pytest.raises(TransientError) as caught:
            in_a_transaction(two, update.format("two"), lambda: one.execute(update.format("one")))
        assert caught.value.code == "lake_conflict"
        assert two.rows("SELECT product_name FROM m365.products") == [("one",)]


def test_a_catalog_that_cannot_be_used_is_said(server: PostgresServer, tmp_path: Path) -> None:
    """A wrong password, a database that is not there and a text that is none: each an error with its mend."""

    def lake(catalog: str) -> Lake:
        return Lake(tmp_path, catalog, str(tmp_path / "files"))

    database = server.new_database()
    refused = opened(lake(catalog_of(server, database, PASSWORD + "x")))
    assert isinstance(refused, ConfigError)
    assert "password" in refused.remedy
    missing = opened(lake(catalog_of(server, "nosuchdatabase")))
    assert isinstance(missing, UnreachableError)
    assert "nosuchdatabase" in missing.message
    for text in (PASSWORD, "postgresql+psycopg://etl@/db", f"host=x passwort={PASSWORD}"):
        with pytest.raises(ConfigError) as caught:
            lake(text)
        assert "no connection text" in caught.value.message
        assert "Pa55" not in "".join(traceback.format_exception(caught.value))
    assert not (tmp_path / "files").exists() or list((tmp_path / "files").iterdir()) == []


def test_other_files_than_the_catalog_knows_are_said(new_lake: Callable[[], Lake], server: PostgresServer) -> None:
    """Another `data_path` than the lake was made with is refused; a file that is missing is said."""
    lake = new_lake()
    with lake.connect() as db:
        db.append("m365.products", pa.table({"sku_id": ["a"]}))
    elsewhere = Lake(lake.data_dir, "", str(lake.data_dir / "other"))
    elsewhere._catalog = lake._catalog
    error = opened(elsewhere)
    assert isinstance(error, ConfigError)
    assert "data_path" in error.message

    for file in files_of(lake):
        file.unlink()
    with lake.connect() as db, pytest.raises(LocalError) as caught:
        db.rows("SELECT * FROM m365.products")
    assert caught.value.code == "damaged"


FILL = """
import resource, signal, sys
from pathlib import Path
from typing import ClassVar
from o365_etl.errors import LocalError
from o365_etl.store.lake import Lake
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lake = Lake(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
with lake.connect() as db:
    db.execute("INSERT INTO m365.domains SELECT 'old', 'old', true, true, true")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    try:
        with db.transaction():
            db.execute("DELETE FROM m365.domains")
            db.execute(
                "INSERT INTO m365.domains SELECT 'new', hash(i) || '-' || hash(i + 1), true, true, true"
                " FROM range(1000000) t(i)"
            )
    except LocalError as error:
        print(error.code, db.rows("SELECT tenant_id FROM m365.domains"))
"""


def test_a_full_folder_is_said(server: PostgresServer, tmp_path: Path, run: Callable[..., str]) -> None:
    """Where the folder has no room the error says so, and the rows of before are there afterwards."""
    catalog = catalog_of(server, server.new_database())
    assert run(FILL, tmp_path / "data", catalog, tmp_path / "files") == "disk_full [('old',)]"


def test_a_server_that_goes_away_loses_nothing(
    new_lake: Callable[[], Lake], server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that the server's end cut off is not there; who opens the lake waits until the server is back."""
    lake = new_lake()
    with lake.connect() as db:
        db.append("m365.products", pa.table({"sku_id": ["before"]}))
        with pytest.raises(UnreachableError):
            in_a_transaction(db, "INSERT INTO m365.products (sku_id) VALUES ('lost')", lambda: server.stop(abort=True))
        with pytest.raises(UnreachableError) as caught:
            db.rows("SELECT * FROM m365.products")
        assert "etl" not in caught.value.line
        monkeypatch.setattr("o365_etl.store.server.WAIT_SECONDS", 0.3)
        assert isinstance(opened(lake), UnreachableError)

        monkeypatch.undo()
        later = threading.Timer(1.0, server.start)
        later.start()
        with lake.connect() as again:
            assert again.rows("SELECT sku_id FROM m365.products") == [("before",)]
            again.append("m365.products", pa.table({"sku_id": ["after"]}))
        later.join()
        # The connection of before finds its way back too.
        assert db.rows("SELECT sku_id FROM m365.products ORDER BY ALL") == [("after",), ("before",)]


def test_a_missing_extension_is_said() -> None:
    """An extension that is not installed is named with both ways to get it; nothing is fetched."""
    config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    with duckdb.connect(config=config) as connection, pytest.raises(ConfigError) as caught:
        load_extensions(connection, ("spatial",))
    assert "spatial" in caught.value.message
    assert f"pip install duckdb-extension-spatial=={duckdb.__version__}" in caught.value.remedy
    assert "INSTALL spatial" in caught.value.remedy


class _Bucket(BaseHTTPRequestHandler):
    """As much of S3 as DuckDB asks for; anybody may do anything."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"", ETag='"x"')

    def do_GET(self) -> None:
        content = self.objects.get(self.path)
        if content is None:
            self._answer(404, b"")
        elif match := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(match[1]), min(int(match[2]), len(content) - 1)
            span = f"bytes {first}-{last}/{len(content)}"
            self._answer(206, content[first : last + 1], **{"Content-Range": span})
        else:
            self._answer(200, content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.objects.pop(self.path, None)
        self._answer(204, b"")

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """What is in the object store that this machine has the key of."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bucket) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{store.server_address[1]}")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        _Bucket.objects.clear()
        yield _Bucket.objects
        store.shutdown()


@pytest.mark.skipif(
    not all(importlib.util.find_spec(f"duckdb_extension_{name}") for name in ("httpfs", "aws")),
    reason="DuckDB's extensions for object stores are not installed",
)
def test_files_may_be_in_an_object_store(server: PostgresServer, tmp_path: Path, bucket: dict[str, bytes]) -> None:
    """The tables' files are objects, and nothing of them is on this machine."""
    lake = Lake(tmp_path, catalog_of(server, server.new_database()), "s3://bucket/lake")
    with lake.connect() as db:
        db.append("m365.products", pa.table({"sku_id": [str(n) for n in range(1000)]}))
        assert db.scalar("SELECT count(DISTINCT sku_id) FROM m365.products") == 1000
    assert [path.split("/")[:5] for path in bucket] == [["", "bucket", "lake", "m365", "products"]]
    assert list(tmp_path.rglob("*.parquet")) == []


def test_another_kind_of_store_is_refused(tmp_path: Path) -> None:
    """What would need other extensions and keys is no place for files."""
    with pytest.raises(ConfigError) as caught:
        Lake(tmp_path, "dbname=x", "gs://bucket/lake")
    assert "data_path" in caught.value.message
