"""Our flexible assets: when two values say the same, what is worth a write, and the form of the types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.sync.assets import (
    LICENSE_TRAITS,
    USER_TRAITS,
    as_fields,
    create_type,
    is_tag,
    license_asset,
    same_trait,
    tag_ids,
    user_asset,
)
from o365_etl.sync.changes import FieldChange

SAME: list[tuple[str, Any, Any, bool]] = [
    ("active", 5, 5, True),
    ("active", 5, "5", True),
    ("active", 5, "5.0", True),
    ("active", 5, 5.0, True),
    ("active", -2, "-2", True),
    ("active", 5, 6, False),
    ("active", 0, None, False),
    ("active", 5, "five", False),
    ("active", "x", "x", True),
    ("renewal-date", "2026-03-01", "2026-03-01", True),
    ("renewal-date", "2026-03-01", "2026-03-01T00:00:00.000Z", True),
    ("renewal-date", "2026-03-01", "2026-03-02", False),
    ("last-sign-in", "2026-03-01", "2026-03-01 10:00", True),
    ("licenses", "E3, E5", "<p>E3,  E5</p>", True),
    ("licenses", "E3, E5", "<div>E3,<br>\nE5</div>", True),
    ("licenses", "A &amp; B", "<p>A &amp; B</p>", True),
    ("licenses", "&lt;none&gt;", "<p>&lt;none&gt;</p>", True),
    ("licenses", "E3", "E3&nbsp;", True),
    ("licenses", "&lt;b&gt;", "<b></b>", False),
    ("licenses", "E3", "E5", False),
    ("licenses", "E3", "", False),
    ("product-name", "Office", " Office ", True),
    ("product-name", "A & B", "A &amp; B", True),
    ("product-name", "<b>", "<i>", False),  # a plain text holds no markup
    ("product-name", "Office", "office", False),
    ("status", "enabled", None, False),
    ("status", None, None, True),
    ("contacts", ["1", "2"], ["2", "1"], True),
    ("contacts", ["1", "2"], {"type": "Contacts", "values": [{"id": 2, "name": "x"}, {"id": 1}]}, True),
    ("contacts", ["1"], {"type": "Contacts", "values": [{"id": 2}]}, False),
    ("contacts", [], None, True),
    ("contacts", None, {"type": "Contacts", "values": []}, True),
    ("contacts", ["1"], None, False),
]


@pytest.mark.parametrize(("key", "one", "other", "is_same"), SAME)
def test_values_that_say_the_same(key: str, one: Any, other: Any, is_same: bool) -> None:
    """IT Glue gives values back in another form than it took them."""
    assert same_trait(key, one, other) is is_same
    assert same_trait(key, other, one) is is_same


@pytest.mark.parametrize(
    ("value", "ids", "tag"),
    [
        ({"type": "Contacts", "values": [{"id": 1}, {"id": "2"}]}, ["1", "2"], True),
        ({"type": "Contacts", "values": []}, [], True),
        ({"type": "Contacts", "values": None}, [], True),
        ({"values": [{"url": "https://x"}]}, [], False),
        ({"url": "https://x"}, [], False),
        (["1", 2], ["1", "2"], False),
        (None, [], False),
    ],
)
def test_tags(value: Any, ids: list[str], tag: bool) -> None:
    """Read as objects, written as ids; an upload is an object as well."""
    assert tag_ids(value) == ids
    assert is_tag(value) is tag


def row_of(kind: str, **said: Any) -> dict[str, Any]:
    """A row of a license (`sku`) or a user (`user`)."""
    return {
        "tenant_id": "t",
        f"{kind}_id": "k",
        "organization_id": "100",
        "asset_id": "5",
        "is_held": True,
        "wanted": {},
        "found": {},
        "tags_wanted": [],
        "tags_found": [],
    } | said


def changed(row: dict[str, Any], *, is_restless_due: bool = True) -> dict[str, FieldChange] | None:
    """What is planned for it; None if nothing is."""
    change = license_asset(row) if "sku_id" in row else user_asset(row, is_restless_due=is_restless_due)
    return dict(change.fields) if change else None


@pytest.mark.parametrize("kind", ["sku", "user"])
@pytest.mark.parametrize("unknown", [None, ""])
def test_unknown_is_not_written(kind: str, unknown: Any) -> None:
    """What stands there stays, and a new asset leaves it out."""
    wanted = {"status": unknown, "mailbox-type": unknown}
    assert changed(row_of(kind, wanted=wanted, found={"status": "enabled", "mailbox-type": "user"})) is None
    new = changed(row_of(kind, asset_id=None, wanted=wanted))
    assert new == {"tenant-id": FieldChange(None, "t"), f"{kind}-id": FieldChange(None, "k")}


@pytest.mark.parametrize("kind", ["sku", "user"])
def test_nought_is_not_unknown(kind: str) -> None:
    """No license left is a fact."""
    assert changed(row_of(kind, wanted={"active": 0}, found={"active": 5})) == {"active": FieldChange(5, 0)}
    assert changed(row_of(kind, asset_id=None, wanted={"active": 0}))["active"] == FieldChange(None, 0)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["sku", "user"])
def test_only_what_differs_is_planned(kind: str) -> None:
    """Beside what a person added, which is not looked at."""
    row = row_of(
        kind,
        wanted={"active": 5, "licenses": "E3", "status": "enabled"},
        found={"active": "5", "licenses": "<p>E3</p>", "status": "warning", "remark": "mine"},
    )
    assert changed(row) == {"status": FieldChange("warning", "enabled")}


TAGS: list[tuple[list[str], list[str], FieldChange | None]] = [
    ([], [], None),
    ([], ["1"], None),  # nobody is known to hold it: a blank never overwrites
    (["1"], ["1"], None),
    (["2", "1"], ["1", "2"], None),
    (["1"], [], FieldChange(None, ["1"])),
    (["12345678", "9", "user:u", "1"], ["1"], FieldChange(["1"], ["1", "9", "12345678", "user:u"])),
    (["1"], ["2"], FieldChange(["2"], ["1"])),
]


@pytest.mark.parametrize(("wanted", "found", "expected"), TAGS)
@pytest.mark.parametrize("kind", ["sku", "user"])
def test_contacts(kind: str, wanted: list[str], found: list[str], expected: FieldChange | None) -> None:
    """In a settled order, so that the same plan is the same plan; contacts to come stand last."""
    fields = changed(row_of(kind, tags_wanted=wanted, tags_found=found))
    assert fields == ({"contacts": expected} if expected else None)
    new = changed(row_of(kind, asset_id=None, tags_wanted=wanted))
    assert new is not None
    assert ("contacts" in new) == bool(wanted)
    if expected:
        assert new["contacts"] == FieldChange(None, expected.new)


@given(st.permutations(["1", "2", "10", "user:a", "user:b"]))
def test_the_order_of_contacts_does_not_count(tags: list[str]) -> None:
    """Else a plan would change with every read."""
    change = license_asset(row_of("sku", tags_wanted=tags))
    again = license_asset(row_of("sku", tags_wanted=sorted(tags)))
    assert change is not None
    assert again is not None
    assert change.change_id == again.change_id


RESTLESS: list[tuple[set[str], bool]] = [
    ({"mailbox-size"}, False),
    ({"last-activity", "last-sign-in", "mailbox-size"}, False),
    ({"mailbox-size", "licenses"}, True),
    ({"sign-in"}, True),
]


@pytest.mark.parametrize(("names", "is_reason"), RESTLESS)
def test_restless_figures_wait(names: set[str], is_reason: bool) -> None:
    """Alone they are a reason only once in a while; with another they go along."""
    row = row_of("user", wanted=dict.fromkeys(names, "new"), found=dict.fromkeys(names, "old"))
    assert set(changed(row) or ()) == names
    assert set(changed(row, is_restless_due=False) or ()) == (names if is_reason else set())
    tagged = row | {"tags_wanted": ["1"]}
    assert set(changed(tagged, is_restless_due=False) or ()) == {*names, "contacts"}
    assert changed(row | {"asset_id": None}, is_restless_due=False) is not None


@pytest.mark.parametrize(("kind", "resource"), [("sku", "license_asset"), ("user", "user_asset")])
def test_a_change_says_what_it_is_about(kind: str, resource: str) -> None:
    """All that is needed to find the record."""
    for asset_id, action in (("5", "update"), (None, "create")):
        row = row_of(kind, asset_id=asset_id, wanted={"status": "new"})
        change = license_asset(row) if kind == "sku" else user_asset(row, is_restless_due=True)
        assert change is not None
        assert (change.action, change.resource, change.target_id) == (action, resource, asset_id)
        assert (change.tenant_id, change.organization_id, change.subject_id) == ("t", "100", "k")


@pytest.mark.parametrize("traits", [LICENSE_TRAITS, USER_TRAITS])
def test_types_are_such_as_it_glue_takes(traits: Any) -> None:
    """Orders and names once each, one required title, something in the list, a tag that says of what."""
    fields = as_fields(traits)
    assert [field["order"] for field in fields] == list(range(1, len(fields) + 1))
    assert len({field["name"] for field in fields}) == len(fields)
    assert [field["required"] for field in fields] == [field["use-for-title"] for field in fields]
    assert sum(field["use-for-title"] for field in fields) == 1
    assert any(field["show-in-list"] for field in fields)
    assert [field["name"] for field in fields if field.get("tag-type") == "Contacts"] == ["Contacts"]
    assert {trait.key for trait in traits} >= {"contacts", "tenant-id"}
    assert all(trait.key == trait.key.lower() and " " not in trait.key for trait in traits)


def test_the_type_belongs_to_the_account() -> None:
    """To no tenant: its change is every tenant's that needs it."""
    change = create_type("Our type")
    assert (change.tenant_id, change.organization_id, change.resource) == (None, None, "flexible_asset_type")
    assert change.fields == {"name": FieldChange(None, "Our type")}
