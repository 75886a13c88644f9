"""What is wrong now, or about to be: computed from the published copy, the syncs and the configuration.

Texts name tenants, products and connections; never a person. What does not live here: what was told already, and how it
is told (`alerting`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from o365_etl.config import Connection
from o365_etl.errors import ConfigError, TransientError
from o365_etl.graph.endings import certificate_end
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.tables import BRAKE_MARK

# Days before an end at which it is told, each time once more.
STAGES = (3, 14, 60)
FROM_CONFIGURATION = ("run_failed", "secret")
FROM_TABLES = ("tenant_failing", "tenant_waiting", "brake", "plan", "access", "sku")
# An answer that should not be believed may be right an hour later.
_TRANSIENT: tuple[type[TransientError], ...] = (TransientError, *TransientError.__subclasses__())
_MAY_PASS = {"tls", "unavailable", "zero_users"} | {each.code for each in _TRANSIENT}
PASSING = "may_pass"
# Names come from other people's directories: no mention of everybody, no link with a text of its own, no second line.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "@": "＠", "`": "'", "*": "·"})
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong. `subject` names it for ever, `cause` why: another cause is told anew. `path` is where
    to look on the review website. `mark`, for a reason that may pass: the sync that found it.
    """

    subject: str
    kind: str
    cause: str
    text: str
    path: str = "/"
    tenant_id: str | None = None
    mark: str | None = None


@dataclass(frozen=True)
class Conditions:
    """All of them, of the kinds that could be looked at; how each tenant is called, and which tenants are in order."""

    wrong: tuple[Condition, ...]
    kinds: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    in_order: frozenset[str] = frozenset()


def conditions(workspace: Workspace, at: datetime) -> Conditions:
    """What is wrong at this time. Nothing was published yet: only what the syncs and the configuration tell."""
    wrong = [*_run(workspace), *_secrets(workspace, at)]
    if not workspace.published.is_file():
        return Conditions(tuple(wrong), FROM_CONFIGURATION)
    tables = _Tables(workspace, at)
    tenants = list(tables.tenants())
    wrong += [*tenants, *tables.plans(), *tables.access(), *tables.products()]
    failing = {each.tenant_id for each in tenants}
    in_order = frozenset(tenant_id for tenant_id in tables.names if tenant_id not in failing)
    return Conditions(tuple(wrong), (*FROM_CONFIGURATION, *FROM_TABLES), tables.names, in_order)


def called(tenant_id: str, names: Mapping[str, str]) -> str:
    """A tenant as a message names it."""
    name = names.get(tenant_id)
    return f"{name} ({tenant_id})" if name else tenant_id


def _run(workspace: Workspace) -> Iterator[Condition]:
    """The last sync failed, and none that reads tenants has ended well since."""
    for run in workspace.state.runs(limit=200):
        if run["status"] == "failed":
            said = f"The sync {run['run_id']} ({run['trigger']}), started {_moment(run['started_at'])}, failed."
            yield Condition("run", "run_failed", "failed", said, f"/log?run={run['run_id']}")
            return
        if run["status"] in ("ok", "blocked") and run["tenants_ok"] is not None:
            return


def _secrets(workspace: Workspace, at: datetime) -> Iterator[Condition]:
    for connection in _active(workspace):
        ends = {}
        if connection.secret_expires is not None:
            ends["client secret"] = datetime.combine(connection.secret_expires, time(), UTC)
        with suppress(ConfigError):  # one that cannot be read is for a sync to tell, and for `doctor`
            if (end := certificate_end(connection)) is not None:
                ends["certificate"] = end
        if not ends:
            continue
        what = min(ends, key=lambda each: ends[each])
        if (stage := _stage(ends[what], at)) is not None:
            text = f"Connection {connection.name}: its {what} {_ends(ends[what], at)}. Make a new one and run connect."
            yield Condition(f"secret:{connection.name}", "secret", stage, text)


def _active(workspace: Workspace) -> list[Connection]:
    return [connection for connection in workspace.settings.connections if not connection.paused]


