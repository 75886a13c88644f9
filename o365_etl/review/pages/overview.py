"""Overview: coverage of matches, license use and waste, stale data, and the trend over the last syncs.

What does not live here: the figures themselves (`pipeline.overviewing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.pipeline import overviewing
from o365_etl.pipeline.workspace import now
from o365_etl.review.answering import page, workspace_of
from o365_etl.review.forms import Form

Row = dict[str, Any]
_SYNCS = 30
_PRODUCTS = 15
_OLDEST = 5
_TENANTS = ("matched", "suggested", "unmatched", "ignored")
# Users out of scope become no contacts, and are no gap.
_USERS = ("matched", "create", "ambiguous", "organization_unmatched", "ignored")
# What there is at a time is a line, what happens in a sync a bar.
_TRENDS = (
    ("users", "Users in Microsoft 365", False),
    ("contacts", "Contacts in IT Glue", False),
    ("written", "Changes written", True),
    ("tenants_failed", "Tenants not read", True),
)
# The drawing: its size, and what is left free around the lines.
_WIDTH, _HEIGHT, _EDGE = 300.0, 90.0, 6.0


def show(request: Request) -> Response:
    """The overview. Raises `NotFoundError` before the first sync."""
    workspace = workspace_of(request)
    coverage = overviewing.coverage(workspace)
    products = overviewing.products(workspace)
    syncs = overviewing.syncs(workspace, _SYNCS)
    shown, others = products["products"][:_PRODUCTS], products["products"][_PRODUCTS:]
    overused = sorted((row for row in others if row["overused"]), key=lambda row: -row["overused"])
    return page(
        request,
        "overview.html",
        {
            "tenants": _parts(coverage["tenants"], _TENANTS),
            "users": _parts(coverage["users"], _USERS),
            "out_of_scope": coverage["users"].get("out_of_scope", 0),
            "products": shown,
            "totals": products["totals"],
            "known_products": len(products["products"]),
            "left_out": products["left_out"],
            "overused": overused[:_PRODUCTS],
            "more_overused": len(overused[_PRODUCTS:]),
            "ages": overviewing.ages(workspace, now(), _OLDEST),
            "syncs": syncs,
            "trends": [_drawn(title, [row[key] for row in syncs], as_bars) for key, title, as_bars in _TRENDS],
            "width": _WIDTH,
            "height": _HEIGHT,
        },
    )


def _parts(counts: Mapping[str, int], order: Sequence[str]) -> Row:
    """A whole in its parts, for a bar of 100 wide: each with its share and where it begins."""
    whole = sum(counts.get(status, 0) for status in order)
    parts: list[Row] = []
    begin = 0.0
    for status in order:
        number = counts.get(status, 0)
        share = 100.0 * number / whole if whole else 0.0
        parts.append({"status": status, "number": number, "share": share, "begin": begin})
        begin += share
    return {"whole": whole, "parts": parts}


def _drawn(title: str, values: Sequence[int | None], as_bars: bool) -> Row:
    """Figures as the points of a line, or as bars. The scale begins at zero, so that a few in thousands do not look
    like a cliff; a figure that a sync did not tell leaves a gap.
    """
    known = [value for value in values if value is not None]
    top = max(known, default=0)
    room, floor = _WIDTH - 2 * _EDGE, _HEIGHT - _EDGE
    wide = min(24.0, room / max(1, len(values)) * 0.7)
    step = (room - wide) / max(1, len(values) - 1)
    bars: list[tuple[float, float, float, float]] = []
    lines: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        left, high = _EDGE + place * step, (floor - _EDGE) * (value / top if top else 0)
        bars.append((round(left, 1), round(floor - high, 1), round(wide, 1), round(high, 1)))
        lines[-1].append((round(left + wide / 2, 1), round(floor - high, 1)))
    return {
        "title": title,
        "top": top,
        "first": known[0] if known else None,
        "last": known[-1] if known else None,
        "bars": bars if as_bars else [],
        "lines": [] if as_bars else [" ".join(f"{x},{y}" for x, y in line) for line in lines if line],
        "end": None if as_bars else next((line[-1] for line in reversed(lines) if line), None),
    }


PAGES: Mapping[str, Callable[[Request], Response]] = {"/overview": show}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {}
