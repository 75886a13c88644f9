"""The IT Glue API: keys, rate limit, paging, filters, includes. Reading only; a write answers 405.

What lives here: the protocol. The records are in `itglue_records`, their looks in `itglue_objects`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from o365_etl.simulator import itglue_objects as objects
from o365_etl.simulator.estate import Estate
from o365_etl.simulator.graph_objects import Json
from o365_etl.simulator.itglue_records import Record, records
from o365_etl.simulator.transport import Request, Response

MEDIA_TYPE = "application/vnd.api+json"
DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
encode = msgspec.json.Encoder().encode
_PATH = re.compile(r"/([a-z_]+)(?:/(\d+))?(?:/relationships/([a-z_]+))?")
_OPTION = re.compile(r"(filter|page)\[([\w-]+)\]")


@dataclass(frozen=True)
class ItGlueBehaviour:
    """How the account behaves. `rate_limit` is (requests, seconds), None for no limit; pages larger than
    `timeout_above` time out with `timeout_status`."""

    rate_limit: tuple[int, float] | None = (3000, 300.0)
    timeout_above: int | None = None
    timeout_status: int = 504


class ApiError(Exception):
    """IT Glue answers with a JSON:API error."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


class ItGlueService:
    """Answers the IT Glue API for one key."""

    def __init__(self, estate: Estate, api_key: str, behaviour: ItGlueBehaviour, base_url: str) -> None:
        self._estate = estate
        self._key = api_key
        self._behaviour = behaviour
        self._base = base_url
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        key = request.headers.get("x-api-key")
        if key != self._key:
            text = "Missing API key." if key is None else "Forbidden"
            return _message(401 if key is None else 403, text)
        if not self._admit():
            return _message(429, "Rate limit exceeded.")
        try:
            return self._route(request)
        except ApiError as error:
            entry = {"status": error.status, "title": error.title, "detail": error.detail}
            return Response(error.status, encode({"errors": [entry]}), {"Content-Type": MEDIA_TYPE})

    def _admit(self) -> bool:
        """Count the request in the sliding window; False if the window is full."""
        if self._behaviour.rate_limit is None:
            return True
        most, seconds = self._behaviour.rate_limit
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] < now - seconds:
                self._recent.popleft()
            if len(self._recent) >= most:
                return False
            self._recent.append(now)
            return True

    def _route(self, request: Request) -> Response:
        match = _PATH.fullmatch(request.path.rstrip("/") or "/")
        if match is None:
            raise ApiError(404, "Not Found", "There is no such endpoint.")
        name, identity, relation = match.groups()
        if request.method != "GET":
            raise ApiError(405, "Method Not Allowed", "The method is not allowed here.")
        if relation is not None:
            forced = {"flexible_asset_type_id" if name == "flexible_asset_types" else "organization_id": identity}
            return self._index(request, relation, forced)
        if identity is not None:
            return self._show(request, name, int(identity))
        return self._index(request, name, {})

    def _show(self, request: Request, name: str, identity: int) -> Response:
        for record in self._records(name):
            if record.identity == identity:
                included = objects.adapter_rows(identity, record.adapters) if _wants_adapters(request) else None
                body: Json = {"data": objects.resource(record.kind, identity, record.attributes(), included)}
                if included:
                    body["included"] = included
                return _ok(encode(body))
        raise ApiError(404, "Not Found", "The requested record could not be found.")

    def _index(self, request: Request, name: str, forced: Json) -> Response:
        filters, number, size = _options(request)
        filters |= forced
        if self._behaviour.timeout_above is not None and size > self._behaviour.timeout_above:
            detail = "The request took too long to process and timed out."
            raise ApiError(self._behaviour.timeout_status, "Timeout", detail)
        if name == "flexible_assets" and "flexible_asset_type_id" not in filters:
            raise ApiError(422, "Missing filter", "filter[flexible_asset_type_id] is required.")
        wants = _wants_adapters(request)
        start = (number - 1) * size
        book = self._estate.sized_contacts
        if book is not None and name == "contacts" and set(filters) <= {"organization_id"}:
            wanted = filters.get("organization_id", "")
            organization = int(wanted) if wanted.isdecimal() else None if not filters else -1
            total, body = book.count(organization), book.cut(organization, start, size, wants)
            return _ok(_page(self._base, request, total, number, size, body, [] if wants else None))
        found = _sorted(request, [record for record in self._records(name) if _fits(record, filters)])
        included: list[Json] = []
        rows = []
        for record in found[start : start + size]:
            adapters = objects.adapter_rows(record.identity, record.adapters) if wants else None
            included += adapters or []
            rows.append(encode(objects.resource(record.kind, record.identity, record.attributes(), adapters)))
        body = b",".join(rows)
        return _ok(_page(self._base, request, len(found), number, size, body, included if wants else None))

    def _records(self, name: str) -> Iterable[Record]:
        found = records(self._estate, name)
        if found is None:
            raise ApiError(404, "Not Found", "There is no such endpoint.")
        return found


