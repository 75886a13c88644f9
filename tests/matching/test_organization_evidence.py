"""What tenants and organizations share, as the warehouse finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from o365_etl.store import relate
from o365_etl.store.warehouse import Db


def test_evidence_counts_members_and_verified_domains_only(db: Db, fill: Callable[..., None]) -> None:
    """Neither guests nor otherMails, nor unverified, public or Microsoft's own domains speak for an organization."""
    users = [("u", False), ("v", False), ("g", True)]
    addresses = [
        ("u", "a@x.example", "primary"),
        ("v", "a@x.example", "alias"),
        ("v", "b@x.example", "upn"),
        ("v", "msp@msp.example", "other"),
        ("g", "g@other.example", "primary"),
    ]
    domains = {"x.example": True, "y.example": False, "gmail.com": True, "t.onmicrosoft.com": True}
    emails = [
        ("1", "100", "a@x.example"),
        ("2", "100", "a@x.example"),
        ("2", "100", "b@x.example"),
        ("3", "200", "msp@msp.example"),
        ("3", "200", "g@other.example"),
        ("4", "300", "c@y.example"),
        ("4", "300", "me@gmail.com"),
        ("4", "300", "adm@t.onmicrosoft.com"),
        ("5", "400", "x@sub.x.example"),
        ("6", "500", "z@x.example"),
        ("7", None, "a@x.example"),
    ]
    fill(
        {
            "m365.users": [{"tenant_id": "t", "user_id": id_, "is_guest": guest} for id_, guest in users],
            "m365.user_addresses": [
                {"tenant_id": "t", "user_id": id_, "address": address, "kind": kind} for id_, address, kind in addresses
            ],
            "m365.domains": [{"tenant_id": "t", "domain": d, "is_verified": known} for d, known in domains.items()],
            "itglue.contact_emails": [
                {"contact_id": id_, "organization_id": org, "address": address} for id_, org, address in emails
            ],
        }
    )
    assert found(db, ["t"]) == {("t", "100"): (2, 1, '["x.example"]'), ("t", "500"): (0, 1, '["x.example"]')}
    assert found(db, []) == {}


def test_addresses_are_evidence_where_no_domain_is_shared(db: Db, fill: Callable[..., None]) -> None:
    """An address at a domain that is not the tenant's speaks alone."""
    fill(
        {
            "m365.users": [{"tenant_id": "t", "user_id": "u", "is_guest": False}],
            "m365.user_addresses": [{"tenant_id": "t", "user_id": "u", "address": "a@x.example", "kind": "alias"}],
            "itglue.contact_emails": [{"contact_id": "1", "organization_id": "100", "address": "a@x.example"}],
        }
    )
    assert found(db, ["t"]) == {("t", "100"): (1, 0, "[]")}


def found(db: Db, fresh: list[str]) -> dict[tuple[str, str], tuple[Any, ...]]:
    frame = relate.organization_evidence(db, fresh)
    return {(row[0], row[1]): tuple(row[2:]) for row in frame.itertuples(index=False)}
