"""What a contact is given: which fields, under whose rules, and in what form."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.config import ContactFields
from o365_etl.normalise import digits
from o365_etl.sync.changes import FieldChange
from o365_etl.sync.contacts import create_contact, names_of, phone_number, same_number, update_contact

FIELDS = tuple(ContactFields.model_fields)
OWNERS = ("microsoft", "itglue", "fill_blank")
STATES = ("equal", "different", "only_m365", "only_itglue", "unknown")
# Field → what Microsoft says, what IT Glue says, what is planned where Microsoft's word counts.
SAID: dict[str, tuple[str, str, Any]] = {
    "first_name": ("Anna", "Ann", "Anna"),
    "last_name": ("Berg", "Bergh", "Berg"),
    "title": ("Chief", "Boss", "Chief"),
    "primary_email": ("Anna@x.example", "old@x.example", "Anna@x.example"),
    "email_addresses": ("anna@x.example, b@x.example", "old@x.example", None),
    "phone": ("+1 555 0100", "1 555 0199", "15550100"),
    "mobile_phone": ("+1 555 0200", "1 555 0299", "15550200"),
}


def everybody(owner: str, **others: str) -> dict[str, Any]:
    """Who owns which field: this owner, but for the others."""
    return dict.fromkeys(FIELDS, owner) | others


def side_of(**said: tuple[str | None, str | None, str]) -> dict[str, Any]:
    """A row of `work.contact_sides`: field → Microsoft's value, IT Glue's, state; of all other fields nothing."""
    side: dict[str, Any] = {
        "tenant_id": "t",
        "user_id": "u",
        "organization_id": "100",
        "contact_id": "7",
        "sync_owner": None,
    }
    for name in FIELDS:
        side[f"m_{name}"], side[f"i_{name}"], side[f"s_{name}"] = said.get(name, (None, None, "equal"))
    return side


def planned(side: dict[str, Any], owners: dict[str, Any]) -> dict[str, FieldChange]:
    """The planned fields."""
    change = update_contact(side, owners)
    return dict(change.fields) if change else {}


@pytest.mark.parametrize(("name", "owner", "state"), list(product(FIELDS, OWNERS, STATES)))
def test_the_owner_decides(name: str, owner: str, state: str) -> None:
    """Microsoft's value is written where it owns the field, or where there is nothing and blanks may be filled."""
    ours, theirs, new = SAID[name]
    m = None if state == "only_itglue" else ours
    i = None if state == "only_m365" else m if state == "equal" else theirs
    fields = planned(side_of(**{name: (m, i, state)}), everybody("itglue", **{name: owner}))
    is_wanted = (state == "only_m365" and owner != "itglue") or (state == "different" and owner == "microsoft")
    if not is_wanted:
        assert fields == {}
    elif name == "email_addresses":
        there = [i] if i else []
        assert fields == {name: FieldChange(there or None, ["anna@x.example", "b@x.example", *there])}
    elif name == "primary_email":
        # To be the primary one it has to be among the addresses.
        assert fields == {name: FieldChange(i, new), "email_addresses": FieldChange(None, ["anna@x.example"])}
    else:
        assert fields == {name: FieldChange(i, new)}


@pytest.mark.parametrize(("name", "owner", "blank"), list(product(FIELDS, OWNERS, [None, "", "  ", "\u00a0\t\n"])))
def test_a_blank_never_overwrites(name: str, owner: str, blank: str | None) -> None:
    """Whatever the comparison says of it, and whoever owns the field."""
    for state in STATES:
        side = side_of(**{name: (blank, "there", state)})
        assert planned(side, everybody(owner)) == {}


def test_a_change_says_what_it_is_about() -> None:
    """All that is needed to find the record, and nothing that is not to be written."""
    change = update_contact(side_of(title=("Chief", None, "only_m365")), everybody("microsoft"))
    assert change is not None
    assert (change.action, change.resource, change.target_id, change.subject_id) == ("update", "contact", "7", "u")
    assert (change.tenant_id, change.organization_id, change.skipped_because) == ("t", "100", None)


