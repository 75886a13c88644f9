"""Tenants that fail for a reason only a person can mend: since when, how often, and when they are tried again.

What does not live here: which failures count and how long the pauses are (`pipeline.quarantining`), and the table
itself (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_schema import quarantine

_IS_COUNTED = quarantine.c.failures > 0


class Quarantine:
    """Writes and reads failing tenants. Part of `StateStore`; raises what it raises.

    A tenant is a row of the columns tenant_id, connection, error_code, remedy, failing_since, failures (one after the
    other), next_try_at, credential. It stands here from its first failure on; it is left out of a sync only while
    `next_try_at` lies ahead.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[Row]:
        """Every failing tenant, the one that fails longest first."""
        order = (quarantine.c.failing_since, quarantine.c.tenant_id)
        return self._database.rows(sa.select(quarantine).order_by(*order))

    def paused(self, at: datetime) -> list[Row]:
        """Those that are not tried at this time unless somebody asks for it, in the order of `rows`."""
        return [row for row in self.rows() if row["next_try_at"] > at]

    def note(self, failed: Iterable[Mapping[str, Any]], recovered: Iterable[str] = ()) -> None:
        """Replace the rows of tenants that failed, all columns, and forget those whose failing is over."""
        new = [dict(row) for row in failed]
        gone = {*recovered, *(row["tenant_id"] for row in new)}
        if not gone:
            return
        with self._database.writing() as connection:
            this = quarantine.c.tenant_id == sa.bindparam("which")
            connection.execute(sa.delete(quarantine).where(this), [{"which": tenant_id} for tenant_id in gone])
            if new:
                connection.execute(sa.insert(quarantine), new)

    def release(self, tenant_id: str) -> bool:
        """Let the next sync try this tenant, and count its failures from the start. False if there was nothing to
        release. Since when it fails stays: it is over only when the tenant was read.
        """
        return self._release(quarantine.c.tenant_id == tenant_id) > 0

    def release_connection(self, connection: str) -> int:
        """The same for all tenants of a connection; how many."""
        return self._release(quarantine.c.connection == connection)

    def forget_connection(self, connection: str) -> int:
        """Forget all tenants of a connection that was removed; how many."""
        with self._database.writing() as db:
            return db.execute(sa.delete(quarantine).where(quarantine.c.connection == connection)).rowcount

    def _release(self, which: sa.ColumnElement[bool]) -> int:
        released = sa.update(quarantine).where(which, _IS_COUNTED)
        with self._database.writing() as db:
            return db.execute(released.values(failures=0, next_try_at=quarantine.c.failing_since)).rowcount
