"""One call to Graph: who asks for what, how it is refused, selected and paged.

What lives here: what all Graph routes share. The routes themselves are in `graph_directory`, `graph_users` and
`graph_reports`; sign-in checks, dispatch and batches in `graph_service`.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec

from o365_etl.simulator.estate import Estate
from o365_etl.simulator.graph_objects import Json
from o365_etl.simulator.model import SimTenant
from o365_etl.simulator.transport import Request, Response

JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_TOKEN_START = "RFNwdAoAAQ"  # real tokens begin so; what follows is nobody's business
encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """Graph answers with an error; carries what goes into it."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


@dataclass(slots=True)
class Call:
    """One authorised call. `path` is without the version, `base` the own origin without a slash."""

    request: Request
    estate: Estate
    tenant: SimTenant
    roles: frozenset[str]
    client_id: str
    base: str
    version: str
    path: str
    report_link: Callable[[str, str], str]

    @property
    def query(self) -> dict[str, str]:
        """The query options."""
        return self.request.query

    @property
    def metadata(self) -> str:
        """The start of every `@odata.context`."""
        return f"{self.base}/{self.version}/$metadata#"

    @property
    def is_eventual(self) -> bool:
        """True if the caller sent `ConsistencyLevel: eventual`."""
        return self.request.headers.get("consistencylevel", "").lower() == "eventual"

    def allow(self, *options: str) -> None:
        """Refuse every query option that this resource does not take."""
        for name in self.query:
            is_token = name == "$skiptoken" and "$top" in options
            if name.startswith("$") and name not in options and not is_token:
                if name == "$skip":
                    raise Refusal(400, "Request_UnsupportedQuery", "'$skip' is not supported by the service.")
                raise Refusal(400, "BadRequest", f"The query option '{name}' is not supported by this resource.")

    def need(self, *roles: str) -> None:
        """Refuse unless one of the application roles was granted."""
        if self.roles.isdisjoint(roles):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def ok(body: object) -> Response:
    """A JSON answer."""
    return Response(200, body if isinstance(body, bytes) else encode(body), {"Content-Type": JSON_TYPE}, chunked=True)


def refuse(refusal: Refusal, request: Request, request_id: str) -> Response:
    """The error answer of a refusal."""
    inner = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
    }
    body = {"error": {"code": refusal.code, "message": refusal.message, "innerError": inner}}
    return Response(refusal.status, encode(body), {"Content-Type": "application/json", **refusal.headers}, chunked=True)


def selected(call: Call, known: Iterable[str], kind: str) -> tuple[str, ...] | None:
    """The properties that `$select` names, None without one. An unknown property is refused."""
    text = call.query.get("$select")
    if text is None:
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise Refusal(
                400, "BadRequest", f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'."
            )
    return names


def collection(
    call: Call,
    items: Sequence[Json],
    kind: str,
    context: str,
    *,
    default: int | None = None,
    maximum: int = 999,
    metadata: str | None = None,
) -> Response:
    """A collection of ready objects: `$select`, and pages if `default` is a page size."""
    names = selected(call, items[0] if items else (call.query.get("$select") or "").split(","), kind)
    if names is not None:
        items = [{name: item[name] for name in names} | _annotations(item) for item in items]
        context = f"{context}({','.join(names)})"
    head = f"{metadata or call.metadata}{context}"
    if default is None:
        return ok({"@odata.context": head, "value": list(items)})
    rows = [encode(item) for item in items]
    size = page_size(call, default, maximum)
    return page(call, head, len(rows), lambda start, stop: b",".join(rows[start:stop]), size)


def _annotations(item: Json) -> Json:
    return {name: value for name, value in item.items() if name.startswith("@")}


def page_size(call: Call, default: int, maximum: int) -> int:
    """`$top`, checked."""
    text = call.query.get("$top")
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= maximum:
        raise Refusal(
            400,
            "Request_UnsupportedQuery",
            f"Invalid page size specified: '{text}'. Must be between 1 and {maximum} inclusive.",
        )
    return int(text)


def page(
    call: Call, context: str, count: int, cut: Callable[[int, int], bytes], size: int, *, total: int | None = None
) -> Response:
    """One page of `count` rows that `cut` knows to render.

    A tenant with odd paging gets a short first page, then an empty one, then ordinary ones: all legal.
    """
    start, turn = _read_token(call.query.get("$skiptoken"))
    if call.tenant.odd_paging and count > 1:
        if turn == 0:
            size = max(1, min(size, count) * 2 // 3)
        elif turn == 1:
            size = 0
    stop = min(count, start + size)
    parts = [b'{"@odata.context":', encode(context)]
    if total is not None and turn == 0:
        parts += [b',"@odata.count":', encode(total)]
    if stop < count:
        parts += [b',"@odata.nextLink":', encode(_next_link(call, stop, turn + 1))]
    parts += [b',"value":[', cut(start, stop), b"]}"]
    return ok(b"".join(parts))


def _next_link(call: Call, start: int, turn: int) -> str:
    """The own address with all its options as they came, and a new token."""
    options = [
        option
        for option in call.request.raw_query.split("&")
        if option and not option.lower().startswith(("$skiptoken=", "%24skiptoken="))
    ]
    state = base64.urlsafe_b64encode(json.dumps([start, turn, uuid4().hex[:8]]).encode()).decode()
    return f"{call.base}{call.request.raw_path}?{'&'.join([*options, f'$skiptoken={_TOKEN_START}{state}'])}"


def _read_token(token: str | None) -> tuple[int, int]:
    if token is None:
        return 0, 0
    try:
        start, turn, _ = json.loads(base64.urlsafe_b64decode(token.removeprefix(_TOKEN_START)))
        return int(start), int(turn)
    except (ValueError, TypeError, binascii.Error) as error:
        raise Refusal(400, "Directory_ExpiredPageToken", "The specified page token value is invalid.") from error


def read_json(body: bytes) -> Any:
    """The parsed body of a request; refuses what is no JSON."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refusal(400, "BadRequest", "Unable to read JSON request payload.") from error
