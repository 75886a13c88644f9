"""From Python values to Arrow tables, and the few value parsers that several tables share.

What does not live here: what a column means (`o365_etl.tables`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from o365_etl.tables import TABLES

# Microsoft's "never": 0001-01-01T00:00:00Z
_NEVER_YEAR = 1


# The values of a column; a text stands for a column that says the same in every row.
Values: TypeAlias = "Sequence[Any] | str | pa.Array | pa.ChunkedArray"
_TIME = pa.timestamp("us", tz="UTC")
# Nearer to the ends of the calendar the zone of a time decides whether it is one.
_FIRST_PLAIN, _LAST_PLAIN = (
    pa.scalar(time, _TIME).value for time in (datetime(2, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC))
)


def to_table(name: str, columns: Mapping[str, Values], rows: int) -> pa.Table:
    """The Arrow table of contract `name`; a column that is not given is NULL in all `rows`."""
    schema = _schema(name)
    arrays = [
        _array(columns[field.name], field.type, rows) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


@cache
def _schema(name: str) -> pa.Schema:
    return TABLES[name].arrow_schema()


def _array(values: Values, kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, str):
        return pa.repeat(values, rows)
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)


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


def times(texts: Sequence[str | None]) -> pa.Array:
    """The times of many texts, as `parse_time` reads each."""
    said = [text if text and not text.startswith("0001-") else None for text in texts]
    try:
        array = pc.cast(pa.array(said, pa.string()), _TIME)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        array = None  # one at least is no time, or has no zone
    if array is not None:
        ends = pc.min_max(array.view(pa.int64())).as_py()
        if ends["min"] is None or (ends["min"] > _FIRST_PLAIN and ends["max"] < _LAST_PLAIN):
            return array
    return pa.array([parse_time(text) for text in texts], _TIME)


def parse_date(text: str | None) -> date | None:
    """A yyyy-mm-dd date; None for absent, empty, or what is no date."""
    try:
        return date.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None


def parse_count(text: str | None) -> int | None:
    """A whole number; None for absent, empty, what is none, or what no BIGINT holds."""
    try:
        number = int(text) if text else None
    except ValueError:
        return None
    return number if number is None or -(1 << 63) <= number < 1 << 63 else None
