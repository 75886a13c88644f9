"""Every error the program raises on purpose, each with its retry decision and its remedy.

    O365EtlError
    ├── ConfigError            the configuration is wrong: exit code 2, one line, never a traceback
    ├── PermanentError         trying again cannot help until a person has done something
    │   ├── SignInError        Microsoft's sign-in refused the application (`code` says why)
    │   ├── ForbiddenError     signed in, but not allowed to read this
    │   ├── NotFoundError      the thing asked for does not exist
    │   ├── UnsupportedError   the server does not offer this
    │   ├── ProtocolError      the answer is not what the protocol promises (wrong tenant, foreign host, loop …)
    │   ├── LocalError         this machine: disk full, folder not writable, file damaged
    │   ├── RejectedError      the server understood a write and refuses it (422); its own words are in the message
    │   ├── ConflictError      somebody else decided or changed the same thing in the meantime
    │   └── BusyError          another sync holds the lock
    └── TransientError         trying again later may help (`retry_after` in seconds, None where the server named none)
        ├── ThrottledError     429, or 503 with Retry-After
        ├── UnreachableError   no connection, time-out, TLS failure, reset
        ├── BadAnswerError     5xx, truncated, HTML where JSON was due
        ├── OutcomeUnknownError  a write was sent and no answer came: it may have been done
        └── PageExpiredError   a page token expired: the stream must start over, its rows are discarded

What does not live here: exit codes (the command line) and the translation to `dagster.Failure` (assets).
`code` is a short snake_case word; it stands in `sync.tenants.error_code` and in receipts, so it is part of the
public contract. Messages and remedies are for people and carry no personal data and no secret.
"""

from __future__ import annotations


class O365EtlError(Exception):
    """Base of all errors raised on purpose.

    `message` says what happened, `remedy` what a person can do about it, `code` names it for programs.
    """

    code = "error"
    remedy = "Look at the sync log for the cause."

    def __init__(self, message: str, *, code: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.remedy = remedy or type(self).remedy

    def __str__(self) -> str:
        return self.message

    @property
    def line(self) -> str:
        """Message and remedy as one line for a terminal."""
        return f"{self.message.rstrip('.')}. {self.remedy}" if self.remedy else self.message


class ConfigError(O365EtlError):
    """The configuration is wrong; the message names the key, the remedy the mend."""

    code = "config"
    remedy = "Mend the configuration file."


class PermanentError(O365EtlError):
    """Trying again cannot help until a person has done something."""

    code = "permanent"


class SignInError(PermanentError):
    """Microsoft's sign-in refused the application in this tenant."""

    code = "auth_failed"
    remedy = "Run `o365-etl doctor` and check the application's registration, secret and consent."


class ForbiddenError(PermanentError):
    """Signed in, but without the right to read this."""

    code = "forbidden"
    remedy = "Grant the missing application permission and give admin consent again."


class NotFoundError(PermanentError):
    """The thing asked for does not exist."""

    code = "not_found"
    remedy = "Check the address in the configuration."


class UnsupportedError(PermanentError):
    """The server does not offer this (400, 405, 501)."""

    code = "unsupported"
    remedy = "This server does not offer what was asked for; report it with the request id in the sync log."


class ProtocolError(PermanentError):
    """The answer breaks a promise of the protocol, and trusting it would be dangerous."""

    code = "protocol"
    remedy = "Check `login_url`, `graph_url` and `itglue.base_url`: something else than the API is answering."


class LocalError(PermanentError):
    """Something on this machine stands in the way: disk, permissions, a damaged file."""

    code = "local"
    remedy = "Free disk space or correct the permissions of `data_dir`, then run again."


class RejectedError(PermanentError):
    """The server understood a write and refuses it; trying the same again cannot help."""

    code = "rejected"
    remedy = "Mend what IT Glue objects to, in Microsoft 365 or in IT Glue; the next sync plans it again."


class ConflictError(PermanentError):
    """Somebody else decided or changed the same thing in the meantime."""

    code = "conflict"
    remedy = "Look at what holds now, then decide again."


class BusyError(PermanentError):
    """Another sync holds the lock."""

    code = "busy"
    remedy = "Wait for it to end, or stop it, then run again."


class TransientError(O365EtlError):
    """Trying again later may help."""

    code = "transient"
    remedy = "The next sync tries again by itself."

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        remedy: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retry_after = retry_after


class ThrottledError(TransientError):
    """The server asked us to slow down and did not stop asking."""

    code = "throttled"
    remedy = "The server is throttling; the next sync tries again. Lower `limits.threads` if this recurs."


class UnreachableError(TransientError):
    """No usable connection: name, route, TLS, time-out or reset."""

    code = "unreachable"
    remedy = "Check the network, the proxy, `tls.ca_bundle` and the addresses in the configuration."


class BadAnswerError(TransientError):
    """A 5xx, a truncated body, or HTML where JSON was due."""

    code = "bad_answer"


class OutcomeUnknownError(TransientError):
    """A write was sent and no usable answer came: it may have been done. Read before sending anything again."""

    code = "outcome_unknown"
    remedy = "The next run reads IT Glue and finds out what was done before it writes anything."


class PageExpiredError(TransientError):
    """A page token expired in mid-stream; the same link cannot work again."""

    code = "page_expired"
