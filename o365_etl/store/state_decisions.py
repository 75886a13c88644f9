"""What people decided about tenants and users: appended, never changed and never deleted.

What does not live here: what follows from a decision (`matching`), and the table itself (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from o365_etl.errors import ConflictError, NotFoundError
from o365_etl.store.state_database import Database, Row
from o365_etl.store.state_schema import decisions

TENANT_ACTIONS = ("accept", "to", "create", "ignore")
USER_ACTIONS = ("to", "create", "ignore")
UNDO = "undo"


@dataclass(frozen=True, slots=True)
class TenantDecision:
    """What a person decided about a tenant. `action`: accept, to, create (an organization) or ignore."""

    id: int
    tenant_id: str
    action: str
    organization_id: str | None
    who: str
    at: datetime
    why: str | None


@dataclass(frozen=True, slots=True)
class UserDecision:
    """What a person decided about a user. `action`: to, create (a contact) or ignore."""

    id: int
    tenant_id: str
    user_id: str
    action: str
    contact_id: str | None
    who: str
    at: datetime
    why: str | None


class Decisions:
    """Appends and reads decisions. Part of `StateStore`; raises what it raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decide(
        self,
        *,
        tenant_id: str,
        user_id: str | None = None,
        action: str,
        organization_id: str | None = None,
        contact_id: str | None = None,
        who: str,
        why: str | None = None,
        before: Mapping[str, Any],
        seen: int | None = None,
    ) -> int:
        """Append a decision about a tenant, or about a user of it, and return its id.

        If the same is in force already (a double click), nothing is appended and that one's id is returned. `before`
        is what held until now. `seen` is the id of the decision in force that the person looked at (0: there was
        none). Raises `ConflictError` if another one is in force now, `ValueError` for an action that is none or lacks
        what it is about.
        """
        with self._database.writing(exclusive=True) as connection:
            return _decide(
                connection,
                tenant_id=tenant_id,
                user_id=user_id,
                action=action,
                organization_id=organization_id,
                contact_id=contact_id,
                who=who,
                why=why,
                before=before,
                seen=seen,
            )

    def decide_many(self, wanted: Iterable[Mapping[str, Any]]) -> list[int | ConflictError]:
        """Each as by `decide`, whose arguments it names, all in one transaction: its id, or why it was not decided."""
        outcomes: list[int | ConflictError] = []
        with self._database.writing(exclusive=True) as connection:
            for each in wanted:
                try:
                    outcomes.append(_decide(connection, **each))
                except ConflictError as error:
                    outcomes.append(error)
        return outcomes

    def undo(
        self, *, tenant_id: str, user_id: str | None = None, who: str, why: str | None = None, seen: int | None = None
    ) -> Row:
        """Take back the decision in force and return it; the one before it is in force again.

        Raises `NotFoundError` if none is in force, and `ConflictError` as `decide`.
        """
        with self._database.writing(exclusive=True) as connection:
            past = _of_subject(connection, tenant_id, user_id)
            held = _held(past)
            if held is None:
                raise NotFoundError(
                    f"no decision about this {_kind(user_id)} is in force",
                    remedy="There is nothing to take back: the rules decide here. Decide instead, if they are wrong.",
                )
            _refuse_unseen(past, held, seen)
            before = {name: held[name] for name in ("id", "action", "organization_id", "contact_id", "who")}
            subject = {"tenant_id": tenant_id, "user_id": user_id}
            _append(connection, {**subject, "action": UNDO, "who": who, "why": why, "before": before})
            return held

    def in_force(self) -> tuple[list[TenantDecision], list[UserDecision]]:
        """The decision that holds for each subject. An `undo` takes back the last one that is not undone yet."""
        past: dict[tuple[str, str | None], list[Row]] = {}
        for row in self._database.rows(sa.select(decisions).order_by(decisions.c.id)):
            past.setdefault((row["tenant_id"], row["user_id"]), []).append(row)
        held = [row for row in map(_held, past.values()) if row]
        return (
            [_tenant_decision(row) for row in held if row["user_id"] is None],
            [_user_decision(row) for row in held if row["user_id"] is not None],
        )

    def history(self, tenant_id: str | None = None, user_id: str | None = None) -> list[Row]:
        """Everything that was decided, also what was taken back and each undo, oldest first.

        Of one tenant (its users included), or of one user.
        """
        query = sa.select(decisions).order_by(decisions.c.id)
        for column, wanted in ((decisions.c.tenant_id, tenant_id), (decisions.c.user_id, user_id)):
            if wanted is not None:
                query = query.where(column == wanted)
        return self._database.rows(query)

    def latest(self) -> int:
        """The highest id, 0 if nothing was decided yet: whoever polls sees by it that something was decided."""
        with self._database.reading() as connection:
            return int(connection.scalar(sa.select(sa.func.max(decisions.c.id))) or 0)

    def latest_at(self) -> datetime | None:
        """When the last decision was made; None if nothing was decided yet."""
        with self._database.reading() as connection:
            found: datetime | None = connection.scalar(
                sa.select(decisions.c.at).order_by(decisions.c.id.desc()).limit(1)
            )
        return found


