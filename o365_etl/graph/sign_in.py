"""Signing the application in to one tenant, with msal.

msal speaks the protocol; this module gives it our HTTP (private CA, time-outs, retries), turns every refusal into a
`SignInError` with its remedy, and keeps the token at hand so that a request does not search msal's cache.

msal objects are not shared between tenants: its token cache is searched linearly, and its HTTP cache guards a shared
mapping with a lock per application, which is none. A fresh cache per sign-in also means that msal cannot replay an
old refusal (it keeps 400s for a minute) in the next sync.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msal
import msgspec
from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS

from o365_etl.config import Connection, is_guid
from o365_etl.errors import BadAnswerError, ProtocolError, ThrottledError
from o365_etl.graph.aadsts import sign_in_error
from o365_etl.graph.credentials import Credential
from o365_etl.graph.transport import Answer, Outgoing, Tally, Transport
from o365_etl.graph.waiting import Gate, retry_after

# Behind authority and tenant: where Microsoft tells where one signs in.
DOCUMENT = "/v2.0/.well-known/openid-configuration"
_EARLY = 300.0  # seconds before its end at which a token is renewed, as msal does


class _Claims(msgspec.Struct):
    tid: str | None = None
    roles: list[str] | None = None


_claims = msgspec.json.Decoder(_Claims)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `tenant_id` and `roles` are what a readable one says, for diagnosis only; None if opaque."""

    value: str
    renew_at: float
    tenant_id: str | None
    roles: frozenset[str] | None

    def __repr__(self) -> str:
        return "Token(…)"


class SignInDocuments:
    """The documents in which Microsoft tells where one signs in, by authority; thread-safe.

    msal asks for that of every tenant, and they differ in nothing but the tenant's id: of each authority one is kept
    and the others are made of it, a request less for every tenant. Where the tenant does not exist the sign-in says so.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Answer]] = {}

    def get(self, url: str) -> Answer | None:
        """What stands at `url`; None if it has to be asked for."""
        authority, tenant = _document_of(url)
        known = self._known.get(authority) if tenant else None
        if known is None:
            return None
        told, answer = known
        return answer._replace(url=url, body=answer.body.replace(told.encode(), tenant.encode()))

    def keep(self, url: str, answer: Answer) -> None:
        """Remember what was told of a tenant, if it can be told of others."""
        authority, tenant = _document_of(url)
        if tenant and answer.status == 200 and tenant.encode() in answer.body:
            self._known[authority] = (tenant, answer)


def _document_of(url: str) -> tuple[str, str]:
    """The authority and the tenant of whom `url` tells; no tenant where it is named otherwise than by its id."""
    authority, _, tenant = url.removesuffix(DOCUMENT).rpartition("/")
    return authority, tenant if url.endswith(DOCUMENT) and is_guid(tenant) else ""


class SignIn:
    """The application's identity in one tenant; thread-safe."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        credential: Credential,
        transport: Transport,
        gate: Gate,
        documents: SignInDocuments,
    ) -> None:
        self.connection = connection
        self.own_tenant = connection.kind == "direct" or tenant == connection.tenant_id
        self._authority = f"{connection.authority}/{quote(tenant, safe='.-')}"
        self._credential = credential
        self._http = _LoginHttp(self, transport, gate, documents)
        self._clock = transport.clock
        self._lock = threading.Lock()
        self._app: Any = None
        self._token: Token | None = None

    @property
    def consent_link(self) -> str:
        """Where the tenant's Global Administrator gives consent."""
        return f"{self._authority}/adminconsent?{urlencode({'client_id': self.connection.client_id})}"

    def token(self) -> Token:
        """A valid token. Raises `SignInError`, or a `TransientError` if the service cannot be had."""
        token = self._token
        if token is not None and token.renew_at > self._clock.now():
            return token
        with self._lock:
            token = self._token
            if token is None or token.renew_at <= self._clock.now():
                token = self._token = self._acquire(None)
            return token

    def renew(self, refused: Token, challenge: str | None) -> Token:
        """Another token in place of one that was refused; `challenge` are the claims the refusal asked for."""
        with self._lock:
            if self._token is refused:  # else another thread was quicker
                if self._app is not None:
                    self._app.remove_tokens_for_client()
                self._token = self._acquire(challenge)
            assert self._token is not None
            return self._token

    def _acquire(self, challenge: str | None) -> Token:
        try:
            if self._app is None:
                self._app = self._make_app()
            scopes = [f"{self.connection.graph}/.default"]
            answer = self._app.acquire_token_for_client(scopes, claims_challenge=challenge)
        except (ValueError, KeyError, RuntimeError, msal.exceptions.MsalError) as error:
            # msal raises these when the sign-in documents are not what OpenID promises.
            raise ProtocolError("what answers at the sign-in address is not Microsoft's sign-in") from error
        if not isinstance(answer.get("access_token"), str):
            raise sign_in_error(answer, self.consent_link, own_tenant=self.own_tenant)
        return self._remember(answer)

    def _make_app(self) -> Any:
        known = urlsplit(self.connection.authority).hostname in WELL_KNOWN_AUTHORITY_HOSTS
        return msal.ConfidentialClientApplication(
            self.connection.client_id,
            client_credential=self._credential,
            authority=self._authority,
            http_client=self._http,
            # Elsewhere than at Microsoft's own hosts there is nobody to ask whether the authority is genuine.
            instance_discovery=None if known else False,
        )

    def _remember(self, answer: Mapping[str, Any]) -> Token:
        value = str(answer["access_token"])
        lifetime = float(answer.get("expires_in") or 3600)
        renew_at = self._clock.now() + max(lifetime - _EARLY, lifetime / 2)
        claims = _readable_claims(value)
        roles = None if claims.roles is None else frozenset(claims.roles)
        return Token(value, renew_at, claims.tid.lower() if claims.tid else None, roles)


