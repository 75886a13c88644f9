"""What holds for a tenant between a decision and the matching that takes it up, and deciding on top of that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from o365_etl.errors import ConflictError, NotFoundError
from o365_etl.pipeline import changing, deciding, publishing, relating
from o365_etl.pipeline.standing import Standing, not_in_effect, standings
from o365_etl.simulator import Estate, SimContact, SimOrganization, SimTenant, SimUser, emails
from tests.conftest import World, world_of

WHO = {"who": "lead"}


def estate() -> Estate:
    """A matched tenant with an ambiguous user, two suggestions and a tenant that is like nothing."""
    return Estate.build(
        tenants=[
            SimTenant("Contoso", users=[SimUser.person("Anna", "Berg", "contoso.example")]),
            SimTenant("Fabrikam Ltd", users=[SimUser.person("Di", "Falk", "fabrikamltd.example")]),
            SimTenant("Northwind Ltd", users=[SimUser.person("Ed", "Gran", "northwindltd.example")]),
            SimTenant("Zyxwv", users=[SimUser.person("Fe", "Holm", "zyxwv.example")]),
        ],
        organizations=[
            SimOrganization("Contoso", 101),
            SimOrganization("Fabrikam GmbH", 102),
            SimOrganization("Northwind GmbH", 103),
        ],
        contacts=[
            SimContact(101, "Anna", "Berg", 901, emails=emails("anna.berg@contoso.example")),
            SimContact(101, "Anna", "Berg", 902, emails=emails("anna.berg@contoso.example")),
        ],
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The estate, synced once; nothing is decided in it."""
    with world_of(estate(), tmp_path_factory.mktemp("standing")) as world:
        world.sync()
        yield world


@pytest.fixture
def world(synced: World, tmp_path: Path) -> World:
    """A copy of it, to decide in."""
    shutil.copytree(synced.folder, tmp_path / "world")
    return World(synced.simulator, tmp_path / "world")


def rematch(world: World) -> None:
    """Take up what was decided, as the job `rematch` does."""
    workspace = world.workspace
    with workspace.writing("rematch", "rematch", wait_seconds=5):
        relating.match_organizations(workspace)
        relating.match_contacts(workspace)
        relating.compare(workspace)
        changing.plan_changes(workspace, "rematch")
        publishing.publish(workspace, "rematch")


def stands(world: World, name: str) -> Standing:
    """One tenant by its name."""
    return next(row for row in standings(world.workspace).rows if row.tenant_name == name)


def shape(row: Standing) -> tuple[object, ...]:
    """What is compared of a tenant."""
    return row.status, row.organization_id, row.is_in_effect


def test_a_decision_holds_at_once_and_the_same_holds_when_it_is_in_effect(world: World) -> None:
    assert shape(stands(world, "Fabrikam Ltd")) == ("suggested", None, True)
    deciding.accept(world.workspace, "Fabrikam Ltd", **WHO)
    deciding.choose(world.workspace, "Zyxwv", "102", **WHO)
    deciding.create(world.workspace, "Northwind Ltd", force=True, **WHO)
    deciding.ignore(world.workspace, "Contoso", why="leaves us", **WHO)
    expected = {
        "Fabrikam Ltd": ("matched", "102"),
        "Zyxwv": ("matched", "102"),
        "Northwind Ltd": ("unmatched", None),
        "Contoso": ("ignored", None),
    }
    for is_in_effect in (False, True):
        assert {row.tenant_name: shape(row) for row in standings(world.workspace).rows} == {
            name: (*row, is_in_effect) for name, row in expected.items()
        }
        assert stands(world, "Fabrikam Ltd").organization_name == "Fabrikam GmbH"
        assert stands(world, "Northwind Ltd").is_to_be_created
        decision = stands(world, "Contoso").decision
        assert decision is not None
        assert (decision.who, decision.why, decision.id) == ("lead", "leaves us", stands(world, "Contoso").seen)
        if not is_in_effect:
            rematch(world)


def test_what_is_taken_back_leaves_what_held_before(world: World) -> None:
    deciding.ignore(world.workspace, "Contoso", **WHO)
    deciding.accept(world.workspace, "Fabrikam Ltd", **WHO)
    rematch(world)
    for name in ("Contoso", "Fabrikam Ltd"):
        deciding.undo(world.workspace, name, **WHO)
    for is_in_effect in (False, True):
        assert shape(stands(world, "Contoso")) == ("matched", "101", is_in_effect)
        assert shape(stands(world, "Fabrikam Ltd")) == ("suggested", None, is_in_effect)
        assert stands(world, "Contoso").seen == 0
        if not is_in_effect:
            rematch(world)


