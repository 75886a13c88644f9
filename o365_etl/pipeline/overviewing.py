"""The installation at a glance: tenants page by page, what stands out, coverage, license use and the last syncs.

Made for pages that are looked at often: thousands of tenants are paged in SQL, and what costs more is kept until what
it was made from has changed. What does not live here: the figures of one sync (`reporting`), and what is wrong
(`conditions`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from o365_etl.config import Connection, Selection
from o365_etl.config_file import ConfigFile
from o365_etl.errors import ConfigError, NotFoundError
from o365_etl.normalise import normalise
from o365_etl.pipeline import alerting
from o365_etl.pipeline.choices import choices
from o365_etl.pipeline.delivery import KINDS, title_of
from o365_etl.pipeline.publishing import outcomes
from o365_etl.pipeline.scoping import selections_of
from o365_etl.pipeline.workspace import Workspace, now, query

Row = dict[str, Any]
T = TypeVar("T")

TENANT_STATUSES = ("failed", "partial", "not_consented", "quarantined", "excluded", "ok")
# Everything that keeps a tenant from being in order; also what `sync --failed` reads again.
FAILING = ("failed", "partial", "not_consented", "quarantined")
# Runs that read no tenant: they take up decisions, or write what was planned.
_WITHOUT_READING = ("decision", "rematch", "apply", "disconnect")
_SEVERITIES = ("failure", "warning", "info")
# Ages of a tenant's rows; the last class has no end.
_AGES = (("up to a day", 1), ("up to a week", 7), ("up to a month", 30), ("older than a month", None))
# What a tenant does not pay for is no waste, and its numbers (often a million) would hide all others.
_FREE_KINDS = ("free", "viral", "trial")

# $1 the statuses, $2 the connection or NULL, $3 the normalised text or ''.
_FITTING = (
    " FROM sync.tenants s LEFT JOIN m365.tenants t USING (tenant_id)"
    " WHERE list_contains($1::VARCHAR[], s.status) AND ($2::VARCHAR IS NULL OR s.connection = $2)"
    " AND ($3::VARCHAR = '' OR s.tenant_id = $3 OR contains(t.name_key, $3) OR contains(lower(s.display_name), $3)"
    " OR contains(lower(t.microsoft_name), $3)"
    " OR s.tenant_id IN (SELECT tenant_id FROM m365.domains WHERE contains(domain, $3)))"
)


class _Kept:
    """Answers that many views of a page share: of each question the latest, until what it was made from changes."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[object, Any]] = {}

    def get(self, question: str, made_from: object, make: Callable[[], T]) -> T:
        """The answer. Made by two at once it is made twice, and either is right."""
        kept = self._answers.get(question)
        if kept is None or kept[0] != made_from:
            kept = (made_from, make())
            self._answers[question] = kept
        answer: T = kept[1]
        return answer


_kept = _Kept()


