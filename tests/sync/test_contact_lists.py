"""Merged e-mails and phones: what is there stays, what is wanted is there once, one is the primary one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.normalise import digits, normalise
from o365_etl.sync.contacts import merged_emails, merged_phones, same_number

Entries = list[dict[str, Any]]

ADDRESSES = st.sampled_from(
    ["a@x.example", "A@X.example", " b@x.example", "straße@x.example", "STRASSE@x.example", "c@x"]
)
LABELS = st.sampled_from(["Work", "Home", "Mobile", "Cell", "Fax", None])
BLANKS = st.sampled_from([None, "", "  "])
EMAIL_ENTRIES = st.lists(
    st.fixed_dictionaries({"value": ADDRESSES | BLANKS, "primary": st.booleans(), "label-name": LABELS}), max_size=4
)
NUMBERS = st.sampled_from(["1555", "+1 555", "1-556", "0", "1557", "reception"])
PHONE_ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "value": NUMBERS | BLANKS,
            "primary": st.booleans(),
            "label-name": LABELS,
            "label-type": st.sampled_from(["phone", "fax"]),
            "extension": st.sampled_from([None, "5"]),
            "formatted-value": st.just("(1) 555"),
        }
    ),
    max_size=4,
)


def without_primary(entries: Entries, *more: str) -> Entries:
    """Entries without the mark, and without some more."""
    return [{name: value for name, value in entry.items() if name not in ("primary", *more)} for entry in entries]


def with_a_value(entries: Entries) -> Entries:
    """Without blank entries, which IT Glue has and does not take."""
    return [entry for entry in entries if (entry["value"] or "").strip()]


def primaries(entries: Entries) -> list[Any]:
    """The values of the marked entries."""
    return [entry["value"] for entry in entries if entry["primary"]]


@given(EMAIL_ENTRIES, st.lists(ADDRESSES, max_size=4), st.none() | ADDRESSES)
def test_emails_are_merged(live: Entries, more: list[str], primary: str | None) -> None:
    """The laws of merging, for any contact and any user."""
    wanted = [*([primary] if primary else []), *more]
    merged = merged_emails(live, wanted, primary)
    live = with_a_value(live)
    assert without_primary(merged[: len(live)]) == without_primary(live)
    new = [normalise(entry["value"]) for entry in merged[len(live) :]]
    there = {normalise(entry["value"]) for entry in live}
    assert sorted(new) == sorted({normalise(each) for each in wanted} - there)
    assert len(primaries(merged)) == bool(merged)
    if primary:
        assert normalise(primaries(merged)[0]) == normalise(primary)
    assert merged_emails(merged, wanted, primary) == merged
    assert merged_emails(merged, [], None) == merged


@given(PHONE_ENTRIES, st.none() | NUMBERS.map(digits), st.none() | NUMBERS.map(digits))
def test_phones_are_merged(live: Entries, phone: str | None, mobile: str | None) -> None:
    """The laws of merging, for any contact and any user; what IT Glue formats itself is not sent."""
    merged = merged_phones(live, phone, mobile)
    live = with_a_value(live)
    assert without_primary(merged[: len(live)]) == without_primary(live, "formatted-value")
    there = {digits(entry["value"]) for entry in live}
    new = [entry["value"] for entry in merged[len(live) :]]
    assert new == [n for n in dict.fromkeys((phone, mobile)) if n and n not in there]
    assert len(primaries(merged)) == bool(merged)
    if phone:
        assert same_number(primaries(merged)[0], phone)
    assert merged_phones(merged, phone, mobile) == merged
    assert merged_phones(merged, None, None) == merged


@given(EMAIL_ENTRIES, PHONE_ENTRIES)
def test_merging_changes_nothing_it_was_given(emails: Entries, phones: Entries) -> None:
    """The record as it was read is still needed."""
    before = [dict(entry) for entry in emails + phones]
    merged_emails(emails, ["z@x"], "z@x")
    merged_phones(phones, "99", "98")
    assert emails + phones == before


WORK = {"value": "1555", "primary": True, "label-name": "Work", "label-type": "phone", "extension": "5"}
HOME = {"value": "1556", "primary": False, "label-name": "Home", "label-type": "phone", "extension": None}


@pytest.mark.parametrize(
    ("live", "phone", "mobile", "expected"),
    [
        ([], None, None, []),
        ([], "1", "2", [("1", True, "Work"), ("2", False, "Mobile")]),
        ([], None, "2", [("2", True, "Mobile")]),
        ([], "1", "1", [("1", True, "Work")]),
        ([WORK, HOME], None, "2", [("1555", True, "Work"), ("1556", False, "Home"), ("2", False, "Mobile")]),
        ([WORK, HOME], "1556", None, [("1555", False, "Work"), ("1556", True, "Home")]),
        ([HOME], None, "1556", [("1556", True, "Home")]),
        ([WORK], "2", None, [("1555", False, "Work"), ("2", True, "Work")]),
    ],
)
def test_phones(live: Entries, phone: str | None, mobile: str | None, expected: list[tuple[str, bool, str]]) -> None:
    """The business phone is the primary one; a mobile only if there is nothing else."""
    merged = merged_phones(live, phone, mobile)
    assert [(entry["value"], entry["primary"], entry["label-name"]) for entry in merged] == expected
    assert {entry["label-type"] for entry in merged} <= {"phone"}


def test_several_addresses_in_one_entry_are_there() -> None:
    """Somebody typed two into one field: the comparison takes them for two."""
    live = [{"value": "a@x, B@x", "primary": True, "label-name": "Work"}]
    merged = merged_emails(live, ["b@x", "c@x"], None)
    assert [entry["value"] for entry in merged] == ["a@x, B@x", "c@x"]
