"""A change, its identity, and the row that it becomes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.pipeline.changing import _row
from o365_etl.sync.changes import Change, FieldChange, filled
from o365_etl.tables import TABLES

CHANGE = Change(
    "t",
    "100",
    "update",
    "contact",
    "7",
    "u",
    {"title": FieldChange("Boss", "Chief"), "phone": FieldChange(None, "5")},
    "x",
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.none() | TEXTS | st.integers(-3, 3) | st.lists(TEXTS, max_size=3)
FIELDS = st.dictionaries(TEXTS, st.builds(FieldChange, VALUES, VALUES), max_size=4)
CHANGES = st.builds(
    Change,
    tenant_id=st.none() | TEXTS,
    organization_id=st.none() | TEXTS,
    action=st.sampled_from(["create", "update", "deactivate"]),
    resource=st.sampled_from(["organization", "location", "contact", "license_asset", "user_asset"]),
    target_id=st.none() | TEXTS,
    subject_id=st.none() | TEXTS,
    fields=FIELDS,
    reason=TEXTS,
    skipped_because=st.none() | TEXTS.filter(bool),
)


def as_row(change: Change) -> dict[str, Any]:
    """The row of `sync.changes` as the planner writes it and as the table holds it."""
    row = _row(change)
    rows: list[dict[str, Any]] = pa.Table.from_pylist([row], schema=TABLES["sync.changes"].arrow_schema()).to_pylist()
    return rows[0]


def content(change: Change) -> dict[str, Any]:
    """Everything but the reason."""
    return {name: value for name, value in vars(replace(change, reason="")).items() if name != "reason"}


OTHERS = [
    {"tenant_id": "t2"},
    {"tenant_id": None},
    {"organization_id": "t"},
    {"organization_id": None},
    {"action": "deactivate"},
    {"resource": "location"},
    {"target_id": "u"},
    {"subject_id": "7"},
    {"fields": {}},
    {"fields": {"title": FieldChange("Boss", "Chief")}},
    {"fields": {"title": FieldChange("Chief", "Boss"), "phone": FieldChange(None, "5")}},
    {"fields": {"title": FieldChange("Boss", "Chief"), "phone": FieldChange(None, 5)}},
    {"fields": {"title": FieldChange("Boss", "Chief"), "phone": FieldChange(None, ["5"])}},
    {"fields": {"title": FieldChange("Boss", "Chief"), "phone": FieldChange("", "5")}},
    {"fields": {"phone": FieldChange("Boss", "Chief"), "title": FieldChange(None, "5")}},
    {"skipped_because": "owned by the integration Autotask"},
    {"skipped_because": ""},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_other_content_is_another_change(other: dict[str, Any]) -> None:
    """Whatever is part of what is written, and of whether it is, is part of the identity."""
    assert replace(CHANGE, **other).change_id != CHANGE.change_id


def test_the_reason_is_no_part_of_the_identity() -> None:
    """A reason may be put in better words without voiding an approval."""
    assert replace(CHANGE, reason="for another reason").change_id == CHANGE.change_id
    assert len(CHANGE.change_id) == 32
    assert set(CHANGE.change_id) <= set("0123456789abcdef")


@given(CHANGES, CHANGES)
def test_identity_is_content(one: Change, other: Change) -> None:
    """Two changes have the same id if, and only if, they say the same."""
    assert (one.change_id == other.change_id) == (content(one) == content(other))


@given(CHANGES, st.randoms())
def test_the_order_of_fields_does_not_count(change: Change, random: Any) -> None:
    """Fields are a mapping: the same ones in another order are the same change, written the same way."""
    shuffled = list(change.fields.items())
    random.shuffle(shuffled)
    again = replace(change, fields=dict(shuffled))
    assert (again.fields_json, again.change_id) == (change.fields_json, change.change_id)


@given(CHANGES)
def test_a_row_becomes_the_change_again(change: Change) -> None:
    """What was planned is what is written, also after a pass through the table."""
    row = as_row(change)
    again = Change.of_row(row)
    assert content(again) == content(change)
    assert again.change_id == change.change_id == row["change_id"]
    assert again.fields_json == row["fields"]
    if not change.skipped_because:
        assert again.reason == change.reason


def test_a_skipped_change_says_so_in_its_row() -> None:
    """It has its state from the beginning, and the reason is why it is skipped."""
    row = as_row(replace(CHANGE, skipped_because="owned by the integration Autotask"))
    assert (row["state"], row["reason"]) == ("skipped", "owned by the integration Autotask")
    assert as_row(CHANGE)["state"] is None
    assert as_row(CHANGE)["reason"] == "x"


def test_text_is_written_as_it_is() -> None:
    """The table is read by people: letters are letters."""
    change = replace(CHANGE, fields={"title": FieldChange(None, "Zoë آنا <b>")})
    assert change.fields_json == '{"title": {"old": null, "new": "Zoë آنا <b>"}}'


@pytest.mark.parametrize("blank", [None, "", []])
def test_blanks_are_not_written(blank: Any) -> None:
    """A blank never overwrites; nought and False are no blanks."""
    kept = {"active": FieldChange("5", 0), "title": FieldChange(None, "Boss")}
    assert filled({"phone": FieldChange("5", blank), **kept}) == kept


@given(CHANGES)
def test_it_is_written_as_json_dumps_would(change: Change) -> None:
    """So that a change keeps its id, and a plan its approval, from one version of the program to the next."""
    fields = {name: {"old": field.old, "new": field.new} for name, field in sorted(change.fields.items())}
    assert change.fields_json == json.dumps(fields, ensure_ascii=False)
    names = ("tenant_id", "organization_id", "action", "resource", "target_id", "subject_id")
    said = [*(getattr(change, name) for name in names), change.fields_json, change.skipped_because]
    assert change.change_id == hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:32]
