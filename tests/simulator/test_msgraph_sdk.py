"""An independent client, Microsoft's own SDK, against the simulator: the two must not merely agree with each other.

Skipped where the optional extra `msgraph` is not installed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from o365_etl.simulator import Estate, Fault, FaultPlan, SimTenant, Simulator, SimUser
from tests.simulator.caller import contoso

pytest.importorskip("msgraph", reason="the optional extra `msgraph` (msgraph-sdk, azure-identity) is not installed")
pytest.importorskip("azure.identity.aio", reason="azure-identity is not installed")
# The SDK's dependencies warn about themselves
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
T = TypeVar("T")


def run(simulator: Simulator, tenant: SimTenant, use: Callable[[Any], Awaitable[T]], certificate: bool = False) -> T:
    """Let `use` work with a GraphServiceClient for the tenant."""
    return asyncio.run(_run(simulator, tenant, use, certificate))


async def _run(simulator: Simulator, tenant: SimTenant, use: Callable[[Any], Awaitable[T]], certificate: bool) -> T:
    import httpx
    from azure.identity import CertificateCredential, ClientSecretCredential
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph.graph_request_adapter import options
    from msgraph_core import GraphClientFactory

    partner = simulator.partner
    shared: dict[str, Any] = {
        "authority": simulator.login_url,
        "disable_instance_discovery": True,
        "connection_verify": str(simulator.ca_bundle),
    }
    credential: Any
    if certificate:
        credential = CertificateCredential(
            tenant.tenant_id, partner.client_id, certificate_path=str(partner.certificate_pem), **shared
        )
    else:
        credential = ClientSecretCredential(tenant.tenant_id, partner.client_id, partner.client_secret, **shared)
    auth = AzureIdentityAuthenticationProvider(
        credential, scopes=[f"{simulator.graph_url}/.default"], allowed_hosts=["localhost"]
    )
    context = ssl.create_default_context(cafile=str(simulator.ca_bundle))
    # The middleware wraps the transport without closing it, so it is closed here
    async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
        plain = httpx.AsyncClient(transport=transport)
        http = GraphClientFactory.create_with_default_middleware(client=plain, options=options)
        adapter = GraphRequestAdapter(auth, client=http)
        adapter.base_url = f"{simulator.graph_url}/v1.0"
        try:
            return await use(GraphServiceClient(request_adapter=adapter))
        finally:
            credential.close()


@pytest.mark.parametrize("certificate", [False, True], ids=["secret", "certificate"])
def test_the_sdk_reads_the_organization(folder: Path, certificate: bool) -> None:
    """azure-identity signs in both ways, and the SDK's typed model finds its properties."""
    tenant = contoso()

    async def use(client: Any) -> Any:
        return await client.organization.get()

    with Simulator(Estate.build([tenant]), folder=folder) as simulator:
        answer = run(simulator, tenant, use, certificate)

    assert [(each.id, each.display_name) for each in answer.value] == [(tenant.tenant_id, "Contoso")]
    assert {each.name for each in answer.value[0].verified_domains} == {"Contoso.onmicrosoft.com", "contoso.example"}


@pytest.mark.parametrize("odd", [False, True], ids=["ordinary pages", "short and empty pages"])
def test_the_sdk_follows_pages(folder: Path, odd: bool) -> None:
    """The SDK finds every user once by following the links."""
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder
    from msgraph_core.tasks.page_iterator import PageIterator

    people = [SimUser(f"user{number}@crowd.example") for number in range(250)]
    tenant = SimTenant("Crowd", users=people, odd_paging=odd)

    async def use(client: Any) -> list[str]:
        query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(select=["id", "displayName"], top=100)
        first = await client.users.get(
            request_configuration=UsersRequestBuilder.UsersRequestBuilderGetRequestConfiguration(query_parameters=query)
        )
        found: list[str] = []
        iterator = PageIterator(first, client.request_adapter)
        if not odd:
            await iterator.iterate(lambda user: found.append(user.id) is None)
            return found
        # `iterate` takes an empty page for the end (msgraph-core 1.5.2), so the pages are taken one by one
        while True:
            found += [user.id for user in iterator.current_page.value]
            following = await iterator.next()
            if following is None:
                return found
            iterator.current_page = following

    with Simulator(Estate.build([tenant]), folder=folder) as simulator:
        found = run(simulator, tenant, use)

    assert found == [user.user_id for user in people]


