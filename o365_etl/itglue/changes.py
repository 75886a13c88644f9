"""What changed in a stream of IT Glue since its last full crawl, the *base*: its newest pages, down to the base.

The API does not filter contacts by their last change, but it sorts by it. Each read goes back to the base, so base and
one file of changes are the account as it is now; nothing piles up, and a read that is lost costs nothing. A deleted
record is not named by any change: only the next full crawl tells that it is gone.

What does not live here: paging (`paging`), receipts and the full crawl (`reader`), what becomes of the records
(`o365_etl.transform`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from o365_etl.errors import LocalError, UnsupportedError
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import Crawl, Record
from o365_etl.itglue.records import moment
from o365_etl.receipts import Landing, Receipt

SOURCE = "itglue"
# The streams that may be large, and that the API sorts by the last change.
CHANGING = ("organizations", "contacts")
NEWEST_FIRST = "-updated_at"

_SUFFIX = "_changes"
# A change is dated before it can be seen: by the clock of one of several servers, and within a transaction.
_MARGIN = timedelta(minutes=5)
# Who is still behind after so many looks follows an account that changes by the thousand; the next sync goes on.
_MOST_LOOKS = 5


def changes_of(stream: str) -> str:
    """The stream of what changed in this one."""
    return stream + _SUFFIX


def whole_of(stream: str) -> str:
    """The stream that a stream of changes belongs to; any other stream itself."""
    return stream.removesuffix(_SUFFIX)


@dataclass(frozen=True)
class Policy:
    """When a read of what changed will do.

    Only for a stream of more than `incremental_from` records, and for `full_crawl_hours` after the start of its last
    full crawl. `full`: never.
    """

    full_crawl_hours: float = 0
    incremental_from: int = 0
    full: bool = False

    def wants_bookmark(self, stream: str, records: int | None) -> bool:
        """Whether a full crawl of so many records is one that later reads may go on from."""
        return self._is_large(stream, records)

    def base(self, landing: Landing, stream: str, at: datetime) -> tuple[Receipt | None, str | None]:
        """The full crawl that a read may go on from at this time; else None and, for a large stream, why not."""
        try:
            base = landing.receipt(SOURCE, stream)
        except LocalError:
            return None, "the last one is damaged"
        if base is None or not self._is_large(stream, base.rows):
            return None, None
        if self.full:
            return None, "asked for"
        if not timedelta(0) <= at - base.started_at < timedelta(hours=self.full_crawl_hours):
            return None, "it is due"
        if moment(base.bookmark) is None:
            return None, "the last one says nothing to go on from"
        if not landing.is_intact(SOURCE, stream):
            return None, "the last one is damaged"
        return base, None

    def _is_large(self, stream: str, records: int | None) -> bool:
        return stream in CHANGING and self.full_crawl_hours > 0 and (records or 0) > self.incremental_from


def newest_change(client: ItGlueClient, path: str, spent: Spent) -> datetime | None:
    """The time of the last change to any record, by the server's clock; None if the server does not say.

    Taken before a full crawl: what changes afterwards is dated later. Raises what `ItGlueClient.get` raises.
    """
    params = {"sort": NEWEST_FIRST, "page[number]": "1", "page[size]": "1"}
    try:
        page, _ = client.get(path, params, _Page, spent)
    except UnsupportedError:
        return None
    return page.data[0].updated_at if page.data else None


@dataclass
class ChangesCrawl:
    """The progress of one read of what changed.

    `useless` says why a full crawl must be made instead (None: it need not); what was read is then void. `dropped` are
    the parameters that the endpoint would not take.
    """

    client: ItGlueClient
    path: str
    params: Mapping[str, str]
    since: datetime
    spent: Spent
    pages: int = 0
    useless: str | None = None
    dropped: tuple[str, ...] = ()
    _landed: dict[str, datetime] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Distinct records so far."""
        return len(self._landed)

    def bodies(self) -> Iterator[bytes]:
        """The changed records in pages, newest first; one that changes meanwhile comes again, later. Raises as `Crawl`.

        A record that changes while pages are turned moves to the front, and is missed where it was not read yet. So
        the front is looked at again, until one page holds all that changed since the look before.
        """
        since = self.since - _MARGIN
        for _ in range(_MOST_LOOKS):
            crawl = Crawl(self.client, self.path, {**self.params, "sort": NEWEST_FIRST}, self.spent)
            newest: datetime | None = None
            for body in crawl.bodies():
                page = msgspec.json.decode(body, type=_Page)
                self.dropped = crawl.dropped
                if "sort" in crawl.dropped or not page.is_newest_first:
                    self.useless = "the server does not sort by the last change"
                    return
                if crawl.pages == 1 and page.data:
                    newest = page.data[0].updated_at
                changed = [record for record in page.data if _is_since(record, since)]
                if fresh := self._fresh(page, body, len(changed)):
                    yield fresh
                if crawl.total is not None and 2 * self.rows > crawl.total:
                    self.useless = "more than half has changed"
                    return
                if len(changed) < len(page.data):
                    break
            self.pages += crawl.pages
            if newest is None or crawl.pages == 1:
                return
            since = newest

    def _fresh(self, page: _Page, body: bytes, changed: int) -> bytes:
        """The body with those of its first `changed` records that were not landed as they are now; as received if that
        is all of them, empty if it is none.
        """
        fresh = []
        for index, record in enumerate(page.data[:changed]):
            at = record.updated_at
            if at is not None and self._landed.get(str(record.id)) != at:
                self._landed[str(record.id)] = at
                fresh.append(index)
        if len(fresh) == len(page.data):
            return body
        # Without what it says about the whole list: the same changes are to be the same bytes.
        unread = msgspec.json.decode(body, type=_Unread)
        unread.data = [unread.data[index] for index in fresh]
        return msgspec.json.encode(unread) if fresh else b""


class _Attributes(msgspec.Struct, rename="kebab"):
    updated_at: object = None


class _Dated(Record):
    attributes: _Attributes | None = None

    @property
    def updated_at(self) -> datetime | None:
        return moment(self.attributes.updated_at) if self.attributes is not None else None


class _Page(msgspec.Struct):
    data: list[_Dated]

    @property
    def is_newest_first(self) -> bool:
        """Whether every record is dated, and none later than the one before it."""
        times = [record.updated_at for record in self.data]
        known = [time for time in times if time is not None]
        return len(known) == len(times) and all(one >= other for one, other in pairwise(known))


class _Unread(msgspec.Struct, omit_defaults=True):
    data: list[msgspec.Raw]
    included: msgspec.Raw = msgspec.Raw(b"[]")


def _is_since(record: _Dated, since: datetime) -> bool:
    return record.updated_at is not None and record.updated_at >= since
