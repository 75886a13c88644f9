"""Intents: noted before the request, closed with what is to be remembered, and never lost in between."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from o365_etl.errors import ConflictError, LocalError
from o365_etl.store.state import StateStore
from o365_etl.tables import TABLES

NAMES = TABLES["sync.changes"].column_names


@pytest.fixture(scope="module")
def shared(new_place: Callable[[], str]) -> StateStore:
    """A store for the many examples of a property, which are told apart by their run."""
    return StateStore(new_place())


def change(change_id: str, **values: Any) -> dict[str, Any]:
    """A row of `sync.changes`."""
    row = dict.fromkeys(NAMES) | {"change_id": change_id, "run_id": "planned by another run", "state": "planned"}
    return row | {"tenant_id": "t1", "action": "create", "resource": "contact", "fields": "{}"} | values


def linked(state: StateStore) -> list[dict[str, str]]:
    """The links of users."""
    return state.links.user_links().read_all().to_pylist()


def test_intents_are_opened_in_order(state: StateStore) -> None:
    """Each change gets a number of its own, in order, and is pending as it was given."""
    fields = '{"last_name": {"old": null, "new": "Ö’Brien"}}'
    given_rows = [change(f"c{number}", subject_id=f"u{number}") for number in range(2500)]
    given_rows[1] |= {"tenant_id": None, "organization_id": "9", "fields": fields, "reason": "new", "plan_hash": "h"}
    given_rows[1] |= {"action": "update", "resource": "flexible_asset_type", "target_id": "5"}
    numbers = state.intents.open("r1", given_rows)
    pending = state.intents.pending()
    second = pending[1]

    assert numbers == sorted(set(numbers))
    assert [(row["number"], row["change_id"]) for row in pending] == [(n, f"c{i}") for i, n in enumerate(numbers)]
    assert timedelta() <= datetime.now(UTC) - second.pop("opened_at") < timedelta(minutes=1)
    assert second == {
        **{name: given_rows[1][name] for name in NAMES if name != "finished_at"},
        "number": numbers[1],
        "run_id": "r1",
        "state": "open",
        "closed_at": None,
    }
    assert state.intents.open("r1", []) == []
    assert state.intents.counts("r1") == {"open": 2500}


def test_closing_remembers_in_the_same_breath(state: StateStore) -> None:
    """What a change brought about is linked when it is closed."""
    numbers = state.intents.open("r1", [change("c1"), change("c2"), change("c3", target_id="4")])
    state.intents.close(
        [{"number": numbers[0], "state": "applied", "target_id": "71", "link": ("t1", "u1", "9", "71")}]
    )
    place = ("t1", "location", None, "501")
    state.intents.close(
        [{"number": numbers[1], "state": "applied", "target_id": "9", "tenant_link": ("t1", "9"), "place": place}]
    )
    state.intents.close([{"number": numbers[2], "state": "failed", "message": "last-name is too long"}])

    assert linked(state) == [{"tenant_id": "t1", "user_id": "u1", "organization_id": "9", "contact_id": "71"}]
    assert state.links.tenant_links() == {"t1": "9"}
    assert state.links.places("location") == {("t1", None): "501"}
    assert [row["target_id"] for row in state.intents.finished_table().to_pylist()] == ["71", "9", "4"]
    assert state.intents.pending() == []
    assert state.intents.counts("r1") == {"applied": 2, "failed": 1}
    assert state.intents.counts("r2") == {}


def test_a_link_that_fails_leaves_the_intent_open(state: StateStore) -> None:
    """If what is to be remembered cannot be, the change is not closed either."""
    (number,) = state.intents.open("r1", [change("c1")])
    broken: Any = ("t1", "u1", "9", None)
    with pytest.raises((LocalError, sa.exc.IntegrityError)):
        state.intents.close([{"number": number, "state": "applied", "link": broken, "tenant_link": ("t1", "9")}])

    assert [row["number"] for row in state.intents.pending()] == [number]
    assert linked(state) == []
    assert state.links.tenant_links() == {}


def test_a_change_is_closed_once(state: StateStore) -> None:
    """What is closed stays as it is, what never was is said, and a change cannot end as something else."""
    (number,) = state.intents.open("r1", [change("c1")])
    state.intents.close([{"number": number, "state": "failed", "message": "no"}])
    with pytest.raises(ConflictError, match="closed already, as failed"):
        state.intents.close([{"number": number, "state": "applied", "link": ("t1", "u1", "9", "71")}])
    with pytest.raises(LocalError, match=str(number + 1)):
        state.intents.close([{"number": number + 1, "state": "applied"}])
    wrong: Any = "open"
    with pytest.raises(ValueError, match="open"):
        state.intents.close([{"number": number, "state": wrong}])
    with pytest.raises(ValueError, match="open"):
        state.intents.record("r1", [change("c2")], wrong, None)

    assert linked(state) == []
    assert state.links.tenant_links() == {}
    assert state.intents.counts("r1") == {"failed": 1}


def test_the_last_outcome_is_shown(state: StateStore) -> None:
    """Finished changes come in the shape of `sync.changes`, each once, with its last outcome; or those since a time."""
    assert state.intents.finished_table().schema == TABLES["sync.changes"].arrow_schema()
    state.intents.record("r1", (change(c, reason="new") for c in ("c1", "c2")), "failed", "503")
    middle = datetime.now(UTC)
    (first, _) = state.intents.open("r2", [change("c1"), change("c3")])
    assert [row["state"] for row in state.intents.finished_table().to_pylist()] == ["failed", "failed"]
    state.intents.close([{"number": first, "state": "applied", "target_id": "71"}])
    state.intents.record("r2", [change("c4")], "skipped", None)
    table = state.intents.finished_table()
    rows = {row["change_id"]: row for row in table.to_pylist()}

    assert table.schema == TABLES["sync.changes"].arrow_schema()
    assert table.num_rows == len(rows)
    assert {name: (row["run_id"], row["state"], row["message"]) for name, row in rows.items()} == {
        "c1": ("r2", "applied", None),
        "c2": ("r1", "failed", "503"),
        "c4": ("r2", "skipped", None),
    }
    assert rows["c2"]["finished_at"] < middle < rows["c1"]["finished_at"]
    assert rows["c2"]["reason"] == "new"
    assert state.intents.finished_table(middle).column("change_id").to_pylist() == ["c1", "c4"]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.integers(1, 4),
            st.tuples(st.integers(0, 9), st.sampled_from(["applied", "failed", "skipped"])),
        ),
        max_size=12,
    )
)
def test_intents_are_open_until_they_are_closed(shared: StateStore, steps: list[int | tuple[int, Any]]) -> None:
    """Whatever is opened and closed in whatever order: pending is what is not closed, in the order it was opened."""
    run_id = str(uuid.uuid4())
    states: dict[int, str] = {}
    for step in steps:
        if isinstance(step, int):
            opened = shared.intents.open(run_id, [change(str(uuid.uuid4())) for _ in range(step)])
            assert len(set(opened)) == step
            states |= dict.fromkeys(opened, "open")
        elif states:
            number = list(states)[step[0] % len(states)]
            if states[number] == "open":
                shared.intents.close([{"number": number, "state": step[1]}])
                states[number] = step[1]
            else:
                with pytest.raises(ConflictError):
                    shared.intents.close([{"number": number, "state": step[1]}])

    pending = [row["number"] for row in shared.intents.pending() if row["run_id"] == run_id]
    assert pending == [number for number, state in states.items() if state == "open"]
    assert shared.intents.counts(run_id) == {s: list(states.values()).count(s) for s in set(states.values())}


SEND = """
import sys
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
changes = [{"change_id": c, "action": "create", "resource": "contact"} for c in ("c1", "c2")]
first, second = state.intents.open("r1", changes)
state.intents.close([{"number": first, "state": "applied", "target_id": "71", "link": ("t1", "u1", "9", "71")}])
print(second, flush=True)
sys.stdin.readline()  # the request is on its way
state.intents.close([{"number": second, "state": "applied"}])
"""


def test_a_killed_process_leaves_its_intent(
    state: StateStore, place: str, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """What a process sent that is killed before the answer comes is pending; what it had closed is remembered."""
    process = child(SEND, place)
    assert process.stdout is not None
    number = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)

    assert [(row["number"], row["change_id"]) for row in state.intents.pending()] == [(number, "c2")]
    assert [row["contact_id"] for row in linked(state)] == ["71"]
    state.intents.close([{"number": number, "state": "applied", "target_id": "72"}])
    assert state.intents.counts("r1") == {"applied": 2}
