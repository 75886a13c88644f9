"""The plan in the warehouse: finds what differs, keeps `sync.changes`, and counts for the brakes.

The queries find candidates only; what is to be written, and whether, is decided by `o365_etl.sync`. Rows come in
portions of tenants, so that a plan for a million users never sits in memory. What does not live here: approvals and
what became of a change (`state`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from o365_etl.slices import slice_in_sql
from o365_etl.store.marks import in_slices, these_slices
from o365_etl.store.relate import UserDecision, known_people, place_table, tenant_batches
from o365_etl.store.warehouse import WORKING, ArrowRows, Db, name_tenants, sql_of
from o365_etl.tables import BRAKE_MARK

Row = dict[str, Any]
# Users looked at by one statement, and rows of its result in memory at once.
USERS_PER_PORTION = 25_000
ROWS_AT_ONCE = 5_000
CHANGES = "sync.changes"
_TALLIES = pa.schema([("tenant_id", pa.string()), ("slice", pa.string()), ("tally", pa.string())])
# What is planned user by user; the rest is planned tenant by tenant.
_OF_PEOPLE = "resource IN ('contact', 'user_asset')"
_WORKING = (
    *("plan_tenants", "fresh", "batch", "batch_slices", "doubtful", "left_users", "new_contacts", "owners", "found"),
    "collected",
)
# What this run collected, and of what stands from earlier runs what still counts.
_COLLECTED = "(FROM work.planned_now UNION ALL FROM work.planned SEMI JOIN standing USING (tenant_id))"


@contextmanager
def planning(
    db: Db,
    *,
    licensed_connections: Sequence[str],
    pending: Sequence[str],
    user_decisions: Sequence[UserDecision],
    places: Mapping[str, str],
    owners: Mapping[str, str],
    links: ArrowRows,
) -> Iterator[None]:
    """What the queries below need, for the block.

    `pending` are tenants whose organization a person wants created, `user_decisions` those in force, `places` maps
    tenants to the location this program created, `owners` contact fields to their owner.
    """
    frames = {
        "licensed_connections": _column("connection", licensed_connections),
        "pending": _column("tenant_id", pending),
        "places": place_table(places),
    }
    try:
        with (
            known_people(db, user_decisions, links),
            db.registered(**frames, incoming_owners=pa.Table.from_pylist([dict(owners)])),
        ):
            for macro in ("comparable", "as_html", "as_size"):
                db.run_file(macro)
            for table in ("plan_tenants", "plan_taken_addresses"):
                db.run_file(table)
            db.execute("CREATE OR REPLACE TEMP TABLE owners AS SELECT * FROM incoming_owners")
            db.execute(f"CREATE OR REPLACE TEMP MACRO slice_of(user_id) AS {slice_in_sql('user_id')}")
            db.execute("CREATE OR REPLACE TEMP TABLE standing AS SELECT tenant_id FROM plan_tenants")
            yield
    finally:
        for table in _WORKING:
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def planned_tenants(db: Db) -> list[Row]:
    """Every tenant that something may be planned for: tenant_id, display_name, organization_id, organization_name,
    sync_owner, with_licenses.
    """
    return db.dicts("SELECT * FROM plan_tenants ORDER BY tenant_id")


def portions(db: Db, tenants: Sequence[str], slices: str | None = None) -> Iterator[int]:
    """Go through the tenants portion by portion; the queries below answer for the current one, those about users for
    the `slices` of that table (None: all). What is planned for them is collected until it is kept. With `slices` a
    tenant with more users than a portion has is gone through in several.
    """
    name_tenants(db, "fresh", tenants)
    db.execute("CREATE OR REPLACE TEMP TABLE collected AS SELECT * FROM work.planned LIMIT 0")
    with these_slices(db, slices, tenants) as chosen:
        for users in tenant_batches(db, USERS_PER_PORTION, slices):
            parts = max(1, round(users / USERS_PER_PORTION)) if slices else 1
            for part in range(parts):
                db.execute(
                    f"CREATE OR REPLACE TEMP TABLE batch_slices AS FROM {chosen}"
                    f" SEMI JOIN batch USING (tenant_id) WHERE slice % {parts} = {part}"
                )
                db.execute("CREATE OR REPLACE TEMP TABLE new_contacts (tenant_id VARCHAR, user_id VARCHAR)")
                yield users


def contact_updates(db: Db) -> Iterator[Row]:
    """Matched contacts that differ in a field that is ours to write, as `sync.contacts.update_contact` takes them."""
    return _found(db, "plan_contact_updates")


def new_contacts(db: Db) -> Iterator[Row]:
    """Users who need a contact, as `sync.contacts.create_contact` takes them, and `find_new_contacts`."""
    find_new_contacts(db)
    yield from _rows_found(db)


def find_new_contacts(db: Db) -> None:
    """Have `license_rows` and `user_asset_rows` tag the users who can get a contact, from now on."""
    _find(db, "plan_new_contacts")
    db.execute("INSERT INTO new_contacts SELECT tenant_id, user_id FROM found WHERE taken_by IS NULL")


def left_users(db: Db, mark: str) -> list[Row]:
    """Linked users who left, of all tenants; `state` is NULL for those who are back and whose contact bears `mark`.
    Asked once.
    """
    db.run_file("plan_doubtful", mark=mark)
    db.run_file("plan_leavers")
    db.execute("DROP TABLE user_links")  # a million of them are a quarter of the memory that the rest may use
    return db.dicts("SELECT * FROM left_users WHERE state IS NOT NULL OR contains(coalesce(notes, ''), ?)", [mark])


def license_rows(db: Db) -> Iterator[Row]:
    """Each product of each tenant and the asset that documents it."""
    return _found(db, "plan_licenses")


def user_asset_rows(db: Db) -> Iterator[Row]:
    """The data of users with a contact, where the asset beside it does not say the same."""
    return _found(db, "plan_user_assets")


def location_rows(db: Db) -> Iterator[Row]:
    """Each tenant's address, and the location that it is compared with."""
    return _found(db, "plan_locations")


