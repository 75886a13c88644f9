"""How long the pages of the review website take on a large estate.

    python -m benchmarks.review_pages [--tenants 1000] [--users 500] [--keep DIR] [--only WORD]

Syncs a simulated estate, opens the website on it in a process of its own, and asks for each page 15 times, each time
for another tenant and another user. Measured by the one who asks, over loopback, until the whole page is there: the
time of the server and a little more. `first` is the first time that the website is asked for that page at all: it reads
the template and what it will remember until the next sync. With --keep the synced estate stays in a folder for the next
time.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import requests

from benchmarks.measure import side, simulated, table
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.review.app import PAGES

TIMES = 15
# What people ask of a page besides the page itself.
ASKED = {
    "/": ("?q={word}", "?status=ok&page=20"),
    "/matching": ("?show=matched", "?show=all&page=30", "?show=all&q={word}"),
    "/matching/accept-all": ("?score=60",),
    "/organizations/search": ("?q={word}",),
    "/tenants/{tenant_id}/users": ("?state=create", "?field=title", "?q=anna", "?page=9"),
    "/tenants/{tenant_id}/ambiguous/contacts": ("?q=anna",),
    "/plan": ("?page=15", "?q={word}"),
    "/plan/{tenant_id}": ("?page=2",),
    "/log": ("?level=warning", "?tenant={tenant_id}", "?page=3"),
}


def main() -> None:
    """Make the estate if it is not there, ask for every page, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="folder of the synced estate")
    parser.add_argument("--only", default="", help="only pages with this in their address")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="o365_etl-bench-") as temporary:
        config = synced((options.keep or Path(temporary)).absolute(), options.tenants, options.users)
        rows = measured(config, options.only)
    table(f"{options.tenants} tenants × {options.users} users, ms, {TIMES} times each", rows)


def synced(folder: Path, tenants: int, users: int) -> Path:
    """The configuration of an installation in `folder` that was synced with such an estate."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "o365_etl.toml"
    if not (folder / "data" / "o365.duckdb").is_file():
        with simulated(tenants, users) as simulator:
            config.write_text(simulator.config.read_text(encoding="utf-8"), encoding="utf-8")
            side("benchmarks.whole_sync", "direct", str(config))
    return config


def measured(config: Path, only: str) -> list[dict[str, Any]]:
    """First, median and slowest time of each page."""
    places = list(values(Workspace.open(config)))
    rows = []
    with website(config) as link, requests.Session() as session:
        session.get(link, timeout=60).raise_for_status()
        url = link.partition("/sign-in")[0]
        for page in pages():
            if only not in page:
                continue
            times, size = [], 0
            for place in places:
                address = url + re.sub(r"\{(\w+)\}", lambda match, of=place: quote(of[match[1]], safe=""), page)
                started = time.perf_counter()
                answer = session.get(address, timeout=120)
                times.append((time.perf_counter() - started) * 1000)
                size = max(size, len(answer.content))
                if answer.status_code != 200:
                    raise SystemExit(f"{address}: {answer.status_code}")
            rows.append(
                {
                    "page": page,
                    "first": times[0],
                    "median": median(times),
                    "slowest": max(times[1:]),
                    "kB": size / 1000,
                }
            )
    return rows


def pages() -> Iterator[str]:
    """Every page of the website, plain and with what people ask of it."""
    for module in PAGES:
        for path in module.PAGES:
            for asked in ("", *ASKED.get(path, ())):
                yield path + asked


def values(workspace: Workspace) -> Iterator[dict[str, str]]:
    """So many tenants and users from all over the estate, the same ones in every run."""
    users = query(
        workspace,
        "SELECT tenant_id, any_value(o.tenant_name) AS word, min_by(c.user_id, hash(c.user_id)) AS user_id"
        " FROM match.contacts c JOIN match.organizations o USING (tenant_id)"
        " GROUP BY tenant_id ORDER BY hash(tenant_id) LIMIT ?",
        [TIMES],
    )
    if len(users) < TIMES:
        raise SystemExit(f"the estate needs at least {TIMES} tenants")
    run_id = str(workspace.state.runs(limit=1)[0]["run_id"])
    for user in users:
        yield {
            **user,
            "word": user["word"].split()[0],
            "name": workspace.settings.connections[0].name,
            "run_id": run_id,
        }


@contextmanager
def website(config: Path) -> Iterator[str]:
    """The website in a process of its own; its sign-in link."""
    command = [sys.executable, "-m", "o365_etl", "review", "--port", "0", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.strip() for line in process.stdout if "/sign-in?token=" in line)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


if __name__ == "__main__":
    main()
