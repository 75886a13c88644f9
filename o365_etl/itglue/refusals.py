"""Every failed answer of IT Glue as one of our errors, with IT Glue's own words in it.

For a read the question is whether another try may help; for a write it is whether the write was done. What does not
live here: failures without an answer (`client`).
"""

from __future__ import annotations

import email.utils
import math
import time

import msgspec
import requests

from o365_etl.errors import (
    BadAnswerError,
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    OutcomeUnknownError,
    PermanentError,
    ProtocolError,
    RejectedError,
    ThrottledError,
    UnsupportedError,
)

TOOK_TOO_LONG = "took_too_long"

_KEY_REMEDY = (
    "Check `itglue.api_key` (a key may expire when unused) and `itglue.region`: a key works in its own region only."
)
_WRITE_KEY_REMEDY = (
    "Writing needs a key with the right to write: check `itglue.api_key` and `itglue.region`, or set `itglue.mode` "
    "to `plan`."
)
_GONE_REMEDY = "What it concerns may have been deleted in IT Glue; the next sync reads it again and plans anew."
_LONGEST_REASON = 200
_LONGEST_OBJECTION = 500


def read_refusal(host: str, path: str, response: requests.Response) -> O365EtlError:
    """The error for an answer to a GET that is not 200."""
    status = response.status_code
    said = _reason(response.content)
    text = f"IT Glue ({host}) answered {path} with {status}{': ' + said if said else ''}"
    if status in (401, 403):
        return _key_refused(status, text, _KEY_REMEDY)
    if status == 404:
        return NotFoundError(text, remedy="Check `itglue.region` and `itglue.base_url`.")
    if status == 429:
        return _throttled(text, response)
    if status in (400, 405, 501):
        return UnsupportedError(text)
    if status == 504 or (status >= 500 and "too long" in said):
        return BadAnswerError(text, code=TOOK_TOO_LONG)
    if status == 408 or status >= 500:
        return BadAnswerError(text, retry_after=retry_after(response.headers.get("Retry-After")))
    if 300 <= status < 400:
        return ProtocolError(text, remedy="Check `itglue.base_url`: the API never redirects.")
    return PermanentError(text, code="rejected")


def write_refusal(host: str, method: str, path: str, response: requests.Response) -> O365EtlError:
    """The error for an answer to a write that is not 2xx.

    Only what can mean nothing but "not done" is taken for that; all else leaves the outcome unknown.
    """
    status = response.status_code
    refusal = _refusal(response.content)
    said = "" if refusal is None else refusal.objections()
    text = f"IT Glue ({host}) answered {method} {path} with {status}{': ' + said if said else ''}"
    if status in (401, 403):
        return _key_refused(status, text, _WRITE_KEY_REMEDY)
    if status == 404:
        return NotFoundError(text, remedy=_GONE_REMEDY)
    if status == 429:
        return _throttled(text, response)
    if status in (400, 422) and refusal is not None:
        return RejectedError(text)
    if status in (405, 415, 501):
        return UnsupportedError(text)
    return OutcomeUnknownError(text, retry_after=retry_after(response.headers.get("Retry-After")))


def _key_refused(status: int, text: str, remedy: str) -> PermanentError:
    kind = PermanentError if status == 401 else ForbiddenError
    return kind(text, code="itglue_key", remedy=remedy)


def _throttled(text: str, response: requests.Response) -> ThrottledError:
    return ThrottledError(text, retry_after=retry_after(response.headers.get("Retry-After")))


class _Source(msgspec.Struct):
    pointer: object = None


class _Problem(msgspec.Struct):
    """One error; the texts may be missing, null, or no texts."""

    title: object = None
    detail: object = None
    source: object = None

    def reason(self) -> str:
        """The detail or, without one, the title."""
        return _text(self.detail) or _text(self.title)

    def objection(self) -> str:
        """Title and detail, and the name of the field they are about."""
        words = ": ".join(dict.fromkeys(filter(None, (_text(self.title), _text(self.detail)))))
        field = self._field()
        return f"{words} ({field})" if words and field else words or field

    def _field(self) -> str:
        try:
            pointer = msgspec.convert(self.source, _Source).pointer
        except msgspec.ValidationError:
            return ""
        return _text(pointer).rpartition("/")[2]


class _Refusal(msgspec.Struct):
    """Both forms: the gateway's `message`, JSON:API's `errors`."""

    message: object = None
    errors: list[_Problem] | None = None

    def reasons(self) -> str:
        """What went wrong, in at most 200 characters."""
        return _joined([_text(self.message), *(problem.reason() for problem in self.errors or ())], _LONGEST_REASON)

    def objections(self) -> str:
        """All that is objected to, in at most 500 characters."""
        parts = [_text(self.message), *(problem.objection() for problem in self.errors or ())]
        return _joined(parts, _LONGEST_OBJECTION)


def _refusal(body: bytes) -> _Refusal | None:
    """The body of a failed answer; None if it is no JSON object, so not IT Glue's."""
    try:
        return msgspec.json.decode(body, type=_Refusal)
    except msgspec.ValidationError:
        return _Refusal() if body.lstrip().startswith(b"{") else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _reason(body: bytes) -> str:
    """What the server says about a failed read; empty if it says nothing in JSON."""
    refusal = _refusal(body)
    return "" if refusal is None else refusal.reasons()


def _joined(parts: list[str], longest: int) -> str:
    return "; ".join(filter(None, parts))[:longest]


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


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