def test_somebody_elses_contact_is_shown_and_not_written() -> None:
    """The integration that owns it would take it back, or IT Glue would refuse."""
    side = side_of(title=("Chief", None, "only_m365")) | {"sync_owner": "Autotask"}
    change = update_contact(side, everybody("microsoft"))
    assert change is not None
    assert change.skipped_because == "owned by the integration Autotask"


TEXTS = [
    ("  Anna \t Lena\n", "Anna Lena"),
    ("آنا مريم", "آنا مريم"),
    ("x" * 400, "x" * 400),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ("Robert'); DROP TABLE users;--", "Robert'); DROP TABLE users;--"),
    ("=HYPERLINK(1)", "=HYPERLINK(1)"),
    ("Zoë 李 🐟", "Zoë 李 🐟"),
    ("\u202bمريم\u202c", "\u202bمريم\u202c"),
]


@pytest.mark.parametrize(("text", "written"), TEXTS)
@pytest.mark.parametrize("name", ["first_name", "last_name", "title"])
def test_text_stays_text(name: str, text: str, written: str) -> None:
    """Names are data, whatever they look like; only blanks are folded."""
    assert planned(side_of(**{name: (text, "x", "different")}), everybody("microsoft"))[name].new == written
    user = person(given_name=text, surname=text, job_title=text)
    assert create_contact(user, "100").fields[name].new == written


# --- e-mail addresses

LISTS: list[tuple[str | None, str | None, list[str] | None]] = [
    ("a@x", "b@x", ["a@x", "b@x"]),
    ("a@x, b@x", "b@x", ["a@x", "b@x"]),
    ("a@x", "a@x, b@x", None),  # one more that a person added is no reason to write
    ("a_y.example#EXT#@x.onmicrosoft.com", "b@x", None),
    ("a@x, a_y.example#ext#@x.onmicrosoft.com", "b@x", ["a@x", "b@x"]),
    ("not an address, a@x", "b@x", ["a@x", "b@x"]),
    ("anna", "b@x", None),
]


@pytest.mark.parametrize(("ours", "theirs", "merged"), LISTS)
def test_addresses_are_added_never_taken(ours: str, theirs: str, merged: list[str] | None) -> None:
    """The new list holds everything that is there."""
    fields = planned(side_of(email_addresses=(ours, theirs, "different")), everybody("microsoft"))
    assert fields == ({"email_addresses": FieldChange(theirs.split(", "), merged)} if merged else {})


@pytest.mark.parametrize("name", ["a_y.example#EXT#@x.onmicrosoft.com", "A#ext#@x", "anna", "", " ", None, "a b@x"])
def test_a_user_name_that_is_no_address_is_never_the_primary_one(name: str | None) -> None:
    """A guest's user name is made up by Microsoft; nobody can write to it."""
    fields = planned(side_of(primary_email=(name, "old@x", "different")), everybody("microsoft"))
    assert fields == {}
    user = person(user_principal_name=name, addresses=["a@x", "a_y.example#ext#@x.onmicrosoft.com"])
    new = create_contact(user, "100").fields
    assert "primary_email" not in new
    assert new["email_addresses"].new == ["a@x"]


def test_the_primary_address_joins_the_list_of_another_owner() -> None:
    """It has to be in the list to be the primary one; the rest of Microsoft's addresses stays out."""
    side = side_of(primary_email=("A@x", "b@x", "different"), email_addresses=("a@x, c@x", "b@x", "different"))
    fields = planned(side, everybody("microsoft", email_addresses="itglue"))
    assert fields["email_addresses"] == FieldChange(["b@x"], ["a@x", "b@x"])
    assert fields["primary_email"] == FieldChange("b@x", "A@x")


# --- phones

