"""What did not change is not concluded anew, and everything comes out as if it were."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate, SimContact, SimEmail, SimOrganization, SimPhone, SimTenant, SimUser
from o365_etl.slices import slice_of
from o365_etl.store import plan
from o365_etl.store.published import OpenCopy
from o365_etl.store.warehouse import SLICED, STAGES
from o365_etl.tables import TABLES
from tests.conftest import World, world_of

START = Callable[..., World]
# When something was read, written or concluded, and by which run.
OF_THE_RUN = frozenset(
    (
        "as_of",
        "last_ok_at",
        "run_id",
        "valid_from",
        "valid_to",
        "first_seen_at",
        "fetched_at",
        "decided_at",
        "finished_at",
    )
)


def estate() -> Estate:
    """Two tenants of one organization's name family, one alone, and contacts that fit several rules."""
    return Estate.build(
        tenants=[
            SimTenant("Contoso", users=[_person(name, "contoso.example") for name in ("Anna", "Bo", "Cy", "Di")]),
            SimTenant("Fabrikam", users=[_person(name, "fabrikam.example") for name in ("Eve", "Flo")]),
            SimTenant("Contoso Shops", users=[_person(name, "shops.example") for name in ("Gus", "Anna")]),
        ],
        organizations=[
            SimOrganization("Contoso", 101),
            SimOrganization("Fabrikam", 102),
            SimOrganization("Contoso Shop", 103),
        ],
        contacts=[
            SimContact(101, "Anna", "Berg", emails=[SimEmail("anna.berg@contoso.example", primary=True)]),
            SimContact(101, "Bo", "Berg"),
            SimContact(102, "Eve", "Berg", emails=[SimEmail("eve.berg@fabrikam.example", primary=True)]),
            SimContact(103, "Gus", "Berg"),
        ],
    )


def _person(name: str, domain: str) -> SimUser:
    return SimUser.person(name, "Berg", domain)


def _promote(world: World) -> None:
    world.simulator.estate.tenants[0].users[0].job_title = "Director"
    world.simulator.estate.touch()


def _hire(world: World) -> None:
    tenant = world.simulator.estate.tenants[1]
    tenant.users.append(_person(f"New{len(tenant.users)}", "fabrikam.example"))


def _fire(world: World) -> None:
    users = world.simulator.estate.tenants[0].users
    if len(users) > 1:
        users.pop()


def _document(world: World) -> None:
    world.simulator.estate.contacts.append(SimContact(101, "Cy", "Berg", emails=[SimEmail("cy.berg@contoso.example")]))


def _double(world: World) -> None:
    world.simulator.estate.contacts.append(SimContact(102, "Flo", "Berg"))


def _move(world: World) -> None:
    contact = world.simulator.estate.contacts[0]
    contact.organization_id = 102 if contact.organization_id == 101 else 101


def _delete(world: World) -> None:
    if len(world.simulator.estate.contacts) > 2:
        world.simulator.estate.contacts.pop()


def _call(world: World) -> None:
    world.simulator.estate.contacts[2].phones.append(SimPhone("4155552156"))
    world.simulator.estate.touch()


def _rename(world: World) -> None:
    organization = world.simulator.estate.organizations[1]
    organization.name = "Fabrikam Ltd" if organization.name == "Fabrikam" else "Fabrikam"


def _share(world: World) -> None:
    """A person gives the third tenant the first one's organization: from now on they share its contacts."""
    deciding.choose(world.workspace, "Contoso Shops", "101", who="test")


def _widen(world: World) -> None:
    world.configure('[selection]\nusers = "all"\n' if "[selection]" not in world.config.read_text() else "")


EDITS = (_promote, _hire, _fire, _document, _double, _move, _delete, _rename, _share, _widen, _call)


def contents(world: World) -> dict[str, list[str]]:
    """The rows of every published table, without what tells one run from another."""
    found = {}
    copy = OpenCopy(world.workspace.published)
    for name, table in TABLES.items():
        if name not in ("sync.runs", "sync.log"):
            columns = ", ".join(f'"{column}"' for column in table.column_names if column not in OF_THE_RUN)
            found[name] = sorted(map(repr, copy.query(f"SELECT {columns} FROM {table.full_name}").rows))
    return found


def forget_everything(folder: Path) -> None:
    """As if nothing had been loaded, concluded or published before."""
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb")) as db:
        concluded = [f"concluded_{stage}" for stage in (*STAGES, *SLICED)]
        for table in ("loaded", "loaded_tenants", "held", "planned", "tallies", *concluded):
            db.execute(f"DELETE FROM work.{table}")
    (folder / "data" / "o365.duckdb").unlink()


