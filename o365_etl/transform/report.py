"""Microsoft's usage report with some of its rows left out.

What does not live here: what the rows say (`mailboxes`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from o365_etl.transform.mailboxes import Mailbox, unreadable_reason

_NAME = "user principal name"


def rows_of(body: bytes, is_wanted: Callable[[str], bool]) -> bytes:
    """The report with the rows alone whose user name (lower case) is wanted.

    All of it where its rows tell nothing: that is said of the report as a whole.
    """
    text = body.decode("utf-8-sig", "replace").removeprefix("\ufeff")
    try:
        head, *rows = csv.reader(text.splitlines(keepends=True))
    except (csv.Error, ValueError):
        return body
    columns = [name.strip().casefold() for name in head]
    if _NAME not in columns:
        return body
    column = columns.index(_NAME)
    named = [(name, row) for row in rows if len(row) > column and (name := row[column].strip())]
    if unreadable_reason([Mailbox(name) for name, _ in named], None) is not None:
        return body
    kept = io.StringIO(newline="")
    # All in quotes: a reader that takes the text line by line knows more ends of a line than a writer does.
    writer = csv.writer(kept, quoting=csv.QUOTE_ALL)
    writer.writerow(head)
    writer.writerows(row for name, row in named if is_wanted(name.lower()))
    return kept.getvalue().encode()
