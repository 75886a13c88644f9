"""What a healthy or restricted tenant leaves in the landing zone, and what its result says."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from typing import Literal

import msgspec
import pytest

from o365_etl.graph import TenantResult
from o365_etl.simulator import READER_ROLES, Estate, Fault, SimSku, SimTenant
from tests.graph.conftest import TENANT, Rig, Script, answer, jwt, people, streams

Begin = Callable[..., Rig]


def test_a_healthy_tenant_is_read_completely(rig: Begin) -> None:
    """All six streams are certified, every user is landed once, and the result names the tenant's own id."""
    world = rig(SimTenant("Contoso", users=people(7), odd_paging=True))
    tenant = world.estate.tenants[0]

    result = world.read()

    assert (result.status, result.tenant_id, result.error_code) == ("ok", tenant.tenant_id, None)
    assert {stream: receipt.state for stream, receipt in streams(result).items()} == {
        "tenants": "ok",
        "domains": "ok",
        "users": "ok",
        "licenses": "ok",
        "mailboxes": "ok",
        "sign_ins": "ok",
    }
    assert world.user_ids(tenant) == {user.user_id for user in tenant.users}
    assert streams(result)["users"].rows == 7
    assert result.as_of == streams(result)["users"].ended_at
    assert world.landed(tenant, "tenants", "organization")[0]["value"][0]["id"] == tenant.tenant_id
    assert len(world.landed(tenant, "licenses", "subscriptions")) == 1
    assert world.landed(tenant, "sign_ins", "sign_ins")


def test_a_result_survives_the_way_between_processes(rig: Begin) -> None:
    """Results are plain data: as JSON and back they are the same."""
    result = rig().read()

    assert msgspec.json.decode(msgspec.json.encode(result), type=TenantResult) == result


def test_the_requests_of_a_tenant_stay_within_budget(rig: Begin) -> None:
    """At most ceil(users/999) + 8 requests, plus sign-in pages, plus one batch per twenty open mailbox types."""
    world = rig(estate=Estate.sized(2, 1200, seed=3))
    world.read_all()
    for tenant in world.estate.tenants:
        first = _graph_requests(world, tenant)
        assert first <= math.ceil(1200 / 999) + 8 + math.ceil(1200 / 500) + math.ceil(1200 / 20)
    world.simulator.reset_log()
    world.read_all()
    for tenant in world.estate.tenants:
        assert _graph_requests(world, tenant) <= math.ceil(1200 / 999) + 8 + math.ceil(1200 / 500)
        assert world.simulator.count(tenant_id=tenant.tenant_id, path_prefix="/v1.0/$batch") == 0


def _graph_requests(world: Rig, tenant: SimTenant) -> int:
    counts = [world.simulator.count(service, tenant.tenant_id) for service in ("graph", "report")]
    return sum(counts)


def test_without_entra_p1_sign_ins_are_skipped_unasked(rig: Begin) -> None:
    """Where the licenses show no P1 or P2 plan nothing is asked, and the tenant is ok."""
    world = rig(SimTenant("Contoso", users=people(2, skus=("O365_BUSINESS_ESSENTIALS",))))

    result = world.read()

    assert result.status == "ok"
    assert (streams(result)["sign_ins"].state, streams(result)["sign_ins"].reason) == ("skipped", "no_premium")
    assert not [request for request in world.simulator.requests if "signInActivity" in request.query]


def test_a_premium_refusal_is_no_failure(rig: Begin) -> None:
    """Where the licenses promise P1 but the tenant refuses all the same, the stream is skipped, not failed."""
    world = rig(SimTenant("Contoso", users=people(2, skus=("SPE_E3",)), premium=False))

    result = world.read()

    assert result.status == "ok"
    assert (streams(result)["sign_ins"].state, streams(result)["sign_ins"].reason) == ("skipped", "no_premium")


@pytest.mark.parametrize(
    ("missing", "stream", "state", "status"),
    [
        ("AuditLog.Read.All", "sign_ins", "degraded", "partial"),
        ("Reports.Read.All", "mailboxes", "degraded", "partial"),
        ("Domain.Read.All", "domains", "failed", "partial"),
        ("User.Read.All", "users", "failed", "failed"),
        ("ReportSettings.Read.All", "mailboxes", "ok", "ok"),
        ("MailboxSettings.Read", "mailboxes", "ok", "ok"),
    ],
)
def test_a_missing_permission_costs_its_stream_alone(
    rig: Begin, missing: str, stream: str, state: str, status: str
) -> None:
    """Each missing role has its effect on one stream, and the remedy names the role and the consent link."""
    roles = tuple(role for role in READER_ROLES if role != missing)
    world = rig(SimTenant("Contoso", users=people(2, skus=("SPE_E3",)), roles=roles))

    result = world.read()

    receipt = streams(result)[stream]
    assert (receipt.state, result.status) == (state, status)
    if state != "ok":
        assert result.error_code == "forbidden"
        assert missing in str(result.remedy)
        assert "adminconsent?client_id=" in str(result.remedy)


