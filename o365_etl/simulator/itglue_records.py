"""IT Glue's records as the protocol sees them: rendered late, filtered and sorted by a few plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from o365_etl.simulator import itglue_objects as objects
from o365_etl.simulator.estate import KINDS, Estate
from o365_etl.simulator.itglue_body import number
from o365_etl.simulator.itglue_model import (
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetField,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
    SimRecord,
)
from o365_etl.simulator.itglue_objects import Json

ASSET_TAG = "FlexibleAssetType: "


@dataclass(frozen=True, slots=True)
class Record:
    """One record: what it renders to, what filters and sorts see, and what can be included, by the include's name."""

    kind: str
    identity: int
    attributes: Callable[[], Json]
    sees: Json
    related: Mapping[str, Callable[[], list[Json]]] = field(default_factory=dict)


class View:
    """The account as one request sees it; names are looked up once. To be used under the estate's IT Glue lock."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._opened: set[int] = set()  # organizations of a sized estate whose contacts were looked up

    def all(
        self, name: str, organization_id: int | None = None, identities: Iterable[int] | None = None
    ) -> Iterable[Record] | None:
        """The records of an endpoint by the endpoint's name; None if there is no such endpoint.

        Others than those of the given organization, or with the given ids, may be left out.
        """
        if name == "contacts" and identities is not None:
            found = map(self.contact, dict.fromkeys(identities))
            return [self.one(contact) for contact in found if contact is not None]
        if name == "contacts" and organization_id is not None:
            return map(self.one, self._contacts_of(organization_id))
        if name == "flexible_asset_fields":
            return [self.one(each) for owner in self._estate.flexible_asset_types for each in owner.fields]
        for kind in KINDS:
            if kind == name:
                return map(self.one, self._estate.itglue(kind))
        return _TABLES[name]() if name in _TABLES else None

    def find(self, name: str, identity: int) -> Record | None:
        """One record of an endpoint; None if there is no such record or endpoint."""
        if name == "contacts":
            contact = self.contact(identity)
            return None if contact is None else self.one(contact)
        return next((record for record in self.all(name) or () if record.identity == identity), None)

    def one(self, each: SimRecord) -> Record:
        """How the protocol sees this record."""
        if isinstance(each, SimOrganization):
            return _organization(each)
        if isinstance(each, SimContact):
            return self._contact(each)
        if isinstance(each, SimLocation):
            return self._location(each)
        if isinstance(each, SimFlexibleAssetType):
            return _asset_type(each)
        if isinstance(each, SimFlexibleAssetField):
            return _asset_field(each)
        return self._asset(each)

    @cached_property
    def organizations(self) -> Mapping[int, str]:
        """The names of all organizations."""
        return {each.organization_id: each.name for each in self._estate.organizations}

    @cached_property
    def locations(self) -> Mapping[int, str]:
        """The names of all locations."""
        return {each.location_id: each.name for each in self._estate.locations}

    @cached_property
    def types(self) -> Mapping[int, SimFlexibleAssetType]:
        """All flexible asset types by id."""
        return {each.type_id: each for each in self._estate.flexible_asset_types}

    @cached_property
    def assets(self) -> Mapping[int, SimFlexibleAsset]:
        """All flexible assets by id."""
        return {each.asset_id: each for each in self._estate.flexible_assets}

    @cached_property
    def _contacts(self) -> dict[int, SimContact]:
        """Contacts by id: all of them, or those of a sized estate that were looked up so far."""
        if self._estate.sized_contacts is not None:
            return {}
        return {each.contact_id: each for each in self._estate.contacts}

    def contact(self, identity: int, organization_id: int | None = None) -> SimContact | None:
        """A contact by id. Of a sized estate those of this organization are looked up together."""
        book = self._estate.sized_contacts
        if book is not None and identity not in self._contacts:
            if organization_id is not None and organization_id not in self._opened:
                self._opened.add(organization_id)
                self._contacts.update((each.contact_id, each) for each in book.of(organization_id))
            if identity not in self._contacts and (found := book.find(identity)) is not None:
                self._contacts[identity] = found
        return self._contacts.get(identity)

    def _contacts_of(self, organization_id: int) -> Iterable[SimContact]:
        book = self._estate.sized_contacts
        if book is not None:
            return book.of(organization_id)
        return [each for each in self._estate.contacts if each.organization_id == organization_id]

    def tagged(self, tag_type: str, identities: Iterable[int], organization_id: int | None) -> dict[int, str]:
        """The names of the tagged records that exist."""
        wanted = list(identities)
        if tag_type == "Contacts":
            contacts = {each: self.contact(each, organization_id) for each in wanted}
            return {each: objects.contact_name(found) for each, found in contacts.items() if found is not None}
        if tag_type == "Organizations":
            return {each: self.organizations[each] for each in wanted if each in self.organizations}
        if tag_type == "Locations":
            return {each: self.locations[each] for each in wanted if each in self.locations}
        if tag_type.startswith(ASSET_TAG):
            kind = number(tag_type.removeprefix(ASSET_TAG))
            assets = {each: self.assets.get(each) for each in wanted}
            return {each: found.name for each, found in assets.items() if found is not None and found.type_id == kind}
        return {}  # the simulator has no configurations, documents and so on

    def _contact(self, each: SimContact) -> Record:
        sees = {
            "id": each.contact_id,
            "organization_id": each.organization_id,
            "first_name": each.first_name,
            "last_name": each.last_name,
            "title": each.title,
            "important": each.important,
            "primary_email": next((email.value for email in each.emails if email.primary), None),
            "contact_type_id": objects.CONTACT_TYPES.get(each.contact_type or ""),
            "updated_at": each.updated_at,
            "created_at": each.created_at,
        }

        def attributes() -> Json:
            location = self.locations.get(each.location_id or 0)
            return objects.contact_attributes(each, self.organizations.get(each.organization_id), location)

        return Record("contacts", each.contact_id, attributes, sees, _adapters(each.contact_id, each))

    def _location(self, each: SimLocation) -> Record:
        sees = {"id": each.location_id, "organization_id": each.organization_id, "name": each.name, "city": each.city}
        sees |= {
            "region_id": objects.REGIONS.get(each.region or "", (None,))[0],
            "country_id": objects.COUNTRIES.get(each.country or "", (None,))[0],
        }

        def attributes() -> Json:
            return objects.location_attributes(each, self.organizations.get(each.organization_id))

        return Record("locations", each.location_id, attributes, sees)

    def _asset(self, each: SimFlexibleAsset) -> Record:
        sees = {
            "id": each.asset_id,
            "organization_id": each.organization_id,
            "flexible_asset_type_id": each.type_id,
            "name": each.name,
        }

        def attributes() -> Json:
            kind = self.types.get(each.type_id)
            name = self.organizations.get(each.organization_id)
            return objects.asset_attributes(each, name, kind.name if kind else None, self._traits(each, kind))

        return Record("flexible-assets", each.asset_id, attributes, sees)

    def _traits(self, asset: SimFlexibleAsset, kind: SimFlexibleAssetType | None) -> Json:
        """The traits as they are read: as written, but for tags, which name what they point to."""
        traits = dict(asset.traits)
        for each in kind.fields if kind else ():
            written = traits.get(each.name_key)
            if each.kind == "Tag" and isinstance(written, list):
                tag_type = each.tag_type or ""
                identities = [identity for value in written if (identity := number(value)) is not None]
                named = self.tagged(tag_type, identities, asset.organization_id)
                traits[each.name_key] = objects.tag_rows(
                    tag_type, named, lambda identity: f"{asset.organization_id}/records/{identity}"
                )
        return traits


def _organization(each: SimOrganization) -> Record:
    sees = {
        "id": each.organization_id,
        "name": each.name,
        "short_name": each.short_name,
        "updated_at": each.updated_at,
        "created_at": each.created_at,
        "primary": each.primary,
        "organization_type_id": objects.ORGANIZATION_TYPES.get(each.organization_type or ""),
        "organization_status_id": objects.ORGANIZATION_STATUSES.get(each.organization_status or ""),
        "organization_type_name": each.organization_type,
        "organization_status_name": each.organization_status,
        "my_glue_account_id": None,
    }
    identity = each.organization_id
    return Record(
        "organizations", identity, lambda: objects.organization_attributes(each), sees, _adapters(identity, each)
    )


def _adapters(identity: int, each: SimOrganization | SimContact) -> Mapping[str, Callable[[], list[Json]]]:
    return {"adapters_resources": lambda: objects.adapter_rows(identity, each.adapters)}


def _asset_type(each: SimFlexibleAssetType) -> Record:
    sees = {"id": each.type_id, "name": each.name, "icon": each.icon, "enabled": each.enabled}

    def fields() -> list[Json]:
        ordered = sorted(each.fields, key=lambda one: one.order)
        kind = "flexible-asset-fields"
        return [objects.related(kind, one.field_id, objects.asset_field_attributes(one), {}) for one in ordered]

    return Record(
        "flexible-asset-types",
        each.type_id,
        lambda: objects.asset_type_attributes(each),
        sees,
        {"flexible_asset_fields": fields},
    )


def _asset_field(each: SimFlexibleAssetField) -> Record:
    sees = {
        "id": each.field_id,
        "flexible_asset_type_id": each.type_id,
        "order": each.order,
        "name": each.name,
        "kind": each.kind,
    }
    return Record("flexible-asset-fields", each.field_id, lambda: objects.asset_field_attributes(each), sees)


def _constant(kind: str, identity: int, attributes: Json, **sees: object) -> Record:
    return Record(kind, identity, lambda: attributes, {"id": identity, **sees})


def _named(kind: str, table: dict[str, int]) -> list[Record]:
    return [_constant(kind, identity, {"name": name, "synced": False}, name=name) for name, identity in table.items()]


def _countries() -> list[Record]:
    return [
        _constant("countries", identity, {"name": name, "iso": iso}, iso=iso)
        for name, (identity, iso) in objects.COUNTRIES.items()
    ]


def _regions() -> list[Record]:
    return [
        _constant("regions", identity, {"name": name, "iso": iso, "country-id": country}, iso=iso, country_id=country)
        for name, (identity, iso, country) in objects.REGIONS.items()
    ]


def _passwords() -> list[Record]:
    # It answers, so that a test can see in the log that nobody asked
    return [_constant("passwords", 1, {"name": "Administrator", "username": "admin", "password": None})]


_TABLES: dict[str, Callable[[], list[Record]]] = {
    "organization_types": lambda: _named("organization-types", objects.ORGANIZATION_TYPES),
    "organization_statuses": lambda: _named("organization-statuses", objects.ORGANIZATION_STATUSES),
    "contact_types": lambda: _named("contact-types", objects.CONTACT_TYPES),
    "countries": _countries,
    "regions": _regions,
    "passwords": _passwords,
}
