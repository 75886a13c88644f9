"""Organizations and their location: what is made, what is filled in, what is left."""

from __future__ import annotations

from typing import Any

import pytest

from o365_etl.sync.changes import FieldChange
from o365_etl.sync.places import (
    Side,
    create_organization,
    document_location,
    in_words_of_it_glue,
    rename_organization,
)

FIELDS = ("address_1", "city", "region", "postal_code", "country", "phone")
COUNTRIES = [("1", "United States", "US"), ("3", "Germany", "DE"), ("5", "Belgium", "BE"), ("6", "Netherlands", "NL")]
REGIONS = [
    ("1", "Washington", "WA"),
    ("3", "Bavaria", "BY"),
    ("5", "Limburg", "VLI"),
    ("6", "Limburg", "LI"),
    (None, "Nowhere", "NW"),
]
OWNERS = ("microsoft", "itglue", "fill_blank")


def tenant(**said: Any) -> dict[str, Any]:
    """A row of a tenant with its location."""
    return {
        "tenant_id": "t",
        "display_name": " Contoso  Ltd ",
        "organization_id": "100",
        "sync_owner": None,
        "organization_name": "Contoso",
        "location_id": None,
        "is_ours": False,
    } | said


def sides_of(**said: Side) -> dict[str, Side]:
    """All fields; those that are not named are blank on both sides."""
    return {name: said.get(name, (None, None, "equal")) for name in FIELDS}


def new_values(**said: str | None) -> dict[str, Side]:
    """Sides of which IT Glue has none."""
    return sides_of(**{name: (value, None, "only_m365") for name, value in said.items()})


@pytest.mark.parametrize(
    ("said", "is_made"),
    [
        ({}, False),
        ({"country": "Germany"}, False),
        ({"country": "Germany", "region": "Bavaria", "phone": "+49 30"}, False),
        ({"city": "  "}, False),
        ({"city": "Munich"}, True),
        ({"postal_code": "80331"}, True),
        ({"address_1": "Main St 1"}, True),
    ],
)
@pytest.mark.parametrize("owner", OWNERS)
def test_a_location_is_made_of_something_to_go_by(owner: Any, said: dict[str, str], is_made: bool) -> None:
    """A country alone is no place to send anybody to. Whose address it is once it is there does not matter yet."""
    change = document_location(tenant(), new_values(**said), owner)
    assert (change is not None) == is_made


def test_a_new_location() -> None:
    """Named like the tenant, blanks folded, phone as digits, nothing blank."""
    sides = new_values(city=" Munich\t ", phone="+49 (30) 1", country="Germany", address_1="", postal_code="80331")
    change = document_location(tenant(organization_id=None), sides, "fill_blank")
    assert change is not None
    assert (change.action, change.resource, change.target_id, change.organization_id) == (
        "create",
        "location",
        None,
        None,
    )
    assert change.fields == {
        "name": FieldChange(None, "Contoso Ltd"),
        "city": FieldChange(None, "Munich"),
        "phone": FieldChange(None, "49301"),
        "country": FieldChange(None, "Germany"),
        "postal_code": FieldChange(None, "80331"),
    }


STATES = ("equal", "different", "only_m365", "only_itglue", "unknown")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("name", ["address_1", "city", "postal_code", "country", "phone"])
def test_a_location_that_is_there(name: str, is_ours: bool, owner: Any, state: str) -> None:
    """Ours is kept in step, whoever owns those of others; of theirs the owner decides."""
    m, i = None if state == "only_itglue" else "1234", None if state == "only_m365" else "99"
    change = document_location(tenant(location_id="5", is_ours=is_ours), sides_of(**{name: (m, i, state)}), owner)
    is_written = (state == "only_m365" and (is_ours or owner != "itglue")) or (
        state == "different" and (is_ours or owner == "microsoft")
    )
    if is_written:
        assert change is not None
        assert (change.action, change.target_id) == ("update", "5")
        assert change.fields == {name: FieldChange(i, "1234")}
    else:
        assert change is None


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize("name", FIELDS)
def test_a_blank_never_empties_a_location(name: str, blank: str | None) -> None:
    """Whatever the comparison says."""
    for state in STATES:
        sides = sides_of(**{name: (blank, "there", state)})
        assert document_location(tenant(location_id="5", is_ours=True), sides, "microsoft") is None


