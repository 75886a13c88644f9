"""Requests as verbs: who answers one, what is lost, and when the next scheduled sync is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from o365_etl.config import build_settings
from o365_etl.errors import ConflictError, NotFoundError
from o365_etl.pipeline import queueing, timetable
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.simulator import Estate
from tests.conftest import World

Start = Callable[..., World]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_of(tmp_path)


def workspace_of(folder: Path, **schedule: object) -> Workspace:
    raw = {"itglue": {"api_key": {"env": "X"}}, "data_dir": "data", "schedule": schedule}
    return Workspace.of(build_settings(raw, folder / "o365_etl.toml"))


def test_a_run_answers_a_request(workspace: Workspace) -> None:
    """It is taken up when the run begins and done when it ends, also if it fails."""
    request_id = queueing.queue(workspace, trigger="queue", who="lead", minutes=30)["request_id"]
    assert workspace.state.requests.open()[0]["due_at"] > now() + timedelta(minutes=29)

    def run() -> None:
        with queueing.answering(workspace, request_id, "run-1", repeats=False):
            assert (workspace.state.requests.find(request_id) or {})["state"] == "started"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    found = workspace.state.requests.find(request_id) or {}
    assert (found["state"], found["run_id"]) == ("done", "run-1")


def test_a_second_run_has_nothing_to_do(workspace: Workspace) -> None:
    """Unless it repeats the first, as Dagster does for a lost process and a person in the UI."""
    request_id = queueing.queue(workspace, trigger="queue", who="lead")["request_id"]
    with queueing.answering(workspace, request_id, "run-1", repeats=False):
        pass
    again = queueing.answering(workspace, request_id, "run-2", repeats=False)
    with pytest.raises(ConflictError, match="is done"), again:
        pytest.fail("the request was answered already")
    with queueing.answering(workspace, request_id, "run-3", repeats=True):
        pass


@pytest.mark.parametrize("repeats", [False, True])
def test_a_cancelled_request_is_not_answered(workspace: Workspace, repeats: bool) -> None:
    """Whatever was on its way already."""
    request_id = queueing.queue(workspace, trigger="queue", who="lead")["request_id"]
    queueing.cancel(workspace, request_id)
    answer = queueing.answering(workspace, request_id, "run-1", repeats=repeats)
    with pytest.raises(ConflictError, match="is cancelled"), answer:
        pytest.fail("the request was taken back")


def test_cancelling_says_why_it_cannot(workspace: Workspace) -> None:
    """No such request, or too late."""
    with pytest.raises(NotFoundError, match="no request 'x'"):
        queueing.cancel(workspace, "x")
    request_id = queueing.queue(workspace, trigger="queue", who="lead")["request_id"]
    with (
        queueing.answering(workspace, request_id, "run-1", repeats=False),
        pytest.raises(ConflictError, match="being answered by the run run-1"),
    ):
        queueing.cancel(workspace, request_id)
    with pytest.raises(ConflictError, match="is done"):
        queueing.cancel(workspace, request_id)


def test_a_run_without_process_is_told_from_one_that_works(workspace: Workspace) -> None:
    """The lock decides, and only a row that stays open without it is nobody's."""
    at = now()
    with workspace.writing("run-1", "manual", wait_seconds=0):
        assert not queueing.is_lost(workspace, "run-1", at - timedelta(days=1), at)
        assert not queueing.is_lost(workspace, "waiting", at - timedelta(days=1), at)
    assert not queueing.is_lost(workspace, "run-1", at - timedelta(days=1), at), "it ended a moment ago"
    assert queueing.is_lost(workspace, "run-1", at, at + timedelta(hours=1))
    workspace.state.start_run("killed", "manual", at)
    assert queueing.is_lost(workspace, "killed", at, at)
    assert not queueing.is_lost(workspace, "starting", at, at)
    assert queueing.is_lost(workspace, "starting", at, at + timedelta(hours=1))


def test_what_a_killed_run_left_open_is_closed(workspace: Workspace) -> None:
    """Its row, its request, and an entry that says why; nothing is closed under the hands of a sync that works."""
    request_id = queueing.queue(workspace, trigger="queue", who="lead")["request_id"]
    workspace.state.requests.take_up(request_id, "killed")
    workspace.state.start_run("killed", "queue", now())
    with workspace.writing("at-work", "manual", wait_seconds=0):
        workspace.state.start_run("other", "queue", now())
        queueing.close_failed(workspace, "other", "why")
        assert workspace.state.run("other")["status"] == "syncing"
    workspace.state.start_run("killed", "queue", now())
    queueing.close_failed(workspace, "killed", "the process was killed")

    assert workspace.state.run("killed")["status"] == "failed"
    assert (workspace.state.requests.find(request_id) or {})["state"] == "done"
    assert "the process was killed" in [entry["message"] for entry in workspace.state.entries(run_id="killed")]


def test_names_nobody_has_are_told(start: Start, contoso: Estate) -> None:
    """Before the first sync nobody is known, and nothing is said."""
    world = start(contoso)
    assert queueing.unknown_tenants(world.workspace, ["Contoso", "nobody"]) == []
    world.sync()
    assert queueing.unknown_tenants(world.workspace, ["Contoso", "nobody", "contoso.example"]) == ["nobody"]


def test_the_hour_is_spread_by_installation(tmp_path: Path) -> None:
    """A minute of its own, always the same, below the spread; a cron that was written counts to the letter."""
    minutes = {timetable.cron_of(workspace_of(tmp_path / str(n)).settings) for n in range(30)}
    assert len(minutes) > 5
    assert all(0 <= int(cron.split()[0]) < 15 and cron.endswith(" * * * *") for cron in minutes)
    assert timetable.cron_of(workspace_of(tmp_path).settings) == timetable.cron_of(workspace_of(tmp_path).settings)
    assert timetable.cron_of(workspace_of(tmp_path, spread_minutes=1).settings) == "0 * * * *"
    assert timetable.cron_of(workspace_of(tmp_path, cron="0 * * * *", spread_minutes=60).settings) == "0 * * * *"


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("7 * * * *", "UTC"),
        ("*/20 * * * *", "Europe/Berlin"),
        ("0 4 * * *", "Europe/Berlin"),
        ("30 1,13 * * 1-5", "America/New_York"),
        ("15 6 29 2 *", "UTC"),
        ("0 0 1,15 * 3", "Asia/Kolkata"),
        ("5/15 8-9 * 3,10 7", "Australia/Lord_Howe"),
    ],
)
def test_the_next_time_is_the_one_dagster_takes(cron: str, zone: str) -> None:
    """Over the changes of the clock as well, but for times in the hour that is left out or comes twice."""
    for start in (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 10, 24, 21, 7, 30, tzinfo=UTC)):
        ticks = schedule_execution_time_iterator(start.timestamp(), cron, zone, ascending=True)
        at = start
        for _ in range(14):
            expected = next(tick for each in ticks if (tick := each.astimezone(UTC)) > at)
            found = timetable.next_time(cron, zone, at)
            assert found == expected
            at = found
