"""Writes whose answer is lost: done or not, in the end everything is there exactly once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from desk import (
    WHO,
    apply,
    approve_and_apply,
    assert_once,
    assert_settled,
    changes,
    counts,
    documented,
    messages,
    small_estate,
    writes,
)

from o365_etl.errors import TransientError
from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate, Fault, ItGlueBehaviour, SimContact, SimEmail, SimOrganization
from tests.conftest import World

Start = Callable[..., World]
WHOLE = {"organizations": 1, "contacts": 2, "flexible_asset_types": 2, "flexible_assets": 3}


def fault(kind: str, method: str, path: str, calls: tuple[int, ...] = (1,), status: int = 500) -> Fault:
    return Fault("itglue", kind, method=method, path=path, calls=calls, status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("people", "path", "bulk", "kind"),
    [
        (("Anna Berg", "Bo Dahl"), r"/relationships/contacts", True, "lost_answer"),
        (("Anna Berg", "Bo Dahl"), r"/relationships/contacts", True, "reset"),
        (("Anna Berg", "Bo Dahl"), r"/relationships/contacts", True, "truncated"),
        (("Anna Berg",), r"^/contacts", True, "lost_answer"),
        (("Anna Berg", "Bo Dahl"), r"^/contacts", False, "lost_answer"),
        (("Anna Berg", "Bo Dahl"), r"flexible_assets", True, "lost_answer"),
        (("Anna Berg",), r"^/flexible_assets", True, "reset"),
        (("Anna Berg", "Bo Dahl"), r"^/flexible_asset_types", True, "lost_answer"),
    ],
)
def test_a_create_without_an_answer_is_found(
    start: Start, people: tuple[str, ...], path: str, bulk: bool, kind: str
) -> None:
    """It was done and nobody said so: it is looked for, found, linked, and not sent again."""
    estate = small_estate(people)
    world = start(estate, itglue=ItGlueBehaviour(bulk=bulk))
    world.add_fault(fault(kind, "POST", path))
    world.sync()
    done = approve_and_apply(world)

    assert set(done.counts) == {"applied"}
    assert counts(estate)["contacts"] == len(people)
    assert counts(estate)["flexible_assets"] == len(people) + 1
    assert_once(estate)
    sent = writes(world)
    world.sync()
    apply(world)
    assert (changes(world), writes(world)) == ({}, sent)


@pytest.mark.parametrize("many", [True, False])
def test_an_update_without_an_answer_is_found(start: Start, contoso: Estate, many: bool) -> None:
    """A lost PATCH was done: the contact says so, nothing is sent again."""
    if not many:
        contoso.tenants[0].users = list(contoso.tenants[0].users)[1:]
        contoso.touch()
    else:
        contoso.tenants[0].users[0].job_title = "Head of IT"
    world = start(contoso)
    world.add_fault(fault("lost_answer", "PATCH", "/contacts"))
    world.sync()
    done = approve_and_apply(world)

    assert set(done.counts) == {"applied"}
    assert writes(world, "PATCH") == 1
    assert contoso.contact("Bo Dahl").emails[0].value == "bo.dahl@contoso.example"
    assert_settled(world)


@pytest.fixture
def newcomer() -> Estate:
    """A tenant whose organization a person wants created."""
    estate = small_estate(name="Newcomer", street="1 Main Street", city="Seattle", country="United States")
    estate.organizations[:] = [SimOrganization("Quite Another", 7)]
    return estate


def test_a_lost_organization_is_found(start: Start, newcomer: Estate) -> None:
    """POST /organizations without an answer: one organization, the tenant is linked to it, all else follows."""
    world = start(newcomer)
    world.sync()
    deciding.create(world.workspace, "Newcomer", **WHO)
    world.add_fault(fault("lost_answer", "POST", "/organizations$|/organizations\\?"))
    world.sync()
    done = approve_and_apply(world)

    assert done.counts == {"applied": 9}
    assert counts(newcomer) == WHOLE | {"organizations": 2, "locations": 1}
    assert_once(newcomer)
    assert_settled(world)


def test_an_organization_that_was_found_late_gets_all_that_is_planned(start: Start, newcomer: Estate) -> None:
    """IT Glue is silent while one looks for it: the next run finds it, and puts contacts and assets into it."""
    world = start(newcomer)
    world.sync()
    deciding.create(world.workspace, "Newcomer", **WHO)
    world.sync()
    world.add_fault(fault("lost_answer", "POST", r"^/organizations"))
    # The first look is before the write: a name that is there already is not created.
    world.add_fault(fault("status", "GET", r"^/organizations\?", calls=tuple(range(2, 40)), status=504))
    done = approve_and_apply(world)
    assert done.counts == {"applied": 2, "open": 1, "skipped": 6}
    assert counts(newcomer)["organizations"] == 2

    world.heal()
    world.sync()
    done = approve_and_apply(world)
    assert set(done.counts) == {"applied"}
    assert counts(newcomer) == WHOLE | {"organizations": 2, "locations": 1}
    assert_once(newcomer)
    assert_settled(world)


@pytest.mark.parametrize("path", [r"/relationships/contacts", r"flexible_assets"])
def test_an_open_write_is_resolved_before_anything_is_written(start: Start, path: str) -> None:
    """Done, and IT Glue cannot be read either: it stays open; the next run finds it and links it."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    world.add_fault(fault("lost_answer", "POST", path))
    # What there is, is read once before it is written.
    world.add_fault(fault("status", "GET", path.split("/")[-1] + r"\?", calls=tuple(range(2, 60)), status=504))
    with contextlib.suppress(TransientError):  # assets are read once more, for the other type
        approve_and_apply(world)
    assert world.workspace.state.intents.pending() != []
    world.heal()
    sent = writes(world, "POST", path.split("/")[-1].strip("^"))
    apply(world)
    assert world.workspace.state.intents.pending() == []
    assert writes(world, "POST", path.split("/")[-1].strip("^")) == sent
    world.sync()
    if changes(world):
        approve_and_apply(world)

    assert counts(estate) == WHOLE
    assert_once(estate)
    assert_settled(world)


