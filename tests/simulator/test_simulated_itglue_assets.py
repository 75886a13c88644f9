"""Writing flexible asset types, their fields, and flexible assets to the simulated IT Glue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from o365_etl.simulator import (
    Estate,
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetField,
    SimFlexibleAssetType,
    SimOrganization,
)
from tests.simulator.test_simulated_itglue_contacts import Account, opened, row

TYPE_ID = 31


def world() -> Estate:
    """Two organizations with contacts, and a type with a field of every kind that is checked."""
    field = SimFlexibleAssetField
    return Estate.build(
        organizations=[SimOrganization("Contoso", 72), SimOrganization("Fabrikam", 73)],
        contacts=[SimContact(72, "Anna", "Berg", 501), SimContact(73, "Cy", "Dahl", 503)],
        flexible_asset_types=[
            SimFlexibleAssetType(
                "Subscription",
                TYPE_ID,
                fields=[
                    field("Product Name", use_for_title=True, show_in_list=True),
                    field("Details", kind="Header"),
                    field("Active", kind="Number"),
                    field("Renewal Date", kind="Date"),
                    field("Contacts", kind="Tag", tag_type="Contacts"),
                    field("Notes", kind="Textbox"),
                    field("Trial", kind="Checkbox"),
                    field("Level", kind="Select", default_value="Low\nHigh"),
                    field("Tenant ID", required=True),
                    field("Company", kind="Tag", tag_type="Organizations"),
                    field("Parent", kind="Tag", tag_type=f"FlexibleAssetType: {TYPE_ID}"),
                ],
            )
        ],
        flexible_assets=[
            SimFlexibleAsset(72, TYPE_ID, "P1", 801, traits={"product-name": "P1", "tenant-id": "t", "active": 5})
        ],
    )


@pytest.fixture
def account(folder: Path) -> Iterator[Account]:
    """A client of that account."""
    with opened(folder, world()) as client:
        yield client


def asset(traits: object, **attributes: object) -> dict[str, object]:
    """A flexible asset of that type in Contoso."""
    given = {"organization_id": 72, "flexible_asset_type_id": TYPE_ID, "traits": traits} | attributes
    return {"type": "flexible-assets", "attributes": given}


def new_type(*fields: dict[str, object], name: str = "Licenses") -> dict[str, Any]:
    """A flexible asset type with these fields."""
    rows = [{"type": "flexible_asset_fields", "attributes": each} for each in fields]
    return {
        "type": "flexible-asset-types",
        "attributes": {"name": name, "icon": "key"},
        "relationships": {"flexible-asset-fields": {"data": rows}},
    }


TITLE: dict[str, object] = {"order": 1, "name": "Title", "kind": "Text", "show-in-list": True, "use-for-title": True}


def test_a_type_is_made_with_its_fields(account: Account) -> None:
    """The fields stand under the relationships; they are listed with the type and under it, in their order."""
    tag = {"order": 3, "name": "All  Contacts", "kind": "Tag", "tag-type": "Contacts", "required": True}
    made = account.done("POST", "/flexible_asset_types", new_type(TITLE, tag, {"name": "Last", "kind": "Number"}))

    assert (made["attributes"]["name"], made["attributes"]["icon"], made["attributes"]["enabled"]) == (
        "Licenses",
        "key",
        True,
    )
    path = f"/flexible_asset_types/{made['id']}"
    fields = account.itglue(f"{path}/relationships/flexible_asset_fields", sort="order").json()["data"]
    keys = ("order", "name-key", "kind", "tag-type", "required", "show-in-list", "use-for-title")
    assert [tuple(each["attributes"][key] for key in keys) for each in fields] == [
        (1, "title", "Text", None, False, True, True),
        (3, "all-contacts", "Tag", "Contacts", True, False, False),
        (4, "last", "Number", None, False, False, False),
    ]
    for answer in (
        account.itglue(path, include="flexible_asset_fields").json(),
        account.itglue("/flexible_asset_types", include="flexible_asset_fields", **{"filter[name]": "Licenses"}).json(),
    ):
        assert answer["included"] == fields
        one = answer["data"][0] if isinstance(answer["data"], list) else answer["data"]
        links = one["relationships"]["flexible-asset-fields"]["data"]
        assert [link["id"] for link in links] == [each["id"] for each in fields]
    assert account.itglue(f"/flexible_asset_fields/{fields[0]['id']}").json()["data"] == fields[0]


@pytest.mark.parametrize(
    ("sent", "pointer", "words"),
    [
        (new_type(), "flexible-asset-fields", "at least one field has to be shown in the list"),
        (
            new_type(TITLE | {"show-in-list": False}),
            "flexible-asset-fields",
            "at least one field has to be shown in the list",
        ),
        (new_type(TITLE, TITLE | {"order": 2}), "name", "has already been taken"),
        (new_type(TITLE, TITLE | {"name": "Other"}), "order", "has already been taken"),
        (new_type(TITLE | {"kind": "Colour"}), "kind", "is not included in the list"),
        (new_type(TITLE, {"name": "Tag", "kind": "Tag"}), "tag-type", "is not included in the list"),
        (new_type(TITLE, name=" "), "name", "can't be blank"),
        (new_type(TITLE, name="x" * 256), "name", "is too long (maximum is 255 characters)"),
        (new_type(TITLE, name="Subscription"), "name", "has already been taken"),
    ],
)
def test_what_a_type_must_not_be(account: Account, sent: dict[str, Any], pointer: str, words: str) -> None:
    """422 with a pointer, and no type is stored."""
    errors = account.errors("POST", "/flexible_asset_types", sent)

    assert [(error["source"]["pointer"], error["detail"]) for error in errors] == [
        (f"/data/attributes/{pointer}", words)
    ]
    assert account.simulator.estate.counts()["flexible_asset_types"] == 1


def test_a_type_breaks_where_it_breaks_in_reality(account: Account) -> None:
    """Fields among the attributes: 500. Relationships in a change: 403. A change of the attributes works."""
    inline = {"type": "flexible_asset_types", "attributes": {"name": "X", "flexible-asset-fields": [TITLE]}}
    account.errors("POST", "/flexible_asset_types", inline, 500)
    refused = account.send("PATCH", f"/flexible_asset_types/{TYPE_ID}", new_type(TITLE))
    assert (refused.status_code, list(refused.json())) == (403, ["message"])
    changed = account.done("PATCH", f"/flexible_asset_types/{TYPE_ID}", row("flexible_asset_types", description="D"))
    assert (changed["attributes"]["description"], changed["attributes"]["name"]) == ("D", "Subscription")


def test_fields_are_added_and_changed(account: Account) -> None:
    """Singly and under their type; a kind in use stays, and the type's rules hold."""
    path = f"/flexible_asset_types/{TYPE_ID}/relationships/flexible_asset_fields"
    alone = account.done(
        "POST", "/flexible_asset_fields", row("flexible_asset_fields", flexible_asset_type_id=31, name="A", kind="Text")
    )
    many = account.done("POST", path, [row("flexible_asset_fields", name=name, kind="Text") for name in ("B", "C")])
    assert [each["attributes"]["order"] for each in [alone, *many]] == [12, 13, 14]
    account.errors("POST", path, row("flexible_asset_fields", name="a", kind="Text"))
    account.errors("POST", path, row("flexible_asset_fields", name="D", kind="Text", order=1))
    account.errors("POST", "/flexible_asset_fields", row("flexible_asset_fields", name="D", kind="Text"))
    fields = account.itglue(path, sort="order").json()["data"]
    title, active, unused = fields[0]["id"], fields[2]["id"], fields[5]["id"]
    account.errors("PATCH", f"/flexible_asset_fields/{active}", row("flexible_asset_fields", kind="Text"))
    account.done("PATCH", f"/flexible_asset_fields/{unused}", row("flexible_asset_fields", kind="Text"))
    account.errors("PATCH", f"/flexible_asset_fields/{title}", row("flexible_asset_fields", show_in_list=False))
    renamed = account.done("PATCH", f"/flexible_asset_fields/{active}", row("flexible_asset_fields", name="In Use"))
    assert renamed["attributes"]["name-key"] == "active"


