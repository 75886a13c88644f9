"""Links into Microsoft's admin centers, per cloud.

An id goes into a link only if it has the form of an id: whatever else a server sends cannot bend the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from o365_etl.config import Cloud

ENTRA: Mapping[Cloud, str] = {
    "global": "https://entra.microsoft.com",
    "usgov": "https://entra.microsoft.us",
    "usgovdod": "https://entra.microsoft.us",
    "china": "https://entra.microsoftonline.cn",
}
_USER_BLADE = "#view/Microsoft_AAD_UsersAndTenants/UserProfileMenuBlade/~/overview/userId/"
_PARTNER_CENTER = "https://partner.microsoft.com/en-us/dashboard/commerce2/customers"
_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_is_guid = re.compile(_GUID).fullmatch
_is_relationship = re.compile(f"{_GUID}-{_GUID}").fullmatch


def tenant_link(cloud: Cloud, tenant_id: str) -> str | None:
    """Opens the tenant in the Entra admin center; None if the id is no GUID."""
    return f"{ENTRA[cloud]}/{tenant_id}" if _is_guid(tenant_id) else None


def user_links(cloud: Cloud, tenant_id: str, user_ids: list[str]) -> list[str | None]:
    """Opens each user in the tenant's Entra admin center; None where an id is no GUID."""
    tenant = tenant_link(cloud, tenant_id)
    if tenant is None:
        return [None] * len(user_ids)
    prefix = f"{tenant}/{_USER_BLADE}"
    return [prefix + user_id if _is_guid(user_id) else None for user_id in user_ids]


def relationship_link(cloud: Cloud, tenant_id: str, relationship_id: str) -> str | None:
    """Opens a GDAP relationship in Partner Center; None for a cloud that has none, or if an id is none."""
    if cloud != "global" or not _is_guid(tenant_id) or not _is_relationship(relationship_id):
        return None
    return f"{_PARTNER_CENTER}/{tenant_id}/adminrelationships/{relationship_id}"
