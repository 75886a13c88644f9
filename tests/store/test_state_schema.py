"""The tables of the state store: a database of an older version grows into what this version needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from o365_etl.store import state_schema
from o365_etl.store.state import StateStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def engine(place: str) -> sa.Engine:
    return sa.create_engine(place, poolclass=sa.pool.NullPool)


@pytest.fixture
def old(engine: sa.Engine) -> sa.MetaData:
    """A database as the first version left it, with a row in each table."""
    metadata = sa.MetaData()
    first = {"decisions", "links_tenant", "links_user", "runs", "log"}
    later = {"links_tenant": {"applied_at"}, "links_user": {"organization_id"}}
    for name, table in state_schema.METADATA.tables.items():
        if name in first:
            kept = [column for column in table.columns if column.name not in later.get(name, ())]
            sa.Table(name, metadata, *(sa.Column(c.name, c.type, primary_key=c.primary_key) for c in kept))
    metadata.create_all(engine)
    with engine.begin() as connection:
        link = {"tenant_id": "t1", "organization_id": "9", "since": NOW}
        connection.execute(sa.insert(metadata.tables["links_tenant"]).values(link))
        decision = {"at": NOW, "who": "lead", "kind": "tenant", "tenant_id": "t1", "action": "ignore", "before": {}}
        connection.execute(sa.insert(metadata.tables["decisions"]).values(decision))
    return metadata


def shape(engine: sa.Engine) -> dict[str, tuple[set[str], set[str | None], set[str]]]:
    """Per table the columns, the indexes and the key."""
    inspector = sa.inspect(engine)
    return {
        name: (
            {column["name"] for column in inspector.get_columns(name)},
            {index["name"] for index in inspector.get_indexes(name) if not index["unique"]},
            set(inspector.get_pk_constraint(name)["constrained_columns"]),
        )
        for name in inspector.get_table_names()
    }


DECLARED = {
    name: (
        {column.name for column in table.columns},
        {index.name for index in table.indexes},
        {column.name for column in table.primary_key.columns},
    )
    for name, table in state_schema.METADATA.tables.items()
}


def test_a_new_database_has_what_is_declared(place: str, engine: sa.Engine) -> None:
    """The first use makes every table, index and key; the second finds nothing to do."""
    StateStore(place).runs()
    assert shape(engine) == DECLARED
    StateStore(place).runs()
    assert shape(engine) == DECLARED


@pytest.mark.usefixtures("old")
def test_an_old_database_grows(place: str, engine: sa.Engine) -> None:
    """What an older version left gets the columns, tables and indexes it lacks, and keeps its rows."""
    assert shape(engine) != DECLARED
    state = StateStore(place)
    tenants, _ = state.decisions.in_force()

    assert shape(engine) == DECLARED
    assert [(each.tenant_id, each.action, each.at) for each in tenants] == [("t1", "ignore", NOW)]
    assert state.links.tenant_links() == {"t1": "9"}
    assert state.links.first_applied() == {}
    state.links.mark_applied(["t1"])
    assert state.links.first_applied().keys() == {"t1"}
    state.links.link_users([("t1", "u1", "9", "71", None)])
    assert state.links.user_links().read_all().num_rows == 1


GROW = """
import sys
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
sys.stdin.readline()
state.links.link_users([("t1", sys.argv[2], "9", "71", None)])
"""


@pytest.mark.parametrize("before", ["nothing", "old"])
def test_processes_grow_it_at_once(
    place: str,
    engine: sa.Engine,
    child: Callable[..., subprocess.Popen[str]],
    before: str,
    request: pytest.FixtureRequest,
) -> None:
    """Processes that find nothing, or an old database, at the same time all go on, and no row of theirs is lost."""
    if before == "old":
        request.getfixturevalue("old")
    children = [child(GROW, place, f"u{number}") for number in range(5)]
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in children:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    assert shape(engine) == DECLARED
    assert StateStore(place).links.user_links().read_all().num_rows == 5
