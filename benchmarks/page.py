"""Puts what a benchmark found into docs/performance.md, between two marks; the words around it are kept by hand."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import ROOT

PAGE = ROOT / "docs" / "performance.md"


def put(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the marks of `name`. Raises `ValueError` if the page has no such marks."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, also_found, after = rest.partition(end)
    if not found or not also_found:
        raise ValueError(f"{page} has no marks for {name}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
