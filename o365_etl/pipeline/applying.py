"""Write the approved part of the plan to IT Glue, and say in `sync.changes` what became of it.

In mode `apply` everything is approved that no brake holds back; in mode `plan` only what a person approved, by the hash
of the plan he saw; in mode `off` nothing is ever written. What does not live here: how a write is done once (`sync`).
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from o365_etl.errors import ConfigError, PermanentError
from o365_etl.itglue import LICENSE_ASSET_TYPE, USER_ASSET_TYPE
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.writer import ItGlueWriter
from o365_etl.pipeline import progress
from o365_etl.pipeline.publishing import publish
from o365_etl.pipeline.workspace import Workspace
from o365_etl.store import plan as store
from o365_etl.store.warehouse import Db
from o365_etl.sync.apply import Applier
from o365_etl.sync.payloads import Lookups
from o365_etl.sync.sending import NOT_DONE, NOT_SENT, Applied, Sender

Row = Mapping[str, Any]


class StoppedError(PermanentError):
    """A person stopped the writing; everything is noted, and nothing is half done."""

    code = "stopped"
    remedy = "`o365-etl plan approve` and `o365-etl apply` go on with what is left."


@dataclass(frozen=True)
class Written:
    """What became of the plan: changes by outcome (`applied`, `failed`, `skipped`, `open`), how many changes wait for a
    person, and in how many tenants because of a brake.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    blocked_tenants: int = 0


def apply_plan(workspace: Workspace, run_id: str, *, by_person: bool, preview: bool = False) -> Written:
    """Write what is approved. A sync does so in mode `apply` only, a person at any time; a preview never.

    Raises `ConfigError` if a person asks for it in mode `off`, and the error that stopped the writing; what was done
    until then is noted and published first.
    """
    mode = workspace.settings.itglue.mode
    if mode == "off" and by_person:
        raise ConfigError("itglue.mode is off: nothing is ever written", remedy='Set itglue.mode to "plan" or "apply".')
    with workspace.tables() as db:
        if preview or (mode != "apply" and not by_person):
            return _waiting(db)
        planned_at = _planned_at(workspace, db, run_id)
        approved = _approve(workspace, db, mode)
        is_needed = approved or workspace.state.intents.pending()
        done = _write(workspace, db, run_id, planned_at) if is_needed else Applied()
        store.finish(db, _finished(workspace, planned_at, done), replace=True)
        left = _waiting(db)
    _log(workspace, run_id, done)
    workspace.state.approvals.use(run_id, approved)
    error = done.error or (StoppedError(_said(done)) if done.is_stopped else None)
    if error is not None:
        publish(workspace, run_id, status="failed")
        raise error
    return replace(left, counts=dict(done.counts))


def _said(done: Applied) -> str:
    return f"stopped by a person: {done.counts['applied']} changes were written, the rest was not sent"


def _waiting(db: Db) -> Written:
    waiting = db.scalar("SELECT count(*) FROM sync.changes WHERE state IN ('planned', 'blocked')")
    blocked = db.scalar("SELECT count(DISTINCT tenant_id) FROM sync.changes WHERE state = 'blocked'")
    return Written(waiting=int(waiting), blocked_tenants=int(blocked))


def _approve(workspace: Workspace, db: Db, mode: str) -> dict[str | None, str]:
    """Mark what may be written, and return its plans by tenant (None: the account)."""
    plans: dict[str | None, str] = dict(
        db.rows(
            "SELECT DISTINCT tenant_id, plan_hash FROM sync.changes WHERE state IN ('planned', 'approved', 'blocked')"
        )
    )
    by_person = {t for t, plan_hash in workspace.state.approvals.open().items() if plans.get(t) == plan_hash}
    # An approval of another plan than this one is void, and so is one that a run used which was stopped.
    store.hold_again(db, plans.keys() - by_person)
    store.set_state(db, by_person, "planned", "approved")
    store.set_state(db, by_person, "blocked", "approved")
    if mode == "apply":
        store.set_state(db, plans, "planned", "approved")
    approved = {row[0] for row in db.rows("SELECT DISTINCT tenant_id FROM sync.changes WHERE state = 'approved'")}
    if approved:
        # What the account lacks is part of every tenant's plan that needs it.
        store.set_state(db, [None], "planned", "approved")
    return {tenant_id: plans[tenant_id] for tenant_id in approved}


def _planned_at(workspace: Workspace, db: Db, run_id: str) -> datetime:
    """When the run began that made this plan; without one, when this run did."""
    planned_by = db.scalar(
        "SELECT any_value(run_id) FROM sync.changes WHERE state IN ('planned', 'approved', 'blocked')"
    )
    started_at: datetime = workspace.state.run(planned_by or run_id)["started_at"]
    return started_at


