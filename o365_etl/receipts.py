"""Receipts: what certifies that one stream of one source was read to its end.

A *source* is a tenant id or the word `itglue`; a *stream* is one thing read from it (`users`, `contacts` …). The
readers (`o365_etl.graph`, `o365_etl.itglue`) write answers into a `StreamWriter` and finish it with a receipt; where
the bytes go is the landing zone's business (`o365_etl.store.landing`). Only these plain types are shared, so that
readers and store need not know each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Protocol

import msgspec

StreamState = Literal["ok", "degraded", "failed", "skipped"]


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt to read one stream of one source.

    `state`: `ok` read completely; `degraded` read completely, but a part is not to be had (`reason` says which word:
    `concealed`, `forbidden`, `no_premium` …); `failed` not read completely, so not certified; `skipped` not asked for.
    `rows` counts the objects in the landed answers, `bytes` their size as received, `requests` the HTTP requests sent.
    `digest` is the same for answers that say the same, whatever their paging links; `bookmark` is what the next read of
    this stream may go on from, in the words of its reader (an ETag, a delta link, a time).
    """

    source: str
    stream: str
    read_id: str
    state: StreamState
    started_at: datetime
    ended_at: datetime
    pages: int = 0
    rows: int = 0
    bytes: int = 0
    requests: int = 0
    waited_seconds: float = 0.0
    reason: str | None = None
    error_code: str | None = None
    message: str | None = None
    remedy: str | None = None
    file: str | None = None
    sha256: str | None = None
    digest: str | None = None
    bookmark: str | None = None

    @property
    def certified(self) -> bool:
        """True if the read may replace what is known: it was followed to its end and believed."""
        return self.state in ("ok", "degraded")

    @property
    def sentence(self) -> str:
        """How it went and what to do, for the sync log."""
        what = (self.message or self.reason or "").rstrip(".")
        return " ".join(part for part in (f"{self.state}: {what}.", self.remedy) if part)


class StreamWriter(Protocol):
    """Takes the answers of one stream, in order, and ends with exactly one of `commit` or `abandon`."""

    def write(self, part: str, body: bytes, *, counts: bool = True) -> None:
        """Append one JSON answer, as received, under the name of the part of the stream it belongs to.

        One that only tells how something else was found out does not count: it has no part in the digest.
        """

    def write_text(self, part: str, text: str) -> None:
        """Append one answer that is text (a CSV report)."""

    def restart(self) -> None:
        """Forget what was written: the stream starts over."""

    def commit(self, receipt: Receipt) -> Receipt:
        """Make the answers the certified ones (if the receipt certifies them) and keep the receipt."""

    def abandon(self) -> None:
        """Leave no trace of the attempt."""


class Landing(Protocol):
    """What a reader may ask of the landing zone."""

    def writer(self, source: str, stream: str, read_id: str) -> StreamWriter:
        """A writer for a new attempt."""

    def receipt(self, source: str, stream: str) -> Receipt | None:
        """The receipt of the last certified read, or None if there never was one."""

    def is_intact(self, source: str, stream: str) -> bool:
        """True if there is a certified read and its answers are, byte for byte, what was written."""

    def parts(self, source: str, stream: str, part: str) -> list[bytes]:
        """The bodies of one part of the last certified read, in order; empty if there is none."""

    def read(self, source: str, stream: str) -> Iterator[tuple[str, bytes]]:
        """Every answer of the last certified read, in order, as (part, body); believe it once the iteration ended."""

    def discard(self, source: str, stream: str) -> None:
        """Delete what is kept of one stream; nothing happens if there is nothing."""