def test_taking_back_twice_between_two_matchings_does_not_bring_back_what_was_taken_back_first(world: World) -> None:
    """The published copy still shows the match that was taken back; it is not what held before the second decision."""
    deciding.accept(world.workspace, "Fabrikam Ltd", **WHO)
    rematch(world)
    deciding.undo(world.workspace, "Fabrikam Ltd", **WHO)
    deciding.ignore(world.workspace, "Fabrikam Ltd", **WHO)
    deciding.undo(world.workspace, "Fabrikam Ltd", **WHO)
    assert shape(stands(world, "Fabrikam Ltd")) == ("suggested", None, False)
    rematch(world)
    assert shape(stands(world, "Fabrikam Ltd")) == ("suggested", None, True)


def test_what_another_process_decides_and_publishes_is_seen_by_who_asked_before(world: World) -> None:
    kept = world.workspace
    standings(kept)
    deciding.accept(world.workspace, "Fabrikam Ltd", **WHO)
    tenant_id = stands(world, "Fabrikam Ltd").tenant_id
    assert shape(standings(kept).of(tenant_id)) == ("matched", "102", False)
    rematch(world)
    assert shape(standings(kept).of(tenant_id)) == ("matched", "102", True)


def test_tenants_are_found_by_name_domain_and_organization(synced: World) -> None:
    held = standings(synced.workspace)
    for text, found in {
        "FABRI": {"Fabrikam Ltd"},
        "northwindltd.example": {"Northwind Ltd"},
        "gmbh": {"Fabrikam Ltd", "Northwind Ltd"},
        "100%": set(),
        "": {"Contoso", "Fabrikam Ltd", "Northwind Ltd", "Zyxwv"},
    }.items():
        assert {row.tenant_name for row in held.find(None, text)} == found
        assert sum(held.counts(text).values()) == len(found)


def test_what_needs_a_person_comes_first(synced: World) -> None:
    names = [row.tenant_name for row in standings(synced.workspace).rows]
    assert names == ["Zyxwv", "Fabrikam Ltd", "Northwind Ltd", "Contoso"]
    assert standings(synced.workspace).counts() == {"unmatched": 1, "suggested": 2, "matched": 1, "ignored": 0}


def test_a_tenant_nobody_read_is_not_there(synced: World) -> None:
    with pytest.raises(NotFoundError):
        standings(synced.workspace).of("nobody")
    assert standings(synced.workspace).get("nobody") is None


def test_a_decision_about_a_user_is_open_until_the_next_matching(world: World) -> None:
    user = world.rows("SELECT tenant_id, user_id FROM match.contacts WHERE status = 'ambiguous'")
    tenant_id, user_id = user[0]
    deciding.decide_user(world.workspace, tenant_id, user_id, action="to", contact="902", **WHO)
    decided = standings(world.workspace).user_decisions[tenant_id]
    assert [each.user_id for each in not_in_effect(world.workspace, decided.values())] == [user_id]
    rematch(world)
    assert not_in_effect(world.workspace, standings(world.workspace).user_decisions[tenant_id].values()) == []


def test_an_accepted_suggestion_is_the_one_that_was_seen(world: World) -> None:
    with pytest.raises(ConflictError, match="has changed"):
        deciding.accept(world.workspace, "Fabrikam Ltd", organization="103", **WHO)
    assert deciding.accept(world.workspace, "Fabrikam Ltd", organization="102", **WHO)["organization_id"] == "102"


def test_many_are_accepted_at_once_and_what_changed_is_left(world: World) -> None:
    fabrikam, northwind, zyxwv = (stands(world, name).tenant_id for name in ("Fabrikam Ltd", "Northwind Ltd", "Zyxwv"))
    deciding.ignore(world.workspace, northwind, who="somebody else")
    wanted = [(fabrikam, "102", 0), (northwind, "103", 0), (zyxwv, "102", 0), ("gone", "102", 0)]
    done, refused = deciding.accept_all(world.workspace, wanted, **WHO)
    assert [row["tenant_id"] for row in done] == [fabrikam]
    assert [row["tenant_id"] for row in refused] == [northwind, zyxwv, "gone"]
    assert "somebody else decided `ignore`" in refused[0]["problem"]
    assert "has changed" in refused[1]["problem"]
    assert shape(stands(world, "Northwind Ltd"))[0] == "ignored"
    logged = [entry["message"] for entry in world.workspace.state.entries() if entry["stream"] == "decision"]
    assert logged == ["decision: ignore", "decision: accept 102"]
    again, _ = deciding.accept_all(world.workspace, [(fabrikam, "102", 0)], **WHO)
    assert again[0]["decision"] == done[0]["decision"], "a double click decides once"
