"""One request to IT Glue: the key, TLS, the rate, retries, and every failure as one of our errors.

A read may be repeated whenever that may help. A write is repeated only after a 429, for then nothing was done; after
anything else the client says whether the write was done, was not done, or may have been.

What does not live here: what a failed answer means (`refusals`), paging (`paging`), bodies (`writer`), and which
requests there are (`allow_list`).
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError

from o365_etl.config import ItGlue
from o365_etl.errors import (
    BadAnswerError,
    ConfigError,
    O365EtlError,
    OutcomeUnknownError,
    ThrottledError,
    TransientError,
    UnreachableError,
)
from o365_etl.itglue.allow_list import check_allowed
from o365_etl.itglue.rate import RateLimit
from o365_etl.itglue.refusals import TOOK_TOO_LONG, read_refusal, write_refusal

_MEDIA_TYPE = "application/vnd.api+json"
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 8
_TRIES = 4
_THROTTLE_TRIES = 6  # at a minute each, longer than the window of five minutes that IT Glue counts in
_THROTTLE_SECONDS = 60.0
_LONGEST_WAIT = 300.0

_Answer = TypeVar("_Answer")


@dataclass
class Spent:
    """What a stream has cost so far; one thread fills one."""

    requests: int = 0
    waited_seconds: float = 0.0


class Stopped(Exception):
    """Nobody waits for the answer any more, and nothing is to be concluded from its absence."""


class ItGlueClient:
    """A client for one IT Glue account, safe to use from several threads; close it, or use it in a `with`.

    `rate` and `burst` are requests (see `RateLimit`); `pause` scales all waits between tries (1: as published);
    `silence` is how many seconds the server may say nothing: IT Glue itself gives up after about a minute. Once
    `stopped` is set, no request is sent and none is waited for: `get` and `send` raise `Stopped` instead.
    Raises `ConfigError` if the key is missing or cannot be a key.
    """

    def __init__(
        self,
        settings: ItGlue,
        ca_bundle: Path | None,
        *,
        rate: float = 9.0,
        burst: int = 100,
        pause: float = 1.0,
        silence: float = 120.0,
        stopped: threading.Event | None = None,
    ) -> None:
        self._base = settings.url
        self._host = urlsplit(self._base).netloc
        self._pause = pause
        self._timeouts = (min(_CONNECT_SECONDS, silence), silence)
        self._stopped = stopped or threading.Event()
        self._rate = RateLimit(rate, burst, sleep=self._sleep)
        # Given with each request: only there it wins over REQUESTS_CA_BUNDLE.
        self._verify: bool | str = True if ca_bundle is None else str(ca_bundle)
        self._session = requests.Session()
        self._session.auth = _ApiKey(settings.api_key.read("itglue.api_key"))
        self._session.headers["Accept"] = _MEDIA_TYPE
        # Without retries of its own, which would repeat a write.
        self._session.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS, max_retries=0))

    def __enter__(self) -> ItGlueClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], kind: type[_Answer], spent: Spent) -> tuple[_Answer, bytes]:
        """The answer decoded as `kind`, and its bytes as received. Repeats what may be repeated.

        Raises `PermanentError` or `ForbiddenError` with code `itglue_key`, `NotFoundError`, `UnsupportedError` (400,
        405, 501), `ProtocolError` (a redirect), `ThrottledError`, `UnreachableError`, `BadAnswerError`; the latter
        with code `took_too_long`, at once, where a smaller page may help.
        """
        check_allowed("GET", path, params)
        tries = throttled = 0
        while True:
            self._take(spent)
            try:
                return self._try_get(path, params, kind)
            except ThrottledError as error:
                throttled += 1
                self._slow_down(error, throttled)
            except TransientError as error:
                tries += 1
                if tries == _TRIES or error.code in (TOOK_TOO_LONG, "tls"):
                    raise
                wait = min(error.retry_after or 2.0 ** (tries - 1), _LONGEST_WAIT) * self._pause
                spent.waited_seconds += wait
                self._sleep(wait)

    def send(
        self, method: Literal["POST", "PATCH"], path: str, body: bytes, kind: type[_Answer], spent: Spent
    ) -> _Answer:
        """Send one write and return its answer decoded as `kind`. Repeated only after a 429.

        Done: it returns. Not done: `PermanentError` or `ForbiddenError` with code `itglue_key`, `NotFoundError`,
        `RejectedError` (IT Glue's own words are in the message), `UnsupportedError` (405, 415, 501), `ThrottledError`,
        `UnreachableError` and `ConfigError` (it did not leave this machine). Perhaps done: `OutcomeUnknownError`.
        """
        check_allowed(method, path, {})
        throttled = 0
        while True:
            self._take(spent)
            try:
                return self._try_send(method, path, body, kind)
            except ThrottledError as error:
                throttled += 1
                self._slow_down(error, throttled)

    def _take(self, spent: Spent) -> None:
        spent.waited_seconds += self._rate.wait()
        self._sleep(0)
        spent.requests += 1

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped

    def _slow_down(self, error: ThrottledError, times: int) -> None:
        """Hold everybody back for as long as the server asks; raise the error where that is too long or too often."""
        wait = _THROTTLE_SECONDS if error.retry_after is None else error.retry_after
        if times == _THROTTLE_TRIES or wait > _LONGEST_WAIT:
            raise error
        self._rate.pause(wait * self._pause)

    def _try_get(self, path: str, params: Mapping[str, str], kind: type[_Answer]) -> tuple[_Answer, bytes]:
        try:
            response = self._session.get(
                self._base + path,
                params=dict(params),
                timeout=self._timeouts,
                verify=self._verify,
                # A redirect would carry the key to wherever it points.
                allow_redirects=False,
            )
        except OSError as error:  # which requests' own errors are as well
            raise self._connection_error(error) from error
        body = response.content
        if response.status_code != 200:
            raise read_refusal(self._host, path, response)
        try:
            return msgspec.json.decode(body, type=kind), body
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadAnswerError(f"IT Glue ({self._host}) answered {path} with {_unusable(error)}") from error

    def _try_send(self, method: str, path: str, body: bytes, kind: type[_Answer]) -> _Answer:
        outgoing = _Outgoing(body)
        try:
            response = self._session.request(
                method,
                self._base + path,
                data=outgoing,
                headers={"Content-Type": _MEDIA_TYPE},
                timeout=self._timeouts,
                verify=self._verify,
                allow_redirects=False,
            )
        except OSError as error:
            if outgoing.has_left:
                text = f"IT Glue ({self._host}) gave no usable answer to {method} {path} ({type(error).__name__})"
                raise OutcomeUnknownError(text) from error
            raise self._not_sent(error) from error
        if not 200 <= response.status_code < 300:
            raise write_refusal(self._host, method, path, response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"IT Glue ({self._host}) answered {method} {path} with {response.status_code} and {_unusable(error)}"
            raise OutcomeUnknownError(text) from error

    def _not_sent(self, error: OSError) -> O365EtlError:
        """The error of a write that did not leave this machine."""
        found = self._connection_error(error)
        if isinstance(found, BadAnswerError):
            return UnreachableError(f"IT Glue ({self._host}) did not take the connection in time")
        return found

    def _connection_error(self, error: OSError) -> O365EtlError:
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return UnreachableError(
                f"the certificate of IT Glue ({self._host}) cannot be verified",
                code="tls",
                remedy="Set `tls.ca_bundle` to the PEM of the authority that signed it.",
            )
        # Silence in the middle of a body comes as a ConnectionError around urllib3's own.
        if isinstance(error, requests.exceptions.ReadTimeout) or isinstance(
            next(iter(error.args), None), ReadTimeoutError
        ):
            return BadAnswerError(f"IT Glue ({self._host}) did not answer in time", code=TOOK_TOO_LONG)
        if not isinstance(error, requests.RequestException):
            # requests raises a bare OSError for a CA bundle that is not there.
            return ConfigError("tls.ca_bundle: the file cannot be used", remedy="Give the path of a PEM file.")
        return UnreachableError(f"IT Glue ({self._host}) cannot be reached or broke off ({type(error).__name__})")


class _Outgoing(io.BytesIO):
    """The body of a write, which knows whether any of it was handed to the connection.

    It is read only once the connection stands and the head is sent; before that the server cannot have done anything.
    """

    has_left = False

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes to send."""
        self.has_left = True
        return super().read(size)


def _unusable(error: Exception) -> str:
    # A ValidationError is a DecodeError too: JSON, but not what was due.
    return "no JSON:API document" if isinstance(error, msgspec.ValidationError) else "no JSON"


class _ApiKey(AuthBase):
    """Sends the key. As an `auth`, because without one requests would look for one in ~/.netrc."""

    def __init__(self, key: str) -> None:
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("itglue.api_key: this cannot be a key", remedy="Copy it again, on one line.")
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-api-key"] = self._key
        return request
