"""Microsoft's sign-in service: discovery documents, tokens for applications, and its many ways to refuse.

What lives here: client credentials with a secret or a signed assertion. Tokens are JWTs of the right shape, signed
with a key of this process alone (they are opaque to clients by contract, so the published key set is empty).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from o365_etl.simulator.estate import Estate
from o365_etl.simulator.model import SimTenant, stable_id
from o365_etl.simulator.transport import Request, Response

TOKEN_LIFETIME = 3599
_UNTIMELY = "is not within its valid time range"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DOMAIN = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_TOKEN_PATH = re.compile(r"/([^/]+)/oauth2/v2\.0/token")
_OPENID_PATH = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration")
_KEYS_PATH = re.compile(r"/([^/]+)/discovery/v2\.0/keys")


# Refusals that a tenant can be told to answer with (`SimTenant.refusal`): AADSTS number → the answer for a client id.
_OF_A_TENANT: Mapping[int, Callable[[str], SignInRefused]] = {
    700016: lambda client_id: SignInRefused(
        400,
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant.",
    ),
    50194: lambda client_id: SignInRefused(
        400,
        "invalid_request",
        50194,
        f"Application '{client_id}' is not configured as a multi-tenant application. Usage of the /common endpoint is "
        "not supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or configure "
        "the application to be multi-tenant.",
    ),
    650051: lambda client_id: SignInRefused(
        400,
        "invalid_client",
        650051,
        f"The service principal name of the application '{client_id}' is already present for the tenant.",
    ),
}


@dataclass(frozen=True)
class App:
    """One application registration. `home` is the only tenant of a single-tenant app, None for a multi-tenant one."""

    client_id: str
    secret: str
    certificate: x509.Certificate | None = None
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one access token stands for."""

    tenant_id: str
    client_id: str
    roles: frozenset[str]
    expires: float


