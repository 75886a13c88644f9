"""What a tenant would allow, asked without reading it."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable

import pytest

from o365_etl.errors import UnreachableError
from o365_etl.graph.endings import ask_endings
from o365_etl.graph.model import TenantTarget
from o365_etl.graph.probe import TenantAnswer, ask_tenant, clock_offset, plain_transport
from o365_etl.simulator import PARTNER_ROLES, Estate, Fault, SimRelationship, SimTenant
from o365_etl.simulator.transport import Request, Response
from tests.graph.conftest import TENANT, Rig, Script, answer, jwt, people

Begin = Callable[..., Rig]
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def ask(rig: Rig, tenant: SimTenant | str | None = None) -> TenantAnswer:
    target = rig.target(tenant or rig.estate.tenants[0])
    with rig.session() as session:
        return ask_tenant(session, target)


def ask_script(script: Script, **connection: object) -> TenantAnswer:
    target = TenantTarget(tenant_id=TENANT, connection="c", kind="direct")
    with script._session(TENANT, **connection) as session:
        return ask_tenant(session, target)


def test_a_healthy_tenant(rig: Begin) -> None:
    """Id, permissions, edition and concealment are told, and no user is asked for."""
    world = rig(SimTenant("Contoso", users=people(3), concealed=True))
    answered = ask(world)

    assert answered.error is None
    assert answered.tenant_id == world.estate.tenants[0].tenant_id
    assert answered.roles is not None
    assert "User.Read.All" in answered.roles
    assert (answered.premium, answered.conceals) == (True, True)
    assert answered.refusals == {}
    asked = {record.path for record in world.simulator.requests if record.service == "graph"}
    assert asked == {"/v1.0/organization", "/v1.0/subscribedSkus", "/v1.0/admin/reportSettings"}


def test_a_tenant_without_consent_brings_the_link_to_send(rig: Begin) -> None:
    """Listed, not consented: the refusal and where consent is given."""
    world = rig(SimTenant("Contoso", consented=False))
    answered = ask(world)

    assert answered.error is not None
    assert answered.error.code == "not_consented"
    assert answered.consent_link is not None
    assert answered.consent_link in answered.error.remedy
    assert world.estate.tenants[0].tenant_id in answered.consent_link


def test_a_tenant_that_is_gone(rig: Begin) -> None:
    """Deleted at Microsoft: sign-in does not know it."""
    answered = ask(rig(), "0f0e0d0c-0000-4000-8000-000000000000")

    assert answered.error is not None
    assert answered.error.code == "tenant_not_found"


def test_something_that_is_no_tenant_id_is_asked_nothing(rig: Begin) -> None:
    """What stands in a partner's list does not get into an address."""
    world = rig()
    answered = ask(world, "../common")

    assert answered.error is not None
    assert answered.error.code == "invalid_tenant_id"
    assert world.simulator.requests == []


def test_a_refusal_is_no_error(rig: Begin) -> None:
    """A permission that is missing is told as such, and the other questions are still asked."""
    roles = ("User.Read.All", "Reports.Read.All")
    answered = ask(rig(SimTenant("Contoso", users=people(1), roles=roles)))

    assert answered.error is None
    assert answered.roles == set(roles)
    assert set(answered.refusals) == {"LicenseAssignment.Read.All", "ReportSettings.Read.All"}
    assert answered.premium is None


def test_another_tenant_that_answers_is_an_error(rig: Begin) -> None:
    """Nothing that a stranger says counts."""
    world = rig()
    world.fail(Fault("graph", "wrong_tenant", path="organization"))
    answered = ask(world)

    assert answered.error is not None
    assert answered.error.code == "wrong_tenant"


def test_a_server_that_fails_is_an_error_where_a_sync_would_fail_too(rig: Begin) -> None:
    """Without the organization there is nothing; without the report settings there is only less to tell."""
    world = rig()
    world.fail(Fault("graph", "status", path="organization", status=500))
    assert ask(world).error is not None

    world.fail(Fault("graph", "status", path="reportSettings", status=500))
    answered = ask(world)
    assert answered.error is None
    assert answered.conceals is None


def test_a_token_that_cannot_be_read_is_made_up_for_by_asking(script: Script) -> None:
    """Each permission is tried; what is forbidden is missing, what answers is granted."""
    forbidden = answer({"error": {"code": "Authorization_RequestDenied"}}, 403)
    item = {"id": "0", "status": 403, "headers": {}, "body": {"error": {"code": "ErrorAccessDenied"}}}
    script.answers |= {
        "/domains": forbidden,
        "/reports/getMailboxUsageDetail(period='D7')": forbidden,
        "/$batch": answer({"responses": [item]}),
        "/subscribedSkus": answer({"value": [_premium_sku()]}),
    }
    answered = ask_script(script)

    assert answered.roles is None
    assert answered.error is None
    assert set(answered.refusals) == {"Domain.Read.All", "Reports.Read.All", "MailboxSettings.Read"}


def _premium_sku() -> dict[str, object]:
    plan = {"servicePlanName": "AAD_PREMIUM", "provisioningStatus": "Success"}
    return {"consumedUnits": 1, "servicePlans": [plan]}


