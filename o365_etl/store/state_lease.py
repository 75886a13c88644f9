"""The lease: the right to write where several machines share the state store, for the run that renews it.

A lock of the operating system ends with its process; a run whose steps are executed by processes on several machines
needs something else. The lease belongs to a run. Whoever works for that run renews it, and it ends when it is given
back, or `LEASE_SECONDS` after everybody who could have renewed it has died.

Times are compared on the clock of the database server, which all machines share.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from o365_etl.errors import BusyError, O365EtlError
from o365_etl.store import state_schema as schema
from o365_etl.store.lock import Holder
from o365_etl.store.meanwhile import meanwhile
from o365_etl.store.state_database import Database

# A database that is away for a while takes nobody's lease.
LEASE_SECONDS = 120.0
RENEW_SECONDS = 20.0

_NAME = "sync"
_lease = schema.leases


class Lease:
    """Who may write."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, wanted: Holder) -> Holder | None:
        """Take the lease; returns who has it instead, None if it was taken. A run that has it may take it again."""
        with self._database.writing(exclusive=True) as connection:
            at = _now(connection)
            row = connection.execute(sa.select(_lease).where(_lease.c.name == _NAME)).mappings().first()
            if row is not None and row["run_id"] != wanted.run_id and not _is_over(row["renewed_at"], at):
                return _holder(row)
            connection.execute(sa.delete(_lease).where(_lease.c.name == _NAME))
            values = {"run_id": wanted.run_id, "trigger": wanted.trigger, "pid": wanted.pid, "host": wanted.host}
            connection.execute(sa.insert(_lease).values(name=_NAME, since=at, renewed_at=at, **values))
        return None

    def renew(self, run_id: str) -> bool:
        """Renew the lease of a run; False if it is not this run's any more."""
        with self._database.writing() as connection:
            own = sa.update(_lease).where(_lease.c.name == _NAME, _lease.c.run_id == run_id)
            return bool(connection.execute(own.values(renewed_at=_now(connection))).rowcount)

    def give_back(self, run_id: str) -> None:
        """End the lease of a run; nothing happens if it is another's."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(_lease).where(_lease.c.name == _NAME, _lease.c.run_id == run_id))

    def holder(self) -> Holder | None:
        """Who has the lease now; None if nobody does."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(_lease).where(_lease.c.name == _NAME)).mappings().first()
            if row is None or _is_over(row["renewed_at"], _now(connection)):
                return None
            return _holder(row)

    @contextlib.contextmanager
    def keep(self, run_id: str) -> Iterator[None]:
        """Renew the lease of a run at once, and then until the block ends.

        Raises `BusyError` if it is not this run's, or was lost to another one within the block.
        """
        if not self.renew(run_id):
            raise _lost(run_id)
        is_lost = threading.Event()

        def renew() -> bool:
            try:
                if self.renew(run_id):
                    return True
            except (O365EtlError, sa.exc.SQLAlchemyError):
                return True  # the server is away: the next round tells, and the lease is longer than that
            is_lost.set()
            return False

        with meanwhile("lease", RENEW_SECONDS, renew):
            yield
        if is_lost.is_set():
            raise _lost(run_id)


def _lost(run_id: str) -> BusyError:
    return BusyError(
        f"the run {run_id} has no right to write (any more): it has ended, or gave no sign of life for too long",
        remedy="Run the sync again.",
    )


def _is_over(renewed_at: datetime, at: datetime) -> bool:
    return at - renewed_at > timedelta(seconds=LEASE_SECONDS)


def _holder(row: sa.RowMapping) -> Holder:
    return Holder(row["run_id"], row["trigger"], row["pid"], row["host"], row["since"])


def _now(connection: sa.Connection) -> datetime:
    if connection.dialect.name == "postgresql":
        at: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return at.astimezone(UTC)
    return datetime.now(UTC)  # a file is used on one machine
