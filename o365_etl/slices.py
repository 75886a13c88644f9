"""Slices of a tenant: its users are dealt out by their ids, so that what one of them changes is not looked for in all.

What is remembered of a tenant (what was loaded, compared, planned, published) is remembered slice by slice. A slice
says nothing about its users but that their ids end alike; it is the same in Python and in SQL.

What does not live here: what is remembered (`store.marks`, `store.copying`, the pipeline).
"""

from __future__ import annotations

# Enough that one user's change costs a sixty-fourth of his tenant, few enough to be remembered for every tenant.
SLICES = 64


def slice_of(user_id: str) -> int:
    """The slice of a user, by his object id in lower case; an empty id is in none (IndexError)."""
    return (4 * ord(user_id[-1]) + ord(user_id[-2:][0])) % SLICES


def slice_in_sql(column: str) -> str:
    """The same as an expression of DuckDB, of a column (NULL is in no slice: NULL)."""
    # `right` and `left` would take twice the time; `unicode` is that of the first character.
    return f"((4 * unicode(substr({column}, -1)) + unicode(substr({column}, -2))) % {SLICES})"
