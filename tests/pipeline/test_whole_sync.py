"""The main job, verb by verb: what ends up in the published copy, and what a failing read leaves alone."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from o365_etl.errors import BusyError, ConfigError, O365EtlError
from o365_etl.pipeline import microsoft, planning, reporting
from o365_etl.pipeline.relating import COMPARED
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate, Fault, SimLicense, SimOrganization, SimTenant, SimUser
from tests.conftest import World

Start = Callable[..., World]


def statuses(world: World) -> dict[str, tuple[str, str | None]]:
    return {
        name: (status, code)
        for name, status, code in world.rows("SELECT display_name, status, error_code FROM sync.tenants")
    }


def test_a_sync_fills_every_table_to_the_comparison(start: Start, contoso: Estate) -> None:
    """From sign-in to the comparison: tenants, users and contacts end up read, matched and compared."""
    world = start(contoso)
    done = world.sync()

    assert (done.read, done.failed) == (2, 0)
    assert statuses(world) == {"Contoso": ("ok", None), "Fabrikam Ltd": ("ok", None)}
    assert world.rows("SELECT tenant_name, status, rule, organization_id FROM match.organizations ORDER BY 1") == [
        ("Contoso", "matched", "tenant_name", "101"),
        ("Fabrikam Ltd", "suggested", None, None),
    ]
    assert world.rows("SELECT organization_name, score FROM match.organization_suggestions") == [
        ("Fabrikam GmbH", 100.0)
    ]
    assert world.rows("SELECT user_principal_name, status, rule FROM match.contacts ORDER BY 1") == [
        ("anna.berg@contoso.example", "matched", "alias"),
        ("bo.dahl@contoso.example", "matched", "full_name"),
        ("cy.eek@contoso.example", "create", None),
        ("di.falk@fabrikamltd.example", "organization_unmatched", None),
    ]
    assert world.rows(
        "SELECT field, state FROM compare.contacts WHERE user_principal_name LIKE 'bo%' AND field LIKE '%name'"
    ) == [("first_name", "equal"), ("last_name", "equal")]
    assert world.rows("SELECT count(*) FROM m365.mailboxes WHERE storage_used_bytes > 0") == [(4,)]
    assert world.rows("SELECT count(*) FROM history.users") == [(4,)]
    assert world.rows("SELECT status FROM sync.runs") == [("ok",)]


def test_everything_is_readable_by_its_owner_alone(start: Start, contoso: Estate) -> None:
    """Personal data is at rest in these files: none may be open to others."""
    world = start(contoso)
    world.sync()

    for path in [world.workspace.data_dir, *world.workspace.data_dir.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_second_sync_changes_nothing(start: Start, contoso: Estate) -> None:
    """The same answers give the same rows: no doubled row, no new version. A match that a rule found is a link now."""
    world = start(contoso)
    world.sync()
    queries = (
        *("FROM m365.users", "FROM m365.user_addresses", "FROM m365.licenses", "FROM compare.contacts"),
        "SELECT * EXCLUDE (rule, evidence) FROM match.contacts",
        "SELECT * EXCLUDE (run_id) FROM sync.changes",
    )
    before = {sql: sorted(map(str, world.rows(sql))) for sql in queries}
    rules = "SELECT DISTINCT rule FROM match.contacts WHERE status = 'matched' ORDER BY 1"
    assert world.rows(rules) == [("alias",), ("full_name",)]
    world.sync()

    assert {sql: sorted(map(str, world.rows(sql))) for sql in queries} == before
    assert world.rows(rules) == [("link",)]
    assert world.rows("SELECT count(*) FROM history.users") == [(4,)]
    assert world.rows("SELECT count(*) FROM history.match_contacts") == [(4,)]


def test_an_incomplete_read_is_never_taken_for_the_truth(start: Start, contoso: Estate) -> None:
    """A tenant whose users cannot be read keeps its rows, marked stale, and nothing is concluded from them."""
    world = start(contoso)
    world.sync()
    contoso_id = contoso.tenants[0].tenant_id
    matched = sorted(map(str, world.rows("FROM match.contacts")))
    world.add_fault(Fault("graph", "truncated", tenant_id=contoso_id, path=r"/users\?"))
    done = world.sync()

    assert done.failed == 1
    assert statuses(world)["Contoso"][0] == "partial"
    assert statuses(world)["Fabrikam Ltd"] == ("ok", None)
    assert world.rows("SELECT display_name, is_stale FROM m365.tenants ORDER BY 1") == [
        ("Contoso", True),
        ("Fabrikam Ltd", False),
    ]
    assert world.rows("SELECT count(*) FROM m365.users") == [(4,)]
    assert sorted(map(str, world.rows("FROM match.contacts"))) == matched
    world.heal()
    world.sync(only_failed=True)
    assert statuses(world)["Contoso"] == ("ok", None)
    assert world.rows("SELECT bool_or(is_stale) FROM m365.tenants") == [(False,)]


def test_a_sync_in_which_every_tenant_fails_keeps_everything(start: Start, contoso: Estate) -> None:
    """Nobody can be read: the sync ends all the same, and concludes nothing from that."""
    world = start(contoso)
    world.sync()
    kept = ("FROM m365.users", "FROM match.organizations", "FROM match.contacts", "FROM compare.contacts")
    before = {sql: sorted(map(str, world.rows(sql))) for sql in kept}
    for tenant in contoso.tenants:
        tenant.consented = False
    done = world.sync()

    assert done.read == 0
    assert {status for status, _ in statuses(world).values()} == {"not_consented"}
    assert world.rows("SELECT DISTINCT is_stale FROM m365.tenants") == [(True,)]
    assert {sql: sorted(map(str, world.rows(sql))) for sql in kept} == before
    assert world.rows("SELECT count(*) FROM sync.changes WHERE action = 'deactivate'") == [(0,)]


def test_zero_users_are_not_believed(start: Start, contoso: Estate) -> None:
    """A tenant that answers without users although it had some is partial, and keeps them."""
    world = start(contoso)
    world.sync()
    world.add_fault(Fault("graph", "zero_users", tenant_id=contoso.tenants[0].tenant_id, path=r"/users\?"))
    world.sync()

    assert statuses(world)["Contoso"] == ("partial", "zero_users")
    assert world.rows("SELECT count(*) FROM m365.users") == [(4,)]


def test_a_user_who_left_is_gone_after_a_complete_read(start: Start, contoso: Estate) -> None:
    """A complete read replaces the rows: what it lacks is gone, and history says until when it was there."""
    world = start(contoso)
    world.sync()
    tenant = contoso.tenants[0]
    tenant.users = list(tenant.users)[:2]
    contoso.touch(tenant.tenant_id)
    world.sync()

    assert world.rows("SELECT count(*) FROM m365.users") == [(3,)]
    assert world.rows("SELECT surname FROM history.users WHERE valid_to IS NOT NULL") == [("Eek",)]


def test_tenants_without_consent_stand_in_the_list_alone(start: Start, contoso: Estate) -> None:
    """No consent is a normal state: the link to send is the remedy, no failure is counted, no match concluded."""
    contoso.tenants[1].consented = False
    contoso.touch()
    world = start(contoso)
    done = world.sync()

    assert done.failed == 0
    remedy = world.rows("SELECT remedy FROM sync.tenants WHERE status = 'not_consented'")
    assert "/adminconsent?client_id=" in remedy[0][0]
    assert world.rows("SELECT count(*) FROM match.organizations") == [(1,)]


def test_a_tenant_that_is_no_longer_listed_keeps_its_rows(start: Start, contoso: Estate) -> None:
    """Absent from a complete list is not gone: the rows stay stale and a person is told."""
    world = start(contoso)
    world.sync()
    contoso.tenants[1].listed_in = "none"
    contoso.touch()
    world.sync()

    assert statuses(world)["Fabrikam Ltd"] == ("failed", "not_listed")
    assert world.rows("SELECT is_stale FROM m365.tenants WHERE display_name = 'Fabrikam Ltd'") == [(True,)]


def test_excluded_tenants_are_not_read(start: Start, contoso: Estate) -> None:
    """An excluded tenant is asked nothing and loses its match, not its rows."""
    world = start(contoso)
    world.sync()
    world.configure(f'[selection]\nexclude_tenants = ["{contoso.tenants[0].tenant_id}"]')
    world.simulator.reset_log()
    world.sync()

    assert statuses(world)["Contoso"] == ("excluded", None)
    assert world.simulator.count("graph", contoso.tenants[0].tenant_id) == 0
    assert world.rows("SELECT tenant_name FROM match.organizations") == [("Fabrikam Ltd",)]
    for table in ("match.organization_suggestions", "match.contacts", *COMPARED):
        assert world.rows(f"FROM {table} WHERE tenant_id = '{contoso.tenants[0].tenant_id}'") == [], table
    assert world.rows("SELECT count(*) FROM m365.users") == [(4,)]


def test_one_tenant_can_be_synced_alone(start: Start, contoso: Estate) -> None:
    """A narrowed sync asks only the named tenant and leaves the others as they are."""
    world = start(contoso)
    world.sync()
    world.simulator.reset_log()
    world.sync(("contoso",))

    assert world.simulator.count("graph", contoso.tenants[1].tenant_id) == 0
    assert world.simulator.count("graph", contoso.tenants[0].tenant_id) > 0
    assert world.rows("SELECT bool_or(is_stale) FROM m365.tenants") == [(False,)]
    with pytest.raises(ConfigError, match="no tenant is known as 'nobody'"):
        world.sync(("nobody",))


def test_an_alias_replaces_the_name(start: Start, contoso: Estate) -> None:
    """A badly named tenant is matched and shown under its alias."""
    world = start(contoso)
    world.configure(f'[selection.tenant_aliases]\n"{contoso.tenants[1].tenant_id}" = "Fabrikam GmbH"')
    world.sync()

    assert world.rows("SELECT tenant_name, rule FROM match.organizations WHERE organization_id = '102'") == [
        ("Fabrikam GmbH", "tenant_name")
    ]


def test_two_tenants_of_one_name_are_both_suggested(start: Start) -> None:
    """A tie goes to a person."""
    tenants = [
        SimTenant("Twin", tenant_id=f"00000000-0000-4000-8000-00000000000{n}", users=[SimUser(f"a{n}@t{n}.example")])
        for n in (1, 2)
    ]
    world = start(Estate.build(tenants=tenants, organizations=[SimOrganization("Twin", 7)]))
    world.sync()

    assert world.rows("SELECT status, count(*) FROM match.organizations GROUP BY 1") == [("suggested", 2)]
    assert world.rows("SELECT organization_id, count(*) FROM match.organization_suggestions GROUP BY 1") == [("7", 2)]


HOSTILE = ("<b>Bold & Co</b>", "Robert'); DROP TABLE m365.users;--", "=HYPERLINK(1)", "\u202eאבג", "x" * 400)


def test_hostile_names_are_data(start: Start) -> None:
    """Markup, SQL, formulas, right-to-left and very long names arrive as they are, and a nameless user is no loss."""
    users = [SimUser(f"u{n}@odd.example", display_name=name, given_name=name) for n, name in enumerate(HOSTILE)]
    users += [SimUser("nameless@odd.example", licenses=[SimLicense("no-such-sku-id")])]
    world = start(Estate.build(tenants=[SimTenant("../../etc", users=users)]))
    world.configure('[selection]\nusers = "all"')
    world.sync()

    found = {name for (name,) in world.rows("SELECT given_name FROM m365.users")}
    assert found == {*HOSTILE, None}
    assert world.rows("SELECT display_name FROM m365.tenants") == [("../../etc",)]


def test_a_foreign_tenant_id_is_never_a_path(start: Start, contoso: Estate) -> None:
    """A partner's list that names a tenant by a path fails that tenant alone and touches nothing."""
    contoso.tenants[1].tenant_id = "../../../evil"
    contoso.touch()
    world = start(contoso)
    world.sync()

    assert world.rows("SELECT tenant_id, status, error_code FROM sync.tenants WHERE status <> 'ok'") == [
        ("../../../evil", "failed", "invalid_tenant_id")
    ]
    assert not list(world.folder.parent.rglob("evil*"))


