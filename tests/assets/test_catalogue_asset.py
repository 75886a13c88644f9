"""The list of products as an asset: fetched before the tables that show its names, and nothing fails with it."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from assets.catalogue import PRODUCT_LIST
from assets.definitions import defs
from assets.specs import key
from o365_etl.simulator import Estate, Fault, SimSku
from tests.conftest import World

Start = Callable[..., World]
NEW = "d0000000-0000-4000-8000-000000000001"


def execute(world: World, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return (
        defs()
        .resolve_job_def("sync")
        .execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={
                "resources": {"installation": {"config": {"config": str(world.config), "wait_seconds": 1}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
        )
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node("catalogue")
    return {name: value.value for name, value in event.metadata.items()}


@pytest.fixture
def world(start: Start, contoso: Estate) -> World:
    contoso.tenants[0].skus = [SimSku("SPB"), SimSku("CONTOSO_AI", sku_id=NEW), SimSku("NOBODY_KNOWS")]
    contoso.touch()
    return start(contoso)


def test_the_names_of_a_sync_are_those_of_its_list(world: World) -> None:
    """The first sync shows what Microsoft published; the check names what is still unknown and how to name it."""
    world.simulator.product_list.publish("Contoso AI", "CONTOSO_AI", NEW)
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(world, instance)
        assert result.success
        assert metadata(result)["outcome"] == "replaced"
        assert int(str(metadata(result)["dagster/row_count"])) > 500
        assert metadata(execute(world, instance))["outcome"] == "recent"
    assert world.simulator.count("download") == 1
    assert world.rows("SELECT sku_part_number, product_name FROM m365.licenses WHERE sku_part_number <> 'SPB'") == [
        ("CONTOSO_AI", "Contoso AI"),
        ("NOBODY_KNOWS", "NOBODY_KNOWS"),
    ]
    (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "every_sku_known"]
    shown = str(check.metadata["look at"].value)
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.asset_key == key("m365.unknown_skus")
    assert "NOBODY_KNOWS" in shown
    assert "CONTOSO_AI" not in shown
    assert "catalogue.names" in shown


def test_a_list_that_cannot_be_had_fails_nothing(world: World) -> None:
    """The run goes on with the names there are; the asset says what was wrong."""
    world.add_fault(Fault("download", "html_200"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute(world, instance)
    assert result.success
    assert metadata(result)["outcome"] == "kept"
    assert "no column" in str(metadata(result)["problem"])
    assert world.rows("SELECT count(*) FROM sync.log WHERE message LIKE 'names of products%'") == [(1,)]
    assert world.rows("SELECT count(*) FROM m365.users") == [(4,)]


def test_it_stands_before_the_tables_in_the_graph() -> None:
    """And a rematch, which asks nobody anything, leaves it out."""
    graph = defs().resolve_asset_graph()
    assert PRODUCT_LIST in graph.get(key("m365.licenses")).parent_keys
    assert PRODUCT_LIST not in defs().resolve_job_def("rematch").asset_layer.selected_asset_keys
