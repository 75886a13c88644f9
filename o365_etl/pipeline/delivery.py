"""Words for what changed, and its way to the targets: one message for each kind of change.

What a target did not take it gets at the next look, and no other target gets it twice. What does not live here: what is
wrong (`conditions`), and how a message reaches a target (`messages`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from o365_etl.pipeline.conditions import Conditions, called
from o365_etl.pipeline.messages import Message, Target, at_once, send
from o365_etl.pipeline.workspace import Workspace
from o365_etl.store.state_alerts import OVER

Row = dict[str, Any]
# Of one kind, so many lines in one message.
MOST_LINES = 20


@dataclass(frozen=True)
class Kind:
    """How a kind is told: how bad it is, its title when raised and when over (of one, of several; None: its end is not
    told), and the command to look with where no website is configured.
    """

    severity: str
    raised: tuple[str, str]
    over: tuple[str, str] | None
    command: str


def _same(title: str) -> tuple[str, str]:
    return title, title


KINDS: Mapping[str, Kind] = {
    "run_failed": Kind("failure", _same("a sync failed"), _same("syncs end well again"), "logs --level error"),
    "tenant_failing": Kind(
        "warning",
        ("a tenant cannot be read", "{n} tenants cannot be read"),
        ("a tenant is read again", "{n} tenants are read again"),
        "status",
    ),
    "tenant_waiting": Kind(
        "info",
        ("a tenant waits for consent", "{n} tenants wait for consent"),
        ("a tenant is connected", "{n} tenants are connected"),
        "status",
    ),
    "brake": Kind(
        "warning",
        ("a brake holds a plan", "brakes hold the plans of {n} tenants"),
        ("no brake holds a plan any more", "no brake holds the plans of {n} tenants any more"),
        "plan",
    ),
    "plan": Kind("info", _same("a plan waits for approval"), None, "plan"),
    "secret": Kind("warning", ("a credential ends soon", "{n} credentials end soon"), None, "alerts"),
    "access": Kind("warning", ("GDAP access to a tenant ends", "GDAP access to {n} tenants ends"), None, "alerts"),
    "sku": Kind("info", ("a product has no name", "{n} products have no name"), None, "alerts"),
}


class Delivery:
    """Sends what is still to be told: to most targets what nobody took yet, to one that failed also what it missed."""

    def __init__(self, workspace: Workspace, found: Conditions, at: datetime) -> None:
        self._workspace, self._found, self._at = workspace, found, at
        self._alerts = workspace.state.alerts
        self._wrong = {each.subject: each for each in found.wrong}
        self._groups: dict[str, list[Row]] = {}
        for row in self._alerts.rows():
            if row["state"] == OVER or row["subject"] in self._wrong:
                self._groups.setdefault(f"{row['kind']}:{row['state']}", []).append(row)
        self._before = self._alerts.debts()

    def to(self, wanted: Sequence[Target]) -> tuple[int, tuple[str, ...]]:
        """Send to these targets; how many messages went out, and the targets that did not take theirs."""
        outcomes = at_once(self._send, wanted)
        sent: set[str] = set()
        went_out: set[str] = set()
        debts: dict[str, datetime] = {}
        failed = []
        for target, (taken, refused, problem) in zip(wanted, outcomes, strict=True):
            for name, rows in taken.items():
                went_out.add(name)
                sent.update(row["subject"] for row in rows)
            for name, rows in refused.items():
                key = _debt(target, name)
                debts[key] = min([row["since"] for row in rows] + [self._before.get(key, self._at)])
            had_failed = is_owed(target, self._before)
            if problem is not None:
                failed.append(target.name)
                if not had_failed:
                    self._workspace.state.log(None, "warning", f"alerts: {target.name} took no message: {problem}")
            elif had_failed and taken:
                self._workspace.state.log(None, "info", f"alerts: {target.name} takes messages again")
        if sent:
            self._alerts.sent(sent, self._at)
        if debts or self._before or any(row["state"] == OVER for rows in self._groups.values() for row in rows):
            self._alerts.keep_debts(debts)
        return len(went_out), tuple(failed)

    def _send(self, target: Target) -> tuple[dict[str, list[Row]], dict[str, list[Row]], str | None]:
        """What this target took, what it did not, and why; after the first refusal it is left alone."""
        taken: dict[str, list[Row]] = {}
        refused: dict[str, list[Row]] = {}
        problem: str | None = None
        for name, group in self._groups.items():
            missed = self._before.get(_debt(target, name))
            rows = [row for row in group if row["sent_at"] is None or (missed is not None and row["since"] >= missed)]
            if not rows:
                continue
            problem = problem or send(target, self._message(rows))
            (refused if problem else taken)[name] = rows
        return taken, refused, problem

    def _message(self, rows: Sequence[Row]) -> Message:
        kind, is_over = KINDS[rows[0]["kind"]], rows[0]["state"] == OVER
        subjects = {row["subject"] for row in rows}
        if is_over:
            lines, paths = [ended_text(row, self._found) for row in rows], {_path_of(row) for row in rows}
        else:
            told = [each for each in self._found.wrong if each.subject in subjects]
            lines, paths = [each.text for each in told], {each.path for each in told}
        more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        where = look_at(self._workspace, paths.pop() if len(paths) == 1 else "/", kind.command)
        title = title_of(rows[0]["kind"], is_over=is_over, number=len(rows))
        body = "\n".join([*lines[:MOST_LINES], *more, "", where])
        return Message(f"o365_etl: {title}", body, "success" if is_over else kind.severity)


def is_owed(target: Target, debts: Iterable[str]) -> bool:
    """True if this target did not take a message that it still has to get."""
    return any(key.startswith(_debt(target, "")) for key in debts)


def _debt(target: Target, group: str) -> str:
    return f"debt:{target.position}:{group}"


def look_at(workspace: Workspace, path: str, command: str) -> str:
    """Where to look: an address if a website is configured, else a command."""
    start = workspace.settings.alerts.link.strip().rstrip("/")
    return f"{start}{path}" if start else f"Look: o365-etl {command}"


def title_of(name: str, *, is_over: bool, number: int) -> str:
    """The title of a message about so many changes of one kind."""
    kind = KINDS[name]
    one, several = (kind.over or _same("")) if is_over else kind.raised
    return one if number == 1 else several.format(n=f"{number:,}")


def tenant_of(row: Row) -> str | None:
    """The tenant that a row is about, if about one."""
    what, _, tenant_id = str(row["subject"]).partition(":")
    return tenant_id if what in ("tenant", "brake", "access") else None


def _path_of(row: Row) -> str:
    tenant_id = tenant_of(row)
    return f"/tenants/{tenant_id}" if tenant_id else "/"


def ended_text(row: Row, found: Conditions) -> str:
    """What is right again."""
    tenant_id = tenant_of(row)
    return called(tenant_id, found.names) if tenant_id else "A sync ended well after the one that failed."
