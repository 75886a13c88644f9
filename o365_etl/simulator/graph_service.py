"""Graph's front: who may ask, which route answers, batches, and the headers on everything."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from o365_etl.simulator import graph_delta, graph_directory, graph_reports, graph_users
from o365_etl.simulator.estate import Estate
from o365_etl.simulator.faults import FaultPlan
from o365_etl.simulator.graph_call import Call, Refusal, encode, ok, read_json, refuse
from o365_etl.simulator.graph_objects import Json
from o365_etl.simulator.sign_in import Grant, SignInService
from o365_etl.simulator.transport import Request, Response

BATCH_LIMIT = 20
_DIAGNOSTIC = json.dumps(
    {"ServerInfo": {"DataCenter": "Simulated", "Slice": "E", "Ring": "3", "ScaleUnit": "000", "RoleInstance": "SIM0"}}
)
_KEY = r"([^/()']+)"
Route = tuple[re.Pattern[str], Callable[..., Response]]
ROUTES: tuple[Route, ...] = tuple(
    (re.compile(pattern), route)
    for pattern, route in (
        (r"/users", graph_users.users),
        (r"/users/(?:microsoft\.graph\.)?delta(?:\(\))?", graph_delta.users_delta),
        (r"/organization", graph_directory.organization),
        (r"/domains", graph_directory.domains),
        (r"/subscribedSkus", graph_directory.subscribed_skus),
        (r"/directory/subscriptions", graph_directory.subscriptions),
        (r"/contracts", graph_directory.contracts),
        (r"/tenantRelationships/delegatedAdminCustomers", graph_directory.delegated_customers),
        (r"/tenantRelationships/delegatedAdminRelationships", graph_directory.delegated_relationships),
        (
            rf"/tenantRelationships/(?:microsoft\.graph\.)?findTenantInformationByTenantId\(tenantId='{_KEY}'\)",
            graph_directory.tenant_information,
        ),
        (rf"/reports/(?:microsoft\.graph\.)?getMailboxUsageDetail\(period='{_KEY}'\)", graph_reports.mailbox_usage),
        (r"/admin/reportSettings", graph_reports.report_settings),
        (r"/users/\$count", graph_users.users_count),
        (rf"/users/{_KEY}", graph_users.user),
        (rf"/users/{_KEY}/licenseDetails", graph_users.license_details),
        (rf"/users/{_KEY}/mailboxSettings", graph_users.mailbox_settings),
        (rf"/users/{_KEY}/mailboxSettings/userPurpose", graph_users.user_purpose),
    )
)


class GraphService:
    """Answers everything under /v1.0 and /beta."""

    def __init__(
        self, estate: Estate, sign_in: SignInService, faults: FaultPlan, base_url: str, report_link: Callable[..., str]
    ) -> None:
        self._estate = estate
        self._sign_in = sign_in
        self._faults = faults
        self._base = base_url
        self._report_link = report_link

    def tenant_of(self, request: Request) -> str | None:
        """The tenant of the request's token."""
        grant = self._grant(request)
        return grant.tenant_id if grant else None

    def respond(self, request: Request) -> Response:
        """Answer one request, headers and all."""
        request_id = str(uuid4())
        try:
            response = self._answer(request)
        except Refusal as refusal:
            response = refuse(refusal, request, request_id)
        for name, value in (
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept-Encoding"),
            ("Strict-Transport-Security", "max-age=31536000"),
            ("request-id", request_id),
            ("client-request-id", request.headers.get("client-request-id", request_id)),
            ("x-ms-ags-diagnostic", _DIAGNOSTIC),
            ("x-ms-resource-unit", str(resource_units(request))),
            ("odata-version", "4.0"),
        ):
            response.headers.setdefault(name, value)
        return response

    def _grant(self, request: Request) -> Grant | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._sign_in.grant(token.strip()) if scheme.lower() == "bearer" else None

    def _authorise(self, request: Request) -> Grant:
        grant = self._grant(request)
        if grant is None or grant.expires < time.time():
            text = "Access token validation failure."
            if "authorization" not in request.headers:
                text = "Access token is empty."
            elif grant is not None:
                text = "Lifetime validation failed, the token is expired."
            challenge = (
                f'Bearer realm="", authorization_uri="{self._base}/common/oauth2/authorize", error="invalid_token"'
            )
            raise Refusal(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": challenge})
        return grant

    def _answer(self, request: Request) -> Response:
        grant = self._authorise(request)
        tenant = self._estate.find_tenant(grant.tenant_id)
        if tenant is None or not tenant.consented:
            text = "The identity of the calling application could not be established."
            raise Refusal(401, "Authorization_IdentityNotFound", text)
        _, version, rest = request.path.split("/", 2) if request.path.count("/") > 1 else ("", "v1.0", "")
        path = "/" + rest.rstrip("/")
        if path == "/$batch":
            return self._batch(request)
        for pattern, route in ROUTES:
            match = pattern.fullmatch(path)
            if match is not None:
                if request.method != "GET":
                    text = "Specified HTTP method is not allowed for the request target."
                    raise Refusal(405, "Request_BadRequest", text)
                call = Call(
                    request=request,
                    estate=self._estate,
                    tenant=tenant,
                    roles=grant.roles,
                    client_id=grant.client_id,
                    base=self._base,
                    version=version,
                    path=path,
                    report_link=self._report_link,
                )
                return route(call, *match.groups())
        raise Refusal(400, "BadRequest", f"Resource not found for the segment '{path.split('/')[1]}'.")

    def _batch(self, request: Request) -> Response:
        if request.method != "POST":
            raise Refusal(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
        items = _batch_items(request)
        version = request.path.split("/")[1]
        answers: list[Json] = []
        failed: set[str] = set()
        for item in items:
            identity = str(item["id"])
            if failed.intersection(item.get("dependsOn") or ()):
                error = {"error": {"code": "FailedDependency", "message": "A request it depends on failed."}}
                answer: Json = {"id": identity, "status": 424, "headers": {}, "body": error}
            else:
                answer = self._batch_item(identity, item, request, version)
            if answer["status"] >= 400:
                failed.add(identity)
            answers.append(answer)
        # The order of the answers is nobody's promise: turn it round, so that nobody relies on it
        return ok({"responses": answers[::-1]})

    def _batch_item(self, identity: str, item: Json, envelope: Request, version: str) -> Json:
        path, _, query = str(item.get("url", "")).partition("?")
        headers = {str(name).lower(): str(value) for name, value in (item.get("headers") or {}).items()}
        headers["authorization"] = envelope.headers.get("authorization", "")
        headers["host"] = envelope.headers.get("host", "")
        body = encode(item["body"]) if "body" in item else b""
        inner = Request(str(item.get("method", "GET")), f"/{version}/{path.lstrip('/')}", query, headers, body)
        response = self._faults.answer("graph", self.tenant_of(inner), inner, self.respond)
        answer: Json = {"id": identity, "status": response.status, "headers": response.headers}
        if response.body:
            is_json = response.headers.get("Content-Type", "").startswith("application/json")
            answer["body"] = json.loads(response.body) if is_json else base64.b64encode(response.body).decode()
        return answer


def _batch_items(request: Request) -> list[Json]:
    """The items of a batch, checked."""
    body: Any = read_json(request.body)
    items = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Refusal(400, "BadRequest", "Invalid batch payload format.")
    if len(items) > BATCH_LIMIT:
        text = f"Number of batch request steps exceeds the maximum value of {BATCH_LIMIT}."
        raise Refusal(400, "MaximumValueExceeded", text)
    identities = [str(item.get("id", "")).lower() for item in items]
    if "" in identities or len(set(identities)) != len(identities):
        raise Refusal(400, "BadRequest", "Request Id is missing or has to be unique in a batch.")
    return items


def resource_units(request: Request) -> int:
    """What a call costs in the throttling currency of the directory."""
    path = request.raw_path.rsplit("/", 1)[-1]
    cost = {"users": 2, "subscribedSkus": 3, "contracts": 3, "licenseDetails": 2}.get(path, 1)
    query = request.query
    cost -= "$select" in query
    cost -= query.get("$top", "").isdecimal() and int(query["$top"]) < 20
    cost += "$expand" in query
    return max(1, cost)