def _readable_claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        return _claims.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.DecodeError):
        return _Claims()  # opaque by contract: not readable is not wrong


class _MsalResponse:
    """An answer in the shape msal reads."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.headers = answer.headers
        self.text = answer.body.decode(errors="replace")

    def raise_for_status(self) -> None:
        """Nothing: failures were raised before msal gets to see an answer."""


class _LoginHttp:
    """The HTTP client msal is given: retries are done here, so msal only ever sees final answers."""

    def __init__(self, sign_in: SignIn, transport: Transport, gate: Gate, documents: SignInDocuments) -> None:
        self._sign_in = sign_in
        self._transport = transport
        self._gate = gate
        self._documents = documents

    def get(self, url: str, headers: Mapping[str, str] | None = None, **_: Any) -> _MsalResponse:
        """A discovery document. A refusal becomes a `SignInError` here, because msal would swallow its number."""
        answer = self._documents.get(url)
        if answer is None:
            answer = self._exchange(Outgoing("GET", url, headers or {}))
            if answer.status >= 400:
                sign_in = self._sign_in
                raise sign_in_error(json.loads(answer.body), sign_in.consent_link, own_tenant=sign_in.own_tenant)
            self._documents.keep(url, answer)
        return _MsalResponse(answer)

    def post(self, url: str, data: Any = None, headers: Mapping[str, str] | None = None, **_: Any) -> _MsalResponse:
        """The token request."""
        return _MsalResponse(self._exchange(Outgoing("POST", url, headers or {}, data)))

    def close(self) -> None:
        """Nothing to do: the transport belongs to the run."""

    def _exchange(self, outgoing: Outgoing) -> Answer:
        return self._transport.exchange(outgoing, _final_answer, Tally(), self._gate)


def _final_answer(answer: Answer) -> Answer:
    """Pass on what msal can read: success or a refusal in JSON."""
    wait = retry_after(answer.headers)
    if answer.status == 429:
        raise ThrottledError("sign-in is throttled", retry_after=wait)
    if answer.status >= 500:
        raise BadAnswerError(f"sign-in answered {answer.status}", retry_after=wait)
    try:
        readable = isinstance(json.loads(answer.body), dict)
    except ValueError:
        readable = False
    if readable and not 300 <= answer.status < 400:
        return answer
    if answer.status == 200:
        raise BadAnswerError("sign-in answered something that is no JSON")
    raise ProtocolError(
        f"sign-in answered {answer.status} in a way Microsoft's does not",
        remedy="Check `cloud` and `login_url`: something else than Microsoft's sign-in is answering.",
    )
