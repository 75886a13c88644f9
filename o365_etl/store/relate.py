"""Relates the two sides inside the warehouse: what they share, users to contacts, and every field to its twin.

The rules are set-based SQL, one statement a file in `store/sql`; here is the order in which they run. A tenant that is
not among the `fresh` ones is left as it is: nothing is concluded about it, and what its users have stays taken.

What does not live here: the rules for tenants (`o365_etl.matching`), and what counts as fresh (the pipeline).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from o365_etl.normalise import PUBLIC_MAIL_DOMAINS
from o365_etl.store.marks import in_slices, these_slices
from o365_etl.store.warehouse import ArrowRows, Db, name_tenants
from o365_etl.tables import TABLES

# Rules for contacts after a person's decision, strongest first; the SQL of each is match_pairs_{rule}.sql.
RULES = ("link", "alias", "username", "full_name")
# Users matched or compared by one statement: bounds the memory that joins and sorted addresses take.
USERS_PER_BATCH = 200_000
COMPARED_PER_BATCH = 75_000
LINKS_PER_PORTION = 50_000
# What `compare` fills tenant by tenant; the wide rows behind the view compare.contacts it fills slice by slice.
COMPARED = ("compare.organizations", "compare.licenses", "work.tenant_locations")
_LINKED = "u BIGINT, tenant_id VARCHAR, contact_id VARCHAR, is_there BOOLEAN, is_created BOOLEAN"
_MATCHING = (
    *("certain", "decided", "linked", "taken", "pool_users", "pool_organizations", "pool_contacts", "pairs"),
    *("settled", "rivals", "differing"),
)


class UserDecision(Protocol):
    """What a person decided about a user; `action` is accept, to, create or ignore."""

    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def user_id(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str: ...  # noqa: D102
    @property
    def contact_id(self) -> str | None: ...  # noqa: D102


def as_table(name: str, frame: pd.DataFrame) -> pa.Table:
    """A frame as the Arrow table of contract `name`; columns it lacks are NULL."""
    schema = TABLES[name].arrow_schema()
    columns = {
        field.name: pa.array(frame[field.name].tolist(), field.type, from_pandas=True)
        for field in schema
        if field.name in frame.columns
    }
    nulls = {field.name: pa.nulls(len(frame), field.type) for field in schema if field.name not in columns}
    return pa.table({field.name: {**columns, **nulls}[field.name] for field in schema}, schema=schema)


def organization_evidence(db: Db, fresh: Sequence[str]) -> pd.DataFrame:
    """What fresh tenants and organizations share; a row for each pair that shares anything.

    Columns: tenant_id, organization_id, shared_addresses, shared_domains (counts), domains (up to five, JSON list).
    """
    public = pa.table({"domain": pa.array(sorted(PUBLIC_MAIL_DOMAINS), pa.string())})
    by_address: list[tuple[Any, ...]] = []
    with _fresh(db, fresh), db.registered(public_mail_domains=public):
        for _ in tenant_batches(db, USERS_PER_BATCH):
            by_address += db.run_file("shared_addresses")
        by_domain = db.run_file("shared_domains")
    pair = ["tenant_id", "organization_id"]
    addresses = pd.DataFrame(by_address, columns=[*pair, "shared_addresses"])
    domains = pd.DataFrame(by_domain, columns=[*pair, "shared_domains", "domains"])
    texts = [json.dumps(names, ensure_ascii=False) for names in domains["domains"]]
    # Of objects, also where no domain is shared at all: text cannot fill a column of numbers.
    domains["domains"] = pd.Series(texts, index=domains.index, dtype="object")
    evidence = addresses.merge(domains, how="outer", on=pair, validate="1:1")
    counts = {"shared_addresses": "int64", "shared_domains": "int64"}
    return evidence.fillna({"shared_addresses": 0, "shared_domains": 0, "domains": "[]"}).astype(counts)


# Tenant, user, organization, contact, and the rule that found it.
UserLink = tuple[str, str, str, str, str]


@contextmanager
def known_people(db: Db, decisions: Iterable[UserDecision], links: ArrowRows) -> Iterator[None]:
    """What people decided about users and which contact each is linked to, as the tables `user_decisions` (tenant_id,
    user_id, action, contact_id) and `user_links` (tenant_id, user_id, organization_id, contact_id) for the block.

    Those of all tenants: a contact that anybody has is no candidate for anybody else.
    """
    with (
        db.registered(user_decisions=decision_table(decisions), incoming_links=links),
        _temporary(db, "user_links"),
    ):
        db.execute("CREATE OR REPLACE TEMP TABLE user_links AS SELECT * FROM incoming_links")
        yield


def match_contacts(
    db: Db,
    fresh: Sequence[str],
    on_links: Callable[[list[UserLink]], None],
    certain: Sequence[str] | None = None,
) -> None:
    """Fill `match.contacts` for the fresh tenants. Needs `known_people`, `match.organizations`, and the SQL function
    `normalise`.

    `certain` are all tenants that were read, also those whose match stays as it is (None: the fresh ones): of the
    others it is not known who left. `on_links` gets, in portions, the links that this match adds or changes.
    """
    with _fresh(db, fresh), _temporary(db, *_MATCHING):
        db.run_file("comparable")
        name_tenants(db, "certain", fresh if certain is None else certain)
        db.run_file("match_decided")
        db.execute(f"CREATE OR REPLACE TEMP TABLE linked ({_LINKED})")
        parts = int(db.scalar("SELECT count(*) FROM user_links")) // USERS_PER_BATCH + 1
        for part in range(parts):
            db.run_file("match_linked", parts=parts, part=part)
        db.run_file("match_taken")
        db.execute("CREATE OR REPLACE TEMP TABLE settled (u BIGINT, rule VARCHAR, contact_id VARCHAR, seen VARCHAR)")
        db.execute("CREATE OR REPLACE TEMP TABLE rivals (u BIGINT, contact_id VARCHAR)")
        # The working tables are filled outside the transaction: DuckDB reads what is not committed on one core only.
        for _ in tenant_batches(db, USERS_PER_BATCH):
            _settle_batch(db)
        name_tenants(db, "batch", [])  # the macro needs one, also where nobody is fresh
        db.run_file("match_outcomes")
        with _plain_compression(db):
            _write_outcomes(db)
        for links in db.portions("match_new_links", LINKS_PER_PORTION):
            on_links(links)


def _write_outcomes(db: Db) -> None:
    if not db.rows('SELECT 1 FROM "match".contacts SEMI JOIN fresh USING (tenant_id) LIMIT 1'):
        with db.transaction():
            for _ in tenant_batches(db, USERS_PER_BATCH):
                db.execute('INSERT INTO "match".contacts BY NAME FROM match_outcomes()')
        return
    db.execute('CREATE OR REPLACE TEMP TABLE differing AS SELECT *, 0::BIGINT AS old FROM "match".contacts LIMIT 0')
    for _ in tenant_batches(db, USERS_PER_BATCH):
        db.run_file("match_differing")
    with db.transaction():
        db.execute('DELETE FROM "match".contacts WHERE rowid IN (SELECT old FROM differing)')
        db.execute(
            'INSERT INTO "match".contacts BY NAME SELECT * EXCLUDE (old) FROM differing WHERE user_id IS NOT NULL'
        )


def _settle_batch(db: Db) -> None:
    for step in ("match_pool_users", "match_pool_organizations", "match_pool_contacts"):
        db.run_file(step)
    for rule in RULES:
        db.run_file(f"match_pairs_{rule}")
        db.run_file("match_settle", rule=rule)
        db.run_file("match_rivals", rule=rule)


def compare(
    db: Db,
    fresh: Sequence[str],
    licensed_connections: Sequence[str],
    known: Mapping[str, bool] | None = None,
    places: Mapping[str, str] | None = None,
    slices: str | None = None,
) -> None:
    """Fill the `compare` tables for the fresh tenants. Needs the matches, and the SQL function `normalise`. Of their
    users only those in the `slices` of that table are compared (None: all).

    `licensed_connections` names the connections whose licenses are documented. `known` says of the IT Glue streams
    `locations` and `license_assets` whether they were ever read completely; one that is not named was. `places` maps
    tenants to the location that this program created for them.
    """
    known = known or {}
    connections = pa.table({"connection": pa.array(list(licensed_connections), pa.string())})
    with (
        _fresh(db, fresh),
        _temporary(db, "due_matches"),
        these_slices(db, slices, fresh) as chosen,
        db.registered(licensed_connections=connections, places=place_table(places or {})),
    ):
        for macro in ("comparable", "digits", "same_phone", "same_number", "compare_state", "text_value"):
            db.run_file(macro)
        # Before the transaction: rows that are not committed yet have no numbers to divide them by.
        db.execute(
            "CREATE OR REPLACE TEMP TABLE due_matches AS SELECT tenant_id, user_id, contact_id, organization_id"
            f" FROM \"match\".contacts m WHERE status = 'matched' AND {in_slices(chosen, 'm')}"
        )
        with _plain_compression(db), db.transaction():
            for name in COMPARED:
                db.execute(f"DELETE FROM {name} WHERE tenant_id IN (SELECT tenant_id FROM fresh)")
            db.execute(f"DELETE FROM work.contact_sides s WHERE {in_slices(chosen, 's')}")
            db.run_file("compare_tenant_locations")
            db.run_file("compare_organizations", locations_known=known.get("locations", True))
            db.run_file("compare_licenses", assets_known=known.get("license_assets", True))
            for first in range(0, int(db.scalar("SELECT count(*) FROM due_matches")), COMPARED_PER_BATCH):
                db.run_file("compare_contact_sides", first=first, last=first + COMPARED_PER_BATCH - 1)


def tenant_batches(db: Db, users_per_batch: int, slices: str | None = None) -> Iterator[int]:
    """Fill the table `batch` with tenants of `fresh`, of so many users (in the `slices` of that table; None: in all),
    until all have had their turn; yields the number of these users. Tenants of one organization are never parted: they
    share its contacts.
    """
    counted = f"WHERE {in_slices(slices, 'm365.users')}" if slices else ""
    groups = db.rows(
        "SELECT list(f.tenant_id), sum(coalesce(u.users, 0))"
        " FROM fresh f"
        f" LEFT JOIN (SELECT tenant_id, count(*) AS users FROM m365.users {counted} GROUP BY ALL) u USING (tenant_id)"
        " LEFT JOIN \"match\".organizations m ON m.tenant_id = f.tenant_id AND m.status = 'matched'"
        " GROUP BY coalesce(m.organization_id, f.tenant_id)"
        " ORDER BY min(f.tenant_id)"
    )
    batch: list[str] = []
    users = 0
    for number, (tenants, count) in enumerate(groups, start=1):
        batch += tenants
        users += count
        if users >= users_per_batch or number == len(groups):
            name_tenants(db, "batch", batch)
            yield users
            batch, users = [], 0


@contextmanager
def _fresh(db: Db, fresh: Sequence[str]) -> Iterator[None]:
    with _temporary(db, "fresh", "batch"):
        name_tenants(db, "fresh", fresh)
        yield


@contextmanager
def _plain_compression(db: Db) -> Iterator[None]:
    """Millions of rows of text that the next sync replaces: compressing them takes as long as making them.

    What is more than little goes into the file with the transaction, while this holds: as a change beside the file it
    would be written twice, and compressed after all once the file is closed. Around the transaction, not in it: in a
    failed one no setting can be put back.
    """
    db.execute("SET force_compression = 'uncompressed'")
    db.execute("SET checkpoint_threshold = '1MB'")
    try:
        yield
    finally:
        db.execute("RESET checkpoint_threshold")
        db.execute("SET force_compression = 'auto'")


@contextmanager
def _temporary(db: Db, *tables: str) -> Iterator[None]:
    """Drop the working tables at the end; their memory is wanted for something else."""
    yield
    for table in tables:
        db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def place_table(places: Mapping[str, str]) -> pa.Table:
    """Tenant → location id, as a table with the columns tenant_id and location_id."""
    return pa.table(
        {
            "tenant_id": pa.array(list(places), pa.string()),
            "location_id": pa.array(list(places.values()), pa.string()),
        }
    )


def decision_table(decisions: Iterable[UserDecision]) -> pa.Table:
    """Decisions about users, as a table: tenant_id, user_id, action, contact_id."""
    rows: list[Mapping[str, Any]] = [
        {"tenant_id": d.tenant_id, "user_id": d.user_id, "action": d.action, "contact_id": d.contact_id}
        for d in decisions
    ]
    names = ("tenant_id", "user_id", "action", "contact_id")
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})
