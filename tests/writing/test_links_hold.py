"""One user is one contact, for ever: whatever is renamed on either side, and even when the contact is deleted."""

from __future__ import annotations

from collections.abc import Callable

from desk import WHO, addresses, approve_and_apply, assert_once, assert_settled, changes, counts, small_estate, writes

from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate, SimEmail
from tests.conftest import World

Start = Callable[..., World]


def written(start: Start) -> tuple[World, Estate]:
    """Anna and Bo are documented."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    return world, estate


def test_a_user_renamed_on_both_sides_stays_one_contact(start: Start) -> None:
    """A new name, a new address, and a contact that a person renamed as well: still the same contact, in place."""
    world, estate = written(start)
    contact = estate.contact("Anna Berg")
    user = estate.tenants[0].users[0]
    user.given_name, user.surname, user.display_name = "Anna", "Zorn", "Anna Zorn"
    user.user_principal_name = user.mail = "anna.zorn@contoso.example"
    user.proxy_addresses = ["SMTP:anna.zorn@contoso.example"]
    estate.touch()
    contact.first_name, contact.last_name = "Annie", "B."
    contact.emails = [SimEmail("annie@elsewhere.example", primary=True)]
    world.sync()
    assert changes(world)["create contact"] == 0
    approve_and_apply(world)

    assert counts(estate)["contacts"] == 2
    assert (contact.first_name, contact.last_name) == ("Anna", "Zorn")
    assert addresses(contact) == ["*anna.zorn@contoso.example", "annie@elsewhere.example"]
    assert counts(estate)["flexible_assets"] == 3
    assert_settled(world)


def test_a_deleted_contact_is_a_persons_business(start: Start) -> None:
    """Deleted in IT Glue, it is not made again by itself; on a person's word it is, once."""
    world, estate = written(start)
    estate.remove_contact(estate.contact("Anna Berg").contact_id)
    world.sync()
    assert world.rows("SELECT status FROM match.contacts WHERE user_principal_name LIKE 'anna%'") == [("ambiguous",)]
    assert changes(world)["create contact"] == 0
    if changes(world):
        approve_and_apply(world)
    assert counts(estate)["contacts"] == 1

    deciding.decide_user(world.workspace, "Contoso", "anna.berg@contoso.example", action="create", **WHO)
    world.sync()
    assert changes(world)["create contact"] == 1
    approve_and_apply(world)
    assert addresses(estate.contact("Anna Berg")) == ["*anna.berg@contoso.example"]
    assert counts(estate) == {"organizations": 1, "contacts": 2, "flexible_asset_types": 2, "flexible_assets": 3}
    assert_once(estate)
    assert_settled(world)


def test_a_contact_that_was_said_to_be_somebody_elses_stays_that(start: Start) -> None:
    """`match user --contact`: the user gets the named contact, the rule's choice is forgotten, nothing is created."""
    world, estate = written(start)
    other = estate.contact("Bo Dahl")
    estate.tenants[0].users = [estate.tenants[0].users[0]]
    estate.touch()
    world.sync()
    deciding.decide_user(
        world.workspace, "Contoso", "anna.berg@contoso.example", action="to", contact=str(other.contact_id), **WHO
    )
    world.sync()
    approve_and_apply(world)

    assert counts(estate)["contacts"] == 2
    assert "*anna.berg@contoso.example" in addresses(other)
    assert_settled(world)


def test_an_ignored_user_gets_no_contact(start: Start) -> None:
    """Ignored before the first apply: nobody makes him one; taken back, he gets one."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    deciding.decide_user(world.workspace, "Contoso", "Bo Dahl", action="ignore", **WHO)
    world.sync()
    approve_and_apply(world)
    assert [each.first_name for each in estate.contacts] == ["Anna"]
    deciding.decide_user(world.workspace, "Contoso", "Bo Dahl", action="undo", **WHO)
    world.sync()
    before = writes(world, "POST", "/contacts")
    approve_and_apply(world)

    assert writes(world, "POST", "/contacts") == before + 1
    assert [each.first_name for each in estate.contacts] == ["Anna", "Bo"]
    assert_settled(world)
