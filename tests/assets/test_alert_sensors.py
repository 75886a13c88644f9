"""Alerts in Dagster: the end of a run tells what changed, and a sensor what no run tells."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from assets.alerting import alerts
from assets.definitions import defs
from o365_etl.cli.running import run_sync
from o365_etl.errors import O365EtlError
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate, Fault
from tests.conftest import World
from tests.receiver import NOT_OURS, TOKEN, Receiver, listen

pytestmark = NOT_OURS
Start = Callable[..., World]


def evaluate() -> str:
    data = alerts.evaluate_tick(dg.build_sensor_context())
    assert not data.run_requests
    return data.skip_message or ""


def test_the_sensor_is_on_and_starts_nothing() -> None:
    """Nobody has to switch it on, and it has no job of its own."""
    sensor = defs().get_repository_def().get_sensor_def("alerts")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 60


def test_a_run_tells_at_its_end_and_the_sensor_not_again(
    start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails says so itself, once, and so does the one that ends well; its lock is free by then."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    world = start(contoso)
    monkeypatch.setenv("O365_ETL_CONFIG", str(world.config))
    with Receiver() as receiver:
        world.configure(listen(world.folder, receiver.address))
        world.configure("[brakes]\nmax_changed_share = 1.0\nmax_field_share = 1.0")
        world.add_fault(Fault("itglue", "status", status=401))
        with pytest.raises(O365EtlError):
            run_sync(world.settings)
        assert receiver.titles == ["o365_etl: a sync failed"]
        assert evaluate() == "Newly raised: 0, over: 0, messages sent: 0."
        world.heal()
        run_sync(world.settings)
        assert sorted(receiver.titles[1:]) == ["o365_etl: a plan waits for approval", "o365_etl: syncs end well again"]
        assert evaluate() == "Newly raised: 0, over: 0, messages sent: 0."


def test_the_sensor_sees_a_run_that_died(start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes the run of a process that is gone; and the sensor names the target that is down."""
    world = start(contoso)
    monkeypatch.setenv("O365_ETL_CONFIG", str(world.config))
    with Receiver() as receiver:
        receiver.status = 500
        world.configure(listen(world.folder, receiver.address))
        world.workspace.state.start_run("run-1", "schedule", now())
        assert evaluate() == "Newly raised: 0, over: 0, messages sent: 0."
        world.workspace.state.close_abandoned("the process ended before the sync did")
        said = evaluate()
        assert said == "Newly raised: 1, over: 0, messages sent: 0; no message taken by: target 1 (json)."
        assert TOKEN not in said
        receiver.status = 200
        assert evaluate() == "Newly raised: 0, over: 0, messages sent: 1."


def test_without_a_configuration_the_sensor_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """It is no failure of every minute."""
    monkeypatch.setenv("O365_ETL_CONFIG", f"{tmp_path}/none.toml")
    assert "there is no configuration file" in evaluate()
