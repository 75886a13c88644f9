"""Read IT Glue into the landing zone, and replace the `itglue` tables of every stream that was read to its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from o365_etl.errors import O365EtlError
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.reader import read_itglue
from o365_etl.pipeline.memory import give_back
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.receipts import Receipt
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
# Without these two there is nothing to match with.
NEEDED = ("organizations", "contacts")


def read_it_glue(workspace: Workspace, run_id: str, *, full: bool = False) -> list[Receipt]:
    """Crawl IT Glue into the landing zone. Raises the first error of a stream the job cannot do without."""
    settings = workspace.settings
    with ItGlueClient(settings.itglue, settings.ca_bundle) as client:
        receipts = read_itglue(client, workspace.landing, run_id)
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
    workspace.state.log_many(run_id, entries)
    for receipt in receipts:
        if receipt.state == "failed" and receipt.stream in NEEDED:
            raise _it_glue_error(receipt)
    return receipts


def _it_glue_error(receipt: Receipt) -> O365EtlError:
    return O365EtlError(
        f"IT Glue {receipt.stream} could not be read completely: {receipt.message}",
        code=receipt.error_code,
        remedy=receipt.remedy,
    )


def load_it_glue(workspace: Workspace, receipts: Sequence[Receipt]) -> dict[str, int]:
    """Replace the IT Glue tables of every certified stream; rows per table afterwards."""
    with workspace.tables() as db:
        for receipt in receipts:
            if is_known(receipt):
                _load_stream(workspace, db, receipt.stream)
        rows = {name: int(db.scalar(f"SELECT count(*) FROM {name}")) for name in ITGLUE_TABLES}
    give_back()
    return rows


def is_known(receipt: Receipt | None) -> bool:
    """True if the stream was read. One that the key may not read, or the server does not offer, was landed empty:
    that is no answer, and must not empty a table.
    """
    return receipt is not None and receipt.certified and receipt.reason not in ("forbidden", "unsupported")


def _load_stream(workspace: Workspace, db: Db, stream: str) -> None:
    """Replace the tables of a stream at once, by way of temporary ones: a million rows appended in portions inside one
    transaction stay in memory, half a gibibyte that DuckDB's limit does not count.
    """
    staged = {name: f"staged_{name.partition('.')[2]}" for name in STREAMS[stream]}
    for name, temporary in staged.items():
        db.execute(f"CREATE OR REPLACE TEMP TABLE {temporary} AS FROM {name} LIMIT 0")
    for frames in itglue_frames(stream, _pages(workspace, stream)):
        for name, frame in frames.items():
            with db.registered(incoming=frame):
                db.execute(f"INSERT INTO {staged[name]} BY NAME FROM incoming")
    with db.transaction():
        for name, temporary in staged.items():
            db.execute(f"DELETE FROM {name}")
            db.execute(f"INSERT INTO {name} BY NAME FROM {temporary}")
    for temporary in staged.values():
        db.execute(f"DROP TABLE temp.{temporary}")


def _pages(workspace: Workspace, stream: str) -> Iterator[bytes]:
    for part, body in workspace.landing.read("itglue", stream):
        if part == stream:
            yield body
