"""IT Glue's POST, PATCH and DELETE: which endpoint takes what, and that a request is done whole or not at all.

What a record may hold is the business of the writers: `itglue_people`, `itglue_places`, `itglue_assets`,
`itglue_asset_types`.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from o365_etl.simulator import itglue_objects as objects
from o365_etl.simulator.estate import Estate
from o365_etl.simulator.itglue_asset_types import FieldWriter, TypeWriter
from o365_etl.simulator.itglue_assets import AssetWriter
from o365_etl.simulator.itglue_body import MEDIA_TYPE, Body, number, read_body
from o365_etl.simulator.itglue_errors import ApiError, Problems
from o365_etl.simulator.itglue_model import SimRecord
from o365_etl.simulator.itglue_people import ContactWriter
from o365_etl.simulator.itglue_places import LocationWriter, OrganizationWriter
from o365_etl.simulator.itglue_records import View
from o365_etl.simulator.itglue_writer import Writer
from o365_etl.simulator.transport import Request, Response

encode = msgspec.json.Encoder().encode
_WRITERS: Mapping[str, Callable[[Estate, View], Writer[Any]]] = {
    "contacts": ContactWriter,
    "organizations": OrganizationWriter,
    "locations": LocationWriter,
    "flexible_asset_types": TypeWriter,
    "flexible_asset_fields": FieldWriter,
    "flexible_assets": AssetWriter,
}
# Where a list of records is taken; `parent/kind` is the relationship of a parent
_BULK_POST = frozenset(
    {
        "contacts",
        "locations",
        "organizations/contacts",
        "organizations/locations",
        "organizations/flexible_assets",
        "flexible_asset_types/flexible_asset_fields",
    }
)
_POST = _BULK_POST | {"organizations", "flexible_asset_types", "flexible_assets", "flexible_asset_fields"}
_BULK_PATCH = frozenset({"contacts", "organizations", "locations", "flexible_assets", "flexible_asset_fields"})
_PATCH = _BULK_PATCH | {
    "flexible_asset_types",
    "organizations/contacts",
    "organizations/locations",
    "flexible_asset_types/flexible_asset_fields",
}
_DELETE = frozenset({"contacts", "organizations"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at: `/contacts/1`, or `/organizations/1/relationships/contacts/2`."""

    kind: str
    identity: int | None = None
    parent: str | None = None
    parent_id: int | None = None

    @property
    def endpoint(self) -> str:
        """The kind, with the parent before it if there is one."""
        return self.kind if self.parent is None else f"{self.parent}/{self.kind}"


class Writes:
    """Carries out the writing requests of one account; `bulk` says whether it takes lists."""

    def __init__(self, estate: Estate, *, bulk: bool) -> None:
        self._estate = estate
        self._bulk = bulk

    def respond(self, request: Request, target: Target) -> Response:
        """Answer one writing request. Raises `ApiError` or `GatewayError`, and then nothing was changed."""
        with self._estate.itglue_lock:
            if request.method == "POST" and target.identity is None and target.endpoint in _POST:
                body = self._read(request, target, _BULK_POST)
                return _answer(201, body.is_list, self._render(self._create(body, target)))
            if request.method == "PATCH" and target.endpoint in (_PATCH if target.identity else _BULK_PATCH):
                body = self._read(request, target, frozenset() if target.identity else _BULK_PATCH)
                return _answer(200, body.is_list, self._render(self._change(body, target)))
            if request.method == "DELETE" and target.identity is None and target.endpoint in _DELETE:
                return self._delete(request, target)
        raise ApiError(405, "Method Not Allowed", "The method is not allowed here.")

    def _read(self, request: Request, target: Target, takes_lists: frozenset[str]) -> Body:
        if target.parent is not None and View(self._estate).find(target.parent, target.parent_id or 0) is None:
            raise ApiError(404, "Not Found", "The requested record could not be found.")
        body = read_body(request, target.kind)
        if body.is_list and not (self._bulk and target.endpoint in takes_lists):
            raise ApiError(400, "Bulk requests are not allowed", "A list of records is not accepted here.", "/data")
        return body

    def _create(self, body: Body, target: Target) -> list[SimRecord]:
        writer = self._writer(target.kind)
        problems = Problems()
        drafts = [writer.make(item, target.parent_id, problems) for item in body.items]
        writer.judge(drafts, problems)
        problems.check()
        now = dt.datetime.now(dt.UTC)
        for draft in drafts:
            draft.created_at = draft.updated_at = now
            writer.add(draft)
        return drafts

    def _change(self, body: Body, target: Target) -> list[SimRecord]:
        writer = self._writer(target.kind)
        problems = Problems()
        drafts: dict[int, SimRecord] = {}  # by the identity of the object: a list may name a record twice
        written = []
        for item in body.items:
            identity = target.identity or item.identity or 0
            record = writer.find(identity)
            if record is None or not _belongs(record, target):
                if not body.is_list:
                    raise ApiError(404, "Not Found", "The requested record could not be found.")
                problems.add("id", "must exist")
                continue
            draft = drafts.setdefault(id(record), copy.copy(record))
            writer.fill(draft, item, problems)
            written.append(record)
        writer.judge(list(drafts.values()), problems)
        problems.check()
        now = dt.datetime.now(dt.UTC)
        for record in written:
            draft = drafts.pop(id(record), record)
            if draft != record:
                draft.updated_at = now
                writer.replace(record, draft)
        return written

    def _delete(self, request: Request, target: Target) -> Response:
        """Delete contacts or organizations, named in the body or by `filter[id]`."""
        wanted = request.query.get("filter[id]")
        if wanted is not None:
            identities = [number(part.strip()) for part in wanted.split(",")]
        else:
            body = read_body(request, target.kind)
            if body.is_list and not self._bulk:
                raise ApiError(400, "Bulk requests are not allowed", "A list of records is not accepted here.")
            identities = [item.identity for item in body.items]
        view = View(self._estate)
        found = [view.find(target.kind, identity or 0) for identity in dict.fromkeys(identities)]
        rows = [objects.resource(each.kind, each.identity, each.attributes()) for each in found if each is not None]
        if len(rows) < len(found):
            raise ApiError(404, "Not Found", "The requested record could not be found.")
        remove = self._estate.remove_contact if target.kind == "contacts" else self._estate.remove_organization
        for row in rows:
            remove(row["id"])
        return _answer(200, True, rows)

    def _writer(self, kind: str) -> Writer[Any]:
        return _WRITERS[kind](self._estate, View(self._estate))

    def _render(self, written: Iterable[SimRecord]) -> list[objects.Json]:
        """The records as they are now."""
        view = View(self._estate)
        records = map(view.one, written)
        return [objects.resource(each.kind, each.identity, each.attributes()) for each in records]


def _belongs(record: SimRecord, target: Target) -> bool:
    """True unless the path names another parent."""
    name = "type_id" if target.parent == "flexible_asset_types" else "organization_id"
    return target.parent is None or getattr(record, name) == target.parent_id


def _answer(status: int, is_list: bool, rows: list[objects.Json]) -> Response:
    return Response(status, encode({"data": rows if is_list else rows[0]}), {"Content-Type": MEDIA_TYPE})
