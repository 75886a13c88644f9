"""The Dagster code location: what it shows, what its checks stop, and that a run is in the instance's history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from assets.definitions import defs
from assets.resources import Installation
from assets.specs import key
from o365_etl.cli.running import prepare_home, run_apply, run_rematch, run_sync
from o365_etl.errors import BusyError
from o365_etl.pipeline import deciding, progress
from o365_etl.simulator import Estate, Fault, SimLicense, SimSku
from o365_etl.tables import TABLES
from tests.conftest import World

Start = Callable[..., World]


def execute(world: World, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    job = defs().resolve_job_def("sync")
    return job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config={
            "ops": {"microsoft": {"config": config}},
            "resources": {"installation": {"config": {"config": str(world.config), "wait_seconds": 1}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )


# The small worlds of these tests change more than a third of two contacts: no accident here.
NO_BRAKES = "[brakes]\nmax_changed_share = 1.0\nmax_field_share = 1.0\nmax_gone_share = 1.0"


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        evaluation.check_name: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    }


def test_every_table_is_an_asset_with_its_contract() -> None:
    """Asset keys are schema.table; columns, description, group, kinds and owners are shown."""
    graph = defs().resolve_asset_graph()
    shown = {node.key for node in graph.asset_nodes}

    assert {key(name) for name in TABLES} <= shown
    for name, table in TABLES.items():
        node = graph.get(key(name))
        assert node.description == table.description
        assert node.group_name == table.schema
        assert node.owners
        assert node.kinds
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(table.column_names)


def test_definitions_load() -> None:
    """Dagster finds no fault in the definitions."""
    dg.Definitions.validate_loadable(defs())


def test_each_table_of_a_sync_has_a_blocking_contract_check() -> None:
    """No table goes on downstream unchecked."""
    specs = {
        (spec.asset_key, spec.name): spec.blocking
        for definition in defs().asset_checks or []
        for spec in definition.check_specs
    }
    for name in TABLES:
        if not name.startswith(("history.", "sync.runs", "sync.log")):
            assert specs[key(name), "contract"] is True


def test_a_run_materializes_everything_and_is_remembered(start: Start, contoso: Estate) -> None:
    """One run is one sync: all assets with row counts, and the instance has the run under the same id."""
    world = start(contoso)
    outcome = run_sync(world.settings)
    with dg.DagsterInstance.from_config(str(prepare_home(world.settings))) as instance:
        run = instance.get_run_by_id(outcome.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS
        event = instance.get_latest_materialization_event(key("m365.users"))
        assert event is not None
        assert event.run_id == outcome.run_id
        metadata = event.asset_materialization.metadata if event.asset_materialization else {}
        assert metadata["dagster/row_count"].value == 4
    assert world.rows("SELECT run_id FROM sync.runs") == [(outcome.run_id,)]


def test_a_healthy_world_passes_every_check(start: Start, contoso: Estate) -> None:
    """Nothing cries wolf."""
    world = start(contoso)
    world.configure(NO_BRAKES)
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(world, instance)

        assert result.success
        assert failed_checks(result) == {}


def test_the_checks_for_people_fail_and_say_what_to_do(start: Start, contoso: Estate) -> None:
    """A failing tenant, a concealed report, an unknown product: each check warns with the mend, the run goes on."""
    contoso.tenants[0].concealed = True
    contoso.tenants[0].skus = [SimSku("SPB"), SimSku("CONTOSO_SPECIAL")]
    contoso.touch()
    world = start(contoso)
    world.configure(NO_BRAKES)
    world.add_fault(Fault("graph", "throttle", contoso.tenants[1].tenant_id, "/domains", retry_after="0"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(world, instance)

        assert result.success
        failed = failed_checks(result)
        assert set(failed) == {"every_tenant_read", "reports_not_concealed", "every_sku_known"}
        assert all(check.severity is dg.AssetCheckSeverity.WARN for check in failed.values())
        assert contoso.tenants[1].tenant_id in str(failed["every_tenant_read"].metadata["look at"].value)
        assert "CONTOSO_SPECIAL" in str(failed["every_sku_known"].metadata["look at"].value)


def test_a_fall_in_rows_is_noticed(start: Start, contoso: Estate) -> None:
    """A table that shrinks by more than a fifth warns."""
    tenant = contoso.tenants[0]
    people = [type(tenant.users[0]).person(f"P{n}", "Q", "contoso.example") for n in range(40)]
    tenant.users = people
    contoso.touch()
    world = start(contoso)
    world.configure(NO_BRAKES)
    with dg.DagsterInstance.ephemeral() as instance:
        assert failed_checks(execute(world, instance)) == {}
        tenant.users = people[:10]
        contoso.touch(tenant.tenant_id)
        assert "rows_have_not_fallen" in failed_checks(execute(world, instance))


def test_a_pulled_brake_and_a_refused_change_are_shown(start: Start, contoso: Estate) -> None:
    """The check of the plan names the tenant that waits and why; the one of the writing counts what was refused."""
    contoso.tenants[0].users[2].job_title = "x" * 300
    contoso.touch()
    world = start(contoso)
    world.configure("[brakes]\nmax_changed_share = 0.0")
    with dg.DagsterInstance.ephemeral() as instance:
        failed = failed_checks(execute(world, instance))
        assert set(failed) == {"no_brake_pulled"}
        shown = str(failed["no_brake_pulled"].metadata["look at"].value)
        assert contoso.tenants[0].tenant_id in shown
        assert "brakes.max_changed_share 0" in shown
    deciding.approve_plan(world.workspace, (), who="test")
    run_apply(world.settings)
    with dg.DagsterInstance.from_config(str(prepare_home(world.settings))) as instance:
        (check,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key("sync.applied"), "every_change_written"), limit=1
        )
        assert check.status.value == "FAILED"
        assert "create contact" in str(check.event)
        assert "x" * 300 not in str(check.event)


def test_one_check_can_be_executed_alone(start: Start, contoso: Estate) -> None:
    """As a person does in the UI; the checks that share its step stay as they were."""
    world = start(contoso)
    world.sync()
    wanted = dg.AssetCheckKey(key("sync.tenants"), "every_tenant_read")
    job = (
        defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection={wanted})
    )
    resources = {"installation": {"config": {"config": str(world.config)}}}
    done = job.execute_in_process(run_config={"resources": resources})
    assert [each.asset_check_key for each in done.get_asset_check_evaluations()] == [wanted]


def test_decisions_ask_for_a_rematch_once(start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor starts one rematch for what was decided since its last look, and none for nothing."""
    world = start(contoso)
    world.sync()
    monkeypatch.setenv("O365_ETL_CONFIG", str(world.config))
    sensor = defs().resolve_sensor_def("decided")

    def look(cursor: str | None) -> tuple[int, str | None]:
        with dg.instance_for_test() as instance, dg.build_sensor_context(instance, cursor=cursor) as context:
            found = sensor.evaluate_tick(context)
            return len(found.run_requests or []), found.cursor

    first = look(None)
    deciding.ignore(world.workspace, "Fabrikam Ltd", who="test")
    second = look(first[1])
    assert (first[0], second[0], look(second[1])[0]) == (0, 1, 0)


