"""Which plans people approved. An approval names a plan by its hash and is good for one run.

What does not live here: what a plan is (`sync`), and the table itself (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_schema import approvals

_IS_OPEN = approvals.c.state == "open"


class Approvals:
    """Writes and reads approvals. Part of `StateStore`; raises what it raises.

    Tenant id None is what belongs to the whole account.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def approve(self, rows: Iterable[tuple[str | None, str]], who: str, why: str | None = None) -> None:
        """Approve plans: (tenant, plan hash). Replaces an unused approval of another plan of the same tenant; the same
        plan once more (a double click) changes nothing.
        """
        at = datetime.now(UTC)
        with self._database.writing(exclusive=True) as connection:
            known = {row.tenant_id: row for row in _open(connection)}
            wanted = {t: plan for t, plan in rows if t not in known or known[t].plan_hash != plan}
            _close(connection, [known[t].id for t in wanted if t in known], state="replaced", at=at)
            common = {"at": at, "who": who, "why": why, "state": "open"}
            values = [{"tenant_id": t, "plan_hash": plan, **common} for t, plan in wanted.items()]
            if values:
                connection.execute(sa.insert(approvals), values)

    def open(self) -> dict[str | None, str]:
        """The approvals that no run has used yet: tenant id → plan hash."""
        with self._database.reading() as connection:
            return {row.tenant_id: row.plan_hash for row in _open(connection)}

    def use(self, run_id: str, plans: Mapping[str | None, str]) -> dict[str | None, str]:
        """Mark the open approvals of these plans (tenant → plan hash) as used by a run, and return them: what is
        returned is used by this run and by no other. An approval of another plan, given in the meantime, stays open.
        """
        with self._database.writing(exclusive=True) as connection:
            used = [row for row in _open(connection) if plans.get(row.tenant_id) == row.plan_hash]
            _close(connection, [row.id for row in used], state="used", at=datetime.now(UTC), run_id=run_id)
        return {row.tenant_id: row.plan_hash for row in used}

    def history(self, limit: int = 100) -> list[Row]:
        """The latest approvals, newest first: id, at, who, why, tenant_id, plan_hash, state (open, used, replaced),
        run_id, closed_at.
        """
        return self._database.rows(sa.select(approvals).order_by(approvals.c.id.desc()).limit(limit))


def _open(connection: sa.Connection) -> list[sa.Row[Any]]:
    columns = approvals.c
    query = sa.select(columns.id, columns.tenant_id, columns.plan_hash).where(_IS_OPEN)
    return list(connection.execute(query.order_by(columns.id)))


def _close(connection: sa.Connection, ids: list[int], *, state: str, at: datetime, run_id: str | None = None) -> None:
    if ids:
        statement = sa.update(approvals).where(approvals.c.id == sa.bindparam("which"))
        statement = statement.values(state=state, closed_at=at, run_id=run_id)
        connection.execute(statement, [{"which": each} for each in ids])
