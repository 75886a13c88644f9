"""A change as the attributes of a request, merged with the record as it is now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from o365_etl.sync.changes import Change, FieldChange
from o365_etl.sync.payloads import Edited, Lookups, Unresolved, changed_record, new_record, new_type_fields
from o365_etl.sync.recognise import CLOCK_SKEW, has_contact, is_it, is_young

LOOKUPS = Lookups(
    license_type="Licenses",
    user_type="Users",
    contact_types={"Former": "27"},
    countries={"Germany": "3", "Belgium": "5", "Netherlands": "6"},
    regions={("5", "Limburg"): "51", ("6", "Limburg"): "61", ("3", "Bavaria"): "31"},
    asset_types={"Licenses": "900", "Users": "901"},
)
LIVE: dict[str, Any] = {
    "first-name": "Anna",
    "last-name": None,
    "title": "Boss",
    "notes": None,
    "contact-type-name": "End User",
    "important": True,
    "contact-emails": [
        {"value": "Old@x.example", "primary": True, "label-name": "Home"},
        {"value": "b@x.example", "primary": False, "label-name": "Work"},
    ],
    "contact-phones": [
        {"value": "1555", "primary": True, "label-name": "Home", "label-type": "phone", "extension": "7",
         "formatted-value": "(1) 555"},
    ],
}  # fmt: skip
PLACE: dict[str, Any] = {
    "name": "Contoso",
    "city": "Hasselt",
    "phone": "1555",
    "country-id": 5,
    "country-name": "Belgium",
    "region-id": None,
    "region-name": None,
}


def change_of(resource: str = "contact", action: str = "update", **fields: tuple[Any, Any]) -> Change:
    """A change; fields are (old, new)."""
    made = {name: FieldChange(*each) for name, each in fields.items()}
    return Change("t", "100", action, resource, "7", "u", made, "")  # type: ignore[arg-type]


def sent(live: dict[str, Any], resource: str = "contact", **fields: tuple[Any, Any]) -> dict[str, Any] | None:
    """What an update sends."""
    return changed_record(change_of(resource, **fields), live, LOOKUPS, {})


SAYS_SO: list[tuple[str, str, Any, Any]] = [
    ("contact", "first_name", "Ann", "ANNA "),
    ("contact", "last_name", "x", None),
    ("contact", "title", None, "boss"),
    ("contact", "contact_type", None, "end user"),
    ("contact", "notes", "Left", ""),
    ("contact", "primary_email", "b@x.example", "OLD@x.example"),
    ("contact", "email_addresses", None, ["b@x.example", "old@x.example"]),
    ("contact", "phone", None, "1555"),
    ("contact", "mobile_phone", None, "+1 555"),
    ("location", "city", None, "HASSELT"),
    ("location", "phone", None, "+1-555"),
    ("location", "country", None, "Belgium"),
    ("organization", "name", "x", "contoso"),
]


@pytest.mark.parametrize(("resource", "name", "old", "new"), SAYS_SO)
def test_a_record_that_says_so_is_left_alone(resource: str, name: str, old: Any, new: Any) -> None:
    """Somebody was faster, or an earlier write was done and the answer to it lost."""
    assert sent(LIVE if resource == "contact" else PLACE, resource, **{name: (old, new)}) is None


EDITED: list[tuple[str, str, Any, Any]] = [
    ("contact", "first_name", "Ann", "Anne"),
    ("contact", "last_name", "Bergh", "Berg"),
    ("contact", "title", None, "Chief"),
    ("contact", "notes", "Key holder", "Left"),
    ("contact", "contact_type", None, "Former"),
    ("contact", "primary_email", "b@x.example", "c@x.example"),
    ("contact", "email_addresses", ["old@x.example"], ["c@x.example", "old@x.example"]),
    ("contact", "email_addresses", None, ["c@x.example"]),
    ("contact", "phone", "1556", "1557"),
    ("location", "city", "Genk", "Liege"),
    ("location", "phone", "1556", "1557"),
    ("location", "country", "Germany", "Netherlands"),
    ("organization", "name", "Fabrikam", "Northwind"),
]


@pytest.mark.parametrize(("resource", "name", "old", "new"), EDITED)
def test_a_record_that_was_edited_since_is_left_alone(resource: str, name: str, old: Any, new: Any) -> None:
    """Nothing of the change is written: a person approved of another difference than there is now."""
    live = LIVE if resource == "contact" else PLACE
    with pytest.raises(Edited, match=f"{name} was edited"):
        sent(live, resource, **{name: (old, new)})
    still = ("title", ("Boss", "Chief")) if resource == "contact" else ("postal_code", (None, "1"))
    with pytest.raises(Edited):
        sent(live, resource, **{still[0]: still[1], name: (old, new)})


def test_only_what_is_still_wanted_is_sent() -> None:
    """And nothing of what was not planned."""
    fields: dict[str, tuple[Any, Any]] = {"title": ("boss", "Chief"), "first_name": ("Ann", "Anna")}
    assert sent(LIVE, **fields) == {"title": "Chief"}
    assert sent(PLACE, "location", city=("Hasselt", "Genk"), phone=("x", "1555")) == {"city": "Genk"}
    assert sent(PLACE, "organization", name=("Contoso", "Fabrikam")) == {"name": "Fabrikam"}


def test_lists_are_sent_whole_and_merged() -> None:
    """IT Glue replaces a list by what it is sent: all that is there goes along, just as it is."""
    given = sent(
        LIVE, email_addresses=(["b@x.example", "old@x.example"], ["b@x.example", "n@x.example", "old@x.example"])
    )
    assert given == {
        "contact-emails": [*LIVE["contact-emails"], {"value": "n@x.example", "primary": False, "label-name": "Work"}]
    }
    given = sent(LIVE, primary_email=("old@x.example", "B@x.example"))
    assert given is not None
    assert [(entry["value"], entry["primary"], entry["label-name"]) for entry in given["contact-emails"]] == [
        ("Old@x.example", False, "Home"),
        ("b@x.example", True, "Work"),
    ]
    given = sent(LIVE, phone=("1555", "1556"), mobile_phone=(None, "1557"))
    assert given == {
        "contact-phones": [
            {"value": "1555", "primary": False, "label-name": "Home", "label-type": "phone", "extension": "7"},
            {"value": "1556", "primary": True, "label-name": "Work", "label-type": "phone"},
            {"value": "1557", "primary": False, "label-name": "Mobile", "label-type": "phone"},
        ]
    }


def test_of_two_primary_addresses_the_compared_one_stays() -> None:
    """The comparison takes the first in the alphabet; another one would be moved by the next sync."""
    live = LIVE | {"contact-emails": [{"value": "b@x", "primary": True}, {"value": "A@x", "primary": True}]}
    given = sent(live, email_addresses=(["a@x", "b@x"], ["a@x", "b@x", "c@x"]))
    assert given is not None
    assert [(entry["value"], entry["primary"]) for entry in given["contact-emails"]] == [
        ("b@x", False),
        ("A@x", True),
        ("c@x", False),
    ]


def test_a_number_that_is_there_is_enough() -> None:
    """Numbers are only ever added; who had none may have others by now."""
    assert sent(LIVE, phone=(None, "1556")) is not None
    assert sent(LIVE | {"contact-phones": None}, phone=(None, "1556")) is not None


def test_names_become_ids() -> None:
    """IT Glue takes contact types, countries and regions by id."""
    assert sent(LIVE, contact_type=("End User", "Former")) == {"contact-type-id": "27"}
    assert sent(PLACE, "location", country=("Belgium", "Germany"), region=(None, "Bavaria")) == {
        "country-id": "3",
        "region-id": "31",
    }


@pytest.mark.parametrize(
    ("live", "fields", "region_id"),
    [
        (PLACE, {"region": (None, "Limburg")}, "51"),
        (PLACE | {"country-id": "6", "country-name": "Netherlands"}, {"region": (None, "Limburg")}, "61"),
        (PLACE | {"country-id": None}, {"region": (None, "Limburg")}, "51"),
        (PLACE, {"region": (None, "Limburg"), "country": ("Belgium", "Netherlands")}, "61"),
        (PLACE, {"region": (None, "Limburg"), "country": ("Germany", "Belgium")}, "51"),
    ],
)
def test_a_region_is_one_of_the_country(live: dict[str, Any], fields: dict[str, Any], region_id: str) -> None:
    """Several countries have a region of the same name."""
    given = sent(live, "location", **fields)
    assert given is not None
    assert given["region-id"] == region_id


@pytest.mark.parametrize(
    ("resource", "fields"),
    [
        ("contact", {"contact_type": ("End User", "Gone")}),
        ("location", {"country": ("Belgium", "Atlantis")}),
        ("location", {"region": (None, "Bavaria")}),  # is none of Belgium's
        ("location", {"region": (None, "Bavaria"), "country": ("Belgium", "Netherlands")}),
        ("location", {"region": (None, "Atlantis")}),
    ],
)
def test_a_name_that_it_glue_does_not_know(resource: str, fields: dict[str, Any]) -> None:
    """Cannot be written, and is not guessed."""
    live = LIVE if resource == "contact" else PLACE
    with pytest.raises(Unresolved, match=r"IT Glue knows no (contact type|country|region)"):
        sent(live, resource, **fields)
    with pytest.raises(Unresolved):
        new_record(change_of(resource, "create", **fields), LOOKUPS, {})


# --- creates


def test_a_new_contact() -> None:
    """One primary each; the user name once, as it is spelt."""
    change = change_of(
        action="create",
        first_name=(None, "<b>Anna</b>"),
        title=(None, "x" * 400),
        primary_email=(None, "Anna@x.example"),
        email_addresses=(None, ["a@x.example", "anna@x.example"]),
        phone=(None, "1"),
        mobile_phone=(None, "2"),
    )
    assert new_record(change, LOOKUPS, {}) == {
        "first-name": "<b>Anna</b>",
        "title": "x" * 400,
        "contact-emails": [
            {"value": "Anna@x.example", "primary": True, "label-name": "Work"},
            {"value": "a@x.example", "primary": False, "label-name": "Work"},
        ],
        "contact-phones": [
            {"value": "1", "primary": True, "label-name": "Work", "label-type": "phone"},
            {"value": "2", "primary": False, "label-name": "Mobile", "label-type": "phone"},
        ],
    }
    assert new_record(change_of(action="create", first_name=(None, "A")), LOOKUPS, {}) == {"first-name": "A"}


def test_a_new_location_and_organization() -> None:
    """Texts by their own names, places by id."""
    change = change_of(
        "location",
        "create",
        name=(None, "C"),
        address_1=(None, "Main St"),
        postal_code=(None, "1"),
        phone=(None, "5"),
        country=(None, "Netherlands"),
        region=(None, "Limburg"),
    )
    assert new_record(change, LOOKUPS, {}) == {
        "name": "C",
        "address-1": "Main St",
        "postal-code": "1",
        "phone": "5",
        "country-id": "6",
        "region-id": "61",
    }
    assert new_record(change_of("organization", "create", name=(None, "C")), LOOKUPS, {}) == {"name": "C"}


# --- flexible assets

TRAITS: dict[str, Any] = {
    "product-name": "Office",
    "active": "5",
    "contacts": {"type": "Contacts", "values": [{"id": 1, "name": "Anna"}, {"id": 2}]},
    "remark": "<p>mine &amp; yours</p>",
    "locations": {"type": "Locations", "values": [{"id": 8, "name": "Here"}]},
    "nobody": {"type": "Contacts", "values": []},
    "scan": {"type": "Upload", "values": [{"url": "https://x/1.png"}]},
    "cost": 1.5,
    "empty": None,
}


def traits_sent(created: dict[str, str] | None = None, **fields: tuple[Any, Any]) -> dict[str, Any] | None:
    """The traits that an update sends."""
    found = changed_record(change_of("license_asset", **fields), {"traits": TRAITS}, LOOKUPS, created or {})
    assert found is None or set(found) == {"traits"}
    return found and found["traits"]


def test_what_a_person_added_survives() -> None:
    """IT Glue deletes every trait that is not named: all of them go along, tags as lists of ids."""
    assert traits_sent(active=("5", 6)) == {
        **TRAITS,
        "active": 6,
        "contacts": ["1", "2"],
        "locations": ["8"],
        "nobody": [],
    }


@pytest.mark.parametrize(
    ("old", "new", "created", "expected"),
    [
        (["1", "2"], ["1", "3"], {}, ["1", "3"]),
        (["2", "1"], ["1", "user:u"], {"u": "9"}, ["1", "9"]),
        (["1", "2"], ["1", "3", "user:u"], {}, ["1", "3"]),  # that contact could not be created
        (["1", "2"], ["user:u"], {}, None),  # none of them: a blank never overwrites
        (["1", "2"], ["1", "2", "user:u"], {}, None),
        (["1"], ["1", "2"], {}, None),
    ],
)
def test_contacts_of_an_asset(old: list[str], new: list[str], created: dict[str, str], expected: Any) -> None:
    """Contacts to come are named by the id that they got."""
    found = traits_sent(created, contacts=(old, new))
    assert (found and found["contacts"]) == expected


@pytest.mark.parametrize("blank", [None, "", []])
def test_a_blank_trait_is_not_written(blank: Any) -> None:
    """It would delete what stands there."""
    assert traits_sent(active=("5", blank)) is None
    found = traits_sent(active=("5", blank), cost=(1.5, 2))
    assert found is not None
    assert (found["active"], found["cost"]) == ("5", 2)


def test_an_asset_that_was_edited_since() -> None:
    """Is left alone; one that says so already as well."""
    with pytest.raises(Edited, match="active"):
        traits_sent(active=(4, 6))
    with pytest.raises(Edited, match="contacts"):
        traits_sent(contacts=(["1"], ["3"]))
    assert traits_sent(active=(4, 5)) is None
    assert traits_sent(**{"product-name": (None, " Office")}) is None
    found = traits_sent(active=(4, 5), cost=(1.5, 2))
    assert found is not None
    assert found["active"] == "5"


def test_a_new_asset() -> None:
    """With the type's id and without blanks."""
    fields: dict[str, Any] = {"product-name": (None, "<b>"), "active": (None, 0), "status": (None, None)}
    change = change_of("license_asset", "create", contacts=(None, ["1", "user:u", "user:v"]), **fields)
    assert new_record(change, LOOKUPS, {"u": "9"}) == {
        "flexible-asset-type-id": "900",
        "traits": {"product-name": "<b>", "active": 0, "contacts": ["1", "9"]},
    }
    change = change_of("user_asset", "create", contacts=(None, ["user:v"]))
    assert new_record(change, LOOKUPS, {}) == {"flexible-asset-type-id": "901", "traits": {}}
    with pytest.raises(Unresolved, match="Licenses"):
        new_record(change_of("license_asset", "create"), Lookups("Licenses", "Users"), {})


