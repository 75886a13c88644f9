"""Graph requests in the name of one tenant: token, paging, batches, reports.

What does not live here: which requests make up a stream (`streams`, `mailboxes`, `discovery`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from o365_etl.errors import (
    BadAnswerError,
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    PageExpiredError,
    ProtocolError,
    SignInError,
)
from o365_etl.graph.aadsts import not_consented
from o365_etl.graph.refusals import TokenRefusedError, require_success
from o365_etl.graph.sign_in import SignIn, Token
from o365_etl.graph.transport import Answer, Outgoing, Tally, Transport
from o365_etl.graph.waiting import Gate

T = TypeVar("T")

MAX_PAGES = 20_000
# Scheduled reads: throttled first, so that people working in the tenant notice nothing.
_HEADERS = {"Accept": "application/json", "x-ms-throttle-priority": "low"}
_JSON = {**_HEADERS, "Content-Type": "application/json"}
_CLAIMS = re.compile(r'claims="([^"]*)"')
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,500}"')
_MAX_REDIRECTS = 4


class HasNextLink(Protocol):
    """A decoded page: whatever it holds, it may name the next one."""

    @property
    def next_link(self) -> str | None:
        """`@odata.nextLink`; None on the last page."""


P = TypeVar("P", bound=HasNextLink)


class BatchItem(msgspec.Struct):
    """The answer to one request of a batch."""

    id: str
    status: int
    headers: dict[str, str] | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _BatchAnswer(msgspec.Struct):
    responses: list[BatchItem]


_batch_answer = msgspec.json.Decoder(_BatchAnswer)


class Reported(NamedTuple, Generic[T]):
    """A usage report, and the ETag by which to ask whether it is still the same; None if it has none."""

    content: T
    etag: str | None


class _Elsewhere(NamedTuple):
    url: str
    etag: str | None


class TenantClient:
    """Asks Graph in the name of one tenant; thread-safe. A throttled tenant's threads wait at its one gate."""

    def __init__(self, transport: Transport, graph_url: str, sign_in: SignIn, gate: Gate) -> None:
        self._transport = transport
        self._graph_url = graph_url
        self._origin = _origin(graph_url)
        self.sign_in = sign_in
        self.gate = gate

    def get(
        self, path: str, decode: Callable[[bytes], T], tally: Tally, *, permission: str, version: str = "v1.0"
    ) -> tuple[bytes, T]:
        """One answer, as received and decoded. `permission` is what a refusal tells the administrator to grant."""
        return self._get(f"{self._graph_url}/{version}/{path}", decode, tally, permission)

    def pages(
        self, path: str, decode: Callable[[bytes], P], tally: Tally, *, permission: str, version: str = "v1.0"
    ) -> Iterator[tuple[bytes, P]]:
        """All pages of a collection, in order. Links are followed verbatim, and only to where the token may go.

        Raises `ProtocolError` for a link to another host or one that was followed before.
        """
        return self._pages(f"{self._graph_url}/{version}/{path}", decode, tally, permission)

    def follow(
        self, link: str, decode: Callable[[bytes], P], tally: Tally, *, permission: str
    ) -> Iterator[tuple[bytes, P]]:
        """All pages from a link that an earlier answer named, as `pages`.

        Raises `ProtocolError` at once if the link leads to another host than the configured one.
        """
        if _origin(link) != self._origin:
            raise ProtocolError("the link to the changes leads to another host", code="foreign_link")
        return self._pages(link, decode, tally, permission)

    def _pages(
        self, first: str, decode: Callable[[bytes], P], tally: Tally, permission: str
    ) -> Iterator[tuple[bytes, P]]:
        url: str | None = first
        followed: set[str] = set()
        while url is not None:
            if url in followed or len(followed) >= MAX_PAGES:
                raise ProtocolError("the pages never end: a link came again", code="paging_loop")
            followed.add(url)
            body, page = self._get(url, decode, tally, permission)
            yield body, page
            url = page.next_link
            if url is not None and _origin(url) != self._origin:
                raise ProtocolError("a page names its next one on another host", code="foreign_link")

    def batch(self, urls: Sequence[str], tally: Tally, *, permission: str) -> list[BatchItem]:
        """Up to twenty GETs in one request; each item has the index of its url as id. The order is arbitrary."""
        steps = [{"id": str(number), "method": "GET", "url": url} for number, url in enumerate(urls)]
        body = msgspec.json.encode({"requests": steps})
        outgoing = Outgoing("POST", f"{self._graph_url}/v1.0/$batch", _JSON, body)

        def read(answer: Answer) -> list[BatchItem]:
            require_success(answer)
            return _decoded(answer.body, _batch_answer.decode).responses

        return self._call(outgoing, read, tally, permission)

    def report(
        self, path: str, decode: Callable[[bytes], T], tally: Tally, *, permission: str, etag: str | None = None
    ) -> Reported[T] | None:
        """A usage report; None if it is still the one of `etag`.

        Graph answers with a link that is its own permit, to a host that must not see our token. The link lives for
        minutes: one that has died meanwhile is asked for once more.
        """
        condition = {"If-None-Match": etag} if etag else {}
        outgoing = Outgoing("GET", f"{self._graph_url}/v1.0/{path}", _HEADERS | condition)
        read = _report_reader(decode, conditional=etag is not None)
        dead: O365EtlError | None = None
        for _ in range(2):
            found = self._call(outgoing, read, tally, permission)
            try:
                return self._download(found, condition, read, tally)
            except (ForbiddenError, NotFoundError, TokenRefusedError, PageExpiredError) as error:
                dead = error
        raise BadAnswerError("the link to the report was refused twice") from dead

    def _download(
        self,
        found: Reported[T] | _Elsewhere | None,
        condition: dict[str, str],
        read: Callable[[Answer], Reported[T] | _Elsewhere | None],
        tally: Tally,
    ) -> Reported[T] | None:
        etag: str | None = None
        for _ in range(_MAX_REDIRECTS):
            if found is None:
                return None
            if not isinstance(found, _Elsewhere):
                return found if found.etag else Reported(found.content, etag)
            etag = found.etag
            found = self._transport.exchange(Outgoing("GET", found.url, condition), read, tally, self.gate)
        raise ProtocolError("the report is redirected without end", code="paging_loop")

    def _get(self, url: str, decode: Callable[[bytes], T], tally: Tally, permission: str) -> tuple[bytes, T]:
        def read(answer: Answer) -> tuple[bytes, T]:
            require_success(answer)
            body = answer.body
            return body, _decoded(body, decode)

        return self._call(Outgoing("GET", url, _HEADERS), read, tally, permission)

    def _call(self, outgoing: Outgoing, read: Callable[[Answer], T], tally: Tally, permission: str) -> T:
        """Send with the tenant's token; a refused token is renewed once."""
        token = self.sign_in.token()
        try:
            try:
                return self._transport.exchange(_signed(outgoing, token), read, tally, self.gate)
            except TokenRefusedError as refused:
                token = self.sign_in.renew(token, _claims_of(refused.challenge))
                return self._transport.exchange(_signed(outgoing, token), read, tally, self.gate)
        except O365EtlError as error:
            raise self._explained(error, permission, token) from error

    def _explained(self, error: O365EtlError, permission: str, token: Token) -> O365EtlError:
        """The same error with the remedy that only this tenant and this request can name."""
        link = self.sign_in.consent_link
        if isinstance(error, SignInError) and error.code == "not_consented":
            return not_consented(link)
        if isinstance(error, TokenRefusedError):
            return SignInError(error.message, code=error.code, remedy=error.remedy)
        if isinstance(error, ForbiddenError) and error.code == "forbidden":
            granted = token.roles is not None and permission in token.roles
            remedy = (
                f"{permission} is granted, but a policy of the tenant forbids this; consent may also be minutes old."
                if granted
                else f"Add the application permission {permission}, then give admin consent again: {link}"
            )
            return ForbiddenError(error.message, remedy=remedy)
        return error


