"""What the benchmarks print and write: tables, goals, verdicts, the marked parts of a page, the picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks.beside import goals
from benchmarks.growth import STAGES, picture, verdicts
from benchmarks.linking import judge
from benchmarks.measure import markdown, side
from benchmarks.page import PAGE, put
from benchmarks.plot import _apart


def test_a_table_shows_numbers_to_the_right_and_what_is_unknown_as_a_dash() -> None:
    rows = [
        {"side": "ours", "rate": 12345.6, "share": 1.234, "n": None},
        {"side": "x", "rate": 12.34, "share": 2, "n": 1},
    ]

    shown = markdown(rows)

    assert shown.splitlines() == [
        "| side | rate | share | n |",
        "| --- | ---: | ---: | ---: |",
        "| ours | 12,346 | 1.23 | – |",
        "| x | 12.3 | 2 | 1 |",
    ]


def row(part: str, side: str, rate: float, **others: Any) -> dict[str, Any]:
    """A row as `beside` makes it, as far as goals are concerned."""
    return {"part": part, "side": side, "users/s": rate, "CPU ÷ floor": 1.0, **others}


def estate(share: float, ours: float, delayed: float, rules: float, recall: str) -> list[dict[str, Any]]:
    """The rows of a run in which the best peer reads 100 users a second, and the plain loop matches as many."""
    typed, loop = "this program, landed and in typed tables", "loop with pandas and rapidfuzz"
    rows = []
    for part, rate in (("reading", ours), ("reading, 100 ms per answer", delayed)):
        rows.append(row(part, "floor: downloaded, parsed, thrown away", 1e6))
        rows.append(row(part, typed, rate, **{"CPU ÷ floor": share}))
        rows += [row(part, "requests", 60), row(part, "dlt", 100)]
    rows.append(row("matching", "this program, its rules", rules, precision="1.0000", recall=recall))
    rows.append(row("matching", loop, 100, precision="0.9000", recall="0.9500"))
    return rows


def test_goals_are_met() -> None:
    found = goals(estate(1.5, 101, 1000, 1000, "0.9500"))

    assert [(each["reached"], each[""]) for each in found] == [
        (1.5, "met"), (1.01, "met"), (10.0, "met"), (10.0, "met"), (None, "met")
    ]  # fmt: skip


def test_goals_are_missed() -> None:
    """Each by a little: the floor, the best peer, ten times, and recall."""
    found = goals(estate(1.51, 99, 999, 999, "0.9499"))

    assert [each[""] for each in found] == ["**missed**"] * 5


def test_the_truth_judges_only_what_it_speaks_of() -> None:
    """A wrong pair costs both, a missing one recall, one that should not be precision; silence costs nothing."""
    truth = {("t", "right"): "1", ("t", "wrong"): "2", ("t", "missed"): "3", ("t", "new"): None}
    found = {("t", "right"): "1", ("t", "wrong"): "9", ("t", "new"): "8", ("t", "silent"): "7", ("t", "not asked"): "6"}
    asked = [("t", name) for name in ("right", "wrong", "missed", "new", "silent")]

    assert judge(found, truth, asked) == (1 / 3, 1 / 3)
    assert judge({}, {}, asked) == (1.0, 1.0)


def grown(costs: tuple[float, float, float], peaks: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Rows of 10, 100 and 1,000 tenants of 100 users that cost so many CPU seconds and MiB."""
    return [
        {"tenants": tenants, "users each": 100, "CPU s": cost, "CPU µs/user": cost / tenants * 1e4, "peak MiB": peak}
        | dict.fromkeys(STAGES, cost)
        for tenants, cost, peak in zip((10, 100, 1000), costs, peaks, strict=True)
    ]


def test_growth_is_flat_if_each_further_user_costs_the_same() -> None:
    """Two seconds of start-up do not count against it."""
    even = grown((3, 12, 102), (300, 390, 400))

    said = verdicts(even, even)

    assert said[0] == "Each further user, as tenants grow: 1,000 µs and 1,000 µs of CPU (+0%): flat within 20 %."
    assert said[-1] == "Peak memory from 100 to 1,000 tenants: +3%: flat within 20 %."


def test_growth_is_not_flat_if_it_is_not() -> None:
    steep = grown((3, 12, 130), (300, 390, 500))

    said = verdicts(steep, steep)

    assert "(+31%): **not** flat" in said[0]
    assert "+28%: **not** flat" in said[-1]


def test_the_picture_is_an_svg_for_light_and_dark_pages() -> None:
    drawn = picture(grown((3, 12, 102), (300, 390, 400)), grown((3, 12, 102), (300, 390, 400)))

    root = ET.fromstring(drawn)

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme:dark" in drawn
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(STAGES) <= set(names)
    assert "1,000" in names
    # More specific than the colour of a line, which fills its dots, or areas are drawn where lines are meant.
    assert "polyline.line{fill:none" in drawn


def test_names_of_lines_do_not_lie_on_each_other_nor_below_the_axis() -> None:
    assert _apart([100, 20, 102, 205, 209]) == [100, 20, 113, 197, 210]


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- a: begin -->\nold\n<!-- a: end -->\nbelow\n<!-- b: begin -->\nb\n<!-- b: end -->\n")

    put("a", "new", page)
    put("a", "newer", page)

    assert page.read_text() == (
        "above\n<!-- a: begin -->\n\nnewer\n\n<!-- a: end -->\nbelow\n<!-- b: begin -->\nb\n<!-- b: end -->\n"
    )


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- a: begin -->\nno end\n")

    with pytest.raises(ValueError, match="no marks for a"):
        put("a", "new", page)

    assert page.read_text() == "<!-- a: begin -->\nno end\n"


@pytest.mark.parametrize("name", ["beside", "growth"])
def test_the_page_has_the_marks(name: str, tmp_path: Path) -> None:
    """Or twenty minutes of measuring would end in an error."""
    copy = tmp_path / "performance.md"
    copy.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")

    put(name, "measured", copy)

    assert f"<!-- {name}: begin -->\n\nmeasured\n\n<!-- {name}: end -->" in copy.read_text(encoding="utf-8")


def test_a_side_has_its_own_peak(tmp_path: Path) -> None:
    """Not what the process had in memory that started it."""
    (tmp_path / "idle.py").write_text("from benchmarks.measure import report\nreport(lambda: {'n': 1})\n")
    root = str(Path(__file__).parents[2])
    held = b"\1" * (200 << 20)

    result = side("idle", environment={"PYTHONPATH": f"{tmp_path}:{root}"})

    assert len(held) > 0
    assert result["n"] == 1
    assert 5 < result["peak_mib"] < 100