def test_an_asset_is_made_and_read_back(account: Account) -> None:
    """Traits as written, tags with names, the name made of the title field; both ways to list it."""
    traits = {
        "product-name": "Business Premium",
        "active": 5.5,
        "renewal-date": "2026-02-28",
        "contacts": ["503", 501, "501"],
        "notes": "<p>x</p>" * 100,
        "trial": False,
        "level": "High",
        "tenant_id": "t",
        "company": [72],
        "parent": [801],
    }
    made = account.done("POST", "/flexible_assets", asset(traits, organization_id="72"))
    attributes = made["attributes"]

    assert (attributes["name"], attributes["flexible-asset-type-name"]) == ("Business Premium", "Subscription")
    read = attributes["traits"]
    assert {key: read[key] for key in ("active", "renewal-date", "notes", "trial", "level", "tenant-id")} == {
        "active": 5.5,
        "renewal-date": "2026-02-28",
        "notes": "<p>x</p>" * 100,
        "trial": False,
        "level": "High",
        "tenant-id": "t",
    }
    assert read["contacts"]["type"] == "Contacts"
    assert [(each["id"], each["name"]) for each in read["contacts"]["values"]] == [(503, "Cy Dahl"), (501, "Anna Berg")]
    assert set(read["contacts"]["values"][0]) == {"id", "name", "resource-url"}
    assert [each["name"] for each in read["company"]["values"]] == ["Contoso"]
    assert [each["name"] for each in read["parent"]["values"]] == ["P1"]
    listed = account.itglue("/flexible_assets", sort="-id", **{"filter[flexible_asset_type_id]": str(TYPE_ID)})
    assert listed.json()["data"][0] == made


