"""Microsoft's own SDK: typed models, its PageIterator, all tenants at once in one event loop; pandas into DuckDB."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pandas as pd
from azure.identity import ClientSecretCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph.graph_request_adapter import options
from msgraph_core import GraphClientFactory
from msgraph_core.tasks.page_iterator import PageIterator

from benchmarks.peers.job import Facts, reading

# Attributes of the models that become columns
COLUMNS = {
    "organization": ("id", "display_name", "city", "country", "street", "postal_code"),
    "domains": ("id", "is_default", "is_initial", "is_verified"),
    "users": (
        *("id", "user_principal_name", "display_name", "given_name", "surname", "mail", "proxy_addresses"),
        *("other_mails", "user_type", "account_enabled", "created_date_time", "usage_location", "department"),
        *("job_title", "company_name", "office_location", "business_phones", "mobile_phone", "assigned_licenses"),
        *("license_assignment_states", "assigned_plans", "on_premises_sync_enabled"),
    ),
    "licenses": ("sku_id", "sku_part_number", "capability_status", "consumed_units", "prepaid_units"),
}
CONCURRENT = 32
Rows = dict[str, list[dict[str, Any]]]


def work(facts: Facts, folder: Path) -> dict[str, Any]:
    """Read all tenants, then write the tables."""
    rows: Rows = {name: [] for name in COLUMNS}
    reports: list[pd.DataFrame] = []
    sent = asyncio.run(_read(facts, rows, reports))
    target = folder / "msgraph_sdk.duckdb"
    target.unlink(missing_ok=True)
    frames = {name: pd.DataFrame(found) for name, found in rows.items()} | {"mailboxes": pd.concat(reports)}
    with duckdb.connect(str(target)) as db:
        for name, frame in frames.items():
            db.register("frame", frame)
            db.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
            db.unregister("frame")
    return {"requests": sent, "threads": CONCURRENT, "users": len(rows["users"])}


async def _read(facts: Facts, rows: Rows, reports: list[pd.DataFrame]) -> int:
    context = ssl.create_default_context(cafile=facts["ca_bundle"])
    sent = 0
    turn = asyncio.Semaphore(CONCURRENT)

    async def count(_: httpx.Request) -> None:
        nonlocal sent
        sent += 1

    async def one(tenant_id: str) -> None:
        nonlocal sent
        credential = ClientSecretCredential(
            tenant_id,
            facts["client_id"],
            facts["client_secret"],
            authority=facts["login_url"],
            disable_instance_discovery=True,
            connection_verify=facts["ca_bundle"],
        )
        auth = AzureIdentityAuthenticationProvider(
            credential, scopes=[f"{facts['graph_url']}/.default"], allowed_hosts=["localhost"]
        )
        async with turn, httpx.AsyncHTTPTransport(verify=context, trust_env=False, retries=1) as transport:
            plain = httpx.AsyncClient(transport=transport, timeout=60, event_hooks={"request": [count]})
            http = GraphClientFactory.create_with_default_middleware(client=plain, options=options)
            adapter = GraphRequestAdapter(auth, client=http)
            adapter.base_url = f"{facts['graph_url']}/v1.0"
            await _tenant(facts, tenant_id, GraphServiceClient(request_adapter=adapter), rows, reports)
        credential.close()
        sent += 2  # the sign-in, and what tells where it is

    await asyncio.gather(*(one(tenant_id) for tenant_id in facts["tenant_ids"]))
    return sent


async def _tenant(facts: Facts, tenant_id: str, client: Any, rows: Rows, reports: list[pd.DataFrame]) -> None:
    builder = UsersRequestBuilder
    query = builder.UsersRequestBuilderGetQueryParameters(select=facts["user_fields"].split(","), top=999)
    configuration = builder.UsersRequestBuilderGetRequestConfiguration(query_parameters=query)
    firsts = {
        "organization": await client.organization.get(),
        "domains": await client.domains.get(),
        "users": await client.users.get(request_configuration=configuration),
        "licenses": await client.subscribed_skus.get(),
    }
    for name, first in firsts.items():

        def keep(item: Any, name: str = name) -> bool:
            rows[name].append({"tenant_id": tenant_id, **{key: _plain(getattr(item, key)) for key in COLUMNS[name]}})
            return True

        await PageIterator(first, client.request_adapter).iterate(keep)
    report = await client.reports.get_mailbox_usage_detail_with_period("D7").get()
    reports.append(pd.read_csv(io.BytesIO(report), encoding="utf-8-sig").assign(tenant_id=tenant_id))


def _plain(value: Any) -> Any:
    """Lists and models as text, numbers, texts and times as they are."""
    if isinstance(value, list) or hasattr(value, "additional_data"):
        return json.dumps(value, default=lambda each: getattr(each, "__dict__", str(each)))
    return str(value) if value is not None and not isinstance(value, bool | int | str) else value


if __name__ == "__main__":
    reading(work)
