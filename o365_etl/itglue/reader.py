"""Crawls what the job needs from IT Glue into the landing zone, each stream with its receipt.

    organizations    with the integrations that own them
    contacts         likewise; e-mails and phones stand in the record
    locations        of the organizations
    asset_types      the flexible asset types of the account
    license_assets   the license assets this program keeps; empty until it wrote the first
    user_assets      the user assets this program keeps; likewise
    contact_types    the contact types of the account
    countries        IT Glue's own, to which an address refers
    regions          likewise

All but the first two are optional: what the key may not read, or the server does not offer, degrades its stream alone.
What does not live here: what becomes of the records (`o365_etl.transform.itglue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import msgspec

from o365_etl.errors import (
    ForbiddenError,
    LocalError,
    NotFoundError,
    O365EtlError,
    TransientError,
    UnsupportedError,
)
from o365_etl.itglue import LICENSE_ASSET_TYPE, USER_ASSET_TYPE
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import INCOMPLETE, Crawl, Record
from o365_etl.receipts import Landing, Receipt, StreamState, StreamWriter

SOURCE = "itglue"
STREAMS = (
    "organizations",
    "contacts",
    "locations",
    "asset_types",
    "license_assets",
    "user_assets",
    "contact_types",
    "countries",
    "regions",
)

_NEEDED = ("organizations", "contacts")
_OWNED = ("organizations", "contacts")
_TYPE_OF = {"license_assets": LICENSE_ASSET_TYPE, "user_assets": USER_ASSET_TYPE}
_PATHS = {"asset_types": "/flexible_asset_types"}
_WITH_OWNERS = {"sort": "id", "include": "adapters_resources"}
_SORTED = {"sort": "id"}

_Endpoint = tuple[str, dict[str, str]]


def read_itglue(client: ItGlueClient, landing: Landing, read_id: str) -> list[Receipt]:
    """Read every stream and return its receipt, in the order of `STREAMS`.

    A stream that could not be read ends in a receipt `failed`, never in an exception; only the landing zone itself
    may raise (`LocalError`). Organizations come first: if they cannot be read, nothing else is asked, for then no
    other refusal can be believed.
    """
    first = _read_stream(client, landing, STREAMS[0], read_id)
    if not first.certified:
        return [first, *(_same_fate(landing, first, stream) for stream in STREAMS[1:])]

    def read_alone(*streams: str) -> list[Receipt]:
        return [_read_stream(client, landing, stream, read_id) for stream in streams]

    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="itglue") as pool:
        lanes = [
            pool.submit(read_alone, "contacts"),
            pool.submit(read_alone, "locations"),
            pool.submit(_read_assets, client, landing, read_id),
            pool.submit(read_alone, "contact_types", "countries", "regions"),
        ]
        receipts = {receipt.stream: receipt for lane in lanes for receipt in lane.result()}
    return [first, *(receipts[stream] for stream in STREAMS[1:])]


def _read_assets(client: ItGlueClient, landing: Landing, read_id: str) -> list[Receipt]:
    """The types, read once, and then the assets of those that are ours."""
    types = _read_stream(client, landing, "asset_types", read_id)
    if types.state != "ok":
        # Without the types it cannot be known which assets there are.
        return [types, *(_same_fate(landing, types, stream) for stream in _TYPE_OF)]
    return [types, *(_read_stream(client, landing, stream, read_id) for stream in _TYPE_OF)]


@dataclass
class _Tally:
    """What a stream has brought."""

    pages: int = 0
    rows: int = 0
    bytes: int = 0
    owners_unknown: bool = False


def _read_stream(client: ItGlueClient, landing: Landing, stream: str, read_id: str) -> Receipt:
    started, spent, writer = datetime.now(UTC), Spent(), landing.writer(SOURCE, stream, read_id)
    tally, outcome = _Tally(), _Outcome("ok")
    try:
        tally = _crawl(client, _endpoints(landing, stream), stream, writer, spent)
        if tally.owners_unknown:
            outcome = _Outcome("degraded", reason="owners_unknown")
    except LocalError:
        raise  # the disk refuses: there is nowhere to keep a receipt
    except O365EtlError as error:
        writer.restart()
        outcome = _outcome(stream, error)
    return writer.commit(
        Receipt(
            source=SOURCE,
            stream=stream,
            read_id=read_id,
            started_at=started,
            ended_at=datetime.now(UTC),
            pages=tally.pages,
            rows=tally.rows,
            bytes=tally.bytes,
            requests=spent.requests,
            waited_seconds=round(spent.waited_seconds, 3),
            **asdict(outcome),
        )
    )


@dataclass(frozen=True)
class _Outcome:
    """The fields of a receipt that say how it went."""

    state: StreamState
    reason: str | None = None
    error_code: str | None = None
    message: str | None = None
    remedy: str | None = None


def _outcome(stream: str, error: O365EtlError) -> _Outcome:
    """A failure; or, for an optional stream that is not to be had, a degraded one that says why."""
    refused = isinstance(error, ForbiddenError | NotFoundError | UnsupportedError)
    if stream not in _NEEDED and refused:
        reason = "forbidden" if isinstance(error, ForbiddenError) else "unsupported"
        return _Outcome("degraded", reason, error.code, error.message, _optional_remedy(stream))
    return _Outcome("failed", None, error.code, error.message, error.remedy)


def _optional_remedy(stream: str) -> str:
    what = _PATHS.get(stream, stream).strip("/").replace("_", " ")
    return f"All else is synced without them; to have them, let the key's account read {what}."


def _same_fate(landing: Landing, first: Receipt, stream: str) -> Receipt:
    writer = landing.writer(SOURCE, stream, first.read_id)
    return writer.commit(msgspec.structs.replace(first, stream=stream, requests=0, waited_seconds=0.0))


def _crawl(
    client: ItGlueClient, endpoints: Sequence[_Endpoint], stream: str, writer: StreamWriter, spent: Spent
) -> _Tally:
    """Land every page; if records are missing at the end, once more from the start."""
    try:
        return _crawl_once(client, endpoints, stream, writer, spent)
    except TransientError as error:
        if error.code != INCOMPLETE:
            raise
    writer.restart()
    return _crawl_once(client, endpoints, stream, writer, spent)


def _crawl_once(
    client: ItGlueClient, endpoints: Sequence[_Endpoint], stream: str, writer: StreamWriter, spent: Spent
) -> _Tally:
    tally = _Tally()
    for path, params in endpoints:
        crawl = Crawl(client, path, params, spent)
        for body in crawl.bodies():
            writer.write(stream, body)
            tally.bytes += len(body)
        tally.pages += crawl.pages
        tally.rows += crawl.rows
        tally.owners_unknown |= "include" in crawl.dropped
    return tally


def _endpoints(landing: Landing, stream: str) -> list[_Endpoint]:
    """The endpoints to crawl for a stream: one, or for our assets one for each type of the name (0 or 1)."""
    if stream not in _TYPE_OF:
        return [(_PATHS.get(stream, f"/{stream}"), _WITH_OWNERS if stream in _OWNED else _SORTED)]
    return [
        ("/flexible_assets", {"filter[flexible_asset_type_id]": str(each.id), **_SORTED})
        for body in landing.parts(SOURCE, "asset_types", "asset_types")
        for each in msgspec.json.decode(body, type=_AssetTypes).data
        # By the whole name and here: the API's name filter is said to match parts, and to split at commas.
        if isinstance(each.attributes, dict) and each.attributes.get("name") == _TYPE_OF[stream]
    ]


class _AssetType(Record):
    attributes: object = None


class _AssetTypes(msgspec.Struct):
    data: list[_AssetType]
