"""Graph's directory and user endpoints: rights, strictness, shapes, paging."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from o365_etl.simulator import (
    PARTNER_ROLES,
    READER_ROLES,
    Estate,
    SimRelationship,
    SimTenant,
    Simulator,
    SimUser,
)
from tests.simulator.caller import Caller

NEEDS = {
    "/v1.0/organization": "Organization.Read.All",
    "/v1.0/domains": "Domain.Read.All",
    "/v1.0/users": "User.Read.All",
    "/v1.0/users/$count": "User.Read.All",
    "/v1.0/subscribedSkus": "LicenseAssignment.Read.All",
    "/v1.0/directory/subscriptions": "Organization.Read.All",
    "/v1.0/contracts": "Directory.Read.All",
    "/v1.0/tenantRelationships/delegatedAdminCustomers": "DelegatedAdminRelationship.Read.All",
    "/v1.0/tenantRelationships/delegatedAdminRelationships": "DelegatedAdminRelationship.Read.All",
    "/v1.0/admin/reportSettings": "ReportSettings.Read.All",
}


@pytest.mark.parametrize("path", NEEDS)
def test_each_endpoint_asks_for_its_role(caller: Caller, tenant: SimTenant, path: str) -> None:
    """Without the role 403 Authorization_RequestDenied, with it alone an answer."""
    eventual = {"ConsistencyLevel": "eventual"}
    tenant.roles = ()
    assert caller.code(tenant, path) == (403, "Authorization_RequestDenied")

    tenant.roles = (NEEDS[path],)
    fresh = Caller(caller.simulator)
    assert fresh.graph(tenant, path, headers=eventual).status_code == 200
    fresh.session.close()


def test_mailbox_settings_ask_for_their_role(caller: Caller, tenant: SimTenant) -> None:
    """MailboxSettings.Read is enforced as well."""
    tenant.roles = ("User.Read.All",)

    path = f"/v1.0/users/{tenant.users[0].user_id}/mailboxSettings"
    assert caller.code(tenant, path) == (403, "Authorization_RequestDenied")


def test_without_a_good_token_the_answer_is_401(caller: Caller, tenant: SimTenant) -> None:
    """No token and a foreign token are refused with a challenge."""
    url = f"{caller.simulator.graph_url}/v1.0/organization"

    for headers in ({}, {"Authorization": "Bearer made.up.token"}):
        answer = caller.session.get(url, headers=headers, timeout=10)

        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_service_principal_removed_after_the_token_was_issued(caller: Caller, tenant: SimTenant) -> None:
    """The token outlives the consent, but Graph no longer knows the application."""
    caller.headers(tenant.tenant_id)
    tenant.consented = False

    assert caller.code(tenant, "/v1.0/users") == (401, "Authorization_IdentityNotFound")


def test_the_headers_of_the_directory(caller: Caller, tenant: SimTenant) -> None:
    """Request ids, versions and costs are on every answer, and the client's own request id is echoed."""
    answer = caller.graph(tenant, "/v1.0/users?$select=id&$top=999", headers={"client-request-id": "mine"})

    assert answer.headers["client-request-id"] == "mine"
    assert answer.headers["request-id"]
    assert answer.headers["x-ms-resource-unit"] == "1"
    assert answer.headers["odata-version"] == "4.0"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")


def test_an_error_has_hyphenated_ids_and_a_date_without_zone(caller: Caller, tenant: SimTenant) -> None:
    """The error body is that of the directory."""
    answer = caller.graph(tenant, "/v1.0/nothing/here")

    inner = answer.json()["error"]["innerError"]
    assert answer.status_code == 400
    assert inner["request-id"] == answer.headers["request-id"]
    assert dt.datetime.fromisoformat(inner["date"]).tzinfo is None


def test_a_write_is_not_allowed(caller: Caller, tenant: SimTenant) -> None:
    """The estate is read-only."""
    assert caller.code(tenant, "/v1.0/users", method="POST") == (405, "Request_BadRequest")


