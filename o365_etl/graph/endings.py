"""What a connection has that comes to an end by itself: its certificate, and a partner's relationships.

The end of a client secret is nowhere to be asked with the permissions that we have; the configuration may tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from o365_etl.config import Connection
from o365_etl.graph.client import TenantClient
from o365_etl.graph.credentials import credential
from o365_etl.graph.discovery import active_relationships

_NO_EXTENSION = ("", "PT0S", "P0D")


def certificate_end(connection: Connection) -> datetime | None:
    """The end of the certificate's validity; None for a secret. Raises `ConfigError` if it cannot be read or used."""
    if connection.certificate is None:
        return None
    found = credential(connection)
    assert isinstance(found, dict)
    return x509.load_pem_x509_certificate(found["public_certificate"].encode()).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Ending:
    """The last active relationship with a tenant, which ends if nobody does anything."""

    tenant_id: str
    relationship_id: str
    ends_at: datetime


def ask_endings(client: TenantClient) -> dict[str, Ending]:
    """By tenant, the GDAP relationships that end by themselves; tenants with one that extends itself are not among
    them. Raises what the partner tenant answers.
    """
    last: dict[str, Ending] = {}
    staying: set[str] = set()
    for tenant_id, ends_at, each in active_relationships(client):
        if (each.extension or "") not in _NO_EXTENSION:
            staying.add(tenant_id)
        elif each.id and (tenant_id not in last or last[tenant_id].ends_at < ends_at):
            last[tenant_id] = Ending(tenant_id, each.id, ends_at)
    return {tenant_id: ending for tenant_id, ending in last.items() if tenant_id not in staying}
