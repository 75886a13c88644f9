"""One record of IT Glue as it stands there now, and the documents it comes in.

What does not live here: sending and asking (`writer`), and the tables (`o365_etl.transform`, which reads more loosely:
a page with one odd field is still worth most of its rows; a record that is about to be written is not).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec


@dataclass(frozen=True)
class Live:
    """One record as it was received.

    `attributes` has IT Glue's own names, with hyphens. `owner` is the integration that owns the record (an adapter
    whose `sync` is true), None for none; it is known for what was found or got, not for what was just written.
    """

    id: str
    attributes: dict[str, Any]
    created_at: datetime | None
    owner: str | None


class _Reference(msgspec.Struct):
    id: str | int | None = None


class _Relationship(msgspec.Struct):
    data: list[_Reference] | None = None


class _Relationships(msgspec.Struct):
    """The links to integrations, in either spelling of the API."""

    hyphenated: _Relationship | None = msgspec.field(default=None, name="adapters-resources")
    underscored: _Relationship | None = msgspec.field(default=None, name="adapters_resources")

    def adapter_ids(self) -> set[str]:
        link = self.hyphenated or self.underscored
        return {str(each.id) for each in (link.data or () if link else ()) if each.id is not None}


class _AdapterAttributes(msgspec.Struct, rename="kebab"):
    adapter_type_name: str | None = None
    sync: bool | None = None


class _Included(msgspec.Struct):
    type: str | None = None
    id: str | int | None = None
    attributes: _AdapterAttributes | None = None

    def owner(self) -> str | None:
        """The integration, if this row is about one that owns the record."""
        is_adapter = "adapter" in (self.type or "adapter")
        if self.attributes is None or not self.attributes.sync or not is_adapter:
            return None
        return self.attributes.adapter_type_name or "unknown"


class _Record(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)] | int
    attributes: dict[str, Any] = {}

    def live(self, owners: Iterable[str | None] = ()) -> Live:
        names = sorted({name for name in owners if name is not None})
        return Live(str(self.id), self.attributes, moment(self.attributes.get("created-at")), ", ".join(names) or None)


class _Linked(_Record):
    relationships: _Relationships | None = None

    def adapter_ids(self) -> set[str]:
        return self.relationships.adapter_ids() if self.relationships else set()


class Found(msgspec.Struct):
    """The answer to a question for one record."""

    data: _Linked
    included: list[_Included] | None = None

    def live(self) -> Live:
        """The record. What is included can be about nothing else, so it counts even where it is not linked."""
        return self.data.live(row.owner() for row in self.included or ())


class FoundMany(msgspec.Struct):
    """The answer to a question for several records."""

    data: list[_Linked]
    included: list[_Included] | None = None

    def lives(self) -> list[Live]:
        """The records in order."""
        rows = {str(row.id): row for row in self.included or ()}
        return [each.live(rows[key].owner() for key in each.adapter_ids() if key in rows) for each in self.data]


class Written(msgspec.Struct):
    """The answer to a write of one record. Nothing more is asked of it: the write is done."""

    data: _Record


class WrittenMany(msgspec.Struct):
    """The answer to a write of several records."""

    data: list[_Record]


def moment(value: object) -> datetime | None:
    """A time as IT Glue writes it; None for anything else. Without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
