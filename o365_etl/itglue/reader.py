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
Where the first two are large, what changed in them since the last full crawl is read instead, into streams of their
own: `organizations_changes`, `contacts_changes`.
What does not live here: how changes are read (`changes`), what becomes of the records (`o365_etl.transform.itglue`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain

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
from o365_etl.itglue.changes import SOURCE, ChangesCrawl, Policy, changes_of, newest_change, whole_of
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import INCOMPLETE, Crawl, Record
from o365_etl.itglue.records import moment
from o365_etl.receipts import Landing, Receipt, StreamState, StreamWriter

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
_ALWAYS_FULL = Policy()

_Endpoint = tuple[str, dict[str, str]]


def read_itglue(client: ItGlueClient, landing: Landing, read_id: str, policy: Policy = _ALWAYS_FULL) -> list[Receipt]:
    """Read every stream and return its receipt, in the order of `STREAMS`; where the policy lets a read of what changed
    do, that of the changes stands in its place.

    A stream that could not be read ends in a receipt `failed`, never in an exception; only the landing zone itself
    may raise (`LocalError`), and a client that was stopped (`Stopped`). Organizations come first: if they cannot be
    read, nothing else is asked, for then no other refusal can be believed.
    """
    first = _read_changing(client, landing, STREAMS[0], read_id, policy)
    if not first.certified:
        return [first, *(_same_fate(landing, first, stream) for stream in STREAMS[1:])]

    def read_alone(*streams: str) -> list[Receipt]:
        return [_read_stream(client, landing, stream, read_id) for stream in streams]

    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="itglue") as pool:
        lanes = [
            pool.submit(lambda: [_read_changing(client, landing, "contacts", read_id, policy)]),
            pool.submit(read_alone, "locations"),
            pool.submit(_read_assets, client, landing, read_id),
            pool.submit(read_alone, "contact_types", "countries", "regions"),
        ]
        receipts = {whole_of(receipt.stream): receipt for lane in lanes for receipt in lane.result()}
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
    bookmark: str | None = None


_Bring = Callable[[StreamWriter, Spent], _Tally]


def _read_changing(client: ItGlueClient, landing: Landing, stream: str, read_id: str, policy: Policy) -> Receipt:
    """What changed since the last full crawl where that will do; else a full crawl, whose `message` says why."""
    spent = Spent()
    base, why = policy.base(landing, stream, datetime.now(UTC))
    if base is not None:
        try:
            return _land(landing, changes_of(stream), read_id, spent, partial(_crawl_changes, client, base))
        except _UselessError as error:
            why = str(error)
    receipt = _land(
        landing, stream, read_id, spent, lambda writer, spent: _crawl(client, landing, stream, writer, spent, policy)
    )
    if not receipt.certified:
        return receipt
    # They were changes of another base.
    landing.discard(SOURCE, changes_of(stream))
    return msgspec.structs.replace(receipt, message=why) if receipt.state == "ok" else receipt


def _read_stream(client: ItGlueClient, landing: Landing, stream: str, read_id: str) -> Receipt:
    return _land(
        landing,
        stream,
        read_id,
        Spent(),
        lambda writer, spent: _crawl(client, landing, stream, writer, spent, _ALWAYS_FULL),
    )


def _land(landing: Landing, stream: str, read_id: str, spent: Spent, bring: _Bring) -> Receipt:
    """Land what `bring` brings, and keep the receipt of it."""
    started, writer = datetime.now(UTC), landing.writer(SOURCE, stream, read_id)
    tally, outcome = _Tally(), _Outcome("ok")
    try:
        tally = bring(writer, spent)
        if tally.owners_unknown:
            outcome = _Outcome("degraded", reason="owners_unknown")
    except LocalError:
        raise  # the disk refuses: there is nowhere to keep a receipt
    except O365EtlError as error:
        writer.restart()
        outcome = _outcome(whole_of(stream), error)
    except BaseException:
        writer.abandon()
        raise
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
            bookmark=tally.bookmark,
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
    return writer.commit(msgspec.structs.replace(first, stream=stream, bookmark=None, requests=0, waited_seconds=0.0))


class _UselessError(Exception):
    """A read of what changed is none, or would cost more than a full crawl."""


def _crawl_changes(client: ItGlueClient, base: Receipt, writer: StreamWriter, spent: Spent) -> _Tally:
    """Land what changed since the base, whose read the bookmark names. Raises `_UselessError`."""
    since = moment(base.bookmark)
    if since is None:
        raise _UselessError("the last one says nothing to go on from")
    tally, crawl = _Tally(bookmark=base.read_id), ChangesCrawl(client, f"/{base.stream}", _WITH_OWNERS, since, spent)
    for body in crawl.bodies():
        writer.write(base.stream, body)
        tally.bytes += len(body)
    if crawl.useless is not None:
        raise _UselessError(crawl.useless)
    tally.pages, tally.rows, tally.owners_unknown = crawl.pages, crawl.rows, "include" in crawl.dropped
    return tally


def _crawl(
    client: ItGlueClient, landing: Landing, stream: str, writer: StreamWriter, spent: Spent, policy: Policy
) -> _Tally:
    """Land every page; if records are missing at the end, once more from the start."""
    endpoints = _endpoints(landing, stream)
    try:
        return _crawl_once(client, endpoints, stream, writer, spent, policy)
    except TransientError as error:
        if error.code != INCOMPLETE:
            raise
    writer.restart()
    return _crawl_once(client, endpoints, stream, writer, spent, policy)


def _crawl_once(
    client: ItGlueClient,
    endpoints: Sequence[_Endpoint],
    stream: str,
    writer: StreamWriter,
    spent: Spent,
    policy: Policy,
) -> _Tally:
    tally = _Tally()
    for path, params in endpoints:
        crawl = Crawl(client, path, params, spent)
        bodies = crawl.bodies()
        first = next(bodies, None)
        if policy.wants_bookmark(stream, crawl.total):
            # Now that it is known to be large: from the start again, for the bookmark must be older than every page.
            newest = newest_change(client, path, spent)
            tally.bookmark = newest.isoformat() if newest is not None else None
            crawl = Crawl(client, path, params, spent)
            bodies, first = crawl.bodies(), None
        for body in chain([] if first is None else [first], bodies):
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
