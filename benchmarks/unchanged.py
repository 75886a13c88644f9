"""What a sync costs in which a thousandth of the users changed, against the first one, after the download.

    python -m benchmarks.unchanged [--tenants 1000] [--users 1000] [--everywhere]

Syncs of one installation, one after the other, each in a process of its own: the first; one in which everybody of one
tenant (of a thousand) has another job title; one in which nothing changed; with --everywhere one in which one of a
thousand users of every tenant has. CPU seconds of the process, stage by stage, without Dagster.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Simulated, report, side, simulated, table

DOWNLOAD = ("plan", "read", "read IT Glue")


def main() -> None:
    """One estate in two or three states, a sync after each change, one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--everywhere", action="store_true", help="also a change in every tenant")
    options = parser.parse_args()
    at = ("--now", datetime.now(UTC).isoformat())
    size = (options.tenants, options.users, 0.0)
    costs: dict[str, dict[str, float]] = {}
    with simulated(*size, *at) as before:
        costs["first"] = _synced(before, before)
        with simulated(*size, *at, "--promoted", "tenant") as after:
            costs["one tenant changed"] = _synced(before, after)
            costs["nothing changed"] = _synced(before, after)
        if options.everywhere:
            with simulated(*size, *at, "--promoted", "everywhere") as after:
                costs["one user of every tenant changed"] = _synced(before, after)
    stages = [stage for stage in costs["first"] if stage not in DOWNLOAD]
    rows = [{"CPU seconds": stage, **{name: cost[stage] for name, cost in costs.items()}} for stage in costs["first"]]
    sums = {name: sum(cost[stage] for stage in stages) for name, cost in costs.items()}
    rows.append({"CPU seconds": "after the download", **sums})
    rows.append({"CPU seconds": "÷ first", **{name: value / sums["first"] for name, value in sums.items()}})
    table(f"{options.tenants} tenants × {options.users} users", rows)


def _synced(home: Simulated, now: Simulated) -> dict[str, float]:
    """A sync into the folder of `home`, from the estate as it is `now`."""
    settings = now.config.read_text(encoding="utf-8").replace(
        'data_dir = "data"', f'data_dir = "{home.config.parent / "data"}"'
    )
    now.config.write_text(settings, encoding="utf-8")
    stages: dict[str, float] = side("benchmarks.unchanged", "sync", str(now.config))["stages"]
    print({stage: round(seconds, 1) for stage, seconds in stages.items()}, file=sys.stderr)
    return stages


def sync(config: Path) -> dict[str, Any]:
    """One sync by the verbs of the pipeline; CPU seconds of each."""
    from o365_etl.config import load_settings
    from o365_etl.pipeline import changing, documentation, microsoft, planning, publishing, relating
    from o365_etl.pipeline.workspace import Workspace

    workspace = Workspace.of(load_settings(config))
    stages: dict[str, float] = {}
    run_id = f"bench-{time.time_ns()}"

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        try:
            return work()
        finally:
            stages[name] = time.process_time() - started

    with workspace.writing(run_id, "bench", wait_seconds=0):
        plan = timed("plan", lambda: planning.plan_shards(workspace))
        results = timed("read", lambda: [r for s in plan.shards for r in microsoft.read_shard(workspace, s, run_id)])
        timed("load", lambda: microsoft.certify(workspace, run_id, plan, results))
        receipts = timed("read IT Glue", lambda: documentation.read_it_glue(workspace, run_id))
        timed("load IT Glue", lambda: documentation.load_it_glue(workspace, receipts))
        timed("match organizations", lambda: relating.match_organizations(workspace))
        timed("match contacts", lambda: relating.match_contacts(workspace))
        timed("compare", lambda: relating.compare(workspace))
        timed("history", lambda: relating.remember(workspace))
        timed("plan of changes", lambda: changing.plan_changes(workspace, run_id))
        timed("publish", lambda: publishing.publish(workspace, run_id))
    return {"stages": stages}


if __name__ == "__main__":
    if sys.argv[1:2] == ["sync"]:
        report(lambda: sync(Path(sys.argv[2])))
    else:
        main()
