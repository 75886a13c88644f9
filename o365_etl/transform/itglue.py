"""The `itglue` tables from landed pages, in batches: a million contacts never sit in memory at once.

A record that comes on two pages (somebody changed the account while it was read) counts once, as it came first; in a
read of what changed, as it came last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa

from o365_etl.errors import ProtocolError
from o365_etl.normalise import normalise, person_key
from o365_etl.transform.columns import parse_count, parse_date, parse_time, rows_to_table
from o365_etl.transform.decode import decode_all
from o365_etl.transform.resources import (
    Adapter,
    ContactAttributes,
    Contacts,
    Document,
    Figure,
    Id,
    LicenseAssetAttributes,
    LicenseTraits,
    LocationAttributes,
    NamedAttributes,
    OrganizationAttributes,
    Phone,
    PlaceAttributes,
    Resource,
    Tag,
    UserAssetAttributes,
)

PAGES_PER_BATCH = 20

Rows = list[tuple[Any, ...]]
_Record = tuple[str, Any, str | None]  # id, attributes, the integration that owns it

_NAMES: Mapping[str, tuple[str, ...]] = {
    "itglue.organizations": (
        "organization_id",
        "name",
        "short_name",
        "organization_type",
        "organization_status",
        "is_primary",
        "sync_owner",
        "updated_at",
        "name_key",
        "short_name_key",
        "resource_url",
    ),
    "itglue.contacts": (
        "contact_id",
        "organization_id",
        "first_name",
        "last_name",
        "title",
        "contact_type",
        "notes",
        "sync_owner",
        "updated_at",
        "name_key",
        "resource_url",
    ),
    "itglue.contact_emails": ("contact_id", "address", "organization_id", "is_primary", "label"),
    "itglue.contact_phones": ("contact_id", "number", "extension", "is_primary", "label"),
    "itglue.locations": (
        "location_id",
        "organization_id",
        "name",
        "is_primary",
        "address_1",
        "city",
        "region",
        "postal_code",
        "country",
        "phone",
        "updated_at",
    ),
    "itglue.license_assets": (
        "asset_id",
        "organization_id",
        "tenant_id",
        "sku_id",
        "product_name",
        "status",
        "active",
        "consumed",
        "unused",
        "renewal_date",
        "contact_ids",
        "updated_at",
    ),
    "itglue.user_assets": (
        "asset_id",
        "organization_id",
        "tenant_id",
        "user_id",
        "contact_ids",
        "traits",
        "updated_at",
    ),
    "itglue.asset_types": ("asset_type_id", "name"),
    "itglue.contact_types": ("contact_type_id", "name"),
    "itglue.countries": ("country_id", "name", "iso"),
    "itglue.regions": ("region_id", "country_id", "name", "iso"),
}


def itglue_frames(stream: str, pages: Iterable[bytes], *, are_changes: bool = False) -> Iterator[dict[str, pa.Table]]:
    """The tables of one stream (`organizations`, `contacts` … as the reader names them), a batch at a time.

    Each batch holds the rows of at most `PAGES_PER_BATCH` pages under the tables' full names; at least one batch comes,
    empty if the stream is. `are_changes`: a record that comes again was changed again, so the last one in a batch
    counts, and makes its rows in earlier batches void. Raises `ProtocolError` for another stream, `LocalError` for
    landed bytes that are no JSON.
    """
    if stream not in _STREAMS:
        raise ProtocolError(f"IT Glue has no stream {stream!r}", code="stream")
    attributes, to_rows = _STREAMS[stream]
    documents = decode_all(pages, Document[Resource[attributes]])  # type: ignore[valid-type]  # a run-time type
    seen: set[int | str] = set()
    first = True
    while (batch := list(islice(documents, PAGES_PER_BATCH))) or first:
        first = False
        if are_changes:
            seen.clear()
            batch.reverse()
        records = [record for document in batch for record in _records(document, seen)]
        yield {name: rows_to_table(name, _NAMES[name], rows) for name, rows in to_rows(records).items()}


def _records(document: Document[Resource[Any]], seen: set[int | str]) -> Iterator[_Record]:
    owners = _owners(document.included or ())
    for resource in document.data or ():
        if resource.id is None or resource.attributes is None:
            continue
        id_ = str(resource.id)
        # As numbers, the ids of a million records take a third of the memory.
        token = int(id_) if id_.isdecimal() and id_.isascii() and not id_.startswith("0") else id_
        if token in seen:
            continue
        seen.add(token)
        links = resource.relationships.adapters() if resource.relationships else ()
        names = {owners[key] for link in links if (key := str(link.id)) in owners}
        yield id_, resource.attributes, ", ".join(sorted(names)) or None


def _owners(included: Iterable[Adapter]) -> dict[str, str]:
    """The integration behind each adapter row whose `sync` is true, by the row's id."""
    return {
        str(adapter.id): adapter.attributes.adapter_type_name or "unknown"
        for adapter in included
        if adapter.attributes and adapter.attributes.sync and "adapter" in (adapter.type or "adapter")
    }


