"""Turns an HTTP answer of Graph that is not a success into the error that says what to do about it.

Decided by status and `error.code`, never by message text. Errors name the request id Microsoft's support asks for,
and no path, because paths hold user ids.
"""

from __future__ import annotations

import msgspec

from o365_etl.errors import (
    BadAnswerError,
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    PageExpiredError,
    PermanentError,
    ProtocolError,
    SignInError,
    ThrottledError,
    UnsupportedError,
)
from o365_etl.graph.transport import Answer
from o365_etl.graph.waiting import retry_after

_EXPIRED = {"directory_expiredpagetoken", "syncstatenotfound", "resyncrequired"}
_NO_PREMIUM = "authentication_requestfromnonpremiumtenantorb2ctenant"
_NO_PRINCIPAL = "authorization_identitynotfound"


class TokenRefusedError(PermanentError):
    """401: the token in use is not accepted. `challenge` is what `WWW-Authenticate` said."""

    code = "token_refused"
    remedy = "Check `cloud`, `login_url` and `graph_url`: the token is for another service, or access was revoked."

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.challenge = challenge


class _Error(msgspec.Struct):
    code: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error | None = None


_error_body = msgspec.json.Decoder(_ErrorBody)


def error_code(body: bytes | msgspec.Raw) -> str:
    """`error.code` of an answer in lower case; empty if it has none or is no JSON at all."""
    try:
        error = _error_body.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return ((error.code if error else None) or "").lower()


def require_success(answer: Answer, allowed: tuple[int, ...] = (200,)) -> None:
    """Return if the status is one of `allowed`, else raise what the answer amounts to."""
    if answer.status not in allowed:
        raise refusal(answer)


def refusal(answer: Answer) -> O365EtlError:
    """The error for an answer that is not a success."""
    status = answer.status
    code = error_code(answer.body)
    what = f"Microsoft Graph answered {status}{f' {code}' if code.isidentifier() else ''}{_request_id(answer)}"
    wait = retry_after(answer.headers)
    if status == 429 or (status == 503 and wait is not None):
        return ThrottledError(what, retry_after=wait)
    if status == 410 or code in _EXPIRED:
        return PageExpiredError(what)
    if code == _NO_PRINCIPAL:
        return SignInError(what, code="not_consented")
    if status == 401:
        return TokenRefusedError(what, answer.headers.get("WWW-Authenticate", ""))
    if status == 403:
        return ForbiddenError(what, code="no_premium" if code == _NO_PREMIUM else None)
    if status == 404:
        return NotFoundError(what, remedy="Check `graph_url`; if it is right, report this with the request id.")
    if status in (400, 405, 501):
        return UnsupportedError(what)
    if status in (408, 423, 424) or status >= 500:
        return BadAnswerError(what, retry_after=wait)
    return ProtocolError(what)


def _request_id(answer: Answer) -> str:
    request_id = answer.headers.get("request-id", "")
    # Shown only if it looks like an id: a header of a stranger's server is not worth a place in the log.
    plain = request_id.replace("-", "").isalnum() and len(request_id) <= 64
    return f" (request-id {request_id})" if plain else ""
