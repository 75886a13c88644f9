"""Loads what is certified into `m365.*`: of each tenant what is not there already.

A tenant whose answers say what they said is left alone. Of one where something else is said the small tables are
replaced whole, and of its users those in slices that say something else; all of them where what counts for everybody
differs, or where the answers cannot be dealt out. What was loaded is remembered in the transaction that wrote it.

What does not live here: whether a tenant is fresh and what is said of it (`microsoft`), how tables are made of answers
(`transform.tenant`) and dealt into slices (`transform.sliced`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from o365_etl.errors import NotFoundError, ProtocolError
from o365_etl.graph.changes import in_force as users_in_force
from o365_etl.graph.model import TenantResult
from o365_etl.pipeline import progress
from o365_etl.pipeline.memory import give_back_large
from o365_etl.pipeline.workspace import Workspace
from o365_etl.receipts import Receipt
from o365_etl.slices import SLICES, slice_in_sql
from o365_etl.store.landing import LandingZone
from o365_etl.store.marks import in_slices, own_text
from o365_etl.store.warehouse import WORKING, Db
from o365_etl.tables import TABLES
from o365_etl.transform.catalogue import Catalogue
from o365_etl.transform.licenses import License
from o365_etl.transform.sliced import NOBODYS, sliced
from o365_etl.transform.tenant import PARTS, TenantContext, licenses_of, tenant_frames, user_frames

# What must be certified for a tenant's rows to count as fresh; mailboxes and sign-ins degrade alone.
CORE_STREAMS = ("tenants", "domains", "users", "licenses")
# Rows held in memory between two writes to the warehouse: what is written together is packed together. Twice as many
# would save another tenth of the CPU for 120 MiB more.
LOAD_BATCH_ROWS = 250_000
# Users of a tenant whose answers are hundreds of megabytes.
_LARGE_TENANT = 30_000
# A frame takes memory of its own, also one of few rows.
_ROWS_OF_A_FRAME = 10
_MARKS = pa.schema([(name, pa.string()) for name in WORKING["work.loaded_tenants"]])
_BY_USER = tuple(name for name in TABLES if name.startswith("m365.") and "user_id" in TABLES[name].column_names)


class _Loaded(NamedTuple):
    """What is remembered of a tenant. `mark`: all it says; `slices`: the digests of its users' slices, None if they
    were not dealt; `basis`: what else the rows of users rest on.
    """

    mark: str | None = None
    basis: str | None = None
    slices: str | None = None


class _Piece(NamedTuple):
    """Rows of one table: of a tenant, or of `slices` of its users."""

    tenant_id: str
    frame: pa.Table
    slices: frozenset[int] | None


# Rows to be written together, by table.
_Batch = dict[str, list[_Piece]]


def load(workspace: Workspace, db: Db, results: Sequence[TenantResult], catalogue: Catalogue) -> None:
    """Load every tenant whose answers, or what they are read by, are not those of the last time.

    Raises `ProtocolError` with code `wrong_tenant` for the answers of another tenant.
    """
    batch: _Batch = {}
    loaded: dict[str, _Loaded] = {}
    unchanged: dict[str, datetime | None] = {}
    held = 0
    before = {
        row[0]: _Loaded(*row[1:])
        for row in db.rows(f"SELECT tenant_id, {', '.join(_Loaded._fields)} FROM work.loaded_tenants")
    }
    names = _names(catalogue)
    for done, result in enumerate(results, start=1):
        if result.tenant_id is None or not any(receipt.certified for receipt in result.receipts):
            continue
        certified = _certified(workspace, result.tenant_id)
        context = _context(workspace, result, certified, catalogue)
        mark = _mark(certified, context, names)
        known = before.get(result.tenant_id, _Loaded())
        if known.mark == mark:
            unchanged[result.tenant_id] = context.as_of
            continue
        if "users" in certified and certified["users"].rows >= _LARGE_TENANT:
            give_back_large()
        answers = _Answers(workspace.landing, result.tenant_id)
        pieces, now = _pieces(answers, frozenset(certified), context, names, known)
        loaded[result.tenant_id] = now._replace(mark=mark)
        for name, piece in pieces.items():
            batch.setdefault(name, []).append(piece)
            held += piece.frame.num_rows + _ROWS_OF_A_FRAME
        if held >= LOAD_BATCH_ROWS:
            _write(db, batch, loaded)
            batch, loaded, held = {}, {}, 0
        progress.tell("tenants loaded", done, len(results))
    _write(db, batch, loaded)
    _as_of(db, unchanged)


class _Answers:
    """What was landed of a tenant, each stream read once: `answers(stream, part)` as `landing.parts`."""

    def __init__(self, landing: LandingZone, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self._landing = landing
        self._read: dict[str, dict[str, list[bytes]]] = {}

    def __call__(self, stream: str, part: str) -> list[bytes]:
        return self._of(stream).get(part, [])

    def give(self, stream: str, part: str) -> list[bytes]:
        """The same for the last time: it is not kept, for a large tenant's answers take much memory."""
        return self._of(stream).pop(part, [])

    def _of(self, stream: str) -> dict[str, list[bytes]]:
        if stream not in self._read:
            parts = self._read[stream] = {part: [] for part in PARTS[stream]}
            with suppress(NotFoundError):
                for part, body in self._landing.read(self.tenant_id, stream):
                    if part in parts:
                        parts[part].append(body)
        return self._read[stream]


