"""What the peers have in common: where the job's pages are, and how one signs in to a tenant."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import forget_peak, report

Facts = dict[str, Any]
# Pairs of tenant and user with the contact found for them.
Pairs = list[tuple[str, str, str]]


def paths(facts: Facts) -> dict[str, str]:
    """Table → path of its first page, with the largest pages that Graph gives."""
    return {
        "organization": "v1.0/organization",
        "domains": "v1.0/domains",
        "users": f"v1.0/users?$select={facts['user_fields']}&$top=999",
        "licenses": "v1.0/subscribedSkus",
        "mailboxes": "beta/reports/getMailboxUsageDetail(period='D7')?$format=application/json&$top=999",
    }


def sign_in(session: Any, facts: Facts, tenant_id: str) -> dict[str, str]:
    """The headers that let `session` (of requests) read a tenant."""
    answer = session.post(
        f"{facts['login_url']}/{tenant_id}/oauth2/v2.0/token",
        data={
            "client_id": facts["client_id"],
            "client_secret": facts["client_secret"],
            "scope": f"{facts['graph_url']}/.default",
            "grant_type": "client_credentials",
        },
        timeout=60,
    )
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def counting_session(facts: Facts) -> tuple[Any, Callable[[], int]]:
    """A session of requests that trusts the simulator, and how many requests it has sent."""
    import requests

    sent: list[None] = []  # appending is atomic, adding is not

    class Counting(requests.Session):
        def send(self, *arguments: Any, **options: Any) -> requests.Response:
            sent.append(None)
            return super().send(*arguments, **options)

    session = Counting()
    session.trust_env = False
    session.verify = facts["ca_bundle"]
    session.mount("https://", requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=64))
    return session, lambda: len(sent)


def reading(work: Callable[[Facts, Path], dict[str, Any]]) -> None:
    """Run a module's `work(facts, folder)` for the facts file that its command line names.

    One tenant is read before, unmeasured: some of these libraries import themselves piece by piece on first use, and
    the start of a program is not what is compared.
    """
    path = Path(sys.argv[1])
    facts = json.loads(path.read_text(encoding="utf-8"))
    work({**facts, "tenant_ids": facts["tenant_ids"][:1]}, path.parent)
    forget_peak()
    report(lambda: work(facts, path.parent))


def matching(work: Callable[[Path], Pairs]) -> None:
    """Run a module's `work(folder)`; the pairs it finds are left beside its input, for judging, outside its time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(sys.argv[1])
    found: Pairs = []

    def measured() -> dict[str, Any]:
        found.extend(work(folder))
        return {"pairs": len(found)}

    report(measured)
    columns = {
        name: [pair[place] for pair in found] for place, name in enumerate(("tenant_id", "user_id", "contact_id"))
    }
    pq.write_table(
        pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])), folder / "found.parquet"
    )
