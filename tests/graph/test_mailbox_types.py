"""How mailbox types become known: few requests, remembered, and never worse than what was known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.graph.answers import Plan, User
from o365_etl.graph.directory import Directory, KnownType
from o365_etl.simulator import Fault, SimMailbox, SimTenant, SimUser
from o365_etl.simulator.transport import Request, Response
from tests.graph.conftest import Rig, Script, answer, people, streams

Begin = Callable[..., Rig]


def shared(name: str, kind: Any = "shared") -> SimUser:
    """A mailbox that is nobody's: a disabled account without license."""
    user = SimUser.person(name, "Box", "contoso.example", skus=())
    user.account_enabled = False
    user.mailbox = SimMailbox(kind=kind)
    return user


def batches(world: Rig) -> int:
    """How many batch calls the server has seen."""
    return world.simulator.count(path_prefix="/v1.0/$batch")


def beta_pages(world: Rig) -> int:
    """How many pages of the beta report the server was asked for."""
    return world.simulator.count(path_prefix="/beta/")


@pytest.mark.parametrize("form", ["string", "object"])
def test_types_are_told_by_the_mailboxes(rig: Begin, form: Any) -> None:
    """A handful of mailboxes costs one batch; both forms of the answer are understood."""
    info, room = shared("Info"), shared("Room", "room")
    anna = SimUser.person("Anna", "Berg", "contoso.example")
    world = rig(SimTenant("Contoso", users=[anna, info, room], user_purpose_form=form))

    world.read()

    types = world.types(world.estate.tenants[0])
    assert {user_id: known["type"] for user_id, known in types.items()} == {
        anna.user_id: "user",
        info.user_id: "shared",
        room.user_id: "room",
    }
    assert {known["source"] for known in types.values()} == {"mailbox_settings"}
    assert (batches(world), beta_pages(world)) == (1, 0)


def test_many_types_are_told_by_the_report(rig: Begin) -> None:
    """From twenty-one open types on, one page of the beta report replaces the batches."""
    world = rig(SimTenant("Contoso", users=[*people(40), shared("Info")]))

    world.read()

    types = world.types(world.estate.tenants[0])
    assert len(types) == 41
    assert types[shared("Info").user_id]["type"] == "shared"
    assert {known["source"] for known in types.values()} == {"report"}
    assert (batches(world), beta_pages(world)) == (0, 1)
    assert len(world.landed(world.estate.tenants[0], "mailboxes", "recipient_types")) == 1


@pytest.mark.parametrize("missing", [{"recipient_type_json": False}, {"recipient_type_column": False}])
def test_without_the_beta_report_the_mailboxes_are_asked(rig: Begin, missing: dict[str, Any]) -> None:
    """A server without the beta report, or without its undocumented column, costs one request more, no type."""
    world = rig(SimTenant("Contoso", users=people(45), **missing))

    result = world.read()

    assert result.status == "ok"
    assert {known["type"] for known in world.types(world.estate.tenants[0]).values()} == {"user"}
    assert (batches(world), beta_pages(world)) == (math.ceil(45 / 20), 1)


def test_what_is_known_is_not_asked_again(rig: Begin) -> None:
    """A second read of an unchanged tenant asks for no type and still lands the whole map."""
    world = rig(SimTenant("Contoso", users=[*people(30), shared("Info")], recipient_type_json=False))
    tenant = world.estate.tenants[0]
    world.read()
    before = world.types(tenant)
    world.simulator.reset_log()

    world.read()

    assert (batches(world), beta_pages(world)) == (0, 0)
    assert world.types(tenant) == before


def test_only_new_and_changed_users_are_asked_about(rig: Begin) -> None:
    """One new and one newly disabled user make two questions in one batch; who left is forgotten."""
    users = people(30)
    world = rig(SimTenant("Contoso", users=users, recipient_type_json=False))
    tenant = world.estate.tenants[0]
    world.read()
    world.simulator.reset_log()
    users[0].account_enabled = False
    users[0].mailbox = SimMailbox(kind="shared")
    gone = users.pop(5)
    users.append(shared("New"))
    world.estate.touch(tenant.tenant_id)

    world.read()

    types = world.types(tenant)
    asked = world.landed(tenant, "mailboxes", "mailbox_settings")[0]
    assert batches(world) == 1
    assert {item["user_id"] for item in asked} == {users[0].user_id, users[-1].user_id}
    assert types[users[0].user_id]["type"] == "shared"
    assert gone.user_id not in types


