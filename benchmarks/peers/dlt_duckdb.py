"""dlt: its REST source with its paginator for links in JSON, all tenants' resources side by side, into DuckDB."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

THREADS = 32
# dlt reads its own configuration when it is imported; 32 at a time, as ours, instead of 5
os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": str(THREADS),
    "EXTRACT__MAX_PARALLEL_ITEMS": str(THREADS),
}

import dlt  # noqa: E402
import duckdb  # noqa: E402
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator  # noqa: E402
from dlt.sources.rest_api import rest_api_resources  # noqa: E402

from benchmarks.peers.job import Facts, counting_session, paths, reading, sign_in  # noqa: E402


def work(facts: Facts, folder: Path) -> dict[str, Any]:
    """One run: extract, normalize with child tables as dlt makes them, load."""
    session, sent = counting_session(facts)

    @dlt.source(name="graph")
    def graph() -> Any:
        for tenant_id in facts["tenant_ids"]:
            yield from _resources(facts, session, tenant_id)

    target = folder / "dlt.duckdb"
    target.unlink(missing_ok=True)
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(target)),
        dataset_name="m365",
    )
    pipeline.run(graph(), loader_file_format="parquet")
    with duckdb.connect(str(target), read_only=True) as db:
        users = db.execute("SELECT count(*) FROM m365.users").fetchone()
    return {"requests": sent(), "threads": THREADS, "users": users[0] if users else 0}


def _resources(facts: Facts, session: Any, tenant_id: str) -> Any:
    headers = sign_in(session, facts, tenant_id)
    resources = [
        {
            # Names are unique in a source; the table is the same for all tenants
            "name": f"{table}_{tenant_id.replace('-', '')}",
            "table_name": table,
            "write_disposition": "append",
            "parallelized": True,
            "endpoint": {"path": path, "data_selector": "value"},
        }
        for table, path in paths(facts).items()
    ]
    return rest_api_resources(
        {
            "client": {
                "base_url": f"{facts['graph_url']}/",
                "headers": headers,
                "session": session,
                "paginator": JSONLinkPaginator(next_url_path="['@odata.nextLink']"),
            },
            "resources": resources,
        }
    )


if __name__ == "__main__":
    reading(work)
