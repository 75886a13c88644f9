"""Writing organizations and locations to the simulated IT Glue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from o365_etl.simulator import Estate, SimAdapter, SimContact, SimFlexibleAsset, SimLocation, SimOrganization
from tests.simulator.test_simulated_itglue_contacts import Account, opened, row


def world() -> Estate:
    """Three organizations, one owned by another integration, and a location."""
    return Estate.build(
        organizations=[
            SimOrganization("Contoso", 72, quick_notes="Old"),
            SimOrganization("Fabrikam", 73, adapters=[SimAdapter("Autotask", sync=True)]),
            SimOrganization("Tailspin", 74),
        ],
        locations=[SimLocation(72, "Head office", 601, city="Seattle", region="Washington", country="United States")],
        contacts=[SimContact(72, "Anna", contact_id=501), SimContact(74, "Cy", contact_id=503)],
        flexible_assets=[SimFlexibleAsset(72, 31, "Nightly", 801), SimFlexibleAsset(74, 31, "Weekly", 802)],
    )


@pytest.fixture
def account(folder: Path) -> Iterator[Account]:
    """A client of that account."""
    with opened(folder, world()) as client:
        yield client


def test_an_organization_is_made_and_changed(account: Account) -> None:
    """Types and statuses by id, as text or number; the name may be searched at once; the rest stays on a change."""
    made = account.done(
        "POST",
        "/organizations",
        row(
            "organizations", name="New Ltd", organization_type_id="1", **{"organization-status-id": 1}, short_name="NL"
        ),
    )
    attributes = made["attributes"]

    assert (attributes["organization-type-name"], attributes["organization-status-name"]) == ("Customer", "Active")
    assert account.itglue("/organizations", **{"filter[name]": "New Ltd"}).json()["data"] == [made]
    changed = account.done("PATCH", f"/organizations/{made['id']}", row("organizations", quick_notes="<p>Hi</p>"))
    assert changed["attributes"] == attributes | {
        "quick-notes": "<p>Hi</p>",
        "updated-at": changed["attributes"]["updated-at"],
    }
    assert changed["attributes"]["updated-at"] >= attributes["updated-at"]


def test_organizations_are_made_singly_and_changed_in_bulk(account: Account) -> None:
    """POST refuses a list; PATCH takes one, all or nothing."""
    account.errors("POST", "/organizations", [row("organizations", name="A")], 400)
    account.errors(
        "PATCH", "/organizations", [row("organizations", id=72, alert="!"), row("organizations", id=74, name="")]
    )
    assert account.simulator.estate.organization(72).alert is None
    changed = account.done(
        "PATCH", "/organizations", [row("organizations", id="74", alert="!"), row("organizations", id=72, alert="?")]
    )
    assert [(each["id"], each["attributes"]["alert"]) for each in changed] == [("74", "!"), ("72", "?")]


@pytest.mark.parametrize(
    ("attributes", "pointer", "words"),
    [
        ({"name": " "}, "/data/attributes/name", "can't be blank"),
        ({"name": "x" * 256}, "/data/attributes/name", "is too long (maximum is 255 characters)"),
        ({"name": "FABRIKAM"}, "/data/attributes/name", "has already been taken"),
        ({"organization-type-id": 9}, "/data/attributes/organization-type-id", "must exist"),
        ({"organization_status_id": "9"}, "/data/attributes/organization-status-id", "must exist"),
        ({"primary": 1}, "/data/attributes/primary", "is not true or false"),
    ],
)
def test_what_an_organization_must_not_hold(
    account: Account, attributes: dict[str, object], pointer: str, words: str
) -> None:
    """POST and PATCH answer 422 with a pointer, and nothing is stored."""
    before = account.itglue("/organizations").json()
    for method, path, sent in [
        ("POST", "/organizations", {"name": "New", **attributes}),
        ("PATCH", "/organizations/72", {"alert": "New", **attributes}),
    ]:
        errors = account.errors(method, path, row("organizations", **sent))
        assert [(error["source"]["pointer"], error["detail"]) for error in errors] == [(pointer, words)]
    assert account.itglue("/organizations").json() == before


def test_names_are_unique_within_one_request_as_well(account: Account) -> None:
    """Two items of one request must not take one name; two that swap names may; a record may keep its own."""
    account.errors(
        "PATCH", "/organizations", [row("organizations", id=72, name="A"), row("organizations", id=74, name="A")]
    )
    account.done(
        "PATCH",
        "/organizations",
        [row("organizations", id=72, name="Tailspin"), row("organizations", id=74, name="Contoso")],
    )
    account.done("PATCH", "/organizations/72", row("organizations", name="Tailspin", alert="!"))
    assert account.simulator.estate.organization("Contoso").organization_id == 74


def test_an_organization_that_is_synced_takes_three_attributes(account: Account) -> None:
    """Alert, description and quick notes may change, nothing else, also not together with them."""
    free = {"alert": "!", "description": "D", "quick_notes": "Q"}
    account.done("PATCH", "/organizations/73", row("organizations", **free))
    errors = account.errors("PATCH", "/organizations/73", row("organizations", alert="?", name="Fabrikam"))

    assert errors[0]["source"]["pointer"] == "/data/attributes/name"
    assert account.simulator.estate.organization(73).alert == "!"


def test_a_location_is_made_and_changed(account: Account) -> None:
    """Country and region by id, address with either separator, phone as digits with its formatted twin."""
    made = account.done(
        "POST",
        "/locations",
        {
            "type": "locations",
            "attributes": {
                "organization_id": 73,
                "name": "Depot",
                "address-1": "1 Main Street",
                "address_2": "Floor 2",
                "country-id": "3",
                "region_id": 4,
                "phone": "+1 206-555-0100",
                "fax": "(206) 555-0101",
            },
        },
    )
    attributes = made["attributes"]

    assert (attributes["address-1"], attributes["address-2"]) == ("1 Main Street", "Floor 2")
    assert (attributes["country-name"], attributes["region-name"]) == ("Germany", "Bavaria")
    assert (attributes["phone"], attributes["fax"], attributes["formatted-fax"]) == (
        "12065550100",
        "2065550101",
        "(206) 555-0101",
    )
    listed = account.itglue("/organizations/73/relationships/locations").json()["data"]
    assert listed == [made]
    changed = account.done("PATCH", "/locations/601", row("locations", city="Redmond"))["attributes"]
    assert (changed["city"], changed["region-name"], changed["name"]) == ("Redmond", "Washington", "Head office")
    assert changed["updated-at"] > changed["created-at"]


def test_locations_in_bulk_and_under_their_organization(account: Account) -> None:
    """The relationship takes a list; a bulk change names ids inside the attributes."""
    made = account.done(
        "POST", "/organizations/74/relationships/locations", [row("locations", name="A"), row("locations", name="B")]
    )
    rows = [row("locations", id=each["id"], city="Lund") for each in made]
    assert {each["attributes"]["city"] for each in account.done("PATCH", "/locations", rows)} == {"Lund"}
    account.done("PATCH", f"/organizations/74/relationships/locations/{made[0]['id']}", row("locations", city="Ystad"))
    assert account.simulator.estate.location("A").city == "Ystad"


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"name": None}, "/data/attributes/name"),
        ({"country_id": 99}, "/data/attributes/country-id"),
        ({"region_id": 99}, "/data/attributes/region-id"),
        ({"address_1": "x" * 256}, "/data/attributes/address-1"),
        ({"organization_id": 99}, "data/attributes/organization_id"),
    ],
)
def test_what_a_location_must_not_hold(account: Account, attributes: dict[str, object], pointer: str) -> None:
    """POST and PATCH answer 422 with a pointer, and nothing is stored."""
    before = account.itglue("/locations").json()
    for method, path, sent in [
        ("POST", "/locations", {"name": "New", "organization_id": 72, **attributes}),
        ("PATCH", "/locations/601", {"notes": "New", **attributes}),
    ]:
        errors = account.errors(method, path, row("locations", **sent))
        assert [error["source"]["pointer"] for error in errors] == [pointer]
    assert account.itglue("/locations").json() == before


def test_a_deleted_organization_takes_everything_along(account: Account) -> None:
    """By the API and by the estate's own method; its id is never given again."""
    estate = account.simulator.estate
    newest = account.done("POST", "/organizations", row("organizations", name="Newest"))["id"]
    assert account.send("DELETE", "/organizations/", row("organizations", id="72")).status_code == 200
    expected = {"organizations": 3, "contacts": 1, "locations": 0, "flexible_asset_types": 0, "flexible_assets": 1}
    assert estate.counts() == expected
    estate.remove_organization(newest)
    estate.remove_organization(74)
    assert estate.counts() == expected | {"organizations": 1, "contacts": 0, "flexible_assets": 0}
    assert account.itglue("/organizations/72").status_code == 404
    again = account.done("POST", "/organizations", row("organizations", name="Again"))["id"]
    assert int(again) > int(newest)


def test_the_estate_finds_its_records(account: Account) -> None:
    """By id as number or text, by name, a contact by e-mail too; what is not there is a `KeyError`."""
    estate = account.simulator.estate
    account.done(
        "POST",
        "/contacts",
        row(
            "contacts",
            organization_id=74,
            first_name="Dee",
            last_name="Eriksen",
            contact_emails=[{"value": "dee@tailspin.example"}],
        ),
    )

    assert estate.organization("72") is estate.organization(72) is estate.organization("Contoso")
    assert estate.contact("Dee Eriksen") is estate.contact("dee@tailspin.example")
    assert estate.flexible_asset("Nightly") is estate.flexible_asset(801)
    assert estate.location("Head office") is estate.location("601")
    for look_up in (estate.organization, estate.contact, estate.flexible_asset, estate.flexible_asset_type):
        with pytest.raises(KeyError):
            look_up("nobody")
    estate.remove_contact(501)
    with pytest.raises(KeyError):
        estate.remove_contact(501)
