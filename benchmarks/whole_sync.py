"""A whole sync: peak memory, time per stage, and Dagster's own share of it.

python -m benchmarks.whole_sync [--tenants 1000] [--users 1000]     peak memory, whole sync through Dagster
python -m benchmarks.whole_sync --direct [--tenants 1000] [--users 1000]    time and peak memory of each stage
python -m benchmarks.whole_sync --share [--tenants 1000] [--users 20]   against calling the pipeline directly
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.extraction import asked
from benchmarks.measure import forget_peak, peak_mib, report, side, simulated, table


def main() -> None:
    """Start the simulator and run a sync in its own process, or two ways of it in two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--share", action="store_true", help="compare with calling the pipeline directly")
    parser.add_argument("--direct", action="store_true", help="without Dagster, stage by stage")
    options = parser.parse_args()
    ways = ("direct", "dagster") * 3 if options.share else ("direct",) if options.direct else ("dagster",)
    with simulated(options.tenants, options.users) as simulator:
        rows = []
        for way in ways:
            result = side("benchmarks.whole_sync", way, str(simulator.config))
            stages, _ = result.pop("stages", {}), result.pop("requests", None)
            rows.append({"way": way, **result})
            for stage, (seconds, peak, cpu) in stages.items():
                print(f"  {stage}: {seconds:.1f} s, {cpu:.1f} s CPU, {peak:,.0f} MiB", file=sys.stderr)
    table(f"{options.tenants} tenants × {options.users} users", rows)
    if options.share:
        # Pair by pair, because a machine that grows slower within the run would fall on one side alone.
        walls = [row["wall_seconds"] for row in rows]
        shares = [(through - direct) / through for direct, through in zip(walls[::2], walls[1::2], strict=True)]
        print(f"\nDagster's share of the sync: {median(shares):.1%} ({', '.join(f'{share:.1%}' for share in shares)})")


def through_dagster(config: Path) -> dict[str, Any]:
    """The job `sync`, as the command line runs it."""
    from o365_etl.cli.running import run_sync
    from o365_etl.config import load_settings

    settings = _fresh(load_settings(config))
    outcome = run_sync(settings, trigger="bench")
    return {"tenants": outcome.tenants_ok, "failed": outcome.tenants_failed}


def directly(config: Path) -> dict[str, Any]:
    """The same verbs and the same checks, one after the other; seconds, MiB and CPU seconds of each."""
    from o365_etl.config import load_settings
    from o365_etl.pipeline import changing, documentation, microsoft, planning, publishing, relating, watching
    from o365_etl.pipeline.workspace import Workspace
    from o365_etl.tables import TABLES

    workspace = Workspace.of(_fresh(load_settings(config)))
    stages: dict[str, tuple[float, float, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started, started_cpu = time.perf_counter(), time.process_time()
        forget_peak()
        try:
            return work()
        finally:
            stages[name] = time.perf_counter() - started, peak_mib(), time.process_time() - started_cpu

    def checks() -> None:
        checked = [name for name in TABLES if not name.startswith(("history.", "sync.runs", "sync.log"))]
        watching.broken_rules(workspace, checked)
        for find in (
            watching.tenants_not_read,
            watching.concealed_reports,
            watching.unknown_skus,
            watching.fallen_rows,
            watching.brakes_pulled,
            watching.changes_not_written,
        ):
            find(workspace)

    with workspace.writing("bench", "bench", wait_seconds=0):
        plan = timed("plan", lambda: planning.plan_shards(workspace))
        results = timed("read", lambda: [r for s in plan.shards for r in microsoft.read_shard(workspace, s, "bench")])
        done = timed("load", lambda: microsoft.certify(workspace, "bench", plan, results))
        receipts = timed("read IT Glue", lambda: documentation.read_it_glue(workspace, "bench"))
        timed("load IT Glue", lambda: documentation.load_it_glue(workspace, receipts))
        timed("match organizations", lambda: relating.match_organizations(workspace))
        timed("match contacts", lambda: relating.match_contacts(workspace))
        timed("compare", lambda: relating.compare(workspace))
        timed("history", lambda: relating.remember(workspace))
        timed("plan of changes", lambda: changing.plan_changes(workspace, "bench"))
        timed("checks", checks)
        timed("publish", lambda: publishing.publish(workspace, "bench"))
    requests = asked(results, workspace.settings.limits.threads)
    return {
        "tenants": done.read,
        "failed": done.failed,
        "requests": requests + sum(receipt.requests for receipt in receipts),
        "peak_mib": max(peak for _, peak, _ in stages.values()),
        "stages": stages,
    }


def _fresh(settings: Any) -> Any:
    """No data of the run before; Dagster's own folder stays, as it does from one hourly sync to the next."""
    import shutil

    for path in settings.data_dir.glob("*"):
        if path.name == "dagster":
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return settings


if __name__ == "__main__":
    if sys.argv[1:2] == ["dagster"]:
        report(lambda: through_dagster(Path(sys.argv[2])))
    elif sys.argv[1:2] == ["direct"]:
        report(lambda: directly(Path(sys.argv[2])))
    else:
        main()
