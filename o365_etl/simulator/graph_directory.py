"""Graph's routes about the tenant itself and about a partner's customers."""

from __future__ import annotations

import datetime as dt
import re

from o365_etl.simulator.graph_call import Call, Refusal, collection, ok
from o365_etl.simulator.graph_objects import (
    Json,
    domain_json,
    long_timestamp,
    organization_json,
    sku_json,
    subscription_json,
)
from o365_etl.simulator.model import SimRelationship, SimTenant, stable_id
from o365_etl.simulator.transport import Response

DELEGATED_PAGE = 300
READER_ROLE_IDS = ("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "4a5d8f65-41da-4de4-8968-e035b65339cf")
_STATUS_FILTER = re.compile(r"status eq '(\w+)'")
_EQUALS_FILTER = re.compile(r"(customerId|defaultDomainName|displayName) eq '((?:[^']|'')*)'")


def organization(call: Call) -> Response:
    """GET /organization."""
    call.need("Organization.Read.All", "User.Read.All", "Directory.Read.All")
    call.allow("$select", "$top", "$count")
    return collection(call, [organization_json(call.tenant)], "organization", "organization")


def domains(call: Call) -> Response:
    """GET /domains."""
    call.need("Domain.Read.All", "Directory.Read.All")
    call.allow("$select", "$top", "$count")
    return collection(call, [domain_json(domain) for domain in call.tenant.domains], "domain", "domains")


def subscribed_skus(call: Call) -> Response:
    """GET /subscribedSkus: `$select` and nothing else."""
    call.need("LicenseAssignment.Read.All", "Organization.Read.All", "Directory.Read.All")
    call.allow("$select")
    rows = [sku_json(call.tenant, sku) for sku in call.tenant.all_skus()]
    return collection(call, rows, "subscribedSku", "subscribedSkus")


def subscriptions(call: Call) -> Response:
    """GET /directory/subscriptions."""
    call.need("Organization.Read.All", "Directory.Read.All")
    call.allow("$select", "$top", "$count")
    rows = [subscription_json(call.tenant, bought) for bought in call.tenant.subscriptions]
    return collection(call, rows, "companySubscription", "directory/subscriptions")


def contracts(call: Call) -> Response:
    """GET /contracts: the partner's resellers' contracts; empty for any other tenant."""
    call.need("Directory.Read.All", "Directory.ReadWrite.All")
    call.allow("$select", "$top", "$filter", "$count")
    rows = [_contract(tenant) for tenant in _customers(call) if tenant.listed_in in ("contracts", "both")]
    if text := call.query.get("$filter"):
        match = _EQUALS_FILTER.fullmatch(text)
        if match is None:
            raise Refusal(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
        rows = [row for row in rows if str(row[match[1]]).lower() == match[2].replace("''", "'").lower()]
    return collection(call, rows, "contract", "contracts", default=100)


def delegated_customers(call: Call) -> Response:
    """GET /tenantRelationships/delegatedAdminCustomers."""
    call.need("DelegatedAdminRelationship.Read.All", "DelegatedAdminRelationship.ReadWrite.All")
    call.allow("$select", "$top", "$filter", "$orderby", "$count")
    rows = [
        {
            "@odata.type": "#microsoft.graph.delegatedAdminCustomer",
            "@odata.etag": f'W/"{tenant.tenant_id}"',
            "id": tenant.tenant_id,
            "tenantId": tenant.tenant_id,
            "displayName": tenant.listed_name or tenant.display_name,
        }
        for tenant in _customers(call)
        if tenant.listed_in in ("gdap", "both")
    ]
    return _delegated(call, rows, "delegatedAdminCustomer", "delegatedAdminCustomers")


def delegated_relationships(call: Call) -> Response:
    """GET /tenantRelationships/delegatedAdminRelationships, with `$filter=status eq '…'`."""
    call.need("DelegatedAdminRelationship.Read.All", "DelegatedAdminRelationship.ReadWrite.All")
    call.allow("$select", "$top", "$filter", "$orderby", "$count")
    rows = [
        _relationship(call, tenant, relationship, number)
        for tenant in _customers(call)
        if tenant.listed_in in ("gdap", "both")
        for number, relationship in enumerate(_relationships(call, tenant))
    ]
    if text := call.query.get("$filter"):
        match = _STATUS_FILTER.fullmatch(text)
        if match is None:
            raise Refusal(400, "BadRequest", "The filter is not supported by this resource.")
        rows = [row for row in rows if row["status"] == match[1]]
    return _delegated(call, rows, "delegatedAdminRelationship", "delegatedAdminRelationships")


def tenant_information(call: Call, tenant_id: str) -> Response:
    """GET /tenantRelationships/findTenantInformationByTenantId: any tenant of the cloud."""
    call.need("CrossTenantInformation.ReadBasic.All")
    tenant = call.estate.find_tenant(tenant_id)
    if tenant is None:
        raise Refusal(404, "Request_ResourceNotFound", f"Resource '{tenant_id}' does not exist.")
    return ok(
        {
            "@odata.context": f"{call.metadata}microsoft.graph.tenantInformation",
            "tenantId": tenant.tenant_id,
            "federationBrandName": None,
            "displayName": tenant.display_name,
            "defaultDomainName": tenant.default_domain,
        }
    )


def _customers(call: Call) -> list[SimTenant]:
    return call.estate.tenants if call.tenant is call.estate.partner else []


def _contract(tenant: SimTenant) -> Json:
    return {
        "id": stable_id("contract", tenant.tenant_id),
        "deletedDateTime": None,
        "contractType": "ResellerPartner",
        "customerId": tenant.tenant_id,
        # Copies from the day the contract was made: never refreshed, so they may name an old domain
        "defaultDomainName": tenant.initial_domain,
        "displayName": tenant.listed_name or tenant.display_name,
        "addresses": [],
    }


def _relationships(call: Call, tenant: SimTenant) -> list[SimRelationship]:
    if tenant.relationships:
        return tenant.relationships
    return [SimRelationship(ends_at=tenant.gdap_ends_at or call.estate.now + dt.timedelta(days=500))]


def _relationship(call: Call, tenant: SimTenant, relationship: SimRelationship, number: int) -> Json:
    identity = f"{stable_id('gdap', tenant.tenant_id, number)}-{stable_id('gdap-request', tenant.tenant_id, number)}"
    ends = relationship.ends_at or call.estate.now + dt.timedelta(days=500)
    begun = ends - dt.timedelta(days=730)
    approved = relationship.status not in ("created", "approvalPending")
    return {
        "@odata.type": "#microsoft.graph.delegatedAdminRelationship",
        "@odata.etag": f'W/"{identity[:8]}"',
        "id": identity,
        "displayName": f"Support for {tenant.initial_domain.split('.')[0]} {number + 1}",
        "duration": "P730D",
        "customer": (
            {"tenantId": tenant.tenant_id, "displayName": tenant.listed_name or tenant.display_name}
            if approved
            else None
        ),
        "accessDetails": {"unifiedRoles": [{"roleDefinitionId": role} for role in READER_ROLE_IDS]},
        "status": relationship.status,
        "autoExtendDuration": relationship.auto_extend,
        "createdDateTime": long_timestamp(begun),
        "lastModifiedDateTime": long_timestamp(begun),
        "activatedDateTime": long_timestamp(begun) if approved else None,
        "endDateTime": long_timestamp(ends) if approved else None,
    }


def _delegated(call: Call, rows: list[Json], kind: str, name: str) -> Response:
    # The context URL of these two is odd: the path stands before $metadata
    metadata = f"{call.base}/{call.version}/tenantRelationships/$metadata#"
    return collection(call, rows, kind, name, default=100, maximum=DELEGATED_PAGE, metadata=metadata)
