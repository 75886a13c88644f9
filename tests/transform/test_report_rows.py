"""A report with some of its rows says of them what the whole says."""

from __future__ import annotations

import csv
import io
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from o365_etl.transform.mailboxes import unreadable_reason
from o365_etl.transform.report_rows import rows_of
from o365_etl.transform.usage_report import read_report

COLUMNS = (
    *("Report Refresh Date", "Display Name", "Is Deleted", "Last Activity Date", "Item Count"),
    *("Storage Used (Byte)", "Prohibit Send Quota (Byte)", "User Principal Name", "Has Archive"),
)
WANTED = ("anna@x.example", "bo@x.example")
NAMES = (*WANTED, "Anna@X.example ", "cy@x.example", "", " ", "0123456789ABCDEF0123456789ABCDEF")
CELLS = st.one_of(
    st.sampled_from(
        ("", "7", "True", "2026-01-01", "Berg, Anna", 'the "big" one', "a\nb", "a\r\nb", "a\u2028b", "a\x0bb")
    ),
    st.text('a,"\n\r\x0b\x1c\x85\u2028é', max_size=5),
)
ROWS = st.lists(st.tuples(st.sampled_from(NAMES), st.lists(CELLS, min_size=8, max_size=9)), max_size=6)


def _body(rows: list[tuple[str, list[str]]], *, last: bool) -> bytes:
    """As a file; the user's name in the middle or, with `last`, at the end of a line."""
    columns = [name for name in COLUMNS if name != "User Principal Name"]
    at = len(columns) if last else 3
    text = io.StringIO(newline="")
    lines = [(columns, "User Principal Name"), *((cells, name) for name, cells in rows)]
    csv.writer(text).writerows([*cells[:at], name, *cells[at:8]] for cells, name in lines)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _said(body: bytes) -> list[tuple[Any, ...]] | None:
    """The rows as they are read, each with the user's name first."""
    report = read_report(body.decode("utf-8-sig"))
    if report is None:
        return None
    return list(zip(report.names, *(values.to_pylist() for values in report.figures.values()), strict=True))


def _is_wanted(name: str) -> bool:
    return name in WANTED


@given(ROWS, st.booleans())
def test_rows_say_the_same(rows: list[tuple[str, list[str]]], last: bool) -> None:
    body = _body(rows, last=last)

    kept = _said(rows_of(body, _is_wanted))

    whole = _said(body)
    assert whole is not None
    if unreadable_reason([row[0] for row in whole], None) is None:
        assert kept == [row for row in whole if _is_wanted(row[0].lower())]
    else:
        assert kept == whole


@given(st.text('anx@.,"\n\r\x0b\u2028 ', max_size=60), st.booleans())
@example("\ufeff", False)
@example('a,"b', True)
@example("anna@x.example," + "a" * 140_000, True)
@example('anna@x.example,"' + "a" * 140_000 + '"', True)
def test_whatever_the_text_is(text: str, is_report: bool) -> None:
    """Also lines that nobody wrote as CSV, and what is no report."""
    head = ",".join(("User Principal Name", *(name for name in COLUMNS if name != "User Principal Name")))
    body = (f"{head}\n{text}" if is_report else text).encode()

    kept = _said(rows_of(body, _is_wanted))

    whole = _said(body)
    assert kept == (whole if whole is None else [row for row in whole if _is_wanted(row[0].lower())])


def test_names_that_are_concealed_are_told_by_all_rows() -> None:
    """Who looks at a few of them must come to the same."""
    body = _body([(f"{number:032X}", [""] * 9) for number in range(20)] + [(WANTED[0], [""] * 9)], last=False)
    assert rows_of(body, _is_wanted) == body
