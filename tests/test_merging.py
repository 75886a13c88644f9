"""Changes laid over what was: the last word holds, absent is not null, and nobody goes because he is not named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.merging import Changes, overlay, read_changes


class Thing(msgspec.Struct, rename="camel"):
    """An object."""

    id: str
    job_title: str | None = None
    city: str | None = None


def page(*entries: dict[str, Any]) -> bytes:
    """A page of changes."""
    return json.dumps({"value": entries}).encode()


def objects(changes: Changes) -> dict[str, Any]:
    """What was told, by id."""
    found = json.loads(changes.page())["value"]
    return {each["id"].lower(): each for each in found}


def test_what_is_told_holds_and_what_is_absent_stays() -> None:
    """Null is told, absent is not."""
    old = Thing("a", "Head", "Oslo")

    assert overlay(old, Thing("a"), {"id"}) == old
    assert overlay(old, Thing("a"), {"id", "jobTitle"}) == Thing("a", None, "Oslo")
    assert old == Thing("a", "Head", "Oslo")


def test_of_an_object_that_comes_more_than_once_the_later_word_holds() -> None:
    """Property by property, over pages, whatever the case of its id."""
    first = {"id": "A", "jobTitle": "One", "city": "Oslo"}

    changes = read_changes([page(first, {"id": "b"}), page({"id": "a", "jobTitle": None})])

    assert objects(changes) == {"a": {"id": "a", "jobTitle": None, "city": "Oslo"}, "b": {"id": "b"}}


def test_removed_and_restored() -> None:
    """A removed one is no change; one that comes again is."""
    gone = {"id": "a", "@removed": {"reason": "changed"}}

    removed = read_changes([page({"id": "a", "city": "Oslo"}, gone)])
    restored = read_changes([page(gone, {"id": "A", "city": "Oslo"})])

    assert (objects(removed), removed.removed) == ({}, {"a"})
    assert (objects(restored), restored.removed) == ({"a": {"id": "A", "city": "Oslo"}}, set())


def test_what_was_known_is_kept_of_what_is_not_told_any_more() -> None:
    """Removed or not named at all; what is told now is not mixed with what was told then."""
    earlier = read_changes(
        [page({"id": "a", "city": "Oslo"}, {"id": "b", "city": "Rome"}, {"id": "c", "city": "Bern"})]
    )
    now = read_changes([page({"id": "a", "@removed": {"reason": "deleted"}}, {"id": "c", "jobTitle": "Head"})])
    landed = [page({"id": "a", "@removed": {"reason": "deleted"}}, {"id": "c", "jobTitle": "Head"})]

    kept = now.keep(earlier)

    assert kept is not None
    assert json.loads(kept)["value"] == [{"id": "a", "city": "Oslo"}, {"id": "b", "city": "Rome"}]
    assert objects(now) == {
        "a": {"id": "a", "city": "Oslo"},
        "b": {"id": "b", "city": "Rome"},
        "c": {"id": "c", "jobTitle": "Head"},
    }
    # Read again from where it is landed, in that order, it is the same
    assert objects(read_changes([*landed, kept])) == objects(now)
    assert Changes().keep(Changes()) is None


@pytest.mark.parametrize("entry", [{"id": 7}, {"id": None}])
def test_an_id_that_is_none_is_refused(entry: dict[str, Any]) -> None:
    """Nothing is laid over an object nobody named."""
    with pytest.raises(msgspec.DecodeError):
        read_changes([page(entry)])


ENTRY = st.fixed_dictionaries(
    {"id": st.sampled_from("abc")},
    optional={"jobTitle": st.sampled_from([None, "x", "y"]), "city": st.text(max_size=2)},
)


@given(st.lists(st.lists(ENTRY, max_size=4), max_size=4))
def test_how_changes_are_cut_into_pages_does_not_matter(pages: list[list[dict[str, Any]]]) -> None:
    """The entries alone count, and each object is what its entries say one after the other."""
    cut = read_changes(page(*entries) for entries in pages)
    whole = read_changes([page(*(entry for entries in pages for entry in entries))])
    said: dict[str, dict[str, Any]] = {}
    for entries in pages:
        for entry in entries:
            said.setdefault(entry["id"], {}).update(entry)

    assert objects(cut) == objects(whole) == said
