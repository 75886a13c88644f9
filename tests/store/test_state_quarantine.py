"""Quarantine: failing tenants are kept with since-when, released, and forgotten when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from o365_etl.store.state import StateStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failing(tenant_id: str, **more: Any) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "connection": "partner",
        "error_code": "not_consented",
        "remedy": "Consent.",
        "failing_since": NOW,
        "failures": 3,
        "next_try_at": NOW + 2 * HOUR,
        "credential": "salt:digest",
    } | more


def test_failing_tenants_are_kept_as_they_were_noted(state: StateStore) -> None:
    """All columns, the longest failing first; noted again, the row is replaced."""
    state.quarantine.note([failing("t2"), failing("t1", failing_since=NOW - HOUR)])
    assert state.quarantine.rows() == [failing("t1", failing_since=NOW - HOUR), failing("t2")]
    state.quarantine.note([failing("t2", failures=4, error_code="forbidden")])
    assert state.quarantine.rows()[1] == failing("t2", failures=4, error_code="forbidden")


def test_a_pause_has_an_end(state: StateStore) -> None:
    """Left alone until the moment, not at it."""
    state.quarantine.note([failing("t1"), failing("t2", next_try_at=NOW)])
    assert [row["tenant_id"] for row in state.quarantine.paused(NOW)] == ["t1"]
    assert state.quarantine.paused(NOW + 2 * HOUR) == []


def test_who_is_read_is_forgotten(state: StateStore) -> None:
    """Over is over; a tenant that never failed is no error, and nothing at all is none either."""
    state.quarantine.note([failing("t1"), failing("t2")])
    state.quarantine.note([], ["t1", "t9"])
    state.quarantine.note([])
    assert [row["tenant_id"] for row in state.quarantine.rows()] == ["t2"]


def test_a_release_ends_the_pause_and_keeps_since_when(state: StateStore) -> None:
    """Tried at once and counted from the start, but a tenant that still fails has failed since then."""
    state.quarantine.note([failing("t1"), failing("t2")])
    assert state.quarantine.release("t1")
    assert not state.quarantine.release("t1")
    assert not state.quarantine.release("t9")

    assert [row["tenant_id"] for row in state.quarantine.paused(NOW)] == ["t2"]
    released = next(row for row in state.quarantine.rows() if row["tenant_id"] == "t1")
    assert (released["failing_since"], released["failures"]) == (NOW, 0)


def test_a_connection_releases_or_takes_along_its_own(state: StateStore) -> None:
    """Those of another connection stay as they are."""
    state.quarantine.note([failing("t1"), failing("t2"), failing("t3", connection="other")])
    assert state.quarantine.release_connection("partner") == 2
    assert state.quarantine.release_connection("partner") == 0
    assert [row["tenant_id"] for row in state.quarantine.paused(NOW)] == ["t3"]
    assert state.quarantine.forget_connection("partner") == 2
    assert [row["tenant_id"] for row in state.quarantine.rows()] == ["t3"]
