"""Paging: every record once, although pages time out, sizes are capped, and records come and go."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import OddServer

from o365_etl.errors import BadAnswerError, ProtocolError, TransientError, UnsupportedError
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import Crawl
from o365_etl.simulator.transport import Request, Response

Serve = Callable[..., ItGlueClient]

PARAMS = {"sort": "id", "include": "adapters_resources"}


def crawl(client: ItGlueClient) -> tuple[list[int], Crawl]:
    """The ids as landed, and the crawl."""
    crawled = Crawl(client, "/contacts", PARAMS, Spent())
    return [int(each["id"]) for body in crawled.bodies() for each in json.loads(body)["data"]], crawled


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_every_record_is_read_once(serve: Serve, count: int) -> None:
    """All records come, in order, in no more requests than pages of 1,000."""
    server = OddServer(list(range(1, count + 1)))
    ids, crawled = crawl(serve(server.respond))

    assert ids == list(range(1, count + 1))
    assert (crawled.rows, crawled.total, crawled.dropped) == (count, count, ())
    assert len(server.calls) == crawled.pages == max(1, -(-count // 1000))


def test_an_untouched_page_is_landed_as_received(serve: Serve) -> None:
    """A page without repeats is passed on byte for byte."""
    bodies: list[bytes] = []

    def respond(request: Request) -> Response:
        answer = OddServer([1, 2, 3]).respond(request)
        bodies.append(answer.body)
        return answer

    assert list(Crawl(serve(respond), "/contacts", PARAMS, Spent()).bodies()) == bodies


@pytest.mark.parametrize("slow_above", [999, 500, 130, 40])
def test_a_page_that_takes_too_long_is_halved(serve: Serve, slow_above: int) -> None:
    """After a time-out smaller pages go on where the large ones stopped."""

    def tire(server: OddServer, call: int) -> None:
        if call == 2:
            server.slow_above = slow_above

    server = OddServer(list(range(2300)), before_page=tire)
    ids, _ = crawl(serve(server.respond))

    assert ids == list(range(2300))


def test_a_server_that_never_answers_in_time_is_given_up(serve: Serve) -> None:
    """When even small pages time out the crawl fails with that, after a handful of requests."""
    server = OddServer([1, 2, 3], slow_above=0)

    with pytest.raises(BadAnswerError, match="too long"):
        crawl(serve(server.respond))
    assert len(server.calls) < 10


@pytest.mark.parametrize(
    ("refuses", "dropped"),
    [(("sort",), ("sort",)), (("include",), ("include",)), (("sort", "include"), ("sort", "include"))],
)
def test_what_an_endpoint_refuses_is_left_out(serve: Serve, refuses: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    """An endpoint that answers 400 to `sort` or `include` is read without exactly that."""
    server = OddServer(list(range(2100)), refuses=refuses)
    ids, crawled = crawl(serve(server.respond))

    assert ids == list(range(2100))
    assert crawled.dropped == dropped


def test_another_refusal_stays_a_refusal(serve: Serve) -> None:
    """An endpoint that refuses whatever is asked is an `UnsupportedError`."""
    with pytest.raises(UnsupportedError):
        crawl(serve(OddServer([1], refuses=("page[size]",)).respond))


def test_missing_records_are_noticed(serve: Serve) -> None:
    """Fewer records than the last page's total is an error, not a short list."""
    server = OddServer(list(range(10)), meta=lambda meta: meta | {"total-count": 11})

    with pytest.raises(TransientError) as caught:
        crawl(serve(server.respond))
    assert caught.value.code == "incomplete"


def test_a_page_that_never_changes_is_noticed(serve: Serve) -> None:
    """A server that always sends the first page does not keep the crawl for ever."""
    server = OddServer(list(range(100)), cap=10, ignores_page=True)

    with pytest.raises(ProtocolError, match="same page"):
        crawl(serve(server.respond))


@pytest.mark.parametrize("silent", [("total-count",), ("next-page",), ("total-pages", "next-page"), ("total-pages",)])
def test_a_server_that_says_little_is_read_all_the_same(serve: Serve, silent: tuple[str, ...]) -> None:
    """Any one of the hints about paging is enough."""
    server = OddServer(list(range(2001)), meta=lambda meta: {k: v for k, v in meta.items() if k not in silent})

    assert crawl(serve(server.respond))[0] == list(range(2001))


class Life:
    """Creates and deletes records between pages, by plan: a number n ≥ 0 deletes the n-th, -1 creates one."""

    def __init__(self, plan: list[list[int]]) -> None:
        self.plan = iter(plan)
        self.deleted: set[int] = set()

    def __call__(self, server: OddServer, call: int) -> None:
        for step in next(self.plan, []) if call > 1 else []:
            if step < 0:
                server.records.append(max([*server.records, *self.deleted, 0]) + 1)
            elif server.records:
                self.deleted.add(server.records.pop(step % len(server.records)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 60),
    cap=st.integers(3, 30),
    deletions=st.lists(st.lists(st.integers(0, 100), max_size=2), max_size=6),
    creations=st.lists(st.integers(0, 3), max_size=6),
    creating=st.booleans(),
)
def test_records_that_stay_are_never_missed(
    serve: Serve, count: int, cap: int, deletions: list[list[int]], creations: list[int], creating: bool
) -> None:
    """While others are deleted, or created, between the pages, each record that was there all along is landed once."""
    start = list(range(1, count + 1))
    life = Life([[-1] * number for number in creations] if creating else deletions)
    server = OddServer(list(start), cap=cap, before_page=life)
    ids, _ = crawl(serve(server.respond))

    assert len(ids) == len(set(ids))
    assert set(start) - life.deleted <= set(ids)