def _organizations(records: Sequence[_Record]) -> dict[str, Rows]:
    rows: Rows = []
    for id_, item, owner in records:
        rows.append(
            (
                id_,
                item.name,
                item.short_name or None,
                item.organization_type_name,
                item.organization_status_name,
                item.primary is True,
                owner,
                parse_time(item.updated_at),
                _key(item.name),
                _key(item.short_name),
                item.resource_url,
            )
        )
    return {"itglue.organizations": rows}


def _contacts(records: Sequence[_Record]) -> dict[str, Rows]:
    contacts: Rows = []
    emails: Rows = []
    phones: Rows = []
    for id_, item, owner in records:
        organization_id = _text(item.organization_id)
        contacts.append(
            (
                id_,
                organization_id,
                item.first_name or None,
                item.last_name or None,
                item.title or None,
                item.contact_type_name,
                item.notes,
                owner,
                parse_time(item.updated_at),
                person_key(item.first_name, item.last_name),
                item.resource_url,
            )
        )
        emails += _emails(id_, organization_id, item)
        phones += _phones(id_, item)
    return {"itglue.contacts": contacts, "itglue.contact_emails": emails, "itglue.contact_phones": phones}


def _emails(contact_id: str, organization_id: str | None, item: ContactAttributes) -> Iterable[tuple[Any, ...]]:
    """Each address once; where it stands twice, the primary entry counts."""
    found: dict[str, tuple[Any, ...]] = {}
    for email in item.contact_emails or ():
        address = normalise(email.value or "")
        if address and (address not in found or email.primary):
            found[address] = (contact_id, address, organization_id, email.primary is True, email.label_name)
    return found.values()


def _phones(contact_id: str, item: ContactAttributes) -> Iterable[tuple[Any, ...]]:
    """Each number once; where it stands twice, the primary entry counts."""
    found: dict[str, tuple[Any, ...]] = {}
    for phone in item.contact_phones or ():
        number = (_text(phone.value) or "").strip()
        if number and (number not in found or phone.primary):
            found[number] = _phone_row(contact_id, number, phone)
    return found.values()


def _phone_row(contact_id: str, number: str, phone: Phone) -> tuple[Any, ...]:
    return contact_id, number, _text(phone.extension), phone.primary is True, phone.label_name


def _locations(records: Sequence[_Record]) -> dict[str, Rows]:
    rows: Rows = []
    for id_, item, _ in records:
        rows.append(
            (
                id_,
                _text(item.organization_id),
                item.name,
                item.primary is True,
                item.address_1 or None,
                item.city or None,
                item.region_name or None,
                _text(item.postal_code),
                item.country_name or None,
                _text(item.phone),
                parse_time(item.updated_at),
            )
        )
    return {"itglue.locations": rows}


def _license_assets(records: Sequence[_Record]) -> dict[str, Rows]:
    rows: Rows = []
    for id_, item, _ in records:
        traits = item.traits or LicenseTraits()
        rows.append(
            (
                id_,
                _text(item.organization_id),
                traits.tenant_id.lower() if traits.tenant_id else None,
                traits.sku_id.lower() if traits.sku_id else None,
                traits.product_name or None,
                traits.status or None,
                *(_whole(figure) for figure in (traits.active, traits.consumed, traits.unused)),
                _day(traits.renewal_date),
                _id_list(traits.contacts),
                parse_time(item.updated_at),
            )
        )
    return {"itglue.license_assets": rows}


