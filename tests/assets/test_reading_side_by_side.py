"""Microsoft 365 and IT Glue are read at the same time, and each fails for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest

from assets import documentation, microsoft
from assets.definitions import defs
from assets.specs import key
from o365_etl.errors import O365EtlError
from o365_etl.itglue.client import Stopped
from o365_etl.pipeline.crawling import BackgroundCrawl
from o365_etl.simulator import Estate, Fault, FaultPlan, Simulator
from o365_etl.simulator.faults import Service
from o365_etl.simulator.transport import Request, Response
from tests.conftest import World

Start = Callable[..., World]
# Longer than any part of a sync of this size takes; spent only by a test that fails.
PATIENCE = 60.0
READING = (*microsoft.TABLES, *documentation.TABLES)


class Meeting(FaultPlan):
    """Holds the first answer about users and the first of IT Glue until the other one has been asked for too."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = {"graph": threading.Event(), "itglue": threading.Event()}
        self.met: list[bool] = []
        self.holds = True

    def answer(
        self, service: Service, tenant_id: str | None, request: Request, respond: Callable[[Request], Response]
    ) -> Response:
        """See `FaultPlan`."""
        if service in self.asked and (service == "itglue" or "/users" in request.path) and self.holds:
            self.asked[service].set()
            other = "itglue" if service == "graph" else "graph"
            self.met.append(self.asked[other].wait(PATIENCE))
        return super().answer(service, tenant_id, request, respond)


@pytest.fixture
def meeting(contoso: Estate, tmp_path: Path) -> Iterator[tuple[World, Meeting]]:
    plan = Meeting()
    (tmp_path / "world").mkdir()
    with Simulator(contoso, faults=plan, folder=tmp_path / "simulator") as simulator:
        yield World(simulator, tmp_path / "world"), plan


def execute(world: World, *, full: bool = False, only: Sequence[str] = ()) -> dg.ExecuteInProcessResult:
    """A sync in this process, or of these tables only."""
    steps = ("microsoft",) if only == microsoft.TABLES else ("microsoft", "itglue")
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            defs()
            .resolve_job_def("sync")
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={
                    "ops": {step: {"config": {"full": full}} for step in steps},
                    "resources": {"installation": {"config": {"config": str(world.config), "wait_seconds": 1}}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                asset_selection=[key(table) for table in only] or None,
            )
        )


def failed_steps(result: dg.ExecuteInProcessResult) -> set[str]:
    return {str(event.step_key) for event in result.all_events if event.is_step_failure}


def crawls() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "itglue-crawl"]


def test_both_sides_are_asked_before_either_answers(meeting: tuple[World, Meeting]) -> None:
    """Neither side's first answer comes before the other side was asked: so they are read at the same time, once."""
    world, plan = meeting
    result = execute(world)

    assert result.success
    assert plan.met
    assert all(plan.met)
    assert world.simulator.count("itglue", path_prefix="/contacts") == 1
    assert world.rows("SELECT count(*) FROM itglue.contacts") == [(2,)]
    assert [row for row in world.rows("SELECT message FROM sync.log WHERE stream = 'itglue'") if "full crawl" in row[0]]
    assert crawls() == []


def test_a_part_without_it_glue_does_not_ask_it(meeting: tuple[World, Meeting]) -> None:
    """Who materializes Microsoft's tables alone has no crawl in the background."""
    world, plan = meeting
    plan.holds = False
    result = execute(world, only=microsoft.TABLES)

    assert result.success
    assert world.simulator.count("itglue") == 0


def test_each_side_fails_for_itself(start: Start, contoso: Estate) -> None:
    """IT Glue that cannot be read fails its own step; Microsoft 365 is read and loaded all the same. And the other way
    round: with every tenant failing, IT Glue is loaded.
    """
    world = start(contoso)
    world.add_fault(Fault("itglue", "status", path="/contacts", status=403))
    result = execute(world, only=READING)
    assert failed_steps(result) == {"itglue"}
    with world.workspace.tables() as db:
        assert db.scalar("SELECT count(*) FROM m365.users") == 4
        assert db.scalar("SELECT count(*) FROM itglue.contacts") == 0

    world.heal()
    world.add_fault(Fault("graph", "status", path="/users", status=403))
    result = execute(world, only=READING)
    assert not {"itglue"} & failed_steps(result)
    with world.workspace.tables() as db:
        assert db.scalar("SELECT count(*) FROM itglue.contacts") == 2


def test_a_sync_that_cannot_list_tenants_still_reads_it_glue(start: Start, contoso: Estate) -> None:
    """As before both were read at once: one step fails, the other does its work."""
    world = start(contoso)
    world.add_fault(Fault("login", "status", status=401))
    result = execute(world, only=READING)

    assert failed_steps(result) == {"microsoft.plan_shards"}
    with world.workspace.tables() as db:
        assert db.scalar("SELECT count(*) FROM itglue.contacts") == 2
    assert crawls() == []


def test_full_reaches_the_crawl(start: Start, contoso: Estate) -> None:
    """What `sync --full` asks for is asked of the crawl in the background."""
    world = start(contoso)
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace("[itglue]\n", "[itglue]\nincremental_from = 1\n"), encoding="utf-8")
    assert execute(world, only=READING).success
    assert execute(world, full=True, only=READING).success

    told = [str(entry["message"]) for entry in world.workspace.state.entries() if entry["stream"] == "itglue"]
    assert [message.count("full crawl (asked for)") for message in told] == [0, 2]


def test_a_crawl_nobody_waits_for_ends(meeting: tuple[World, Meeting]) -> None:
    """Stopped while the server is silent, it gives the waiter an end at once, and lands nothing afterwards."""
    world, plan = meeting
    crawl = BackgroundCrawl(world.workspace, "run", full=False)
    assert plan.asked["itglue"].wait(PATIENCE)
    ending = threading.Thread(target=crawl.end)
    ending.start()
    ending.join(PATIENCE / 2)
    assert not ending.is_alive()  # the answer is still held
    plan.asked["graph"].set()

    with pytest.raises(Stopped):
        crawl.result()
    assert world.workspace.landing.last_attempt("itglue", "contacts") is None


def test_a_crawl_that_cannot_begin_says_so_to_who_waits(start: Start, contoso: Estate) -> None:
    """An error before the first request is the error of the crawl."""
    world = start(contoso)
    Path(str(world.settings.itglue.api_key.file)).unlink()
    crawl = BackgroundCrawl(world.workspace, "run", full=False)

    with pytest.raises(O365EtlError):
        crawl.result()
    crawl.end()