NUMBERS = [
    ("+49 (30) 123-456", "4930123456"),
    ("030/12 34.56", "030123456"),
    ("\u00a0030\u2011123", "030123"),
    ("123", "123"),
    ("call reception", None),
    ("", None),
    ("  ", None),
    (None, None),
    ("٠٣٠", None),  # IT Glue keeps ASCII digits
]


@pytest.mark.parametrize(("said", "kept"), NUMBERS)
def test_phone_numbers_are_digits(said: str | None, kept: str | None) -> None:
    """IT Glue strips the rest; text without a digit would be refused at every sync."""
    assert phone_number(said) == kept
    new = create_contact(person(business_phone=said, mobile_phone=said), "100").fields
    assert [new[name].new if name in new else None for name in ("phone", "mobile_phone")] == [kept, kept]


SAME = [
    ("+1 555", "1-555", True),
    ("1555", "1556", False),
    ("555", None, False),
    (None, None, True),
    ("", None, True),
    ("Reception", "reception ", True),
    ("reception", "porter", False),
    ("reception", None, False),
    ("reception", "1", False),
]


@pytest.mark.parametrize(("one", "other", "is_same"), SAME)
def test_numbers_are_the_same_by_their_digits(one: str | None, other: str | None, is_same: bool) -> None:
    """Text without any is compared as text."""
    assert same_number(one, other) is is_same
    assert same_number(other, one) is is_same


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_normalising_a_number_once_is_enough(said: str) -> None:
    """What is written compares equal to what Microsoft says."""
    kept = phone_number(said)
    assert kept is None or (same_number(said, kept) and phone_number(kept) == kept == digits(said))


def test_a_number_that_stands_under_the_other_label_is_there() -> None:
    """Whoever has one number for both: IT Glue need not hold it twice."""
    side = side_of(phone=("+1 555", "1555", "equal"), mobile_phone=("1-555", None, "only_m365"))
    assert planned(side, everybody("microsoft")) == {}
    side = side_of(phone=("+1 555", None, "only_m365"), mobile_phone=(None, "1555", "only_itglue"))
    assert planned(side, everybody("microsoft")) == {}
    side = side_of(phone=("+1 556", None, "only_m365"), mobile_phone=(None, "1555", "only_itglue"))
    assert planned(side, everybody("microsoft")) == {"phone": FieldChange(None, "1556")}


# --- names


def person(**said: Any) -> dict[str, Any]:
    """A row of the new contacts."""
    return {
        "tenant_id": "t",
        "user_id": "u",
        "user_principal_name": "anna.berg@x.example",
        "display_name": None,
        "given_name": None,
        "surname": None,
        "job_title": None,
        "business_phone": None,
        "mobile_phone": None,
        "addresses": None,
        "taken_by": None,
    } | said


NAMES: list[tuple[str | None, str | None, str | None, tuple[str, str | None]]] = [
    # given name, surname, display name, what IT Glue gets
    ("Anna", "Berg", "A. Berg", ("Anna", "Berg")),
    ("Anna", "Berg", None, ("Anna", "Berg")),
    ("Anna", None, "Anna Berg", ("Anna", None)),
    ("Anna", None, None, ("Anna", None)),
    (None, "Berg", "Anna Berg", ("Anna", "Berg")),
    (None, "Berg", "Anna  Lena BERG", ("Anna Lena", "Berg")),
    (None, "Berg", "Berg, Anna", ("Anna", "Berg")),
    (None, "von Berg", "Anna von Berg", ("Anna", "von Berg")),
    (None, "Straße", "Anna STRASSE", ("Anna", "Straße")),
    (None, "Berg", "Anna Hamberg", ("Anna Hamberg", "Berg")),  # a last name is whole words
    (None, "Berg", "Kronberg", ("Kronberg", "Berg")),
    (None, "Berg", "Front Desk", ("Front Desk", "Berg")),
    (None, "Berg", "berg", ("Berg", None)),
    (None, "Berg", None, ("Berg", None)),
    (None, ",", "Anna", ("Anna", ",")),
    (None, None, "Anna Berg", ("Anna Berg", None)),
    (None, None, None, ("anna.berg", None)),
    (" ", "\t", "\u00a0", ("anna.berg", None)),
    ("", "", "", ("anna.berg", None)),
    (None, "مريم", "آنا مريم", ("آنا", "مريم")),
]