def _options(request: Request) -> tuple[Json, int, int]:
    """Filters by snake_case name, page number and page size."""
    filters: Json = {}
    number, size = 1, DEFAULT_PAGE
    for name, value in request.query.items():
        match = _OPTION.fullmatch(name)
        if match is None:
            continue
        if match[1] == "filter":
            filters[match[2].replace("-", "_")] = value
        elif not value.isdecimal():
            raise ApiError(400, "Invalid page value", f"{value} is not a valid value for page {match[2]}.")
        elif match[2] == "number":
            number = max(1, int(value))  # page 0 is page 1, as public scripts found out
        elif match[2] == "size":
            size = int(value)
    if not 1 <= size <= LARGEST_PAGE:
        raise ApiError(400, "Invalid page value", f"{size} is not a valid value for page size.")
    return filters, number, size


def _wants_adapters(request: Request) -> bool:
    return "adapters_resources" in request.query.get("include", "").replace("-", "_").split(",")


def _fits(record: Record, filters: Json) -> bool:
    """True if the record passes all filters; a filter may hold a comma list, a date filter a range."""
    for name, wanted in filters.items():
        if name not in record.sees:
            raise ApiError(400, "Filter not allowed", f"{name} is not allowed.")
        value = record.sees[name]
        if name.endswith("_at"):
            first, _, last = str(wanted).partition(",")
            stamp = objects.moment(value)
            if not (first in ("", "*") or stamp >= first) or not (last in ("", "*") or stamp <= last):
                return False
        else:
            text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
            if text not in [part.strip() for part in str(wanted).split(",")]:
                return False
    return True


def _sorted(request: Request, found: list[Record]) -> list[Record]:
    """By `sort`. Without one the order is that of the last change: it shifts while one pages, as in real life."""
    keys = [key for key in request.query.get("sort", "").replace("-", "_").split(",") if key]
    if not keys:
        return sorted(found, key=lambda record: str(record.sees.get("updated_at", "")), reverse=True)
    for key in reversed(keys):
        name = key.lstrip("_")
        if found and name not in found[0].sees:
            raise ApiError(400, "Invalid sort criteria", f"{name} is not a valid sort criteria.")
        found = sorted(found, key=lambda record: _sort_key(record.sees[name]), reverse=key.startswith("_"))
    return found


def _sort_key(value: object) -> tuple[bool, int, str]:
    number = value if isinstance(value, int) else 0
    return value is not None, number, "" if isinstance(value, int) else str(value)


def _page(
    base: str, request: Request, total: int, number: int, size: int, rows: bytes, included: list[Json] | None = None
) -> bytes:
    """One page with its `meta` and `links`."""
    pages = max(1, -(-total // size))
    following = number + 1 if number < pages else None
    previous = number - 1 if number > 1 else None
    meta: Json = {
        "current-page": number,
        "next-page": following,
        "prev-page": previous,
        "total-pages": pages,
        "total-count": total,
        "filters": {},
    }
    links = {
        "self": _link(base, request, number, size),
        "first": _link(base, request, 1, size),
        "prev": _link(base, request, previous, size),
        "next": _link(base, request, following, size),
        "last": _link(base, request, pages, size),
    }
    parts = [b'{"data":[', rows, b'],"meta":', encode(meta), b',"links":', encode(links)]
    if included is not None:
        parts += [b',"included":', encode(included)]
    return b"".join([*parts, b"}"])


def _link(base: str, request: Request, number: int | None, size: int) -> str | None:
    if number is None:
        return None
    options = {name: value for name, value in request.query.items() if not name.startswith("page[")}
    options |= {"page[number]": str(number), "page[size]": str(size)}
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in options.items())
    return f"{base}{request.raw_path}?{query}"


def _ok(body: bytes) -> Response:
    return Response(200, body, {"Content-Type": MEDIA_TYPE, "Cache-Control": "max-age=0, private, must-revalidate"})


def _message(status: int, text: str) -> Response:
    return Response(status, encode({"message": text}), {"Content-Type": "application/json"})
