"""What changed, laid over what was: for objects that are told in part, as Microsoft's delta queries tell them.

A property that is told holds, null included; one that is absent stays as it was. Both who reads changes and who makes
tables of them must come to the same objects, so the rule stands here once.

What does not live here: how changes are asked for (`o365_etl.graph`), what an object's properties mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
Entry = Mapping[str, msgspec.Raw]
"""An object of a delta answer, its values unread."""

_decode_text = msgspec.json.Decoder(str).decode


class _Entries(msgspec.Struct):
    value: list[dict[str, msgspec.Raw]]


_decode_entries = msgspec.json.Decoder(_Entries).decode


class Changes:
    """The changes since one moment, each object once: `objects` with all that was told of them, `removed` by id.

    Ids are in lower case. Entries are taken in as they come: of an object that comes more than once the later word
    holds, property by property, and a removed one that comes again was restored.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, msgspec.Raw]] = {}
        self.removed: set[str] = set()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in a page of changes. Raises `msgspec.DecodeError` for an id that is no text, `KeyError` without one."""
        for entry in entries:
            object_id = _decode_text(entry["id"]).lower()
            if "@removed" in entry:
                self.objects.pop(object_id, None)
                self.removed.add(object_id)
            else:
                self.removed.discard(object_id)
                self.objects.setdefault(object_id, {}).update(entry)

    def keep(self, earlier: Changes) -> bytes | None:
        """Keep what was known of objects that are not told of any more, removed ones above all: nothing is concluded
        from that. Returns it as a page to be landed, None if there is nothing.
        """
        kept = {object_id: told for object_id, told in earlier.objects.items() if object_id not in self.objects}
        self.objects |= kept
        return _page(kept) if kept else None

    def page(self) -> bytes:
        """All objects as one page of a collection, for a decoder of whole objects."""
        return _page(self.objects)


def read_changes(bodies: Iterable[bytes]) -> Changes:
    """Landed pages of changes, in order. Raises as `Changes.add`."""
    changes = Changes()
    for body in bodies:
        changes.add(_decode_entries(body).value)
    return changes


def overlay(old: S, new: S, told: Collection[str]) -> S:
    """`old` with the properties of `new` whose names on the wire are among `told`."""
    fields = msgspec.structs.fields(type(old))
    return msgspec.structs.replace(
        old, **{field.name: getattr(new, field.name) for field in fields if field.encode_name in told}
    )


def _page(objects: Mapping[str, Entry]) -> bytes:
    return msgspec.json.encode({"value": list(objects.values())})