def _user_assets(records: Sequence[_Record]) -> dict[str, Rows]:
    rows: Rows = []
    for id_, item, _ in records:
        traits = {name: _tag_ids(value) for name, value in (item.traits or {}).items()}
        tenant_id, user_id = (str(traits.pop(name, None) or "").lower() or None for name in ("tenant-id", "user-id"))
        traits.pop("contacts", None)
        rows.append(
            (
                id_,
                _text(item.organization_id),
                tenant_id,
                user_id,
                _id_list(_contacts_of(item)),
                _compact(dict(sorted(traits.items()))) if item.traits is not None else None,
                parse_time(item.updated_at),
            )
        )
    return {"itglue.user_assets": rows}


def _contacts_of(item: UserAssetAttributes) -> Contacts | None:
    try:
        found: Contacts = msgspec.convert((item.traits or {}).get("contacts") or (), Contacts)
    except msgspec.ValidationError:
        return None
    return found


def _asset_types(records: Sequence[_Record]) -> dict[str, Rows]:
    return {"itglue.asset_types": [(id_, item.name) for id_, item, _ in records]}


def _contact_types(records: Sequence[_Record]) -> dict[str, Rows]:
    return {"itglue.contact_types": [(id_, item.name) for id_, item, _ in records]}


def _countries(records: Sequence[_Record]) -> dict[str, Rows]:
    return {"itglue.countries": [(id_, item.name, _code(item.iso)) for id_, item, _ in records]}


def _regions(records: Sequence[_Record]) -> dict[str, Rows]:
    rows = [(id_, _text(item.country_id), item.name, _code(item.iso)) for id_, item, _ in records]
    return {"itglue.regions": rows}


def _code(iso: Id | None) -> str | None:
    return (_text(iso) or "").strip().upper() or None


def _whole(figure: Figure | None) -> int | None:
    """A figure of an asset; IT Glue may give a whole number as text or with a fraction of zero."""
    if isinstance(figure, float):
        return int(figure) if figure.is_integer() else None
    return parse_count(_text(figure))


def _day(text: str | None) -> str | None:
    day = parse_date(text[:10]) if text else None
    return day.isoformat() if day else None


def _id_list(contacts: Contacts | None) -> str | None:
    """The ids of a tag as a JSON list; None if it names nobody."""
    if isinstance(contacts, Tag):
        found = [str(each.id) for each in contacts.values or () if each.id is not None]
    else:
        found = [str(each) for each in contacts or ()]
    return _compact(_ascending(found)) if found else None


def _tag_ids(value: object) -> object:
    """The ids behind a tag's value; any other value as it came."""
    if not isinstance(value, dict) or "values" not in value:
        return value
    try:
        tag = msgspec.convert(value, Tag)
    except msgspec.ValidationError:
        return value
    ids = [str(each.id) for each in tag.values or () if each.id is not None]
    # What has no id is no tag: an upload, perhaps.
    return _ascending(ids) if len(ids) == len(tag.values or ()) else value


def _ascending(ids: Iterable[str]) -> list[str]:
    """Ids as text, each once, in the order of their numbers."""
    return sorted(set(ids), key=lambda each: (not each.isdecimal(), int(each) if each.isdecimal() else 0, each))


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _key(name: str | None) -> str | None:
    return normalise(name) or None if name else None


def _text(value: Id | None) -> str | None:
    return str(value) or None if value is not None else None


_STREAMS: Mapping[str, tuple[Any, Callable[[Sequence[_Record]], dict[str, Rows]]]] = {
    "organizations": (OrganizationAttributes, _organizations),
    "contacts": (ContactAttributes, _contacts),
    "locations": (LocationAttributes, _locations),
    "license_assets": (LicenseAssetAttributes, _license_assets),
    "user_assets": (UserAssetAttributes, _user_assets),
    "asset_types": (NamedAttributes, _asset_types),
    "contact_types": (NamedAttributes, _contact_types),
    "countries": (PlaceAttributes, _countries),
    "regions": (PlaceAttributes, _regions),
}