@pytest.mark.parametrize(
    ("people", "status"), [(("Anna Berg",), 500), (("Anna Berg", "Bo Dahl"), 502), (("Anna Berg", "Bo Dahl"), 504)]
)
def test_what_was_not_done_is_sent_once_and_again_by_the_next_run(
    start: Start, people: tuple[str, ...], status: int
) -> None:
    """A server error says nothing of what was done: no second try within the run; the next one knows, and does it."""
    estate = small_estate(people)
    world = start(estate)
    world.sync()
    world.add_fault(fault("status", "POST", "contacts$|contacts\\?", calls=(), status=status))
    done = approve_and_apply(world)

    assert writes(world, "POST", "/contacts") == 1
    assert done.counts["open"] == len(people)
    assert counts(estate).get("contacts", 0) == 0
    assert len(world.workspace.state.intents.pending()) == len(people)
    world.heal()
    world.sync()
    assert changes(world)["create contact"] == len(people)
    approve_and_apply(world)

    assert counts(estate)["contacts"] == len(people)
    assert_once(estate)
    assert_settled(world)


def test_an_update_that_was_not_done_is_planned_again(start: Start, contoso: Estate) -> None:
    """A PATCH that a server error swallowed stays open, is found not done, and is done by the next run."""
    contoso.tenants[0].users[0].job_title = "Head of IT"
    world = start(contoso)
    world.sync()
    world.add_fault(fault("status", "PATCH", "contacts", calls=()))
    done = approve_and_apply(world)
    assert (done.counts["open"], writes(world, "PATCH")) == (2, 1)
    world.heal()
    world.sync()
    assert changes(world)["update contact"] == 2
    approve_and_apply(world)

    assert contoso.contact("Anna Berg").title == "Head of IT"
    assert "got no answer: 0 writes were done, 2 were not" in " ".join(
        row[0] for row in world.rows("SELECT message FROM sync.log")
    )
    assert_settled(world)


def test_a_namesake_is_not_taken_for_the_lost_contact(start: Start) -> None:
    """Somebody of the same name with another address was there before: the lost one is told by its address."""
    estate = Estate.build(
        small_estate(("Anna Berg", "Bo Dahl")).tenants,
        [SimOrganization("Contoso", 101)],
        [
            SimContact(101, "Anna", "Berg", emails=[SimEmail("anna.berg@contoso.example")]),
            SimContact(101, "Bo", "Dahl", emails=[SimEmail("other@home.example")]),
        ],
    )
    world = start(estate)
    world.sync()
    if changes(world)["create contact"] == 0:  # the name alone was a match: say that he is somebody else
        deciding.decide_user(world.workspace, "Contoso", "bo.dahl@contoso.example", action="create", **WHO)
        world.sync()
    world.add_fault(fault("lost_answer", "POST", "contacts"))
    approve_and_apply(world)

    assert counts(estate)["contacts"] == 3
    assert documented(estate)["bo.dahl@contoso.example"] == 1
    assert messages(world, "failed") == []
    assert_settled(world)