def test_a_tenant_that_is_refused_sign_ins_has_no_premium(script: Script) -> None:
    """Microsoft's word for it, where the products do not tell."""

    def users(request: Request) -> Response:
        if "signInActivity" in request.raw_query:
            return answer({"error": {"code": "Authentication_RequestFromNonPremiumTenantOrB2CTenant"}}, 403)
        return answer({"value": []})

    script.answers |= {
        "/subscribedSkus": answer({"error": {"code": "Authorization_RequestDenied"}}, 403),
        "/users": users,
    }
    answered = ask_script(script)

    assert answered.premium is False
    assert "AuditLog.Read.All" not in answered.refusals


def test_report_settings_are_understood_in_both_forms(script: Script) -> None:
    """The sample in the documentation wraps the object."""
    script.token = jwt(tid=TENANT, roles=["ReportSettings.Read.All"])
    script.answers["/admin/reportSettings"] = answer({"value": {"displayConcealedNames": True}})
    assert ask_script(script).conceals is True

    script.answers["/admin/reportSettings"] = answer({"displayConcealedNames": False})
    assert ask_script(script).conceals is False


@pytest.mark.parametrize("cloud", ["usgov", "usgovdod", "china"])
def test_a_national_cloud_is_not_asked_for_reports(script: Script, cloud: str) -> None:
    """What is not offered is neither refused nor concealed: the question is not sent."""
    answered = ask_script(script, cloud=cloud)

    assert answered.conceals is None
    assert not [request.path for request in script.requests if "eport" in request.path]


def test_the_clock_of_sign_in_is_read_without_a_secret(rig: Begin) -> None:
    """By how much it is ahead, to the second; no token is asked for."""
    partner = SimTenant("The MSP", roles=PARTNER_ROLES, listed_in="none", clock_ahead=600)
    world = rig(estate=Estate.build(tenants=[SimTenant("Contoso")], partner=partner))

    assert _offset(world) == pytest.approx(600, abs=30)
    assert {record.method for record in world.simulator.requests} == {"GET"}


def _offset(world: Rig) -> float | None:
    settings = world.settings
    with contextlib.closing(plain_transport(settings.ca_bundle, connections=1)) as transport:
        return clock_offset(transport, world.connection(), lambda: dt.datetime.now(dt.UTC))


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Sat, 01 Jan 2000 12:00:00 GMT", 3600.0),
        ("Sat, 01 Jan 2000 12:00:00", 3600.0),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_date_is_held_against_the_clock_that_is_given(script: Script, date: str, expected: float | None) -> None:
    """To the second; a proxy's header that is no date tells nothing."""
    respond = script._respond

    def dated(request: Request) -> Response:
        response = respond(request)
        response.headers["Date"] = date
        return response

    script._server._handler = dated
    transport = plain_transport(script._ca, connections=1)
    with script._session(TENANT) as session, contextlib.closing(transport):
        found = clock_offset(transport, session.connection("c"), lambda: dt.datetime(2000, 1, 1, 11, tzinfo=dt.UTC))

    assert found == expected
    assert [request.path for request in script.requests] == [f"/{TENANT}/v2.0/.well-known/openid-configuration"]


def test_an_authority_that_is_not_there(rig: Begin) -> None:
    """A name without a server is an error that names the network, before any secret is read."""
    world = rig()
    connection = world.connection().model_copy(update={"login_url": "https://127.0.0.1:9"})
    with (
        contextlib.closing(plain_transport(world.settings.ca_bundle, connections=1)) as transport,
        pytest.raises(UnreachableError),
    ):
        clock_offset(transport, connection, lambda: dt.datetime.now(dt.UTC))


def test_only_relationships_that_end_by_themselves_end(rig: Begin) -> None:
    """The latest of a tenant's active ones counts; one that extends itself keeps the tenant."""
    soon, later = NOW + dt.timedelta(days=10), NOW + dt.timedelta(days=100)

    def tenant(name: str, *relationships: SimRelationship) -> SimTenant:
        return SimTenant(name, relationships=list(relationships))

    world = rig(
        tenant("Aster", SimRelationship(ends_at=soon, auto_extend="PT0S")),
        tenant("Birch", SimRelationship(ends_at=soon, auto_extend="PT0S"), SimRelationship(ends_at=soon)),
        tenant(
            "Cedar",
            SimRelationship(ends_at=soon, auto_extend="PT0S"),
            SimRelationship(ends_at=later, auto_extend="PT0S"),
            SimRelationship("terminated", later + dt.timedelta(days=1), auto_extend="PT0S"),
        ),
    )
    connection = world.connection()
    with world.session() as session:
        endings = ask_endings(session.client(connection, connection.tenant_id))

    ids = {tenant.display_name: tenant.tenant_id for tenant in world.estate.tenants}
    assert {i: ending.ends_at.replace(microsecond=0) for i, ending in endings.items()} == {
        ids["Aster"]: soon,
        ids["Cedar"]: later,
    }
