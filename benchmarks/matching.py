"""Matching and comparing a million users with a million contacts, and suggestions for thousands of tenants.

    python -m benchmarks.matching [--users N] [--tenants N] [--organizations N]

Makes its own data in a temporary folder, inside DuckDB, so that only the steps under test are measured. Half of the
users have their contact by an alias, a fifth each by user name and by full name, the rest have none.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from o365_etl.matching.organizations import match_organizations
from o365_etl.normalise import normalise
from o365_etl.store import relate
from o365_etl.store.history import write_history
from o365_etl.store.warehouse import Db, Warehouse
from o365_etl.tables import TABLES

NAMES = ("albe", "coran", "dantis", "elhor", "finjun", "karlo", "marnor", "ospel", "quiro", "salto", "ulven", "wilx")
TRADES = ("Dental", "Law", "Consulting", "Logistics", "Bakery", "Clinic", "Media", "Foods", "Garden", "Systems")
FORMS = ("", "", " Ltd", " GmbH", " Inc.", " SARL")


def main() -> None:
    """Run both benchmarks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=1_000)
    parser.add_argument("--memory", default="400MB", help="DuckDB's memory limit")
    parser.add_argument("--suggest-tenants", type=int, default=5_000)
    parser.add_argument("--organizations", type=int, default=10_000)
    args = parser.parse_args()
    print(f"{'step':<28} {'seconds':>8} {'CPU':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for step, seconds, cpu, note in measure_contacts(Path(folder), args.users, args.tenants, args.memory):
            print(f"{step:<28} {seconds:>8.2f} {cpu:>8.2f}   {note}", flush=True)
    step, seconds, cpu, note = measure_suggestions(args.suggest_tenants, args.organizations)
    print(f"{step:<28} {seconds:>8.2f} {cpu:>8.2f}   {note}")
    print(f"{'peak memory':<28} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>8.0f} MB")


Row = tuple[str, float, float, str]
Took = tuple[str, float, float]


def timed(step: str, run: Callable[[], Any]) -> tuple[Any, Took]:
    """The result, and the step with the seconds it took by the clock and on all cores together."""
    start, start_cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, (step, time.perf_counter() - start, time.process_time() - start_cpu)


def measure_contacts(folder: Path, users: int, tenants: int, memory: str) -> Iterator[Row]:
    """Match and compare `users` users with as many contacts, write the history twice, and match a second time.

    Every step opens the warehouse anew, as the steps of a sync do.
    """
    warehouse = Warehouse(folder, memory_limit=memory)

    def step(name: str, run: Callable[[Db], Any], note: Callable[[Db], str] = lambda _: "") -> Row:
        def opened() -> None:
            with warehouse.connect({"normalise": normalise}) as db:
                run(db)

        _, took = timed(name, opened)
        with warehouse.connect() as db:
            return (*took, note(db))

    with warehouse.connect({"normalise": normalise}) as db:
        fresh = fill(db, users, tenants)
    yield step(
        "organization evidence", lambda db: relate.organization_evidence(db, fresh), lambda _: f"{users:,} users"
    )

    def matched(db: Db, links: pa.Table) -> None:
        with relate.known_people(db, [], links):
            relate.match_contacts(db, fresh, lambda _: None)

    yield step("match contacts", lambda db: matched(db, links_of(db)), rules_of)
    yield step("compare", lambda db: relate.compare(db, fresh, ["bench"]), lambda db: rows_of(db, "compare.contacts"))
    for note in ("first sync", "second sync, nothing changed"):
        yield step("history", lambda db: write_history(db, datetime.now(UTC), fresh), lambda _, said=note: said)
    with warehouse.connect() as db:
        links = links_of(db)
    yield step("match contacts again", lambda db: matched(db, links), rules_of)


def rules_of(db: Db) -> str:
    """How many users by which rule."""
    rules = db.rows('SELECT coalesce(rule, status), count(*) FROM "match".contacts GROUP BY ALL ORDER BY ALL')
    return ", ".join(f"{rule} {count:,}" for rule, count in rules)


def rows_of(db: Db, table: str) -> str:
    """How many rows a table has."""
    return f"{db.scalar(f'SELECT count(*) FROM {table}'):,} rows"


def links_of(db: Db) -> pa.Table:
    """The links that the next match starts with: none before the first."""
    return db.arrow(
        "SELECT tenant_id, user_id, organization_id, contact_id FROM \"match\".contacts WHERE status = 'matched'"
    )


def fill(db: Db, users: int, tenants: int) -> list[str]:
    """Uniform tenants, each with its organization, users and contacts."""
    tenant = "printf('%08x-0000-4000-8000-000000000000', u % $tenants)"
    numbers = {"users": users, "tenants": tenants}
    # Tenant by tenant, as they are loaded; the contacts below stand in the order of their ids.
    db.execute(
        "CREATE TEMP TABLE users_by_tenant AS SELECT u FROM range($users) r(u) ORDER BY u % $tenants, u", numbers
    )
    insert(
        db,
        "m365.tenants",
        "SELECT printf('%08x-0000-4000-8000-000000000000', t) AS tenant_id, 'Tenant ' || t AS display_name,"
        " 'tenant ' || t AS name_key, 'bench' AS connection, false AS is_stale FROM range($tenants) r(t)",
        {"tenants": tenants},
    )
    insert(
        db,
        "itglue.organizations",
        "SELECT (1000 + t)::VARCHAR AS organization_id, 'Tenant ' || t AS name, 'tenant ' || t AS name_key"
        " FROM range($tenants) r(t)",
        {"tenants": tenants},
    )
    insert(
        db,
        '"match".organizations',
        "SELECT printf('%08x-0000-4000-8000-000000000000', t) AS tenant_id, 'matched' AS status,"
        " (1000 + t)::VARCHAR AS organization_id, 'tenant_name' AS rule FROM range($tenants) r(t)",
        {"tenants": tenants},
    )
    insert(
        db,
        "m365.users",
        f"SELECT {tenant} AS tenant_id, printf('%08x-1111-4000-8000-%012x', u % 7919, u) AS user_id,"
        " 'user' || u || '@tenant' || u % $tenants || '.example' AS user_principal_name, 'First' || u AS given_name,"
        " CASE WHEN u % 100 = 0 THEN 'Müller' ELSE 'Last' END || u % 5000 AS surname, 'Clerk' AS job_title,"
        " '+1 555 ' || u AS business_phone, CASE WHEN u % 3 = 0 THEN '+1 777 ' || u END AS mobile_phone,"
        " true AS in_scope, false AS is_guest, 'Sales' AS department, 'Member' AS user_type,"
        " lower('First' || u || ' ' || CASE WHEN u % 100 = 0 THEN 'Müller' ELSE 'Last' END || u % 5000) AS name_key"
        " FROM users_by_tenant WHERE $users > 0",
        numbers,
    )
    insert(
        db,
        "m365.user_addresses",
        f"SELECT {tenant} AS tenant_id, printf('%08x-1111-4000-8000-%012x', u % 7919, u) AS user_id, unnest(["
        " {kind: 'primary', address: 'mail' || u || '@tenant' || u % $tenants || '.example'},"
        " {kind: 'alias', address: 'u' || u || '@tenant' || u % $tenants || '.example'},"
        " {kind: 'alias', address: 'user' || u || '@tenant' || u % $tenants || '.onmicrosoft.com'},"
        " {kind: 'upn', address: 'user' || u || '@tenant' || u % $tenants || '.example'}], recursive := true)"
        " FROM users_by_tenant WHERE $users > 0",
        numbers,
    )
    fill_contacts(db, numbers)
    return [row[0] for row in db.rows("SELECT tenant_id FROM m365.tenants ORDER BY tenant_id")]


def fill_contacts(db: Db, numbers: dict[str, int]) -> None:
    """A contact for every user: half by alias, a fifth by user name, a fifth by full name, a tenth by nothing."""
    insert(
        db,
        "itglue.contacts",
        "SELECT (5000000 + u)::VARCHAR AS contact_id, (1000 + u % $tenants)::VARCHAR AS organization_id,"
        " 'First' || u AS first_name, CASE WHEN u % 100 = 0 THEN 'MÜLLER' ELSE 'Last' END || u % 5000 AS last_name,"
        " 'Clerk' AS title, CASE WHEN u % 10 < 9 THEN lower('First' || u || ' ' ||"
        " CASE WHEN u % 100 = 0 THEN 'Müller' ELSE 'Last' END || u % 5000) END AS name_key FROM range($users) r(u)",
        numbers,
    )
    insert(
        db,
        "itglue.contact_emails",
        "SELECT (5000000 + u)::VARCHAR AS contact_id, (1000 + u % $tenants)::VARCHAR AS organization_id,"
        " true AS is_primary, CASE WHEN u % 10 < 5 THEN 'u' WHEN u % 10 < 7 THEN 'user' ELSE 'other' END || u ||"
        " '@tenant' || u % $tenants || '.example' AS address FROM range($users) r(u)",
        numbers,
    )
    insert(
        db,
        "itglue.contact_phones",
        "SELECT (5000000 + u)::VARCHAR AS contact_id, '1555' || u AS number, true AS is_primary, 'Work' AS label"
        " FROM range($users) r(u)",
        {"users": numbers["users"]},
    )


def insert(db: Db, table: str, select: str, params: dict[str, int]) -> None:
    """Fill a table from a SELECT."""
    db.execute(f"INSERT INTO {table} BY NAME {select}", params)


def measure_suggestions(tenants: int, organizations: int) -> Row:
    """Suggestions for tenants of which none is named exactly like its organization."""
    chance = random.Random(1)
    names = [
        f"{''.join(chance.choices(NAMES, k=2)).title()} {chance.choice(TRADES)}{chance.choice(FORMS)}"
        for _ in range(organizations)
    ]
    organization_frame = pd.DataFrame(
        {
            "organization_id": [str(number) for number in range(organizations)],
            "name": names,
            "name_key": [normalise(name) for name in names],
            "short_name_key": [
                normalise(name.split()[0][:4]) if number % 4 == 0 else None for number, name in enumerate(names)
            ],
        }
    )
    spelt = [f"{chance.choice(names).replace('or', 'ro', 1)} Group" for _ in range(tenants)]
    tenant_frame = pd.DataFrame(
        {
            "tenant_id": [f"t{number}" for number in range(tenants)],
            "display_name": spelt,
            "name_key": [normalise(name) for name in spelt],
        }
    )
    evidence = pd.DataFrame(columns=["tenant_id", "organization_id", "shared_addresses", "shared_domains", "domains"])
    (_, found), took = timed(
        "suggestions", lambda: match_organizations(tenant_frame, organization_frame, evidence, [], {}, {})
    )
    assert list(found.columns) == list(TABLES["match.organization_suggestions"].column_names)
    return *took, f"{tenants:,} tenants, {organizations:,} organizations, {len(found):,} suggestions"


if __name__ == "__main__":
    main()