def test_organization_and_domains(caller: Caller, tenant: SimTenant) -> None:
    """The organization names the tenant; only /domains tells of an unverified domain."""
    row = caller.graph(tenant, "/v1.0/organization").json()["value"][0]
    domains = {each["id"]: each for each in caller.graph(tenant, "/v1.0/domains").json()["value"]}

    assert (row["id"], row["displayName"], row["tenantType"]) == (tenant.tenant_id, "Contoso", "AAD")
    assert {each["name"] for each in row["verifiedDomains"]} == {"Contoso.onmicrosoft.com", "contoso.example"}
    assert domains["contoso.example"]["isDefault"]
    assert not domains["pending.example"]["isVerified"]


def test_skus_show_suspended_products(caller: Caller, tenant: SimTenant) -> None:
    """A suspended product stands there with nothing enabled and units in use."""
    rows = {each["skuPartNumber"]: each for each in caller.graph(tenant, "/v1.0/subscribedSkus").json()["value"]}

    assert rows["SPB"]["consumedUnits"] == 1
    assert rows["SPB"]["id"] == f"{tenant.tenant_id}_{rows['SPB']['skuId']}"
    assert rows["ENTERPRISEPACK"]["prepaidUnits"] == {"enabled": 0, "suspended": 25, "warning": 0, "lockedOut": 0}
    assert rows["ENTERPRISEPACK"]["consumedUnits"] == 14


def test_users_have_only_the_default_properties_without_select(caller: Caller, tenant: SimTenant) -> None:
    """What is not asked for is not told."""
    answer = caller.graph(tenant, "/v1.0/users").json()

    expected = (
        "businessPhones displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname "
        "userPrincipalName"
    )
    assert " ".join(sorted(answer["value"][0])) == expected
    assert answer["@odata.context"] == f"{caller.simulator.graph_url}/v1.0/$metadata#users"


def test_the_context_names_the_selection(caller: Caller, tenant: SimTenant) -> None:
    """With `$select` the context lists the properties."""
    answer = caller.graph(tenant, "/v1.0/users?$select=id,mail").json()

    assert answer["@odata.context"].endswith("#users(id,mail)")
    assert set(answer["value"][0]) == {"id", "mail"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("$select=nonsense", (400, "BadRequest")),
        ("$select=id,mailboxSettings", (501, "NotImplemented")),
        ("$top=1000", (400, "Request_UnsupportedQuery")),
        ("$top=0", (400, "Request_UnsupportedQuery")),
        ("$top=many", (400, "Request_UnsupportedQuery")),
        ("%24top=1000", (400, "Request_UnsupportedQuery")),
        ("$select=id,signInActivity&$top=501", (400, "Request_UnsupportedQuery")),
        ("$skip=10", (400, "Request_UnsupportedQuery")),
        ("$skiptoken=made-up", (400, "Directory_ExpiredPageToken")),
        ("$filter=city ne 'X'", (400, "Request_UnsupportedQuery")),
        ("$filter=startswith(city,'X')", (400, "Request_UnsupportedQuery")),
    ],
)
def test_bad_queries_are_refused(caller: Caller, tenant: SimTenant, query: str, expected: tuple[int, str]) -> None:
    """A query that the service would refuse is refused, not guessed at."""
    assert caller.code(tenant, f"/v1.0/users?{query}") == expected


def test_filter_by_account_state(caller: Caller, tenant: SimTenant) -> None:
    """The common filters work."""
    rows = caller.graph(tenant, "/v1.0/users?$filter=accountEnabled eq false&$select=mail").json()["value"]

    assert len(rows) == 1


