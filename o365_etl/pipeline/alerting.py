"""Tells people what changed for the worse or the better: one message for each kind of change, to every target.

What was told stands in the state store. What does not live here: what is wrong (`conditions`), the words for it and
which target still has to get them (`delivery`), and how a message reaches a target (`messages`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from filelock import FileLock, Timeout

from o365_etl.errors import ConfigError
from o365_etl.pipeline.conditions import Condition, Conditions, conditions
from o365_etl.pipeline.delivery import KINDS, Delivery, Row, ended_text, is_owed, look_at, tenant_of, title_of
from o365_etl.pipeline.messages import Message, at_once, send, targets
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store.disk import local_errors
from o365_etl.store.state_alerts import RAISED

log = logging.getLogger(__name__)

# So long one look waits for another: it sends nothing twice, and what it misses the next one finds.
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Looked:
    """What one look found: subjects newly raised and over, messages that went out, targets that did not take theirs."""

    raised: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    sent: int = 0
    failed: tuple[str, ...] = ()


def look(workspace: Workspace, at: datetime | None = None) -> Looked:
    """Compare what is wrong with what was told, write the changes into the sync log and send them.

    Of looks at the same time one sends. Raises `LocalError` (disk, state store) and the error of a published copy that
    cannot be read; never because of a target.
    """
    lock = FileLock(workspace.data_dir / ".alerts.lock", mode=0o600, timeout=_WAIT_SECONDS)
    with local_errors("lock the alerts"):
        try:
            lock.acquire()
        except Timeout:
            return Looked()
    try:
        return _look(workspace, at or now())
    finally:
        lock.release()


def look_after_run(workspace: Workspace) -> None:
    """A look at the end of a sync, which no alert may turn into a failed one."""
    try:
        look(workspace)
    except Exception as error:
        log.warning("the alerts could not be looked at: %s", type(error).__name__)


def _look(workspace: Workspace, at: datetime) -> Looked:
    found = _with_unknown(workspace, conditions(workspace, at))
    wanted = targets(workspace.settings)
    ends = {"run", *(f"tenant:{each}" for each in found.in_order), *(f"brake:{each}" for each in found.names)}
    # Where nobody listens, nothing is still to be told later.
    settled = workspace.state.alerts.settle(found.wrong, found.kinds, at, to_tell=ends if wanted else ())
    told = [row for row in settled.over if row["subject"] in ends and KINDS[row["kind"]].over]
    _log_changes(workspace, found, settled.raised, told)
    sent, failed = Delivery(workspace, found, at).to(wanted)
    raised, over = ([row["subject"] for row in rows] for rows in (settled.raised, settled.over))
    return Looked(tuple(raised), tuple(over), sent, failed)


def _with_unknown(workspace: Workspace, found: Conditions) -> Conditions:
    """With the brakes of tenants that cannot be read: there is no plan for them now, so that nobody knows whether the
    next one will be held. What is unknown is not over.
    """
    wrong = {each.subject for each in found.wrong}
    unread = found.names.keys() - found.in_order
    text = "Its plan is made anew when the tenant can be read again."
    held = [
        Condition(row["subject"], "brake", row["cause"], text, "/plan", tenant_of(row))
        for row in workspace.state.alerts.rows()
        if row["state"] == RAISED
        and row["kind"] == "brake"
        and tenant_of(row) in unread
        and row["subject"] not in wrong
    ]
    return replace(found, wrong=(*found.wrong, *held))


def _log_changes(workspace: Workspace, found: Conditions, raised: Iterable[Row], over: Iterable[Row]) -> None:
    wrong = {each.subject: each for each in found.wrong}
    entries: list[dict[str, Any]] = []
    for row in raised:
        condition = wrong[row["subject"]]
        level = "info" if KINDS[row["kind"]].severity == "info" else "warning"
        message = f"alert: {title_of(row['kind'], is_over=False, number=1)}. {condition.text}"
        entries.append({"level": level, "tenant_id": condition.tenant_id, "message": message})
    for row in over:
        message = f"alert: {title_of(row['kind'], is_over=True, number=1)}. {ended_text(row, found)}"
        entries.append({"level": "info", "tenant_id": tenant_of(row), "message": message})
    workspace.state.log_many(None, entries)


def standing(workspace: Workspace) -> dict[str, Any]:
    """What is raised, since when, whether it was sent, with the text of today; and each target with what it misses."""
    wrong = {each.subject: each for each in conditions(workspace, now()).wrong}
    alerts = [
        {
            **{name: row[name] for name in ("subject", "kind", "cause", "since", "sent_at")},
            "severity": KINDS[row["kind"]].severity,
            "tenant_id": tenant_of(row),
            "text": condition.text if (condition := wrong.get(row["subject"])) else None,
        }
        for row in workspace.state.alerts.rows()
        if row["state"] == RAISED
    ]
    debts = workspace.state.alerts.debts()
    found = [
        {
            "position": target.position,
            "scheme": target.scheme,
            "problem": target.problem or ("it did not take its last message" if is_owed(target, debts) else None),
        }
        for target in targets(workspace.settings)
    ]
    return {"alerts": alerts, "targets": found}


def send_test(workspace: Workspace) -> list[dict[str, Any]]:
    """Send one test message to every target; how each took it: position, scheme, problem (None: it took it).

    Raises `ConfigError` if no target is configured.
    """
    wanted = targets(workspace.settings)
    if not wanted:
        raise ConfigError("alerts.targets: no target is configured", remedy="Add one: docs/alerts.md.")
    where = look_at(workspace, "/", "alerts")
    message = Message("o365_etl: test", f"This is a test: alerts of o365_etl reach this target.\n\n{where}", "info")
    problems = at_once(lambda target: send(target, message), wanted)
    return [
        {"position": target.position, "scheme": target.scheme, "problem": problem}
        for target, problem in zip(wanted, problems, strict=True)
    ]
