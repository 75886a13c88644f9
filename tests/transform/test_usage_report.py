"""The two ways to take a usage report apart say the same, and so do the quick and the slow ways to read its figures."""

from __future__ import annotations

import csv
import io
from datetime import UTC
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from test_mailboxes import FULL

from o365_etl.transform import usage_report
from o365_etl.transform.columns import parse_count, parse_date, parse_time, times
from o365_etl.transform.usage_report import read_report

ODD = " ,\"'\r\n\t\x00\x0b\x1c\x1f\x85\u2028\ufeffaZ0é\u00a0"
CELLS = st.one_of(
    st.text(st.sampled_from(ODD), max_size=4),
    st.sampled_from(["", "True", " false ", "7", "0x1F", "1_0", "-5", "+5", "٣", " 7", "9223372036854775807"]),
    st.sampled_from(["2026-01-02", "2026-1-2", " 2026-01-02", "2026-02-30", "20260102", "Berg, Anna", 'a"b', "NULL"]),
    st.sampled_from(["a@x.example", "A@X.example", "é@x.example", "İ@x.example"]),
)
LINE_ENDS = st.sampled_from(["\r\n", "\n"])


@st.composite
def plain(draw: st.DrawFn) -> str:
    """A report that a program wrote: whole lines, quotes where they are needed."""
    rows = draw(st.lists(st.lists(CELLS, min_size=len(FULL), max_size=len(FULL)), max_size=4))
    file = io.StringIO()
    csv.writer(file, lineterminator=draw(LINE_ENDS)).writerows([draw(st.permutations(FULL)), *rows])
    return file.getvalue()


PLAIN = {head: "12" for head in FULL if head.endswith(("(Byte)", "Count"))}
PLAIN |= {head: "2026-01-02" for head in FULL if head.endswith("Date")} | {"Is Deleted": "False", "Has Archive": ""}
NAMES = st.sampled_from(["a@x.example", "A@X.example", "é@x.example", "Berg, Anna", 'say "hi"', "NULL", "007"])
NUMBERS = st.sampled_from(["", "0", "7", "007", "9223372036854775807", "9223372036854775808", "-5", " 7", "1.5"])
DAYS = st.sampled_from(["", "2026-01-02", "1999-12-31", " 2026-01-02", "2026-1-2", "0001-01-01"])
FLAGS = st.sampled_from(["", "True", "False", "TRUE", "false", " True", "1"])
USUAL = dict.fromkeys(FULL, NAMES)
USUAL |= {head: NUMBERS for head in FULL if head.endswith(("(Byte)", "Count"))}
USUAL |= {head: DAYS for head in FULL if head.endswith("Date")} | {"Is Deleted": FLAGS, "Has Archive": FLAGS}


@st.composite
def usual(draw: st.DrawFn) -> str:
    """A report with what belongs in its columns, nearly always as Microsoft writes it."""
    heads = draw(st.permutations(FULL))
    heads = heads if draw(st.booleans()) else [head for head in heads if head != "Has Archive"]
    # Two columns of three are plain throughout, so that most reports are.
    cells = [USUAL[head] if draw(st.integers(0, 2)) == 0 else st.just(PLAIN.get(head, "x")) for head in heads]
    rows = draw(st.lists(st.tuples(*cells), max_size=4))
    file = io.StringIO()
    csv.writer(file, lineterminator=draw(LINE_ENDS)).writerows([heads, *rows])
    return file.getvalue()


@st.composite
def ragged(draw: st.DrawFn) -> str:
    """A report that nobody should write: lines of any length, quotes anywhere."""
    names = draw(st.permutations(FULL).map(lambda names: names[:15]))
    rows = draw(st.lists(st.lists(CELLS, max_size=len(FULL) + 1), max_size=4))
    return draw(LINE_ENDS).join(",".join(row) for row in [names, *rows])


def _rows(columns: dict[str, pa.Array] | None) -> list[tuple[Any, ...]]:
    """The rows that have a name, the name first; of the others nothing is kept, and a blank line may be one."""
    assert columns is not None
    assert next(iter(columns)) == usage_report.UPN
    rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
    return [row for row in rows if (row[0] or "").strip()]