def test_users_forbidden_after_an_earlier_read_is_partial(rig: Begin) -> None:
    """If users are known from an earlier certified read they stay, and the tenant is partial."""
    world = rig()
    tenant = world.estate.tenants[0]
    before = world.read()
    tenant.roles = tuple(role for role in READER_ROLES if role != "User.Read.All")
    world.estate.touch(tenant.tenant_id)

    after = world.read()

    assert (after.status, after.error_code) == ("partial", "forbidden")
    assert after.as_of == before.as_of
    assert world.user_ids(tenant) == {user.user_id for user in tenant.users}
    assert streams(after)["mailboxes"].state == "skipped"


def test_a_tenant_without_any_granted_role_fails(rig: Begin) -> None:
    """A service principal without a single role cannot read the organization: failed, with the consent link."""
    result = rig(SimTenant("Contoso", users=people(1), roles=())).read()

    assert (result.status, result.error_code) == ("failed", "forbidden")
    assert "Organization.Read.All" in str(result.remedy)


@pytest.mark.parametrize("form", ["flat", "wrapped"])
def test_a_concealed_report_degrades_without_being_asked_for(rig: Begin, form: Literal["flat", "wrapped"]) -> None:
    """Where the settings say that names are concealed, both forms are understood and no report is downloaded."""
    world = rig(SimTenant("Contoso", users=people(3), concealed=True, report_settings_form=form))

    result = world.read()

    receipt = streams(result)["mailboxes"]
    assert (result.status, receipt.state, receipt.reason) == ("ok", "degraded", "concealed")
    assert "untick" in str(receipt.remedy)
    assert world.simulator.count("report") == 0
    assert len(world.types(world.estate.tenants[0])) == 3


def test_concealment_shows_in_the_report_itself(rig: Begin) -> None:
    """Without the permission to read the settings, pseudonyms in the report say the same."""
    roles = tuple(role for role in READER_ROLES if role != "ReportSettings.Read.All")
    world = rig(SimTenant("Contoso", users=people(3), concealed=True, roles=roles))

    receipt = streams(world.read())["mailboxes"]

    assert (receipt.state, receipt.reason) == ("degraded", "concealed")


@pytest.mark.parametrize("columns", [15, 16, 17])
def test_every_form_of_the_report_is_landed(rig: Begin, columns: Literal[15, 16, 17]) -> None:
    """The report comes over the redirect without our token, without byte order mark, with all its columns and rows."""
    world = rig(SimTenant("Contoso", users=people(3), report_columns=columns))

    result = world.read()

    text = world.landing.parts(world.estate.tenants[0].tenant_id, "mailboxes", "usage_csv")[0].decode()
    rows = list(csv.reader(text.splitlines()))
    assert rows[0][0] == "Report Refresh Date"
    assert len(rows[0]) == columns
    assert len(rows) == 4
    assert streams(result)["mailboxes"].rows == 3


def test_zero_users_where_there_were_some_is_not_believed(rig: Begin) -> None:
    """An empty answer after a read with users leaves the old users in force."""
    world = rig()
    tenant = world.estate.tenants[0]
    world.read()
    world.fail(Fault("graph", "zero_users", path=r"/users\?.*proxyAddresses"))

    result = world.read()

    assert (result.status, result.error_code) == ("partial", "zero_users")
    assert len(world.user_ids(tenant)) == 3


def test_zero_users_of_a_tenant_that_consumes_licenses_is_not_believed(rig: Begin) -> None:
    """Also on the first read: who consumes licenses has users."""
    world = rig()
    world.fail(Fault("graph", "zero_users", path=r"/users\?.*proxyAddresses"))

    result = world.read()

    assert (result.status, result.error_code) == ("partial", "zero_users")
    assert world.landing.receipt(world.estate.tenants[0].tenant_id, "users") is None


def test_zero_users_is_not_believed_while_the_licenses_are_unknown(rig: Begin) -> None:
    """Unknown is not zero: without the licenses an empty list proves nothing."""
    world = rig()
    world.fail(
        Fault("graph", "zero_users", path=r"/users\?.*proxyAddresses"), Fault("graph", "status", path="subscribedSkus")
    )

    assert world.read().error_code == "zero_users"


def test_a_tenant_may_be_empty(rig: Begin) -> None:
    """A tenant that has no users and consumes no licenses is read completely."""
    world = rig(SimTenant("Contoso", users=[], skus=[SimSku("SPB", consumed=0)]))

    result = world.read()

    assert result.status == "ok"
    assert (streams(result)["users"].state, streams(result)["users"].rows) == ("ok", 0)


def test_another_tenants_answer_leaves_no_trace(rig: Begin) -> None:
    """If the organization is not the one asked for, the tenant fails and nothing is written anywhere."""
    world = rig()
    world.fail(Fault("graph", "wrong_tenant", path="/organization"))

    result = world.read()

    assert (result.status, result.error_code, result.tenant_id) == ("failed", "wrong_tenant", None)
    assert world.landing.sources() == []


