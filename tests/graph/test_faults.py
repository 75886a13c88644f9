"""What goes wrong on the way: survived where it may be, and never certified where it was not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o365_etl.graph import GraphSession, TenantTarget, read_tenants
from o365_etl.graph.transport import ATTEMPTS
from o365_etl.simulator import Fault, SimTenant
from o365_etl.simulator.faults import Kind
from o365_etl.simulator.transport import Request, Response
from tests.graph.conftest import TENANT, Rig, Script, answer, jwt, people, streams

Begin = Callable[..., Rig]
USERS = r"/users\?.*(proxyAddresses|skiptoken)"


def transient(path: str, calls: tuple[int, ...]) -> list[Fault]:
    """Every passing trouble, at these calls of this path."""
    return [
        Fault("graph", "throttle", path=path, calls=calls, retry_after="1"),
        Fault("graph", "throttle", path=path, calls=calls, retry_after="0.249"),
        Fault("graph", "throttle", path=path, calls=calls, retry_after="date+2"),
        Fault("graph", "throttle", path=path, calls=calls, retry_after=None),
        Fault("graph", "throttle", path=path, calls=calls, retry_after="soon"),
        Fault("graph", "status", path=path, calls=calls, status=500),
        Fault("graph", "status", path=path, calls=calls, status=502),
        Fault("graph", "status", path=path, calls=calls, status=503),
        Fault("graph", "status", path=path, calls=calls, status=504),
        Fault("graph", "reset", path=path, calls=calls),
        Fault("graph", "truncated", path=path, calls=calls),
        Fault("graph", "html_200", path=path, calls=calls),
        Fault("graph", "expired_page_token", path=path, calls=calls[:1]),
        Fault("graph", "unauthorized_once", path=path, calls=calls[:1]),
    ]


@pytest.mark.parametrize(
    "fault", transient(USERS, (2, 3)), ids=lambda fault: f"{fault.kind}-{fault.retry_after or fault.status}"
)
def test_passing_trouble_loses_and_doubles_nothing(rig: Begin, fault: Fault) -> None:
    """Trouble in mid-listing is waited out or started over; every user is landed exactly once."""
    world = rig(SimTenant("Contoso", users=people(9), odd_paging=True))
    tenant = world.estate.tenants[0]
    world.fail(fault)

    result = world.read()

    landed = [user["id"] for page in world.landed(tenant, "users", "users") for user in page["value"]]
    assert result.status == "ok"
    assert sorted(landed) == sorted(user.user_id for user in tenant.users)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("graph", "throttle", path=USERS, retry_after="1"), "throttled"),
        (Fault("graph", "throttle", path=USERS, retry_after="100000"), "throttled"),
        (Fault("graph", "status", path=USERS, status=503), "bad_answer"),
        (Fault("graph", "html_200", path=USERS), "bad_answer"),
        (Fault("graph", "truncated", path=USERS), "bad_answer"),
        (Fault("graph", "expired_page_token", path=USERS), "page_expired"),
        (Fault("graph", "loop", path=USERS), "paging_loop"),
        (Fault("graph", "foreign_host", path=USERS), "foreign_link"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_lasting_trouble_fails_the_stream_and_keeps_the_old_users(rig: Begin, fault: Fault, code: str) -> None:
    """A listing that cannot be finished is not certified: what was known stays, the other streams are read."""
    world = rig(SimTenant("Contoso", users=people(4), odd_paging=True))
    tenant = world.estate.tenants[0]
    world.read()
    world.fail(fault)

    result = world.read()

    assert (result.status, result.error_code) == ("partial", code)
    assert len(world.user_ids(tenant)) == 4
    assert streams(result)["licenses"].state == "ok"
    assert streams(result)["domains"].state == "ok"


def test_trouble_is_given_up_after_five_attempts(rig: Begin) -> None:
    """A server that never recovers is asked five times for a page, not for ever."""
    world = rig()
    world.fail(Fault("graph", "status", path="/domains", status=500))

    result = world.read()

    assert streams(result)["domains"].requests == ATTEMPTS
    assert world.simulator.count("graph", path_prefix="/v1.0/domains") == ATTEMPTS


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_a_refusal_is_not_asked_again(script: Script, status: int) -> None:
    """What asking again cannot change is asked once."""
    script.answers["/domains"] = answer({"error": {"code": ""}}, status)

    receipt = streams(script.read())["domains"]

    assert (receipt.state, receipt.requests) == ("failed", 1)


def test_a_foreign_link_gets_no_token(rig: Begin) -> None:
    """The token is not sent to another port of the same host either."""
    world = rig(SimTenant("Contoso", users=people(4), odd_paging=True))
    world.fail(Fault("graph", "foreign_host", path=USERS))

    receipt = streams(world.read())["users"]

    assert receipt.error_code == "foreign_link"
    assert receipt.requests == 1


@pytest.mark.parametrize(
    "link",
    [
        "http://{host}/v1.0/users?2",
        "https://u:p@{host}/v1.0/users?2",
        "//{host}/x",
        "/v1.0/users?2",
        "https://{host}.evil.example/",
        "https://[",
        "",
    ],
)
def test_only_a_link_to_the_very_origin_is_followed(script: Script, link: str) -> None:
    """Another scheme, credentials in the link, a relative or broken link: not followed, and not certified."""
    body = {"value": [{"id": "u1"}], "@odata.nextLink": link.format(host=script.url.removeprefix("https://"))}
    script.answers["/users"] = answer(body)

    assert streams(script.read())["users"].error_code == "foreign_link"


def test_throttling_holds_back_the_whole_tenant(rig: Begin) -> None:
    """Every stream of a throttled tenant waits; the receipt says how long."""
    world = rig()
    world.fail(Fault("graph", "throttle", path="/subscribedSkus", calls=(1,), retry_after="30"))

    result = world.read()

    assert result.status == "ok"
    assert streams(result)["licenses"].waited_seconds >= 30
    assert streams(result)["licenses"].requests == 3


def test_a_refused_token_is_renewed_once(rig: Begin) -> None:
    """401 costs one new token and one more request, and nothing is lost."""
    world = rig()
    tenant_id = world.estate.tenants[0].tenant_id
    world.fail(Fault("graph", "unauthorized_once", path="/domains", calls=(1,)))
    assert world.read().status == "ok"
    assert world.simulator.count("login", tenant_id, path_prefix=f"/{tenant_id}/oauth2/") == 2


def test_a_token_that_stays_refused_is_the_end(script: Script) -> None:
    """A second 401 is not answered by a third token."""
    script.answers["/domains"] = answer({"error": {"code": "InvalidAuthenticationToken"}}, 401)

    result = script.read()

    assert (result.status, result.error_code) == ("partial", "token_refused")
    assert streams(result)["domains"].requests == 2


def test_a_claims_challenge_is_answered(script: Script) -> None:
    """A 401 that asks for claims gets a token that was asked for with these claims."""
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7fX19"'
    seen: list[bytes] = []

    def domains(request: Request) -> Response:
        seen.append(request.body)
        if len(seen) == 1:
            return answer({"error": {"code": "InvalidAuthenticationToken"}}, 401, WWW_Authenticate=challenge)
        return answer({"value": []})

    script.answers["/domains"] = domains

    assert script.read().status == "ok"
    tokens = [request for request in script.requests if request.path.endswith("/token")]
    assert b"claims=" not in tokens[0].body
    assert b"nbf" in tokens[1].body


def test_an_expired_download_link_is_asked_for_again(rig: Begin) -> None:
    """A report link that died is not the end of the report."""
    world = rig()
    world.fail(Fault("report", "status", status=403, calls=(1,)))

    result = world.read()

    assert streams(result)["mailboxes"].state == "ok"
    assert world.simulator.count("report") == 2


def test_a_report_that_cannot_be_had_fails_its_stream(rig: Begin) -> None:
    """A download that never succeeds is a failure of this stream alone: nothing is concluded from it."""
    world = rig()
    world.fail(Fault("report", "html_200"))

    result = world.read()

    assert (result.status, result.error_code) == ("partial", "bad_answer")
    assert world.landing.receipt(world.estate.tenants[0].tenant_id, "mailboxes") is None


def test_one_tenants_failure_is_one_tenants_failure(rig: Begin) -> None:
    """Of three tenants the one in trouble fails; the results come in the order of the targets."""
    world = rig(*(SimTenant(name, users=people(2, f"{name.lower()}.example")) for name in ("Aster", "Birch", "Cedar")))
    second = world.estate.tenants[1]
    world.fail(Fault("graph", "status", tenant_id=second.tenant_id, status=503))

    results = world.read_all()

    assert [result.target.tenant_id for result in results] == [tenant.tenant_id for tenant in world.estate.tenants]
    assert [result.status for result in results] == ["ok", "failed", "ok"]


def test_a_full_disk_fails_the_stream_and_not_the_program(rig: Begin) -> None:
    """Where nothing can be written the tenant fails with the mend; there is no traceback."""
    world = rig()
    world.landing.root.mkdir()
    (world.landing.root / world.estate.tenants[0].tenant_id).write_text("a file where a folder should be")

    result = world.read()

    assert (result.status, result.error_code) == ("failed", "local")


def test_a_damaged_memory_of_types_is_no_obstacle(rig: Begin) -> None:
    """If the last landing is damaged, types are found out anew."""
    world = rig()
    tenant = world.estate.tenants[0]
    world.read()
    folder = world.landing.root / tenant.tenant_id
    next(folder.glob("mailboxes.*.zst")).write_bytes(b"nonsense")

    assert world.read().status == "ok"
    assert len(world.types(tenant)) == 3


def test_an_interrupt_ends_the_read(rig: Begin) -> None:
    """What `on_done` raises comes out at once, also while other threads are told to wait for a minute."""
    world = rig(*(SimTenant(name, users=people(1, f"{name.lower()}.example")) for name in ("Aster", "Birch")))
    slow = world.estate.tenants[1].tenant_id
    world.fail(Fault("graph", "throttle", tenant_id=slow, retry_after="60"))
    session = GraphSession(world.settings, threads=2)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with session, pytest.raises(KeyboardInterrupt):
        read_tenants(session, [world.target(t) for t in world.estate.tenants], world.landing, "read", on_done=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("graph-")]


def test_on_done_is_told_of_every_tenant(rig: Begin) -> None:
    """Each tenant is announced once, in the thread that asked."""
    world = rig(*(SimTenant(f"T{n}", users=people(1, f"t{n}.example")) for n in range(9)))
    told: list[tuple[str, str]] = []
    with world.session(threads=1) as session:
        targets = [world.target(tenant) for tenant in world.estate.tenants]
        results = read_tenants(
            session,
            targets,
            world.landing,
            "read",
            on_done=lambda result: told.append((result.target.tenant_id, threading.current_thread().name)),
        )
    assert sorted(told) == sorted((target.tenant_id, threading.current_thread().name) for target in targets)
    assert {result.status for result in results} == {"ok"}


def test_a_defect_of_ours_costs_one_tenant(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception becomes the tenant's failure with a traceback in the log, and nothing personal in it."""

    address = "@".join(["anna", "contoso.example"])  # a literal would stand in the traceback's lines of source

    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(address)

    script.landing = Broken()  # type: ignore[assignment]  # the defect: a landing zone that is none

    result = script.read()

    assert (result.status, result.error_code) == ("failed", "internal")
    assert "anna" not in str(result.message)
    assert "tenant.py" in caplog.text
    assert "anna" not in caplog.text


