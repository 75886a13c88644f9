"""Reading what a client sends to IT Glue: media type, JSON, the JSON:API envelope, keys in either spelling.

What the attributes may hold is the business of the writers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from o365_etl.simulator.itglue_errors import ApiError, GatewayError
from o365_etl.simulator.transport import Request

MEDIA_TYPE = "application/vnd.api+json"


@dataclass(frozen=True, slots=True)
class Item:
    """One record as sent: attributes and relationships by snake_case name."""

    attributes: Mapping[str, object]
    relationships: Mapping[str, object] = field(default_factory=dict)

    @property
    def identity(self) -> int | None:
        """The id inside the attributes."""
        return number(self.attributes.get("id"))


@dataclass(frozen=True, slots=True)
class Body:
    """What was sent: one item, or a list of them."""

    items: list[Item]
    is_list: bool


def read_body(request: Request, kind: str) -> Body:
    """The items of a request about records of this kind. Raises `GatewayError` or `ApiError`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise GatewayError(415, f"Unsupported Media Type. Use Content-Type: {MEDIA_TYPE}")
    try:
        document = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GatewayError(400, f"Invalid JSON format: {error}") from None
    data = document.get("data") if isinstance(document, dict) else None
    if not data:
        raise ApiError(400, "Missing parameter", "param is missing or the value is empty: data", "/data")
    rows = data if isinstance(data, list) else [data]
    return Body([item(row, kind) for row in rows], isinstance(data, list))


def item(row: object, kind: str) -> Item:
    """One resource object, which has to be of this kind. Raises `ApiError`."""
    if not isinstance(row, dict) or snake(row.get("type")) != kind:
        raise ApiError(400, "Invalid type", f"type has to be {kind.replace('_', '-')}.", "/data/type")
    attributes, relationships = row.get("attributes", {}), row.get("relationships", {})
    if not isinstance(attributes, dict) or not isinstance(relationships, dict):
        raise ApiError(400, "Invalid attributes", "attributes and relationships have to be objects.", "/data")
    return Item(snake_keys(attributes), snake_keys(relationships))


def snake(name: object) -> str:
    """A name in snake_case, whichever of the two spellings was sent."""
    return str(name).replace("-", "_")


def snake_keys(values: Mapping[str, object]) -> dict[str, object]:
    """The same values by snake_case name; what they hold is left alone."""
    return {snake(name): value for name, value in values.items()}


def number(value: object) -> int | None:
    """An id sent as a number or as text; None if it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else None