def test_a_token_of_another_tenant_is_noticed(script: Script) -> None:
    """A readable token whose tid is another tenant's is the wrong tenant, whatever the organization says."""
    script.token = jwt(tid="99999999-2222-4333-8444-555555555555")

    result = script.read()

    assert (result.status, result.error_code) == ("failed", "wrong_tenant")
    assert script.landing.sources() == []


def test_an_opaque_token_is_good_enough(script: Script) -> None:
    """Tokens are opaque by contract: one that cannot be read is no reason to distrust the tenant."""
    assert script.read().status == "ok"


def test_a_direct_tenant_may_be_named_by_its_domain(script: Script) -> None:
    """The id comes from the answer; what is landed stands under the id, never under the domain."""
    result = script.read("contoso.example")

    assert (result.status, result.tenant_id) == ("ok", TENANT)
    assert script.landing.sources() == [TENANT]


@pytest.mark.parametrize("tenant_id", ["../../etc", "", "contoso.example", "x" * 300, "%2e%2e%2f"])
def test_an_invalid_tenant_id_is_never_used(rig: Begin, tenant_id: str) -> None:
    """What is no GUID in a partner's list costs no request and touches no file."""
    world = rig()

    result = world.read(world.target(tenant_id))

    assert (result.status, result.error_code) == ("failed", "invalid_tenant_id")
    assert world.simulator.requests == []
    assert world.landing.sources() == []


def test_an_organization_without_a_proper_id_is_refused(script: Script) -> None:
    """An id that is no GUID would become a folder name: it is refused."""
    script.answers["/organization"] = answer({"value": [{"id": "../../elsewhere"}]})

    assert script.read("contoso.example").error_code == "protocol"
    assert script.landing.sources() == []


def test_missing_subscriptions_cost_only_renewal_dates(script: Script) -> None:
    """A server without subscriptions still has certified licenses, with a note."""
    script.answers["/directory/subscriptions"] = answer({"error": {"code": "Request_ResourceNotFound"}}, 404)

    receipt = streams(script.read())["licenses"]

    assert (receipt.state, receipt.reason) == ("ok", "no_renewal_dates")


def test_a_user_that_comes_twice_counts_once(script: Script) -> None:
    """Pages may overlap: rows counts distinct users."""
    users = [{"id": "u1"}, {"id": "u2"}, {"id": "u1"}]
    script.answers["/users"] = answer({"value": users})

    assert streams(script.read())["users"].rows == 2


def test_unexpected_types_in_a_user_do_not_lose_the_page(script: Script) -> None:
    """A field of the wrong type counts as not told; the users are landed as they came."""
    odd = {"id": "u1", "accountEnabled": "yes", "proxyAddresses": "SMTP:a@b", "assignedPlans": [3, {"service": 4}]}
    script.answers["/users"] = answer({"value": [odd, {"id": "u2", "userType": None}]})

    receipt = streams(script.read())["users"]

    assert (receipt.state, receipt.rows) == ("ok", 2)


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": {}}, {"value": [{"displayName": "no id"}]}, []])
def test_a_page_that_is_none_is_never_an_empty_one(script: Script, body: object) -> None:
    """Without a list of users with ids the stream fails; nothing is taken for zero."""
    script.answers["/users"] = answer(body)

    receipt = streams(script.read())["users"]

    assert (receipt.state, receipt.error_code) == ("failed", "bad_answer")


def test_a_report_in_an_unknown_form_is_unsupported(script: Script) -> None:
    """A report without a column of names degrades the stream instead of giving wrong figures."""
    script.answers["/reports/getMailboxUsageDetail(period='D7')"] = answer(None, 302, Location=f"{script.url}/v1.0/csv")
    csv_answer = answer(None)
    csv_answer.body = "Datum,Name\r\n2026-01-01,x\r\n".encode("utf-8-sig")
    script.answers["/csv"] = csv_answer

    receipt = streams(script.read())["mailboxes"]

    assert (receipt.state, receipt.reason) == ("degraded", "unsupported")
    download = next(request for request in script.requests if request.path == "/v1.0/csv")
    assert "authorization" not in download.headers


def test_a_cloud_without_reports_is_unsupported(script: Script) -> None:
    """A report that does not exist degrades the stream; the tenant is ok."""
    result = script.read()

    assert result.status == "ok"
    assert (streams(result)["mailboxes"].state, streams(result)["mailboxes"].reason) == ("degraded", "unsupported")


def test_a_report_is_not_fetched_without_encryption(script: Script) -> None:
    """A redirect to plain http is refused."""
    link = answer(None, 302, Location="http://localhost/report.csv")
    script.answers["/reports/getMailboxUsageDetail(period='D7')"] = link

    assert streams(script.read())["mailboxes"].error_code == "foreign_link"


def test_one_tenant_under_two_names_is_read_once(rig: Begin) -> None:
    """Two targets that turn out to be one tenant do not write the same files at the same time."""
    world = rig(SimTenant("Contoso", users=people(3)))
    target = world.target(world.estate.tenants[0])

    results = world.read_all([target, target])

    assert sorted(str(result.error_code) for result in results) == ["None", "named_twice"]
    assert len(world.user_ids(world.estate.tenants[0])) == 3
