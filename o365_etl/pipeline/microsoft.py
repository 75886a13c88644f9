"""Read shards of tenants, and load what is certified: results → `m365.*`, `sync.tenants` and the sync log.

Reading needs the landing zone alone, so a shard can be read wherever that folder is; loading is the one writer's.
What does not live here: which tenants (`planning`), and how their rows are loaded (`loading`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa

from o365_etl.graph.model import TenantResult, TenantTarget
from o365_etl.graph.reader import read_tenants
from o365_etl.graph.session import GraphSession
from o365_etl.pipeline import progress, quarantining
from o365_etl.pipeline.catalogue import catalogue_of, load_names
from o365_etl.pipeline.loading import CORE_STREAMS, load
from o365_etl.pipeline.memory import bulk_work, give_back
from o365_etl.pipeline.planning import Plan, Shard
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store.warehouse import Db
from o365_etl.tables import TABLES

M365_TABLES = tuple(name for name in TABLES if name.startswith("m365."))


def read_shard(workspace: Workspace, shard: Shard, read_id: str) -> list[TenantResult]:
    """Read one shard into the landing zone; one result a tenant, also for those that could not be read."""
    finished = 0

    def on_done(_: TenantResult) -> None:
        nonlocal finished
        finished += 1
        progress.tell("tenants read", finished, len(shard.targets))

    settings = workspace.settings
    with bulk_work(), GraphSession(settings, threads=settings.limits.threads) as session:
        results = read_tenants(session, shard.targets, workspace.landing, read_id, full=shard.full, on_done=on_done)
    give_back()
    return results


class Certified(msgspec.Struct, frozen=True):
    """What a sync of Microsoft 365 ended with: tenants per status, rows per table, seconds per part."""

    statuses: dict[str, int]
    rows: dict[str, int]
    read: int
    failed: int


def certify(workspace: Workspace, run_id: str, plan: Plan, results: Sequence[TenantResult]) -> Certified:
    """Load what is certified, mark what is not, and write `sync.tenants` and the sync log."""
    at = now()
    catalogue = catalogue_of(workspace)
    failing = quarantining.note(workspace, results, [*plan.excluded, *plan.unlisted], plan.at)
    with workspace.tables() as db:
        with bulk_work():
            load(workspace, db, results, catalogue)
        _mark_stale(db, plan, results)
        tenants = _tenant_rows(db, plan, results, at, failing)
        with db.transaction():
            db.replace("sync.tenants", tenants, tenants.column("tenant_id").to_pylist())
            _forget_placeholders(db, results)
            load_names(db, catalogue, at)
        rows = db.counts(M365_TABLES)
    give_back()
    workspace.state.log_many(run_id, _log_entries(plan, results, at))
    statuses: dict[str, int] = {}
    for status in tenants.column("status").to_pylist():
        statuses[status] = statuses.get(status, 0) + 1
    failed = sum(1 for result in results if _counts_as_failed(result)) + len(plan.unlisted)
    read = sum(1 for result in results if result.status in ("ok", "partial") and not _counts_as_failed(result))
    workspace.state.count_tenants(run_id, ok=read, failed=failed)
    return Certified(statuses=statuses, rows=rows, read=read, failed=failed)


def _counts_as_failed(result: TenantResult) -> bool:
    """A tenant without consent yet is a normal state, and a stream that may not be read is a choice; a stream
    that should have been read and was not is a failure.
    """
    if result.status == "not_consented":
        return False
    return result.status == "failed" or any(receipt.state == "failed" for receipt in result.receipts)


def _mark_stale(db: Db, plan: Plan, results: Sequence[TenantResult]) -> None:
    """A tenant is stale if a core stream was not certified this time, if it is left alone (quarantined, or of a paused
    connection), or if nobody lists it any more.
    """
    stale = [target.tenant_id for target in (*plan.unlisted, *plan.quarantined)]
    fresh: list[str] = []
    for result in results:
        states = {receipt.stream: receipt.certified for receipt in result.receipts}
        complete = all(states.get(stream, False) for stream in CORE_STREAMS)
        (fresh if complete else stale).append(result.tenant_id or result.target.tenant_id)
    db.execute("UPDATE m365.tenants SET is_stale = true WHERE list_contains(?, tenant_id)", [stale])
    db.execute("UPDATE m365.tenants SET is_stale = true WHERE list_contains(?::VARCHAR[], connection)", [plan.paused])
    db.execute("UPDATE m365.tenants SET is_stale = false WHERE list_contains(?, tenant_id)", [fresh])


def _tenant_rows(
    db: Db, plan: Plan, results: Sequence[TenantResult], at: datetime, failing: Mapping[str, quarantining.Row]
) -> pa.Table:
    before = {row[0]: row for row in db.rows("SELECT tenant_id, last_ok_at, display_name FROM sync.tenants")}
    loaded = {row[0]: row for row in db.rows("SELECT tenant_id, as_of, display_name FROM m365.tenants")}
    rows = []
    for result in results:
        rows.append(_tenant_row(result.target, result.tenant_id) | _outcome(result))
        rows[-1] |= quarantining.shown(failing.get(result.target.tenant_id), plan.at)
        if result.status == "ok":
            rows[-1]["last_ok_at"] = at
    rows += [_tenant_row(target, None) | {"status": "excluded"} for target in plan.excluded]
    for target in plan.quarantined:
        shown = quarantining.shown(failing.get(target.tenant_id), plan.at, with_reason=True)
        rows.append(_tenant_row(target, None) | {"status": "quarantined"} | shown)
    for target in plan.unlisted:
        remedy = "The partner tenant no longer lists it: renew the relationship, or exclude or disconnect it."
        rows.append(_tenant_row(target, None) | {"status": "failed", "error_code": "not_listed", "remedy": remedy})
    for row in rows:
        tenant_id = str(row["tenant_id"])
        old, current = before.get(tenant_id), loaded.get(tenant_id)
        row.setdefault("last_ok_at", old[1] if old else None)
        row["as_of"] = current[1] if current else None
        row["display_name"] = (current and current[2]) or row["display_name"] or (old and old[2])
    schema = TABLES["sync.tenants"].arrow_schema()
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def _tenant_row(target: TenantTarget, tenant_id: str | None) -> dict[str, object]:
    return {
        "tenant_id": tenant_id or target.tenant_id,
        "display_name": target.display_name,
        "connection": target.connection,
        "listed_in": json.dumps(list(target.listed_in)),
        "streams": "{}",
    }


def _outcome(result: TenantResult) -> dict[str, object]:
    streams = {
        receipt.stream: {
            "state": receipt.state,
            "rows": receipt.rows,
            "requests": receipt.requests,
            **{
                key: value for key in ("reason", "error_code", "remedy") if (value := getattr(receipt, key)) is not None
            },
        }
        for receipt in result.receipts
    }
    return {
        "status": result.status,
        "error_code": result.error_code,
        "remedy": result.remedy,
        "streams": json.dumps(streams),
        "missing_permissions": _listed(result.missing_permissions),
        "excess_permissions": _listed(result.excess_permissions),
    }


def _listed(permissions: list[str] | None) -> str | None:
    return None if permissions is None else json.dumps(permissions)


def _forget_placeholders(db: Db, results: Sequence[TenantResult]) -> None:
    """A direct tenant configured by its domain stood under that domain until its id was known."""
    known = [r.target.tenant_id for r in results if r.tenant_id and r.tenant_id != r.target.tenant_id]
    if known:
        db.execute("DELETE FROM sync.tenants WHERE list_contains(?, tenant_id)", [known])


def _log_entries(plan: Plan, results: Sequence[TenantResult], at: datetime) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = [
        {"at": at, "level": "warning", "message": f"a connection could not list all its tenants: {problem}"}
        for problem in plan.problems
    ]
    for result in results:
        tenant_id = result.tenant_id or result.target.tenant_id
        if result.status != "ok":
            level = "error" if result.status == "failed" else "warning"
            message = f"{result.status} ({result.error_code}). {result.remedy or ''}".strip()
            entries.append({"at": at, "level": level, "tenant_id": tenant_id, "message": message})
        entries += [
            {
                "at": at,
                "level": "error" if receipt.state == "failed" else "info",
                "tenant_id": tenant_id,
                "stream": receipt.stream,
                "message": receipt.sentence,
            }
            for receipt in result.receipts
            if receipt.state in ("failed", "degraded") or receipt.message
        ]
    return entries
