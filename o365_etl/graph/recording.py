"""Keeps the books of one attempt to read one stream, from the first answer to the receipt."""

from __future__ import annotations

from datetime import UTC, datetime

from o365_etl.errors import O365EtlError
from o365_etl.graph.transport import Tally
from o365_etl.receipts import Landing, Receipt, StreamState


class Recording:
    """One attempt: answers go in, exactly one receipt comes out (`ok`, `degraded`, `skipped` or `failed`).

    `bookmark` is what the next read may go on from; it stands in the receipt.
    """

    def __init__(
        self, landing: Landing, source: str, stream: str, read_id: str, started_at: datetime | None = None
    ) -> None:
        self._writer = landing.writer(source, stream, read_id)
        self._source = source
        self._stream = stream
        self._read_id = read_id
        self._started_at = started_at or datetime.now(UTC)
        self._pages = 0
        self._bytes = 0
        self.tally = Tally()
        self.rows = 0
        self.bookmark: str | None = None

    def page(self, part: str, body: bytes, rows: int = 0, *, counts: bool = True) -> None:
        """Land one JSON answer that holds `rows` objects of the stream; see `StreamWriter.write` for `counts`."""
        self._writer.write(part, body, counts=counts)
        self._count(len(body), rows)

    def text(self, part: str, text: str, rows: int = 0) -> None:
        """Land one answer that is text."""
        self._writer.write_text(part, text)
        self._count(len(text), rows)

    def restart(self) -> None:
        """Forget what was landed, but not what it cost."""
        self._writer.restart()
        self._pages = self._bytes = self.rows = 0

    def abandon(self) -> None:
        """Leave no trace of the attempt."""
        self._writer.abandon()

    def ok(self, reason: str | None = None, message: str | None = None) -> Receipt:
        """The stream was read to its end."""
        return self._conclude("ok", reason, message=message)

    def degraded(self, reason: str, error: O365EtlError | None = None, remedy: str | None = None) -> Receipt:
        """The stream was read to its end, but a part of it is not to be had."""
        if error is None:
            return self._conclude("degraded", reason=reason, remedy=remedy)
        return self._conclude("degraded", reason, error.code, error.message, remedy or error.remedy)

    def skipped(self, reason: str) -> Receipt:
        """The stream was not asked for."""
        return self._conclude("skipped", reason=reason)

    def failed(self, error: O365EtlError) -> Receipt:
        """The stream was not read to its end: what is known stays."""
        return self._conclude("failed", None, error.code, error.message, error.remedy)

    def _count(self, size: int, rows: int) -> None:
        self._pages += 1
        self._bytes += size
        self.rows += rows

    def _conclude(
        self,
        state: StreamState,
        reason: str | None = None,
        error_code: str | None = None,
        message: str | None = None,
        remedy: str | None = None,
    ) -> Receipt:
        receipt = Receipt(
            source=self._source,
            stream=self._stream,
            read_id=self._read_id,
            state=state,
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            pages=self._pages,
            rows=self.rows,
            bytes=self._bytes,
            requests=self.tally.requests,
            waited_seconds=round(self.tally.waited, 3),
            reason=reason,
            error_code=error_code,
            message=message,
            remedy=remedy,
            bookmark=self.bookmark,
        )
        try:
            return self._writer.commit(receipt)
        except O365EtlError as error:
            if state == "failed":
                return receipt  # the disk refuses even the news of the failure; the result still carries it
            return self.failed(error)