@pytest.mark.parametrize(
    ("country", "fields"),
    [
        (("Germany", "Germany", "equal"), {"region"}),
        (("Germany", "Belgium", "different"), set()),  # the country is not ours to change
        (("Germany", None, "only_m365"), {"country", "region"}),
        ((None, "Belgium", "only_itglue"), set()),
    ],
)
def test_a_region_goes_with_its_country(country: Side, fields: set[str]) -> None:
    """A region of one country in a location of another would be refused by IT Glue at every sync."""
    sides = sides_of(country=country, region=("Bavaria", None, "only_m365"))
    change = document_location(tenant(location_id="5"), sides, "fill_blank")
    assert (set(change.fields) if change else set()) == fields


WORDS: list[tuple[str | None, str | None, str | None, str | None]] = [
    # country, region as Microsoft has them; as IT Glue does
    ("Germany", "Bavaria", "Germany", "Bavaria"),
    ("GERMANY ", " bavaria", "Germany", "Bavaria"),
    ("de", "by", "Germany", "Bavaria"),
    ("US", "WA", "United States", "Washington"),
    ("Deutschland", "Bavaria", None, None),
    ("DE", "WA", "Germany", None),
    ("DE", "Bayern", "Germany", None),
    ("DE", None, "Germany", None),
    (None, "WA", None, None),
    ("", "", None, None),
    (None, None, None, None),
    (None, "Nowhere", None, None),
    ("Atlantis", "NW", None, None),
]


@pytest.mark.parametrize(("country", "region", "its_country", "its_region"), WORDS)
def test_words_of_it_glue(
    country: str | None, region: str | None, its_country: str | None, its_region: str | None
) -> None:
    """By name or by code; what it does not know is left out, a region only within its country."""
    sides = sides_of(
        country=(country, "Belgium", "different"), region=(region, "x", "different"), city=("a", "b", "different")
    )
    found = in_words_of_it_glue(sides, COUNTRIES, REGIONS)
    assert found["country"] == (its_country, "Belgium", "different")
    assert found["region"] == (its_region, "x", "different")
    assert found["city"] == ("a", "b", "different")
    assert sides["country"][0] == country


def test_the_same_in_other_words_is_equal() -> None:
    """A code on one side and a name on the other say the same."""
    sides = sides_of(country=("BE", "belgium", "different"), region=("VLI", "Limburg", "different"))
    found = in_words_of_it_glue(sides, COUNTRIES, REGIONS)
    assert (found["country"][2], found["region"][2]) == ("equal", "equal")
    assert document_location(tenant(location_id="5", is_ours=True), found, "microsoft") is None


# --- organizations


def test_a_new_organization() -> None:
    """Named like the tenant."""
    change = create_organization(tenant())
    assert change.fields == {"name": FieldChange(None, "Contoso Ltd")}
    assert (change.action, change.resource, change.organization_id) == ("create", "organization", None)


@pytest.mark.parametrize(
    ("owner", "name", "is_renamed"),
    [
        ("microsoft", "Fabrikam", True),
        ("itglue", "Fabrikam", False),
        ("fill_blank", "Fabrikam", False),
        ("microsoft", "CONTOSO ", False),
        ("microsoft", " ", False),
        ("microsoft", None, False),
    ],
)
def test_renaming(owner: Any, name: str | None, is_renamed: bool) -> None:
    """Only where Microsoft 365 owns the name, never to a blank, and not for its case."""
    change = rename_organization(tenant(display_name=name), owner)
    assert (change is not None) == is_renamed
    if change:
        assert change.fields == {"name": FieldChange("Contoso", "Fabrikam")}
        assert (change.target_id, change.skipped_because) == ("100", None)


def test_an_organization_of_another_integration_is_not_renamed() -> None:
    """IT Glue would refuse."""
    change = rename_organization(tenant(display_name="Fabrikam", sync_owner="Autotask"), "microsoft")
    assert change is not None
    assert change.skipped_because == "owned by the integration Autotask"
