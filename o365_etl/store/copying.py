"""Fills the published copy: anew, or the one before by the parts that changed.

A *part* is what belongs to one slice of a tenant's users, to one tenant or to one organization in a table (or the whole
table, where it has none of these). The copy remembers a mark of each part it holds, in `main.contents`; a part whose
mark in the warehouse is the same is left alone. The marks are taken from the rows, so what changed needs no telling.

What does not live here: how the copy takes the place of the one before (`published`).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import duckdb

from o365_etl.errors import LocalError, O365EtlError
from o365_etl.slices import slice_in_sql
from o365_etl.store.disk import create_file, local_errors
from o365_etl.store.warehouse import WORKING, ArrowRows, Db
from o365_etl.tables import SCHEMAS, TABLES, Table

log = logging.getLogger(__name__)

# A part for itself costs a search for its rows; a small table is written whole.
_ROWS_WRITTEN_WHOLE = 20_000
# Of the rows of a table: when more of them changed, all are written.
_MOST_CHANGED = 0.3
# What was replaced leaves gaps in the file; grown so much, it is made anew.
_MOST_GROWN = 2.5
_ROWS_SET_AT_ONCE = 400_000
# What is another with every run, or with any change of the tenant's plan: set for itself, or all rows would be new.
_OF_THE_RUN = {"sync.changes": ("run_id", "plan_hash")}
# What a copy knows of itself: its parts, -1 for what has no slices.
_CONTENTS = "table_name VARCHAR, part VARCHAR, slice INTEGER, mark HUGEINT, rows BIGINT"
# A view of the warehouse that is marked by the rows it shows.
_BEHIND = {"compare.contacts": "work.contact_sides"}


def build(db: Db, file: Path, before: Path, run_id: str, extra: Mapping[str, ArrowRows]) -> None:
    """Make `file` a copy of every table of the contract, from the copy `before` where that is of use."""
    try:
        _build(db, file, before, run_id, extra)
    except LocalError as error:
        if error.code != "damaged":
            raise
        # Of the copy before or of the warehouse? What is made anew reads nothing but the warehouse.
        log.warning("the published copy before cannot be used, or the warehouse; the copy is made anew")
        file.unlink(missing_ok=True)
        _build(db, file, None, run_id, extra)


def _build(db: Db, file: Path, before: Path | None, run_id: str, extra: Mapping[str, ArrowRows]) -> None:
    with _attached(db, file, before) as is_again:
        if is_again:
            _update(db, extra)
        else:
            _create(db, extra)
        _describe(db, run_id, file, is_again)
        db.execute("CHECKPOINT published")


@contextlib.contextmanager
def _attached(db: Db, file: Path, before: Path | None) -> Iterator[bool]:
    """`file`, attached as `published`: as `before`, or empty where that is of no use; whether it is the former."""
    is_again = before is not None and _copied(db, file, before)
    if not is_again:
        file.unlink(missing_ok=True)
        _attach(db, file)
    try:
        yield is_again
    finally:
        db.execute("DETACH published")


def _copied(db: Db, file: Path, before: Path) -> bool:
    """Whether there is a copy of today's contract to start from; `file` is it then, and attached."""
    with contextlib.suppress(duckdb.Error, O365EtlError, OSError):
        os.close(create_file(file))  # readable by this user alone, before there is a row in it
        shutil.copyfile(before, file)
        _attach(db, file)
        with contextlib.ExitStack() as stack:
            stack.callback(db.execute, "DETACH published")
            about = dict(db.rows("SELECT key, value FROM published.main.about"))
            grown = file.stat().st_size / max(1, int(about.get("bytes_when_new", 0)))
            if about.get("contract") == _contract() and grown <= _MOST_GROWN:
                stack.pop_all()
                return True
    return False


def _attach(db: Db, file: Path) -> None:
    quoted = str(file).replace("'", "''")
    db.execute(f"ATTACH '{quoted}' AS published")
    with local_errors(f"protect {file}"):
        file.chmod(0o600)  # before there is a row in it