def test_without_it_glue_the_run_fails_and_the_old_copy_stays(start: Start, contoso: Estate) -> None:
    """Nothing is concluded without IT Glue, and analysts keep the last good copy."""
    world = start(contoso)
    world.sync()
    before = world.rows("FROM main.about")
    world.add_fault(Fault("itglue", "status", path="/contacts", status=500))
    with pytest.raises(O365EtlError, match="IT Glue contacts"):
        world.sync()

    assert world.rows("FROM main.about") == before
    assert world.workspace.state.runs(1)[0]["status"] == "failed"


def test_the_copy_opens_in_another_process_while_a_sync_runs(start: Start, contoso: Estate) -> None:
    """An analyst's process reads the published copy in the middle of a sync that holds the warehouse."""
    world = start(contoso)
    world.sync()
    workspace = world.workspace
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True);"
        "print(c.execute('SELECT count(*) FROM m365.users').fetchall()[0][0])"
    )
    with workspace.writing("other", "test", wait_seconds=0), workspace.tables() as db, db.transaction():
        db.execute("DELETE FROM m365.users")
        done = subprocess.run(
            [sys.executable, "-c", code, str(workspace.published)], capture_output=True, text=True, check=True
        )

    assert done.stdout.strip() == "4"


def test_the_second_sync_waits_and_then_says_who_holds_the_lock(start: Start, contoso: Estate) -> None:
    """Two writers never meet: the second is told who is at work."""
    world = start(contoso)
    holding, finish = threading.Event(), threading.Event()

    def hold() -> None:
        with world.workspace.writing("first", "schedule", wait_seconds=0):
            holding.set()
            finish.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(10)
        with (
            pytest.raises(BusyError, match=r"first \(schedule"),
            world.workspace.writing("second", "test", wait_seconds=0.2),
        ):
            pass
    finally:
        finish.set()
        holder.join()