@st.composite
def troubles(draw: st.DrawFn) -> list[Fault]:
    """Any sequence of passing troubles at any calls of the listing of users, and of the report."""
    kinds: list[Kind] = [
        "throttle",
        "status",
        "reset",
        "truncated",
        "html_200",
        "expired_page_token",
        "unauthorized_once",
    ]
    faults = []
    for _ in range(draw(st.integers(1, 4))):
        faults.append(
            Fault(
                "graph",
                draw(st.sampled_from(kinds)),
                path=draw(st.sampled_from([USERS, "signInActivity", "subscribedSkus", "organization", "batch"])),
                calls=tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))),
                retry_after=draw(st.sampled_from([None, "0", "1", "2.128", "date+1"])),
                status=draw(st.sampled_from([500, 502, 503, 504])),
            )
        )
    return faults


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=troubles())
def test_no_sequence_of_troubles_certifies_a_part(world_of_nine: Rig, faults: list[Fault]) -> None:
    """Whatever passes by, a certified listing holds every user exactly once; else it is not certified."""
    world = world_of_nine
    tenant = world.estate.tenants[0]
    everyone = sorted(user.user_id for user in tenant.users)
    world.landing.forget(tenant.tenant_id)
    world.fail(*faults)

    result = world.read()

    landed = [user["id"] for page in world.landed(tenant, "users", "users") for user in page["value"]]
    certified = "users" in streams(result) and streams(result)["users"].certified
    assert sorted(landed) == (everyone if certified else [])
    if certified:
        assert streams(result)["users"].rows == len(everyone)