def _create(db: Db, extra: Mapping[str, ArrowRows]) -> None:
    for schema in SCHEMAS:
        db.execute(f"CREATE SCHEMA published.{schema}")
    db.execute("CREATE TABLE published.main.about (key VARCHAR NOT NULL, value VARCHAR)")
    db.execute(f"CREATE TABLE published.main.contents ({_CONTENTS})")
    # A transaction for each table: nobody else writes to the warehouse or sees this file yet, and what an open
    # transaction has inserted stays in memory beyond DuckDB's limit.
    for name, table in TABLES.items():
        with db.in_little_memory(), db.transaction():
            comments = (f"COMMENT ON {what} IS {_literal(text)}" for what, text in _descriptions(table))
            db.execute(";\n".join((table.ddl(f"published.{table.full_name}"), *comments)))
            _fill(db, table, extra.get(name))
    _note_contents(db, "published.main.contents", extra)


def _update(db: Db, extra: Mapping[str, ArrowRows]) -> None:
    for name, frame in extra.items():
        with db.transaction():
            db.execute(f"DELETE FROM published.{TABLES[name].full_name}")
            _fill(db, TABLES[name], frame)
    db.execute(f"CREATE OR REPLACE TEMP TABLE new_contents ({_CONTENTS})")
    _note_contents(db, "new_contents", extra)
    db.execute(
        "CREATE OR REPLACE TEMP TABLE changed_parts AS SELECT table_name, part, slice, n.rows AS rows"
        " FROM new_contents n FULL JOIN published.main.contents o USING (table_name, part, slice)"
        " WHERE n.mark IS DISTINCT FROM o.mark"
    )
    for (name,) in db.rows("SELECT DISTINCT table_name FROM changed_parts ORDER BY 1"):
        _replace(db, TABLES[name])
    _name_run(db)
    for name in ("new_contents", "changed_parts"):
        db.execute(f"DROP TABLE temp.{name}")


def _replace(db: Db, table: Table) -> None:
    """Put the changed parts of a table in the place of those before, or all of it where that is quicker."""
    sums = "SELECT coalesce(sum(rows), 0) FROM {} WHERE table_name = ?"
    rows, changed = (int(db.scalar(sums.format(each), [table.full_name])) for each in ("new_contents", "changed_parts"))
    is_whole = rows <= _ROWS_WRITTEN_WHOLE or changed > _MOST_CHANGED * rows
    name, only = table.full_name, "" if is_whole else _of_parts(table)
    which = f" WHERE rowid IN (SELECT s.rowid FROM published.{name} s{only})" if only else ""
    with db.transaction():
        db.execute(f"DELETE FROM published.{name}{which}")
        _fill(db, table, None, only)
        db.execute("DELETE FROM published.main.contents WHERE table_name = ?", [name])
        db.execute("INSERT INTO published.main.contents FROM new_contents WHERE table_name = ?", [name])


def _name_run(db: Db) -> None:
    """Give the changes that are still planned the run and the hash of the plan that they are part of now: the same for
    all of a tenant. So many rows at once that DuckDB can hold what they were.
    """
    table = TABLES["sync.changes"]
    name, part = table.full_name, _part(table)
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE plans_now AS SELECT {part} AS part, any_value(run_id) AS run_id,"
        f" any_value(plan_hash) AS plan_hash, count(*) AS rows FROM {name} WHERE finished_at IS NULL GROUP BY ALL"
    )
    for parts in _portions(db.rows("SELECT part, rows FROM plans_now ORDER BY part")):
        db.execute(
            f"UPDATE published.{name} AS c SET run_id = n.run_id, plan_hash = n.plan_hash"
            " FROM (FROM plans_now WHERE part IN (SELECT unnest(?::VARCHAR[]))) n"
            f" WHERE n.part = {_part(table, 'c.')} AND c.finished_at IS NULL"
            " AND (c.run_id IS DISTINCT FROM n.run_id OR c.plan_hash IS DISTINCT FROM n.plan_hash)",
            [parts],
        )
        db.execute("CHECKPOINT published")
    db.execute("DROP TABLE temp.plans_now")