def linked_contacts(db: Db) -> dict[str, int]:
    """How many contacts each tenant's users have: what the shares of the brakes are shares of."""
    return dict(
        db.rows(
            "SELECT tenant_id, count(DISTINCT contact_id) FROM ("
            " SELECT tenant_id, contact_id FROM \"match\".contacts WHERE status = 'matched'"
            " UNION ALL SELECT tenant_id, contact_id FROM left_users WHERE state IS NOT NULL) GROUP BY ALL"
        )
    )


def begin(db: Db) -> None:
    """Forget the plan before: until the new one is whole there is none."""
    with db.transaction():
        for table in ("plans", "planned_now", "finished"):
            db.execute(f"DELETE FROM work.{table}")


def append(db: Db, rows: Sequence[Row], *, stands: bool = False) -> None:
    """Plan changes, in the columns of `sync.changes`; the state is that of those that are not to be written. With
    `stands` they are collected to be kept.
    """
    if rows:
        names = WORKING["work.planned"]
        table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
        with db.registered(incoming=table):
            db.execute(f"INSERT INTO {'collected' if stands else 'work.planned_now'} BY NAME SELECT * FROM incoming")


def keep_people(db: Db, slices: str, tallies: Mapping[tuple[str, int], str]) -> None:
    """Put what was collected for users in the place of what was planned for these slices before, with what the brakes
    count of it ((tenant, slice) → text): it counts in later runs too, until a slice is planned for anew.

    At once: what is appended to a table bit by bit stays in DuckDB's memory, what waits in a temporary one need not.
    """
    tenants, numbers = [tenant for tenant, _ in tallies], [str(number) for _, number in tallies]
    table = pa.table({"tenant_id": tenants, "slice": numbers, "tally": list(tallies.values())}, schema=_TALLIES)
    planned_for = in_slices(slices, "p", slice_in_sql("p.subject_id"))
    with db.transaction(), db.registered(incoming=table):
        db.execute(f"DELETE FROM work.planned p WHERE {_OF_PEOPLE} AND {planned_for}")
        db.execute(f"DELETE FROM work.tallies t WHERE {in_slices(slices, 't', 't.slice::INTEGER')}")
        db.execute("INSERT INTO work.planned BY NAME FROM collected")
        db.execute("INSERT INTO work.tallies BY NAME SELECT * FROM incoming")


def keep_records(db: Db) -> None:
    """Put what was collected for tenants in the place of what was planned for those of the portions before."""
    with db.transaction():
        db.execute(f"DELETE FROM work.planned WHERE NOT {_OF_PEOPLE} AND tenant_id IN (SELECT tenant_id FROM fresh)")
        db.execute("INSERT INTO work.planned BY NAME FROM collected")


def tallies(db: Db) -> list[tuple[str, str]]:
    """What was kept of the tenants whose changes count: tenant, and one text after another."""
    return [
        (tenant_id, text)
        for tenant_id, text in db.rows("SELECT tenant_id, tally FROM work.tallies SEMI JOIN standing USING (tenant_id)")
    ]


