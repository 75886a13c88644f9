"""Reads Microsoft's mailbox usage report, a CSV text.

It is read by header name: its columns drift (15, 16 or 17), start with a byte order mark and may come in any order. A
report as Microsoft writes it is taken apart by Arrow, figures included; one with anything odd in its form or in a
figure (a short line, a line break within quotes, a number that is none) by Python, which forgives more and costs six
times as much. Both say the same (`tests/transform/test_usage_report.py`).

What does not live here: whose mailbox it is (`mailboxes`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
from pyarrow import csv as arrow_csv

from o365_etl.transform.columns import parse_count, parse_date

UPN = "user principal name"
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}


def _text(cell: str) -> str | None:
    return cell or None


def _boolean(cell: str) -> bool | None:
    return _BOOLEANS.get(cell.strip().lower())


class _Read(NamedTuple):
    """A column of the report: what it fills, a column of `m365.mailboxes`; its type, how a cell is read."""

    fills: str
    type: pa.DataType
    parse: Callable[[str], Any]
    is_required: bool = True


# By the column's head in lower case. Every variant of the report has those that are required; without one of them it is
# some other report. The user name keeps its head: whose mailbox it is is found out later.
_COLUMNS = {
    UPN: _Read(UPN, pa.string(), _text),
    "display name": _Read("display_name", pa.string(), _text),
    "is deleted": _Read("is_deleted", pa.bool_(), _boolean),
    "storage used (byte)": _Read("storage_used_bytes", pa.int64(), parse_count),
    "prohibit send quota (byte)": _Read("prohibit_send_quota_bytes", pa.int64(), parse_count),
    "item count": _Read("item_count", pa.int64(), parse_count),
    "last activity date": _Read("last_activity_date", pa.date32(), parse_date),
    "has archive": _Read("has_archive", pa.bool_(), _boolean, is_required=False),
    "report refresh date": _Read("report_refresh_date", pa.date32(), parse_date),
}
_REQUIRED = {head for head, column in _COLUMNS.items() if column.is_required}

# What Python takes for the end of a line and Arrow does not, and what the two might read differently.
_ODD = "\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff"
_QUOTED = re.compile(r'(?:(?<=[,\n])|^)"(?:[^"\r\n]|"")*"(?=[,\r\n]|$)')
# Arrow takes as long to begin as Python takes for so many.
_FEW_LINES = 200
# No line of a block is longer than what `csv` allows one field.
_BLOCK = 1 << 16


class Report(msgspec.Struct, frozen=True):
    """A usage report: the user name of each row, without blanks around it, and what stands beside it, by column of
    `m365.mailboxes`; a figure that cannot be read is NULL.
    """

    names: list[str]
    figures: dict[str, pa.Array]

    def mailboxes(self) -> tuple[list[str], dict[str, pa.Array]]:
        """The user names in lower case, each once, and the figures of each."""
        upns = [name.lower() for name in self.names]
        if len(set(upns)) == len(upns):
            return upns, self.figures
        is_deleted = self.figures["is_deleted"].to_pylist()
        rows: dict[str, int] = {}
        for row, upn in enumerate(upns):
            # A deleted mailbox lingers in the report under the name that a live one has now.
            if upn not in rows or not is_deleted[row] or is_deleted[rows[upn]]:
                rows[upn] = row
        kept = pa.array(rows.values(), pa.int64())
        return list(rows), {name: values.take(kept) for name, values in self.figures.items()}


def read_report(text: str) -> Report | None:
    """A usage report; None if the text is not one (a header that every variant has is missing)."""
    text = text.removeprefix("\ufeff")
    columns = _by_arrow(text) if text.count("\n") > _FEW_LINES else None
    if columns is None:
        columns = _by_python(text)
    if columns is None:
        return None
    names = [(upn or "").strip() for upn in columns.pop(UPN).to_pylist()]
    if not all(names):
        named = pa.array([bool(name) for name in names])
        names, columns = [name for name in names if name], {name: each.filter(named) for name, each in columns.items()}
    return Report(names, columns)


def _by_arrow(text: str) -> dict[str, pa.Array] | None:
    """The user names under `UPN`, and the figures; None if the text is not as plain as Arrow wants it."""
    header, _, body = text.partition("\n")
    if '"' in header or ('"' in body and '"' in _QUOTED.sub("", body)):
        return None
    if any(odd in text for odd in _ODD) or text.count("\r") != text.count("\r\n"):
        return None
    places = _places(header.removesuffix("\r").split(","))
    if places is None:
        return None
    wanted = {str(place): _COLUMNS[head].type for head, place in places.items()}
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(body.encode()),
            arrow_csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                column_names=[str(place) for place in range(header.count(",") + 1)],
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=wanted,
                include_columns=list(wanted),
                null_values=[""],
                strings_can_be_null=True,
                true_values=["True", "true", "TRUE"],
                false_values=["False", "false", "FALSE"],
            ),
        )
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    # In one piece each: a report comes in many small ones, and every step after this pays for each of them.
    found = {head: table.column(str(place)).combine_chunks() for head, place in places.items()}
    return _named(found, table.num_rows)


def _by_python(text: str) -> dict[str, pa.Array] | None:
    """As `_by_arrow`, whatever the form of the text; None if it is no usage report."""
    try:
        lines = list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error:
        return None
    places = _places(lines[0]) if lines else None
    if places is None:
        return None
    rows = lines[1:]
    found = {}
    for head, place in places.items():
        parse, kind = _COLUMNS[head].parse, _COLUMNS[head].type
        # A line that is too short reads as if it ended in empty cells.
        found[head] = pa.array([parse(row[place] if len(row) > place else "") for row in rows], kind)
    return _named(found, len(rows))


def _named(found: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
    """What was found by head, by what it fills; what a report lacks is NULL."""
    return {
        column.fills: found[head] if head in found else pa.nulls(rows, column.type) for head, column in _COLUMNS.items()
    }


def _places(header: list[str]) -> dict[str, int] | None:
    """Where the columns are that are read; None if it is no usage report."""
    names = [name.strip().casefold() for name in header]
    if not _REQUIRED.issubset(names):
        return None
    return {head: names.index(head) for head in _COLUMNS if head in names}
