"""The Microsoft 365 side of a synthetic estate, as plain dataclasses with defaults that make a healthy small world.

    SimTenant("Contoso", users=[SimUser.person("Anna", "Berg", "contoso.example", skus=["SPB"])])

What lives here: the data. How it looks on the wire is the business of `graph_objects`; IT Glue's side is in
`itglue_model`.
Ids left empty are derived from the names, so that the same world has the same ids in every run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid5

from o365_etl.simulator.products import BY_ID, PRODUCTS, Plan

NAMESPACE = UUID("6f1d3f0a-6a0e-4d57-9a52-3a8e5b1c7d20")
GIB = 1024**3
CREATED = dt.datetime(2021, 8, 2, 10, 30, 6, tzinfo=dt.UTC)
CREATED_ON = CREATED.date()

READER_ROLES = (
    "Organization.Read.All",
    "User.Read.All",
    "Domain.Read.All",
    "LicenseAssignment.Read.All",
    "Reports.Read.All",
    "ReportSettings.Read.All",
    "MailboxSettings.Read",
    "AuditLog.Read.All",
)
PARTNER_ROLES = (
    *READER_ROLES,
    "Directory.Read.All",
    "DelegatedAdminRelationship.Read.All",
    "CrossTenantInformation.ReadBasic.All",
)


def stable_id(*words: object) -> str:
    """A GUID that is the same for the same words."""
    return str(uuid5(NAMESPACE, "/".join(str(word) for word in words)))


@dataclass(slots=True)
class SimDomain:
    """One domain of a tenant."""

    name: str
    is_default: bool = False
    is_initial: bool = False
    is_verified: bool = True
    authentication: Literal["Managed", "Federated"] = "Managed"


@dataclass(slots=True)
class SimLicense:
    """One license on one user; `group` is the id of the group that assigned it, None for a direct one."""

    sku_id: str
    group: str | None = None
    state: str = "Active"
    error: str = "None"
    disabled_plans: tuple[str, ...] = ()


@dataclass(slots=True)
class SimSignIn:
    """The sign-in dates exactly as they go over the wire, odd values (`""`, `0001-01-01T00:00:00Z`) included."""

    last: str | None = None
    non_interactive: str | None = None
    successful: str | None = None


@dataclass(slots=True)
class SimMailbox:
    """One mailbox; sizes in bytes. `blocked` means that an Exchange policy keeps the application out of it."""

    kind: Literal["user", "linked", "shared", "room", "equipment", "others"] = "user"
    storage_used: int = 2 * GIB
    item_count: int = 12_000
    issue_warning_quota: int = 49 * GIB
    prohibit_send_quota: int = 50 * GIB
    prohibit_send_receive_quota: int = 50 * GIB
    deleted_item_count: int = 40
    deleted_item_size: int = 3_500_000
    created: dt.date = CREATED_ON
    last_activity: dt.date | None = None
    has_archive: bool = False
    blocked: bool = False


@dataclass(slots=True)
class SimUser:
    """One user with every property the simulator can answer. An empty `user_id` is derived from the name."""

    user_principal_name: str
    display_name: str | None = None
    user_id: str = ""
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    mail_nickname: str | None = None
    proxy_addresses: list[str] = field(default_factory=list)
    other_mails: list[str] = field(default_factory=list)
    user_type: str | None = "Member"
    account_enabled: bool = True
    created_at: dt.datetime = CREATED
    creation_type: str | None = None
    external_user_state: str | None = None
    usage_location: str | None = "US"
    department: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    office_location: str | None = None
    city: str | None = None
    country: str | None = None
    business_phones: list[str] = field(default_factory=list)
    mobile_phone: str | None = None
    employee_id: str | None = None
    preferred_language: str | None = None
    licenses: list[SimLicense] = field(default_factory=list)
    on_premises_sync_enabled: bool | None = None
    show_in_address_list: bool | None = None
    sign_in: SimSignIn | None = None
    mailbox: SimMailbox | None = None

    def __post_init__(self) -> None:
        if not self.user_id:
            self.user_id = stable_id("user", self.user_principal_name.lower())

    @classmethod
    def person(
        cls, given_name: str, surname: str, domain: str, *, skus: Sequence[str] = ("SPB",), local: str = ""
    ) -> SimUser:
        """An ordinary member with a mailbox, licensed with the part numbers in `skus`; `local` is before the @."""
        local = local or f"{given_name}.{surname}".lower().replace(" ", "").replace("'", "")
        address = f"{local}@{domain}"
        return cls(
            user_principal_name=address,
            display_name=f"{given_name} {surname}",
            given_name=given_name,
            surname=surname,
            mail=address,
            mail_nickname=local,
            proxy_addresses=[f"SMTP:{address}"],
            licenses=[SimLicense(PRODUCTS[sku].sku_id) for sku in skus],
            mailbox=SimMailbox() if any(PRODUCTS[sku].has_mailbox for sku in skus) else None,
        )


@dataclass(slots=True)
class SimSku:
    """One row of subscribedSkus. `consumed=None` counts the users; an empty `sku_id` is looked up by part number."""

    part_number: str
    enabled: int = 25
    consumed: int | None = None
    suspended: int = 0
    warning: int = 0
    locked_out: int = 0
    status: str = "Enabled"
    sku_id: str = ""
    applies_to: str = "User"
    plans: tuple[Plan, ...] = ()

    def __post_init__(self) -> None:
        product = PRODUCTS.get(self.part_number)
        if product is not None:
            self.sku_id = self.sku_id or product.sku_id
            self.plans = self.plans or product.plans
        self.sku_id = self.sku_id or stable_id("sku", self.part_number)


@dataclass(slots=True)
class SimSubscription:
    """One commercial subscription behind a SKU."""

    part_number: str
    total: int = 25
    status: str = "Enabled"
    is_trial: bool = False
    created_at: dt.datetime = CREATED
    next_lifecycle_at: dt.datetime | None = None
    owner_tenant_id: str | None = None
    subscription_id: str = ""
    sku_id: str = ""


@dataclass(slots=True)
class SimRelationship:
    """One GDAP relationship of the partner with a tenant."""

    status: str = "active"
    ends_at: dt.datetime | None = None
    auto_extend: str = "P180D"


@dataclass
class SimTenant:
    """One Microsoft 365 tenant and how it behaves. Change it between syncs, then call `Estate.touch`.

    `domains` left empty become `NAME.onmicrosoft.com` and `NAME.example`; `skus` left empty are counted from the
    users' licenses; `premium` None means: as the SKUs say. `listed_in` says where the partner sees the tenant.
    `direct` gives the tenant an application of its own (a `direct` connection) with the state `secret_state`.
    `refusal` is the AADSTS number that every sign-in to the tenant is refused with, one that `sign_in` knows.
    `purged` are ids of removed users that are deleted for good; all others can be restored.
    `clock_ahead` is by how many seconds the clock of the tenant's sign-in is ahead of this machine's.
    """

    display_name: str
    tenant_id: str = ""
    domains: list[SimDomain] = field(default_factory=list)
    users: Sequence[SimUser] = field(default_factory=list)
    skus: list[SimSku] = field(default_factory=list)
    subscriptions: list[SimSubscription] = field(default_factory=list)
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    country_letter_code: str | None = "US"
    business_phones: list[str] = field(default_factory=list)
    roles: tuple[str, ...] = READER_ROLES
    consented: bool = True
    secret_state: Literal["ok", "expired", "wrong"] = "ok"
    refusal: int | None = None
    clock_ahead: float = 0.0
    premium: bool | None = None
    concealed: bool = False
    report_columns: Literal[15, 16, 17] = 17
    report_settings_form: Literal["flat", "wrapped"] = "flat"
    recipient_type_json: bool = True
    recipient_type_column: bool = True
    mailbox_policy: Literal["open", "blocked"] = "open"
    user_purpose_form: Literal["string", "object"] = "string"
    deleted_mailboxes: list[tuple[str, str]] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    odd_paging: bool = False
    listed_in: Literal["contracts", "gdap", "both", "none"] = "both"
    listed_name: str | None = None
    gdap_ends_at: dt.datetime | None = None
    relationships: list[SimRelationship] = field(default_factory=list)
    direct: bool = False
    on_premises_sync_enabled: bool | None = None
    created_at: dt.datetime = CREATED

    def __post_init__(self) -> None:
        slug = "".join(letter for letter in self.display_name.lower() if letter.isascii() and letter.isalnum())
        slug = slug or "tenant"
        if not self.tenant_id:
            first = self.domains[0].name if self.domains else slug
            self.tenant_id = stable_id("tenant", self.display_name, first)
        if not self.domains:
            self.domains = [
                SimDomain(f"{slug}.onmicrosoft.com", is_initial=True),
                SimDomain(f"{slug}.example", is_default=True),
            ]

    @property
    def initial_domain(self) -> str:
        """The *.onmicrosoft.com domain."""
        return next((domain.name for domain in self.domains if domain.is_initial), self.domains[0].name)

    @property
    def default_domain(self) -> str:
        """The domain new users get."""
        return next((domain.name for domain in self.domains if domain.is_default), self.domains[0].name)

    def all_skus(self) -> list[SimSku]:
        """The SKUs of the tenant: those given, else those that the users hold, with the seats they need."""
        if self.skus:
            return self.skus
        held: dict[str, int] = {}
        for user in self.users:
            for sku_id in {license.sku_id for license in user.licenses}:
                held[sku_id] = held.get(sku_id, 0) + 1
        names = {sku_id: BY_ID[sku_id].part_number if sku_id in BY_ID else "UNKNOWN" for sku_id in held}
        return [SimSku(names[sku_id], enabled=count, sku_id=sku_id) for sku_id, count in held.items()]

    def has_premium(self) -> bool:
        """True if sign-in activity can be read: Entra ID P1 or P2."""
        if self.premium is not None:
            return self.premium
        return any(plan.name.startswith("AAD_PREMIUM") for sku in self.all_skus() for plan in sku.plans)
