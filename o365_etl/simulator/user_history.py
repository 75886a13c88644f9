"""What became of the users of a tenant since somebody first asked for changes: what users/delta answers from.

A history is written by comparing: at its beginning, and at each `Estate.touch` after an edit. What happens between two
touches and is undone again was never seen. How it looks on the wire is the business of `graph_delta`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from o365_etl.simulator.graph_objects import USER_KNOWN, USER_NOT_ON_COLLECTION, Json, user_json
from o365_etl.simulator.model import SimTenant, SimUser
from o365_etl.simulator.rows import LazyList, Rows

# Kept outside the directory's own store, so that no delta query tells them
UNKNOWN_TO_DELTA = USER_NOT_ON_COLLECTION | {"signInActivity"}
# Told along with other changes, but no change of it alone is told
UNTRACKED = "licenseAssignmentStates"
TRACKED = tuple(sorted(USER_KNOWN - UNKNOWN_TO_DELTA))
_NULL = b"null"
_encode = msgspec.json.Encoder().encode
Values = Mapping[str, bytes]


@dataclass(slots=True)
class Traced:
    """One user over time; numbers are those of changes. `values` are rendered properties, null ones left out unless
    they once were something; `before` is what changed properties were before their last change.
    """

    user_id: str
    place: int
    appeared: int
    changed: int
    values: dict[str, bytes]
    before: dict[str, bytes] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    removed: int | None = None
    last_removed: int | None = None


class UserHistory:
    """The users of one tenant over time. `number` is that of the last change; a link is good in its `generation`."""

    def __init__(self, tenant: SimTenant, rows: Rows[SimUser]) -> None:
        self._tenant = tenant
        self._rows: Rows[SimUser] | None = rows
        self._traced: dict[str, Traced] = {}
        self._lock = threading.RLock()
        self.number = 0
        self.generation = uuid4().hex
        if not _is_untouched(tenant.users):
            self._begin(user_json(user, TRACKED) for user in tenant.users)

    def observe(self) -> None:
        """Note what changed since the last time."""
        with self._lock:
            if _is_untouched(self._tenant.users):
                return
            self._unfold()
            there = {user.user_id: _rendered(user_json(user, TRACKED)) for user in self._tenant.users}
            for user_id, values in there.items():
                self._note(user_id, values)
            for user_id, traced in self._traced.items():
                if user_id not in there and traced.removed is None:
                    self.number += 1
                    traced.removed = traced.last_removed = traced.changed = self.number

    def reset(self) -> None:
        """Forget what was handed out: all links so far lead to a 410."""
        with self._lock:
            self.generation = uuid4().hex

    def since(self, number: int, place: int) -> list[Traced]:
        """Who changed after change `number` (-1: everybody), in a stable order, from beyond `place`."""
        with self._lock:
            if number < 0:
                self._unfold()
            return [each for each in self._traced.values() if each.changed > number and each.place > place]

    def is_purged(self, user_id: str) -> bool:
        """True for a user who was deleted for good."""
        return user_id in self._tenant.purged

    def _unfold(self) -> None:
        """Take in the users of a sized tenant, as they were before anybody looked at them one by one."""
        if self._rows is not None:
            kind = ("history", TRACKED)

            def render(user: SimUser) -> bytes:
                return _encode(user_json(user, TRACKED))

            lines = self._rows.cut(kind, render, 0, self._rows.count(kind, render))
            self._begin(msgspec.json.decode(b"[%b]" % lines))

    def _begin(self, users: Iterable[Json]) -> None:
        self._rows = None
        for place, user in enumerate(users):
            self._traced[user["id"]] = Traced(user["id"], place, 0, 0, _rendered(user))

    def _note(self, user_id: str, values: dict[str, bytes]) -> None:
        known = self._traced.get(user_id)
        if known is None:
            self.number += 1
            self._traced[user_id] = Traced(user_id, len(self._traced), self.number, self.number, values)
            return
        if known.removed is not None:
            self.number += 1
            known.removed, known.appeared, known.changed = None, self.number, self.number
        for name in known.values.keys() | values.keys():
            old, new = known.values.get(name, _NULL), values.get(name, _NULL)
            if old != new:
                known.values[name] = new
                if name != UNTRACKED:
                    self.number += 1
                    known.before[name] = old
                    known.changes[name] = known.changed = self.number


def _rendered(user: Json) -> dict[str, bytes]:
    return {name: _encode(value) for name, value in user.items() if value is not None}


def _is_untouched(users: Sequence[SimUser]) -> bool:
    return isinstance(users, LazyList) and users.is_pristine
