"""Which syncs were asked for, and what became of each.

A request is `queued` until a run takes it up, `started` until that run ends, then `done`; or it is `cancelled` before.
What does not live here: who starts the run of a request (`assets`), and the table itself (`state_schema`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_schema import requests

_IS_QUEUED = requests.c.state == "queued"
_ORDER = (requests.c.due_at, requests.c.queued_at, requests.c.request_id)


class Requests:
    """Writes and reads requests. Part of `StateStore`; raises what it raises.

    A request is a row of the columns request_id, queued_at, due_at, who, trigger, tenants (a list), only_failed, state,
    run_id, closed_at.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def queue(
        self,
        *,
        trigger: str,
        who: str,
        at: datetime,
        due_at: datetime,
        tenants: Sequence[str] = (),
        only_failed: bool = False,
        request_id: str | None = None,
    ) -> str:
        """Ask for a sync of these tenants (none named: all), and return the id of the request.

        What is queued already is not doubled: the same tenants and the same `only_failed` are the same request, which
        becomes due at the sooner time. A `request_id` that is known, in whatever state, is that request.
        """
        wanted = sorted({tenant.strip() for tenant in tenants})
        with self._database.writing(exclusive=True) as connection:
            known = requests.c.request_id == request_id
            if request_id is not None and connection.scalar(sa.select(requests.c.request_id).where(known)):
                return request_id
            # Compared here: the databases compare JSON each in a way of its own.
            for row in connection.execute(sa.select(requests).where(_IS_QUEUED).order_by(*_ORDER)):
                if _folded(row.tenants) == _folded(wanted) and row.only_failed == only_failed:
                    if due_at < row.due_at:
                        this = requests.c.request_id == row.request_id
                        connection.execute(sa.update(requests).where(this).values(due_at=due_at))
                    return str(row.request_id)
            values = {"queued_at": at, "due_at": due_at, "who": who, "trigger": trigger, "state": "queued"}
            values |= {"tenants": wanted, "only_failed": only_failed}
            new = request_id or uuid.uuid4().hex
            connection.execute(sa.insert(requests).values(request_id=new, **values))
        return new

    def open(self) -> list[Row]:
        """What is queued, the soonest first."""
        return self._database.rows(sa.select(requests).where(_IS_QUEUED).order_by(*_ORDER))

    def due(self, at: datetime) -> list[Row]:
        """What is queued and due by this time, the soonest first."""
        return self._database.rows(sa.select(requests).where(_IS_QUEUED, requests.c.due_at <= at).order_by(*_ORDER))

    def find(self, request_id: str) -> Row | None:
        """One request, in whatever state; None if there is none."""
        rows = self._database.rows(sa.select(requests).where(requests.c.request_id == request_id))
        return rows[0] if rows else None

    def cancel(self, request_id: str, at: datetime) -> bool:
        """Take a request back. False if it is not queued (any more): then it runs, ran, or never was."""
        return self._close_queued(request_id, state="cancelled", closed_at=at)

    def take_up(self, request_id: str, run_id: str) -> bool:
        """Make it the business of this run. Of several takers one is told True; all others, and whoever comes after a
        cancellation, False.
        """
        return self._close_queued(request_id, state="started", run_id=run_id)

    def finish(self, run_id: str, at: datetime) -> None:
        """Close what this run had taken up, however the run ended; a run that took up nothing is no error."""
        is_its_own = sa.and_(requests.c.run_id == run_id, requests.c.state == "started")
        with self._database.writing() as connection:
            connection.execute(sa.update(requests).where(is_its_own).values(state="done", closed_at=at))

    def _close_queued(self, request_id: str, **values: object) -> bool:
        this = sa.and_(requests.c.request_id == request_id, _IS_QUEUED)
        with self._database.writing() as connection:
            return connection.execute(sa.update(requests).where(this).values(values)).rowcount == 1


def _folded(tenants: Sequence[str]) -> list[str]:
    return sorted({tenant.casefold() for tenant in tenants})
