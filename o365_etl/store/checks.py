"""The blocking checks that follow from the contract of a table.

What does not live here: when they run and what happens then (`assets`).
"""

from __future__ import annotations

from o365_etl.store.warehouse import Db
from o365_etl.tables import Table


def broken_rules(db: Db, table: Table) -> dict[str, int]:
    """Rule → number of rows that break it; empty if the contract holds.

    `null_key:column`: the key has a NULL there; `duplicate_key`: keys that stand in more than one row;
    `unknown_word:column`: a value outside the words that the contract lists (NULL is no word).
    """
    counts = {**_null_keys(db, table), "duplicate_key": _duplicate_keys(db, table), **_unknown_words(db, table)}
    return {rule: count for rule, count in counts.items() if count}


def _null_keys(db: Db, table: Table) -> dict[str, int]:
    counts = ", ".join(f'count(*) FILTER ("{column}" IS NULL)' for column in table.key)
    (row,) = db.rows(f"SELECT {counts} FROM {table.full_name}")
    return {f"null_key:{column}": count for column, count in zip(table.key, row, strict=True)}


def _duplicate_keys(db: Db, table: Table) -> int:
    columns = ", ".join(f'"{column}"' for column in table.key)
    return int(
        db.scalar(f"SELECT count(*) FROM (SELECT 1 FROM {table.full_name} GROUP BY {columns} HAVING count(*) > 1)")
    )


def _unknown_words(db: Db, table: Table) -> dict[str, int]:
    return {
        f"unknown_word:{column.name}": int(
            db.scalar(
                f'SELECT count(*) FROM {table.full_name} WHERE "{column.name}" NOT IN (SELECT unnest(?::VARCHAR[]))',
                [list(column.values)],
            )
        )
        for column in table.columns
        if column.values
    }
