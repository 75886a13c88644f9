"""The few fields of Graph's answers the reader itself must see; everything else is landed unread.

Decoding stays typed so that msgspec skips what is not named here. A page must be whole JSON with a list `value`: an
answer without one is no empty answer. A single field of an unexpected type does not lose a page (`decode_users`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item]):
    """One page of a collection."""

    value: list[Item]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class Anything(msgspec.Struct, gc=False):
    """An object that is only counted."""


class Organization(msgspec.Struct):
    """The tenant itself."""

    id: str


class Plan(msgspec.Struct, gc=False):
    """A service a user has through a license."""

    service: str | None = None
    capability: str | None = msgspec.field(default=None, name="capabilityStatus")
    plan_id: str | None = msgspec.field(default=None, name="servicePlanId")


class User(msgspec.Struct):
    """What decides whether a user may have a mailbox."""

    id: str
    upn: str | None = msgspec.field(default=None, name="userPrincipalName")
    mail: str | None = None
    user_type: str | None = msgspec.field(default=None, name="userType")
    enabled: bool | None = msgspec.field(default=None, name="accountEnabled")
    addresses: list[str] | None = msgspec.field(default=None, name="proxyAddresses")
    licenses: list[Anything] | None = msgspec.field(default=None, name="assignedLicenses")
    plans: list[Plan] | None = msgspec.field(default=None, name="assignedPlans")


class ServicePlan(msgspec.Struct):
    """A service within a product of the tenant."""

    name: str | None = msgspec.field(default=None, name="servicePlanName")
    status: str | None = msgspec.field(default=None, name="provisioningStatus")


class Sku(msgspec.Struct):
    """A product of the tenant."""

    consumed: int | None = msgspec.field(default=None, name="consumedUnits")
    plans: list[ServicePlan] | None = msgspec.field(default=None, name="servicePlans")


class MailboxRow(msgspec.Struct):
    """A mailbox in the beta JSON report."""

    upn: str | None = msgspec.field(default=None, name="userPrincipalName")
    is_deleted: bool | None = msgspec.field(default=None, name="isDeleted")
    recipient_type: str | None = msgspec.field(default=None, name="recipientType")


class Contract(msgspec.Struct):
    """A reseller contract, seen from the partner tenant; name and domain are copies that nobody updates."""

    tenant_id: str | None = msgspec.field(default=None, name="customerId")
    display_name: str | None = msgspec.field(default=None, name="displayName")
    domain: str | None = msgspec.field(default=None, name="defaultDomainName")


class GdapTenant(msgspec.Struct):
    """A tenant with a delegated admin relationship."""

    tenant_id: str | None = msgspec.field(default=None, name="id")
    display_name: str | None = msgspec.field(default=None, name="displayName")


class RelationshipTenant(msgspec.Struct):
    """The tenant of a relationship."""

    tenant_id: str | None = msgspec.field(default=None, name="tenantId")


class Relationship(msgspec.Struct):
    """A delegated admin relationship; `extension` is by how much it extends itself."""

    id: str | None = None
    status: str | None = None
    ends: str | None = msgspec.field(default=None, name="endDateTime")
    extension: str | None = msgspec.field(default=None, name="autoExtendDuration")
    tenant: RelationshipTenant | None = msgspec.field(default=None, name="customer")


class _LooseUser(msgspec.Struct, rename="camel"):
    id: str
    user_principal_name: Any = None
    mail: Any = None
    user_type: Any = None
    account_enabled: Any = None
    proxy_addresses: Any = None
    assigned_licenses: Any = None
    assigned_plans: Any = None


decode_organization = msgspec.json.Decoder(Page[Organization]).decode
decode_objects = msgspec.json.Decoder(Page[Anything]).decode
decode_skus = msgspec.json.Decoder(Page[Sku]).decode
decode_mailbox_rows = msgspec.json.Decoder(Page[MailboxRow]).decode
decode_contracts = msgspec.json.Decoder(Page[Contract]).decode
decode_gdap_tenants = msgspec.json.Decoder(Page[GdapTenant]).decode
decode_relationships = msgspec.json.Decoder(Page[Relationship]).decode
_decode_users = msgspec.json.Decoder(Page[User]).decode
_decode_loose_users = msgspec.json.Decoder(Page[_LooseUser]).decode


def decode_users(body: bytes) -> Page[User]:
    """A page of users. A field of an unexpected type counts as not told; only a user without id spoils the page."""
    try:
        return _decode_users(body)
    except msgspec.ValidationError:
        page = _decode_loose_users(body)
        return Page([_tightened(user) for user in page.value], page.next_link)


def _tightened(user: _LooseUser) -> User:
    return User(
        user.id,
        _text(user.user_principal_name),
        _text(user.mail),
        _text(user.user_type),
        user.account_enabled if isinstance(user.account_enabled, bool) else None,
        [address for address in _list(user.proxy_addresses) if isinstance(address, str)],
        [Anything() for _ in _list(user.assigned_licenses)],
        [
            Plan(_text(plan.get("service")), _text(plan.get("capabilityStatus")), _text(plan.get("servicePlanId")))
            for plan in _list(user.assigned_plans)
            if isinstance(plan, dict)
        ],
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
