"""The shapes of IT Glue's answers (JSON:API): only the fields that a table needs.

Every field is optional and absent means the same as null: unknown. Own ids are text, foreign ids inside the attributes
are numbers; both may come the other way round.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Item = TypeVar("Item")
Attributes = TypeVar("Attributes")
Id = int | str


class _Attributes(msgspec.Struct, rename="kebab", gc=False):
    """Field names are IT Glue's, with hyphens."""


class Reference(_Attributes):
    """Names another resource."""

    type: str | None = None
    id: Id | None = None


class Relationship(_Attributes):
    """What a resource is linked to."""

    data: tuple[Reference, ...] | None = None


class Relationships(msgspec.Struct, gc=False):
    """The links to integrations, in either spelling of the API."""

    hyphenated: Relationship | None = msgspec.field(default=None, name="adapters-resources")
    underscored: Relationship | None = msgspec.field(default=None, name="adapters_resources")

    def adapters(self) -> tuple[Reference, ...]:
        """The rows of `included` that speak about this record."""
        link = self.hyphenated or self.underscored
        return link.data or () if link else ()


class AdapterAttributes(_Attributes):
    """An integration's claim on a record; `sync` true means that it owns it."""

    adapter_type_name: str | None = None
    sync: bool | None = None


class Adapter(_Attributes):
    """A row of `included`; other kinds of rows have no adapter name."""

    type: str | None = None
    id: Id | None = None
    attributes: AdapterAttributes | None = None


class OrganizationAttributes(_Attributes):
    """An organization."""

    name: str | None = None
    short_name: str | None = None
    organization_type_name: str | None = None
    organization_status_name: str | None = None
    primary: bool | None = None
    updated_at: str | None = None
    resource_url: str | None = None


class Email(_Attributes):
    """One e-mail address of a contact."""

    value: str | None = None
    primary: bool | None = None
    label_name: str | None = None


class Phone(_Attributes):
    """One phone number of a contact."""

    value: Id | None = None
    extension: Id | None = None
    primary: bool | None = None
    label_name: str | None = None


class ContactAttributes(_Attributes):
    """A contact."""

    organization_id: Id | None = None
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    contact_type_name: str | None = None
    notes: str | None = None
    contact_emails: tuple[Email, ...] | None = None
    contact_phones: tuple[Phone, ...] | None = None
    updated_at: str | None = None
    resource_url: str | None = None


class LocationAttributes(_Attributes):
    """A location of an organization."""

    organization_id: Id | None = None
    name: str | None = None
    primary: bool | None = None
    address_1: str | None = msgspec.field(default=None, name="address-1")
    city: str | None = None
    region_name: str | None = None
    postal_code: Id | None = None
    country_name: str | None = None
    phone: Id | None = None
    updated_at: str | None = None


class Tagged(_Attributes):
    """One record that a tag names."""

    id: Id | None = None


class Tag(_Attributes):
    """The value of a tag field as it is read; written it is a plain list of ids."""

    values: tuple[Tagged, ...] | None = None


Contacts = Tag | tuple[Id, ...]
Figure = int | float | str


class LicenseTraits(_Attributes):
    """The fields of a license asset, as this program makes them."""

    tenant_id: str | None = None
    sku_id: str | None = None
    product_name: str | None = None
    status: str | None = None
    active: Figure | None = None
    consumed: Figure | None = None
    unused: Figure | None = None
    renewal_date: str | None = None
    contacts: Contacts | None = None


class LicenseAssetAttributes(_Attributes):
    """A flexible asset of the license type."""

    organization_id: Id | None = None
    traits: LicenseTraits | None = None
    updated_at: str | None = None


class UserAssetAttributes(_Attributes):
    """A flexible asset of the user type; its fields are whatever the type has."""

    organization_id: Id | None = None
    traits: dict[str, object] | None = None
    updated_at: str | None = None


class NamedAttributes(_Attributes):
    """An asset type or a contact type."""

    name: str | None = None


class PlaceAttributes(_Attributes):
    """A country, or a region of one."""

    name: str | None = None
    iso: Id | None = None
    country_id: Id | None = None


class Resource(msgspec.Struct, Generic[Attributes]):
    """One record with what it is linked to."""

    id: Id | None = None
    attributes: Attributes | None = None
    relationships: Relationships | None = None


class Document(msgspec.Struct, Generic[Item]):
    """One page of records."""

    data: tuple[Item, ...] | None = None
    included: tuple[Adapter, ...] | None = None