def _pieces(
    answers: _Answers, certified: frozenset[str], context: TenantContext, names: str, known: _Loaded
) -> tuple[dict[str, _Piece], _Loaded]:
    """What is to be written of a tenant of which `known` is loaded, and what is said of its users (no mark)."""
    now = _Loaded()
    slices: frozenset[int] | None = None
    dealt = sliced(answers, certified)
    if dealt is not None:
        licenses = licenses_of(answers, certified, context)
        basis = _basis(answers, certified, context, names, licenses)
        now = _Loaded(basis=basis, slices=" ".join(dealt.digests))
        if known.slices is not None and known.basis == basis:
            differing = dealt.differing(known.slices.split())
            # Most of a large tenant beside all of its answers would take more memory than all of it alone.
            slices = differing if len(differing) <= SLICES // 2 else None
    if dealt is None or slices is None:
        dealt = None  # it holds what is given away
        frames = tenant_frames(answers.give, certified, context)
    else:
        frames = tenant_frames(answers, certified - {"users"}, context)
        if frames and slices:
            parts = dealt.parts(slices)
            dealt = None
            frames |= user_frames(answers.tenant_id, parts, certified, context, licenses)
    tenant_id = answers.tenant_id
    if frames and frames["m365.tenants"].column("tenant_id").to_pylist() != [tenant_id]:
        raise ProtocolError(f"m365.tenants: rows of another tenant in the answers of {tenant_id}", code="wrong_tenant")
    return {name: _Piece(tenant_id, frame, slices if name in _BY_USER else None) for name, frame in frames.items()}, now


def _certified(workspace: Workspace, tenant_id: str) -> dict[str, Receipt]:
    """The receipts in force, by stream; those of the users as `users_in_force` puts them together."""
    streams = (*(stream for stream in CORE_STREAMS if stream != "users"), "mailboxes", "sign_ins")
    receipts = {stream: workspace.landing.receipt(tenant_id, stream) for stream in streams}
    certified = {stream: receipt for stream, receipt in receipts.items() if receipt is not None}
    return certified | users_in_force(workspace.landing, tenant_id)


def _context(
    workspace: Workspace, result: TenantResult, certified: Mapping[str, Receipt], catalogue: Catalogue
) -> TenantContext:
    target, settings = result.target, workspace.settings
    connection = next(c for c in settings.connections if c.name == target.connection)
    read_at = [receipt.ended_at for stream, receipt in certified.items() if stream in CORE_STREAMS]
    return TenantContext(
        connection=connection.name,
        kind=target.kind,
        cloud=connection.cloud,
        selection=settings.selection_for(connection.name),
        catalogue=catalogue,
        access_ends_at=target.access_ends_at,
        as_of=min(read_at) if len(read_at) == len(CORE_STREAMS) else None,
        stream_reasons={stream: receipt.reason for stream, receipt in certified.items()},
    )