@pytest.mark.timeout(900)  # dozens of syncs: on a slow machine more than what is meant for one
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(rounds=st.lists(st.lists(st.sampled_from(EDITS), max_size=2), min_size=2, max_size=3))
def test_it_comes_out_as_if_everything_were_concluded_anew(
    rounds: list[list[Callable[[World], None]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is edited between two syncs: the tables are those of a sync that remembers nothing."""
    _as_concluded_anew(rounds, tmp_path_factory.mktemp("unchanged"))


def test_where_nothing_is_remembered_nobody_is_left_behind(tmp_path: Path) -> None:
    """A slice in which nobody is any more is concluded about as well."""
    _as_concluded_anew([[_fire, _promote], [_fire, _promote], [_fire]], tmp_path)


def _as_concluded_anew(rounds: list[list[Callable[[World], None]]], folder: Path) -> None:
    with world_of(estate(), folder) as world:
        world.sync()
        for number, edits in enumerate(rounds):
            for edit in edits:
                edit(world)
            world.simulator.estate.touch()
            anew = _twin(world, folder / f"twin-{number}")
            forget_everything(anew.folder)
            world.sync()
            anew.sync()
            assert contents(world) == contents(anew)


def _twin(world: World, folder: Path) -> World:
    """Another installation that knows what this one knows."""
    shutil.copytree(world.folder, folder)
    twin = World(world.simulator, folder)
    twin.config.write_text(world.config.read_text(encoding="utf-8"), encoding="utf-8")
    twin._runs = world._runs
    return twin


def _tamper(world: World, sql: str, *, published: bool = False) -> None:
    with duckdb.connect(str(world.folder / "data" / ("o365.duckdb" if published else "warehouse.duckdb"))) as db:
        db.execute(sql)


def _of_contoso(world: World, sql: str) -> Any:
    return world.rows(f"{sql} WHERE tenant_id IN (SELECT tenant_id FROM m365.tenants WHERE display_name = 'Contoso')")[
        0
    ][0]


LOOKS = {
    "loading": (
        "UPDATE m365.domains SET is_default = NULL",
        "SELECT count(*) FILTER (is_default IS NULL) > 0 FROM m365.domains",
    ),
    "matching": (
        """UPDATE "match".contacts SET evidence = 'left alone'""",
        "SELECT count(*) FILTER (evidence = 'left alone') > 0 FROM match.contacts",
    ),
}


@pytest.mark.parametrize("stage", LOOKS)
def test_a_tenant_is_left_alone_until_something_of_it_changes(start: START, stage: str) -> None:
    """What somebody put into a table stays through a sync that found nothing new, and goes with one that did."""
    change, look = LOOKS[stage]
    world = start(estate())
    for _ in range(2):
        world.sync()  # the second one knows the links that the first one found
    _tamper(world, change)
    # What happens to others, down to a phone number of theirs, is nothing to this tenant.
    _hire(world)
    _call(world)
    world.sync()
    assert _of_contoso(world, look)
    _promote(world)
    world.sync()
    assert not _of_contoso(world, look)


USER_LOOKS = {
    "comparing": (
        "UPDATE work.contact_sides SET i_title = 'left alone'",
        "SELECT DISTINCT user_id FROM compare.contacts WHERE itglue_value = 'left alone'",
    ),
    "planning": (
        "UPDATE work.planned SET reason = 'left alone'",
        "SELECT DISTINCT subject_id FROM sync.changes WHERE contains(reason, 'left alone')"
        " AND resource IN ('contact', 'user_asset')",
    ),
}


@pytest.mark.parametrize("stage", USER_LOOKS)
def test_users_are_left_alone_until_something_of_them_changes(start: START, stage: str) -> None:
    """What somebody put into a table about users stays for all but those of whom a sync found something new, and whose
    ids end alike.
    """
    change, look = USER_LOOKS[stage]
    world = start(estate())
    for _ in range(2):
        world.sync()
    _tamper(world, change)
    world.sync()
    before = {row[0] for row in world.rows(look)}
    _promote(world)
    world.sync()
    ((anna,),) = world.rows("SELECT user_id FROM m365.users WHERE job_title = 'Director'")
    assert anna in before
    assert {row[0] for row in world.rows(look)} == {each for each in before if slice_of(each) != slice_of(anna)}


def test_what_is_planned_for_a_slice_that_is_empty_now_is_forgotten(start: START) -> None:
    """A user who is gone leaves no change behind, neither of himself nor of his slice."""
    world = start(estate())
    world.sync()
    gone = world.simulator.estate.tenants[0].users.pop()
    world.simulator.estate.touch()
    assert world.rows(f"SELECT 1 FROM sync.changes WHERE subject_id = '{gone.user_id}'")
    world.sync()
    assert not world.rows(f"SELECT 1 FROM sync.changes WHERE subject_id = '{gone.user_id}' AND action = 'create'")


def test_a_large_tenant_is_planned_for_in_portions(start: START, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of slices of its users: what is planned is what is planned for all of them at once."""
    world = start(estate())
    for _ in range(2):
        world.sync()
    whole = contents(world)["sync.changes"]
    assert whole
    forget_everything(world.folder)
    monkeypatch.setattr(plan, "USERS_PER_PORTION", 1)
    world.sync()
    assert contents(world)["sync.changes"] == whole


def test_the_copy_is_changed_where_something_changed(start: START) -> None:
    """A row put into the copy stays as long as the tenant's rows do; other parts of the same table are replaced."""
    world = start(estate())
    world.sync()
    _tamper(world, "UPDATE m365.domains SET domain = 'left.alone'", published=True)
    world.sync()
    assert world.rows("SELECT DISTINCT domain FROM m365.domains") == [("left.alone",)]
    world.simulator.estate.tenants[0].domains.pop()
    world.simulator.estate.touch()
    world.sync()
    assert ("left.alone",) not in world.rows("SELECT DISTINCT domain FROM m365.domains")


def test_a_copy_of_another_contract_is_made_anew(start: START) -> None:
    """Nothing of a copy that another version of the program made is kept."""
    world = start(estate())
    world.sync()
    _tamper(world, "UPDATE m365.domains SET domain = 'left.alone'", published=True)
    _tamper(world, "UPDATE main.about SET value = 'another' WHERE key = 'contract'", published=True)
    world.sync()
    assert ("left.alone",) not in world.rows("SELECT DISTINCT domain FROM m365.domains")
