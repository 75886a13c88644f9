"""The shapes of Microsoft Graph's answers: only the fields that a table needs.

Every field is optional and absent means the same as null: unknown. Words of Microsoft's enumerations are plain text,
so that a new one is kept and not refused. Collections are tuples: the garbage collector drops tuples of plain values
from its books, which halves the cost of a page of users.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")


class _Answer(msgspec.Struct, rename="camel", gc=False):
    """Field names are Graph's, in camel case."""


class Page(msgspec.Struct, Generic[Item]):
    """One page of a collection."""

    value: tuple[Item, ...] | None = None


class VerifiedDomain(_Answer):
    """A domain as `/organization` lists it."""

    name: str | None = None
    is_default: bool | None = None
    is_initial: bool | None = None


class Organization(_Answer):
    """The tenant itself."""

    id: str | None = None
    display_name: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    country_letter_code: str | None = None
    business_phones: tuple[str, ...] | None = None
    verified_domains: tuple[VerifiedDomain, ...] | None = None


class Domain(_Answer):
    """A domain; `id` is its name."""

    id: str | None = None
    is_default: bool | None = None
    is_initial: bool | None = None
    is_verified: bool | None = None


class AssignedLicense(_Answer):
    """A license the user holds, directly or through a group."""

    sku_id: str | None = None
    disabled_plans: tuple[str, ...] | None = None


class AssignmentState(_Answer):
    """How a user came by a license, and whether it worked."""

    sku_id: str | None = None
    assigned_by_group: str | None = None
    state: str | None = None
    error: str | None = None


class AssignedPlan(_Answer):
    """One service of a license."""

    service: str | None = None
    capability_status: str | None = None
    service_plan_id: str | None = None


class User(_Answer):
    """A user."""

    id: str | None = None
    user_principal_name: str | None = None
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    proxy_addresses: tuple[str, ...] | None = None
    other_mails: tuple[str, ...] | None = None
    user_type: str | None = None
    account_enabled: bool | None = None
    created_date_time: str | None = None
    usage_location: str | None = None
    department: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    office_location: str | None = None
    business_phones: tuple[str, ...] | None = None
    mobile_phone: str | None = None
    assigned_licenses: tuple[AssignedLicense, ...] | None = None
    license_assignment_states: tuple[AssignmentState, ...] | None = None
    assigned_plans: tuple[AssignedPlan, ...] | None = None
    on_premises_sync_enabled: bool | None = None


class SignInActivity(_Answer):
    """When the user last signed in; may be empty text or the year 1."""

    last_sign_in_date_time: str | None = None


class SignIn(_Answer):
    """A user of the listing that carries sign-ins."""

    id: str | None = None
    sign_in_activity: SignInActivity | None = None


class PrepaidUnits(_Answer):
    """How many licenses of a product are bought, by condition."""

    enabled: int | None = None
    suspended: int | None = None
    warning: int | None = None


class ServicePlan(_Answer):
    """One service within a product."""

    service_plan_id: str | None = None
    provisioning_status: str | None = None


class SubscribedSku(_Answer):
    """A product the tenant holds."""

    sku_id: str | None = None
    sku_part_number: str | None = None
    applies_to: str | None = None
    capability_status: str | None = None
    consumed_units: int | None = None
    prepaid_units: PrepaidUnits | None = None
    service_plans: tuple[ServicePlan, ...] | None = None


class Subscription(_Answer):
    """A commercial subscription behind a product."""

    sku_id: str | None = None
    status: str | None = None
    is_trial: bool | None = None
    next_lifecycle_date_time: str | None = None


class MailboxType(msgspec.Struct):
    """What the reader remembers of a mailbox: its type, and how that is known."""

    type: str | None = None
    source: str | None = None
