"""What a first sync costs as tenants, and as the users of one tenant, become ten and a hundred times as many.

    python -m benchmarks.growth [--quick] [--write]

Each size is one sync without Dagster in a process of its own. Says whether the cost of a user stays flat within 20 %
and memory flat in tenants; `--write` puts table and verdicts into docs/performance.md and draws docs/images/growth.svg.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import ROOT, markdown, side, simulated
from benchmarks.page import put
from benchmarks.plot import Panel, draw

TENANTS = ((10, 100), (100, 100), (1000, 100))
USERS = ((1, 1000), (1, 10_000), (1, 100_000))
QUICK = (((2, 20), (4, 20), (8, 20)), ((1, 20), (1, 40), (1, 80)))
PICTURE = ROOT / "docs" / "images" / "growth.svg"
# Column → stages of `whole_sync.directly`; the checks belong to no column of their own
STAGES = {
    "extract": ("plan", "read", "read IT Glue"),
    "load": ("load", "load IT Glue", "history"),
    "match": ("match organizations", "match contacts"),
    "compare": ("compare",),
    "plan": ("plan of changes",),
    "publish": ("publish", "checks"),
}
FLAT = 0.2
Row = dict[str, Any]


def main() -> None:
    """Measure both series, print them and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--write", action="store_true", help="refresh docs/performance.md and docs/images/growth.svg")
    options = parser.parse_args()
    sizes = QUICK if options.quick else (TENANTS, USERS)
    by_tenants, by_users = ([measure(*size) for size in series] for series in sizes)
    text = "\n\n".join(
        [markdown(by_tenants + by_users), "\n".join(f"* {line}" for line in verdicts(by_tenants, by_users))]
    )
    print(f"\n{text}")
    if options.write:
        put("growth", text)
        PICTURE.write_text(picture(by_tenants, by_users), encoding="utf-8")


def measure(tenants: int, users: int) -> Row:
    """One row: CPU per user, in all and by part, and the peak of the process."""
    print(f"  {tenants:,} × {users:,}", file=sys.stderr, flush=True)
    with simulated(tenants, users) as simulator:
        result = side("benchmarks.whole_sync", "direct", str(simulator.config))
    everybody = tenants * users
    stages: dict[str, list[float]] = result["stages"]
    parts = {name: sum(stages[stage][2] for stage in those) / everybody * 1e6 for name, those in STAGES.items()}
    whole = sum(cpu for _, _, cpu in stages.values())
    return {
        "tenants": tenants,
        "users each": users,
        "CPU s": whole,
        "CPU µs/user": whole / everybody * 1e6,
        **parts,
        "users/s": everybody / result["wall_seconds"],
        "peak MiB": result["peak_mib"],
        "peak in": max(stages, key=lambda stage: stages[stage][1]),
        "requests": result["requests"],
    }


def more(rows: Sequence[Row]) -> list[float]:
    """CPU µs of each user that one size has more than the one before: what starting up costs falls out."""
    count = [row["tenants"] * row["users each"] for row in rows]
    return [
        (row["CPU s"] - before["CPU s"]) / (now - then) * 1e6
        for before, row, then, now in zip(rows, rows[1:], count, count[1:], strict=False)
    ]


def verdicts(by_tenants: Sequence[Row], by_users: Sequence[Row]) -> list[str]:
    """What holds and what does not, one sentence each."""
    found = []
    for name, rows in (("tenants", by_tenants), ("users of one tenant", by_users)):
        each = more(rows)
        change = each[-1] / each[0] - 1
        costs = " and ".join(f"{cost:,.0f} µs" for cost in each)
        flat = abs(change) <= FLAT
        said = "flat within 20 %" if flat else "**not** flat within 20 %" if change > 0 else "falling by more than 20 %"
        found.append(f"Each further user, as {name} grow: {costs} of CPU ({change:+.0%}): {said}.")
        raw = rows[-1]["CPU µs/user"] / rows[-2]["CPU µs/user"] - 1
        found.append(f"In all, start-up included, from the second size to the third: {raw:+.0%} a user.")
    change = by_tenants[-1]["peak MiB"] / by_tenants[-2]["peak MiB"] - 1
    flat = "flat within 20 %" if change <= FLAT else "**not** flat within 20 %"
    last, largest = by_tenants[-2]["tenants"], by_tenants[-1]["tenants"]
    found.append(f"Peak memory from {last:,} to {largest:,} tenants: {change:+.0%}: {flat}.")
    return found


def picture(by_tenants: Sequence[Row], by_users: Sequence[Row]) -> str:
    """CPU per user by part, and peak memory, over tenants and over users of one tenant."""
    panels = []
    for rows, size, axis in (
        (by_tenants, "tenants", f"tenants of {by_tenants[0]['users each']:,} users"),
        (by_users, "users each", "users of one tenant"),
    ):
        lines = {name: [(row[size], row[name]) for row in rows] for name in STAGES}
        panels.append(Panel("CPU per user, µs", axis, lines))
        panels.append(Panel("Peak memory, MiB", axis, {"process": [(row[size], row["peak MiB"]) for row in rows]}))
    return draw(panels)


if __name__ == "__main__":
    main()