def test_the_fields_of_a_type() -> None:
    """Each type has its own."""
    names = [[each["name"] for each in new_type_fields(name, LOOKUPS)] for name in ("Licenses", "Users")]
    assert [("SKU ID" in own, "User ID" in own) for own in names] == [(True, False), (False, True)]


# --- recognising

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Found:
    """A record as IT Glue gives it."""

    def __init__(self, created_at: datetime | None = None, **attributes: Any) -> None:
        self.id, self.owner, self.created_at = "1", None, created_at
        self.attributes = {name.replace("_", "-"): value for name, value in attributes.items()}


def entries(*values: str) -> list[dict[str, Any]]:
    return [{"value": value} for value in values]


NAMED = change_of(action="create", first_name=(None, "Anna"), last_name=(None, "Berg"))
ADDRESSED = change_of(
    action="create", first_name=(None, "Anna"), primary_email=(None, "A@x"), email_addresses=(None, ["b@x"])
)
LICENSE = change_of("license_asset", "create", **{"tenant-id": (None, "T"), "sku-id": (None, "S")})
PERSON = change_of("user_asset", "create", **{"tenant-id": (None, "T"), "user-id": (None, "S")})
NAMED_PLACE = change_of("location", "create", name=(None, "Contoso"))


@pytest.mark.parametrize(
    ("change", "live", "is_same"),
    [
        (ADDRESSED, Found(contact_emails=entries("c@x", "a@X")), True),
        (ADDRESSED, Found(contact_emails=entries("b@x")), True),
        (ADDRESSED, Found(contact_emails=entries("z@x", "B@x, c@x")), True),
        (ADDRESSED, Found(first_name="Anna", contact_emails=entries("c@x")), False),
        (ADDRESSED, Found(first_name="Anna", contact_emails=None), False),
        (NAMED, Found(first_name="ANNA", last_name="Berg "), True),
        (NAMED, Found(first_name="Anna", last_name=None), False),
        (LICENSE, Found(traits={"tenant-id": "t", "sku-id": "s"}), True),
        (LICENSE, Found(traits={"tenant-id": "t", "sku-id": "s2"}), False),
        (LICENSE, Found(traits={"tenant-id": "t2", "sku-id": "s"}), False),
        (LICENSE, Found(traits=None), False),
        (PERSON, Found(traits={"tenant-id": "t", "user-id": "s"}), True),
        (PERSON, Found(traits={"tenant-id": "t"}), False),
        (NAMED_PLACE, Found(name="contoso "), True),
        (NAMED_PLACE, Found(name=None), False),
    ],
)
def test_recognising(change: Change, live: Found, is_same: bool) -> None:
    """By address or name, and our assets by what they are about."""
    assert is_it(change, live) is is_same


def test_age() -> None:
    """The clock of IT Glue may be behind ours, within bounds."""
    assert is_young(Found(NOW - CLOCK_SKEW), NOW)
    assert not is_young(Found(NOW - 1.001 * CLOCK_SKEW), NOW)
    assert is_young(Found(None), NOW)


def test_a_user_asset_waits_for_its_contact() -> None:
    """It says whose data it is by the contact alone."""
    change = change_of("user_asset", "create", contacts=(None, ["user:u"]))
    assert has_contact(change, {"u": "9"})
    assert not has_contact(change, {"v": "9"})
    assert has_contact(change_of("user_asset", contacts=(None, ["1", "user:u"])), {})
    assert not has_contact(change_of("user_asset"), {})
