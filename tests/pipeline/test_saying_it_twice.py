"""A person who says the same once more means the same: nothing is made a second time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from o365_etl.errors import ConflictError
from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate
from tests.conftest import World
from tests.writing.desk import WHO, approve_and_apply, assert_settled, counts, small_estate

Start = Callable[..., World]


def test_a_contact_is_created_once_however_often_it_is_said(start: Start) -> None:
    """Before the apply, after it, and again when the contact is gone: then it is made anew."""
    estate: Estate = small_estate()
    world = start(estate)
    world.sync()

    def say() -> None:
        deciding.decide_user(world.workspace, "Contoso", "anna.berg@contoso.example", action="create", **WHO)

    say()
    say()
    world.sync()
    approve_and_apply(world)
    world.sync()
    say()
    assert_settled(world)
    assert counts(estate)["contacts"] == 2
    estate.remove_contact(estate.contact("Anna Berg").contact_id)
    world.sync()
    assert world.rows("SELECT status, rule FROM match.contacts WHERE user_principal_name LIKE 'anna%'") == [
        ("ambiguous", "link")
    ]
    say()
    world.sync()
    approve_and_apply(world)
    assert_settled(world)
    assert counts(estate)["contacts"] == 2


def test_an_organization_is_created_once_however_often_it_is_said(start: Start) -> None:
    """The same for a tenant's organization."""
    estate = small_estate()
    estate.remove_organization(101)
    world = start(estate)
    world.sync()
    deciding.create(world.workspace, "Contoso", **WHO)
    world.sync()
    approve_and_apply(world)
    world.sync()
    deciding.create(world.workspace, "Contoso", force=True, **WHO)
    assert_settled(world)
    assert counts(estate)["organizations"] == 1


def test_a_refused_decision_leaves_the_link(start: Start) -> None:
    """Who decides on what somebody else changed is told so, and nothing is forgotten."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    world.sync()
    links = world.workspace.state.links.user_links().read_all().num_rows
    deciding.decide_user(world.workspace, "Contoso", "anna.berg@contoso.example", action="ignore", **WHO)
    with pytest.raises(ConflictError):
        deciding.decide_user(world.workspace, "Contoso", "anna.berg@contoso.example", action="create", seen=0, **WHO)
    assert world.workspace.state.links.user_links().read_all().num_rows == links == 2
