"""Microsoft's usage report with some of its rows left out.

What does not live here: what the rows say (`mailboxes`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from o365_etl.transform.mailboxes import unreadable_reason
from o365_etl.transform.usage_report import UPN


def rows_of(body: bytes, is_wanted: Callable[[str], bool]) -> bytes:
    """The report with the rows alone whose user name (lower case) is wanted.

    All of it where its rows tell nothing: that is said of the report as a whole.
    """
    text = body.decode("utf-8-sig", "replace").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True)
    # Where nothing is quoted a line is a row, of which only the start need be taken apart.
    is_plain = '"' not in text and max(map(len, lines), default=0) <= csv.field_size_limit()
    try:
        rows = list(csv.reader(lines[:1] if is_plain else lines))
    except csv.Error:
        return body
    column = _column(rows[0] if rows else [])
    if column is None:
        return body
    cells: Iterable[Sequence[str]] = (line.split(",", column + 1) for line in lines) if is_plain else rows
    names = [row[column].strip() if len(row) > column else "" for row in cells]
    if unreadable_reason([name for name in names[1:] if name], None) is not None:
        return body
    picked = [0, *(number for number, name in enumerate(names) if number and name and is_wanted(name.lower()))]
    if is_plain:
        return "".join([lines[number] for number in picked]).encode()
    kept = io.StringIO(newline="")
    # All in quotes: a reader that goes by lines knows more ends of a line than a writer does.
    csv.writer(kept, quoting=csv.QUOTE_ALL).writerows(rows[number] for number in picked)
    return kept.getvalue().encode()


def _column(head: Sequence[str]) -> int | None:
    """Where the user names are."""
    columns = [name.strip().casefold() for name in head]
    return columns.index(UPN) if UPN in columns else None
