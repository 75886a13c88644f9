"""What was written compares equal: no difference is planned again and again, for any user and any contact."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from settling_oracle import compared, patched

from o365_etl.normalise import digits, normalise
from o365_etl.sync.assets import license_asset, user_asset
from o365_etl.sync.changes import Change
from o365_etl.sync.contacts import create_contact, same_number, update_contact
from o365_etl.sync.payloads import Lookups, changed_record, new_record
from o365_etl.sync.places import Side, document_location, in_words_of_it_glue

COUNTRIES = [("1", "United States", "US"), ("5", "Belgium", "BE"), ("6", "Netherlands", "NL")]
REGIONS = [("1", "Washington", "WA"), ("5", "Limburg", "VLI"), ("6", "Limburg", "LI")]
LOOKUPS = Lookups(
    "Licenses",
    "Users",
    countries={"United States": "1", "Belgium": "5", "Netherlands": "6"},
    regions={("1", "Washington"): "11", ("5", "Limburg"): "51", ("6", "Limburg"): "61"},
    asset_types={"Licenses": "900", "Users": "901"},
)
FIELDS = ("first_name", "last_name", "title", "primary_email", "email_addresses", "phone", "mobile_phone")
OWNER = st.sampled_from(["microsoft", "itglue", "fill_blank"])
OWNERS = st.fixed_dictionaries(dict.fromkeys(FIELDS, OWNER))
MICROSOFT = dict.fromkeys(FIELDS, "microsoft")

NAMES = st.sampled_from([None, "", " ", "Anna", " ANNA  Lena", "Berg", "berg", "Straße", "STRASSE", "آنا", "<b>x</b>"])
NUMBERS = st.sampled_from([None, "", "reception", "+1 555", "1555", "1-556", "1557", "00"])
ADDRESSES = st.sampled_from(
    ["a@x.example", "A@X.example", "b@x.example", "c@x.example", "straße@x.example", "strasse@x.example"]
)
UPNS = ADDRESSES | st.sampled_from(["g_y.example#EXT#@x.onmicrosoft.com", "anna", None, " "])
USERS = st.fixed_dictionaries(
    {
        "user_principal_name": UPNS,
        "display_name": NAMES | st.just("Anna Berg"),
        "given_name": NAMES,
        "surname": NAMES,
        "job_title": NAMES,
        "business_phone": NUMBERS,
        "mobile_phone": NUMBERS,
        "addresses": st.lists(ADDRESSES.map(normalise), max_size=3),
    }
).map(lambda user: {"tenant_id": "t", "user_id": "u", "taken_by": None, **with_own_address(user)})
EMAILS = st.lists(
    st.fixed_dictionaries(
        {
            "value": ADDRESSES | st.just(" b@X.example"),
            "primary": st.booleans(),
            "label-name": st.sampled_from(["Work", "Home", None]),
        }
    ),
    max_size=4,
)
PHONES = st.lists(
    st.fixed_dictionaries(
        {
            "value": st.sampled_from(["1555", "(1) 555", "1556", "1557", "1558"]),
            "primary": st.booleans(),
            "label-name": st.sampled_from(["Work", "Home", "Mobile", "Cell", "Fax", "Mobile fax", None]),
            "label-type": st.sampled_from(["phone", "fax"]),
            "extension": st.sampled_from([None, "5"]),
        }
    ),
    max_size=4,
)
LIVES = st.fixed_dictionaries(
    {
        "first-name": NAMES.filter(lambda name: bool(name and name.strip())),
        "last-name": NAMES,
        "title": NAMES,
        "notes": st.sampled_from([None, "Key holder"]),
        "contact-emails": EMAILS,
        "contact-phones": PHONES,
    }
)


def with_own_address(user: dict[str, Any]) -> dict[str, Any]:
    """A user's name is one of his addresses, each of which he has once."""
    upn = normalise(user["user_principal_name"] or "")
    return {**user, "addresses": sorted({*user["addresses"], *([upn] if upn else [])})}


def has_a_number_twice(live: dict[str, Any]) -> bool:
    """True for a contact with one number in two entries, under labels that need not agree."""
    return len({phone["value"] for phone in live["contact-phones"]}) < len(live["contact-phones"])


def is_new(entry: dict[str, Any], there: list[dict[str, Any]]) -> bool:
    """True for an entry that stands nowhere in a list, whatever is primary."""
    return not any({**entry, "primary": None} == {**other, "primary": None} for other in there)


def applied(change: Change, live: dict[str, Any]) -> dict[str, Any]:
    """The contact after the change."""
    sent = changed_record(change, live, LOOKUPS, {})
    assert sent is not None, "planned, and nothing to do: that would be planned for ever"
    return patched(live, sent)


USER = {
    "tenant_id": "t", "user_id": "u", "taken_by": None, "user_principal_name": "a@x.example", "display_name": "Anna",
    "given_name": None, "surname": None, "job_title": None, "business_phone": None, "mobile_phone": None,
    "addresses": ["a@x.example"],
}  # fmt: skip
LIVE: dict[str, Any] = {
    "first-name": "Anna", "last-name": None, "title": None, "notes": None, "contact-emails": [], "contact-phones": [],
}  # fmt: skip
MOBILE = {"value": "1555", "primary": True, "label-name": "Mobile", "label-type": "phone", "extension": None}


