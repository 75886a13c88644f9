"""Approvals: of exactly one plan per tenant, for exactly one run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from o365_etl.store.state import StateStore


def test_an_approval_is_good_for_one_run(state: StateStore) -> None:
    """What a run uses is open for no other run; the account is a subject like a tenant."""
    state.approvals.approve([("t1", "h1"), ("t2", "h2"), (None, "h0")], "lead", "looks right")

    assert state.approvals.open() == {"t1": "h1", "t2": "h2", None: "h0"}
    assert state.approvals.use("r1", {"t1": "h1", None: "h0", "unknown": "h9"}) == {"t1": "h1", None: "h0"}
    assert state.approvals.use("r2", {"t1": "h1", None: "h0"}) == {}
    assert state.approvals.open() == {"t2": "h2"}
    state.approvals.approve([("t1", "h1")], "lead")
    assert state.approvals.open() == {"t1": "h1", "t2": "h2"}


def test_an_approval_of_another_plan_stays_open(state: StateStore) -> None:
    """Given while a run writes, it is of the plan that somebody saw in the meantime: that run must not use it up."""
    state.approvals.approve([("t1", "seen by the run")], "lead")
    state.approvals.approve([("t1", "seen since")], "lead")

    assert state.approvals.use("r1", {"t1": "seen by the run"}) == {}
    assert state.approvals.open() == {"t1": "seen since"}


def test_the_newest_approval_replaces_the_older(state: StateStore) -> None:
    """Another plan's approval replaces the open one for good; the same one once more changes nothing."""
    state.approvals.approve([("t1", "h1")], "anna")
    state.approvals.approve([("t1", "h2")], "bo")
    state.approvals.approve([("t1", "h2")], "cy")
    assert state.approvals.open() == {"t1": "h2"}
    state.approvals.use("r1", {"t1": "h2"})

    assert state.approvals.open() == {}, "the replaced approval is back"
    newest, oldest = state.approvals.history()
    assert [(row["who"], row["state"], row["run_id"]) for row in (newest, oldest)] == [
        ("bo", "used", "r1"),
        ("anna", "replaced", None),
    ]
    assert timedelta() <= datetime.now(UTC) - newest["closed_at"] < timedelta(minutes=1)
    assert [row["who"] for row in state.approvals.history(limit=1)] == ["bo"]


def test_the_last_of_two_plans_in_one_approval_counts(state: StateStore) -> None:
    """Two plans for one tenant at once leave one approval, the last."""
    state.approvals.approve([("t1", "h1"), ("t1", "h2")], "lead")
    state.approvals.approve([], "lead")

    assert state.approvals.open() == {"t1": "h2"}
    assert len(state.approvals.history()) == 1


USE = """
import sys
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
sys.stdin.readline()
print(*(tenant for number in range(30) for tenant in state.approvals.use(sys.argv[2], {f"t{number}": "h"})))
"""


def test_two_runs_do_not_use_the_same_approval(
    state: StateStore, place: str, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Of processes that use approvals at the same time each gets its own."""
    tenants = {f"t{number}" for number in range(30)}
    state.approvals.approve(((tenant, "h") for tenant in tenants), "lead")
    children = [child(USE, place, f"r{number}") for number in range(3)]
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    used: list[str] = []
    for process in children:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        used += output.split()

    assert sorted(used) == sorted(tenants)
    assert {row["state"] for row in state.approvals.history()} == {"used"}
