"""How IT Glue's records look in its JSON:API: kebab-case attributes, ids as strings, foreign ids as numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from o365_etl.simulator.itglue_model import (
    SimAdapter,
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetField,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
)

Json = dict[str, Any]

ORGANIZATION_TYPES = {"Customer": 1, "Prospect": 2, "Vendor": 3, "Internal": 4}
ORGANIZATION_STATUSES = {"Active": 1, "Inactive": 2}
CONTACT_TYPES = {"Approver": 24, "Decision Maker": 25, "End User": 26, "Former": 27}
COUNTRIES = {
    "United States": (1, "US"),
    "United Kingdom": (2, "GB"),
    "Germany": (3, "DE"),
    "Denmark": (4, "DK"),
    "France": (5, "FR"),
    "Sweden": (6, "SE"),
    "Poland": (7, "PL"),
}
REGIONS = {
    "Washington": (1, "WA", 1),
    "New York": (2, "NY", 1),
    "Texas": (3, "TX", 1),
    "Bavaria": (4, "BY", 3),
    "Hovedstaden": (5, "84", 4),
}


def moment(value: dt.datetime) -> str:
    """IT Glue's form of a moment: milliseconds and Z."""
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def organization_attributes(organization: SimOrganization) -> Json:
    """The attributes of an organization."""
    kind, status = organization.organization_type, organization.organization_status
    return {
        "psa-integration": _psa(organization.adapters),
        "name": organization.name,
        "alert": organization.alert,
        "description": organization.description,
        "organization-type-id": ORGANIZATION_TYPES.get(kind or ""),
        "organization-type-name": kind,
        "organization-status-id": ORGANIZATION_STATUSES.get(status or ""),
        "organization-status-name": status,
        "primary": organization.primary,
        "logo": None,
        "quick-notes": organization.quick_notes,
        "short-name": organization.short_name,
        "my-glue": False,
        "my-glue-account-id": None,
        "my-glue-account-status": None,
        "resource-url": f"https://msp.itglue.com/{organization.organization_id}",
        "created-at": moment(organization.created_at),
        "updated-at": moment(organization.updated_at),
    }


def contact_attributes(contact: SimContact, organization_name: str | None, location_name: str | None = None) -> Json:
    """The attributes of a contact, e-mails and phones included."""
    return {
        "psa-integration": _psa(contact.adapters),
        "organization-id": contact.organization_id,
        "organization-name": organization_name,
        "name": contact_name(contact) or None,
        "first-name": contact.first_name,
        "last-name": contact.last_name,
        "title": contact.title,
        "contact-type-id": CONTACT_TYPES.get(contact.contact_type or ""),
        "contact-type-name": contact.contact_type,
        "location-id": contact.location_id,
        "location-name": location_name,
        "important": contact.important,
        "notes": contact.notes,
        "restricted": False,
        "resource-url": f"https://msp.itglue.com/{contact.organization_id}/contacts/{contact.contact_id}",
        "created-at": moment(contact.created_at),
        "updated-at": moment(contact.updated_at),
        "contact-emails": [
            {"value": email.value, "primary": email.primary, "label-name": email.label} for email in contact.emails
        ],
        "contact-phones": [
            {
                "value": phone.value,
                "extension": phone.extension,
                "primary": phone.primary,
                "label-name": phone.label,
                "label-type": phone.label_type,
                "formatted-value": phone.formatted or phone.value,
            }
            for phone in contact.phones
        ],
    }


def location_attributes(location: SimLocation, organization_name: str | None) -> Json:
    """The attributes of a location."""
    return {
        "organization-id": location.organization_id,
        "organization-name": organization_name,
        "name": location.name,
        "primary": location.primary,
        "address-1": location.address_1,
        "address-2": location.address_2,
        "city": location.city,
        "postal-code": location.postal_code,
        "region-id": REGIONS[location.region][0] if location.region in REGIONS else None,
        "region-name": location.region,
        "country-id": COUNTRIES[location.country][0] if location.country in COUNTRIES else None,
        "country-name": location.country,
        "phone": location.phone,
        "fax": location.fax,
        "notes": location.notes,
        "formatted-phone": formatted_phone(location.phone),
        "formatted-fax": formatted_phone(location.fax),
        "created-at": moment(location.created_at),
        "updated-at": moment(location.updated_at),
    }