@given(usual() | plain() | ragged() | st.text(st.sampled_from(ODD), max_size=30))
def test_both_ways_read_the_same(text: str) -> None:
    """Whatever Arrow agrees to take apart, Python takes apart alike."""
    quick = usage_report._by_arrow(text)
    assert quick is None or _rows(quick) == _rows(usage_report._by_python(text))


def test_arrow_takes_what_microsoft_writes() -> None:
    """Commas, doubled quotes, blank lines, empty figures and no rows at all included; a line break in a name, and a
    number that is none, are Python's.
    """
    names = ["x", "Berg, Anna", 'say "hi"']
    lines = [FULL, *([PLAIN.get(head, name) for head in FULL] for name in names), [""] * len(FULL)]
    file = io.StringIO()
    csv.writer(file).writerows(lines)
    taken = _rows(usage_report._by_arrow(file.getvalue() + "\r\n"))
    assert [row[:3] for row in taken] == [(name, name, False) for name in names]
    assert usage_report._by_arrow(file.getvalue() + ",".join(['"a\nb"'] * 17)) is None
    assert usage_report._by_arrow(file.getvalue() + ",".join(["none"] * 17)) is None
    long = file.getvalue() + ",".join(["y" * 200_000] * 17)
    assert usage_report._by_arrow(long) is None
    assert read_report(long) is None  # longer than what `csv` allows
    empty = read_report(",".join(FULL) + "\r\n")
    assert empty is not None
    assert empty.mailboxes()[0] == []


@given(usual() | plain())
def test_figures_are_read_as_one_by_one(text: str) -> None:
    """A column at a time gives what cell by cell gives; of two rows of one name the live one counts, then the last."""
    report = read_report(text)
    assert report is not None
    heads, *lines = csv.reader(text.splitlines(keepends=True))
    rows: dict[str, tuple[Any, ...]] = {}
    for line in lines:
        cells = dict(zip(heads, line, strict=False))
        deleted, archive = (
            {"true": True, "false": False}.get(cells.get(head, "").strip().lower())
            for head in ("Is Deleted", "Has Archive")
        )
        counts = [
            parse_count(cells.get(head)) for head in ("Storage Used (Byte)", "Prohibit Send Quota (Byte)", "Item Count")
        ]
        active, refreshed = (parse_date(cells.get(head)) for head in ("Last Activity Date", "Report Refresh Date"))
        row = (cells.get("Display Name") or None, deleted, *counts, active, archive, refreshed)
        upn = cells.get("User Principal Name", "").strip().lower()
        if upn and (upn not in rows or not deleted or rows[upn][1]):
            rows[upn] = row
    names, figures = report.mailboxes()
    found = zip(*(values.to_pylist() for values in figures.values()), strict=True)
    assert dict(zip(names, found, strict=True)) == rows
    assert names == list(rows)


MOMENTS = st.datetimes(timezones=st.just(UTC)) | st.datetimes()
TIMES = st.one_of(
    st.none(),
    MOMENTS.map(lambda time: time.isoformat()),
    MOMENTS.map(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
    st.sampled_from(
        ["", "never", "0001-01-01T00:00:00Z", "2026-01-02", "2026-01-02T03:04:05.1234567Z", "20260102T030405Z"]
    ),
    st.sampled_from(["9999-12-31T23:59:59-05:00", "0001-12-31T23:59:59-05:00", "0002-01-01T00:00:00+05:00", "\ud800"]),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9])?(Z|[+-][0-2][0-9]:?[0-6][0-9])\Z"
    ),
)


@given(st.lists(TIMES, max_size=2))
def test_many_times_are_read_as_one_by_one(texts: list[str | None]) -> None:
    """Also at the ends of the calendar, with zones, and what is no time at all."""
    assert times(texts) == pa.array([parse_time(text) for text in texts], pa.timestamp("us", tz="UTC"))
