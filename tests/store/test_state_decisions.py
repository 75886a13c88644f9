"""Decisions of people: appended, taken back one by one, and never against something that was not seen."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o365_etl.errors import ConflictError, NotFoundError
from o365_etl.store.state import StateStore


@pytest.fixture(scope="module")
def shared(new_place: Callable[[], str]) -> StateStore:
    """A store for the many examples of a property, which are told apart by their tenant."""
    return StateStore(new_place())


def test_a_decision_is_in_force(state: StateStore) -> None:
    """The last decision about a tenant or a user holds, with who, when, why and its id."""
    before = {"status": "suggested", "rivals": ["9", "10"]}
    first = state.decisions.decide(tenant_id="t1", action="ignore", who="lead", before=before)
    second = state.decisions.decide(tenant_id="t1", action="to", organization_id="9", who="bo", why="ä", before={})
    third = state.decisions.decide(tenant_id="t1", user_id="u1", action="to", contact_id="72", who="lead", before={})
    tenants, users = state.decisions.in_force()

    assert [(d.id, d.tenant_id, d.action, d.organization_id, d.who, d.why) for d in tenants] == [
        (second, "t1", "to", "9", "bo", "ä")
    ]
    assert [(d.id, d.tenant_id, d.user_id, d.action, d.contact_id, d.who, d.why) for d in users] == [
        (third, "t1", "u1", "to", "72", "lead", None)
    ]
    assert timedelta() <= datetime.now(UTC) - tenants[0].at < timedelta(minutes=1)
    assert first < second < third == state.decisions.latest()
    assert state.decisions.history()[0]["before"] == before


def test_of_many_decisions_one_that_was_forestalled_stops_no_other(state: StateStore) -> None:
    """All in one transaction: each gets its id, or the reason why it was not decided."""
    theirs = state.decisions.decide(tenant_id="t2", action="ignore", who="bo", before={})
    asked = [
        {"tenant_id": tenant_id, "action": "accept", "organization_id": "9", "who": "lead", "before": {}, "seen": 0}
        for tenant_id in ("t1", "t2", "t3")
    ]
    first, second, third = state.decisions.decide_many(asked)

    assert isinstance(second, ConflictError)
    assert "bo" in second.message
    held = {each.tenant_id: (each.id, each.action) for each in state.decisions.in_force()[0]}
    assert held == {"t1": (first, "accept"), "t2": (theirs, "ignore"), "t3": (third, "accept")}


def test_the_history_is_narrowed(state: StateStore) -> None:
    """History comes oldest first: of all, of a tenant with its users, or of one user."""
    assert (state.decisions.history(), state.decisions.latest()) == ([], 0)
    about: list[tuple[str, str | None]] = [("t1", None), ("t1", "u1"), ("t2", "u1"), ("t1", "u2")]
    for tenant_id, user_id in about:
        state.decisions.decide(tenant_id=tenant_id, user_id=user_id, action="create", who="lead", before={})

    def subjects(**filters: str) -> list[tuple[str, str | None]]:
        return [(row["tenant_id"], row["user_id"]) for row in state.decisions.history(**filters)]

    assert subjects() == about
    assert subjects(tenant_id="t1") == [("t1", None), ("t1", "u1"), ("t1", "u2")]
    assert subjects(tenant_id="t1", user_id="u1") == [("t1", "u1")]


def test_a_double_click_is_one_decision(state: StateStore) -> None:
    """The same decision once more appends nothing, even if the page was loaded before the first one."""
    wanted: dict[str, Any] = {"tenant_id": "t1", "action": "accept", "organization_id": "9", "who": "lead", "seen": 0}
    first = state.decisions.decide(**wanted, before={})

    assert state.decisions.decide(**wanted, before={}) == first
    assert len(state.decisions.history()) == 1
    assert state.decisions.decide(**{**wanted, "organization_id": "10", "seen": first}, before={}) > first


def test_a_decision_that_was_not_seen_stays(state: StateStore) -> None:
    """Who decides against a decision they did not see is told who decided what and when, and nothing is appended."""
    first = state.decisions.decide(tenant_id="t1", action="to", organization_id="9", who="anna", before={}, seen=0)
    with pytest.raises(ConflictError) as caught:
        state.decisions.decide(tenant_id="t1", action="ignore", who="bo", before={}, seen=0)
    at = state.decisions.history()[0]["at"]

    assert caught.value.message == f"anna decided `to 9` about this tenant at {at:%Y-%m-%d %H:%M:%S} UTC"
    with pytest.raises(ConflictError, match="anna decided"):
        state.decisions.undo(tenant_id="t1", who="bo", seen=first + 1)
    state.decisions.undo(tenant_id="t1", who="cy", seen=first)
    with pytest.raises(ConflictError, match="cy took back a decision about this tenant"):
        state.decisions.decide(tenant_id="t1", action="ignore", who="bo", before={}, seen=first)
    with pytest.raises(ConflictError):
        state.decisions.decide(tenant_id="t2", action="ignore", who="bo", before={}, seen=first)
    assert [row["action"] for row in state.decisions.history()] == ["to", "undo"]
    assert state.decisions.decide(tenant_id="t1", action="ignore", who="bo", before={}, seen=0)


def test_undo_gives_back_what_held(state: StateStore) -> None:
    """Undo returns the decision it took back, with what was before it; the one before that is in force again."""
    first = state.decisions.decide(tenant_id="t1", action="ignore", who="lead", before={})
    second = state.decisions.decide(
        tenant_id="t1", action="to", organization_id="9", who="lead", before={"rule": "domain"}
    )
    undone = state.decisions.undo(tenant_id="t1", who="bo", why="wrong one")

    assert (undone["id"], undone["organization_id"], undone["before"]) == (second, "9", {"rule": "domain"})
    assert [decision.id for decision in state.decisions.in_force()[0]] == [first]
    last = state.decisions.history()[-1]
    assert (last["action"], last["who"], last["why"], last["before"]["id"]) == ("undo", "bo", "wrong one", second)
    assert state.decisions.undo(tenant_id="t1", who="bo")["id"] == first
    with pytest.raises(NotFoundError, match="no decision about this tenant") as caught:
        state.decisions.undo(tenant_id="t1", who="bo")
    assert caught.value.remedy != NotFoundError.remedy


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "undo"},
        {"action": "delete"},
        {"action": "to"},
        {"action": "accept", "contact_id": "1"},
        {"user_id": "u1", "action": "accept", "contact_id": "1"},
        {"user_id": "u1", "action": "to", "organization_id": "1"},
    ],
)
def test_what_cannot_be_decided_is_refused(state: StateStore, wrong: dict[str, str]) -> None:
    """An action that is none, or that lacks what it is about, never reaches the table."""
    with pytest.raises(ValueError, match=wrong["action"]):
        state.decisions.decide(tenant_id="t1", who="lead", before={}, **wrong)
    assert state.decisions.history() == []


STEPS = st.lists(
    st.tuples(st.sampled_from([None, "u1"]), st.sampled_from(["ignore", "to 1", "to 2", "undo"]), st.booleans()),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_decisions_are_a_stack(shared: StateStore, steps: list[tuple[str | None, str, bool]]) -> None:
    """Whatever is decided and taken back: in force is the top of a stack per subject, and nothing is ever lost."""
    tenant_id = str(uuid.uuid4())
    stacks: dict[str | None, list[tuple[int, str]]] = {None: [], "u1": []}
    appended = 0
    for user_id, step, is_fresh in steps:
        stack = stacks[user_id]
        top = stack[-1] if stack else (0, "")
        seen = top[0] if is_fresh else -1
        subject: dict[str, Any] = {"tenant_id": tenant_id, "user_id": user_id, "who": "lead", "seen": seen}
        action, _, target = step.partition(" ")
        if action == "undo":
            if not stack:
                with pytest.raises(NotFoundError):
                    shared.decisions.undo(**subject)
            elif not is_fresh:
                with pytest.raises(ConflictError):
                    shared.decisions.undo(**subject)
            else:
                assert shared.decisions.undo(**subject)["id"] == stack.pop()[0]
                appended += 1
            continue
        target_name = "contact_id" if user_id else "organization_id"
        wanted = {**subject, "action": action, "before": {}, target_name: target or None}
        if step == top[1]:
            assert shared.decisions.decide(**wanted) == top[0]
        elif not is_fresh:
            with pytest.raises(ConflictError):
                shared.decisions.decide(**wanted)
        else:
            stack.append((shared.decisions.decide(**wanted), step))
            appended += 1

    tenants, users = shared.decisions.in_force()
    assert [d.id for d in tenants if d.tenant_id == tenant_id] == [each[0] for each in stacks[None][-1:]]
    assert [d.id for d in users if d.tenant_id == tenant_id] == [each[0] for each in stacks["u1"][-1:]]
    assert len(shared.decisions.history(tenant_id)) == appended


DECIDE = """
import sys
from o365_etl.errors import ConflictError
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
sys.stdin.readline()
won = []
for number in range(30):
    state.decisions.decide(tenant_id=f"same{number}", action="ignore", who=sys.argv[2], before={}, seen=0)
    try:
        state.decisions.decide(
            tenant_id=f"t{number}", action="to", organization_id=sys.argv[2], who=sys.argv[2], before={}, seen=0
        )
        won.append(number)
    except ConflictError:
        pass
print(*won)
"""


def test_one_of_many_processes_decides(
    state: StateStore, place: str, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Of processes that decide differently at the same moment exactly one does; the same decision is taken once."""
    children = [child(DECIDE, place, number) for number in range(5)]
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    winners = {}
    for name, process in enumerate(children):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        for number in output.split():
            assert f"t{number}" not in winners, "two processes decided"
            winners[f"t{number}"] = str(name)
    held = {each.tenant_id: each.organization_id for each in state.decisions.in_force()[0] if each.organization_id}

    assert len(winners) == 30
    assert held == winners
    assert len(state.decisions.history()) == 60


def test_ids_are_not_used_twice(state: StateStore, place: str) -> None:
    """Ids go up, also through another store on the same database: a poll by the highest id misses nothing."""
    ids = [
        store.decisions.decide(tenant_id=f"t{number}", action="ignore", who="lead", before={})
        for number, store in enumerate([state, StateStore(place), state])
    ]

    assert ids == sorted(set(ids))
    assert StateStore(place).decisions.latest() == ids[-1]