def test_the_sdk_understands_users_and_skus(folder: Path) -> None:
    """Dates, lists and nested types arrive in the SDK's own model."""
    from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

    tenant = contoso()
    select = ["id", "createdDateTime", "proxyAddresses", "assignedLicenses", "licenseAssignmentStates", "assignedPlans"]

    async def use(client: Any) -> tuple[Any, Any]:
        query = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(select=select)
        configuration = UserItemRequestBuilder.UserItemRequestBuilderGetRequestConfiguration(query_parameters=query)
        user = await client.users.by_user_id(tenant.users[0].user_id).get(request_configuration=configuration)
        return user, await client.subscribed_skus.get()

    with Simulator(Estate.build([tenant]), folder=folder) as simulator:
        user, skus = run(simulator, tenant, use)

    assert user.created_date_time == tenant.users[0].created_at
    assert user.proxy_addresses == ["SMTP:anna.berg@contoso.example"]
    assert str(user.assigned_licenses[0].sku_id) == tenant.users[0].licenses[0].sku_id
    assert {plan.service for plan in user.assigned_plans} >= {"exchange"}
    assert {sku.sku_part_number: sku.prepaid_units.enabled for sku in skus.value} == {"SPB": 5, "ENTERPRISEPACK": 0}


def test_the_sdk_follows_the_report_to_another_origin(folder: Path) -> None:
    """The redirect is followed without the token, which the download would refuse."""
    tenant = contoso()

    async def use(client: Any) -> bytes:
        answer: bytes = await client.reports.get_mailbox_usage_detail_with_period("D7").get()
        return answer

    with Simulator(Estate.build([tenant]), folder=folder) as simulator:
        body = run(simulator, tenant, use)

    assert body.startswith(b"\xef\xbb\xbfReport Refresh Date,")


def test_the_sdk_waits_when_it_is_throttled(folder: Path) -> None:
    """A 429 with Retry-After is tried again by the SDK's own middleware."""
    tenant = contoso()
    plan = FaultPlan([Fault("graph", "throttle", path="/organization", calls=(1,), retry_after="1")])

    async def use(client: Any) -> Any:
        return await client.organization.get()

    with Simulator(Estate.build([tenant]), faults=plan, folder=folder) as simulator:
        answer = run(simulator, tenant, use)
        assert simulator.count("graph", path_prefix="/v1.0/organization") == 2

    assert answer.value[0].id == tenant.tenant_id


def test_the_sdk_reads_errors(folder: Path) -> None:
    """A refusal arrives as the SDK's typed error with our code."""
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    tenant = contoso()
    tenant.roles = ()

    async def use(client: Any) -> Any:
        return await client.users.get()

    with (
        Simulator(Estate.build([tenant]), folder=folder) as simulator,
        pytest.raises(ODataError) as caught,
    ):
        run(simulator, tenant, use)

    assert caught.value.response_status_code == 403
    assert caught.value.error is not None
    assert caught.value.error.code == "Authorization_RequestDenied"


@pytest.mark.parametrize("odd", [False, True], ids=["ordinary rounds", "odd rounds"])
def test_the_sdk_follows_what_changed(folder: Path, odd: bool) -> None:
    """The SDK's own `delta()`: all users by page, then by its link what changed, what was removed, and a 410."""
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder

    tenant = SimTenant("Crowd", users=[SimUser(f"user{n}@crowd.example", f"User {n}") for n in range(450)])
    tenant.odd_paging = odd
    estate = Estate.build([tenant])

    async def whole_round(client: Any, page: Any) -> tuple[list[Any], str]:
        found = list(page.value)
        while page.odata_next_link:
            page = await client.users.delta.with_url(page.odata_next_link).get()
            found += page.value
        return found, page.odata_delta_link

    async def use(client: Any) -> tuple[list[Any], list[Any], Any]:
        query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=["id", "displayName", "jobTitle"])
        configuration = DeltaRequestBuilder.DeltaRequestBuilderGetRequestConfiguration(query_parameters=query)
        first, link = await whole_round(client, await client.users.delta.get(request_configuration=configuration))
        tenant.users[3].job_title = "Head"
        tenant.users = tenant.users[:449]
        estate.touch(tenant.tenant_id)
        second, _ = await whole_round(client, await client.users.delta.with_url(link).get())
        estate.history(tenant).reset()
        with pytest.raises(ODataError) as caught:
            await client.users.delta.with_url(link).get()
        return first, second, caught.value

    with Simulator(estate, folder=folder) as simulator:
        first, second, error = run(simulator, tenant, use)

    assert len({user.id for user in first}) == 450
    assert all("jobTitle" not in user.additional_data and user.job_title is None for user in first)
    last = {user.id: user for user in second}
    removed = SimUser("user449@crowd.example").user_id
    assert last.keys() == {tenant.users[3].user_id, removed}
    assert last[tenant.users[3].user_id].job_title == "Head"
    # The model has no property for it, so it stands among what the SDK does not know
    assert last[removed].additional_data["@removed"] == {"reason": "changed"}
    assert (error.response_status_code, error.error.code) == (410, "resyncRequired")