@pytest.mark.parametrize(("given_name", "surname", "display_name", "names"), NAMES)
def test_names(
    given_name: str | None, surname: str | None, display_name: str | None, names: tuple[str, str | None]
) -> None:
    """IT Glue insists on a first name, so one is found."""
    user = person(given_name=given_name, surname=surname, display_name=display_name)
    assert names_of(user) == names
    fields = create_contact(user, "100").fields
    assert (fields["first_name"].new, fields["last_name"].new if "last_name" in fields else None) == names


@pytest.mark.parametrize(("upn", "first"), [("@x.example", "?"), ("  @x", "?"), ("", "?"), (None, "?"), ("bo", "bo")])
def test_a_first_name_of_last_resort(upn: str | None, first: str) -> None:
    """Nothing at all is known of this user."""
    assert names_of(person(user_principal_name=upn)) == (first, None)


MAYBE = st.none() | st.text(st.sampled_from("aB ,ß\u00a0\u200bم<"), max_size=8)


@given(MAYBE, MAYBE, MAYBE, MAYBE)
def test_there_is_always_a_first_name(
    given_name: str | None, surname: str | None, display_name: str | None, upn: str | None
) -> None:
    """And no name begins or ends with a blank."""
    first, last = names_of(
        person(given_name=given_name, surname=surname, display_name=display_name, user_principal_name=upn)
    )
    assert first.strip()
    assert last is None or last.strip()
    assert all(name == " ".join(name.split()) for name in (first, last) if name)


def test_a_last_name_that_had_to_be_the_first_is_not_written_twice() -> None:
    """A user without a given name: the contact has his last name as its first one, and that is all there is."""
    side = side_of(first_name=(None, "Berg", "only_itglue"), last_name=("berg ", None, "only_m365"))
    assert planned(side, everybody("microsoft")) == {}
    side = side_of(first_name=("Berg", "Berg", "equal"), last_name=("Berg", None, "only_m365"))
    assert planned(side, everybody("microsoft")) == {"last_name": FieldChange(None, "Berg")}
    side = side_of(first_name=(None, "Anna", "only_itglue"), last_name=("Berg", None, "only_m365"))
    assert planned(side, everybody("microsoft")) == {"last_name": FieldChange(None, "Berg")}


def test_a_new_contact_has_all_that_is_known_and_no_blanks() -> None:
    """Addresses once each, in order."""
    user = person(
        given_name="Anna",
        surname="Berg",
        display_name="Anna Berg",
        job_title=" Chief  of staff",
        business_phone="+1 555 01",
        addresses=["b@x", "a@x", "b@x"],
    )
    change = create_contact(user, None)
    assert {name: each.new for name, each in change.fields.items()} == {
        "first_name": "Anna",
        "last_name": "Berg",
        "title": "Chief of staff",
        "primary_email": "anna.berg@x.example",
        "email_addresses": ["a@x", "b@x"],
        "phone": "155501",
    }
    assert {each.old for each in change.fields.values()} == {None}
    assert (change.action, change.organization_id, change.target_id, change.subject_id) == ("create", None, None, "u")


def test_an_address_that_a_contact_has_already_makes_no_second_one() -> None:
    """The row says which contact it is; it is shown and not written."""
    change = create_contact(person(taken_by="9"), "100")
    assert "contact 9" in (change.skipped_because or "")
    assert create_contact(person(), "100").skipped_because is None
