"""One request to IT Glue: the key, TLS, the rate, retries, and every failure as one of our errors.

Only GET so far, so that every request may be repeated. What does not live here: paging (`paging`), and which requests
there are (`allow_list`).
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
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
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    PermanentError,
    ProtocolError,
    ThrottledError,
    TransientError,
    UnreachableError,
    UnsupportedError,
)
from o365_etl.itglue.allow_list import check_allowed
from o365_etl.itglue.rate import RateLimit

TOOK_TOO_LONG = "took_too_long"

_MEDIA_TYPE = "application/vnd.api+json"
_TIMEOUTS = (10.0, 120.0)  # connect, silence: IT Glue itself gives up on a page after about a minute
_CONNECTIONS = 8
_TRIES = 4
_THROTTLE_TRIES = 6  # at a minute each, longer than the window of five minutes that IT Glue counts in
_THROTTLE_SECONDS = 60.0
_LONGEST_WAIT = 300.0
_KEY_REMEDY = (
    "Check `itglue.api_key` (a key may expire when unused) and `itglue.region`: a key works in its own region only."
)

_Answer = TypeVar("_Answer")


@dataclass
class Spent:
    """What a stream has cost so far; one thread fills one."""

    requests: int = 0
    waited_seconds: float = 0.0


class ItGlueClient:
    """A client for one IT Glue account, safe to use from several threads; close it, or use it in a `with`.

    `rate` and `burst` are requests (see `RateLimit`); `pause` scales all waits between tries (1: as published).
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
    ) -> None:
        self._base = settings.url
        self._host = urlsplit(self._base).netloc
        self._pause = pause
        self._rate = RateLimit(rate, burst)
        # Given with each request: only there it wins over REQUESTS_CA_BUNDLE.
        self._verify: bool | str = True if ca_bundle is None else str(ca_bundle)
        self._session = requests.Session()
        self._session.auth = _ApiKey(settings.api_key.read("itglue.api_key"))
        self._session.headers["Accept"] = _MEDIA_TYPE
        self._session.mount("https://", HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS))

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
            spent.waited_seconds += self._rate.wait()
            spent.requests += 1
            try:
                return self._try(path, params, kind)
            except ThrottledError as error:
                throttled += 1
                wait = _THROTTLE_SECONDS if error.retry_after is None else error.retry_after
                if throttled == _THROTTLE_TRIES or wait > _LONGEST_WAIT:
                    raise
                self._rate.pause(wait * self._pause)
            except TransientError as error:
                tries += 1
                if tries == _TRIES or error.code in (TOOK_TOO_LONG, "tls"):
                    raise
                wait = min(error.retry_after or 2.0 ** (tries - 1), _LONGEST_WAIT) * self._pause
                spent.waited_seconds += wait
                time.sleep(wait)

    def _try(self, path: str, params: Mapping[str, str], kind: type[_Answer]) -> tuple[_Answer, bytes]:
        try:
            response = self._session.get(
                self._base + path,
                params=dict(params),
                timeout=_TIMEOUTS,
                verify=self._verify,
                # A redirect would carry the key to wherever it points.
                allow_redirects=False,
            )
        except OSError as error:  # which requests' own errors are as well
            raise self._connection_error(error) from error
        body = response.content
        if response.status_code != 200:
            raise self._status_error(path, response)
        try:
            return msgspec.json.decode(body, type=kind), body
        except msgspec.MsgspecError as error:
            what = "no JSON" if isinstance(error, msgspec.DecodeError) else "no JSON:API document"
            raise BadAnswerError(f"IT Glue ({self._host}) answered {path} with {what}") from error

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

    def _status_error(self, path: str, response: requests.Response) -> O365EtlError:
        status = response.status_code
        said = _reason(response.content)
        text = f"IT Glue ({self._host}) answered {path} with {status}{': ' + said if said else ''}"
        if status == 401:
            return PermanentError(text, code="itglue_key", remedy=_KEY_REMEDY)
        if status == 403:
            return ForbiddenError(text, code="itglue_key", remedy=_KEY_REMEDY)
        if status == 404:
            return NotFoundError(text, remedy="Check `itglue.region` and `itglue.base_url`.")
        if status == 429:
            return ThrottledError(text, retry_after=retry_after(response.headers.get("Retry-After")))
        if status in (400, 405, 501):
            return UnsupportedError(text)
        if status == 504 or (status >= 500 and "too long" in said):
            return BadAnswerError(text, code=TOOK_TOO_LONG)
        if status == 408 or status >= 500:
            return BadAnswerError(text, retry_after=retry_after(response.headers.get("Retry-After")))
        if 300 <= status < 400:
            return ProtocolError(text, remedy="Check `itglue.base_url`: the API never redirects.")
        return PermanentError(text, code="rejected")


class _ApiKey(AuthBase):
    """Sends the key. As an `auth`, because without one requests would look for one in ~/.netrc."""

    def __init__(self, key: str) -> None:
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("itglue.api_key: this cannot be a key", remedy="Copy it again, on one line.")
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-api-key"] = self._key
        return request


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class _Refusal(msgspec.Struct):
    """Both forms: the gateway's `message`, JSON:API's `errors`."""

    message: str = ""
    errors: list[_Problem] = []


def _reason(body: bytes) -> str:
    """What the server says about a failure, in at most 200 characters; empty if it says nothing in JSON."""
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        return ""
    parts = [refusal.message, *(problem.detail or problem.title for problem in refusal.errors)]
    return "; ".join(filter(None, parts))[:200]


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from whole or decimal seconds or an HTTP date; None if absent or nonsense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
