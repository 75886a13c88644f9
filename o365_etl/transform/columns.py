"""From Python values to Arrow tables, and the few value parsers that several tables share.

What does not live here: what a column means (`o365_etl.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from o365_etl.tables import TABLES

# Microsoft's "never": 0001-01-01T00:00:00Z
_NEVER_YEAR = 1


def to_table(name: str, columns: Mapping[str, Sequence[Any]], rows: int) -> pa.Table:
    """The Arrow table of contract `name`; a column that is not given is NULL in all `rows`."""
    schema = TABLES[name].arrow_schema()
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def rows_to_table(name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """The Arrow table of contract `name` from rows whose values stand in the order of `names`."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return to_table(name, dict(zip(names, columns, strict=True)), len(rows))


def parse_time(text: str | None) -> datetime | None:
    """A time of either API, in UTC; None for absent, empty, Microsoft's year 1, or what is no time.

    More than six fraction digits are cut; a time without a zone is UTC.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.year == _NEVER_YEAR:
            return None
        return time.astimezone(UTC) if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: str | None) -> date | None:
    """A yyyy-mm-dd date; None for absent, empty, or what is no date."""
    try:
        return date.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None


def parse_count(text: str | None) -> int | None:
    """A whole number; None for absent, empty, or what is none."""
    try:
        return int(text) if text else None
    except ValueError:
        return None
