"""One table: this program beside what people use today, and beside what the machine needs at the least.

    python -m benchmarks.beside [--quick] [--write]

Each side runs in a process of its own, one after the other, against one estate in a simulator in another process; the
sides of a second part with a delay before each answer, and Microsoft's SDK, two orders slower, have smaller ones. The
peers need the environment that `make bench` makes (benchmarks/peers). `--quick` is for trying out: its figures say
nothing. `--write` also puts the table into docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import linking
from benchmarks.measure import PEERS, Simulated, facts_file, markdown, peer, side, simulated
from benchmarks.page import put
from o365_etl.simulator import Estate

THREADS = {"O365_ETL_LIMITS__THREADS": "32"}
READERS = {"requests_pandas": "requests, one after the other, pandas", "dlt_duckdb": "dlt, REST source, 32 workers"}
OURS = {"rules": "this program, its rules", "step": "this program, also links kept, look-alikes held back"}
MATCHERS = {"plain_loop": "loop with pandas and rapidfuzz", "splink_link": "Splink, link job"}
COLUMNS = ("users/s", "CPU µs/user", "CPU ÷ floor", "wall ÷ ideal", "peak MiB", "requests", "precision", "recall")
Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """Tenants and users per tenant: without delay, with delay, and for Microsoft's SDK."""

    plain: tuple[int, int] = (20, 5000)
    delayed: tuple[int, int] = (100, 500)
    sdk: tuple[int, int] = (10, 300)
    latency: float = 0.1


QUICK = Sizes((2, 60), (3, 20), (2, 20), 0.02)


def main() -> None:
    """Measure part after part, print the table and whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny estates, to see that it runs")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    if not PEERS.exists():
        sys.exit("The peers are not installed: run `make bench`, which makes their environment.")
    rows = measure(QUICK if options.quick else Sizes())
    text = f"{markdown(rows)}\n\n{markdown(goals(rows))}"
    print(f"\n{text}")
    if options.write:
        put("beside", text)


def measure(sizes: Sizes) -> list[Row]:
    """All rows of the table."""
    rows: list[Row] = []
    with simulated(*sizes.plain) as simulator:
        _side("benchmarks.extraction", "floor", str(facts_file(simulator)))  # the simulator's caches
        rows += _reading("reading", simulator, sizes.plain)
        rows += _whole(simulator, sizes.plain)
    rows += _sdk("reading", sizes.sdk, 0.0)
    with simulated(*sizes.delayed, sizes.latency) as simulator:
        part = f"reading, {sizes.latency * 1000:.0f} ms per answer"
        rows += _reading(part, simulator, sizes.delayed, sizes.latency)
    rows += _sdk(part, sizes.sdk, sizes.latency)
    with simulated(*sizes.plain) as simulator:
        rows += _matching("matching", simulator, Estate.sized(*sizes.plain))
    with simulated(1, 1, 0.0, "--demo") as simulator:
        rows += _matching("matching, the demo's awkward cases", simulator, Estate.demo())
    # By part, in the order in which parts came first: the SDK's own estate belongs to its part.
    order = list(dict.fromkeys(row["part"] for row in rows))
    return sorted(rows, key=lambda row: order.index(row["part"]))


def _reading(part: str, simulator: Simulated, size: tuple[int, int], latency: float = 0.0) -> list[Row]:
    """Floor, ours and the peers, of one estate."""
    facts, config, users = str(facts_file(simulator)), str(simulator.config), size[0] * size[1]
    floor = _side("benchmarks.extraction", "floor", facts) | {"threads": 32}
    rows = [_row(part, "floor: downloaded, parsed, thrown away", users, floor, floor, latency)]
    for way, name in (("ours", "this program, landed"), ("loaded", "this program, landed and in typed tables")):
        result = _side("benchmarks.extraction", way, config) | {"threads": 32}
        rows.append(_row(part, name, users, result, floor, latency))
    for module, name in READERS.items():
        result = peer(module, facts)
        assert result["users"] == users, f"{module} read {result['users']} of {users} users"
        rows.append(_row(part, name, users, result, floor, latency))
    return rows


def _sdk(part: str, size: tuple[int, int], latency: float) -> list[Row]:
    """Microsoft's SDK, beside the floor of its own, smaller estate."""
    users = size[0] * size[1]
    with simulated(*size, latency) as simulator:
        facts = str(facts_file(simulator))
        floor = [_side("benchmarks.extraction", "floor", facts) for _ in range(2)][1]
        result = peer("msgraph_sdk", facts)
    assert result["users"] == users, f"msgraph_sdk read {result['users']} of {users} users"
    return [_row(part, f"msgraph-sdk, PageIterator ({size[0]} × {size[1]} only)", users, result, floor, latency)]