def test_filter_by_licenses_is_an_advanced_query(caller: Caller, tenant: SimTenant) -> None:
    """Counting assigned licenses takes the header and $count."""
    path = "/v1.0/users?$filter=assignedLicenses/$count ne 0&$count=true&$select=id"

    assert caller.code(tenant, path)[0] == 400
    answer = caller.graph(tenant, path, headers={"ConsistencyLevel": "eventual"}).json()
    assert [row["id"] for row in answer["value"]] == [tenant.users[0].user_id]
    assert answer["@odata.count"] == 1


def test_count_without_the_header_is_ignored(caller: Caller, tenant: SimTenant) -> None:
    """`$count=true` needs the ConsistencyLevel header, and says nothing about it."""
    assert "@odata.count" not in caller.graph(tenant, "/v1.0/users?$count=true").json()
    assert caller.code(tenant, "/v1.0/users/$count") == (400, "Request_BadRequest")


def test_sign_in_activity_has_odd_values(caller: Caller, tenant: SimTenant) -> None:
    """The empty string and the year 1 are passed on; who never signed in has no such property."""
    rows = caller.graph(tenant, "/v1.0/users?$select=signInActivity&$top=500").json()["value"]

    assert rows[0]["id"] == tenant.users[0].user_id
    assert rows[0]["signInActivity"]["lastNonInteractiveSignInDateTime"] == ""
    assert rows[0]["signInActivity"]["lastSuccessfulSignInDateTime"] == "0001-01-01T00:00:00Z"
    assert "signInActivity" not in rows[1]