class SignInRefused(Exception):
    """The service refuses; carries what goes into the answer."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.code, self.text = status, error, code, text


class SignInService:
    """Answers the sign-in endpoints and knows the tokens it gave out."""

    def __init__(self, estate: Estate, base_url: str, graph_url: str) -> None:
        self._estate = estate
        self._base = base_url
        self._scope = f"{graph_url}/.default"
        self._audience = graph_url
        self._apps: dict[str, App] = {}
        self._grants: dict[str, Grant] = {}
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()

    def register(self, app: App) -> None:
        """Make an application known."""
        self._apps[app.client_id] = app

    def grant(self, token: str) -> Grant | None:
        """What the token stands for; None if it was not given out here."""
        return self._grants.get(token)

    def tenant_of(self, request: Request) -> str | None:
        """The tenant that a sign-in address names, for logs and faults."""
        tenant = self._estate.find_tenant(request.path.split("/")[1]) if request.path.count("/") > 1 else None
        return tenant.tenant_id if tenant else None

    def respond(self, request: Request) -> Response:
        """Answer one request, by the clock of its tenant."""
        tenant = self._estate.find_tenant(self.tenant_of(request) or "")
        try:
            response = self._route(request)
        except SignInRefused as refused:
            response = _refusal(refused, request)
        if tenant is not None and tenant.clock_ahead:
            response.headers["Date"] = formatdate(time.time() + tenant.clock_ahead, usegmt=True)
        return response

    def _route(self, request: Request) -> Response:
        path = request.path
        if match := _TOKEN_PATH.fullmatch(path):
            if request.method != "POST":
                raise SignInRefused(405, "invalid_request", 900561, "The endpoint only accepts POST requests.")
            return self._token(match[1], request)
        if match := _OPENID_PATH.fullmatch(path):
            return self._openid(match[1])
        if path == "/common/discovery/instance":
            return _json(200, self._instance())
        if _KEYS_PATH.fullmatch(path):
            return _json(200, {"keys": []})
        return Response(404, b"", {"Content-Type": "text/html"})

    def _openid(self, name: str) -> Response:
        generic = name in ("common", "organizations", "consumers")
        tenant_id = name if generic else self._tenant(name, "invalid_tenant").tenant_id
        return _json(
            200,
            {
                "token_endpoint": f"{self._base}/{name}/oauth2/v2.0/token",
                "authorization_endpoint": f"{self._base}/{name}/oauth2/v2.0/authorize",
                "issuer": f"https://login.microsoftonline.com/{tenant_id}/v2.0",
                "jwks_uri": f"{self._base}/{name}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": "WW",
                "cloud_instance_name": "microsoftonline.com",
                "msgraph_host": self._audience.removeprefix("https://"),
            },
        )

    def _instance(self) -> dict[str, Any]:
        host = self._base.removeprefix("https://")
        return {
            "tenant_discovery_endpoint": f"{self._base}/common/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }

    def _tenant(self, name: str, error: str = "invalid_request") -> SimTenant:
        if not (_GUID.fullmatch(name) or _DOMAIN.fullmatch(name)):
            text = f"Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain."
            raise SignInRefused(400, "invalid_request", 900023, text)
        tenant = self._estate.find_tenant(name)
        if tenant is None:
            text = (
                f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing "
                "into the correct cloud."
            )
            raise SignInRefused(400, error, 90002, text)
        return tenant

    def _token(self, name: str, request: Request) -> Response:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        tenant = self._tenant(name)
        if form.get("grant_type") != "client_credentials":
            text = f"The app requested an unsupported grant type '{form.get('grant_type', '')}'."
            raise SignInRefused(400, "unsupported_grant_type", 70003, text)
        app = self._app(form.get("client_id", ""), tenant)
        if tenant.refusal is not None:
            raise _OF_A_TENANT[tenant.refusal](app.client_id)
        self._authenticate(app, tenant, form, name)
        if form.get("scope") != self._scope:
            resource = form.get("scope", "").removesuffix("/.default")
            text = (
                f"The resource principal named {resource} was not found in the tenant named {tenant.display_name}. "
                "This can happen if the application has not been installed by the administrator of the tenant."
            )
            raise SignInRefused(400, "invalid_resource", 500011, text)
        if not tenant.consented:
            text = (
                f"The client application {app.client_id} is missing service principal in the tenant "
                f"{tenant.tenant_id}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"
            )
            raise SignInRefused(401, "invalid_client", 7000229, text)
        return self._issue(app, tenant)

    def _app(self, client_id: str, tenant: SimTenant) -> App:
        app = self._apps.get(client_id.lower())
        if app is None or app.home not in (None, tenant.tenant_id):
            text = (
                f"Application with identifier '{client_id}' was not found in the directory '{tenant.display_name}'. "
                "This can happen if the application has not been installed by the administrator of the tenant or "
                "consented to by any user in the tenant."
            )
            raise SignInRefused(400, "unauthorized_client", 700016, text)
        return app

    def _authenticate(self, app: App, tenant: SimTenant, form: dict[str, str], name: str) -> None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != _ASSERTION_TYPE:
                raise SignInRefused(400, "invalid_request", 900144, "The assertion type is missing or unknown.")
            endpoint = f"{self._base}/{name}/oauth2/v2.0/token"
            problem = check_assertion(form["client_assertion"], app, endpoint, time.time() + tenant.clock_ahead)
            if problem == _UNTIMELY:
                raise SignInRefused(401, "invalid_client", 700024, f"Client assertion {problem}.")
            if problem:
                text = f"Client assertion failed signature validation or is not acceptable: {problem}."
                raise SignInRefused(401, "invalid_client", 700027, text)
            return
        if not hmac.compare_digest(form.get("client_secret", "").encode(), app.secret.encode()):
            text = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{app.client_id}'."
            )
            raise SignInRefused(401, "invalid_client", 7000215, text)
        if app.home is not None and tenant.secret_state == "expired":
            text = f"The provided client secret keys for app '{app.client_id}' are expired."
            raise SignInRefused(401, "invalid_client", 7000222, text)

    def _issue(self, app: App, tenant: SimTenant) -> Response:
        now = int(time.time())
        claims: dict[str, Any] = {
            "aud": self._audience,
            "iss": f"https://sts.windows.net/{tenant.tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_LIFETIME,
            "appid": app.client_id,
            "idtyp": "app",
            "oid": stable_id("service-principal", tenant.tenant_id, app.client_id),
            "tid": tenant.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if tenant.roles:
            claims["roles"] = list(tenant.roles)
        head = _encode(json.dumps({"typ": "JWT", "alg": "HS256", "kid": "simulator"}).encode())
        signed = f"{head}.{_encode(json.dumps(claims).encode())}"
        token = f"{signed}.{_encode(hmac.digest(self._key, signed.encode(), 'sha256'))}"
        with self._lock:
            self._grants[token] = Grant(tenant.tenant_id, app.client_id, frozenset(tenant.roles), now + TOKEN_LIFETIME)
        body = {
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME,
            "ext_expires_in": TOKEN_LIFETIME,
            "access_token": token,
        }
        return _json(200, body)


def check_assertion(assertion: str, app: App, endpoint: str, at: float | None = None) -> str | None:
    """What is wrong `at` this time (now) with a client assertion (PS256 with x5t#S256, RS256 with x5t); None if nothing
    is.
    """
    at = time.time() if at is None else at
    if app.certificate is None:
        return "no certificate is registered"
    try:
        head_part, claims_part, signature_part = assertion.split(".")
        head, claims = json.loads(_decode(head_part)), json.loads(_decode(claims_part))
        signature = _decode(signature_part)
    except (ValueError, binascii.Error):
        return "it is not a JWT"
    der_hash = ("x5t#S256", hashes.SHA256()) if head.get("alg") == "PS256" else ("x5t", hashes.SHA1())
    if head.get("alg") not in ("PS256", "RS256"):
        return "the algorithm is not supported"
    if str(head.get(der_hash[0], "")).rstrip("=") != _encode(app.certificate.fingerprint(der_hash[1])):
        return "the thumbprint is not that of a registered certificate"
    if not _signature_fits(app.certificate, head["alg"], f"{head_part}.{claims_part}".encode(), signature):
        return "the signature does not fit"
    if claims.get("aud") != endpoint:
        return "the audience is not the token endpoint"
    if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
        return "issuer or subject is not the application"
    if not float(claims.get("nbf", 0)) - 300 <= at < float(claims.get("exp", 0)):
        return _UNTIMELY
    return None


def _signature_fits(certificate: x509.Certificate, algorithm: str, signed: bytes, signature: bytes) -> bool:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if algorithm == "PS256" else padding.PKCS1v15()
    try:
        key.verify(signature, signed, scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _refusal(refused: SignInRefused, request: Request) -> Response:
    stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    trace, correlation = str(uuid4()), request.headers.get("client-request-id") or str(uuid4())
    body = {
        "error": refused.error,
        "error_description": f"AADSTS{refused.code}: {refused.text} Trace ID: {trace} "
        f"Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [refused.code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}",
    }
    return _json(refused.status, body)


def _json(status: int, body: object) -> Response:
    headers = {
        "Cache-Control": "no-store, no-cache",
        "Pragma": "no-cache",
        "Content-Type": "application/json; charset=utf-8",
        "Expires": "-1",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "P3P": 'CP="DSP CUR OTPi IND OTRi ONL FIN"',
        "x-ms-request-id": str(uuid4()),
        "x-ms-ests-server": "2.1.0 - SIM ProdSlices",
        "x-ms-clitelem": "1,0,0,,",
    }
    return Response(status, json.dumps(body).encode(), headers)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