def test_a_user_without_mailbox_is_remembered_as_such(rig: Begin) -> None:
    """Exchange's own 404 is an answer: no mailbox, not asked again."""
    nobody = SimUser.person("No", "Box", "contoso.example")
    nobody.mailbox = None
    world = rig(SimTenant("Contoso", users=[nobody]))
    world.read()
    world.simulator.reset_log()

    world.read()

    assert world.types(world.estate.tenants[0])[nobody.user_id]["type"] is None
    assert batches(world) == 0


def test_a_policy_leads_to_a_labelled_guess_and_one_question(rig: Begin) -> None:
    """Where all is forbidden one batch is enough to know; the next read tries once, and learns when it may."""
    users = [*people(50), shared("Info")]
    tenant = SimTenant("Contoso", users=users, mailbox_policy="blocked", recipient_type_json=False)
    world = rig(tenant)

    result = world.read()

    types = world.types(tenant)
    assert result.status == "ok"
    assert batches(world) == 1
    assert types[shared("Info").user_id] == types[shared("Info").user_id] | {"type": "shared", "source": "heuristic"}
    assert types[users[0].user_id] == types[users[0].user_id] | {"type": None, "source": "heuristic"}

    world.simulator.reset_log()
    world.read()
    assert (batches(world), beta_pages(world)) == (1, 0)

    tenant.mailbox_policy = "open"
    world.estate.touch(tenant.tenant_id)
    world.read()
    assert {known["source"] for known in world.types(tenant).values()} == {"mailbox_settings"}


def test_a_single_blocked_mailbox_is_guessed_alone(rig: Begin) -> None:
    """A policy on one mailbox does not stop the questions about the others."""
    users = people(25)
    assert users[0].mailbox is not None
    users[0].mailbox.blocked = True
    world = rig(SimTenant("Contoso", users=users, recipient_type_json=False))

    world.read()

    sources = {user_id: known["source"] for user_id, known in world.types(world.estate.tenants[0]).items()}
    assert sources.pop(users[0].user_id) == "heuristic"
    assert set(sources.values()) == {"mailbox_settings"}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_without_batches_types_are_guessed(rig: Begin, status: int) -> None:
    """A server that offers no $batch costs no failure."""
    world = rig(SimTenant("Contoso", users=[*people(3), shared("Info")]))
    world.fail(Fault("graph", "status", path=r"\$batch", status=status))

    result = world.read()

    assert result.status == "ok"
    assert {known["source"] for known in world.types(world.estate.tenants[0]).values()} == {"heuristic"}


def test_a_type_that_cannot_be_read_now_keeps_its_last_value(rig: Begin) -> None:
    """A changed user whose mailbox cannot be asked keeps the known type, marked so, and is asked next time."""
    users = [*people(2), shared("Info")]
    tenant = SimTenant("Contoso", users=users)
    world = rig(tenant)
    world.read()
    users[2].account_enabled = True
    world.estate.touch(tenant.tenant_id)
    world.fail(Fault("graph", "status", path=r"\$batch", status=503))

    result = world.read()

    kept = world.types(tenant)[users[2].user_id]
    assert result.status == "ok"
    assert (kept["type"], kept["source"]) == ("shared", "last_known")
    world.fail()
    world.read()
    assert world.types(tenant)[users[2].user_id]["source"] == "mailbox_settings"


def test_a_throttled_item_is_asked_again_alone(rig: Begin) -> None:
    """Only the items that were throttled are sent again, after the wait they asked for."""
    world = rig(SimTenant("Contoso", users=people(5)))
    world.fail(Fault("graph", "throttle", path="mailboxSettings", calls=(2, 4), retry_after="0.249"))

    world.read()

    tenant = world.estate.tenants[0]
    assert batches(world) == 2
    assert {known["type"] for known in world.types(tenant).values()} == {"user"}
    assert len(world.landed(tenant, "mailboxes", "mailbox_settings")[0]) == 5