def _finished(workspace: Workspace, planned_at: datetime, done: Applied) -> pa.Table:
    """What became of the changes of this plan, without those that are still to be done: not sent because the run
    stopped, or not done by the run before. What became of a change before it was planned once more says nothing.
    """
    finished = workspace.state.intents.finished_table(since=planned_at)
    stopped = {NOT_SENT, NOT_DONE, *([done.error.message] if done.error else [])}
    is_done = [message not in stopped for message in finished.column("message").to_pylist()]
    return finished.filter(pa.array(is_done, pa.bool_()))


def _write(workspace: Workspace, db: Db, run_id: str, planned_at: datetime) -> Applied:
    settings, state = workspace.settings, workspace.state
    total = int(db.scalar("SELECT count(*) FROM sync.changes WHERE state = 'approved'"))
    with ItGlueClient(settings.itglue, settings.ca_bundle) as client, _stoppable() as stop:
        sender = Sender(ItGlueWriter(client), state.intents, run_id, _lookups(db), stop)
        resolved = Counter(sender.resolve_pending().values())
        if resolved:
            text = (
                f"an earlier run got no answer: {resolved['applied']} writes were done, {resolved['failed']} were not"
            )
            state.log(run_id, "warning", text)
        before = _applied_since(workspace, planned_at)
        known: dict[str, frozenset[str]] = _known_contacts(db)
        applier = Applier(
            sender, lambda organization_id: known.get(organization_id, frozenset()), _created_contacts(before.values())
        )
        done = applier.apply(
            _open_changes(db, before.keys(), state.links.tenant_links()),
            lambda counts: progress.tell("changes written", counts.total(), total),
        )
    if done.counts["applied"]:
        rows = db.rows("SELECT DISTINCT tenant_id FROM sync.changes WHERE state = 'approved' AND tenant_id IS NOT NULL")
        state.links.mark_applied(tenant_id for (tenant_id,) in rows)
    return done


def _open_changes(db: Db, done_before: Set[str], links: Mapping[str, str]) -> Iterator[list[Row]]:
    """What is left to write, tenant by tenant; in the organization that an earlier run created where it came so far."""
    for rows in store.changes(db, ["approved"]):
        left: list[Row] = [row for row in rows if row["change_id"] not in done_before]
        if left and len(left) < len(rows):
            left = [{**row, "organization_id": row["organization_id"] or links.get(row["tenant_id"])} for row in left]
        if left:
            yield left


def _applied_since(workspace: Workspace, planned_at: datetime) -> dict[str, Row]:
    """Changes of this very plan that were written already: an earlier run was stopped before it could say so here."""
    finished = workspace.state.intents.finished_table(since=planned_at).to_pylist()
    return {row["change_id"]: row for row in finished if row["state"] == "applied"}


def _created_contacts(applied: Iterable[Row]) -> dict[str, str]:
    """User → the contact that was created for him."""
    return {
        row["subject_id"]: row["target_id"]
        for row in applied
        if row["action"] == "create" and row["resource"] == "contact"
    }


def _lookups(db: Db) -> Lookups:
    def named(sql: str) -> dict[str, str]:
        return {name: identity for name, identity in db.rows(sql) if name}

    return Lookups(
        license_type=LICENSE_ASSET_TYPE,
        user_type=USER_ASSET_TYPE,
        contact_types=named("SELECT name, contact_type_id FROM itglue.contact_types"),
        countries=named("SELECT name, country_id FROM itglue.countries"),
        regions={
            (country, name): identity
            for country, name, identity in db.rows("SELECT country_id, name, region_id FROM itglue.regions")
        },
        asset_types=named("SELECT name, asset_type_id FROM itglue.asset_types"),
    )


def _known_contacts(db: Db) -> dict[str, frozenset[str]]:
    """The contacts that the plan knew, of every organization that a contact is to be created in."""
    rows = db.rows(
        "SELECT organization_id, list(contact_id) FROM itglue.contacts WHERE organization_id IN ("
        " SELECT organization_id FROM sync.changes"
        " WHERE state = 'approved' AND resource = 'contact' AND action = 'create') GROUP BY ALL"
    )
    return {organization_id: frozenset(ids) for organization_id, ids in rows}


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets: the requests under way are finished, nothing more is sent."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(workspace: Workspace, run_id: str, done: Applied) -> None:
    since = workspace.state.run(run_id)["started_at"]
    finished = workspace.state.intents.finished_table(since=since).to_pylist()
    entries: list[dict[str, object]] = [
        {
            "level": "info" if row["state"] == "applied" else "warning" if row["state"] == "skipped" else "error",
            "tenant_id": row["tenant_id"],
            "stream": f"write.{row['resource']}",
            "message": f"{row['action']} {row['resource']} {row['state']}"
            + (f": {row['message']}" if row["message"] else ""),
            "detail": {"change_id": row["change_id"], "target_id": row["target_id"], "subject_id": row["subject_id"]},
        }
        for row in finished
    ]
    if done.is_stopped:
        entries.append({"level": "warning", "message": "writing was stopped by a person"})
    if done.error is not None:
        entries.append({"level": "error", "message": f"writing stopped: {done.error.line}"})
    workspace.state.log_many(run_id, entries)
