"""Keeps every version of a row: slowly changing dimensions of type 2, made from the contract of the tables.

A version is closed by a sync that saw another one, or a complete read without the row; so only fresh tenants are
looked at. What does not live here: when to write (the pipeline).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from o365_etl.store.marks import in_slices, these_slices
from o365_etl.store.warehouse import Db, name_tenants, quoted
from o365_etl.tables import HISTORY, TABLES

# Columns that change by themselves: alone they make no new version. A match that a rule found becomes a link.
RESTLESS = frozenset(("last_sign_in_at", "evidence", "rule"))


def write_history(db: Db, now: datetime, tenants: Sequence[str], slices: str | None = None) -> dict[str, int]:
    """Close and open versions of the rows of `tenants`, as of `now` (with a zone); versions opened, by table. Of what
    belongs to users only those in the `slices` of that table (None: all).
    """
    opened = {}
    name_tenants(db, "looked_at", tenants)
    with these_slices(db, slices, tenants) as chosen:
        for history, table in HISTORY.items():
            with db.transaction():
                db.execute(_close(history, table, chosen), [now])
                opened[history] = int(db.scalar(_open(history, table, chosen), [now]))
    db.execute("DROP TABLE temp.looked_at")
    return opened


def _close(history: str, table: str, slices: str) -> str:
    return (
        f"UPDATE {quoted(history)} AS h SET valid_to = ? WHERE h.valid_to IS NULL AND {_looked_at('h', table, slices)}"
        f" AND NOT EXISTS (FROM {quoted(table)} c WHERE {_same_key(table)} AND {_content('c', table)} = "
        f"{_content('h', table)})"
    )


def _open(history: str, table: str, slices: str) -> str:
    return (
        f"INSERT INTO {quoted(history)} BY NAME SELECT c.*, ?::TIMESTAMPTZ AS valid_from FROM {quoted(table)} c"
        f" WHERE {_looked_at('c', table, slices)}"
        f" AND NOT EXISTS (FROM {quoted(history)} h WHERE h.valid_to IS NULL AND {_same_key(table)})"
    )


def _looked_at(alias: str, table: str, slices: str) -> str:
    if "user_id" in TABLES[table].column_names:
        return in_slices(slices, alias)
    return f"{alias}.tenant_id IN (SELECT tenant_id FROM looked_at)"


def _same_key(table: str) -> str:
    return " AND ".join(f'h."{column}" = c."{column}"' for column in TABLES[table].key)


def _content(alias: str, table: str) -> str:
    """One number for what a version says: comparing it beats comparing two dozen columns, NULLs included."""
    contract = TABLES[table]
    names = [name for name in contract.column_names if name not in contract.key and name not in RESTLESS]
    return f"hash({', '.join(f'{alias}.{name}' for name in names)})"
