"""Each brake at its threshold, below it and above."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.sync.brakes import Tally, pulled
from o365_etl.sync.changes import Change, FieldChange


@dataclass(frozen=True)
class Limits:
    max_creates_per_tenant: int = 10**6
    max_creates_per_run: int = 10**6
    max_changed_share: float = 1.0
    max_field_share: float = 1.0
    max_gone_share: float = 1.0


def change_of(action: str, resource: str = "contact", skipped: str | None = None, **fields: Any) -> Change:
    """A change; fields are (old, new)."""
    made = {name: FieldChange(*each) for name, each in fields.items()}
    return Change("t", "100", action, resource, None, "u", made, "", skipped)  # type: ignore[arg-type]


def tally(*changes: Change) -> Tally:
    """What these changes would do."""
    counted = Tally()
    for change in changes:
        counted.add(change)
    return counted


TITLE = change_of("update", title=("Boss", "Chief"))


def test_what_is_counted() -> None:
    """Contacts alone, and a field only if it loses a value."""
    counted = tally(
        change_of("create", title=(None, "Chief")),
        TITLE,
        change_of("update", title=(None, "Chief"), phone=("1", "2")),
        change_of("update", title=("", "Chief"), email_addresses=(["a@x"], ["a@x", "b@x"])),
        change_of("deactivate", notes=("Key holder", "Key holder\nLeft")),
    )
    assert (counted.creates, counted.changed, counted.gone) == (1, 3, 1)
    assert counted.overwritten == {"title": 1, "phone": 1}


def test_what_is_not_written_is_not_counted() -> None:
    """Neither somebody else's contacts nor other records."""
    skipped = [change_of(a, skipped="owned", title=("Boss", "x")) for a in ("create", "update", "deactivate")]
    others = [
        change_of(action, resource, title=("Boss", "x"))
        for resource in ("organization", "location", "license_asset", "user_asset", "flexible_asset_type")
        for action in ("create", "update")
    ]
    assert tally(*skipped, *others) == Tally()


SHARES = [
    (29, 100, 0.29),
    (57, 100, 0.57),
    (58, 100, 0.58),
    (3, 10, 0.3),
    (1, 5, 0.2),
    (6, 20, 0.3),
    (7, 100, 0.07),
    (5, 5, 1.0),
    (0, 5, 0.0),
]
BRAKES = [
    ("max_changed_share", "contacts changed", lambda n: Tally(changed=n)),
    ("max_gone_share", "contacts left", lambda n: Tally(gone=n)),
    ("max_field_share", "title overwritten", lambda n: tally(*[TITLE] * n)),
]


@pytest.mark.parametrize(("at", "linked", "most"), SHARES)
@pytest.mark.parametrize(("name", "words", "counted"), BRAKES, ids=[name for name, *_ in BRAKES])
def test_shares(name: str, words: str, counted: Any, at: int, linked: int, most: float) -> None:
    """A share that is exactly the threshold passes, one contact more does not."""
    limits = replace(Limits(), **{name: most})
    assert pulled({"t": counted(at)}, {"t": linked}, limits, []) == {}
    if at:
        assert pulled({"t": counted(at - 1)}, {"t": linked}, limits, []) == {}
    reason = pulled({"t": counted(at + 1)}, {"t": linked}, limits, []).get("t", "")
    assert words in reason
    assert f"{at + 1} of {linked}" in reason
    assert f"brakes.{name} {most:g}" in reason


@given(st.integers(1, 1000), st.integers(0, 100))
def test_an_exact_share_never_pulls(linked: int, percent: int) -> None:
    """Whatever binary fractions make of it."""
    limits = replace(Limits(), max_changed_share=float(f"0.{percent:02}") if percent < 100 else 1.0)
    most = linked * percent // 100
    assert not pulled({"t": Tally(changed=most)}, {"t": linked}, limits, [])
    assert pulled({"t": Tally(changed=most + 1)}, {"t": linked}, limits, [])


@pytest.mark.parametrize("linked", [{}, {"t": 0}])
def test_no_contacts_at_all(linked: dict[str, int]) -> None:
    """Of none, one is too many, and none is none."""
    for counted in (Tally(changed=1), Tally(gone=1), tally(TITLE)):
        assert "t" in pulled({"t": counted}, linked, Limits(), [])
    assert pulled({"t": Tally(creates=5)}, linked, Limits(), []) == {}
    assert pulled({"t": Tally()}, linked, replace(Limits(), max_changed_share=0.0), []) == {}


@pytest.mark.parametrize(("creates", "is_pulled"), [(0, False), (9, False), (10, False), (11, True)])
def test_creates_of_a_tenant(creates: int, is_pulled: bool) -> None:
    """Its own brake, and its own tenant alone."""
    limits = replace(Limits(), max_creates_per_tenant=10)
    reasons = pulled({"t": Tally(creates=creates), "t2": Tally(creates=1)}, {}, limits, [])
    assert set(reasons) == ({"t"} if is_pulled else set())
    if is_pulled:
        assert reasons["t"] == "11 creates (brakes.max_creates_per_tenant 10)"


@pytest.mark.parametrize(("third", "is_pulled"), [(1, False), (2, False), (3, True)])
def test_creates_of_a_run(third: int, is_pulled: bool) -> None:
    """All tenants that create together wait; one that creates nothing does not."""
    tallies = {"a": Tally(creates=4), "b": Tally(creates=4), "c": Tally(creates=third), "d": Tally(changed=1)}
    limits = replace(Limits(), max_creates_per_run=10)
    reasons = pulled(tallies, {"d": 10}, limits, [])
    assert reasons == (
        dict.fromkeys("abc", "11 creates in one run (brakes.max_creates_per_run 10)") if is_pulled else {}
    )


def test_what_a_person_has_seen_does_not_count_for_the_run() -> None:
    """Else an approved plan would hold up all others, sync after sync."""
    tallies = {"a": Tally(creates=9), "b": Tally(creates=4)}
    limits = replace(Limits(), max_creates_per_run=10)
    assert set(pulled(tallies, {}, limits, [])) == {"a", "b"}
    assert pulled(tallies, {}, limits, iter(["a"])) == {}
    assert set(pulled(tallies | {"c": Tally(creates=7)}, {}, limits, ["a"])) == {"b", "c"}


def test_a_tenant_that_waits_anyway_does_not_count_for_the_run() -> None:
    """Its creates are not written by this run."""
    tallies = {"a": Tally(creates=11), "b": Tally(creates=4)}
    limits = replace(Limits(), max_creates_per_tenant=10, max_creates_per_run=10)
    assert set(pulled(tallies, {}, limits, [])) == {"a"}


def test_every_reason_is_told() -> None:
    """A person wants to see all that is odd about a plan, not the first thing."""
    limits = Limits(1, 100, 0.1, 0.1, 0.1)
    reason = pulled({"t": Tally(2, 2, 2, tally(TITLE, TITLE).overwritten)}, {"t": 10}, limits, [])["t"]
    assert reason.split("; ") == [
        "2 creates (brakes.max_creates_per_tenant 1)",
        "2 of 10 contacts changed (brakes.max_changed_share 0.1)",
        "2 of 10 contacts left (brakes.max_gone_share 0.1)",
        "title overwritten in 2 of 10 (brakes.max_field_share 0.1)",
    ]
