"""The line at the top: what goes on in words, whoever started it, and what failed until somebody has read it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from o365_etl.pipeline.workspace import now
from o365_etl.review.desk import Activity, Desk
from o365_etl.simulator import Estate
from tests.conftest import World
from tests.review.conftest import Site

Start = Callable[..., World]

# Another process that syncs until somebody kills it.
_ELSEWHERE = """
import sys, time
from pathlib import Path
from o365_etl.pipeline.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
with workspace.writing("elsewhere", "schedule", wait_seconds=0):
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def world(start: Start, contoso: Estate) -> World:
    """A world in which nothing was synced."""
    return start(contoso)


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    """The desk of its website."""
    made = Desk(world.config, who="lead")
    yield made
    made.worker.close()


def ended(desk: Desk) -> Activity:
    """What is said when the worker is done."""
    for _ in range(600):
        running, waiting, _ = desk.worker.state()
        if not running and not waiting:
            return desk.activity()
        time.sleep(0.1)
    raise AssertionError("the worker does not end")


def test_a_sync_of_another_process_is_told_step_by_step(world: World, desk: Desk) -> None:
    """First it reads, then it matches; when it is over nothing goes on."""
    workspace = world.workspace
    assert desk.activity() == Activity("idle", "", "none")
    with workspace.writing("run", "schedule", wait_seconds=5):
        activity = desk.activity()
        assert activity.kind == "busy"
        assert "Microsoft 365 and IT Glue are read" in activity.text
        workspace.state.count_tenants("run", ok=24, failed=1)
        assert "24 of 25 tenants are read, now they are matched" in desk.activity().text
        workspace.state.finish_run("run", now(), "ok")
    assert desk.activity().kind == "idle"


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ("decision", "Taking up decisions…"),
        ("rematch", "Taking up decisions…"),
        ("disconnect", "Removing a connection…"),
    ],
)
def test_what_is_no_sync_is_not_called_one(world: World, desk: Desk, trigger: str, text: str) -> None:
    with world.workspace.writing("run", trigger, wait_seconds=5):
        assert desk.activity().text == text


def test_what_waits_for_another_process_is_told_too(world: World, desk: Desk) -> None:
    """A decision that is taken up after a scheduled sync does not look as if it were taken up now."""
    with world.workspace.writing("run", "schedule", wait_seconds=5):
        desk.worker.ask("rematch")
        text = desk.activity().text
        assert text.startswith("Syncing since")
        assert text.endswith("Then: the decisions made since.")


def test_writing_is_counted_against_what_is_approved(world: World, desk: Desk) -> None:
    """Of how many changes is known from the plan that was published."""
    world.sync()
    workspace = world.workspace
    (tenant, plan_hash, number), *_ = world.rows(
        "SELECT tenant_id, any_value(plan_hash), count(*) FROM sync.changes WHERE tenant_id IS NOT NULL GROUP BY 1"
    )
    account = world.rows("SELECT any_value(plan_hash), count(*) FROM sync.changes WHERE tenant_id IS NULL")[0]
    workspace.state.approvals.approve([(tenant, plan_hash), (None, account[0])], "lead")
    changes = [{"change_id": str(each), "action": "create", "resource": "contact"} for each in range(3)]
    with workspace.writing("run", "apply", wait_seconds=5):
        workspace.state.intents.record("run", changes[:1], "failed", "no")
        workspace.state.intents.record("run", changes[1:], "applied", None)
        activity = desk.activity()
        total = number + account[1]
        assert activity.text == f"Writing to IT Glue: 3 of {total} changes, 1 failed…"
        assert (activity.done, activity.total) == (3, total)
        workspace.state.finish_run("run", now(), "ok")
    assert desk.activity().done is None


def test_a_run_whose_process_was_killed_does_not_go_on_for_ever(world: World, desk: Desk) -> None:
    """Nobody can close its row but the next run; the page must not wait for it."""
    with subprocess.Popen(
        [sys.executable, "-c", _ELSEWHERE, str(world.config)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        assert desk.activity().kind == "busy"
        process.kill()
        process.wait(30)
    activity = desk.activity()
    assert (activity.kind, "was ended from outside" in activity.text) == ("failed", True)
    with world.workspace.writing("next", "manual", wait_seconds=5):
        assert desk.activity().kind == "busy"
        world.workspace.state.finish_run("next", now(), "ok")
    assert desk.activity().kind == "idle"


def test_what_failed_stays_until_it_is_read(world: World, desk: Desk) -> None:
    """The command's own words are shown; a run that ends well later, wherever it was started, settles it as well."""
    # The desk keeps the settings it had; a command of the worker reads the file, and stumbles.
    good = world.config.read_text(encoding="utf-8")
    world.config.write_text(good + "\n[brakes]\nno_such_key = 1\n", encoding="utf-8")
    desk.worker.ask("rematch")
    activity = ended(desk)
    assert activity.kind == "failed"
    assert activity.text.startswith("Taking up decisions failed: ")
    assert "no_such_key" in activity.text
    assert desk.activity() == activity
    desk.dismiss()
    assert desk.activity().kind == "idle"

    desk.worker.ask("rematch")
    assert ended(desk).kind == "failed"
    world.config.write_text(good, encoding="utf-8")
    with world.workspace.writing("elsewhere", "schedule", wait_seconds=5):
        world.workspace.state.finish_run("elsewhere", now(), "failed")
    assert desk.activity().kind == "failed"
    with world.workspace.writing("again", "schedule", wait_seconds=5):
        world.workspace.state.finish_run("again", now(), "ok")
    assert desk.activity().kind == "idle"


def test_the_log_page_lets_a_failure_be_put_away(world: World, open_site: Callable[..., Site]) -> None:
    visitor = open_site(world).visitor()
    good = world.config.read_text(encoding="utf-8")
    world.config.write_text(good + "\n[brakes]\nno_such_key = 1\n", encoding="utf-8")
    visitor.post("/sync")
    assert visitor.wait_idle()["kind"] == "failed"
    text = visitor.get("/log")
    assert "I have read this" in text
    visitor.post("/activity/dismiss", {"back": "/log"})
    assert "I have read this" not in visitor.page.text
    assert visitor.wait_idle()["kind"] == "idle"