def _signed(outgoing: Outgoing, token: Token) -> Outgoing:
    return Outgoing(outgoing.method, outgoing.url, outgoing.headers, outgoing.body, token.value)


def _decoded(body: bytes, decode: Callable[[bytes], T]) -> T:
    """Decoding inside the retry loop: HTML and half an answer are worth another attempt."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswerError("Microsoft Graph answered something that is not what was asked for") from error


def _report_reader(
    decode: Callable[[bytes], T], conditional: bool
) -> Callable[[Answer], Reported[T] | _Elsewhere | None]:
    """Reads either answer on the way to a report; None for one that says it is still the same."""

    def read(answer: Answer) -> Reported[T] | _Elsewhere | None:
        if conditional and answer.status == 304:
            return None
        etag = answer.headers.get("ETag", "")
        known = etag if _ETAG.fullmatch(etag) else None  # it will be sent in a header, so it must be fit for one
        if answer.location is None:
            require_success(answer)
            return Reported(_decoded(answer.body, decode), known)
        url = urljoin(answer.url, answer.location)
        if urlsplit(url).scheme != "https":
            raise ProtocolError("the report is offered at an address that is not https", code="foreign_link")
        return _Elsewhere(url, known)

    return read


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what no token may be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port


def _claims_of(challenge: str) -> str | None:
    """The claims a 401 asks for (`claims="<base64>"`); None if it asks for none."""
    found = _CLAIMS.search(challenge)
    if found is None:
        return None
    try:
        return base64.b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
