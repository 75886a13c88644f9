"""What was told: each change of state is returned once, also to several processes, and what is owed is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from o365_etl.store.state import StateStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
KINDS = ("failing", "waiting", "plan")


@dataclass(frozen=True)
class Wrong:
    subject: str
    kind: str = "failing"
    cause: str = "forbidden"
    mark: str | None = None


def settle(
    state: StateStore, *wrong: Wrong, at: datetime = NOW, to_tell: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    settled = state.alerts.settle(wrong, KINDS, at, to_tell=to_tell)
    return [row["subject"] for row in settled.raised], [row["subject"] for row in settled.over]


def test_what_is_wrong_is_raised_once(state: StateStore) -> None:
    """The same again changes nothing, another cause or kind is raised anew, and its time is that of the change."""
    assert settle(state, Wrong("a"), Wrong("b")) == (["a", "b"], [])
    state.alerts.sent(["a", "b"], NOW)
    assert settle(state, Wrong("a"), Wrong("b"), at=LATER) == ([], [])
    assert settle(state, Wrong("a", cause="secret_expired"), Wrong("b", kind="waiting"), at=LATER) == (["a", "b"], [])

    told = {"state": "raised", "since": LATER, "sent_at": None}
    assert state.alerts.rows() == [
        {"subject": "a", "kind": "failing", "cause": "secret_expired", **told},
        {"subject": "b", "kind": "waiting", "cause": "forbidden", **told},
    ]


def test_the_end_is_told_or_forgotten(state: StateStore) -> None:
    """An end to be told stays until it was sent; any other is gone at once. What is wrong again is raised again."""
    settle(state, Wrong("a"), Wrong("b", kind="plan"))
    state.alerts.sent(["a", "b"], NOW)
    assert settle(state, at=LATER, to_tell=("a",)) == ([], ["a", "b"])
    assert [(row["subject"], row["state"], row["sent_at"]) for row in state.alerts.rows()] == [("a", "over", None)]
    assert settle(state, at=LATER, to_tell=("a",)) == ([], [])

    state.alerts.keep_debts({})
    assert len(state.alerts.rows()) == 1, "not sent yet"
    state.alerts.sent(["a"], LATER)
    state.alerts.keep_debts({})
    assert state.alerts.rows() == []
    assert settle(state, Wrong("a")) == (["a"], [])


def test_what_is_wrong_again_before_its_end_was_told_is_raised(state: StateStore) -> None:
    """An end that nobody heard of is replaced."""
    settle(state, Wrong("a"))
    settle(state, to_tell=("a",))
    assert settle(state, Wrong("a"), at=LATER) == (["a"], [])
    assert [row["state"] for row in state.alerts.rows()] == ["raised"]


def test_what_was_not_looked_at_stays(state: StateStore) -> None:
    """A kind that could not be looked at is neither over nor raised again."""
    settle(state, Wrong("a"), Wrong("p", kind="plan"))
    settled = state.alerts.settle([], ["plan"], LATER, to_tell=())
    assert ([row["subject"] for row in settled.over], settle(state, Wrong("a"))) == (["p"], ([], []))


def test_what_may_pass_is_raised_when_it_is_found_by_another_sync(state: StateStore) -> None:
    """The same sync looked at twice is one failure; in between right again, it starts over, and nobody is told."""
    assert settle(state, Wrong("a", mark="run-1")) == ([], [])
    assert settle(state, Wrong("a", mark="run-1")) == ([], [])
    assert state.alerts.rows() == []
    assert settle(state) == ([], [])
    assert settle(state, Wrong("a", mark="run-3")) == ([], [])
    assert settle(state, Wrong("a", mark="run-4")) == (["a"], [])
    assert settle(state, Wrong("a", mark="run-5")) == ([], [])


def test_a_reason_for_good_does_not_wait(state: StateStore) -> None:
    """After a passing one it is raised at once; back to a passing one is no news; of another kind it is."""
    settle(state, Wrong("a", mark="run-1"))
    assert settle(state, Wrong("a")) == (["a"], [])
    assert settle(state, Wrong("a", cause="may_pass", mark="run-3")) == ([], [])
    assert settle(state, Wrong("a")) == ([], []), "the cause of before is still the one that was told"
    assert settle(state, Wrong("a", kind="waiting")) == (["a"], [])
    assert settle(state, Wrong("a", cause="may_pass", mark="run-6")) == (["a"], [])


def test_debts_are_kept_apart(state: StateStore) -> None:
    """What a target missed is no alert; while somebody is owed something, an end that was sent stays."""
    settle(state, Wrong("a"))
    settle(state, to_tell=("a",))
    state.alerts.sent(["a"], NOW)
    state.alerts.keep_debts({"debt:1": LATER})
    assert state.alerts.debts() == {"debt:1": LATER}
    assert [row["subject"] for row in state.alerts.rows()] == ["a"]
    assert settle(state, at=LATER) == ([], [])
    state.alerts.keep_debts({})
    assert (state.alerts.debts(), state.alerts.rows()) == ({}, [])


RACE = """
import sys
from datetime import UTC, datetime
from tests.store.test_state_alerts import Wrong, settle
from o365_etl.store.state import StateStore
state = StateStore(sys.argv[1])
state.alerts.rows()
print("ready", flush=True)
sys.stdin.readline()
raised, _ = settle(state, *[Wrong(f"t{n}") for n in range(50)], at=datetime.now(UTC))
print(len(raised))
"""


def test_of_processes_at_once_one_is_told(place: str, child: Callable[..., object]) -> None:
    """Each change is returned to exactly one of four processes that settle the same."""
    processes = [child(RACE, place) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"  # type: ignore[attr-defined]
    for process in processes:
        process.stdin.write("\n")  # type: ignore[attr-defined]
        process.stdin.flush()  # type: ignore[attr-defined]
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 50  # type: ignore[attr-defined]
