"""Who left Microsoft 365, in which way, since when.

What does not live here: what becomes of their contacts (`sync`), and the table itself (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import sqlalchemy as sa

from o365_etl.store.state_database import Database, execute_many, parameter, upsert
from o365_etl.store.state_schema import leavers

STATES = ("gone", "disabled", "shared", "unlicensed")
_TIME = pa.timestamp("us", tz="UTC")
LEAVERS = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("user_id", pa.string()),
        ("state", pa.string()),
        ("since", _TIME),
    ]
)


class Leavers:
    """Remembers leavers. Part of `StateStore`; raises what it raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def table(self) -> pa.Table:
        """Everybody who left: tenant_id, user_id, state, since."""
        query = sa.select(leavers).order_by(leavers.c.tenant_id, leavers.c.user_id)
        return self._database.table(query, LEAVERS)

    def note(self, rows: Iterable[tuple[str, str, str]], at: datetime) -> None:
        """Note who is missing at this time: (tenant, user, state). Who is known keeps the time since when, also if the
        state is another one now. `ValueError` for an unknown state.
        """
        with self._database.writing() as connection:
            names = ("tenant_id", "user_id", "state")
            common = {"since": at}
            known = map(_checked, rows)
            upsert(connection, leavers, names, known, constants=common, replaced=("state",), if_other="state")

    def forget(self, keys: Iterable[tuple[str, str]]) -> None:
        """Forget who is back: (tenant, user); one that is not there is no error."""
        is_one = sa.and_(leavers.c.tenant_id == parameter("tenant"), leavers.c.user_id == parameter("user"))
        with self._database.writing() as connection:
            execute_many(connection, sa.delete(leavers).where(is_one), ("tenant", "user"), keys)


def _checked(row: tuple[str, str, str]) -> tuple[str, str, str]:
    if row[2] not in STATES:
        raise ValueError(f"nobody leaves as {row[2]}; only as {', '.join(STATES)}")
    return row
