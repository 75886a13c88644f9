"""`sync --queue` and `sync --cancel` as people use them, and what `status` then says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.pipeline import quarantining
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate
from tests.conftest import World

Start = Callable[..., World]


@pytest.fixture
def world(start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return start(contoso)


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(world.config)], catch_exceptions=False)


def test_a_sync_is_queued_shown_and_taken_back(world: World) -> None:
    """Nothing is read; the id is all that is needed to take it back."""
    result = run(world, "sync", "--queue", "--in", "30")
    (request,) = world.workspace.state.requests.open()
    assert result.exit_code == 0
    assert f"Queued as {request['request_id']}, due at {request['due_at']:%Y-%m-%d %H:%M}" in result.stdout
    assert f"o365-etl sync --cancel {request['request_id']}" in result.stdout
    assert "No Dagster daemon is at work here" in result.stderr
    assert timedelta(minutes=29) < request["due_at"] - now() < timedelta(minutes=31)
    assert world.simulator.requests == []
    shown = run(world, "status")
    assert "Queued" in shown.stdout
    assert request["request_id"][:8] in shown.stdout

    assert run(world, "sync", "--cancel", f" {request['request_id']} ").exit_code == 0
    assert world.workspace.state.requests.open() == []
    assert "Queued" not in run(world, "status").stdout


def test_scripts_get_the_request(world: World) -> None:
    """One JSON document; the same request twice is the same id."""
    asked = ("sync", "--queue", "--tenant", "contoso.example", "--failed", "--json")
    first, second = (json.loads(run(world, *asked).stdout) for _ in range(2))
    assert first["request_id"] == second["request_id"]
    assert (first["tenants"], first["only_failed"], first["state"]) == (["contoso.example"], True, "queued")
    status = json.loads(run(world, "status", "--json").stdout)
    assert [row["request_id"] for row in status["queued"]] == [first["request_id"]]
    assert [(row["run_id"], row["status"]) for row in status["runs"]] == [(first["request_id"], "queued")]
    assert status["last_sync"] is None
    taken = json.loads(run(world, "sync", "--cancel", first["request_id"], "--json").stdout)
    assert taken["state"] == "cancelled"


def test_a_name_that_nobody_has_is_told_at_once(world: World) -> None:
    """An hour later nobody would be there to read it."""
    world.sync()
    result = run(world, "sync", "--queue", "--tenant", "contosso.example", "--tenant", "contoso.example")
    assert result.exit_code == 0
    assert result.stderr.count("known as") == 1
    assert "'contosso.example'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("--cancel", "nothing"), "no request 'nothing'", 1),
        (("--cancel", "x", "--tenant", "y"), "goes with no other option", 2),
        (("--cancel", "x", "--queue"), "goes with no other option", 2),
        (("--in", "5"), "add --queue", 2),
        (("--queue", "--preview"), "leave out --queue", 2),
        (("--queue", "--wait", "5"), "leave out --queue", 2),
        (("--queue", "--in", "-1"), "-1", 2),
        (("--queue", "--in", "nan"), "nan", 2),
        (("--queue", "--in", "9999999999"), "9999999999", 2),
    ],
)
def test_mistakes_say_what_to_do(world: World, arguments: tuple[str, ...], words: str, code: int) -> None:
    """Nothing is queued and nothing is read."""
    result = run(world, "sync", *arguments)
    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
    assert world.workspace.state.requests.open() == []
    assert world.simulator.requests == []


def test_a_request_under_way_cannot_be_taken_back(world: World) -> None:
    """Exit code 1, with the run that answers it."""
    request_id = json.loads(run(world, "sync", "--queue", "--json").stdout)["request_id"]
    world.workspace.state.requests.take_up(request_id, "run-7")
    result = run(world, "sync", "--cancel", request_id)
    assert (result.exit_code, "run-7" in result.stderr) == (1, True)


def test_status_tells_the_next_sync_and_the_quarantine(world: World, contoso: Estate) -> None:
    """When the clock strikes next, who is left alone since when and until when; never a fingerprint."""
    contoso.tenants[0].consented = False
    contoso.touch()
    world.configure('[schedule]\ncron = "30 4 * * *"')
    for _ in range(quarantining.FREE_FAILURES + 1):
        world.sync()
    status = json.loads(run(world, "status", "--json").stdout)
    next_at = datetime.fromisoformat(status["schedule"]["next_at"])
    assert (next_at.hour, next_at.minute, next_at > datetime.now(UTC)) == (4, 30, True)
    (left_alone,) = status["quarantine"]
    assert (left_alone["tenant_id"], left_alone["failures"]) == (contoso.tenants[0].tenant_id, 3)
    assert "credential" not in left_alone
    (shown,) = [row for row in status["tenants"] if row["tenant_id"] == contoso.tenants[0].tenant_id]
    assert (shown["status"], shown["next_try_at"]) == ("not_consented", left_alone["next_try_at"])
    printed = run(world, "status").stdout
    assert "failing since" in printed
    assert "next try" in printed
    assert "Scheduled: 30 4 * * * (UTC), next at" in printed
