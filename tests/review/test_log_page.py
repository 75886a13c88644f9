"""The sync log and the runs in the browser; also before anything was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape

import pytest

from o365_etl.pipeline import queueing
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate, SimTenant, SimUser
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

Open = Callable[..., Site]
RUN = "15c94f8b-0a6a-496b-bd95-09b331ec94f3"
NAME = "<script>alert(1)</script> Ltd"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose one tenant has markup for a name, synced once."""
    estate = Estate.build([SimTenant(NAME, users=[SimUser.person("Anna", "Berg", "markup.example", local="anna")])])
    with world_of(estate, tmp_path_factory.mktemp("log")) as world:
        world.sync()
        yield world


@pytest.fixture
def visitor(world: World, open_site: Open) -> Visitor:
    """Somebody who reads the log of that world."""
    return open_site(world).visitor()


def words(text: str) -> str:
    """What a person reads of a page."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_the_newest_comes_first_and_markup_is_text(world: World, visitor: Visitor) -> None:
    state, (tenant,) = world.workspace.state, world.rows("SELECT tenant_id FROM m365.tenants")
    user = world.rows("SELECT user_id FROM m365.users")[0][0]
    state.log("run-1", "info", "older <u>entry</u>", tenant_id=tenant[0])
    detail = {"subject_id": user, "why": "<img src=x>"}
    state.log("run-1", "warning", "newer entry", tenant_id=tenant[0], stream="write.contact", detail=detail)
    text = visitor.get("/log")
    shown = words(text)
    assert shown.index("newer entry") < shown.index("older <u>entry</u>")
    assert NAME in shown
    for markup in ("<u>entry", "<script>alert", "<img src=x"):
        assert markup not in text
    assert f'href="/tenants/{tenant[0]}/users/{user}">Anna Berg</a>' in text
    assert "why <img src=x>" in shown


def test_it_is_filtered_by_tenant_level_run_and_time(world: World, visitor: Visitor) -> None:
    """By a part of the name or the id; whoever is not known is not everybody."""
    state, tenant = world.workspace.state, world.rows("SELECT tenant_id FROM m365.tenants")[0][0]
    at = now()
    state.log_many(
        "run-x",
        [
            {"at": at - timedelta(days=3), "level": "error", "message": "three days ago", "tenant_id": tenant},
            {"at": at - timedelta(days=2), "level": "info", "message": "two days ago", "tenant_id": "never-read"},
            {"at": at - timedelta(days=1), "level": "warning", "message": "yesterday"},
        ],
    )

    def found(query: str) -> list[str]:
        shown = words(visitor.get(f"/log?{query}"))
        assert visitor.status == 200
        return [each for each in ("three days ago", "two days ago", "yesterday") if each in shown]

    assert found("run=run-x") == ["three days ago", "two days ago", "yesterday"]
    assert found("run=run-x&level=warning") == ["three days ago", "yesterday"]
    assert found("run=run-x&level=error") == ["three days ago"]
    assert found("run=run-x&tenant=SCRIPT%3Ealert") == ["three days ago"]
    assert found(f"run=run-x&tenant={tenant.upper()}") == ["three days ago"]
    assert found("run=run-x&tenant=never-read") == ["two days ago"]
    assert found("run=run-x&tenant=nobody") == []
    since, until = (f"{at - timedelta(days=days):%Y-%m-%dT%H:%M}" for days in (2, 1))
    assert found(f"run=run-x&from={since}") == ["two days ago", "yesterday"]
    assert found(f"run=run-x&from={since}&to={until}") == ["two days ago", "yesterday"]
    assert found(f"run=run-x&to={since}") == ["three days ago", "two days ago"]
    assert found("run=run-x&level=zzz&from=soon&to=9999-99-99&page=-1") == [
        "three days ago",
        "two days ago",
        "yesterday",
    ]
    assert found("run=run-x&from=0001-01-01T00:00&to=9999-12-31T23:59") == [
        "three days ago",
        "two days ago",
        "yesterday",
    ]


def test_a_hundred_entries_are_one_page(world: World, visitor: Visitor) -> None:
    """The filters stay while the pages are turned."""
    world.workspace.state.log_many("run-y", [{"level": "info", "message": f"entry {n:03}"} for n in range(101)])
    text = visitor.get("/log?run=run-y&level=")
    assert "entry 100" in text
    assert "entry 000" not in text
    older = re.search(r'rel="next" href="([^"]+)"', text)
    assert older
    text = visitor.get(unescape(older[1]))
    assert "entry 000" in text
    assert "entry 001" not in text
    assert 'rel="next"' not in text


def test_a_run_is_shown_with_its_figures_its_log_and_the_way_to_dagster(world: World, visitor: Visitor) -> None:
    """The link of an alert leads to the same entries."""
    state, at = world.workspace.state, now()
    state.start_run(RUN, "schedule", at - timedelta(seconds=75))
    state.count_tenants(RUN, ok=7, failed=2)
    state.log(RUN, "error", "it broke")
    state.finish_run(RUN, at, "failed", counts={"changes applied": 5, "m365.users": 12})
    shown = words(visitor.get("/runs"))
    assert "by the clock 1 min 15 s 7 ✕ 2 ✓ 5 applied" in shown
    text = visitor.get(f"/runs/{RUN}")
    assert f'href="http://127.0.0.1:3000/runs/{RUN}" rel="noopener noreferrer" target="_blank"' in text
    assert "Tenants not read 2 ✓ Changes applied 5" in words(text)
    assert "it broke" in text
    text = visitor.get(f"/log?run={RUN}")
    assert "it broke" in text
    assert f'href="http://127.0.0.1:3000/runs/{RUN}"' in text
    assert "http://127.0.0.1:3000" not in visitor.get("/runs/run-1")  # Dagster knows nothing of it
    visitor.get("/runs/no-such-run")
    assert visitor.status == 404


def test_what_is_queued_is_taken_back(world: World, visitor: Visitor) -> None:
    """Once; the second time it says that it was taken back already."""
    request = queueing.queue(world.workspace, trigger="queue", who="<b>Bob</b>", minutes=30)["request_id"]
    text = visitor.get("/runs")
    assert "<b>Bob</b>" in words(text)
    assert "in 29 minutes" in words(text)
    assert "queued and has not begun" in words(visitor.get(f"/runs/{request}"))
    visitor.get("/runs")
    assert "is taken back" in words(visitor.post(f"/runs/{request}/take-back"))
    assert world.workspace.state.requests.open() == []
    assert "taken back already" in words(visitor.post(f"/runs/{request}/take-back"))
    assert visitor.status == 409


def test_the_log_is_there_before_anything_was_read(
    start: Callable[..., World], contoso: Estate, open_site: Open
) -> None:
    """Why the first sync failed stands there and nowhere else."""
    fresh = start(contoso)
    fresh.workspace.state.log(None, "error", "the very first sync failed", tenant_id="a-tenant")
    visitor = open_site(fresh).visitor()
    assert "the very first sync failed" in visitor.get("/log?tenant=a-tenant")
    assert visitor.get("/runs")
    assert visitor.status == 200
    visitor.get("/plan")
    assert visitor.status == 404
