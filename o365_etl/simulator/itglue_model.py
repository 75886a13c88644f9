"""The IT Glue side of a synthetic estate, as plain dataclasses; ids of 0 are given by the estate.

How it looks on the wire is the business of `itglue_objects`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from o365_etl.simulator.model import CREATED


@dataclass(slots=True)
class SimAdapter:
    """The link of an IT Glue record to another integration; with `sync` true that integration owns the record."""

    name: str = "Autotask"
    sync: bool = True
    orphaned: bool = False
    remote_id: str = "0"


@dataclass(slots=True)
class SimOrganization:
    """One IT Glue organization; an id of 0 is given by `Estate`."""

    name: str
    organization_id: int = 0
    short_name: str | None = None
    organization_type: str | None = "Customer"
    organization_status: str | None = "Active"
    primary: bool = False
    alert: str | None = None
    description: str | None = None
    quick_notes: str | None = None
    adapters: list[SimAdapter] = field(default_factory=list)
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED


@dataclass(slots=True)
class SimEmail:
    """One e-mail of a contact."""

    value: str
    primary: bool = False
    label: str = "Work"


@dataclass(slots=True)
class SimPhone:
    """One phone of a contact, as somebody typed it."""

    value: str
    extension: str | None = None
    primary: bool = False
    label: str = "Work"
    label_type: str = "phone"
    formatted: str | None = None


@dataclass(slots=True)
class SimContact:
    """One IT Glue contact; an id of 0 is given by `Estate`. A plain string in `emails` is a work address."""

    organization_id: int
    first_name: str | None
    last_name: str | None = None
    contact_id: int = 0
    title: str | None = None
    contact_type: str | None = None
    emails: list[SimEmail] = field(default_factory=list)
    phones: list[SimPhone] = field(default_factory=list)
    notes: str | None = None
    important: bool | None = None
    location_id: int | None = None
    adapters: list[SimAdapter] = field(default_factory=list)
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED


@dataclass(slots=True)
class SimLocation:
    """One IT Glue location; country and region by name."""

    organization_id: int
    name: str
    location_id: int = 0
    primary: bool = True
    address_1: str | None = None
    address_2: str | None = None
    city: str | None = None
    postal_code: str | None = None
    region: str | None = None
    country: str | None = None
    phone: str | None = None
    fax: str | None = None
    notes: str | None = None
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED


@dataclass(slots=True)
class SimFlexibleAssetField:
    """One field of a flexible asset type; ids and an order of 0 are given by the estate.

    The key of its trait is made of the first name that it had.
    """

    name: str
    kind: str = "Text"
    field_id: int = 0
    type_id: int = 0
    order: int = 0
    hint: str | None = None
    decimals: int | None = None
    tag_type: str | None = None
    required: bool = False
    use_for_title: bool = False
    expiration: bool = False
    show_in_list: bool = False
    default_value: str | None = None
    name_key: str = ""
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED

    def __post_init__(self) -> None:
        self.name_key = self.name_key or name_key(self.name)


@dataclass(slots=True)
class SimFlexibleAssetType:
    """One flexible asset type."""

    name: str
    type_id: int = 0
    icon: str | None = "magic"
    description: str | None = None
    enabled: bool = True
    show_in_menu: bool = True
    fields: list[SimFlexibleAssetField] = field(default_factory=list)
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED


@dataclass(slots=True)
class SimFlexibleAsset:
    """One flexible asset with its traits, as they are written: a tag is a list of ids."""

    organization_id: int
    type_id: int
    name: str
    asset_id: int = 0
    traits: dict[str, object] = field(default_factory=dict)
    created_at: dt.datetime = CREATED
    updated_at: dt.datetime = CREATED


SimRecord = SimOrganization | SimContact | SimLocation | SimFlexibleAssetType | SimFlexibleAsset | SimFlexibleAssetField


def name_key(name: str | None) -> str:
    """The key of the trait of a field with this name: lower case, hyphens for blanks."""
    return "-".join((name or "").lower().split())


def emails(primary: str, *others: str) -> list[SimEmail]:
    """The e-mail list of a contact: the first is primary."""
    return [SimEmail(primary, primary=True), *(SimEmail(other, label="Other") for other in others)]
