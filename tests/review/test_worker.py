"""The commands that the website has run for it: in turn, not more often than needed, and stopped with the website."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from o365_etl.review.worker import Job, Worker
from o365_etl.simulator import Estate
from tests.conftest import World

WRONG = '[itglue]\nregion = "mars"\n'


@pytest.fixture
def hire() -> Iterator[Callable[..., Worker]]:
    """Makes a worker for a configuration file; any number of them."""
    made: list[Worker] = []

    def begin(config: Path, settle_seconds: float = 0.0) -> Worker:
        made.append(Worker(config, settle_seconds))
        return made[-1]

    yield begin
    for worker in made:
        worker.close()


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A configuration with which every command ends at once."""
    file = tmp_path / "wrong.toml"
    file.write_text(WRONG, encoding="utf-8")
    return file


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def is_idle(worker: Worker) -> bool:
    running, waiting, _ = worker.state()
    return running is None and not waiting


def ended(worker: Worker) -> list[Job]:
    """All jobs that end from now on until nothing is left, in the order in which they end."""
    found: list[Job] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running, waiting, last = worker.state()
        if last is not None and (not found or found[-1] != last):
            found.append(last)
        if running is None and not waiting:
            return found
        time.sleep(0.005)
    raise AssertionError("it is still busy")


def test_commands_run_one_after_another_in_the_order_asked(hire: Callable[..., Worker], wrong: Path) -> None:
    """Each begins when the one before has ended."""
    worker = hire(wrong)
    worker.ask("apply")
    worker.ask("sync", ["--failed"])
    worker.ask("rematch")
    jobs = ended(worker)

    assert [(job.command, job.arguments) for job in jobs] == [("apply", ()), ("sync", ("--failed",)), ("rematch", ())]
    for before, after in pairwise(jobs):
        assert before.ended_at is not None
        assert after.started_at is not None
        assert before.ended_at <= after.started_at


def test_an_equal_command_that_waits_is_not_asked_for_twice(hire: Callable[..., Worker], wrong: Path) -> None:
    """Equal: the same command with the same arguments. A rematch is part of a whole sync that waits."""
    worker = hire(wrong)
    worker.ask("apply")
    until(lambda: worker.state()[0])
    for _ in range(3):
        worker.ask("sync")
        worker.ask("sync", ["--tenant", "a.example"])
        worker.ask("rematch")

    assert [(job.command, job.arguments) for job in worker.state()[1]] == [
        ("sync", ()),
        ("sync", ("--tenant", "a.example")),
    ]


def test_what_was_decided_while_it_matched_is_matched_again(hire: Callable[..., Worker], wrong: Path) -> None:
    """A rematch that runs already may have read the decisions before this one was made."""
    worker = hire(wrong)
    worker.ask("rematch")
    until(lambda: worker.state()[0])
    worker.ask("rematch")

    assert [job.command for job in worker.state()[1]] == ["rematch"]
    assert [job.command for job in ended(worker)] == ["rematch", "rematch"]


def test_a_burst_of_decisions_is_matched_once(
    hire: Callable[..., Worker], start: Callable[..., World], contoso: Estate
) -> None:
    """Ten decisions in a row cost one rematch, and it goes well."""
    world = start(contoso)
    world.sync()
    worker = hire(world.config, settle_seconds=0.5)
    for _ in range(10):
        worker.ask("rematch")
        time.sleep(0.01)
    until(lambda: is_idle(worker))
    (job,) = ended(worker)

    assert job.problem is None
    assert [run["trigger"] for run in world.workspace.state.runs()].count("rematch") == 1


def test_why_a_command_failed_is_kept_in_one_line(hire: Callable[..., Worker], wrong: Path) -> None:
    """The reason that the command line gives, without its name in front, until another command ends."""
    worker = hire(wrong)
    worker.ask("rematch")
    (job,) = ended(worker)

    assert job.problem is not None
    assert "itglue.region" in job.problem
    assert "\n" not in job.problem
    assert not job.problem.startswith("o365-etl")


def test_a_command_that_went_wrong_without_a_word_is_told_by_its_exit_code(
    hire: Callable[..., Worker], wrong: Path
) -> None:
    """As a wrong use of the command line, which names itself otherwise."""
    worker = hire(wrong)
    worker.ask("sync", ["--no-such-option"])
    (job,) = ended(worker)

    assert job.problem is not None
    assert "exit code 2" in job.problem


def test_closing_stops_what_runs_and_forgets_what_waits(
    hire: Callable[..., Worker], start: Callable[..., World], contoso: Estate
) -> None:
    """After it no process of the website's holds the installation."""
    world = start(contoso, latency=60.0)
    worker = hire(world.config)
    worker.ask("sync")
    worker.ask("apply")
    until(lambda: any(run["status"] == "syncing" for run in world.workspace.state.runs()))
    worker.close()

    assert is_idle(worker)
    assert worker.state()[2] is not None
    assert worker.state()[2].command == "sync"  # type: ignore[union-attr]
    # Asked to stop, it closes its books itself.
    assert [run["status"] for run in world.workspace.state.runs()] == ["failed"]
    with world.workspace.writing("afterwards", "test", wait_seconds=0):
        pass


def test_closing_a_worker_that_never_worked(hire: Callable[..., Worker], wrong: Path) -> None:
    """There is nothing to stop, and nothing is begun any more."""
    worker = hire(wrong)
    worker.close()
    worker.close()
    worker.ask("sync")

    time.sleep(0.1)
    assert worker.state()[0] is None
    assert worker.state()[2] is None
