"""Holds users back who would become a duplicate: reads whom the audit looks at, and writes what it found.

Only users whom the rules would create and about whom no person decided; only contacts that nobody has. What does not
live here: what a resemblance is (`o365_etl.matching.audit`), and when a tenant was first applied (the state store).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa

from o365_etl.normalise import NATIONAL_DIGITS, SWITCHBOARD
from o365_etl.store.relate import USERS_PER_BATCH, tenant_batches
from o365_etl.store.warehouse import WORKING, Db, name_tenants

Row = dict[str, Any]
# Tenant, user, candidates (JSON list of contact ids), evidence (JSON object).
Held = tuple[str, str, str, str]
# Users and contacts of one organization, as `candidates` yields them → the users to hold back.
Audit = Callable[[Sequence[Row], Sequence[Row]], Iterable[Held]]
# Tenants → a block with those of them about which nobody has concluded yet, or no longer.
Due = Callable[[Sequence[str]], AbstractContextManager[Sequence[str]]]
# Users and contacts in Python at a time, and whoever else is of the last organization.
USERS_PER_PORTION = 25_000
_HELD = WORKING["work.held"]
# Whom the audit looks at: all that it knows of anybody, so a tenant with the same rows needs no second audit.
LOOKED_AT = ("audit_users", "audit_contacts")
_NAMES = "organization_id VARCHAR, first_name VARCHAR, last_name VARCHAR, title VARCHAR"
_LISTS = "phones VARCHAR[], addresses VARCHAR[]"
_COLUMNS = {
    "audit_users": f"{_NAMES}, {_LISTS}, tenant_id VARCHAR, user_id VARCHAR, display_name VARCHAR, is_new BOOLEAN",
    "audit_contacts": f"{_NAMES}, {_LISTS}, contact_id VARCHAR, is_free BOOLEAN",
}
_WORKING = ("fresh", "batch", "audit_applied", "audit_decided", "audit_free", "audit_new", "audit_numbers")


def hold_back(
    db: Db,
    tenant_ids: Sequence[str],
    decided_users: Collection[tuple[str, str]],
    first_applied: Mapping[str, datetime],
    audit: Audit,
    due: Due = nullcontext,
) -> int:
    """Make ambiguous in `match.contacts` whom of these tenants' new users `audit` finds, and remember them; returns how
    many.

    `decided_users` are (tenant id, user id) of those about whom a person decided: they are left as they are.
    `first_applied` says when something was first written for a tenant: accounts that are younger are not looked at, for
    by then every contact that Microsoft 365 explains was linked. Only the tenants that `due` names of these are
    audited, of the others those are held again who were held before; it may look at the tables `LOOKED_AT`.
    """
    with _looking_at(db, tenant_ids, decided_users, first_applied), due(tenant_ids) as left:
        rows = [held for _, users, contacts in _people(db, left) for held in audit(users, contacts)]
        with db.transaction(), db.registered(found_now=_table(_HELD, rows)):
            db.execute("DELETE FROM work.held WHERE list_contains(?, tenant_id)", [list(left)])
            db.execute("INSERT INTO work.held BY NAME SELECT * FROM found_now")
        again = db.rows(
            f"SELECT {', '.join(_HELD)} FROM work.held WHERE list_contains(?, tenant_id)", [list(tenant_ids)]
        )
        return hold(db, again)


def candidates(
    db: Db,
    tenant_ids: Sequence[str],
    decided_users: Collection[tuple[str, str]],
    first_applied: Mapping[str, datetime],
) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Organization id, users and contacts, for each organization in which somebody new may resemble a free contact.

    Users: tenant_id, user_id, first_name, last_name, display_name, title, phones, addresses, is_new; contacts:
    contact_id, first_name, last_name, title, phones, addresses, is_free. Those who are not new, and contacts that
    somebody has, stand there with their phones only, if they have a phone number of a new user, and no more than make
    it a switchboard's of those with the very same phones. The next organization is read when the last is done with.
    """
    with _looking_at(db, tenant_ids, decided_users, first_applied):
        yield from _people(db, tenant_ids)


def hold(db: Db, found: Iterable[Held]) -> int:
    """Make these users ambiguous in `match.contacts`, if they would still be created; returns how many."""
    rows = list(found)
    if not rows:
        return 0
    with db.registered(held=_table(_HELD, rows)):
        ((count,),) = db.run_file("audit_hold")
        return int(count)


@contextmanager
def _looking_at(
    db: Db,
    tenant_ids: Sequence[str],
    decided_users: Collection[tuple[str, str]],
    first_applied: Mapping[str, datetime],
) -> Iterator[None]:
    """The tables `LOOKED_AT` for the block."""
    decided = _table(("tenant_id", "user_id"), sorted(decided_users))
    applied = pa.table(
        {
            "tenant_id": pa.array(list(first_applied), pa.string()),
            "applied_at": pa.array(list(first_applied.values()), pa.timestamp("us", tz="UTC")),
        }
    )
    try:
        for name, columns in _COLUMNS.items():
            db.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
        with db.registered(incoming_decided=decided, incoming_applied=applied):
            db.execute("CREATE OR REPLACE TEMP TABLE audit_applied AS SELECT * FROM incoming_applied")
            db.execute("CREATE OR REPLACE TEMP TABLE audit_decided AS SELECT * FROM incoming_decided")
        name_tenants(db, "fresh", sorted(set(tenant_ids)))
        db.run_file("digits")
        db.run_file("audit_free")
        for _ in tenant_batches(db, USERS_PER_BATCH):
            db.run_file("audit_new")
            db.run_file("audit_numbers", national=NATIONAL_DIGITS)
            for name in LOOKED_AT:
                db.run_file(name, national=NATIONAL_DIGITS, switchboard=SWITCHBOARD)
        for table in _WORKING:
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")
        yield
    finally:
        for table in (*_WORKING, *LOOKED_AT):
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _people(db: Db, tenant_ids: Sequence[str]) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """The rows of `LOOKED_AT` in the organizations of these tenants' new users, as `candidates` yields them."""
    organizations = db.rows(
        "SELECT organization_id, (sum(count(*)) OVER (ORDER BY organization_id) - 1) // ? FROM"
        " (SELECT organization_id FROM audit_users UNION ALL SELECT organization_id FROM audit_contacts)"
        " SEMI JOIN (FROM audit_users WHERE is_new AND list_contains(?, tenant_id)) USING (organization_id)"
        " GROUP BY organization_id ORDER BY organization_id",
        [USERS_PER_PORTION, list(tenant_ids)],
    )
    for _, portion in groupby(organizations, lambda each: each[1]):
        ids = [organization_id for organization_id, _ in portion]
        users, contacts = (_by_organization(db, name, ids) for name in LOOKED_AT)
        for organization_id in ids:
            yield organization_id, users.pop(organization_id), contacts.pop(organization_id)


def _by_organization(db: Db, table: str, organization_ids: Sequence[str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in db.dicts(f"SELECT * FROM {table} WHERE list_contains(?, organization_id)", [list(organization_ids)]):
        groups[row.pop("organization_id")].append(row)
    return groups


def _table(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    return pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)})
