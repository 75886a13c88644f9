"""What the machine needs at the least: IT Glue's pages downloaded and parsed, and rows copied from file to file.

    python -m benchmarks.floors crawl FACTS
    python -m benchmarks.floors copy PUBLISHED SCHEMA…

The floor of reading Microsoft is in `extraction`. Sides of `beside`, not for use alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import report


def crawl(facts: dict[str, Any]) -> dict[str, Any]:
    """All organizations and contacts with their owners, page after page."""
    import orjson
    import requests

    session = requests.Session()
    session.trust_env = False
    session.verify = facts["ca_bundle"]
    session.headers["x-api-key"] = facts["itglue_api_key"]
    sent = 0
    for kind in ("organizations", "contacts"):
        link = f"{facts['itglue_url']}/{kind}?sort=id&include=adapters_resources&page[size]=1000&page[number]=1"
        while link:
            answer = session.get(link, timeout=60)
            answer.raise_for_status()
            link = orjson.loads(answer.content)["links"].get("next")
            sent += 1
    return {"requests": sent}


def copy(published: Path, schemas: list[str]) -> dict[str, Any]:
    """Every row of some schemas of the published copy, from its file into a new one, table by table."""
    import duckdb

    rows = 0
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(Path(folder) / "copy.duckdb")) as db:
        db.execute(f"ATTACH '{published}' AS published (READ_ONLY)")
        tables = db.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'published'"
            " AND list_contains(?, schema_name)",
            [schemas],
        ).fetchall()
        for schema, name in tables:
            db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            made = db.execute(f'CREATE TABLE "{schema}"."{name}" AS FROM published."{schema}"."{name}"').fetchone()
            rows += made[0] if made else 0
        db.execute("CHECKPOINT")
    return {"rows": rows}


if __name__ == "__main__":
    if sys.argv[1:2] == ["crawl"]:
        found = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        report(lambda: crawl(found))
    else:
        report(lambda: copy(Path(sys.argv[2]), sys.argv[3:]))
