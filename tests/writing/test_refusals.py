"""What IT Glue refuses: too many requests, one bad record among good ones, lists, and a key that may not write."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import (
    apply,
    approve,
    approve_and_apply,
    assert_once,
    assert_settled,
    changes,
    counts,
    messages,
    names,
    small_estate,
    writes,
)

from o365_etl.errors import O365EtlError
from o365_etl.simulator import Fault, ItGlueBehaviour
from tests.conftest import World

Start = Callable[..., World]
THREE = ("Anna Berg", "Bo Dahl", "Cy Eek")


@pytest.mark.parametrize("retry_after", ["0.1", None])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_throttled_write_is_sent_again(start: Start, retry_after: str | None, method: str) -> None:
    """A 429 was not done for certain: it is waited for and sent again, once each."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    if method == "PATCH":
        approve_and_apply(world)
        estate.tenants[0].users[0].job_title = "Head of IT"
        estate.touch()
        world.sync()
    world.add_fault(Fault("itglue", "throttle", path="contacts", method=method, calls=(1, 2), retry_after=retry_after))
    before = writes(world, method)
    done = approve_and_apply(world)

    assert set(done.counts) == {"applied"}
    answers = [each.status for each in world.simulator.requests if each.method == method and each.service == "itglue"]
    assert answers[before:].count(429) == 2
    assert counts(estate) == {"organizations": 1, "contacts": 2, "flexible_asset_types": 2, "flexible_assets": 3}
    assert_once(estate)


def test_one_bad_record_does_not_keep_the_others(start: Start) -> None:
    """A title too long: its contact fails with IT Glue's own words, all others are written, none twice."""
    estate = small_estate(THREE)
    estate.tenants[0].users[1].job_title = "x" * 300
    world = start(estate)
    world.sync()
    done = approve_and_apply(world)

    assert names(estate) == ["Anna Berg", "Cy Eek"]
    assert_once(estate)
    assert dict(done.counts) == {"applied": 2 + 2 + 1 + 2, "failed": 1, "skipped": 1}
    (message,) = messages(world, "failed")
    assert "422" in message
    assert "title" in message
    logged = world.rows("SELECT stream, message FROM sync.log WHERE level = 'error'")
    assert [(stream, message in text) for stream, text in logged] == [("write.contact", True)]
    assert messages(world, "skipped") == ["the user's contact was not created"]

    estate.tenants[0].users[1].job_title = "Clerk"
    estate.touch()
    world.sync()
    approve_and_apply(world)
    assert names(estate) == ["Anna Berg", "Bo Dahl", "Cy Eek"]
    assert_once(estate)
    assert_settled(world)


def test_a_bad_update_does_not_keep_the_others(start: Start) -> None:
    """The same for updates: each of the rest once."""
    estate = small_estate(THREE)
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    for user, title in zip(estate.tenants[0].users, ("Clerk", "x" * 300, "Clerk"), strict=True):
        user.job_title = title
    estate.touch()
    world.sync()
    done = approve_and_apply(world)

    assert dict(done.counts) == {"applied": 2, "failed": 1}
    assert [estate.contact(name).title for name in THREE] == ["Clerk", None, "Clerk"]


def test_where_lists_are_refused_records_go_one_by_one(start: Start) -> None:
    """An account without bulk requests is written record by record, each once."""
    estate = small_estate(THREE)
    world = start(estate, itglue=ItGlueBehaviour(bulk=False))
    world.sync()
    done = approve_and_apply(world)

    assert dict(done.counts) == {"applied": 2 + 3 + 1 + 3}
    assert writes(world, "POST", "/contacts") == 1 + 3
    assert_once(estate)
    assert_settled(world)


def test_a_list_refused_for_no_record_of_it_is_the_last_list(start: Start) -> None:
    """A 422 to a list whose records are all taken one by one: this account takes no lists, and is not asked again."""
    estate = small_estate(THREE)
    world = start(estate)
    world.sync()
    world.add_fault(Fault("itglue", "status", path="contacts", method="POST", status=422, calls=(1,)))
    done = approve_and_apply(world)

    assert dict(done.counts) == {"applied": 2 + 3 + 1 + 3}
    assert writes(world, "POST", "/contacts") == 1 + 3
    assert writes(world, "POST", "/flexible_assets") == 1 + 3
    assert_once(estate)


def test_a_key_that_may_not_write_stops_the_run(start: Start) -> None:
    """One refusal is enough: the error names the key, nothing was written, everything is still to be done."""
    estate = small_estate(THREE)
    world = start(estate, itglue=ItGlueBehaviour(read_only=True))
    world.sync()
    before = counts(estate), changes(world)
    approve(world)
    with pytest.raises(O365EtlError, match="403") as caught:
        apply(world)

    assert caught.value.code == "itglue_key"
    assert "itglue.api_key" in (caught.value.remedy or "")
    assert writes(world) == 1
    assert (counts(estate), changes(world)) == before
    assert world.rows("SELECT status FROM sync.runs ORDER BY started_at DESC LIMIT 1") == [("failed",)]
    world.sync()
    assert (counts(estate), changes(world)) == before
