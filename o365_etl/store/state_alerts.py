"""What people were told, or are to be told: one row for each thing that is wrong, and for each message that a target
did not take.

States of a row: `seen`: wrong for the first time, by a reason that may pass; `raised`; `over`: right again, and that is
still to be told. What does not live here: what is wrong and how it is told (`pipeline`), and the table itself
(`state_schema`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_schema import alerts

SEEN, RAISED, OVER = "seen", "raised", "over"
# The kind of a row that stands for what one target did not take.
DEBT = "debt"


class Wrong(Protocol):
    """One thing that is wrong now. `mark` None: it is raised at once; otherwise only when it is found again under
    another mark than the first time.
    """

    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def cause(self) -> str: ...  # noqa: D102
    @property
    def mark(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True)
class Settled:
    """What changed, in rows: newly raised, and over."""

    raised: tuple[Row, ...]
    over: tuple[Row, ...]


class Alerts:
    """Remembers what is raised. Part of `StateStore`; raises what it raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[Row]:
        """Everything that is raised, or over and still to be told: subject, kind, cause, state, since, sent_at."""
        query = sa.select(alerts).where(alerts.c.kind != DEBT, alerts.c.state != SEEN)
        return self._database.rows(query.order_by(alerts.c.kind, alerts.c.subject))

    def settle(
        self, wrong: Iterable[Wrong], kinds: Collection[str], at: datetime, *, to_tell: Collection[str]
    ) -> Settled:
        """Compare what is wrong now with what is raised, and remember it; of processes that do so at once each change
        is returned to one.

        A kind that is not in `kinds` was not looked at: its rows stay. The end of a subject in `to_tell` stays as a row
        until it was sent, any other end is forgotten. A cause that changes is raised anew; one that may pass is not,
        where the same kind is raised already.
        """
        now = {each.subject: each for each in wrong}
        raised: list[Row] = []
        over: list[Row] = []
        with self._database.writing(exclusive=True) as connection:
            query = sa.select(alerts).where(alerts.c.kind != DEBT)
            known = {row["subject"]: dict(row) for row in connection.execute(query).mappings()}
            for subject, each in now.items():
                after = _after(known.get(subject), each, at)
                if after is None:
                    continue
                _put(connection, after, is_new=subject not in known)
                if after["state"] == RAISED:
                    raised.append(after)
            for subject, row in known.items():
                if subject in now or row["kind"] not in kinds or row["state"] == OVER:
                    continue
                if row["state"] == RAISED:
                    over.append(row)
                if row["state"] == RAISED and subject in to_tell:
                    _put(connection, {**row, "state": OVER, "since": at, "sent_at": None}, is_new=False)
                else:
                    connection.execute(sa.delete(alerts).where(alerts.c.subject == subject))
        return Settled(tuple(raised), tuple(over))

    def sent(self, subjects: Iterable[str], at: datetime) -> None:
        """Note that the messages about these went out."""
        with self._database.writing() as connection:
            for subject in subjects:
                is_one = sa.and_(alerts.c.subject == subject, alerts.c.sent_at.is_(None))
                connection.execute(sa.update(alerts).where(is_one).values(sent_at=at))

    def debts(self) -> dict[str, datetime]:
        """What targets did not take: a key of the caller's → everything since then."""
        query = sa.select(alerts.c.subject, alerts.c.since).where(alerts.c.kind == DEBT)
        return {row["subject"]: row["since"] for row in self._database.rows(query)}

    def keep_debts(self, debts: Mapping[str, datetime]) -> None:
        """Replace all debts by these, and forget what is over, sent, and owed to nobody."""
        with self._database.writing(exclusive=True) as connection:
            connection.execute(sa.delete(alerts).where(alerts.c.kind == DEBT))
            for key, since in debts.items():
                row = {"subject": key, "kind": DEBT, "cause": "", "state": RAISED, "since": since, "sent_at": None}
                connection.execute(sa.insert(alerts).values(row))
            if not debts:
                done = sa.and_(alerts.c.state == OVER, alerts.c.sent_at.is_not(None))
                connection.execute(sa.delete(alerts).where(done))


def _after(row: Row | None, wrong: Wrong, at: datetime) -> Row | None:
    """The row that follows from what is wrong now; None if it stays as it is."""
    fresh = {"subject": wrong.subject, "kind": wrong.kind, "cause": wrong.cause, "since": at, "sent_at": None}
    if row is None:
        return fresh | ({"state": RAISED} if wrong.mark is None else {"state": SEEN, "cause": wrong.mark})
    if row["state"] == RAISED:
        is_same = row["kind"] == wrong.kind and (wrong.mark is not None or row["cause"] == wrong.cause)
        return None if is_same else fresh | {"state": RAISED}
    if wrong.mark is not None and (row["state"] == OVER or row["cause"] == wrong.mark):
        return None
    return fresh | {"state": RAISED}


def _put(connection: sa.Connection, row: Row, *, is_new: bool) -> None:
    if is_new:
        connection.execute(sa.insert(alerts).values(row))
    else:
        connection.execute(sa.update(alerts).where(alerts.c.subject == row["subject"]).values(row))