def asset_type_attributes(kind: SimFlexibleAssetType) -> Json:
    """The attributes of a flexible asset type."""
    return {
        "name": kind.name,
        "description": kind.description,
        "icon": kind.icon,
        "enabled": kind.enabled,
        "show-in-menu": kind.show_in_menu,
        "created-at": moment(kind.created_at),
        "updated-at": moment(kind.updated_at),
    }


def asset_field_attributes(each: SimFlexibleAssetField) -> Json:
    """The attributes of a field of a flexible asset type."""
    return {
        "flexible-asset-type-id": each.type_id,
        "order": each.order,
        "name": each.name,
        "kind": each.kind,
        "hint": each.hint,
        "decimals": each.decimals,
        "tag-type": each.tag_type,
        "required": each.required,
        "use-for-title": each.use_for_title,
        "expiration": each.expiration,
        "show-in-list": each.show_in_list,
        "default-value": each.default_value,
        "name-key": each.name_key,
        "created-at": moment(each.created_at),
        "updated-at": moment(each.updated_at),
    }


def asset_attributes(
    asset: SimFlexibleAsset, organization_name: str | None, type_name: str | None, traits: Json
) -> Json:
    """The attributes of a flexible asset; `traits` as they are read, with names beside the ids of tags."""
    return {
        "organization-id": asset.organization_id,
        "organization-name": organization_name,
        "resource-url": f"https://msp.itglue.com/{asset.organization_id}/assets/records/{asset.asset_id}",
        "restricted": False,
        "my-glue": False,
        "flexible-asset-type-id": asset.type_id,
        "flexible-asset-type-name": type_name,
        "name": asset.name,
        "traits": traits,
        "archived": False,
        "created-at": moment(asset.created_at),
        "updated-at": moment(asset.updated_at),
    }


def resource(kind: str, identity: object, attributes: Json, adapters: Iterable[Json] | None = None) -> Json:
    """One JSON:API resource; `adapters` (its included rows) are linked if they were asked for."""
    return related(kind, identity, attributes, {} if adapters is None else {"adapters-resources": adapters})


def related(kind: str, identity: object, attributes: Json, included: Mapping[str, Iterable[Json]]) -> Json:
    """One JSON:API resource with links to its included rows, by the name of the relationship."""
    answer: Json = {"id": str(identity), "type": kind, "attributes": attributes}
    if included:
        answer["relationships"] = {
            name: {"data": [{"type": row["type"], "id": row["id"]} for row in rows]} for name, rows in included.items()
        }
    return answer


def tag_rows(kind: str, named: Mapping[int, str], path: Callable[[int], str]) -> Json:
    """A tag trait as it is read: the records it points to, with their names."""
    values = [
        {"id": identity, "name": name, "resource-url": f"https://msp.itglue.com/{path(identity)}"}
        for identity, name in named.items()
    ]
    return {"type": kind, "values": values}


def contact_name(contact: SimContact) -> str:
    """First and last name together."""
    return " ".join(part for part in (contact.first_name, contact.last_name) if part)


def formatted_phone(value: str | None) -> str | None:
    """A phone number as IT Glue shows it: ten digits in the North American way, everything else as it stands."""
    if value is None or not value.isdecimal() or len(value) != 10:
        return value
    return f"({value[:3]}) {value[3:6]}-{value[6:]}"


def adapter_rows(owner_id: object, adapters: Iterable[SimAdapter]) -> list[Json]:
    """The included rows of a record that other integrations know."""
    return [
        {
            "id": f"{owner_id}{number}",
            "type": "adapters-resources",
            "attributes": {
                "adapter-type-name": adapter.name,
                "sync": adapter.sync,
                "orphaned": adapter.orphaned,
                "remote-id": adapter.remote_id,
            },
        }
        for number, adapter in enumerate(adapters, start=1)
    ]


def _psa(adapters: Iterable[SimAdapter]) -> str | None:
    return next(("enabled" if adapter.sync else "disabled" for adapter in adapters), None)