def _names(catalogue: Catalogue) -> str:
    """The same for catalogues that say the same, whenever they were fetched."""
    said = repr([(each.sku_id, each.name, each.part_number, each.kind) for each in catalogue])
    return hashlib.sha256(said.encode()).hexdigest()


def _mark(certified: Mapping[str, Receipt], context: TenantContext, names: str) -> str:
    """The same for answers that say the same and are read the same way: what is loaded of them is there already."""
    digests = {stream: receipt.digest or receipt.read_id for stream, receipt in certified.items()}
    ways = {name: getattr(context, name) for name in context.__struct_fields__ if name not in ("as_of", "catalogue")}
    is_complete = context.as_of is not None
    return hashlib.sha256(repr([own_text(), names, digests, ways, is_complete]).encode()).hexdigest()


def _basis(
    answers: _Answers,
    certified: frozenset[str],
    context: TenantContext,
    names: str,
    licenses: Mapping[str, License],
) -> str:
    """The same where the rows of a user can differ only by what is said of him: not by how many licenses are bought
    or in use, but by what they are.
    """
    products = [(id_, each.part_number, each.is_recommended, sorted(each.plan_ids)) for id_, each in licenses.items()]
    # Changes are laid over the users before anything is made of them: whether there were any does not count.
    streams = sorted(certified - {"users_changes"})
    reports = answers("mailboxes", "usage_csv") if "mailboxes" in certified else []
    report = [hashlib.sha256(body).hexdigest() for body in reports], context.stream_reasons.get("mailboxes")
    said = [own_text(), names, context.cloud, context.selection, streams, sorted(products), report]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _as_of(db: Db, unchanged: Mapping[str, datetime | None]) -> None:
    """What was read again and says the same is as fresh as what was loaded."""
    table = pa.table(
        {
            "tenant_id": pa.array(list(unchanged), pa.string()),
            "as_of": pa.array(list(unchanged.values()), pa.timestamp("us", tz="UTC")),
        }
    )
    with db.registered(unchanged=table):
        db.execute("UPDATE m365.tenants AS t SET as_of = u.as_of FROM unchanged u WHERE u.tenant_id = t.tenant_id")


def _write(db: Db, batch: _Batch, loaded: Mapping[str, _Loaded]) -> None:
    """Write the pieces and empty the batch."""
    with db.on_one_thread(), db.transaction():
        db.execute("DELETE FROM work.loaded_tenants WHERE list_contains(?, tenant_id)", [list(loaded)])
        rows = pa.Table.from_pylist([{"tenant_id": id_, **each._asdict()} for id_, each in loaded.items()], _MARKS)
        with db.registered(loaded_now=rows):
            db.execute("INSERT INTO work.loaded_tenants BY NAME SELECT * FROM loaded_now")
        while batch:
            # What is in DuckDB's hands is let go: it need not be in memory twice.
            name, pieces = batch.popitem()
            _forget_slices(db, name, pieces)
            # The ids stand beside the frames: a tenant with nothing to show has a frame without rows, and its old
            # rows must go all the same.
            whole = [piece.tenant_id for piece in pieces if piece.slices is None]
            db.replace(name, pa.concat_tables(piece.frame for piece in pieces), whole)
            del pieces


def _forget_slices(db: Db, name: str, pieces: Sequence[_Piece]) -> None:
    """Delete the rows of `pieces` that are slices."""
    dealt = [(piece.tenant_id, number) for piece in pieces for number in piece.slices or ()]
    if not dealt:
        return
    tenants, numbers = zip(*dealt, strict=True)
    own = f"coalesce({slice_in_sql('t.user_id')}, {NOBODYS})"
    with db.registered(dealt=pa.table({"tenant_id": pa.array(tenants), "slice": pa.array(numbers, pa.int32())})):
        db.execute(f"DELETE FROM {name} AS t WHERE {in_slices('dealt', 't', own)}")