@settings(max_examples=600, deadline=None)
@given(USERS, LIVES, OWNERS)
@example({**USER, "business_phone": "1555", "mobile_phone": "+1 555"}, LIVE, MICROSOFT)
@example({**USER, "business_phone": "1555"}, {**LIVE, "contact-phones": [MOBILE]}, MICROSOFT)
@example({**USER, "business_phone": "reception"}, LIVE, MICROSOFT)
def test_a_written_contact_is_not_written_again(user: dict[str, Any], live: dict[str, Any], owners: Any) -> None:
    """After one write nothing is left to plan, and nothing that was there is lost."""
    live = patched(live, {})
    change = update_contact(compared(user, live), owners)
    if change is None:
        return
    if has_a_number_twice(live):
        # It is read as one, and which of its labels counts may change with the primary mark: a second write may follow.
        live = applied(change, live)
        change = update_contact(compared(user, live), owners)
        if change is None:
            return
    after = applied(change, live)
    again = update_contact(compared(user, after), owners)
    assert again is None, f"planned again: {again and again.fields_json}"
    assert not [entry for entry in live["contact-emails"] if is_new(entry, after["contact-emails"])]
    assert not [entry for entry in live["contact-phones"] if is_new(entry, after["contact-phones"])]
    assert after["notes"] == live["notes"]
    # The same change sent once more (the answer was lost) finds that there is nothing to do.
    assert changed_record(change, after, LOOKUPS, {}) is None


@settings(max_examples=300, deadline=None)
@given(USERS, LIVES)
def test_what_microsoft_owns_arrives(user: dict[str, Any], live: dict[str, Any]) -> None:
    """So that settling is not got by writing nothing: all that Microsoft has and IT Glue can take is there after."""
    live = patched(live, {})
    change = update_contact(compared(user, live), MICROSOFT)
    after = applied(change, live) if change else live
    there = {normalise(entry["value"]) for entry in after["contact-emails"]}
    assert {each for each in user["addresses"] if "@" in each and "#ext#" not in each} <= there
    for name in ("business_phone", "mobile_phone"):
        number = digits(user[name] or "")
        assert not number or any(same_number(entry["value"], number) for entry in after["contact-phones"])
    if "@x.example" in (user["user_principal_name"] or ""):
        [primary] = [entry["value"] for entry in after["contact-emails"] if entry["primary"]]
        assert normalise(primary) == normalise(user["user_principal_name"])
    assert normalise(user["job_title"] or "") in ("", normalise(after["title"] or ""))


@settings(max_examples=300, deadline=None)
@given(USERS, OWNERS)
@example({**USER, "surname": "Berg", "display_name": None}, MICROSOFT)
@example({**USER, "surname": "Info", "display_name": "Info"}, MICROSOFT)
def test_a_new_contact_is_not_written_again(user: dict[str, Any], owners: Any) -> None:
    """It has all that there is to write from the beginning."""
    blank = {"first-name": None, "last-name": None, "title": None, "notes": None}
    after = patched(blank, new_record(create_contact(user, "100"), LOOKUPS, {}))
    again = update_contact(compared(user, after), owners)
    assert again is None, f"planned again: {again and again.fields_json}"


# --- places

PLACE_NAMES = ("address_1", "city", "postal_code", "country", "region", "phone")
TEXT = st.sampled_from([None, " ", "A", "a ", "B"])
MICROSOFT_PLACES = st.fixed_dictionaries(
    {
        **dict.fromkeys(("address_1", "city", "postal_code"), TEXT),
        "country": st.sampled_from([None, "US", "Belgium", "NL", "Atlantis"]),
        "region": st.sampled_from([None, "WA", "Limburg", "LI", "Nowhere"]),
        "phone": NUMBERS,
    }
)
LIVE_PLACES = st.fixed_dictionaries(
    {
        **dict.fromkeys(("address_1", "city", "postal_code"), TEXT),
        "country": st.sampled_from([None, *(name for _, name, _ in COUNTRIES)]),
        "region": st.just(None),
        "phone": st.sampled_from([None, "1555", "1556"]),
    }
)


def place_sides(said: dict[str, Any], live: dict[str, Any]) -> dict[str, Side]:
    """How the comparison and the words of IT Glue see it."""
    sides: dict[str, Side] = {}
    for name in PLACE_NAMES:
        m, i = (value if value and value.strip() else None for value in (said[name], live[name]))
        is_same = same_number(m, i) if name == "phone" else normalise(m or "") == normalise(i or "")
        state = "equal" if is_same else "only_m365" if i is None else "only_itglue" if m is None else "different"
        sides[name] = (m, i, state)
    return in_words_of_it_glue(sides, COUNTRIES, REGIONS)


