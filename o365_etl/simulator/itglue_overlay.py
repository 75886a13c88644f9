"""The contacts of a sized estate with what was written since laid over them.

The base renders a million contacts from one block. What somebody changed or looked up by id becomes an object that
takes the place of its rendered row; what somebody added follows at the end.
"""

from __future__ import annotations

import datetime as dt
import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from o365_etl.simulator.itglue_model import SimContact, SimEmail, SimPhone
from o365_etl.simulator.itglue_objects import Json

Render = Callable[[SimContact], bytes]


class SizedContacts(Protocol):
    """The contacts of a sized estate, without one object per contact. The order is that of their ids."""

    def count(self, organization_id: int | None) -> int:
        """How many there are, in one organization or in all."""

    def cut(self, organization_id: int | None, start: int, size: int, with_adapters: bool) -> bytes:
        """`size` rendered contacts by id from number `start` (from 0) on, joined by commas."""

    def newest_first(self) -> Iterator[tuple[dt.datetime, int]]:
        """When each contact was changed and its place among all, the latest change first; of equal ones by place."""


class OverlaidContacts:
    """The contacts of `base`, the changed ones in their places, the new ones after them."""

    def __init__(self, base: SizedContacts) -> None:
        self._base = base
        self._total = base.count(None)
        self._touched: dict[int, SimContact] = {}  # by place among all
        self._places: list[int] = []  # the same places in order
        self._added: list[SimContact] = []
        self._added_by_id: dict[int, SimContact] = {}
        self._first_places: dict[int, int] = {}

    def count(self, organization_id: int | None) -> int:
        """How many there are, in one organization or in all."""
        return self._base.count(organization_id) + len(self._new_ones(organization_id))

    def cut(self, organization_id: int | None, start: int, size: int, with_adapters: bool, render: Render) -> bytes:
        """`size` rendered contacts by id from number `start` (from 0) on, joined by commas."""
        total, offset = self._base.count(organization_id), self._offset(organization_id)
        stop, place = min(start + size, total), start
        parts = []
        first, last = (bisect_left(self._places, offset + edge) for edge in (start, max(start, stop)))
        for touched in self._places[first:last]:
            here = touched - offset
            if here > place:
                parts.append(self._base.cut(organization_id, place, here - place, with_adapters))
            parts.append(render(self._touched[touched]))
            place = here + 1
        if place < stop:
            parts.append(self._base.cut(organization_id, place, stop - place, with_adapters))
        new = self._new_ones(organization_id)[max(0, start - total) : max(0, start + size - total)]
        return b",".join([*parts, *map(render, new)])

    def cut_newest(self, start: int, size: int, with_adapters: bool, render: Render) -> bytes:
        """As `cut` of all contacts, but those that were changed last come first."""
        laid_over = [(each.updated_at, -place, each) for place, each in self._touched.items()]
        laid_over += [(each.updated_at, -self._total - place, each) for place, each in enumerate(self._added)]
        laid_over.sort(key=lambda each: each[:2], reverse=True)
        others = ((at, -place, None) for at, place in self._base.newest_first() if place not in self._touched)
        merged = heapq.merge(laid_over, others, key=lambda each: each[:2], reverse=True)
        return b",".join(
            self._base.cut(None, -place, 1, with_adapters) if contact is None else render(contact)
            for _, place, contact in islice(merged, start, start + size)
        )

    def find(self, contact_id: int) -> SimContact | None:
        """The contact with this id; from now on it is the object that counts."""
        if contact_id in self._added_by_id:
            return self._added_by_id[contact_id]
        place = self._place(contact_id)
        if place is None:
            return None
        if place not in self._touched:
            self._touched[place] = _contact(self._row(place))
            insort(self._places, place)
        return self._touched[place]

    def of(self, organization_id: int) -> list[SimContact]:
        """All contacts of an organization; those nobody touched are copies."""
        offset, total = self._offset(organization_id), self._base.count(organization_id)
        rows = msgspec.json.decode(b"[" + self._base.cut(organization_id, 0, total, False) + b"]")
        made = [self._touched.get(offset + here) or _contact(row) for here, row in enumerate(rows)]
        return made + self._new_ones(organization_id)

    def add(self, contact: SimContact) -> None:
        """One more contact; its id has to be higher than all others."""
        self._added.append(contact)
        self._added_by_id[contact.contact_id] = contact

    def highest_id(self) -> int:
        """The highest id given so far, 0 if there is none."""
        if self._added:
            return self._added[-1].contact_id
        return int(self._row(self._total - 1)["id"]) if self._total else 0

    def merged(self, contacts: list[SimContact]) -> list[SimContact]:
        """All contacts as objects; `contacts` are those of the base."""
        for place, contact in self._touched.items():
            contacts[place] = contact
        return contacts + self._added

    def _new_ones(self, organization_id: int | None) -> list[SimContact]:
        if organization_id is None:
            return self._added
        return [contact for contact in self._added if contact.organization_id == organization_id]

    def _row(self, place: int) -> Json:
        row: Json = msgspec.json.decode(self._base.cut(None, place, 1, False))
        return row

    def _place(self, contact_id: int) -> int | None:
        """Where the contact stands among all: halving, because the order is that of the ids."""
        place = bisect_left(range(self._total), contact_id, key=lambda place: int(self._row(place)["id"]))
        return place if place < self._total and int(self._row(place)["id"]) == contact_id else None

    def _offset(self, organization_id: int | None) -> int:
        """Where the contacts of an organization begin among all."""
        if organization_id is None or not self._base.count(organization_id):
            return 0
        if organization_id not in self._first_places:
            first = msgspec.json.decode(self._base.cut(organization_id, 0, 1, False))
            self._first_places[organization_id] = self._place(int(first["id"])) or 0
        return self._first_places[organization_id]


def _contact(row: Json) -> SimContact:
    """The object that renders to this row."""
    attributes = row["attributes"]
    return SimContact(
        organization_id=attributes["organization-id"],
        first_name=attributes["first-name"],
        last_name=attributes["last-name"],
        contact_id=int(row["id"]),
        title=attributes["title"],
        contact_type=attributes["contact-type-name"],
        emails=[SimEmail(each["value"], each["primary"], each["label-name"]) for each in attributes["contact-emails"]],
        phones=[
            SimPhone(
                each["value"],
                extension=each["extension"],
                primary=each["primary"],
                label=each["label-name"],
                label_type=each["label-type"],
                formatted=each["formatted-value"],
            )
            for each in attributes["contact-phones"]
        ],
        notes=attributes["notes"],
        important=attributes["important"],
        location_id=attributes["location-id"],
        created_at=dt.datetime.fromisoformat(attributes["created-at"]),
        updated_at=dt.datetime.fromisoformat(attributes["updated-at"]),
    )