def test_the_landing_zone_replays_without_the_network(start: Start, contoso: Estate) -> None:
    """A lost warehouse is rebuilt from what was landed."""
    world = start(contoso)
    world.sync()
    workspace = world.workspace
    plan = planning.plan_shards(workspace)
    results = [r for shard in plan.shards for r in microsoft.read_shard(workspace, shard, "again")]
    workspace.warehouse.path.unlink()
    world.simulator.reset_log()
    workspace.state.start_run("again", "test", now())
    done = microsoft.certify(workspace, "again", plan, results)

    assert done.rows["m365.users"] == 4
    assert world.simulator.requests == []


def test_explain_tells_every_step(start: Start, contoso: Estate) -> None:
    """One user explained: read, scope, organization, rule, candidate, comparison."""
    world = start(contoso)
    world.sync()
    (one,) = reporting.explain(world.workspace, "Anna.Berg@contoso.example")

    assert one["in_scope"] is True
    assert one["organization"][0]["organization_name"] == "Contoso"
    assert one["match"]["rule"] == "alias"
    assert one["candidates"][0]["addresses"] == ["anna.berg@contoso.example"]
    assert {row["field"] for row in one["comparison"]} >= {"first_name", "primary_email"}
    with pytest.raises(O365EtlError, match="no user"):
        reporting.explain(world.workspace, "nobody@contoso.example")
