"""Leavers: who left, in which way and since when; and what is pruned of the state, and what never is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from o365_etl.store.state import StateStore
from o365_etl.store.state_leavers import LEAVERS

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(days=3)


def test_leavers_are_remembered(state: StateStore) -> None:
    """The time since when stays, also if the way of leaving changes; who is back is forgotten."""
    assert state.leavers.table().schema == LEAVERS
    state.leavers.note([("t1", "u1", "disabled"), ("t1", "u2", "gone"), ("t2", "u1", "shared")], NOW)
    state.leavers.note(iter([("t1", "u1", "gone"), ("t1", "u3", "unlicensed")]), LATER)
    state.leavers.forget([("t1", "u2"), ("t9", "u9")])

    assert state.leavers.table().schema == LEAVERS
    assert [tuple(row.values()) for row in state.leavers.table().to_pylist()] == [
        ("t1", "u1", "gone", NOW),
        ("t1", "u3", "unlicensed", LATER),
        ("t2", "u1", "shared", NOW),
    ]


def test_an_unknown_way_of_leaving_is_refused(state: StateStore) -> None:
    """A state that is none is refused, with the rows before it."""
    with pytest.raises(ValueError, match="retired"):
        state.leavers.note([("t1", "u1", "gone"), ("t1", "u2", "retired")], NOW)
    assert state.leavers.table().num_rows == 0


def test_what_is_old_and_over_is_pruned(state: StateStore) -> None:
    """Log, finished changes, closed approvals and finished syncs go; whatever is open or was decided stays."""
    row: dict[str, Any] = {"action": "create", "resource": "contact"}
    state.start_run("old", "manual", NOW)
    state.finish_run("old", NOW, "ok")
    state.start_run("open", "manual", NOW)
    state.log_many("old", [{"level": "info", "message": "x", "at": NOW}] * 3)
    state.log("old", "info", "new")
    _, done = state.intents.open("old", [row | {"change_id": "c1"}, row | {"change_id": "c2"}])
    state.intents.close(
        [{"number": done, "state": "applied", "link": ("t1", "u1", "9", "71"), "place": ("t1", "location", None, "5")}]
    )
    state.intents.record("old", [row | {"change_id": "c3"}], "skipped", None)
    state.approvals.approve([("t1", "h1"), ("t2", "h2")], "lead")
    state.approvals.use("old", {"t1": "h1"})
    state.decisions.decide(tenant_id="t1", action="ignore", who="lead", before={})
    state.links.link_tenants([("t1", "9", None)])
    state.leavers.note([("t1", "u1", "gone")], NOW)

    assert state.prune(NOW) == {"log": 0, "intents": 0, "approvals": 0, "runs": 0}
    assert state.prune(NOW + timedelta(days=1)) == {"log": 3, "intents": 0, "approvals": 0, "runs": 1}
    assert [run["run_id"] for run in state.runs()] == ["open"]
    ages = datetime.now(UTC) + timedelta(days=9999)
    assert state.prune(ages) == {"log": 1, "intents": 2, "approvals": 1, "runs": 0}
    assert [intent["change_id"] for intent in state.intents.pending()] == ["c1"]
    assert state.approvals.open() == {"t2": "h2"}
    assert state.links.tenant_links() == {"t1": "9"}
    assert state.links.user_links().read_all().num_rows == 1
    assert state.links.places("location") == {("t1", None): "5"}
    assert len(state.decisions.history()) == state.leavers.table().num_rows == 1