# --- tenants


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tenants: part of a name or a domain, one of these statuses, of this connection."""

    text: str = ""
    statuses: tuple[str, ...] = TENANT_STATUSES
    connection: str | None = None


def tenant_counts(workspace: Workspace) -> list[Row]:
    """Tenants by connection and status, with the time of the latest complete read among them."""
    return query(
        workspace,
        "SELECT connection, status, count(*) AS tenants, max(as_of) AS as_of FROM sync.tenants"
        " GROUP BY ALL ORDER BY ALL",
        remember=True,
    )


def tenants(workspace: Workspace, wanted: Wanted, *, limit: int, offset: int) -> tuple[list[Row], int]:
    """One page of the tenants that fit, failing ones first, and how many fit in all."""
    fitting = [list(wanted.statuses), wanted.connection, normalise(wanted.text)]
    counted = query(workspace, f"SELECT count(*) AS tenants{_FITTING}", fitting)[0]["tenants"]
    rows = query(
        workspace,
        "SELECT s.tenant_id, s.display_name, s.status, s.error_code, s.remedy, s.as_of, s.connection, s.failing_since,"
        f" s.next_try_at, t.default_domain{_FITTING}"
        " ORDER BY list_position($4::VARCHAR[], s.status), lower(s.display_name), s.tenant_id LIMIT $5 OFFSET $6",
        [*fitting, list(TENANT_STATUSES), limit, offset],
    )
    return rows, int(counted)


def tenant(workspace: Workspace, tenant_id: str) -> Row:
    """One tenant as the last sync left it. Raises `NotFoundError`."""
    rows = query(
        workspace,
        "SELECT tenant_id, display_name, status, connection FROM sync.tenants WHERE tenant_id = ?",
        [tenant_id],
    )
    if not rows:
        raise NotFoundError(f"no sync has seen a tenant {tenant_id!r}", remedy="Look for it in the list of tenants.")
    return rows[0]


# --- syncs


def last_sync(workspace: Workspace) -> Row | None:
    """The latest run that read tenants, or failed before it could; None before the first."""
    return next((run for run in workspace.state.runs(limit=200) if _reads(run)), None)


def syncs(workspace: Workspace, limit: int) -> list[Row]:
    """The latest syncs that ended well, oldest first: rows of users and contacts, tenants not read, and the changes
    that were written by it and until the next one.
    """
    found: list[Row] = []
    written = 0
    for run in workspace.state.runs(limit=limit * 10):
        counts = run["counts"] or {}
        written += outcomes(counts).get("applied", 0)
        if run["tenants_ok"] is None or run["status"] not in ("ok", "blocked"):
            continue
        found.append(
            {
                "run_id": run["run_id"],
                "started_at": run["started_at"],
                "users": counts.get("m365.users"),
                "contacts": counts.get("itglue.contacts"),
                "written": written,
                "tenants_failed": run["tenants_failed"],
            }
        )
        written = 0
        if len(found) == limit:
            break
    return found[::-1]


def _reads(run: Row) -> bool:
    if run["status"] == "queued" or run["trigger"] in _WITHOUT_READING:
        return False
    return run["status"] in ("syncing", "failed") or run["tenants_ok"] is not None


# --- what stands out


def alerts(workspace: Workspace, most: int) -> Row:
    """What is raised, by kind, the worst first: title, since when, at most so many of each; and targets that do not
    take messages.
    """
    state = workspace.state
    made_from = (
        workspace.open_copy.version(),
        workspace.settings,
        state.alerts.rows(),
        [(run["run_id"], run["status"]) for run in state.runs(limit=3)],
        state.approvals.open(),
        # What ends on a day is told in days.
        now().replace(minute=0, second=0, microsecond=0),
    )
    standing = _kept.get(f"alerts {workspace.data_dir}", made_from, lambda: alerting.standing(workspace))
    kinds: dict[str, list[Row]] = {}
    for alert in standing["alerts"]:
        kinds.setdefault(alert["kind"], []).append(alert)
    groups = [
        {
            "kind": kind,
            "severity": KINDS[kind].severity,
            "title": title_of(kind, is_over=False, number=len(rows)),
            "since": min(row["since"] for row in rows),
            "alerts": rows[:most],
            "more": max(0, len(rows) - most),
        }
        for kind, rows in kinds.items()
    ]
    groups.sort(key=lambda group: (_SEVERITIES.index(group["severity"]), group["kind"]))
    return {"groups": groups, "targets": [each for each in standing["targets"] if each["problem"]]}


# --- what is chosen


def chosen(workspace: Workspace, connection: str) -> Row:
    """`choices` of one connection, kept: its counts walk through all users of all tenants."""
    made_from = (workspace.open_copy.version(), selections_of(workspace.settings))
    return _kept.get(f"choices {workspace.data_dir} {connection}", made_from, lambda: choices(workspace, connection))


@dataclass(frozen=True, slots=True)
class Overridden:
    """A key of the selection that the environment sets. `is_own`: for this connection, so that nothing saved counts."""

    key: str
    variable: str
    is_own: bool


def names_of(workspace: Workspace, tenant_ids: Collection[str]) -> dict[str, str]:
    """What these tenants are called, by their id where they have no name; whoever no sync has seen is left out."""
    if not tenant_ids or not workspace.published.is_file():
        return {}
    rows = query(
        workspace,
        "SELECT tenant_id, coalesce(display_name, tenant_id) AS name FROM sync.tenants"
        " WHERE list_contains(?::VARCHAR[], tenant_id)",
        [sorted(tenant_ids)],
    )
    return {row["tenant_id"]: row["name"] for row in rows}


def overridden(workspace: Workspace, connection: Connection) -> list[Overridden]:
    """What the environment sets of the selection in force for a connection."""
    settings = workspace.settings
    stands = None
    if settings.file is not None:
        with contextlib.suppress(ConfigError):  # a file that means nothing without the environment
            stands = ConfigFile.open(settings.file).settings()
    if stands is None:
        return []
    place = settings.connections.index(connection)
    in_file = next((each for each in stands.connections if each.name == connection.name), None)
    found = []
    for key in Selection.model_fields:
        own = getattr(connection.selection, key)
        if in_file is not None and own != getattr(in_file.selection, key):
            found.append(Overridden(key, f"O365_ETL_CONNECTIONS__{place}__SELECTION__{key.upper()}", True))
        elif own is None and getattr(settings.selection, key) != getattr(stands.selection, key):
            found.append(Overridden(key, f"O365_ETL_SELECTION__{key.upper()}", False))
    return found


# --- coverage, licenses, age


def coverage(workspace: Workspace) -> Row:
    """Tenants and users by the status of their match."""

    def counted(table: str) -> dict[str, int]:
        sql = f"SELECT status, count(*) AS n FROM {table} GROUP BY 1 ORDER BY 1"
        return {row["status"]: row["n"] for row in query(workspace, sql, remember=True)}

    return {"tenants": counted("match.organizations"), "users": counted("match.contacts")}


def products(workspace: Workspace) -> Row:
    """Products that cost something, over all tenants, the most unused first; their totals; how many others there are.

    What one tenant has too many of is of no use to another: unused and over-used licenses are not set off.
    """
    rows = query(
        workspace,
        "SELECT l.sku_id, max(l.product_name) AS name, coalesce(max(p.kind), 'unknown') AS kind,"
        " count(DISTINCT l.tenant_id) AS tenants, sum(active)::BIGINT AS active, sum(consumed)::BIGINT AS consumed,"
        " sum(greatest(unused, 0)) FILTER (unused IS NOT NULL)::BIGINT AS unused,"
        " sum(greatest(-unused, 0)) FILTER (unused IS NOT NULL)::BIGINT AS overused,"
        " sum(suspended)::BIGINT AS suspended"
        " FROM m365.licenses l LEFT JOIN m365.products p USING (sku_id) GROUP BY l.sku_id"
        " ORDER BY unused DESC NULLS LAST, lower(name), l.sku_id",
        remember=True,
    )
    paid = [row for row in rows if row["kind"] not in _FREE_KINDS]
    figures = ("active", "consumed", "unused", "overused", "suspended")
    return {
        "products": paid,
        "totals": {figure: sum(row[figure] or 0 for row in paid) for figure in figures},
        "left_out": len(rows) - len(paid),
    }


def ages(workspace: Workspace, at: datetime, oldest: int) -> Row:
    """Tenants by the age of their rows, those that were never read, and the oldest of them that are over a day old.

    Tenants that the configuration leaves out are not counted.
    """
    limits = [at - timedelta(days=days) for _, days in _AGES if days is not None]
    counted = query(
        workspace,
        "SELECT count(*) FILTER (as_of >= $1) AS a0, count(*) FILTER (as_of < $1 AND as_of >= $2) AS a1,"
        " count(*) FILTER (as_of < $2 AND as_of >= $3) AS a2, count(*) FILTER (as_of < $3) AS a3,"
        " count(*) FILTER (as_of IS NULL) AS never FROM sync.tenants WHERE status <> 'excluded'",
        limits,
    )[0]
    stale = query(
        workspace,
        "SELECT tenant_id, display_name, status, as_of FROM sync.tenants WHERE status <> 'excluded' AND as_of < ?"
        " ORDER BY as_of, display_name, tenant_id LIMIT ?",
        [limits[0], oldest],
    )
    classes = [{"age": name, "tenants": counted[f"a{place}"]} for place, (name, _) in enumerate(_AGES)]
    return {"classes": [*classes, {"age": "never read", "tenants": counted["never"]}], "oldest": stale}
