"""Users to contacts, judged by the truth of the estate: what is to be matched, our side of it, and the judgement.

    python -m benchmarks.linking prepare CONFIG FOLDER      read and load both sides, match organizations, export
    python -m benchmarks.linking rules CONFIG               users to contacts, by the rules alone, as the peers do
    python -m benchmarks.linking step CONFIG                the whole step of a sync: links kept, look-alikes audited

Sides of `beside`, not for use alone. Everybody gets the same: users in scope of tenants whose organization is known,
their addresses, and the contacts of these organizations with their e-mails, as Parquet files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import report

_MATCHED = "(SELECT organization_id FROM \"match\".organizations WHERE status = 'matched')"
EXPORTS = {
    "users": (
        "SELECT u.tenant_id, u.user_id, o.organization_id, coalesce(u.mail, u.user_principal_name) AS mail,"
        " u.given_name, u.surname"
        " FROM m365.users u JOIN \"match\".organizations o USING (tenant_id) WHERE o.status = 'matched' AND u.in_scope"
    ),
    "addresses": "SELECT tenant_id, user_id, address FROM m365.user_addresses",
    "contacts": (
        "SELECT contact_id, organization_id, first_name, last_name FROM itglue.contacts"
        f" WHERE organization_id IN {_MATCHED}"
    ),
    "emails": (
        f"SELECT contact_id, organization_id, address FROM itglue.contact_emails WHERE organization_id IN {_MATCHED}"
    ),
}
Key = tuple[str, str]


def prepare(config: Path, folder: Path) -> dict[str, Any]:
    """Everything that comes before users are matched, and the export of what is to be matched."""
    from o365_etl.config import load_settings
    from o365_etl.pipeline import documentation, microsoft, planning, relating
    from o365_etl.pipeline.workspace import Workspace

    workspace = Workspace.of(load_settings(config))
    with workspace.writing("bench", "bench", wait_seconds=0):
        plan = planning.plan_shards(workspace)
        results = [result for shard in plan.shards for result in microsoft.read_shard(workspace, shard, "bench")]
        microsoft.certify(workspace, "bench", plan, results)
        documentation.load_it_glue(workspace, documentation.read_it_glue(workspace, "bench"))
        relating.match_organizations(workspace)
        with workspace.tables() as db:
            for name, select in EXPORTS.items():
                db.execute(f"COPY ({select}) TO '{folder / name}.parquet' (FORMAT parquet)")
            users = int(db.scalar(f"SELECT count(*) FROM ({EXPORTS['users']})"))
    return {"users": users}


def rules(config: Path) -> dict[str, Any]:
    """`match.contacts` by the rules, for all tenants; the links are found and dropped."""
    from o365_etl.pipeline.workspace import Workspace
    from o365_etl.store import relate

    workspace = Workspace.of(_settings(config))
    with (
        workspace.writing("bench", "bench", wait_seconds=0),
        workspace.tables() as db,
        relate.known_people(db, [], workspace.state.links.user_links()),
    ):
        fresh = [row[0] for row in db.rows("SELECT tenant_id FROM m365.tenants WHERE NOT is_stale ORDER BY tenant_id")]
        relate.match_contacts(db, fresh, lambda _: None)
    return {}


def step(config: Path) -> dict[str, Any]:
    """The step of a sync."""
    from o365_etl.pipeline import relating
    from o365_etl.pipeline.workspace import Workspace

    workspace = Workspace.of(_settings(config))
    with workspace.writing("bench", "bench", wait_seconds=0):
        relating.match_contacts(workspace)
    return {}


def found_by_us(config: Path) -> dict[Key, str]:
    """What `rules` or `step` found."""
    from o365_etl.pipeline.workspace import Workspace

    with Workspace.of(_settings(config)).tables() as db:
        rows = db.rows("SELECT tenant_id, user_id, contact_id FROM \"match\".contacts WHERE status = 'matched'")
    return {(tenant_id, user_id): contact_id for tenant_id, user_id, contact_id in rows}


def found_by(folder: Path) -> dict[Key, str]:
    """What the peer that ran last found."""
    import pyarrow.parquet as pq

    columns = pq.read_table(folder / "found.parquet").to_pydict()
    keys = zip(columns["tenant_id"], columns["user_id"], strict=True)
    return dict(zip(keys, columns["contact_id"], strict=True))


def asked(folder: Path) -> set[Key]:
    """Whose contact is asked for."""
    import pyarrow.parquet as pq

    columns = pq.read_table(folder / "users.parquet", columns=["tenant_id", "user_id"]).to_pydict()
    return set(zip(columns["tenant_id"], columns["user_id"], strict=True))


def judge(found: Mapping[Key, str], truth: Mapping[Key, str | None], keys: Iterable[Key]) -> tuple[float, float]:
    """Precision and recall of `found`, over those of `keys` about whom the truth says anything."""
    judged = [key for key in keys if key in truth]
    said = [key for key in judged if key in found]
    right = sum(found[key] == truth[key] for key in said)
    there = sum(truth[key] is not None for key in judged)
    return (right / len(said) if said else 1.0), (right / there if there else 1.0)


def _settings(config: Path) -> Any:
    from o365_etl.config import load_settings

    return load_settings(config)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        report(lambda: prepare(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        from o365_etl.pipeline import relating as _loaded_before_it_is_measured  # noqa: F401

        report(lambda: {"rules": rules, "step": step}[sys.argv[1]](Path(sys.argv[2])))