def test_items_throttled_for_ever_are_left_open(rig: Begin) -> None:
    """After six tries the types stay unknown; the stream is fine and asks again next time."""
    world = rig(SimTenant("Contoso", users=people(2)))
    world.fail(Fault("graph", "throttle", path="mailboxSettings", retry_after="1"))

    result = world.read()

    assert result.status == "ok"
    assert batches(world) == 6
    assert world.types(world.estate.tenants[0]) == {}


def test_ids_in_batches_are_encoded(script: Script) -> None:
    """An id that is no GUID cannot change what is asked for."""
    odd = {"id": "../x?y#z/ü", "mail": "a@b", "proxyAddresses": ["SMTP:a@b"]}
    bodies: list[bytes] = []

    def batch(request: Request) -> Response:
        bodies.append(request.body)
        return answer({"responses": []})

    script.answers["/users"] = answer({"value": [odd]})
    script.answers["/reports/getMailboxUsageDetail(period='D7')"] = answer(None, 501)
    script.answers["/$batch"] = batch

    assert streams(script.read())["mailboxes"].state == "degraded"
    assert b"/users/..%2Fx%3Fy%23z%2F%C3%BC/mailboxSettings" in bodies[0]


PLANS = [
    Plan("exchange", "Enabled", "efb87545-963c-4e0d-99df-69c6916d9eb0"),
    Plan("exchange", "Enabled", "113feb6c-3fe4-4440-bddc-54d774bf0318"),
    Plan("exchange", "Deleted", "efb87545-963c-4e0d-99df-69c6916d9eb0"),
    Plan("exchange", "Enabled", "00000000-0000-0000-0000-000000000001"),
    Plan("SharePoint", "Enabled", "00000000-0000-0000-0000-000000000002"),
    Plan(None, None, None),
]


@pytest.mark.parametrize(
    ("user", "candidate"),
    [
        (User("u", "a@b", plans=[PLANS[0]]), True),
        (User("u", "a@b", plans=[PLANS[1]]), False),
        (User("u", "a@b", plans=[PLANS[2]]), False),
        (User("u", "a@b", plans=[PLANS[3]]), True),
        (User("u", "a@b", plans=[PLANS[4], PLANS[5]]), False),
        (User("u", "a@b", mail="a@b", addresses=["SMTP:a@b"]), True),
        (User("u", "a@b", mail="a@b", addresses=["SIP:a@b"]), False),
        (User("u", "a@b", addresses=["SMTP:a@b"]), False),
        (User("u", "a@b", user_type="Guest", mail="a@b", addresses=["SMTP:a@b"]), False),
        (User("u", "a_b#EXT#@c", mail="a@b", addresses=["SMTP:a@b"]), False),
        (User("u"), False),
    ],
)
def test_who_may_have_a_mailbox(user: User, candidate: bool) -> None:
    """An Exchange plan that carries a mailbox, or mail with an SMTP address; never a guest."""
    directory = Directory({})

    directory.add([user])

    assert ("u" in directory.open) is candidate


users = st.builds(
    User,
    id=st.sampled_from("abc"),
    upn=st.sampled_from(["a@b", "A@B", "x#EXT#@b", None]),
    mail=st.sampled_from(["a@b", None]),
    user_type=st.sampled_from(["Member", "Guest", None, "Alien"]),
    enabled=st.sampled_from([True, False, None]),
    addresses=st.lists(st.sampled_from(["SMTP:a@b", "smtp:c@b", "SIP:a@b"]), max_size=2),
    plans=st.lists(st.sampled_from(PLANS), max_size=2),
)


@given(first=st.lists(users, max_size=6))
def test_what_was_learnt_is_not_open_again(first: list[User]) -> None:
    """If every open type is told, the same listing leaves nothing open, in whatever order pages repeat users."""
    before = Directory({})
    before.add(first)
    known = {user_id: KnownType("user", "report", candidate.mark) for user_id, candidate in before.open.items()}

    after = Directory(known)
    after.add(first)

    assert after.open == {}
    assert after.ids == before.ids
