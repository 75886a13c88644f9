"""All `m365` tables of one tenant, from what was landed of it.

A table is made only from a stream that was once read to its end; a stream that never was leaves its table out, so that
nothing is concluded from it. Which streams those are is told by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Literal

import msgspec
import pyarrow as pa

from o365_etl.config import Cloud, Selection
from o365_etl.normalise import normalise
from o365_etl.transform.answers import Domain, MailboxType, Organization, Page
from o365_etl.transform.catalogue import Catalogue, shipped
from o365_etl.transform.columns import rows_to_table, to_table
from o365_etl.transform.decode import decode_all, decode_map
from o365_etl.transform.licenses import License, license_table, tenant_licenses
from o365_etl.transform.mailboxes import mailbox_table
from o365_etl.transform.portal import tenant_link
from o365_etl.transform.users import (
    address_table,
    assignment_table,
    decode_sign_ins,
    decode_users,
    first_text,
    user_table,
)

Parts = Callable[[str, str], list[bytes]]
# The parts of each stream of which tables are made.
PARTS: Mapping[str, tuple[str, ...]] = {
    "tenants": ("organization",),
    "domains": ("domains",),
    "users": ("users",),
    "users_changes": ("changed", "kept"),
    "licenses": ("subscribed_skus", "subscriptions"),
    "sign_ins": ("sign_ins",),
    "mailboxes": ("usage_csv", "types"),
}


class TenantContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers themselves do not tell.

    `stream_reasons` holds the receipt's reason of each stream that is degraded (`{"mailboxes": "concealed"}`);
    `as_of` is when the tenant was last read completely, `catalogue` what products are called.
    """

    connection: str
    kind: Literal["partner", "direct"]
    cloud: Cloud
    selection: Selection
    catalogue: Catalogue = msgspec.field(default_factory=shipped)
    as_of: datetime | None = None
    access_ends_at: datetime | None = None
    stream_reasons: Mapping[str, str | None] = msgspec.field(default_factory=dict)


def tenant_frames(parts: Parts, certified: Collection[str], context: TenantContext) -> dict[str, pa.Table]:
    """The `m365` tables by their full name, each in the schema of its contract.

    `parts(stream, part)` gives the landed answers of the last certified read; `certified` names the streams that have
    one, `users_changes` only where it goes with the `users` there are. Empty if the tenant itself was never read or its
    answer carries no id: callers check that `m365.tenants.tenant_id` is the tenant they asked for. Raises `LocalError`
    for landed bytes that are no JSON.
    """
    organization = _organization(parts) if "tenants" in certified else None
    if organization is None or not organization.id:
        return {}
    tenant_id = organization.id.lower()
    frames = {"m365.tenants": _tenant_table(tenant_id, organization, context)}
    if "domains" in certified:
        frames["m365.domains"] = _domain_table(tenant_id, parts("domains", "domains"))
    licenses = licenses_of(parts, certified, context)
    if "licenses" in certified:
        frames["m365.licenses"] = license_table(tenant_id, licenses, context.catalogue)
    if "users" in certified:
        frames |= user_frames(tenant_id, parts, certified, context, licenses)
    return frames


def licenses_of(parts: Parts, certified: Collection[str], context: TenantContext) -> Mapping[str, License]:
    """The tenant's products by id, none if they were never read; with all as `tenant_frames` takes it."""
    if "licenses" not in certified:
        return {}
    return tenant_licenses(parts("licenses", "subscribed_skus"), parts("licenses", "subscriptions"), context.catalogue)


def user_frames(
    tenant_id: str,
    parts: Parts,
    certified: Collection[str],
    context: TenantContext,
    licenses: Mapping[str, License],
) -> dict[str, pa.Table]:
    """Those of the frames that are made of users; as `tenant_frames` takes and gives them."""
    changed: list[bytes] = []
    if "users_changes" in certified:
        # In this order: what was kept of a removed user comes after the word that he was removed.
        changed = parts("users_changes", "changed") + parts("users_changes", "kept")
    users = decode_users(parts("users", "users"), changed)
    types = _mailbox_types(parts) if "mailboxes" in certified else {}
    sign_ins = decode_sign_ins(parts("sign_ins", "sign_ins")) if "sign_ins" in certified else {}
    frames = {
        "m365.users": user_table(
            tenant_id,
            users,
            cloud=context.cloud,
            selection=context.selection,
            licenses=licenses,
            catalogue=context.catalogue,
            mailbox_types=types,
            sign_ins=sign_ins,
        ),
        "m365.user_addresses": address_table(tenant_id, users),
        "m365.license_assignments": assignment_table(tenant_id, users, licenses, context.catalogue),
    }
    if "mailboxes" in certified:
        report = parts("mailboxes", "usage_csv")
        frames["m365.mailboxes"] = mailbox_table(
            tenant_id,
            report[-1].decode("utf-8-sig", "replace") if report else None,
            context.stream_reasons.get("mailboxes"),
            users=users,
            licenses=licenses,
            types=types,
        )
    return frames


def _mailbox_types(parts: Parts) -> dict[str, MailboxType]:
    """What is known of the mailboxes, by user id (lower case)."""
    bodies = parts("mailboxes", "types")
    return {user_id.lower(): known for user_id, known in decode_map(bodies[-1], MailboxType).items()} if bodies else {}


def _organization(parts: Parts) -> Organization | None:
    for page in decode_all(parts("tenants", "organization"), Page[Organization]):
        for organization in page.value or ():
            return organization
    return None


def _tenant_table(tenant_id: str, organization: Organization, context: TenantContext) -> pa.Table:
    aliases = {key.lower(): alias for key, alias in context.selection.tenant_aliases.items()}
    name = aliases.get(tenant_id) or organization.display_name or None
    domains = organization.verified_domains or ()
    row = {
        "tenant_id": tenant_id,
        "display_name": name,
        "default_domain": next((normalise(d.name) for d in domains if d.is_default and d.name), None),
        "initial_domain": next((normalise(d.name) for d in domains if d.is_initial and d.name), None),
        "connection": context.connection,
        "kind": context.kind,
        "access_ends_at": context.access_ends_at,
        "manage_url": tenant_link(context.cloud, tenant_id),
        "as_of": context.as_of,
        "is_stale": False,
        "microsoft_name": organization.display_name or None,
        "name_key": normalise(name) or None if name else None,
        "street": organization.street or None,
        "city": organization.city or None,
        "state": organization.state or None,
        "postal_code": organization.postal_code or None,
        "country": organization.country or None,
        "country_code": organization.country_letter_code or None,
        "phone": first_text(organization.business_phones),
    }
    return to_table("m365.tenants", {column: [value] for column, value in row.items()}, 1)


def _domain_table(tenant_id: str, pages: list[bytes]) -> pa.Table:
    domains = {
        normalise(domain.id): domain
        for page in decode_all(pages, Page[Domain])
        for domain in page.value or ()
        if domain.id
    }
    return rows_to_table(
        "m365.domains",
        ("tenant_id", "domain", "is_default", "is_initial", "is_verified"),
        [(tenant_id, name, d.is_default, d.is_initial, d.is_verified) for name, d in domains.items()],
    )
