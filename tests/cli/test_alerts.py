"""`o365-etl alerts`: what is raised, whether it was sent, and a test message to every target."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.pipeline import alerting
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate
from tests.conftest import World
from tests.receiver import NOT_OURS, TOKEN, Receiver, listen

pytestmark = NOT_OURS


@pytest.fixture
def world(start: Callable[..., World], contoso: Estate) -> World:
    return start(contoso)


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *arguments, "--config", str(world.config)], catch_exceptions=False)


def fail_a_run(world: World) -> None:
    world.workspace.state.start_run("run-1", "schedule", now())
    world.workspace.state.finish_run("run-1", now(), "failed")


def test_before_anything_happened(world: World) -> None:
    """Nothing is raised, nobody is told, and that is no error."""
    result = run(world)
    assert result.exit_code == 0
    assert "nothing is raised" in result.stdout
    assert "none configured" in result.stdout
    assert json.loads(run(world, "--json").stdout) == {"alerts": [], "targets": []}


def test_what_is_raised_is_shown_and_whether_it_was_sent(world: World) -> None:
    """Since when, why, sent or not; the target that does not take it; never its address. Asking sends nothing."""
    fail_a_run(world)
    with Receiver() as receiver:
        receiver.status = 500
        world.configure(listen(world.folder, receiver.address))
        alerting.look(world.workspace)
        found = json.loads(run(world, "--json").stdout)
        assert found["targets"] == [
            {"position": 1, "scheme": "json", "problem": "it did not take its last message"},
        ]
        assert [(a["subject"], a["kind"], a["severity"], a["sent_at"]) for a in found["alerts"]] == [
            ("run", "run_failed", "failure", None)
        ]
        receiver.status = 200
        alerting.look(world.workspace)
        found = json.loads(run(world, "--json").stdout)
        assert found["targets"][0]["problem"] is None
        assert found["alerts"][0]["sent_at"] >= found["alerts"][0]["since"]
        assert found["alerts"][0]["text"].startswith("The sync run-1 (schedule), started ")
        result = run(world)
    assert "The sync run-1" in result.stdout
    assert TOKEN not in result.output
    assert len(receiver.messages) == 1


def test_a_test_message_goes_to_every_target(world: World) -> None:
    """Exit code 0 if all took it, 1 if one did not; the outcome of each, in order; nothing is raised by it."""
    with Receiver() as receiver, Receiver() as other:
        world.configure(listen(world.folder, receiver.address, other.address, "nosuch://" + TOKEN))
        result = run(world, "--test", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout) == [
            {"position": 1, "scheme": "json", "problem": None},
            {"position": 2, "scheme": "json", "problem": None},
            {"position": 3, "scheme": "nosuch", "problem": "this is no address that apprise knows"},
        ]
        assert receiver.titles == other.titles == ["o365_etl: test"]
        text = world.config.read_text(encoding="utf-8")
        world.config.write_text(text.replace(text[text.rindex(", {") : text.rindex("]")], ""), encoding="utf-8")
        result = run(world, "--test")
        assert result.exit_code == 0
        assert result.stdout.count("took the message") == 2
        assert TOKEN not in result.output
    assert json.loads(run(world, "--json").stdout)["alerts"] == []


def test_a_test_without_targets_is_a_mistake(world: World) -> None:
    """Exit code 2 and one line that names the key."""
    result = run(world, "--test")
    assert result.exit_code == 2
    assert result.stderr.startswith("o365-etl: alerts.targets: no target is configured. Add one")
    assert len(result.stderr.splitlines()) == 1
