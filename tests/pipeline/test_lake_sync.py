"""A whole sync with the state store and the warehouse on a PostgreSQL server, beside the same one on files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from o365_etl.config import load_settings
from o365_etl.errors import ConfigError, UnreachableError
from o365_etl.pipeline import microsoft, planning
from o365_etl.pipeline.machine import examine_machine
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.simulator import Estate, FaultPlan, SimContact, SimEmail, SimOrganization, SimTenant, Simulator, SimUser
from o365_etl.store.lake import Lake
from o365_etl.tables import TABLES
from tests.conftest import World
from tests.lake import needs_a_lake
from tests.postgres import PASSWORD, PostgresServer, postgres_server

pytestmark = needs_a_lake

ELSEWHERE = """
[state]
url = { env = "LAKE_TEST_STATE" }
[warehouse]
catalog = { env = "LAKE_TEST_CATALOG" }
data_path = "shared/lake"
"""
COUNTED = tuple(name for name in TABLES if name not in ("sync.runs", "sync.log"))
# The same sync at another time: these are not compared.
TIMES = ("TIMESTAMPTZ",)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere(server: PostgresServer) -> Iterator[dict[str, str]]:
    """The places as the environment names them."""
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    catalog, state = server.new_database(), server.new_database()
    places = {
        "LAKE_TEST_STATE": f"postgresql+psycopg://postgres@/{state}?host={server.folder}",
        "LAKE_TEST_CATALOG": f"host={server.folder} user=etl dbname={catalog} password='{quoted}'",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        yield places


@pytest.fixture(scope="module")
def worlds(elsewhere: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """Two installations against one simulator, both synced twice with a change in between: files, and elsewhere."""
    folder = tmp_path_factory.mktemp("worlds")
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(estate(), faults=FaultPlan(), folder=folder / "simulator"))
        made = []
        for name in ("files", "elsewhere"):
            (folder / name).mkdir()
            made.append(World(simulator, folder / name))
        made[1].configure(ELSEWHERE)
        for world in made:
            world.sync()
        simulator.estate.tenants[0].users[0].job_title = "Changed"
        simulator.estate.touch()
        for world in made:
            world.sync()
        yield made[0], made[1]


def estate() -> Estate:
    """Something for every table: users with and without contacts, a group of addresses, an ambiguous name."""
    people = [SimUser.person(name, "Berg", "contoso.example") for name in ("Anna", "Bo", "Cy")]
    return Estate.build(
        tenants=[
            SimTenant("Contoso", users=people),
            SimTenant("Fabrikam Ltd", users=[SimUser.person("Di", "Falk", "fabrikamltd.example")]),
        ],
        organizations=[SimOrganization("Contoso", 101), SimOrganization("Fabrikam GmbH", 102)],
        contacts=[
            SimContact(101, "Anna", "Berg", emails=[SimEmail("anna.berg@contoso.example", primary=True)]),
            SimContact(101, "Bo", "Berg"),
            SimContact(101, "Bo", "Berg"),
            SimContact(101, "Cy", "Other"),
        ],
    )


@pytest.mark.parametrize("name", TABLES)
def test_both_places_hold_the_same(worlds: tuple[World, World], name: str) -> None:
    """Every table of the published copy is the same, but for times and what is made of them."""
    columns = ", ".join(
        f'"{column.name}"'
        for column in TABLES[name].columns
        if column.type not in TIMES and column.name not in ("created_at", "detail")
    )
    files, elsewhere = (world.rows(f"SELECT {columns} FROM {TABLES[name].full_name} ORDER BY ALL") for world in worlds)

    assert elsewhere == files


def test_versions_and_matches_are_there(worlds: tuple[World, World]) -> None:
    """What was compared is not two empty tables: matches, differences, a plan, and the version of before the change."""
    _, elsewhere = worlds
    assert dict(elsewhere.rows('SELECT status, count(*) FROM "match".contacts GROUP BY ALL')).keys() >= {
        "matched",
        "ambiguous",
        "create",
    }
    assert elsewhere.rows("SELECT count(*) FROM history.users WHERE valid_to IS NOT NULL") == [(1,)]
    assert elsewhere.rows("SELECT count(*) FROM sync.changes")[0][0] > 0
    assert elsewhere.rows("SELECT state FROM compare.contacts WHERE field = 'title'") == [("only_m365",)]


def test_nothing_of_it_is_on_this_machine(worlds: tuple[World, World]) -> None:
    """Neither the state nor the tables have a file in the data folder; the relative path is the configuration's."""
    _, elsewhere = worlds
    assert {path.name for path in elsewhere.workspace.data_dir.iterdir() if path.is_file()} & {
        "state.sqlite",
        "warehouse.duckdb",
    } == set()
    assert list((elsewhere.folder / "shared/lake").rglob("*.parquet"))
    assert isinstance(elsewhere.workspace.warehouse, Lake)
    assert [run["status"] for run in elsewhere.workspace.state.runs()] == ["ok", "ok"]


