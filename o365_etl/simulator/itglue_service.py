"""The IT Glue API: keys, rate limit, paging, filters, includes.

What lives here: the protocol of reading. Writing is in `itglue_writes`, the records are in `itglue_records`, their
looks in `itglue_objects`.
"""

from __future__ import annotations

import datetime as dt
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
from o365_etl.simulator.itglue_body import MEDIA_TYPE
from o365_etl.simulator.itglue_errors import ApiError, GatewayError
from o365_etl.simulator.itglue_model import SimContact
from o365_etl.simulator.itglue_objects import Json
from o365_etl.simulator.itglue_records import Record, View
from o365_etl.simulator.itglue_writes import Target, Writes
from o365_etl.simulator.transport import Request, Response

DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
encode = msgspec.json.Encoder().encode
_PATH = re.compile(r"/([a-z_]+)(?:/(\d+)(?:/relationships/([a-z_]+)(?:/(\d+))?)?)?")
# What a parent lists; an organization takes flexible assets but does not list them
_RELATIONSHIPS = {"organizations": ("contacts", "locations"), "flexible_asset_types": ("flexible_asset_fields",)}
_INCLUDES = ("adapters_resources", "flexible_asset_fields")
# What may be sorted by, where the API says so
_SORTS = {
    "organizations": (
        *("name", "id", "updated_at", "organization_status_name", "organization_type_name", "created_at"),
        *("short_name", "my_glue_account_id"),
    ),
    "contacts": ("first_name", "last_name", "id", "created_at", "updated_at"),
}
_OPTION = re.compile(r"(filter|page)\[([\w-]+)\]")


@dataclass(frozen=True)
class ItGlueBehaviour:
    """How the account behaves. `rate_limit` is (requests, seconds), None for no limit; pages larger than
    `timeout_above` time out with `timeout_status`. `read_only` refuses every write, without `bulk` lists are refused.
    """

    rate_limit: tuple[int, float] | None = (3000, 300.0)
    timeout_above: int | None = None
    timeout_status: int = 504
    read_only: bool = False
    bulk: bool = True


class ItGlueService:
    """Answers the IT Glue API for one key."""

    def __init__(self, estate: Estate, api_key: str, behaviour: ItGlueBehaviour, base_url: str) -> None:
        self._estate = estate
        self._key = api_key
        self._behaviour = behaviour
        self._base = base_url
        self._writes = Writes(estate, bulk=behaviour.bulk)
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
            return Response(error.status, encode({"errors": error.errors}), {"Content-Type": MEDIA_TYPE})
        except GatewayError as error:
            return _message(error.status, error.message)

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
        target = _target(*match.groups())
        if request.method != "GET":
            if self._behaviour.read_only:
                raise GatewayError(403, "The API key has no permission to write.")
            return self._writes.respond(request, target)
        if target.parent is not None and target.kind not in _RELATIONSHIPS.get(target.parent, ()):
            raise ApiError(404, "Not Found", "There is no such endpoint.")
        forced: Json = {}
        if target.parent is not None:
            name = "flexible_asset_type_id" if target.parent == "flexible_asset_types" else "organization_id"
            forced = {name: str(target.parent_id)}
        with self._estate.itglue_lock:
            if target.identity is not None:
                return self._show(request, target.kind, target.identity, forced)
            return self._index(request, target.kind, forced)

    def _show(self, request: Request, name: str, identity: int, forced: Json) -> Response:
        record = View(self._estate).find(name, identity)
        if record is None or not _fits(record, forced):
            raise ApiError(404, "Not Found", "The requested record could not be found.")
        row, included = _row(record, _includes(request))
        body: Json = {"data": row}
        if included:
            body["included"] = included
        return _ok(encode(body))

    def _index(self, request: Request, name: str, forced: Json) -> Response:
        filters, number, size = _options(request)
        filters |= forced
        if self._behaviour.timeout_above is not None and size > self._behaviour.timeout_above:
            detail = "The request took too long to process and timed out."
            raise ApiError(self._behaviour.timeout_status, "Timeout", detail)
        if name == "flexible_assets" and "flexible_asset_type_id" not in filters:
            raise ApiError(422, "Missing filter", "filter[flexible_asset_type_id] is required.")
        wants = _includes(request)
        view = View(self._estate)
        start = (number - 1) * size
        included: list[Json] = []
        organization = filters.get("organization_id", "")
        organization_id = int(organization) if organization.isdecimal() else None
        book = self._estate.sized_contacts
        order = ",".join(_sort_keys(request, name))
        if book is not None and name == "contacts" and _is_quick(order, filters):
            wanted = organization_id if organization_id is not None or not filters else -1

            def render(contact: SimContact) -> bytes:
                row, others = _row(view.one(contact), wants)
                included.extend(others)
                return encode(row)

            with_adapters = "adapters_resources" in wants
            if order == "-updated_at":
                body = book.cut_newest(start, size, with_adapters, render)
            else:
                body = book.cut(wanted, start, size, with_adapters, render)
            return _ok(_page(self._base, request, book.count(wanted), number, size, body, included if wants else None))
        identities = None
        if "id" in filters:
            identities = [int(part) for part in filters["id"].split(",") if part.strip().isdecimal()]
        known = view.all(name, organization_id, identities)
        if known is None:
            raise ApiError(404, "Not Found", "There is no such endpoint.")
        found = _sorted(_sort_keys(request, name), [record for record in known if _fits(record, filters)])
        rows = []
        for record in found[start : start + size]:
            row, others = _row(record, wants)
            included += others
            rows.append(encode(row))
        return _ok(_page(self._base, request, len(found), number, size, b",".join(rows), included if wants else None))