def test_sign_in_activity_needs_premium_and_a_role(caller: Caller, tenant: SimTenant) -> None:
    """Without Entra ID P1 the whole page fails, without AuditLog.Read.All too."""
    path = "/v1.0/users?$select=id,signInActivity"
    tenant.premium = False
    assert caller.code(tenant, path) == (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")

    tenant.premium = True
    tenant.roles = tuple(role for role in READER_ROLES if role != "AuditLog.Read.All")
    fresh = Caller(caller.simulator)
    assert fresh.code(tenant, path) == (403, "Authorization_RequestDenied")
    fresh.session.close()


def test_one_user_by_id_and_by_name(caller: Caller, tenant: SimTenant) -> None:
    """A guest's name has a number sign, which has to be escaped in a path."""
    guest = tenant.users[1]
    by_id = caller.graph(tenant, f"/v1.0/users/{guest.user_id}").json()
    by_name = caller.graph(tenant, f"/v1.0/users/{guest.user_principal_name.replace('#', '%23')}").json()

    assert by_id == by_name
    assert by_id["userPrincipalName"] == guest.user_principal_name
    assert caller.code(tenant, "/v1.0/users/nobody") == (404, "Request_ResourceNotFound")


def test_license_details(caller: Caller, tenant: SimTenant) -> None:
    """The products of one user with their plans."""
    rows = caller.graph(tenant, f"/v1.0/users/{tenant.users[0].user_id}/licenseDetails").json()["value"]

    assert [row["skuPartNumber"] for row in rows] == ["SPB"]
    assert "EXCHANGE_S_STANDARD" in {plan["servicePlanName"] for plan in rows[0]["servicePlans"]}


def test_mailbox_purpose_in_its_forms(caller: Caller, tenant: SimTenant) -> None:
    """A string, or an object by tenant; 404 without a mailbox; 403 by policy."""
    shared = f"/v1.0/users/{tenant.users[2].user_id}/mailboxSettings"
    assert caller.graph(tenant, f"{shared}/userPurpose").json()["value"] == "shared"
    assert caller.graph(tenant, shared).json()["userPurpose"] == "shared"

    tenant.user_purpose_form = "object"
    assert caller.graph(tenant, shared).json()["userPurpose"] == {"value": "shared"}

    without = f"/v1.0/users/{tenant.users[3].user_id}/mailboxSettings/userPurpose"
    assert caller.code(tenant, without) == (404, "MailboxNotEnabledForRESTAPI")

    tenant.mailbox_policy = "blocked"
    assert caller.code(tenant, shared) == (403, "ErrorAccessDenied")


@pytest.fixture
def crowd(folder: Path) -> SimTenant:
    """A tenant of 25 users."""
    return SimTenant("Crowd", users=[SimUser(f"user{number}@crowd.example") for number in range(25)])


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("top", [1, 7, 24, 25, 999])
def test_pages_hold_every_user_once(folder: Path, crowd: SimTenant, odd: bool, top: int) -> None:
    """Whatever the page size, short and empty pages included, following the links finds each user once."""
    crowd.odd_paging = odd
    with Simulator(Estate.build([crowd]), folder=folder) as simulator:
        caller = Caller(simulator)
        pages = caller.pages(crowd, f"/v1.0/users?$select=id&$top={top}&$count=true")
        caller.session.close()

    found = [row["id"] for page in pages for row in page["value"]]
    assert found == [user.user_id for user in crowd.users]
    assert all(len(page["value"]) <= top for page in pages)
    assert any(not page["value"] for page in pages) == odd


def test_a_next_link_is_opaque_and_carries_the_options(folder: Path, crowd: SimTenant) -> None:
    """The link leads to the same host with all options and a token; the count is on page 1 alone."""
    with Simulator(Estate.build([crowd]), folder=folder) as simulator:
        caller = Caller(simulator)
        eventual = {"ConsistencyLevel": "eventual"}
        first = caller.graph(crowd, "/v1.0/users?$count=true&$select=id&$top=20", headers=eventual).json()
        second = caller.graph(crowd, first["@odata.nextLink"], headers=eventual).json()
        caller.session.close()

        assert first["@odata.nextLink"].startswith(f"{simulator.graph_url}/v1.0/users?$count=true&$select=id&$top=20&")
    assert first["@odata.count"] == 25
    assert "@odata.count" not in second
    assert "@odata.nextLink" not in second


def test_the_partner_sees_its_customers_in_two_lists(folder: Path) -> None:
    """Contracts and delegated administration each tell a part; expired relationships can be filtered out."""
    ends = dt.datetime(2030, 1, 2, tzinfo=dt.UTC)
    tenants = [
        SimTenant("Both"),
        SimTenant("Contract", listed_in="contracts"),
        SimTenant("Gdap", listed_in="gdap", relationships=[SimRelationship("expired"), SimRelationship(ends_at=ends)]),
        SimTenant("Neither", listed_in="none"),
    ]
    estate = Estate.build(tenants)
    relations = "/v1.0/tenantRelationships/delegatedAdmin"
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        contracts = caller.graph(estate.partner, "/v1.0/contracts").json()["value"]
        customers = caller.pages(estate.partner, f"{relations}Customers?$top=1")
        active = caller.graph(estate.partner, f"{relations}Relationships?$filter=status eq 'active'").json()
        information = caller.graph(
            estate.partner,
            f"/v1.0/tenantRelationships/findTenantInformationByTenantId(tenantId='{tenants[3].tenant_id}')",
        ).json()
        assert caller.code(estate.partner, f"{relations}Customers?$top=301")[0] == 400
        caller.session.close()

    assert {row["displayName"] for row in contracts} == {"Both", "Contract"}
    assert [row["displayName"] for page in customers for row in page["value"]] == ["Both", "Gdap"]
    assert "/tenantRelationships/$metadata#delegatedAdminRelationships" in active["@odata.context"]
    assert {row["customer"]["displayName"]: row["endDateTime"] for row in active["value"]}["Gdap"] == (
        "2030-01-02T00:00:00.0000006Z"
    )
    assert information["displayName"] == "Neither"


def test_a_customer_has_no_customers(folder: Path) -> None:
    """The partner's lists are empty for any other tenant."""
    estate = Estate.build([SimTenant("Plain", roles=PARTNER_ROLES), SimTenant("Other")])
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        assert caller.graph(estate.tenants[0], "/v1.0/contracts").json()["value"] == []
        caller.session.close()