def _whole(simulator: Simulated, size: tuple[int, int]) -> list[Row]:
    """A first sync without Dagster, its planning, and the same rows copied without thinking."""
    users, facts = size[0] * size[1], str(facts_file(simulator))
    whole = side("benchmarks.whole_sync", "direct", str(simulator.config))
    published = str(simulator.config.parent / "data" / "o365.duckdb")
    changes = side("benchmarks.floors", "copy", published, "sync")
    seconds, peak, cpu = whole["stages"]["plan of changes"]
    planned = {"wall_seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}
    parts = [
        _side("benchmarks.extraction", "floor", facts),
        side("benchmarks.floors", "crawl", facts),
        side("benchmarks.floors", "copy", published, "m365", "itglue", "match", "compare", "history", "sync"),
    ]
    floor: dict[str, Any] = {key: sum(part[key] for part in parts) for key in ("wall_seconds", "cpu_seconds")}
    floor |= {"peak_mib": max(part["peak_mib"] for part in parts), "requests": sum(p.get("requests", 0) for p in parts)}
    return [
        _row("planning", f"floor: its {changes['rows']:,} rows copied", users, changes, changes),
        _row("planning", "this program, the first plan", users, planned, changes),
        _row("whole sync", f"floor: downloaded, parsed, {parts[2]['rows']:,} rows copied", users, floor, floor),
        _row("whole sync", "this program, from sign-in to the published copy", users, whole, floor),
    ]


def _matching(part: str, simulator: Simulated, estate: Estate) -> list[Row]:
    """Ours and the peers, on the same users and contacts, judged by the estate's truth."""
    rows = []
    truth, config = estate.truth.contacts, simulator.config
    with tempfile.TemporaryDirectory(prefix="o365_etl-bench-") as name:
        folder = Path(name)
        users = side("benchmarks.linking", "prepare", str(config), name)["users"]
        keys = linking.asked(folder)
        for way, said in OURS.items():
            result = side("benchmarks.linking", way, str(config))
            result["judged"] = linking.judge(linking.found_by_us(config), truth, keys)
            rows.append(_row(part, said, users, result))
        for module, said in MATCHERS.items():
            result = peer(module, name)
            result["judged"] = linking.judge(linking.found_by(folder), truth, keys)
            rows.append(_row(part, said, users, result))
    return rows


def _side(module: str, *arguments: str) -> dict[str, Any]:
    return side(module, *arguments, environment=THREADS)


def _row(
    part: str,
    name: str,
    users: int,
    result: dict[str, Any],
    floor: dict[str, Any] | None = None,
    latency: float = 0.0,
) -> Row:
    """A row of the table; what a part does not measure is None. `ideal` is requests × latency ÷ threads."""
    precision, recall = result.get("judged", (None, None))
    ideal = result.get("requests", 0) * latency / result.get("threads", 1)
    figures = (
        users / result["wall_seconds"],
        result["cpu_seconds"] / users * 1e6,
        result["cpu_seconds"] / floor["cpu_seconds"] if floor else None,
        result["wall_seconds"] / ideal if ideal else None,
        result["peak_mib"],
        result.get("requests"),
        None if precision is None else f"{precision:.4f}",
        None if recall is None else f"{recall:.4f}",
    )
    row = {"part": part, "side": name, "users": users, **dict(zip(COLUMNS, figures, strict=True))}
    # As it is measured, too: should a later side fail, what was measured before is not lost.
    print(markdown([row]).splitlines()[-1], file=sys.stderr, flush=True)
    return row


def goals(rows: list[Row]) -> list[Row]:
    """The goals beside what was reached, from the rows of the table."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row["part"], []).append(row)
    reading, delayed = (found for part, found in parts.items() if part.startswith("reading"))
    ours = next(row for row in reading if row["side"].endswith("typed tables"))
    share = ours["CPU ÷ floor"]
    times, as_good = 0.0, True
    for part, sides in parts.items():
        if part.startswith("matching"):
            mine, loop = sides[0], next(row for row in sides if row["side"] == MATCHERS["plain_loop"])
            # The largest estate says how fast; each of them, how well.
            times = times or mine["users/s"] / loop["users/s"]
            as_good &= all(mine[each] >= loop[each] for each in ("precision", "recall"))
    return [
        _goal("reading into typed tables, CPU per user ÷ floor", "at most 1.5", share, share <= 1.5),
        _faster("reading without delay, users/s ÷ best peer", reading, 1),
        _faster(f"{delayed[0]['part']}, users/s ÷ best peer", delayed, 10),
        _goal("matching, users/s ÷ plain loop", "at least 10", times, times >= 10),
        _goal("matching, precision and recall", "no less than the loop's", None, as_good),
    ]


def _faster(said: str, rows: list[Row], least: int) -> Row:
    ours = next(row for row in rows if row["side"].endswith("typed tables"))
    peers = [row for row in rows if not row["side"].startswith(("floor", "this program"))]
    times = ours["users/s"] / max(row["users/s"] for row in peers)
    return _goal(said, f"at least {least}", times, times >= least)


def _goal(said: str, wanted: str, reached: float | None, met: bool) -> Row:
    return {"goal": said, "wanted": wanted, "reached": reached, "": "met" if met else "**missed**"}


if __name__ == "__main__":
    main()
