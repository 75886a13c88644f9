"""One endpoint of IT Glue, page by page: every record once, although pages time out and records come and go.

The position is counted in records, not in pages, so that the page size can change on the way. Going back a little is
always safe: a record seen before is taken out of the answer.

What does not live here: retries of one request (`client`), and what becomes of the pages (`reader`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from o365_etl.errors import BadAnswerError, ProtocolError, TransientError, UnsupportedError
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.refusals import TOOK_TOO_LONG

LARGEST_PAGE = 1000
INCOMPLETE = "incomplete"
_SMALLEST_PAGE = 25
# A crawl that is set back more often than this follows a server that makes no sense.
_SETBACKS = 50
_DROPPABLE: tuple[tuple[str, ...], ...] = ((), ("sort",), ("include",), ("sort", "include"))


class Record(msgspec.Struct):
    """The one thing every record has; ids are strings by JSON:API, some servers send numbers."""

    id: str | int


class _Meta(msgspec.Struct, rename="kebab"):
    next_page: int | None = None
    total_pages: int | None = None
    total_count: int | None = None


class _Links(msgspec.Struct):
    next: object = None  # an address, or an object that holds one


class _Page(msgspec.Struct):
    data: list[Record]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    links: _Links = msgspec.field(default_factory=_Links)


class _Unread(msgspec.Struct, omit_defaults=True):
    """A page whose records stay as received."""

    data: list[msgspec.Raw]
    meta: msgspec.Raw = msgspec.Raw(b"{}")
    included: msgspec.Raw = msgspec.Raw(b"[]")


@dataclass
class Crawl:
    """The progress of one crawl.

    `total` is what the last page said (None: nothing), `dropped` the parameters that the endpoint would not take.
    """

    client: ItGlueClient
    path: str
    params: Mapping[str, str]
    spent: Spent
    total: int | None = None
    pages: int = 0
    dropped: tuple[str, ...] = ()
    _seen: set[str | int] = field(default_factory=set)
    _setbacks: int = 0

    @property
    def rows(self) -> int:
        """Distinct records so far."""
        return len(self._seen)

    def bodies(self) -> Iterator[bytes]:
        """The pages in order, no record twice. Raises what `ItGlueClient.get` raises, `TransientError` with code
        `incomplete` if records are missing at the end, `ProtocolError` if the paging makes no sense.

        Not noticed: a deletion and a creation between the same two pages, which leave the total as it was.
        """
        position, size = 0, LARGEST_PAGE
        while True:
            number = position // size + 1
            try:
                page, body = self._get(number, size)
            except BadAnswerError as error:
                if error.code != TOOK_TOO_LONG or size <= _SMALLEST_PAGE:
                    raise
                size //= 2
                continue
            self.pages += 1
            body = self._without_repeats(page, body, skippable=position % size)
            gone = (self.total or 0) - (page.meta.total_count or 0)
            self.total = page.meta.total_count
            if body:
                yield body
            start = (number - 1) * size
            position = start + len(page.data)
            if self.total is not None and gone > 0:
                # Records went away, so others may have moved to the pages already read: go and get them.
                position = max(0, start - gone)
                self._set_back("records keep disappearing")
            elif not _has_next(page, number, size):
                break
            elif len(page.data) < size:
                # The server gives less than asked for: from here on ask for what it gives.
                size = len(page.data)
        if self.total is not None and self.rows < self.total:
            raise TransientError(f"{self.path}: {self.rows} of {self.total} records were read", code=INCOMPLETE)

    def _get(self, number: int, size: int) -> tuple[_Page, bytes]:
        """One page; an endpoint that refuses `sort` or `include` is asked without it from then on."""
        paging = {"page[number]": str(number), "page[size]": str(size)}
        while True:
            kept = {name: value for name, value in self.params.items() if name not in self.dropped}
            try:
                return self.client.get(self.path, {**kept, **paging}, _Page, self.spent)
            except UnsupportedError:
                # What is refused on the first page is refused on principle; later it is something else.
                if self.pages or not self._drop_next():
                    raise

    def _drop_next(self) -> bool:
        """Drop nothing, then `sort`, then `include`, then both; False if nothing is left to try."""
        possible = [way for way in _DROPPABLE if all(name in self.params for name in way)]
        following = possible.index(self.dropped) + 1
        if following < len(possible):
            self.dropped = possible[following]
        return following < len(possible)

    def _without_repeats(self, page: _Page, body: bytes, skippable: int) -> bytes:
        """The body without records seen before, as received if there are none; empty if nothing is left."""
        fresh = []
        for index, record in enumerate(page.data):
            key = _key(record.id)
            if key not in self._seen:
                self._seen.add(key)
                fresh.append(index)
        if len(fresh) == len(page.data):
            return body
        if not fresh and not skippable:
            self._set_back("it answers with the same page over and over")
        unread = msgspec.json.decode(body, type=_Unread)
        unread.data = [unread.data[index] for index in fresh]
        return msgspec.json.encode(unread) if fresh else b""

    def _set_back(self, why: str) -> None:
        self._setbacks += 1
        if self._setbacks > _SETBACKS:
            raise ProtocolError(f"{self.path} cannot be read to its end: {why}")


def _key(identity: str | int) -> str | int:
    """An id as a number where it is one: a million of them are kept."""
    return int(identity) if isinstance(identity, str) and identity.isdecimal() else identity


def _has_next(page: _Page, number: int, size: int) -> bool:
    if not page.data:
        return False
    meta = page.meta
    if meta.next_page is None and meta.total_pages is None and page.links.next is None:
        return len(page.data) >= size  # a server without a word on paging
    return meta.next_page is not None or page.links.next is not None or (meta.total_pages or 0) > number