class _Tables:
    """What the published copy tells, of the connections that are neither paused nor removed."""

    def __init__(self, workspace: Workspace, at: datetime) -> None:
        self._workspace, self._at = workspace, at
        self._connections = [connection.name for connection in _active(workspace)]
        self._tenants = self._rows(
            "SELECT tenant_id, display_name, status, error_code, remedy, as_of, streams FROM sync.tenants"
            " WHERE status <> 'excluded' AND list_contains(?::VARCHAR[], connection) ORDER BY display_name, tenant_id",
            self._connections,
        )
        self.names = {row["tenant_id"]: _harmless(row["display_name"]) for row in self._tenants if row["display_name"]}
        self.names |= {row["tenant_id"]: "" for row in self._tenants if row["tenant_id"] not in self.names}

    def tenants(self) -> Iterator[Condition]:
        """Tenants that wait for consent, are not read, or not completely. What may not be read is a choice."""
        found = {row["tenant_id"]: problem for row in self._tenants if (problem := _problem(row)) is not None}
        last_failed = self._last_failed([t for t, (code, _) in found.items() if code in _MAY_PASS])
        for row in self._tenants:
            if row["tenant_id"] not in found:
                continue
            code, remedy = found[row["tenant_id"]]
            yield self._tenant(row, code, remedy, last_failed.get(row["tenant_id"]))

    def _tenant(self, row: Mapping[str, Any], code: str, remedy: str, mark: str | None) -> Condition:
        tenant_id = row["tenant_id"]
        name, subject, path = called(tenant_id, self.names), f"tenant:{tenant_id}", f"/tenants/{tenant_id}"
        if code == "not_consented":
            return Condition(subject, "tenant_waiting", code, f"{name}. {remedy}".strip(), path, tenant_id)
        last = f"last read {_moment(row['as_of'])}" if row["as_of"] else "never read"
        cause = PASSING if code in _MAY_PASS else code
        return Condition(subject, "tenant_failing", cause, f"{name}: {code}, {last}. {remedy}", path, tenant_id, mark)

    def _last_failed(self, tenant_ids: Collection[str]) -> dict[str, str]:
        """Tenant → the last sync that could not read it."""
        if not tenant_ids:
            return {}
        rows = self._rows(
            "SELECT tenant_id, arg_max(run_id, entry_id) AS run_id FROM sync.log WHERE level = 'error'"
            " AND run_id IS NOT NULL AND list_contains(?::VARCHAR[], tenant_id) GROUP BY tenant_id",
            list(tenant_ids),
        )
        return {row["tenant_id"]: row["run_id"] for row in rows}

    def plans(self) -> Iterator[Condition]:
        """Brakes that hold a tenant's plan; and in mode `plan` the changes that no brake holds. What a person approved
        since the plan was made waits no more, and what the account itself lacks belongs to the tenants that need it.
        """
        approved = self._workspace.state.approvals.open()
        rows = self._rows(
            "SELECT tenant_id, state, plan_hash, count(*) AS changes,"
            f" split_part(any_value(reason), '{BRAKE_MARK}', 2) AS why FROM sync.changes"
            " WHERE state IN ('planned', 'blocked') AND tenant_id IS NOT NULL GROUP BY ALL ORDER BY ALL"
        )
        waiting = [row for row in rows if approved.get(row["tenant_id"]) != row["plan_hash"]]
        for row in waiting:
            if row["state"] == "blocked":
                tenant_id = row["tenant_id"]
                text = f"{called(tenant_id, self.names)}: {row['why']}."
                yield Condition(f"brake:{tenant_id}", "brake", "pulled", text, "/plan", tenant_id)
        planned = [row for row in waiting if row["state"] == "planned"]
        if planned and self._workspace.settings.itglue.mode == "plan":
            text = f"Changes: {sum(row['changes'] for row in planned):,}, in tenants: {len(planned):,}."
            yield Condition("plan", "plan", "waiting", text, "/plan")

    def access(self) -> Iterator[Condition]:
        """Tenants whose last GDAP relationship is about to end."""
        for row in self._rows(
            "SELECT tenant_id, access_ends_at FROM m365.tenants WHERE access_ends_at < ? ORDER BY ALL",
            self._at + timedelta(days=max(STAGES) + 1),
        ):
            tenant_id, ends_at = row["tenant_id"], row["access_ends_at"]
            if tenant_id in self.names and (stage := _stage(ends_at, self._at)) is not None:
                text = f"{called(tenant_id, self.names)}: {_ends(ends_at, self._at)}. Renew the GDAP relationship."
                yield Condition(f"access:{tenant_id}", "access", stage, text, f"/tenants/{tenant_id}", tenant_id)

    def products(self) -> Iterator[Condition]:
        """Products without a name."""
        for row in self._rows("SELECT * FROM m365.unknown_skus ORDER BY sku_id"):
            # What only users hold is in no tenant's list, and so nobody counts its licenses.
            held = f"users: {row['users']:,}" if row["consumed"] is None else f"licenses in use: {row['consumed']:,}"
            name = _harmless(row["sku_part_number"] or "no part number")
            text = f"{name} ({row['sku_id']}), {held}, tenants: {row['tenants']:,}."
            yield Condition(f"sku:{row['sku_id']}", "sku", "unknown", text)

    def _rows(self, sql: str, parameter: object = None) -> list[dict[str, Any]]:
        return query(self._workspace, sql, [] if parameter is None else [parameter])


def _problem(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a tenant is not in order, and the mend: of several streams that failed, the first that a person must mend."""
    code, remedy = row["error_code"] or "failed", row["remedy"] or ""
    if row["status"] == "not_consented" or code == "not_consented":
        return "not_consented", remedy
    if row["status"] in ("failed", "quarantined"):
        return code, remedy
    streams = json.loads(row["streams"] or "{}").values()
    failed = [(s.get("error_code") or "failed", s.get("remedy") or "") for s in streams if s["state"] == "failed"]
    return next((each for each in failed if each[0] not in _MAY_PASS), failed[0] if failed else None)


def _stage(ends_at: datetime, at: datetime) -> str | None:
    left = ends_at - at
    return next((f"{days} days" for days in STAGES if left <= timedelta(days=days)), None)


def _ends(ends_at: datetime, at: datetime) -> str:
    days = (ends_at - at).days
    when = "" if ends_at <= at else " (today)" if days == 0 else f" (in {days} day{'s' * (days != 1)})"
    return f"{'ended' if ends_at <= at else 'ends'} on {ends_at.astimezone(UTC):%Y-%m-%d}{when}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _harmless(name: str) -> str:
    text = " ".join("".join(char if char.isprintable() else " " for char in name).split()).translate(_HARMLESS)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"
