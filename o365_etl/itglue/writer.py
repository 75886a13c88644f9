"""Looks up, creates and updates records of IT Glue, one or many in one request.

Every write is sent once (see `ItGlueClient.send`). What does not live here: which records to write, and what to do
when it is not known whether a write was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from o365_etl.errors import (
    BadAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    ProtocolError,
    TransientError,
    UnsupportedError,
)
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import INCOMPLETE, Crawl
from o365_etl.itglue.records import Found, FoundMany, Live, Written, WrittenMany
from o365_etl.normalise import normalise

__all__ = ["ItGlueWriter", "Live", "Resource"]

Resource: TypeAlias = Literal["organizations", "contacts", "locations", "flexible_assets", "flexible_asset_types"]

_OWNED = ("organizations", "contacts")
# Filters that a server might ignore, and whose silence would cost most: each with the attribute it is about.
_CHECKED = {"organization_id": "organization-id", "flexible_asset_type_id": "flexible-asset-type-id"}
# What tells the records of one bulk apart. IT Glue may tidy other values up, these it gives back as they were sent.
_TELLING = ("name", "first-name", "last-name", "organization-id", "flexible-asset-type-id")
_TELLING_TRAITS = ("tenant-id", "sku-id", "user-id")


class ItGlueWriter:
    """Records of one IT Glue account, for several threads at once.

    Attributes are given and returned under IT Glue's own names, with hyphens. Everything raises what
    `ItGlueClient.get` or `ItGlueClient.send` raise.
    """

    def __init__(self, client: ItGlueClient) -> None:
        self._client = client

    def find(self, resource: Resource, **filters: str | int) -> list[Live]:
        """All records that fit, in the order of their ids.

        `organization_id`, `flexible_asset_type_id` and `id` are certain (an id may be several, with commas between);
        another filter is only a help, and may let through more than was asked for.
        """
        params = {"sort": "id", **_include(resource)}
        for name, value in filters.items():
            # In any other filter a comma would part the value into several, and hide the record that is looked for.
            if name in _CHECKED or name == "id" or "," not in str(value):
                params[f"filter[{name}]"] = str(value)
        return [live for live in self._crawl(resource, params) if _fits(resource, live, filters)]

    def get(self, resource: Resource, identity: str) -> Live | None:
        """One record as it stands now; None if there is no such record."""
        include, spent = _include(resource), Spent()
        try:
            try:
                return self._client.get(f"/{resource}/{identity}", include, Found, spent)[0].live()
            except UnsupportedError:
                if not include:
                    raise
                return self._client.get(f"/{resource}/{identity}", {}, Found, spent)[0].live()
        except NotFoundError:
            return None

    def create(
        self, resource: Resource, attributes: Mapping[str, Any], relationships: Mapping[str, Any] | None = None
    ) -> Live:
        """Create one record."""
        document = _document(resource, attributes)
        if relationships is not None:
            document["relationships"] = relationships
        return self._client.send("POST", f"/{resource}", _body(document), Written, Spent()).data.live()

    def create_many(self, resource: Resource, organization_id: str, items: Sequence[Mapping[str, Any]]) -> list[Live]:
        """Create records of one organization in one request; returns them in the order of the items.

        Raises `OutcomeUnknownError` also if the answer leaves open which record came of which item.
        """
        if not items:
            return []
        path = f"/organizations/{organization_id}/relationships/{resource}"
        found = self._send_many("POST", path, resource, items)
        return _in_order(resource, items, found)

    def update(self, resource: Resource, identity: str, attributes: Mapping[str, Any]) -> Live:
        """Change the named attributes of one record."""
        body = _body(_document(resource, attributes))
        live = self._client.send("PATCH", f"/{resource}/{identity}", body, Written, Spent()).data.live()
        if live.id != identity:
            raise OutcomeUnknownError(f"IT Glue answered a change to one of the {resource} with another record")
        return live

    def update_many(self, resource: Resource, items: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Live]:
        """Change the named attributes of records in one request; returns them in the order of the items."""
        if not items:
            return []
        found = self._send_many(
            "PATCH", f"/{resource}", resource, [{"id": identity, **attributes} for identity, attributes in items]
        )
        by_id = {live.id: live for live in found}
        if by_id.keys() != {identity for identity, _ in items}:
            raise OutcomeUnknownError(f"IT Glue answered a change to several {resource} with other records")
        return [by_id[identity] for identity, _ in items]

    def _send_many(
        self, method: Literal["POST", "PATCH"], path: str, resource: Resource, items: Sequence[Mapping[str, Any]]
    ) -> list[Live]:
        body = _body([_document(resource, attributes) for attributes in items])
        found = [record.live() for record in self._client.send(method, path, body, WrittenMany, Spent()).data]
        if len(found) != len(items) or len({live.id for live in found}) != len(found):
            raise OutcomeUnknownError(
                f"IT Glue answered a write of {len(items)} {resource} with {len(found)} records, or with one twice"
            )
        return found

    def _crawl(self, resource: Resource, params: Mapping[str, str]) -> list[Live]:
        """Every record; if some are missing at the end, once more from the start."""
        try:
            return self._crawl_once(resource, params)
        except TransientError as error:
            if error.code != INCOMPLETE:
                raise
        return self._crawl_once(resource, params)

    def _crawl_once(self, resource: Resource, params: Mapping[str, str]) -> list[Live]:
        found: list[Live] = []
        for body in Crawl(self._client, f"/{resource}", params, Spent()).bodies():
            try:
                found += msgspec.json.decode(body, type=FoundMany).lives()
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadAnswerError(f"IT Glue answered /{resource} with records that cannot be read") from error
        return found


def _include(resource: Resource) -> dict[str, str]:
    return {"include": "adapters_resources"} if resource in _OWNED else {}


def _document(resource: Resource, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": resource.replace("_", "-"), "attributes": attributes}


def _body(data: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"data": data})


def _fits(resource: Resource, live: Live, filters: Mapping[str, str | int]) -> bool:
    for name, value in filters.items():
        if name != "id" and name not in _CHECKED:
            continue
        has = live.id if name == "id" else live.attributes.get(_CHECKED[name])
        if has is None:
            raise ProtocolError(f"IT Glue gives {resource} without {_CHECKED[name]}")
        if str(has) not in str(value).split(","):
            return False
    return True


def _in_order(resource: Resource, items: Sequence[Mapping[str, Any]], found: list[Live]) -> list[Live]:
    """The records in the order of the items. The API does not promise any, and a wrong one would give one person's
    record to another; so what tells records apart is compared.
    """
    if all(_is_like(item, live) for item, live in zip(items, found, strict=True)):
        return found
    ordered: list[Live] = []
    for item in items:
        alike = [live for live in found if _is_like(item, live)]
        if len(alike) != 1:
            raise OutcomeUnknownError(f"IT Glue answered a write of {len(items)} {resource} with others than were sent")
        ordered += alike
    if len({live.id for live in ordered}) != len(items):
        raise OutcomeUnknownError(f"IT Glue answered a write of {len(items)} {resource} with others than were sent")
    return ordered


def _is_like(item: Mapping[str, Any], live: Live) -> bool:
    """True if nothing that tells records apart differs; what only one of the two has does not count."""
    sent, received = _telling(item), _telling(live.attributes)
    return all(received[name] == value for name, value in sent.items() if name in received)


def _telling(attributes: Mapping[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {
        name: normalise(str(attributes[name])) for name in _TELLING if attributes.get(name) is not None
    }
    traits = attributes.get("traits")
    if isinstance(traits, Mapping):
        found |= {name: normalise(str(traits[name])) for name in _TELLING_TRAITS if traits.get(name) is not None}
    emails = attributes.get("contact-emails")
    if isinstance(emails, list):
        found["contact-emails"] = {normalise(str(each.get("value"))) for each in emails if isinstance(each, Mapping)}
    return found
