"""Reads Microsoft 365 tenants through Microsoft Graph, application permissions only, and never writes.

`discover` lists the tenants of a connection; `read_tenants` reads them and hands every answer, as received, to a
`Landing` (`o365_etl.receipts`) together with a receipt per stream that says whether the read may be believed.
`probe` asks a tenant what it would allow, without reading it; `rights` says which permissions that takes.

What does not live here: where answers are stored (`o365_etl.store`), what they mean as tables (`o365_etl.transform`),
and when reading happens (`assets`, `o365_etl.pipeline`).
"""

from o365_etl.graph.discovery import discover
from o365_etl.graph.model import STREAMS, Discovery, TenantResult, TenantTarget
from o365_etl.graph.reader import read_tenants
from o365_etl.graph.session import GraphSession

__all__ = [
    "STREAMS",
    "Discovery",
    "GraphSession",
    "TenantResult",
    "TenantTarget",
    "discover",
    "read_tenants",
]
