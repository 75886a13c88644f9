"""Reading Microsoft 365 against a bare threaded downloader that fetches the same pages and parses them with orjson.

    python -m benchmarks.extraction [--tenants 20] [--users 5000] [--latency 0] [--threads 32]

The floor signs in, follows the same links with the same number of threads and throws the parsed answers away. Ours
also checks, lands and certifies; `loaded` goes on to typed tables in the warehouse.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import report, side, simulated, table

if TYPE_CHECKING:
    from o365_etl.graph import TenantResult


def main() -> None:
    """Start the simulator, measure the sides one after the other, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=32)
    options = parser.parse_args()
    with simulated(options.tenants, options.users, options.latency) as simulator:
        facts = simulator.config.with_name("facts.json")
        facts.write_text(json.dumps(simulator.facts), encoding="utf-8")
        # Each side once to warm the simulator's caches, then once to count.
        threads = {"O365_ETL_LIMITS__THREADS": str(options.threads)}
        for _ in range(2):
            floor = side("benchmarks.extraction", "floor", str(facts), environment=threads)
            ours = side("benchmarks.extraction", "ours", str(simulator.config), environment=threads)
            loaded = side("benchmarks.extraction", "loaded", str(simulator.config), environment=threads)
    users = options.tenants * options.users
    rows = [
        {
            "side": name,
            "requests": result["requests"],
            "users/s": users / result["wall_seconds"],
            "CPU µs/user": result["cpu_seconds"] / users * 1e6,
            "CPU ÷ floor": result["cpu_seconds"] / floor["cpu_seconds"],
            "wall ÷ ideal": result["wall_seconds"] / (result["requests"] * options.latency / options.threads)
            if options.latency
            else "–",
            "peak MiB": result["peak_mib"],
        }
        for name, result in (("floor", floor), ("ours, landed", ours), ("ours, landed and loaded", loaded))
    ]
    title = f"{options.tenants} tenants × {options.users} users, {options.latency * 1000:.0f} ms per answer"
    table(f"{title}, {options.threads} threads", rows)


def floor(facts: dict[str, Any]) -> dict[str, Any]:
    """Fetch and parse the pages, nothing else."""
    import orjson
    import requests

    from o365_etl.graph.streams import USER_FIELDS

    threads = int(os.environ["O365_ETL_LIMITS__THREADS"])
    session = requests.Session()
    session.trust_env = False
    session.verify = facts["ca_bundle"]
    session.mount("https://", requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=threads))
    graph = facts["graph_url"]

    def one(tenant_id: str) -> int:
        token = session.post(
            f"{facts['login_url']}/{tenant_id}/oauth2/v2.0/token",
            data={
                "client_id": facts["client_id"],
                "client_secret": facts["client_secret"],
                "scope": f"{graph}/.default",
                "grant_type": "client_credentials",
            },
        )
        headers = {"Authorization": f"Bearer {orjson.loads(token.content)['access_token']}"}
        sent = 1
        for path in (
            "v1.0/organization",
            "v1.0/domains",
            f"v1.0/users?$select={USER_FIELDS}&$top=999",
            "v1.0/subscribedSkus",
            "v1.0/directory/subscriptions",
            "v1.0/users?$select=id,signInActivity&$top=500",
            "v1.0/admin/reportSettings",
            "beta/reports/getMailboxUsageDetail(period='D7')?$format=application/json&$top=999",
        ):
            link = f"{graph}/{path}"
            while link:
                answer = session.get(link, headers=headers, timeout=60)
                link = orjson.loads(answer.content).get("@odata.nextLink")
                sent += 1
        session.get(f"{graph}/v1.0/reports/getMailboxUsageDetail(period='D7')", headers=headers, timeout=60)
        return sent + 2

    with ThreadPoolExecutor(threads) as pool:
        return {"requests": sum(pool.map(one, facts["tenant_ids"]))}


def ours(config: Path, *, load: bool) -> dict[str, Any]:
    """Discover, read and land; with `load` also certify into the warehouse."""
    from o365_etl.config import load_settings
    from o365_etl.pipeline import microsoft, planning
    from o365_etl.pipeline.workspace import Workspace, now

    settings = load_settings(config)
    if settings.data_dir.exists():
        # Not deleted: ten thousand files would be a part of what is measured, and some file systems are slow for
        # minutes after.
        settings.data_dir.rename(settings.data_dir.with_name(f"data-{time.time_ns()}"))
    workspace = Workspace.of(settings)
    plan = planning.plan_shards(workspace)
    results = [result for shard in plan.shards for result in microsoft.read_shard(workspace, shard, "bench")]
    if load:
        workspace.state.start_run("bench", "manual", now())
        microsoft.certify(workspace, "bench", plan, results)
    return {"requests": asked(results, settings.limits.threads)}


def asked(results: Sequence[TenantResult], threads: int) -> int:
    """How many requests these reads were, at most. A sign-in each; the document that tells where is asked for by those
    that begin before the first one has it, and by no other.
    """
    sign_ins = len(results) + min(threads, len(results))
    return sum(receipt.requests for result in results for receipt in result.receipts) + sign_ins


def _imported() -> None:
    """Load the modules first: the start of an interpreter is not what is compared."""
    import orjson  # noqa: F401
    import requests  # noqa: F401

    from o365_etl.pipeline import microsoft  # noqa: F401


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _imported()
    if sys.argv[1:2] == ["floor"]:
        report(lambda: floor(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
    elif sys.argv[1:2] in (["ours"], ["loaded"]):
        report(lambda: ours(Path(sys.argv[2]), load=sys.argv[1] == "loaded"))
    else:
        main()
