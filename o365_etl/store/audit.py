"""Holds users back who would become a duplicate: reads whom the audit looks at, and writes what it found.

Only users whom the rules would create and about whom no person decided; only contacts that nobody has. What does not
live here: what a resemblance is (`o365_etl.matching.audit`), and when a tenant was first applied (the state store).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from o365_etl.normalise import NATIONAL_DIGITS
from o365_etl.store.relate import name_tenants, tenant_batches
from o365_etl.store.warehouse import WORKING, Db

Row = dict[str, Any]
# Tenant, user, candidates (JSON list of contact ids), evidence (JSON object).
Held = tuple[str, str, str, str]
# Users and contacts of one organization, as `candidates` yields them → the users to hold back.
Audit = Callable[[Sequence[Row], Sequence[Row]], Iterable[Held]]
USERS_PER_PORTION = 25_000
_HELD = WORKING["work.held"]
_WORKING = ("fresh", "batch", "audit_applied", "audit_decided", "audit_new", "audit_numbers")


def hold_back(
    db: Db,
    tenant_ids: Sequence[str],
    decided_users: Collection[tuple[str, str]],
    first_applied: Mapping[str, datetime],
    audit: Audit,
) -> int:
    """Make ambiguous in `match.contacts` whom of these tenants' new users `audit` finds, and remember them; returns how
    many.

    `decided_users` are (tenant id, user id) of those about whom a person decided: they are left as they are.
    `first_applied` says when something was first written for a tenant: accounts that are younger are not looked at, for
    by then every contact that Microsoft 365 explains was linked.
    """
    found = (
        held
        for _, users, contacts in candidates(db, tenant_ids, decided_users, first_applied)
        for held in audit(users, contacts)
    )
    rows = list(found)
    with db.transaction(), db.registered(found_now=_table(_HELD, rows)):
        db.execute("DELETE FROM work.held WHERE list_contains(?, tenant_id)", [list(tenant_ids)])
        db.execute("INSERT INTO work.held BY NAME SELECT * FROM found_now")
    return hold(db, rows)


def hold_again(db: Db, tenant_ids: Sequence[str]) -> int:
    """Make ambiguous again whom the audit found before, in tenants that were matched anew to the same effect."""
    return hold(
        db, db.rows(f"SELECT {', '.join(_HELD)} FROM work.held WHERE list_contains(?, tenant_id)", [tenant_ids])
    )


def candidates(
    db: Db,
    tenant_ids: Sequence[str],
    decided_users: Collection[tuple[str, str]],
    first_applied: Mapping[str, datetime],
) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Organization id, users and contacts, for each organization in which somebody new may resemble a free contact.

    Users: tenant_id, user_id, first_name, last_name, display_name, title, phones, addresses, is_new; contacts:
    contact_id, first_name, last_name, title, phones, addresses, is_free. Those who are not new, and contacts that
    somebody has, stand there only if they have a phone number of a new user. The next organization is read when the
    last is done with.
    """
    decided = _table(("tenant_id", "user_id"), sorted(decided_users))
    applied = pa.table(
        {
            "tenant_id": pa.array(list(first_applied), pa.string()),
            "applied_at": pa.array(list(first_applied.values()), pa.timestamp("us", tz="UTC")),
        }
    )
    try:
        with db.registered(incoming_decided=decided, incoming_applied=applied):
            db.execute("CREATE OR REPLACE TEMP TABLE audit_applied AS SELECT * FROM incoming_applied")
            db.execute("CREATE OR REPLACE TEMP TABLE audit_decided AS SELECT * FROM incoming_decided")
        name_tenants(db, "fresh", sorted(set(tenant_ids)))
        db.run_file("digits")
        for _ in tenant_batches(db, USERS_PER_PORTION):
            db.run_file("audit_new")
            db.run_file("audit_numbers", national=NATIONAL_DIGITS)
            users, contacts = (_by_organization(db, name) for name in ("audit_users", "audit_contacts"))
            for organization_id in sorted(users.keys() & contacts.keys()):
                yield organization_id, users.pop(organization_id), contacts.pop(organization_id)
    finally:
        for table in _WORKING:
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def hold(db: Db, found: Iterable[Held]) -> int:
    """Make these users ambiguous in `match.contacts`, if they would still be created; returns how many."""
    rows = list(found)
    if not rows:
        return 0
    with db.registered(held=_table(_HELD, rows)):
        ((count,),) = db.run_file("audit_hold")
        return int(count)


def _by_organization(db: Db, name: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in db.arrow_file(name, national=NATIONAL_DIGITS).to_pylist():
        groups[row.pop("organization_id")].append(row)
    return groups


def _table(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    return pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)})