def findings(workspace: Workspace) -> list[str]:
    return [
        finding.code for finding in examine_machine(workspace, now(), None, signs=False) if finding.level == "error"
    ]


def test_the_doctor_looks_there(worlds: tuple[World, World], monkeypatch: pytest.MonkeyPatch) -> None:
    """All is well; a catalog that cannot be reached is a finding of its own."""
    _, elsewhere = worlds
    assert findings(elsewhere.workspace) == []
    monkeypatch.setenv("LAKE_TEST_CATALOG", "host=/nowhere dbname=x")
    monkeypatch.setattr("o365_etl.store.server.WAIT_SECONDS", 0.2)
    assert findings(elsewhere.workspace) == ["warehouse_unreachable"]
    monkeypatch.delenv("LAKE_TEST_CATALOG")
    with pytest.raises(ConfigError) as caught:
        elsewhere.settings.check_secrets()
    assert "warehouse.catalog" in caught.value.message


def cut_off(workspace: Workspace, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync whose server is away for longer than anybody waits, while it loads."""
    with workspace.writing("run-cut", "test", wait_seconds=5):
        plan = planning.plan_shards(workspace, ())
        results = [result for shard in plan.shards for result in microsoft.read_shard(workspace, shard, "run-cut")]
        server.stop(abort=True)
        try:
            with monkeypatch.context() as patch:
                patch.setattr("o365_etl.store.server.WAIT_SECONDS", 0.2)
                microsoft.certify(workspace, "run-cut", plan, results)
        finally:
            server.start()


def test_a_server_away_in_the_middle_of_a_sync(
    worlds: tuple[World, World], server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with a clear state and the next one heals: the tables are those of a sync that nothing disturbed."""
    _, elsewhere = worlds
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {TABLES[name].full_name}" for name in COUNTED)
    before = elsewhere.rows(counts)
    workspace = elsewhere.workspace
    with pytest.raises(UnreachableError):
        cut_off(workspace, server, monkeypatch)
    server.stop()
    later = threading.Timer(2.0, server.start)
    later.start()
    elsewhere.sync()  # waits until the server is back
    later.join()

    assert [run["status"] for run in workspace.state.runs()] == ["ok", "failed", "ok", "ok"]  # newest first
    assert elsewhere.rows(counts) == before


def test_a_path_of_an_object_store_is_kept(tmp_path: Path) -> None:
    """A folder is taken from the configuration file's; an address is no folder."""
    world = tmp_path / "o365_etl.toml"
    base = 'data_dir = "data"\n[itglue]\napi_key = { env = "K" }\n[warehouse]\ndata_path = '
    for written, meant in (("lake", str(tmp_path / "lake")), ("/srv/lake", "/srv/lake"), ("s3://b/l", "s3://b/l")):
        world.write_text(f'{base}"{written}"\n', encoding="utf-8")
        assert load_settings(world).warehouse.data_path == meant
