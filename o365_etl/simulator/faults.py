"""The fault plan: which call of which tenant goes wrong, and how. Deterministic, counted per fault and tenant.

    FaultPlan([Fault("graph", "throttle", path=r"/users", calls=(1, 2), retry_after="0.249")])

What lives here: when a fault strikes and what it does to an answer. How damage looks on the wire is in `transport`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal, NoReturn
from urllib.parse import unquote

from o365_etl.simulator.transport import Request, Response

Service = Literal["graph", "login", "itglue", "report", "download"]
Kind = Literal[
    "throttle",  # 429 with `retry_after`: "1", "0.249", None for none, "date+2" for the HTTP-date two seconds from now
    "status",  # `status` with the body that goes with it: 502 is HTML, 504 is empty
    "reset",  # RST in the middle of the body
    "lost_answer",  # the request is carried out, then the connection ends without an answer
    "truncated",  # a Content-Length larger than what is sent, then the end
    "html_200",  # 200 with a web page
    "slow",  # the right answer after `seconds`
    "expired_page_token",  # 400 Directory_ExpiredPageToken
    "unauthorized_once",  # 401 on the first call that fits
    "loop",  # the nextLink leads to the page it stands on
    "foreign_host",  # the nextLink leads to another host
    "zero_users",  # an empty value and no nextLink
    "wrong_tenant",  # the answer names another tenant
]
WRONG_TENANT_ID = "0badc0de-0000-4000-8000-000000000000"
FOREIGN_HOST = "https://graph.elsewhere.example"
_HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `path` is a regular expression searched in the decoded `path?query`. `calls` are the ordinal numbers of the calls
    that fail, from 1; `every` makes each n-th call fail; with neither, every call fails. `tenant_id` None: any tenant,
    each with its own count. `method` None: any method.
    """

    service: Service
    kind: Kind
    tenant_id: str | None = None
    path: str = ""
    calls: tuple[int, ...] = ()
    every: int | None = None
    retry_after: str | None = None
    status: int = 500
    seconds: float = 0.0
    method: str | None = None

    def strikes(self, call: int) -> bool:
        """True if call number `call` (from 1) fails."""
        if self.calls:
            return call in self.calls
        if self.every is not None:
            return call % self.every == 0
        return call == 1 or self.kind != "unauthorized_once"


class _Unsent(dict[str, str]):
    """The headers of an answer that never leaves: whoever writes them finds the connection broken."""

    def items(self) -> NoReturn:
        """Raise `ConnectionResetError`, which ends the connection, as if the peer had gone away."""
        raise ConnectionResetError("the answer is lost")


class FaultPlan:
    """The faults of one simulator, in order: the first that strikes wins."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = [(fault, re.compile(fault.path)) for fault in faults]
        self._calls: dict[tuple[int, str], int] = {}
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """One more fault, also while the simulator runs."""
        with self._lock:
            self._faults.append((fault, re.compile(fault.path)))

    def clear(self) -> None:
        """No more faults; counting starts anew."""
        with self._lock:
            self._faults.clear()
            self._calls.clear()

    def strike(self, service: Service, tenant_id: str | None, request: Request) -> Fault | None:
        """Count this call and return the fault that strikes it, if one does."""
        if not self._faults:
            return None
        target = unquote(f"{request.raw_path}?{request.raw_query}")
        struck = None
        with self._lock:
            for number, (fault, pattern) in enumerate(self._faults):
                if fault.service != service or fault.tenant_id not in (None, tenant_id):
                    continue
                if fault.method not in (None, request.method) or not pattern.search(target):
                    continue
                key = (number, tenant_id or "")
                self._calls[key] = self._calls.get(key, 0) + 1
                if struck is None and fault.strikes(self._calls[key]):
                    struck = fault
        return struck

    def answer(
        self, service: Service, tenant_id: str | None, request: Request, respond: Callable[[Request], Response]
    ) -> Response:
        """The answer of `respond`, unless a fault strikes this call."""
        fault = self.strike(service, tenant_id, request)
        if fault is None:
            return respond(request)
        instead = _instead(fault)
        return instead if instead is not None else _spoil(fault, request, respond(request))


def _instead(fault: Fault) -> Response | None:
    """The answer of a fault that does not ask the service at all, else None."""
    if fault.kind == "throttle":
        return _throttled(fault)
    if fault.kind == "status":
        return _failed(fault.status)
    if fault.kind == "html_200":
        return Response(200, _HTML, {"Content-Type": "text/html"})
    if fault.kind == "expired_page_token":
        return _error(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
    if fault.kind == "unauthorized_once":
        response = _error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
        response.headers["WWW-Authenticate"] = 'Bearer realm="", error="invalid_token"'
        return response
    return None


def _spoil(fault: Fault, request: Request, response: Response) -> Response:
    """What a fault makes of the right answer."""
    if fault.kind == "slow":
        time.sleep(fault.seconds)
        return response
    if fault.kind == "lost_answer":
        response.headers = _Unsent(response.headers)
        return response
    if fault.kind in ("reset", "truncated"):
        response.damage = "reset" if fault.kind == "reset" else "truncated"
        return response
    if response.status != 200:
        return response
    answer = json.loads(response.body)
    if fault.kind == "zero_users":
        answer.pop("@odata.nextLink", None)
        answer["value"] = []
    elif fault.kind == "wrong_tenant":
        for row in answer["value"]:
            row["id"] = WRONG_TENANT_ID
    else:
        host = FOREIGN_HOST if fault.kind == "foreign_host" else f"https://{request.headers.get('host', '')}"
        query = f"?{request.raw_query}" if request.raw_query else ""
        answer["@odata.nextLink"] = f"{host}{request.raw_path}{query}"
    response.body = json.dumps(answer, ensure_ascii=False).encode()
    return response


def _throttled(fault: Fault) -> Response:
    response = _error(429, "TooManyRequests", "Please retry again later.")
    if fault.retry_after is not None:
        kind, plus, seconds = fault.retry_after.partition("+")
        is_date = kind == "date" and plus
        response.headers["Retry-After"] = (
            formatdate(time.time() + float(seconds), usegmt=True) if is_date else fault.retry_after
        )
    response.headers["x-ms-throttle-information"] = "ResourceUnitLimitExceeded"
    return response


def _failed(status: int) -> Response:
    if status == 502:
        return Response(502, _HTML, {"Content-Type": "text/html"})
    if status == 504:
        return Response(504)
    code = {503: "serviceNotAvailable", 500: "InternalServerError"}.get(status, "UnknownError")
    return _error(status, code, "The service could not answer.")


def _error(status: int, code: str, message: str) -> Response:
    # A body that Graph, the sign-in service and IT Glue readers all have to survive
    body = {"error": {"code": code, "message": message, "innerError": {"date": time.strftime("%Y-%m-%dT%H:%M:%S")}}}
    return Response(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
