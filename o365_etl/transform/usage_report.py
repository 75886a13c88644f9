"""Reads Microsoft's mailbox usage report, a CSV text.

It is read by header name: its columns drift (15, 16 or 17), start with a byte order mark and may come in any order. A
report as Microsoft writes it is taken apart by Arrow; one with anything odd in its form (a short line, a line break
within quotes) by Python's `csv`, which forgives more and costs six times as much. Both say the same
(`tests/transform/test_usage_report.py`).

What does not live here: whose mailbox it is (`mailboxes`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from o365_etl.transform.columns import parse_count, parse_date

UPN, _DELETED, _REFRESHED = "user principal name", "is deleted", "report refresh date"
_USED, _ITEMS, _QUOTA = "storage used (byte)", "item count", "prohibit send quota (byte)"
_NAME, _ACTIVE, _ARCHIVE = "display name", "last activity date", "has archive"
_READ = (UPN, _NAME, _DELETED, _USED, _QUOTA, _ITEMS, _ACTIVE, _ARCHIVE, _REFRESHED)
# Every variant of the report has these; without one of them it is some other report.
_REQUIRED = frozenset(_READ) - {_ARCHIVE}
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}

# What Python takes for the end of a line and Arrow does not, and what the two might read differently.
_ODD = "\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff"
_QUOTED = re.compile(r'(?:(?<=[,\n])|^)"(?:[^"\r\n]|"")*"(?=[,\r\n]|$)')
# Arrow takes as long to begin as Python takes for so many.
_FEW_LINES = 200
# No line of a block is longer than what `csv` allows one field.
_BLOCK = 1 << 16


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.strip().lower())


class Report(msgspec.Struct, frozen=True):
    """A usage report: the user name of each row, without blanks around it, and the texts beside it, in the order of
    `_READ` without the name.
    """

    names: list[str]
    texts: tuple[pa.Array | pa.ChunkedArray, ...]

    def mailboxes(self) -> tuple[list[str], dict[str, pa.Array | pa.ChunkedArray]]:
        """The user names in lower case, each once, and what is said of them by column of `m365.mailboxes`; a figure
        that cannot be read is NULL.
        """
        display_name, deleted, used, quota, items, active, archive, refreshed = self.texts
        figures = {
            "display_name": pc.if_else(pc.equal(display_name, ""), None, display_name),
            "is_deleted": _each(deleted, _boolean, pa.bool_()),
            "storage_used_bytes": _counts(used),
            "prohibit_send_quota_bytes": _counts(quota),
            "item_count": _counts(items),
            "last_activity_date": _each(active, parse_date, pa.date32()),
            "has_archive": _each(archive, _boolean, pa.bool_()),
            "report_refresh_date": _each(refreshed, parse_date, pa.date32()),
        }
        upns = [name.lower() for name in self.names]
        if len(set(upns)) == len(upns):
            return upns, figures
        is_deleted = figures["is_deleted"].to_pylist()
        rows: dict[str, int] = {}
        for row, upn in enumerate(upns):
            # A deleted mailbox lingers in the report under the name that a live one has now.
            if upn not in rows or not is_deleted[row] or is_deleted[rows[upn]]:
                rows[upn] = row
        kept = pa.array(rows.values(), pa.int64())
        return list(rows), {name: values.take(kept) for name, values in figures.items()}


def read_report(text: str) -> Report | None:
    """A usage report; None if the text is not one (a header that every variant has is missing)."""
    text = text.removeprefix("\ufeff")
    columns = _by_arrow(text) if text.count("\n") > _FEW_LINES else None
    if columns is None:
        columns = _by_python(text)
    if columns is None:
        return None
    upns, *texts = columns
    names = [upn.strip() for upn in upns.to_pylist()]
    if not all(names):
        named = pa.array([bool(name) for name in names])
        names, texts = [name for name in names if name], [column.filter(named) for column in texts]
    return Report(names, tuple(texts))


def _by_arrow(text: str) -> list[pa.ChunkedArray] | None:
    """The columns of `_READ`; None if the text is not as plain as Arrow wants it."""
    header, _, body = text.partition("\n")
    if '"' in header or ('"' in body and '"' in _QUOTED.sub("", body)):
        return None
    if any(odd in text for odd in _ODD) or text.count("\r") != text.count("\r\n"):
        return None
    places = _places(header.removesuffix("\r").split(","))
    if places is None:
        return None
    width = header.count(",") + 1
    wanted = [str(place) for place in places if place < width]
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(body.encode()),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, column_names=[str(place) for place in range(width)]
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted
            ),
        )
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    absent = pa.repeat("", table.num_rows)
    return [table.column(str(place)) if place < width else absent for place in places]


def _by_python(text: str) -> list[pa.Array] | None:
    """The columns of `_READ`, whatever the form of the text; None if it is no usage report."""
    try:
        lines = list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error:
        return None
    places = _places(lines[0]) if lines else None
    if places is None:
        return None
    # A line that is too short lacks its last columns, a report its optional ones: both read an empty cell.
    absent, pick = len(lines[0]), itemgetter(*places)
    rows = [pick(line + [""] * (absent + 1 - len(line)) if len(line) <= absent else line) for line in lines[1:]]
    return [pa.array([row[number] for row in rows], pa.string()) for number in range(len(_READ))]


def _places(header: list[str]) -> list[int] | None:
    """Where the columns of `_READ` stand, the place behind the last for one that is absent; None if it is no usage
    report.
    """
    names = [name.strip().casefold() for name in header]
    if not _REQUIRED.issubset(names):
        return None
    return [names.index(name) if name in names else len(names) for name in _READ]


def _each(texts: pa.Array | pa.ChunkedArray, parse: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Texts of which there are few different ones, parsed."""
    encoded = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = encoded.dictionary_encode()
    return pa.array([parse(text) for text in encoded.dictionary.to_pylist()], kind).take(encoded.indices)


def _counts(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Whole numbers; NULL for what is none."""
    filled = pc.if_else(pc.equal(texts, ""), None, texts)
    if pc.all(pc.ascii_is_decimal(filled)).as_py() is not False:
        try:
            return pc.cast(filled, pa.int64())
        except pa.ArrowInvalid:
            pass  # larger than any figure can be
    return pa.array([parse_count(text) for text in texts.to_pylist()], pa.int64())
