"""Users that left: when their contact is marked, how, and how the mark goes away again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from o365_etl.normalise import normalise
from o365_etl.sync.changes import FieldChange
from o365_etl.sync.leavers import MARK, LeaverState, deactivate, reactivate

SINCE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LATER = SINCE + timedelta(days=30)
STATES = get_args(LeaverState)
LINE = "Left Microsoft 365: deleted there, since 2026-03-01."


def leaver(**said: Any) -> dict[str, Any]:
    """A row of the users who left."""
    return {
        "tenant_id": "t",
        "user_id": "u",
        "organization_id": "100",
        "contact_id": "7",
        "sync_owner": None,
        "state": "gone",
        "since": SINCE,
        "notes": None,
        "contact_type": None,
    } | said


def marked(**said: Any) -> str:
    """The notes with the mark."""
    change = deactivate(leaver(**said), LATER, 30, None)
    assert change is not None
    new: str = change.fields["notes"].new
    return new


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("gone", "deleted there"),
        ("disabled", "sign-in blocked"),
        ("shared", "mailbox converted to shared"),
        ("unlicensed", "no license any more"),
    ],
)
def test_each_state_has_its_words(state: str, words: str) -> None:
    """They are four different things to the service desk."""
    assert marked(state=state) == f"Left Microsoft 365: {words}, since 2026-03-01."
    change = deactivate(leaver(state=state), LATER, 30, None)
    assert change is not None
    assert (change.action, change.resource, change.target_id) == ("deactivate", "contact", "7")
    assert state in change.reason


@pytest.mark.parametrize("days", [0, 1, 30])
def test_the_grace_period_ends_to_the_second(days: int) -> None:
    """Not one before; with none at once."""
    end = SINCE + timedelta(days=days)
    for contact_type in (None, "Former"):
        assert deactivate(leaver(), end - timedelta(seconds=1), days, contact_type) is None
        assert deactivate(leaver(), end, days, contact_type) is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, LINE),
        ("", LINE),
        ("Key holder", f"Key holder\n{LINE}"),
        ("Key holder\n", f"Key holder\n\n{LINE}"),
        ("Left Microsoft 365 for another product", f"Left Microsoft 365 for another product\n{LINE}"),
    ],
)
def test_the_note_is_added_to_what_is_there(before: str | None, after: str) -> None:
    """What a person wrote stays."""
    assert marked(notes=before) == after


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize("before", STATES)
def test_a_leaver_is_marked_once(before: str, now: str) -> None:
    """Also if he left in another way since."""
    notes = marked(state=before, notes="Key holder")
    assert deactivate(leaver(state=now, notes=notes), LATER, 30, None) is None
    assert deactivate(leaver(state=now, notes=notes.replace("\n", "\r\n") + "\r\n"), LATER, 30, None) is None


@pytest.mark.parametrize("before", [None, "", "End User"])
def test_a_contact_type_instead_of_a_note(before: str | None) -> None:
    """Then the notes are left alone."""
    change = deactivate(leaver(contact_type=before, notes="Key holder"), LATER, 30, "Former")
    assert change is not None
    assert change.fields == {"contact_type": FieldChange(before, "Former")}


@pytest.mark.parametrize("before", ["Former", "former", " FORMER "])
def test_a_contact_of_that_type_is_marked(before: str) -> None:
    """IT Glue compares names without case; so does the write, which would find nothing to do for ever."""
    assert deactivate(leaver(contact_type=before), LATER, 30, "Former") is None


OTHERS = [
    None,
    "",
    "Key holder",
    "Left Microsoft 365 for another product",
    f"He wrote: {LINE}",
    f"{LINE} Ask Bo.",
    "Left Microsoft 365: deleted there, since March.",
]


@pytest.mark.parametrize("notes", OTHERS)
def test_nothing_is_taken_out_that_is_not_ours(notes: str | None) -> None:
    """A line that a person wrote, or changed, is his."""
    assert reactivate(leaver(state=None, notes=notes)) is None


NOTES = st.lists(st.sampled_from(["a", " ", "\n", "\r", MARK, ": deleted there", "."]), max_size=12).map("".join)


@given(st.none() | NOTES, st.sampled_from(STATES))
@example("Key holder\n", "gone")
@example(MARK + ": deleted there", "gone")
def test_coming_back_restores_the_notes(notes: str | None, state: str) -> None:
    """Exactly our line goes away, and the notes are what they were."""
    change = reactivate(leaver(state=None, notes=marked(notes=notes, state=state)))
    assert change is not None
    assert change.action == "update"
    assert change.fields["notes"].new == (notes or "")


def test_our_line_goes_from_the_middle() -> None:
    """Somebody wrote on below it."""
    change = reactivate(leaver(state=None, notes=f"Key holder\n{LINE}\nBo has the key now"))
    assert change is not None
    assert change.fields["notes"].new == "Key holder\nBo has the key now"


def test_somebody_elses_contact_says_so() -> None:
    """It is shown and not written."""
    row = leaver(sync_owner="Autotask")
    for change in (
        deactivate(row, LATER, 30, None),
        deactivate(row, LATER, 30, "Former"),
        reactivate(row | {"notes": LINE}),
    ):
        assert change is not None
        assert change.skipped_because == "owned by the integration Autotask"
    free = deactivate(leaver(), LATER, 30, None)
    assert free is not None
    assert free.skipped_because is None


def test_the_mark_is_found_by_the_store() -> None:
    """The store looks for contacts that may carry the line by how it begins."""
    assert normalise(LINE).startswith(normalise(MARK))
    assert all(MARK in marked(state=state) for state in STATES)