def test_a_change_deletes_the_traits_it_does_not_name(account: Account) -> None:
    """Also those that are null; a change without traits leaves them alone."""
    before = account.itglue("/flexible_assets/801").json()["data"]["attributes"]
    assert account.done("PATCH", "/flexible_assets/801", row("flexible-assets", archived=True))["attributes"] == before
    traits = {"product-name": "P2", "tenant-id": "t", "notes": "N"}
    after = account.done("PATCH", "/flexible_assets/801", row("flexible-assets", traits=traits))["attributes"]
    assert (after["traits"], after["name"]) == (traits, "P2")
    again = account.done("PATCH", "/flexible_assets/801", row("flexible-assets", traits=traits | {"notes": None}))
    assert again["attributes"]["traits"] == {"product-name": "P2", "tenant-id": "t"}
    assert again["attributes"]["updated-at"] > again["attributes"]["created-at"]


def test_assets_in_bulk(account: Account) -> None:
    """A list is taken under an organization and in a change, not at the plain endpoint; all or nothing."""
    path = "/organizations/73/relationships/flexible_assets"
    rows = [asset({"product-name": name, "tenant-id": "t"}) for name in ("A", "B")]
    account.errors("POST", "/flexible_assets", rows, 400)
    made = account.done("POST", path, rows)
    assert [(each["attributes"]["name"], each["attributes"]["organization-id"]) for each in made] == [
        ("A", 73),
        ("B", 73),
    ]
    account.errors("POST", path, [*rows, asset({"product-name": "C"})])
    good = {"product-name": "Z", "tenant-id": "t"}
    identities = [each["id"] for each in made]
    account.errors(
        "PATCH",
        "/flexible_assets",
        [row("flexible_assets", id=identities[0], traits=good), row("flexible_assets", id=identities[1], traits={})],
    )
    assert [account.simulator.estate.flexible_asset(each).name for each in identities] == ["A", "B"]
    account.done("PATCH", "/flexible_assets", [row("flexible_assets", id=each, traits=good) for each in identities])
    assert [account.simulator.estate.flexible_asset(each).name for each in identities] == ["Z", "Z"]
    assert account.simulator.estate.counts()["flexible_assets"] == 3


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("active", "5"),
        ("active", True),
        ("renewal-date", "28/02/2026"),
        ("renewal-date", "2026-02-30"),
        ("renewal-date", 20260228),
        ("contacts", [999]),
        ("contacts", "501"),
        ("contacts", [{"id": 501}]),
        ("company", [73, 99]),
        ("parent", [501]),
        ("notes", 5),
        ("trial", "yes"),
        ("level", "Medium"),
        ("product-name", "x" * 256),
        ("product-name", ""),
        ("tenant-id", None),
        ("unheard-of", "x"),
        ("details", "a header holds nothing"),
    ],
)
def test_what_a_trait_must_not_hold(account: Account, trait: str, value: object) -> None:
    """POST and PATCH answer 422 that names the trait, and nothing is stored."""
    filters = {"filter[flexible_asset_type_id]": str(TYPE_ID)}
    before = account.itglue("/flexible_assets", **filters).json()
    traits = {"product-name": "P", "tenant-id": "t", trait: value}
    for method, path in (("POST", "/flexible_assets"), ("PATCH", "/flexible_assets/801")):
        errors = account.errors(method, path, asset(traits))
        assert trait in errors[0]["detail"]
        assert len(errors) == 1
    assert account.itglue("/flexible_assets", **filters).json() == before


def test_an_asset_needs_a_type_and_an_organization_that_exist(account: Account) -> None:
    """Both are checked on creation; the type never changes."""
    traits = {"product-name": "P", "tenant-id": "t"}
    assert account.errors("POST", "/flexible_assets", asset(traits, organization_id=99))[0]["title"] == (
        "Valid organization_id is required"
    )
    errors = account.errors("POST", "/flexible_assets", asset(traits, flexible_asset_type_id=99))
    assert errors[0]["source"]["pointer"] == "/data/attributes/flexible-asset-type-id"
    account.errors("PATCH", "/flexible_assets/801", row("flexible-assets", flexible_asset_type_id=99))


def test_a_tag_to_a_deleted_contact_disappears(account: Account) -> None:
    """What is read names only what exists."""
    account.done(
        "PATCH", "/flexible_assets/801", asset({"product-name": "P", "tenant-id": "t", "contacts": [501, 503]})
    )
    account.simulator.estate.remove_contact(501)

    read = account.itglue("/flexible_assets/801").json()["data"]["attributes"]["traits"]["contacts"]["values"]
    assert [each["id"] for each in read] == [503]
