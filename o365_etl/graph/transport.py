"""HTTP in one place: the requests session, time-outs, which failures are tried again and how long is waited.

What does not live here: tokens (`sign_in`), what Graph's statuses mean (`refusals`), paging (`client`).
"""

from __future__ import annotations

import re
import ssl
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
import urllib3
from requests import Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from o365_etl.errors import (
    BadAnswerError,
    ConfigError,
    PageExpiredError,
    ProtocolError,
    ThrottledError,
    TransientError,
    UnreachableError,
)
from o365_etl.graph.waiting import LONGEST_WAIT, Clock, Gate, backoff, jitter, retry_after

T = TypeVar("T")
ATTEMPTS = 5
# What needs no quoting and no other care.
_PLAIN_URL = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/[!$&-;=?-Z_a-z~]*")
_REDIRECTS = (301, 302, 303, 307, 308)
CONNECT_ATTEMPTS = 3  # a host that refuses three times in a row will refuse the other two as well


class _Adapter(HTTPAdapter):
    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=16, pool_maxsize=connections, max_retries=0)
        self._verified: WeakSet[Any] = WeakSet()

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Look for the CA bundle with the first request to a host, not with each."""
        if conn not in self._verified:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
            self._verified.add(conn)


class PrivateCaSession:
    """Connections whose CA bundle wins over `REQUESTS_CA_BUNDLE`, which requests prefers to `session.verify`.

    Proxies from the environment stay in force, `.netrc` and cookies do not: either would mix up tenants.
    """

    def __init__(self, ca_bundle: Path | None, connections: int) -> None:
        self._ca_bundle = str(ca_bundle) if ca_bundle else None
        self._usual = {name: str(value) for name, value in requests.utils.default_headers().items()}
        self._environment: dict[str, MutableMapping[str, Any]] = {}
        self._adapter = _Adapter(connections)

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def exchange(self, outgoing: Outgoing, headers: Mapping[str, str], timeout: tuple[float, float]) -> Response:
        """What requests' own session does, at two thirds of its CPU: without cookies, redirects, hooks and `.netrc`,
        none of which is wanted here. The answer's body is not read yet.
        """
        prepared = requests.PreparedRequest()
        prepared.method = outgoing.method
        prepared.headers = CaseInsensitiveDict({**self._usual, **headers})
        if _PLAIN_URL.fullmatch(outgoing.url):
            prepared.url = outgoing.url
        else:
            prepared.prepare_url(outgoing.url, None)
        if outgoing.body is not None:
            prepared.prepare_body(outgoing.body, None)
        settings = self._settings(str(prepared.url))
        return self._adapter.send(prepared, stream=True, timeout=timeout, **settings)

    def _settings(self, url: str) -> MutableMapping[str, Any]:
        """What the environment adds to a request, asked once per host: looking proxies up costs as much as parsing."""
        host = urlsplit(url).netloc
        settings = self._environment.get(host)
        if settings is None:
            with requests.Session() as usual:
                settings = dict(usual.merge_environment_settings(url, {}, None, None, None))
            del settings["stream"]
            if self._ca_bundle:
                settings["verify"] = self._ca_bundle
            self._environment[host] = settings
        return settings


@dataclass(slots=True)
class Tally:
    """What one stream cost: HTTP requests sent and seconds waited between them."""

    requests: int = 0
    waited: float = 0.0

    def add(self, other: Tally) -> None:
        """Take over what a part of the stream cost."""
        self.requests += other.requests
        self.waited += other.waited


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to be sent, as often as it takes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    token: str | None = field(default=None, repr=False)


class Answer(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def location(self) -> str | None:
        """Where a redirect leads; None if it is none."""
        return self.headers.get("Location") if self.status in _REDIRECTS else None


class Transport:
    """Sends requests for all tenants of one run; safe to use from many threads."""

    def __init__(self, ca_bundle: Path | None, connections: int, timeouts: tuple[float, float], clock: Clock) -> None:
        self._session = PrivateCaSession(ca_bundle, connections)
        self._timeouts = timeouts
        self.clock = clock
        self.everybody = Gate(clock)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def exchange(self, outgoing: Outgoing, read: Callable[[Answer], T], tally: Tally, gate: Gate) -> T:
        """Send until `read` returns, and return what it made of the answer.

        `read` raises: a `TransientError` is tried again (up to five times, up to two minutes of waiting in all),
        anything else goes to the caller. A throttled answer closes `gate`, so that all threads of the tenant wait.
        """
        waited = 0.0
        attempt = 0
        while True:
            attempt += 1
            waited += self._enter(gate, LONGEST_WAIT - waited, tally)
            try:
                return read(self._send(outgoing, tally))
            except PageExpiredError:
                raise
            except TransientError as error:
                pause = backoff(attempt) if error.retry_after is None else jitter(error.retry_after)
                if not self._worth_another(error, attempt, waited + pause):
                    raise
                if isinstance(error, ThrottledError):
                    gate.close(pause)
                else:
                    self.clock.sleep(pause)
                    waited += pause
                    tally.waited += pause

    def _worth_another(self, error: TransientError, attempt: int, waited: float) -> bool:
        if error.code == "tls" or self.clock.stopped or waited > LONGEST_WAIT:
            return False
        return attempt < (CONNECT_ATTEMPTS if isinstance(error, UnreachableError) else ATTEMPTS)

    def _enter(self, gate: Gate, patience: float, tally: Tally) -> float:
        if max(gate.remaining, self.everybody.remaining) > patience:
            raise ThrottledError("Microsoft is throttling and asks to wait longer than this sync can")
        waited = gate.pass_through() + self.everybody.pass_through()
        tally.waited += waited
        return waited

    def _send(self, outgoing: Outgoing, tally: Tally) -> Answer:
        tally.requests += 1
        headers = {**outgoing.headers, "client-request-id": str(uuid.uuid4())}
        if outgoing.token is not None:
            headers["Authorization"] = f"Bearer {outgoing.token}"
        try:
            answer = _read_to_end(self._session.exchange(outgoing, headers, self._timeouts))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _failure(error, urlsplit(outgoing.url).hostname or "") from error
        except OSError as error:  # requests found no file where the CA bundle should be
            raise ConfigError(
                "tls.ca_bundle: the file of trusted certificates cannot be read",
                remedy="Correct `tls.ca_bundle`, or REQUESTS_CA_BUNDLE if that is not set.",
            ) from error
        except ValueError as error:  # a Location or nextLink no client could connect to
            raise ProtocolError("the server named an address that is none") from error
        self._notice_wide_throttling(answer)
        return answer

    def _notice_wide_throttling(self, answer: Answer) -> None:
        scope = answer.headers.get("x-ms-throttle-scope", "")
        if answer.status == 429 and scope and not scope.lower().startswith("tenant"):
            self.everybody.close(retry_after(answer.headers) or backoff(1))


def _read_to_end(response: Response) -> Answer:
    # In one piece from urllib3: `response.content` puts a page together from a hundred, at twice the CPU.
    with response:
        body: bytes = response.raw.read(decode_content=True)
    return Answer(response.status_code, response.headers, body, response.url)


def _failure(error: Exception, host: str) -> TransientError | ProtocolError:
    """What a failed exchange amounts to. The host is ours to name: it stands in the configuration."""
    if isinstance(error, urllib3.exceptions.HTTPError):
        return BadAnswerError(f"the answer of {host} broke off")
    if isinstance(error, requests.exceptions.SSLError):
        if _is_distrust(error):
            return UnreachableError(
                f"the certificate of {host} is not trusted",
                code="tls",
                remedy="Give the CA that signed it in `tls.ca_bundle` (a PEM file).",
            )
        return UnreachableError(f"the TLS connection to {host} failed")
    if isinstance(error, requests.exceptions.ProxyError):
        return UnreachableError(f"the proxy on the way to {host} refused", remedy="Check the proxy settings.")
    if isinstance(error, requests.Timeout):
        return UnreachableError(f"{host} did not answer in time")
    if isinstance(error, requests.ConnectionError):
        return _connection_failure(error, host)
    return ProtocolError(f"{host} cannot be asked: {type(error).__name__}")


def _connection_failure(error: requests.ConnectionError, host: str) -> TransientError:
    """A connection that was never made, against one that broke: only the second says that somebody is there."""
    cause = error.args[0] if error.args else None
    if isinstance(cause, urllib3.exceptions.ProtocolError):
        return BadAnswerError(f"{host} closed the connection without an answer")
    return UnreachableError(f"no connection to {host}")


def _is_distrust(error: BaseException) -> bool:
    """True if a certificate was looked at and not trusted, against a connection that broke off in the handshake."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else None
    return False
