"""The script most people would write: one request after the other, pandas, DuckDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from benchmarks.peers.job import Facts, counting_session, paths, reading, sign_in


def work(facts: Facts, folder: Path) -> dict[str, Any]:
    """Tenant by tenant, page by page; a frame per tenant and table is appended."""
    session, sent = counting_session(facts)
    target = folder / "requests_pandas.duckdb"
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as db:
        for tenant_id in facts["tenant_ids"]:
            headers = sign_in(session, facts, tenant_id)
            for table, path in paths(facts).items():
                rows: list[dict[str, Any]] = []
                link = f"{facts['graph_url']}/{path}"
                while link:
                    answer = session.get(link, headers=headers, timeout=60)
                    answer.raise_for_status()
                    page = answer.json()
                    rows += page["value"]
                    link = page.get("@odata.nextLink")
                frame = pd.DataFrame([{key: _plain(value) for key, value in row.items()} for row in rows])
                frame.insert(0, "tenant_id", tenant_id)
                frame = frame.astype(object).where(frame.notna(), None).astype("string")
                exists = db.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = ?", [table]).fetchone()
                if exists == (0,):
                    db.execute(f"CREATE TABLE {table} AS SELECT * FROM frame")
                else:
                    db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM frame")
        users = db.execute("SELECT count(*) FROM users").fetchone()
    return {"requests": sent(), "threads": 1, "users": users[0] if users else 0}


def _plain(value: Any) -> Any:
    """Lists and objects as text: a column of them has another type in every tenant."""
    return json.dumps(value) if isinstance(value, list | dict) else value


if __name__ == "__main__":
    reading(work)
