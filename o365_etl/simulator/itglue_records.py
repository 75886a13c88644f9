"""IT Glue's records as the protocol sees them: rendered late, filtered and sorted by a few plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from o365_etl.simulator import itglue_objects as objects
from o365_etl.simulator.estate import Estate
from o365_etl.simulator.graph_objects import Json
from o365_etl.simulator.itglue_model import (
    SimAdapter,
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: what it renders to, what filters and sorts see, and who else owns it."""

    kind: str
    identity: int
    attributes: Callable[[], Json]
    sees: Json
    adapters: tuple[SimAdapter, ...] = ()


def records(estate: Estate, name: str) -> Iterable[Record] | None:
    """All records of an endpoint by the endpoint's name; None if there is no such endpoint."""
    if name == "organizations":
        return map(_organization, estate.organizations)
    names = {each.organization_id: each.name for each in estate.organizations}
    if name == "contacts":
        return (_contact(each, names.get(each.organization_id)) for each in estate.contacts)
    if name == "locations":
        return (_location(each, names.get(each.organization_id)) for each in estate.locations)
    if name == "flexible_asset_types":
        return map(_asset_type, estate.flexible_asset_types)
    if name == "flexible_assets":
        kinds = {each.type_id: each.name for each in estate.flexible_asset_types}
        return (
            _asset(each, names.get(each.organization_id), kinds.get(each.type_id)) for each in estate.flexible_assets
        )
    if name in _TABLES:
        return _TABLES[name]()
    return None


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
    }
    kind = "organizations"
    return Record(kind, each.organization_id, lambda: objects.organization_attributes(each), sees, tuple(each.adapters))


def _contact(each: SimContact, organization_name: str | None) -> Record:
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
    return Record(
        "contacts",
        each.contact_id,
        lambda: objects.contact_attributes(each, organization_name),
        sees,
        tuple(each.adapters),
    )


def _location(each: SimLocation, organization_name: str | None) -> Record:
    sees = {"id": each.location_id, "organization_id": each.organization_id, "name": each.name, "city": each.city}
    return Record("locations", each.location_id, lambda: objects.location_attributes(each, organization_name), sees)


def _asset(each: SimFlexibleAsset, organization_name: str | None, type_name: str | None) -> Record:
    sees = {
        "id": each.asset_id,
        "organization_id": each.organization_id,
        "flexible_asset_type_id": each.type_id,
        "name": each.name,
    }
    return Record(
        "flexible-assets", each.asset_id, lambda: objects.asset_attributes(each, organization_name, type_name), sees
    )


def _asset_type(each: SimFlexibleAssetType) -> Record:
    sees = {"id": each.type_id, "name": each.name, "icon": each.icon, "enabled": True}
    return Record("flexible-asset-types", each.type_id, lambda: objects.asset_type_attributes(each), sees)


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