def test_a_rematch_reads_nothing(start: Start, contoso: Estate) -> None:
    """A decision takes effect with match, compare, plan and publish alone: no request leaves this machine."""
    world = start(contoso)
    run_sync(world.settings)
    deciding.choose(world.workspace, "Fabrikam Ltd", "Fabrikam GmbH", who="test")
    world.simulator.reset_log()
    run_rematch(world.settings)

    assert world.simulator.requests == []
    assert world.rows("SELECT status, rule FROM match.organizations WHERE tenant_name = 'Fabrikam Ltd'") == [
        ("matched", "decision")
    ]


def test_a_broken_contract_stops_what_comes_after(start: Start, contoso: Estate) -> None:
    """A blocking check that fails keeps broken rows from matching and from the published copy."""
    world = start(contoso)
    workspace = world.workspace
    with dg.DagsterInstance.ephemeral() as instance:
        assert execute(world, instance).success
        before = world.rows("FROM main.about")
        with workspace.tables() as db:
            # A row of a tenant that this sync does not read, with a key that is there twice.
            for _ in range(2):
                db.execute("INSERT INTO m365.domains (tenant_id, domain) VALUES ('elsewhere', 'twice.example')")
        result = execute(world, instance)

        assert not result.success
        assert failed_checks(result)["contract"].metadata["duplicate_key"].value == 1
        assert world.rows("FROM main.about") == before
        assert workspace.state.runs(1)[0]["status"] == "failed"


def test_the_run_configuration_narrows_the_sync(start: Start, contoso: Estate) -> None:
    """`tenants` and `only_failed` are the run configuration of the graph."""
    world = start(contoso)
    with dg.DagsterInstance.ephemeral() as instance:
        assert execute(world, instance, tenants=["Contoso"]).success
        assert world.rows("SELECT display_name FROM m365.tenants") == [("Contoso",)]
        world.simulator.reset_log()
        assert execute(world, instance, only_failed=True).success
        assert world.simulator.count("graph", contoso.tenants[0].tenant_id) == 0


def test_metadata_holds_no_personal_data(start: Start, contoso: Estate) -> None:
    """What stays in the event log for ever names nobody."""
    contoso.tenants[0].users[0].licenses.append(SimLicense("3f5a0c66-0000-4000-8000-000000000000"))
    world = start(contoso)
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(world, instance)
        events = "".join(str(event) for event in result.all_events)

    for word in ("anna.berg", "Berg", "contoso.example", "Anna"):
        assert word not in events


def test_a_wrong_configuration_is_a_failure_with_its_remedy(start: Start, contoso: Estate) -> None:
    """In the UI a person reads the same line as on the command line."""
    world = start(contoso)
    world.config.write_text(world.config.read_text(encoding="utf-8").replace("api_key", "apikey"), encoding="utf-8")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.DagsterError) as caught:
        defs().resolve_job_def("sync").execute_in_process(
            instance=instance,
            run_config={"resources": {"installation": {"config": {"config": str(world.config)}}}},
        )

    assert "itglue.apikey" in str(caught.value.__cause__)


def test_the_resource_is_open_in_a_run_only() -> None:
    """Outside a run there is no workspace to write to by accident."""
    with pytest.raises(RuntimeError, match="inside a run"):
        _ = Installation().workspace


def test_who_waits_is_told_for_whom(start: Start, contoso: Estate) -> None:
    """Not just that somebody is at work: which run, since when, and in which process."""
    world = start(contoso)
    told: list[progress.Step] = []
    busy = world.workspace.writing("by-hand", "manual", wait_seconds=0)
    with busy, progress.listening(told.append), pytest.raises(BusyError):
        run_rematch(world.settings, wait_seconds=0.1)

    assert [step.what.startswith("waiting: the sync by-hand (manual, process ") for step in told] == [True]