def _target(name: str, identity: str | None, relation: str | None, relation_id: str | None) -> Target:
    """What the parts of a path point at."""
    if relation is None:
        return Target(name, int(identity) if identity else None)
    return Target(relation, int(relation_id) if relation_id else None, name, int(identity or 0))


def _row(record: Record, wants: Iterable[str]) -> tuple[Json, list[Json]]:
    """A rendered record, linked to its included rows, and these rows."""
    rows = {name: record.related[name]() for name in wants if name in record.related}
    links = {name.replace("_", "-"): included for name, included in rows.items()}
    row = objects.related(record.kind, record.identity, record.attributes(), links)
    return row, [each for included in rows.values() for each in included]


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


def _includes(request: Request) -> list[str]:
    """The includes that were asked for and that the simulator has."""
    asked = request.query.get("include", "").replace("-", "_").split(",")
    return [name for name in _INCLUDES if name in asked]


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


def _is_quick(order: str, filters: Json) -> bool:
    """True if a sized estate can answer without an object for each contact; unsorted, it goes by id."""
    return (order in ("", "id") and set(filters) <= {"organization_id"}) or (order == "-updated_at" and not filters)


def _sort_keys(request: Request, name: str) -> list[str]:
    """What `sort` asks for, in snake case, a hyphen before what descends."""
    keys = []
    for part in filter(None, (part.strip() for part in request.query.get("sort", "").split(","))):
        key = part[0] + part[1:].replace("-", "_")
        if name in _SORTS and key.lstrip("-") not in _SORTS[name]:
            raise ApiError(400, "Invalid sort criteria", f"{key.lstrip('-')} is not a valid sort criteria.")
        keys.append(key)
    return keys


def _sorted(keys: list[str], found: list[Record]) -> list[Record]:
    """By these keys. Without one the order is that of the last change: it shifts while one pages, as in real life."""
    for key in reversed(keys or ["-updated_at"]):
        name = key.removeprefix("-")
        if keys and found and name not in found[0].sees:
            raise ApiError(400, "Invalid sort criteria", f"{name} is not a valid sort criteria.")
        found = sorted(found, key=lambda record: _sort_key(record.sees.get(name)), reverse=key.startswith("-"))
    return found


def _sort_key(value: object) -> tuple[bool, float, str]:
    if isinstance(value, dt.datetime):
        return True, value.timestamp(), ""
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
