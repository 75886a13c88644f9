"""The first apply of a tenant, whole: contacts, location, assets; and that nothing is left to do after it."""

from __future__ import annotations

from collections.abc import Callable

from desk import addresses, apply, approve_and_apply, assert_once, assert_settled, changes, counts, small_estate, writes

from o365_etl.simulator import Estate, SimContact, SimEmail, SimLocation, SimOrganization, SimPhone, SimTenant, SimUser
from tests.conftest import World

Start = Callable[..., World]


def test_the_missing_is_created_and_the_changed_is_written(start: Start, contoso: Estate) -> None:
    """Two contacts fit and are filled in, one is created; the type, license and user assets come with them."""
    world = start(contoso)
    world.sync()
    done = approve_and_apply(world)

    assert counts(contoso) == {
        "organizations": 2,
        "contacts": 3,
        "flexible_asset_types": 2,
        "flexible_assets": 4,
    }
    assert done.counts == {"applied": 8}
    assert addresses(contoso.contact("Bo Dahl")) == ["*bo.dahl@contoso.example"]
    assert addresses(contoso.contact("Cy Eek")) == ["*cy.eek@contoso.example"]
    assert addresses(contoso.contact("Anna Berg")) == ["*anna.berg@contoso.example"]
    assert changes(world) == {}
    assert_settled(world)


def test_a_contact_keeps_what_a_person_added(start: Start) -> None:
    """E-mails and phones are merged, whatever stands beside them stays; the title is Microsoft's."""
    anna = SimUser.person("Anna", "Berg", "contoso.example")
    anna.proxy_addresses += ["smtp:a.berg@contoso.example"]
    anna.job_title, anna.business_phones, anna.mobile_phone = "Head of IT", ["+1 555 0100"], "+1 555 0101"
    contact = SimContact(
        101,
        "Anna",
        "Berg",
        title="Engineer",
        emails=[SimEmail("anna@home.example", primary=True, label="Home"), SimEmail("ANNA.BERG@contoso.example")],
        phones=[SimPhone("15550199", primary=True, label="Home")],
        notes="Key holder",
        important=True,
    )
    estate = Estate.build([SimTenant("Contoso", users=[anna])], [SimOrganization("Contoso", 101)], [contact])
    world = start(estate)
    world.sync()
    approve_and_apply(world)

    live = estate.contact("Anna Berg")
    assert (live.title, live.notes, live.important) == ("Head of IT", "Key holder", True)
    assert addresses(live) == ["*ANNA.BERG@contoso.example", "a.berg@contoso.example", "anna@home.example"]
    assert {email.value: email.label for email in live.emails}["anna@home.example"] == "Home"
    assert [(each.value, each.label, each.primary) for each in live.phones] == [
        ("15550199", "Home", False),
        ("15550100", "Work", True),
        ("15550101", "Mobile", False),
    ]
    assert_settled(world)


def test_licenses_and_users_are_documented_with_their_contacts(start: Start) -> None:
    """One asset a product, with its seats and the contacts of who holds it; one a user, tagged with his contact."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve_and_apply(world)

    ids = sorted(each.contact_id for each in estate.contacts)
    licenses, users = (
        [each.traits for each in estate.flexible_assets if key in each.traits] for key in ("sku-id", "user-id")
    )
    assert [(each["active"], each["consumed"], each["unused"], sorted(each["contacts"])) for each in licenses] == [
        (2, 2, 0, ids)
    ]
    assert {each["user-name"]: each["contacts"] for each in users} == {
        "anna.berg@contoso.example": [estate.contact("Anna Berg").contact_id],
        "bo.dahl@contoso.example": [estate.contact("Bo Dahl").contact_id],
    }
    assert_settled(world)


def test_a_changed_license_is_updated_in_place(start: Start) -> None:
    """A third seat and a third holder change the one asset that is there."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    tenant = estate.tenants[0]
    tenant.users = [*tenant.users, SimUser.person("Cy", "Eek", "contoso.example")]
    estate.touch(tenant.tenant_id)
    world.sync()
    assert changes(world) == {"create contact": 1, "create user_asset": 1, "update license_asset": 1}
    approve_and_apply(world)

    (license_,) = [each.traits for each in estate.flexible_assets if "sku-id" in each.traits]
    assert (license_["active"], license_["consumed"]) == (3, 3)
    assert sorted(license_["contacts"]) == sorted(each.contact_id for each in estate.contacts)
    assert counts(estate) == {"organizations": 1, "contacts": 3, "flexible_asset_types": 2, "flexible_assets": 4}
    assert_settled(world)


def test_the_address_becomes_one_location_and_moves_in_place(start: Start) -> None:
    """Created once; when the tenant moves, the same location moves along."""
    estate = small_estate(
        street="1 Main Street", city="Seattle", state="WA", postal_code="98101", country="United States"
    )
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    (location,) = estate.locations
    assert (location.organization_id, location.name, location.primary) == (101, "Contoso", True)
    assert (location.address_1, location.city, location.region) == ("1 Main Street", "Seattle", "Washington")
    assert_settled(world)

    tenant = estate.tenants[0]
    tenant.street, tenant.postal_code = "2 Side Street", "98102"
    estate.touch(tenant.tenant_id)
    world.sync()
    approve_and_apply(world)
    assert [(each.address_1, each.postal_code) for each in estate.locations] == [("2 Side Street", "98102")]
    assert_settled(world)


def test_a_location_of_somebody_else_is_only_filled_in(start: Start) -> None:
    """What a person wrote into his own location stays; what it lacks is added."""
    estate = Estate.build(
        [SimTenant("Contoso", street="1 Main Street", city="Seattle", postal_code="98101")],
        [SimOrganization("Contoso", 101)],
        locations=[SimLocation(101, "Head office", address_1="9 Other Road")],
    )
    estate.tenants[0].users = [SimUser.person("Anna", "Berg", "contoso.example")]
    estate.touch()
    world = start(estate)
    world.sync()
    approve_and_apply(world)

    assert [(each.name, each.address_1, each.city, each.postal_code) for each in estate.locations] == [
        ("Head office", "9 Other Road", "Seattle", "98101")
    ]
    assert_settled(world)


def test_a_bulk_takes_one_request_for_many(start: Start) -> None:
    """Twelve contacts and their assets: one request for each kind of record, not one for each record."""
    estate = small_estate([f"Anna{letter} Berg" for letter in "abcdefghijkl"])
    world = start(estate)
    world.sync()
    approve_and_apply(world)

    assert counts(estate) == {"organizations": 1, "contacts": 12, "flexible_asset_types": 2, "flexible_assets": 13}
    assert writes(world) == 2 + 1 + 1 + 1  # two types, contacts, the license asset, user assets
    assert_once(estate)


def test_an_apply_without_approval_writes_nothing(start: Start, contoso: Estate) -> None:
    """A person who applies without having approved anything is told what waits."""
    world = start(contoso)
    world.sync()
    done = apply(world)

    assert (done.counts, writes(world)) == ({}, 0)
    assert done.waiting == changes(world).total() == 8