def _decide(
    connection: sa.Connection,
    *,
    tenant_id: str,
    user_id: str | None = None,
    action: str,
    organization_id: str | None = None,
    contact_id: str | None = None,
    who: str,
    why: str | None = None,
    before: Mapping[str, Any],
    seen: int | None = None,
) -> int:
    _check(action, user_id, organization_id, contact_id)
    past = _of_subject(connection, tenant_id, user_id)
    held = _held(past)
    wanted = (action, organization_id, contact_id)
    if held and (held["action"], held["organization_id"], held["contact_id"]) == wanted:
        return int(held["id"])
    _refuse_unseen(past, held, seen)
    subject = {"tenant_id": tenant_id, "user_id": user_id}
    content = {"action": action, "organization_id": organization_id, "contact_id": contact_id}
    return _append(connection, {**subject, **content, "who": who, "why": why, "before": dict(before)})


def _check(action: str, user_id: str | None, organization_id: str | None, contact_id: str | None) -> None:
    known = TENANT_ACTIONS if user_id is None else USER_ACTIONS
    if action not in known:
        raise ValueError(f"{action!r} is nothing that can be decided about a {_kind(user_id)}: {', '.join(known)}")
    target = organization_id if user_id is None else contact_id
    if action in ("accept", "to") and not target:
        raise ValueError(f"{action!r} needs the id of {'an organization' if user_id is None else 'a contact'}")


def _kind(user_id: str | None) -> str:
    return "tenant" if user_id is None else "user"


def _of_subject(connection: sa.Connection, tenant_id: str, user_id: str | None) -> list[Row]:
    columns = decisions.c
    # `== None` is IS NULL: a decision about a user is none about the tenant.
    query = sa.select(decisions).where(columns.tenant_id == tenant_id, columns.user_id == user_id)
    return [dict(row) for row in connection.execute(query.order_by(columns.id)).mappings()]


def _held(past: Iterable[Row]) -> Row | None:
    """The decision in force, given all about one subject, oldest first."""
    stack: list[Row] = []
    for row in past:
        if row["action"] != UNDO:
            stack.append(row)
        elif stack:
            stack.pop()
    return stack[-1] if stack else None


def _refuse_unseen(past: list[Row], held: Row | None, seen: int | None) -> None:
    if seen is None or seen == (held["id"] if held else 0):
        return
    if not past:
        raise ConflictError(f"decision {seen} is none about this subject")
    last = past[-1]  # whoever came last made it what it is now
    about = _kind(last["user_id"])
    when = f"{last['at']:%Y-%m-%d %H:%M:%S} UTC"
    if last["action"] == UNDO:
        raise ConflictError(f"{last['who']} took back a decision about this {about} at {when}")
    target = last["organization_id"] if last["user_id"] is None else last["contact_id"]
    what = f"{last['action']} {target}" if target else last["action"]
    raise ConflictError(f"{last['who']} decided `{what}` about this {about} at {when}")


def _append(connection: sa.Connection, row: Row) -> int:
    values = {"at": datetime.now(UTC), "kind": _kind(row["user_id"]), **row}
    done = connection.execute(sa.insert(decisions).values(values))
    return int(done.inserted_primary_key[0])  # type: ignore[index]


def _tenant_decision(row: Row) -> TenantDecision:
    return TenantDecision(**{name: row[name] for name in TenantDecision.__slots__})


def _user_decision(row: Row) -> UserDecision:
    return UserDecision(**{name: row[name] for name in UserDecision.__slots__})
