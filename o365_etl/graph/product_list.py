"""The download of Microsoft's published list of products: a plain file, no sign-in, asked for only if it has changed.

What does not live here: what stands in the list (`transform`), its last good copy (`store`), when to ask (`pipeline`).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin, urlsplit

import msgspec

from o365_etl.errors import ProtocolError
from o365_etl.graph.transport import Answer, Outgoing, Tally, Transport
from o365_etl.graph.waiting import Clock, Gate

# Names can wait for tomorrow, a sync cannot: one short attempt, no wait for a server that is busy.
TIMEOUTS = (5.0, 30.0)
_MOST_REDIRECTS = 3


class Download(msgspec.Struct, frozen=True):
    """What the server answered; `content` is None if the file is the one that `etag` and `last_modified` name."""

    content: bytes | None
    etag: str | None
    last_modified: str | None


def download(url: str, ca_bundle: Path | None, *, etag: str | None, last_modified: str | None) -> Download:
    """Ask for the list once. Raises an `O365EtlError` if there is no usable answer."""
    clock = Clock()
    clock.stop()  # nothing is tried again, nothing waited for
    headers = {"Accept": "text/csv, */*;q=0.5"}
    headers |= {"If-None-Match": etag} if etag else {}
    headers |= {"If-Modified-Since": last_modified} if last_modified else {}
    transport = Transport(ca_bundle, 1, TIMEOUTS, clock)
    try:
        for _ in range(1 + _MOST_REDIRECTS):
            answer = transport.exchange(Outgoing("GET", url, headers), lambda answer: answer, Tally(), Gate(clock))
            if answer.location is None:
                return _read(answer)
            url = _followed(url, answer.location)
    finally:
        transport.close()
    raise _refused(f"leads from one address to the next, more than {_MOST_REDIRECTS} times")


def _followed(url: str, location: str) -> str:
    try:
        url = urljoin(url, location)
        if urlsplit(url).scheme == "https":
            return url
    except ValueError:
        pass  # a location that is no address
    raise _refused("leads to an address that is not https")


def _read(answer: Answer) -> Download:
    if answer.status == 304:
        return Download(None, None, None)
    if answer.status != 200:
        raise _refused(f"cannot be downloaded (HTTP {answer.status})")
    return Download(answer.body, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))


def _refused(what: str) -> ProtocolError:
    return ProtocolError(
        f"the published list of products {what}",
        code="product_list",
        remedy="Check `catalogue.url` and the proxy; until then the names of the last good list hold.",
    )
