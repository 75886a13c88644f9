"""Answers as they are landed, for one tenant, and the frames made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from o365_etl.config import Selection
from o365_etl.tables import TABLES
from o365_etl.transform.tenant import TenantContext, tenant_frames

TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
ANNA = "bbbbbbbb-0000-4000-8000-000000000001"
BO = "bbbbbbbb-0000-4000-8000-000000000002"
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
FLOW_FREE = "f30db892-07e9-47e9-837c-80727f46fd3d"
EXCHANGE = {
    "service": "exchange",
    "capabilityStatus": "Enabled",
    "servicePlanId": "9aaf7827-d63c-4b61-89c3-182f06f82e5c",
}
STREAMS = frozenset(("tenants", "domains", "users", "licenses", "sign_ins", "mailboxes"))


def page(*items: object) -> bytes:
    """One page of a collection."""
    return json.dumps({"@odata.context": "https://graph.example/$metadata", "value": items}).encode()


def user(id_: str = ANNA, upn: str = "anna@x.example", **more: Any) -> dict[str, Any]:
    """A licensed member."""
    return {"id": id_, "userPrincipalName": upn, "userType": "Member", "accountEnabled": True, **more}


def frames(
    users: Sequence[Mapping[str, Any]] = (),
    *,
    organization: Mapping[str, Any] | None = None,
    certified: frozenset[str] = STREAMS,
    selection: Selection | None = None,
    reasons: Mapping[str, str | None] | None = None,
    cloud: Any = "global",
    user_pages: list[bytes] | None = None,
    **parts: list[bytes],
) -> dict[str, pa.Table]:
    """The frames of a tenant; `parts` are landed answers by part name. Every frame is in its contract's schema."""
    answers = {
        "organization": [page({"id": TENANT, "displayName": "Contoso", **(organization or {})})],
        "users": [page(*users)] if user_pages is None else user_pages,
        **parts,
    }
    made = tenant_frames(
        lambda stream, part: answers.get(part, []),
        certified,
        TenantContext(
            connection="main",
            kind="partner",
            cloud=cloud,
            selection=selection or Selection(),
            stream_reasons=reasons or {},
        ),
    )
    for name, frame in made.items():
        assert frame.schema == TABLES[name].arrow_schema()
        keys = [tuple(row[column] for column in TABLES[name].key) for row in frame.to_pylist()]
        assert None not in {value for key in keys for value in key}
        assert len(keys) == len(set(keys))
    return made


def rows(made: Mapping[str, pa.Table], table: str) -> list[dict[str, Any]]:
    """The rows of one table."""
    found: list[dict[str, Any]] = made[table].to_pylist()
    return found
