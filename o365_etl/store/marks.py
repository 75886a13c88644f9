"""What was concluded already: a tenant whose rows and whose organization's rows are the same needs no second look.

A conclusion (a match, a comparison, a plan) is remembered with a *mark*: the sum of the hashes of every row it rests
on. Tenants that share an organization share its contacts, so all their rows count for each of them. The marks are taken
from the rows themselves, whoever wrote them, and from what else is told (settings, the program's own text): a change
that nobody thought of is seen all the same. Of what concerns single users a tenant's slices have marks of their own, so
that one user's change is not looked for in all.

What does not live here: what each conclusion rests on, and the conclusions (the pipeline).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from o365_etl.slices import SLICES, slice_in_sql
from o365_etl.store.warehouse import Db, name_tenants, quoted
from o365_etl.tables import TABLES

# Columns that move with every read and say nothing about it.
_OF_THE_READ: Mapping[str, tuple[str, ...]] = {"m365.tenants": ("as_of", "is_stale")}
_UNSEEN = ("simulator", "review", "cli")


@dataclass(frozen=True)
class Basis:
    """What a conclusion about a tenant rests on: tables and temporary tables by what their rows belong to.

    `tenant`: rows with its tenant_id; `organization`: rows with the organization_id that it is matched with, or of a
    contact of it; `account`: all rows. `pointing`: rows with a tenant_id and a contact_id, which count for the tenant,
    together with where the contact is now, and for the tenants of the organization where it is. `without` names columns
    that do not count.
    """

    tenant: tuple[str, ...]
    organization: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    pointing: tuple[str, ...] = ()
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceBasis:
    """What a conclusion about the users of a slice rests on, tables and temporary tables.

    `users`: rows with a tenant_id and a user_id; `contacts`: rows of the contact that a user is matched with; `tenant`:
    rows with the tenant_id, which count for each of its slices. `without` as in `Basis`.
    """

    users: tuple[str, ...]
    contacts: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@contextmanager
def unconcluded(db: Db, stage: str, tenants: Sequence[str], basis: Basis, also: str = "") -> Iterator[list[str]]:
    """The ones of `tenants` about which `stage` (of `STAGES`) has to conclude anew, with all that share their
    organization; once the block has ended without an error, that is done. `also` is what counts besides rows.
    """
    # One conclusion may be a part of another.
    marks = f"marks_of_{stage}"
    _take(db, marks, basis, _besides(also))
    try:
        due = [
            row[0]
            for row in db.rows(
                "WITH fresh AS (SELECT unnest(?::VARCHAR[]) AS tenant_id),"
                f" old AS (SELECT n.together FROM {marks} n SEMI JOIN fresh USING (tenant_id)"
                f"  LEFT JOIN work.concluded_{stage} c USING (tenant_id)"
                "  WHERE c.mark IS DISTINCT FROM n.mark)"
                f" SELECT tenant_id FROM {marks} SEMI JOIN fresh USING (tenant_id) SEMI JOIN old USING (together)"
                " ORDER BY tenant_id",
                [list(tenants)],
            )
        ]
        yield due
        if due:
            _keep(db, stage, marks, due)
    finally:
        db.execute(f"DROP TABLE IF EXISTS temp.{marks}")


@contextmanager
def unconcluded_slices(db: Db, stage: str, tenants: Sequence[str], basis: SliceBasis, also: str = "") -> Iterator[str]:
    """The name of a temporary table of the slices of `tenants` (tenant_id, slice) about whose users `stage` (of
    `SLICED`) has to conclude anew; once the block has ended without an error, that is done. `also` as in `unconcluded`.
    """
    marks, due, kept = f"marks_of_{stage}", f"due_for_{stage}", f"work.concluded_{stage}"
    try:
        name_tenants(db, due, tenants)
        _take_slices(db, marks, due, basis, _besides(also))
        # Of a tenant of which nothing is remembered also the empty slices: something of before may be left there.
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE {due} AS WITH kept AS ("
            f" SELECT * REPLACE (slice::INTEGER AS slice) FROM {kept} SEMI JOIN {due} USING (tenant_id))"
            f" SELECT tenant_id, slice FROM {marks} n FULL JOIN kept o USING (tenant_id, slice)"
            " WHERE n.mark IS DISTINCT FROM o.mark"
            " UNION SELECT tenant_id, s.slice::INTEGER"
            f" FROM (FROM {due} ANTI JOIN kept USING (tenant_id)), range({SLICES}) s(slice)"
        )
        # Should it break off, what was written until then is known to be of no mark.
        _remember(db, kept, due, f"SELECT tenant_id, slice, '' FROM {due}")
        yield due
        _remember(db, kept, due, f"SELECT tenant_id, slice, mark FROM {marks} SEMI JOIN {due} USING (tenant_id, slice)")
    finally:
        for table in (marks, due):
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _remember(db: Db, kept: str, slices: str, marks: str) -> None:
    with db.transaction():
        db.execute(f"DELETE FROM {kept} k WHERE {in_slices(slices, 'k', 'k.slice::INTEGER')}")
        db.execute(f"INSERT INTO {kept} {marks}")


@contextmanager
def these_slices(db: Db, slices: str | None, tenants: Sequence[str]) -> Iterator[str]:
    """The name of a table of slices for the block: `slices`, or if that is None one of all slices of `tenants`."""
    if slices is not None:
        yield slices
        return
    db.execute(
        "CREATE OR REPLACE TEMP TABLE every_slice AS"
        f" SELECT unnest(?::VARCHAR[]) AS tenant_id, slice::INTEGER AS slice FROM range({SLICES}) s(slice)",
        [list(tenants)],
    )
    try:
        yield "every_slice"
    finally:
        db.execute("DROP TABLE IF EXISTS temp.every_slice")


def _besides(also: str) -> str:
    """What is the same as long as neither `also` nor the program is another."""
    return hashlib.sha256(f"{own_text()}\n{also}".encode()).hexdigest()


def in_slices(slices: str, alias: str, slice_: str | None = None) -> str:
    """A condition on rows `alias` (tenant_id, user_id) of SQL: theirs is one of the table's slices.

    Not EXISTS: with a slice worked out of the row DuckDB keeps all rows for that, and has not the memory.
    """
    own = slice_ or slice_in_sql(f"{alias}.user_id")
    return f"({alias}.tenant_id, {own}) IN (SELECT (tenant_id, slice) FROM {slices})"


def _take_slices(db: Db, marks: str, tenants: str, basis: SliceBasis, also: str) -> None:
    """Fill the temporary table `marks`: tenant_id, slice, mark, for slices with anybody in them."""
    whose = f"SEMI JOIN {tenants} USING (tenant_id)"
    whole = [
        f"SELECT tenant_id, {_sum(db, table, basis)} AS h FROM {quoted(table)} {whose} GROUP BY ALL"
        for table in basis.tenant
    ]
    parts = [
        f"SELECT tenant_id, {slice_in_sql('user_id')} AS slice, {_sum(db, table, basis)} AS h"
        f" FROM {quoted(table)} {whose} GROUP BY ALL"
        for table in basis.users
    ]
    parts += [
        f"SELECT m.tenant_id, {slice_in_sql('m.user_id')} AS slice, {_sum(db, table, basis, 'c')} AS h"
        f" FROM (SELECT tenant_id, user_id, contact_id FROM \"match\".contacts {whose} WHERE status = 'matched') m"
        f" JOIN {quoted(table)} c USING (contact_id) GROUP BY ALL"
        for table in basis.contacts
    ]
    of_tenant = " UNION ALL ".join(whole) or "SELECT NULL::VARCHAR AS tenant_id, 0::HUGEINT AS h WHERE false"
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE {marks} AS"
        f" WITH whole AS (SELECT tenant_id, sum(h) AS h FROM ({of_tenant}) GROUP BY ALL),"
        f" parts AS ({' UNION ALL '.join(parts)})"
        " SELECT tenant_id, slice, concat_ws(' ', sum(p.h), any_value(w.h), ?) AS mark"
        " FROM parts p LEFT JOIN whole w USING (tenant_id) WHERE slice IS NOT NULL GROUP BY ALL",
        [also],
    )


def _keep(db: Db, stage: str, marks: str, tenants: Sequence[str]) -> None:
    with db.transaction():
        db.execute(f"DELETE FROM work.concluded_{stage} WHERE list_contains(?, tenant_id)", [list(tenants)])
        db.execute(
            f"INSERT INTO work.concluded_{stage} SELECT tenant_id, mark FROM {marks} WHERE list_contains(?, tenant_id)",
            [list(tenants)],
        )


def _take(db: Db, marks: str, basis: Basis, also: str) -> None:
    """Fill the temporary table `marks`: tenant_id, together (the same for tenants that share an organization), mark."""
    account = [db.scalar(f"SELECT {_sum(db, table, basis)} FROM {quoted(table)}") for table in basis.account]
    parts = [
        f"SELECT tenant_id, {_sum(db, table, basis)} AS h FROM {quoted(table)} GROUP BY ALL" for table in basis.tenant
    ]
    parts += [
        f"SELECT m.tenant_id, o.h FROM matched m"
        f" JOIN (SELECT {_owned(db, table)}, {_sum(db, table, basis, 'r')} AS h {_from(db, table)} GROUP BY ALL) o"
        " USING (organization_id)"
        for table in basis.organization
    ]
    for table in basis.pointing:
        pointing = (
            f"SELECT p.tenant_id, c.organization_id, {_hash(db, table, basis, 'p')} + hash(c.organization_id) AS h"
            f" FROM {quoted(table)} p LEFT JOIN itglue.contacts c USING (contact_id)"
        )
        parts.append(f"SELECT tenant_id, sum(h) AS h FROM ({pointing}) GROUP BY ALL")
        # Its own tenants' were counted already; what counts twice changes twice.
        parts.append(
            f"SELECT m.tenant_id, sum(h) AS h FROM ({pointing}) JOIN matched m USING (organization_id) GROUP BY ALL"
        )
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE {marks} AS"
        " WITH matched AS (SELECT tenant_id, organization_id FROM \"match\".organizations WHERE status = 'matched'),"
        f" parts AS ({' UNION ALL '.join(parts)}),"
        " own AS ("
        "  SELECT t.tenant_id, coalesce(any_value(m.organization_id), t.tenant_id) AS together, sum(p.h) AS h"
        "  FROM m365.tenants t LEFT JOIN matched m USING (tenant_id) LEFT JOIN parts p USING (tenant_id)"
        "  GROUP BY t.tenant_id)"
        " SELECT tenant_id, together,"
        "  concat_ws(' ', sum(h) OVER (PARTITION BY together), ?) AS mark FROM own",
        [" ".join(map(str, [*account, also]))],
    )


def _owned(db: Db, table: str) -> str:
    return "r.organization_id" if "organization_id" in _columns(db, table) else "c.organization_id"


def _from(db: Db, table: str) -> str:
    """The rows `r` of an organization's table; those that name only their contact, with the contact `c`."""
    if "organization_id" in _columns(db, table):
        return f"FROM {quoted(table)} r"
    return f"FROM {quoted(table)} r JOIN itglue.contacts c ON c.contact_id = r.contact_id"


def _sum(db: Db, table: str, basis: Basis | SliceBasis, alias: str = "") -> str:
    return f"sum({_hash(db, table, basis, alias)})"


def _hash(db: Db, table: str, basis: Basis | SliceBasis, alias: str = "") -> str:
    left_out = {*basis.without.get(table, ()), *_OF_THE_READ.get(table, ())}
    prefix = f"{alias}." if alias else ""
    names = [f'{prefix}"{name}"' for name in _columns(db, table) if name not in left_out]
    return f"hash('{table}', {', '.join(names)})::HUGEINT"


def _columns(db: Db, table: str) -> Sequence[str]:
    if table in TABLES:
        return TABLES[table].column_names
    return [str(row[0]) for row in db.rows(f"DESCRIBE {quoted(table)}")]


@cache
def own_text() -> str:
    """The digest of this program's text, as far as it concludes anything: another version concludes anew."""
    digest = hashlib.sha256()
    for name, content in _texts(resources.files("o365_etl")):
        digest.update(f"{name}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _texts(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir() and each.name not in (*_UNSEEN, "__pycache__"):
            yield from _texts(each)
        elif each.name.endswith((".py", ".sql", ".csv")):
            yield each.name, each.read_bytes()
