"""What a crawl of IT Glue ended with, in the sync log and in the `itglue` tables: a stream that was read to its end
replaces its rows, one of which the changes were read changes them. What is in the tables already is not loaded again.

What does not live here: the crawl itself (`crawling`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from o365_etl.errors import O365EtlError, ProtocolError
from o365_etl.itglue.changes import CHANGING, SOURCE, changes_of, whole_of
from o365_etl.pipeline.crawling import BackgroundCrawl, crawl
from o365_etl.pipeline.memory import give_back
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.receipts import Receipt
from o365_etl.store.marks import own_text
from o365_etl.store.warehouse import Db
from o365_etl.tables import TABLES
from o365_etl.transform.itglue import itglue_frames

ITGLUE_TABLES = tuple(name for name in TABLES if name.startswith("itglue."))
STREAMS = {
    "organizations": ("itglue.organizations",),
    "contacts": ("itglue.contacts", "itglue.contact_emails", "itglue.contact_phones"),
    "locations": ("itglue.locations",),
    "asset_types": ("itglue.asset_types",),
    "license_assets": ("itglue.license_assets",),
    "user_assets": ("itglue.user_assets",),
    "contact_types": ("itglue.contact_types",),
    "countries": ("itglue.countries",),
    "regions": ("itglue.regions",),
}
# What the rows of a record that changes have in common.
KEYS = {"organizations": "organization_id", "contacts": "contact_id"}
# Without these two there is nothing to match with.
NEEDED = ("organizations", "contacts")


def read_it_glue(
    workspace: Workspace, run_id: str, *, full: bool = False, begun: BackgroundCrawl | None = None
) -> list[Receipt]:
    """Crawl IT Glue into the landing zone, or wait for the crawl that has `begun`; says in the sync log how it went.

    `full`: everything, also where a read of what changed would do. Raises the first error of a stream the job cannot do
    without.
    """
    receipts = crawl(workspace, run_id, full=full) if begun is None else begun.result()
    at = now()
    entries: list[dict[str, object]] = [
        {
            "at": at,
            "level": "error" if receipt.state == "failed" else "warning",
            "stream": f"itglue.{receipt.stream}",
            "message": receipt.sentence,
        }
        for receipt in receipts
        if receipt.state in ("failed", "degraded")
    ]
    if read := [_told(workspace, receipt) for receipt in receipts if receipt.certified and _may_change(receipt)]:
        entries.append({"at": at, "level": "info", "stream": SOURCE, "message": "; ".join(read)})
    workspace.state.log_many(run_id, entries)
    for receipt in receipts:
        if receipt.state == "failed" and whole_of(receipt.stream) in NEEDED:
            raise _it_glue_error(receipt)
    return receipts


def _may_change(receipt: Receipt) -> bool:
    return whole_of(receipt.stream) in CHANGING


def _told(workspace: Workspace, receipt: Receipt) -> str:
    """How a stream was read, for the sync log."""
    stream, cost = (
        whole_of(receipt.stream),
        f"{receipt.requests:,} {'request' if receipt.requests == 1 else 'requests'}",
    )
    base = workspace.landing.receipt(SOURCE, stream)
    if receipt.stream != stream and base is not None:
        since = f"{base.started_at:%Y-%m-%d %H:%M} UTC"
        return f"{stream}: {receipt.rows:,} changed since the full crawl of {since}, {cost}"
    why = f" ({receipt.message})" if receipt.state == "ok" and receipt.message else ""
    return f"{stream}: full crawl{why} of {receipt.rows:,} records, {cost}"


def _it_glue_error(receipt: Receipt) -> O365EtlError:
    return O365EtlError(
        f"IT Glue {receipt.stream} could not be read completely: {receipt.message}",
        code=receipt.error_code,
        remedy=receipt.remedy,
    )


def load_it_glue(workspace: Workspace, receipts: Sequence[Receipt]) -> dict[str, int]:
    """Bring the IT Glue tables of every certified stream up to it; rows per table afterwards.

    Raises `LocalError` with code `damaged` if landed answers are not what was written.
    """
    with workspace.tables() as db:
        for receipt in receipts:
            if is_known(receipt):
                _bring_up_to(workspace, db, receipt)
        rows = db.counts(ITGLUE_TABLES)
    give_back()
    return rows


def is_known(receipt: Receipt | None) -> bool:
    """True if the stream was read. One that the key may not read, or the server does not offer, was landed empty:
    that is no answer, and must not empty a table.
    """
    return receipt is not None and receipt.certified and receipt.reason not in ("forbidden", "unsupported")


def _bring_up_to(workspace: Workspace, db: Db, receipt: Receipt) -> None:
    """Load what was landed, unless the tables hold it: a whole stream, or changes over the whole they belong to."""
    stream = whole_of(receipt.stream)
    changes = receipt if receipt.stream != stream else None
    whole = workspace.landing.receipt(SOURCE, stream) if changes is not None else receipt
    if whole is None or (changes is not None and changes.bookmark != whole.read_id):
        raise ProtocolError(f"the changes of IT Glue {stream} belong to another full crawl", code="stream")
    loaded = dict(db.rows("SELECT stream, mark FROM work.loaded WHERE source = ?", [SOURCE]))
    has_changes = changes_of(stream) in loaded
    if loaded.get(stream) != _mark(whole) or (has_changes and changes is None):
        _replace(workspace, db, stream, _mark(whole))
        has_changes = False
    if changes is not None and not (has_changes and loaded[changes.stream] == _mark(changes)):
        _lay_over(workspace, db, changes, _mark(changes))


def _mark(receipt: Receipt) -> str:
    """Names what a stream says, and the program that makes rows of it."""
    return f"{own_text()} {receipt.digest or receipt.read_id}"


def _replace(workspace: Workspace, db: Db, stream: str, mark: str) -> None:
    """Replace the tables of a stream at once, by way of temporary ones: a million rows appended in portions inside one
    transaction stay in memory, half a gibibyte that DuckDB's limit does not count.
    """
    staged = _staged(db, stream)
    for frames in itglue_frames(stream, _pages(workspace, stream, stream)):
        _stage(db, staged, frames)
    with db.transaction():
        for name, temporary in staged.items():
            db.execute(f"DELETE FROM {name}")
            db.execute(f"INSERT INTO {name} BY NAME FROM {temporary}")
        _note(db, stream, mark, instead_of=[stream, changes_of(stream)])
    _drop(db, staged)


def _lay_over(workspace: Workspace, db: Db, changes: Receipt, mark: str) -> None:
    """Put the changed records in the place of their rows. What the changes do not name stays: a deletion is concluded
    from a full crawl alone.
    """
    stream = whole_of(changes.stream)
    staged, key, main = _staged(db, stream), KEYS[stream], STREAMS[stream][0]
    for frames in itglue_frames(stream, _pages(workspace, changes.stream, stream), are_changes=True):
        with db.registered(changed=frames[main].select([key])):
            for temporary in staged.values():
                db.execute(f"DELETE FROM {temporary} WHERE {key} IN (SELECT {key} FROM changed)")
        _stage(db, staged, frames)
    with db.transaction():
        for name, temporary in staged.items():
            db.execute(f"DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM {staged[main]})")
            db.execute(f"INSERT INTO {name} BY NAME FROM {temporary}")
        _note(db, changes.stream, mark, instead_of=[changes.stream])
    _drop(db, staged)


def _staged(db: Db, stream: str) -> dict[str, str]:
    """Empty temporary tables like those of a stream, by the name of the table."""
    staged = {name: f"staged_{name.partition('.')[2]}" for name in STREAMS[stream]}
    for name, temporary in staged.items():
        db.execute(f"CREATE OR REPLACE TEMP TABLE {temporary} AS FROM {name} LIMIT 0")
    return staged


def _stage(db: Db, staged: Mapping[str, str], frames: Mapping[str, pa.Table]) -> None:
    for name, frame in frames.items():
        with db.registered(incoming=frame):
            db.execute(f"INSERT INTO {staged[name]} BY NAME FROM incoming")


def _note(db: Db, stream: str, mark: str, *, instead_of: Sequence[str]) -> None:
    db.execute("DELETE FROM work.loaded WHERE source = ? AND list_contains(?, stream)", [SOURCE, list(instead_of)])
    db.execute("INSERT INTO work.loaded VALUES (?, ?, ?)", [SOURCE, stream, mark])


def _drop(db: Db, staged: dict[str, str]) -> None:
    for temporary in staged.values():
        db.execute(f"DROP TABLE temp.{temporary}")


def _pages(workspace: Workspace, stream: str, part: str) -> Iterator[bytes]:
    for name, body in workspace.landing.read(SOURCE, stream):
        if name == part:
            yield body