@pytest.fixture
def world_of_nine(rig: Begin) -> Rig:
    """A tenant whose listing has three pages, one of them empty."""
    return rig(SimTenant("Contoso", users=people(9), odd_paging=True))


def test_errors_name_no_person(rig: Begin) -> None:
    """Messages and remedies of failed streams hold no name, address or user id."""
    world = rig()
    tenant = world.estate.tenants[0]
    world.fail(Fault("graph", "status", status=400, path="Mailbox|users|batch"))

    result = world.read()

    text = " ".join(f"{receipt.message} {receipt.remedy}" for receipt in result.receipts)
    assert not [user for user in tenant.users if user.user_id in text or user.user_principal_name in text]


def test_unreadable_tokens_are_opaque(script: Script) -> None:
    """A token with three parts that are no JSON, or with claims of odd types, is opaque and not an error."""
    for token in ("a.b.c", "a.%%.c", jwt(tid=5), jwt(roles="all")):
        script.token = token
        assert script.read().status == "ok"


def test_a_target_of_an_unknown_connection_fails(rig: Begin) -> None:
    """A target whose connection is not configured any more is that tenant's failure."""
    result = rig().read(TenantTarget(tenant_id=TENANT, connection="gone", kind="partner"))

    assert (result.status, result.error_code) == ("failed", "config")