def as_attributes(live: dict[str, Any]) -> dict[str, Any]:
    """The location as IT Glue gives it."""
    ids = {name: identity for identity, name, _ in COUNTRIES}
    return {
        **{name.replace("_", "-"): live[name] for name in ("address_1", "city", "postal_code", "phone")},
        "country-id": ids.get(live["country"]),
        "country-name": live["country"],
        "region-name": live["region"],
    }


def placed(live: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """The location after a write."""
    after = {name: sent.get(name.replace("_", "-"), live[name]) for name in PLACE_NAMES}
    if "country-id" in sent:
        after["country"] = next(name for identity, name, _ in COUNTRIES if identity == sent["country-id"])
    if "region-id" in sent:
        country, after["region"] = next(key for key, found in LOOKUPS.regions.items() if found == sent["region-id"])
        assert country == next(identity for identity, name, _ in COUNTRIES if name == after["country"])
    assert after["phone"] is None or after["phone"].isdigit()
    return after


@settings(max_examples=400, deadline=None)
@given(MICROSOFT_PLACES, LIVE_PLACES, OWNER, st.booleans())
def test_a_written_location_is_not_written_again(
    said: dict[str, Any], live: dict[str, Any], owner: Any, is_ours: bool
) -> None:
    """Filled in or kept in step by one write, a region always one of the country."""
    tenant = {"tenant_id": "t", "display_name": "C", "organization_id": "100", "location_id": "5", "is_ours": is_ours}
    change = document_location(tenant, place_sides(said, live), owner)
    if change is None:
        return
    sent = changed_record(change, as_attributes(live), LOOKUPS, {})
    assert sent is not None
    after = placed(live, sent)
    assert document_location(tenant, place_sides(said, after), owner) is None
    assert changed_record(change, as_attributes(after), LOOKUPS, {}) is None


@settings(max_examples=200, deadline=None)
@given(MICROSOFT_PLACES)
def test_a_new_location_is_not_written_again(said: dict[str, Any]) -> None:
    """It has all that there is to write from the beginning."""
    tenant = {"tenant_id": "t", "display_name": "C", "organization_id": "100", "location_id": None, "is_ours": False}
    blank = dict.fromkeys(PLACE_NAMES)
    change = document_location(tenant, place_sides(said, blank), "fill_blank")
    if change is None:
        return
    after = placed(blank, new_record(change, LOOKUPS, {}))
    sides = place_sides(said, after)
    assert document_location({**tenant, "location_id": "5", "is_ours": True}, sides, "microsoft") is None


# --- assets

TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["enabled", "<none>", "A & B", "", None]),
        "active": st.sampled_from([0, 5, -1, None]),
        "renewal-date": st.sampled_from(["2026-03-01", "2027-03-01"]),
        "licenses": st.sampled_from(["E3, E5", "&lt;b&gt;", "A &amp; B"]),
        "mailbox-size": st.sampled_from(["1.0 GB", "2.0 GB"]),
    },
)
TAGS = st.lists(st.sampled_from(["1", "2", "10", "user:u", "user:v"]), unique=True, max_size=4)


def given_back(traits: dict[str, Any]) -> dict[str, Any]:
    """Traits as IT Glue gives them back: tags as objects, numbers as text, text boxes in markup, dates with a time."""
    forms = {
        "contacts": lambda ids: {"type": "Contacts", "values": [{"id": int(each)} for each in reversed(ids)]},
        "active": str,
        "renewal-date": lambda day: f"{day}T00:00:00.000Z",
        "licenses": lambda text: f"<p>{text}</p>",
    }
    return {name: forms.get(name, lambda value: value)(value) for name, value in traits.items() if value is not None}


@settings(max_examples=300, deadline=None)
@given(TRAITS, TRAITS, TAGS, TAGS.filter(lambda tags: not any("user" in tag for tag in tags)), st.booleans())
def test_a_written_asset_is_not_written_again(
    wanted: dict[str, Any], found: dict[str, Any], tags: list[str], tagged: list[str], is_license: bool
) -> None:
    """In whatever form IT Glue gives it back; a trait that a person added is still there."""
    created = {"u": "91", "v": "92"}
    live = given_back({**found, "contacts": tagged, "remark": "mine"})
    row = {
        "tenant_id": "t", "sku_id": "s", "user_id": "u", "organization_id": "100", "asset_id": "5",
        "wanted": wanted, "found": live, "tags_wanted": tags, "tags_found": tagged,
    }  # fmt: skip

    def planned(row: dict[str, Any]) -> Change | None:
        return license_asset(row) if is_license else user_asset(row, is_restless_due=True)

    change = planned(row)
    if change is None:
        return
    sent = changed_record(change, {"traits": live}, LOOKUPS, created)
    assert sent is not None
    after = given_back(sent["traits"])
    ids = [created.get(tag.removeprefix("user:"), tag) for tag in tags]
    now = [str(each["id"]) for each in after["contacts"]["values"]]
    assert planned({**row, "found": after, "tags_wanted": ids, "tags_found": now}) is None
    assert after["remark"] == "mine"
    assert changed_record(change, {"traits": after}, LOOKUPS, created) is None
