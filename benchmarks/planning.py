"""Planning for a million linked users of whom one in a thousand changed, and how fast a plan is written.

    python -m benchmarks.planning [--users N] [--tenants N]     the plan
    python -m benchmarks.planning --write                       the share of IT Glue's rate limit that applying reaches

The first makes its own data in a temporary folder: every user has his contact, his link, and the asset beside it, all
saying the same, except for one title in a thousand. The second writes the demo's plan, with 100 ms per answer.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.matching import fill, insert, timed
from o365_etl.config import build_settings, load_settings
from o365_etl.itglue import LICENSE_ASSET_TYPE, USER_ASSET_TYPE
from o365_etl.pipeline import applying, changing, deciding, documentation, microsoft, planning, publishing, relating
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.receipts import Receipt
from o365_etl.simulator import Estate, Simulator
from o365_etl.store import plan as store
from o365_etl.store import relate
from o365_etl.store.warehouse import Db

# IT Glue allows 3,000 requests in five minutes.
PUBLISHED_RATE = 10.0


def main() -> None:
    """Run one of the two and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=1_000)
    parser.add_argument("--write", action="store_true", help="write a plan to the simulator")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.write:
            measure_writing(Path(folder))
        else:
            measure_planning(Path(folder), args.users, args.tenants)
            print(f"{'peak memory':<28} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>8.0f} MB")


def measure_planning(folder: Path, users: int, tenants: int) -> None:
    """Everything is linked and documented; then one title in a thousand changes, and the plan is made."""
    settings = build_settings({"data_dir": str(folder), "itglue": {"api_key": {"env": "X"}}}, folder / "bench.toml")
    workspace = Workspace.of(settings)
    with workspace.tables() as db:
        fresh = fill(db, users, tenants)
        _document(db)
    _certify_itglue(workspace)
    links = workspace.state.links
    with workspace.tables() as db:
        with relate.known_people(db, [], links.user_links()):
            relate.match_contacts(db, fresh, links.link_users)
        db.execute("UPDATE m365.users SET job_title = 'Head clerk' WHERE hash(user_id) % 1000 = 0")
        relate.compare(db, fresh, [])
        _beside_each_contact(db, workspace, fresh)
    workspace.state.start_run("bench", "bench", now())
    print(f"{'step':<28} {'seconds':>8} {'CPU':>8}")
    done, (_, seconds, cpu) = timed("plan", lambda: changing.plan_changes(workspace, "bench"))
    print(f"{'plan':<28} {seconds:>8.2f} {cpu:>8.2f}   {users:,} linked users, {dict(done.counts)}")


def _document(db: Db) -> None:
    """Contacts that say what their users say: all addresses, the user name first, the same phones."""
    for table in ("contacts", "contact_emails", "contact_phones"):
        db.execute(f"DELETE FROM itglue.{table}")
    contact = "u.rowid::VARCHAR AS contact_id, m.organization_id"
    joined = 'FROM m365.users u JOIN "match".organizations m USING (tenant_id) WHERE $users > 0'
    number = {"users": 1}
    insert(
        db,
        "itglue.contacts",
        f"SELECT {contact}, given_name AS first_name, surname AS last_name, job_title AS title, u.name_key {joined}",
        number,
    )
    insert(
        db,
        "itglue.contact_emails",
        f"SELECT DISTINCT {contact}, a.address, a.kind = 'upn' AS is_primary"
        f" {joined.replace('WHERE', 'JOIN m365.user_addresses a USING (tenant_id, user_id) WHERE')}",
        number,
    )
    insert(
        db,
        "itglue.contact_phones",
        "SELECT rowid::VARCHAR AS contact_id, regexp_replace(business_phone, '[^0-9]+', '', 'g') AS number,"
        " true AS is_primary, 'Work' AS label FROM m365.users WHERE $users > 0 UNION ALL"
        " SELECT rowid::VARCHAR, regexp_replace(mobile_phone, '[^0-9]+', '', 'g'), false, 'Mobile' FROM m365.users"
        " WHERE mobile_phone IS NOT NULL",
        number,
    )


def _beside_each_contact(db: Db, workspace: Workspace, fresh: list[str]) -> None:
    """The asset that a plan before this one would have written, for everybody."""
    with store.planning(
        db,
        licensed_connections=[],
        pending=[],
        user_decisions=[],
        places={},
        owners=workspace.settings.fields.contact.model_dump(),
        links=workspace.state.links.user_links(),
    ):
        number = 0
        for _ in store.portions(db, fresh):
            rows = db.arrow_file("plan_user_assets").select(
                ["tenant_id", "user_id", "organization_id", "wanted", "tag"]
            )
            with db.registered(rows=rows):
                db.execute(
                    "INSERT INTO itglue.user_assets BY NAME SELECT (? + row_number() OVER ())::VARCHAR AS asset_id,"
                    " organization_id, tenant_id, user_id, '[\"' || tag || '\"]' AS contact_ids, wanted AS traits,"
                    " now() AS updated_at FROM rows",
                    [number],
                )
            number += rows.num_rows
    for name in (LICENSE_ASSET_TYPE, USER_ASSET_TYPE):
        db.execute("INSERT INTO itglue.asset_types VALUES (?, ?)", [name, name])


def _certify_itglue(workspace: Workspace) -> None:
    for stream in documentation.STREAMS:
        at = datetime.now(UTC)
        receipt = Receipt(source="itglue", stream=stream, read_id="bench", state="ok", started_at=at, ended_at=at)
        workspace.landing.writer("itglue", stream, "bench").commit(receipt)


def measure_writing(folder: Path) -> None:
    """Sync the demo's estate, approve the plan, and write it, counted at the server: it is IT Glue's rate limit that
    bounds this, not the processor.
    """
    with Simulator(Estate.demo(seed=1), folder=folder / "simulator", latency=0.1) as simulator:
        config = folder / "o365_etl.toml"
        config.write_text(simulator.settings_toml(data_dir="data"), encoding="utf-8")
        workspace = Workspace.of(load_settings(config))
        with workspace.writing("read", "bench", wait_seconds=0):
            shards = planning.plan_shards(workspace)
            results = [r for shard in shards.shards for r in microsoft.read_shard(workspace, shard, "read")]
            microsoft.certify(workspace, "read", shards, results)
            documentation.load_it_glue(workspace, documentation.read_it_glue(workspace, "read"))
            relating.match_organizations(workspace)
            relating.match_contacts(workspace)
            relating.compare(workspace)
            changing.plan_changes(workspace, "read")
            publishing.publish(workspace, "read")
        deciding.approve_plan(workspace, (), who="bench")
        simulator.reset_log()
        with workspace.writing("write", "bench", wait_seconds=0):
            done, (_, seconds, _) = timed("write", lambda: applying.apply_plan(workspace, "write", by_person=True))
        requests = simulator.count("itglue")
    rate = requests / seconds
    print(f"{dict(done.counts)} changes in {seconds:.1f} s by {requests} requests: {rate:.1f} a second,")
    print(
        f"{rate / PUBLISHED_RATE:.0%} of the published limit; {done.counts['applied'] / seconds:.0f} changes a second"
    )


if __name__ == "__main__":
    main()