def _portions(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Names of parts, so many together that they have `_ROWS_SET_AT_ONCE` rows."""
    portion: list[str] = []
    held = 0
    for part, rows in sizes:
        portion.append(part)
        held += rows
        if held >= _ROWS_SET_AT_ONCE:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion


def _fill(db: Db, table: Table, frame: ArrowRows | None, only: str = "") -> None:
    # By column: a table that has grown has its new columns at the end, the copy in the order of the contract.
    columns = ", ".join(f'"{column}"' for column in table.column_names)
    into = f"INSERT INTO published.{table.full_name} ({columns}) SELECT {columns}"
    if frame is not None:
        with db.registered(incoming=frame):
            db.execute(f"{into} FROM incoming")
        return
    with db.on_one_thread():
        db.execute(f"{into} FROM {table.full_name} s{only}")


def _note_contents(db: Db, into: str, extra: Mapping[str, ArrowRows]) -> None:
    """Fill a table with the parts of all tables as the warehouse has them; table by table, for the sake of memory."""
    for name, table in TABLES.items():
        if name not in extra:
            db.execute(f"INSERT INTO {into} {_parts(table)}")


def _parts(table: Table) -> str:
    source, columns = table.full_name, table.column_names
    if table.full_name in _BEHIND:
        source = _BEHIND[table.full_name]
        columns = WORKING[source]
    content = ", ".join(f'"{column}"' for column in columns if column not in _OF_THE_RUN.get(table.full_name, ()))
    return (
        f"SELECT '{table.full_name}' AS table_name, {_part(table)} AS part, {_slice(table)} AS slice,"
        f" sum(hash({content})::HUGEINT) AS mark, count(*) AS rows FROM {source} GROUP BY ALL"
    )


def _part(table: Table, alias: str = "") -> str:
    """Whose the rows of a table are: one row of `contents` for each value and slice."""
    for column in ("tenant_id", "organization_id"):
        if column in table.column_names:
            return f"coalesce({alias}{column}, '')"
    return "''"


def _slice(table: Table, alias: str = "") -> str:
    for column in ("user_id", "subject_id"):
        if column in table.column_names:
            return f"coalesce({slice_in_sql(f'{alias}{column}')}, -1)"
    return "-1"


def _of_parts(table: Table) -> str:
    """Joined to rows `s` of a table: those of changed parts. So the rows need not be held, as for EXISTS."""
    return (
        f" SEMI JOIN (FROM changed_parts WHERE table_name = '{table.full_name}') p"
        f" ON p.part = {_part(table, 's.')} AND p.slice = {_slice(table, 's.')}"
    )


def _describe(db: Db, run_id: str, file: Path, is_again: bool) -> None:
    about = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run_id,
        "o365_etl_version": _program_version(),
        "duckdb_version": duckdb.__version__,
        "contract": _contract(),
    }
    if not is_again:
        db.execute("CHECKPOINT published")
        about["bytes_when_new"] = str(file.stat().st_size)
    said = [list(about), list(about.values())]
    with db.transaction():
        db.execute("DELETE FROM published.main.about WHERE list_contains(?, key)", said[:1])
        db.execute("INSERT INTO published.main.about SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])", said)


def _contract() -> str:
    """What a copy was made by: tables, descriptions, its parts, the version of DuckDB whose hashes it keeps."""
    said = [duckdb.__version__, _CONTENTS, slice_in_sql("user_id"), repr(_OF_THE_RUN)]
    for table in TABLES.values():
        said.append(table.ddl())
        said += [description for _, description in _descriptions(table)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _descriptions(table: Table) -> Iterator[tuple[str, str]]:
    name = f"published.{table.full_name}"
    yield f"TABLE {name}", table.description
    for column in table.columns:
        yield f'COLUMN {name}."{column.name}"', column.description


def _program_version() -> str:
    try:
        return metadata.version("o365-etl")
    except metadata.PackageNotFoundError:
        return "not installed"


def _literal(text: str) -> str:
    """Text as an SQL literal; COMMENT takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