def resources(db: Db) -> set[str]:
    """The kinds of record that the changes that count are about."""
    return {
        row[0] for row in db.rows("SELECT DISTINCT resource FROM work.planned SEMI JOIN standing USING (tenant_id)")
    }


def hashes(db: Db) -> dict[str | None, str]:
    """The hash of each tenant's plan (None: the account's)."""
    return dict(
        db.rows(
            "SELECT tenant_id, sha256(string_agg(change_id, ',' ORDER BY change_id))[:32]"
            f" FROM {_COLLECTED} WHERE state IS NULL GROUP BY tenant_id"
        )
    )


def seal(
    db: Db, run_id: str, plans: Mapping[str | None, str], approved: Set[str | None], blocked: Mapping[str, str]
) -> None:
    """Make what was planned the plan of this run: each tenant's with its hash, and its state, `blocked` with why it
    waits.
    """
    tenants = {None, *plans, *(row[0] for row in db.rows("SELECT tenant_id FROM standing"))}
    rows = [
        {
            "tenant_id": tenant_id or "",
            "run_id": run_id,
            "plan_hash": plans.get(tenant_id),
            "state": "approved" if tenant_id in approved else "blocked" if tenant_id in blocked else "planned",
            "why": f"{BRAKE_MARK}{blocked[tenant_id]}" if tenant_id is not None and tenant_id in blocked else None,
        }
        for tenant_id in tenants
    ]
    names = WORKING["work.plans"]
    with db.registered(plans=pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))):
        db.execute("INSERT INTO work.plans BY NAME SELECT * FROM plans")
    db.execute("DROP TABLE standing")


def set_state(db: Db, tenant_ids: Iterable[str | None], before: str, after: str) -> None:
    """Move the changes of some tenants (None: the account) from one state to another."""
    db.execute(
        "UPDATE work.plans SET state = ? WHERE state = ? AND list_contains(?, tenant_id)",
        [after, before, [tenant_id or "" for tenant_id in tenant_ids]],
    )


def hold_again(db: Db, tenant_ids: Iterable[str | None]) -> None:
    """What was approved for these tenants (None: the account) is so no more: it waits as it did when it was planned."""
    db.execute(
        "UPDATE work.plans SET state = CASE WHEN why IS NULL THEN 'planned' ELSE 'blocked' END"
        " WHERE state = 'approved' AND list_contains(?, tenant_id)",
        [[tenant_id or "" for tenant_id in tenant_ids]],
    )


def changes(db: Db, states: Sequence[str]) -> Iterator[list[Row]]:
    """Changes in these states, a tenant's after another's (the account's first), in portions."""
    tenants = [
        row[0]
        for row in db.rows(
            f"SELECT DISTINCT tenant_id FROM {CHANGES} WHERE list_contains(?, state) ORDER BY 1 NULLS FIRST",
            [list(states)],
        )
    ]
    for tenant_id in tenants:
        yield db.dicts(
            f"SELECT * FROM {CHANGES} WHERE list_contains(?, state) AND tenant_id IS NOT DISTINCT FROM ?"
            " ORDER BY resource, action, subject_id, change_id",
            [list(states), tenant_id],
        )


def finish(db: Db, finished: pa.Table, *, replace: bool) -> None:
    """Put finished changes into `sync.changes`; with `replace` over what the plan says of them, else beside it."""
    with db.registered(finished=finished), db.transaction():
        if replace:
            db.execute("DELETE FROM work.finished WHERE change_id IN (SELECT change_id FROM finished)")
        beside = "" if replace else f"WHERE change_id NOT IN (SELECT change_id FROM {CHANGES})"
        db.execute(f"INSERT INTO work.finished BY NAME FROM finished {beside}")


def counts(db: Db) -> dict[str, int]:
    """How many changes by `action resource state`."""
    return dict(
        db.rows(f"SELECT action || ' ' || resource || ' ' || state, count(*) FROM {CHANGES} GROUP BY ALL ORDER BY ALL")
    )


def _found(db: Db, name: str) -> Iterator[Row]:
    _find(db, name)
    yield from _rows_found(db)


def _find(db: Db, name: str) -> None:
    db.execute(f"CREATE OR REPLACE TEMP TABLE found AS {sql_of(name)}")


def _rows_found(db: Db) -> Iterator[Row]:
    """What was found, a part at a time; it must be read to its end before the next thing is looked for."""
    for first in range(0, int(db.scalar("SELECT count(*) FROM found")), ROWS_AT_ONCE):
        yield from db.dicts("SELECT * FROM found WHERE rowid >= ? AND rowid < ?", [first, first + ROWS_AT_ONCE])


def _column(name: str, values: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.array(list(values), pa.string())})
