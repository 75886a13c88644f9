"""What a connection has that comes to an end by itself: its certificate, and a partner's relationships.

The end of a client secret is nowhere to be asked with the permissions that we have; the configuration may tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from o365_etl.config import Connection
from o365_etl.errors import ConfigError
from o365_etl.graph.answers import Page, RelationshipTenant
from o365_etl.graph.client import TenantClient
from o365_etl.graph.credentials import credential
from o365_etl.graph.discovery import moment
from o365_etl.graph.transport import Tally

_NO_EXTENSION = ("", "PT0S", "P0D")


def certificate_end(connection: Connection) -> datetime | None:
    """The end of the certificate's validity; None for a secret. Raises `ConfigError` if it cannot be read or used."""
    if connection.certificate is None:
        return None
    found = credential(connection)
    assert isinstance(found, dict)
    certificate = x509.load_pem_x509_certificate(found["public_certificate"].encode())
    if not isinstance(certificate.public_key(), RSAPublicKey):
        raise ConfigError(
            f"connections[{connection.name!r}].certificate: the key is no RSA key, and Microsoft takes no other",
            remedy="Make a certificate with an RSA key of at least 2048 bits, and upload it to the app registration.",
        )
    return certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Ending:
    """The last active relationship with a tenant, which ends if nobody does anything."""

    tenant_id: str
    relationship_id: str
    ends_at: datetime


class _Relationship(msgspec.Struct):
    id: str
    status: str | None = None
    ends: str | None = msgspec.field(default=None, name="endDateTime")
    extension: str | None = msgspec.field(default=None, name="autoExtendDuration")
    tenant: RelationshipTenant | None = msgspec.field(default=None, name="customer")


_decode_relationships = msgspec.json.Decoder(Page[_Relationship]).decode


def ask_endings(client: TenantClient) -> dict[str, Ending]:
    """By tenant, the GDAP relationships that end by themselves; tenants with one that extends itself are not among
    them. Raises what the partner tenant answers.
    """
    path = "tenantRelationships/delegatedAdminRelationships?$filter=status eq 'active'&$top=300"
    permission = "DelegatedAdminRelationship.Read.All"
    last: dict[str, Ending] = {}
    staying: set[str] = set()
    for _, page in client.pages(path, _decode_relationships, Tally(), permission=permission):
        for each in page.value:
            tenant_id = ((each.tenant and each.tenant.tenant_id) or "").strip().lower()
            ends_at = moment(each.ends)
            if (each.status or "").lower() != "active" or not tenant_id or ends_at is None:
                continue
            if (each.extension or "") not in _NO_EXTENSION:
                staying.add(tenant_id)
            elif tenant_id not in last or last[tenant_id].ends_at < ends_at:
                last[tenant_id] = Ending(tenant_id, each.id, ends_at)
    return {tenant_id: ending for tenant_id, ending in last.items() if tenant_id not in staying}
