"""Fetching the list of products: once a day, only if it has changed, and never at a sync's cost."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from o365_etl.pipeline.catalogue import catalogue_of, refresh
from o365_etl.simulator import Estate, Fault, SimLicense, SimSku
from o365_etl.simulator.product_list import COPILOT_STUDIO_ID
from o365_etl.store import sku_list
from tests.conftest import World

Start = Callable[..., World]
NEW = "d0000000-0000-4000-8000-000000000001"


@pytest.fixture
def world(start: Start, contoso: Estate) -> World:
    return start(contoso)


def days_pass(world: World, days: float = 1.01) -> None:
    """The last attempt was so long ago."""
    copy = sku_list.read(world.settings.data_dir)
    assert copy is not None
    sku_list.write(
        world.settings.data_dir, msgspec.structs.replace(copy, tried_at=copy.tried_at - timedelta(days=days))
    )


def asked(world: World) -> int:
    return world.simulator.count("download")


def warnings(world: World) -> list[str]:
    return [entry["message"] for entry in world.workspace.state.entries(level="warning")]


def test_the_first_time_it_is_fetched_whole(world: World) -> None:
    """The names hold from then on, for this user alone."""
    done = refresh(world.workspace)

    assert (done.outcome, done.problem, asked(world)) == ("replaced", None, 1)
    assert done.products > 500
    file = world.settings.data_dir / sku_list.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert catalogue_of(world.workspace).name(COPILOT_STUDIO_ID, None) == "Microsoft Copilot Studio User License"


def test_it_is_asked_for_once_a_day_and_only_if_changed(world: World) -> None:
    """Within a day nothing is asked; after it the server says "not changed"; a new edition is fetched."""
    first = refresh(world.workspace)
    again = refresh(world.workspace)
    assert (again.outcome, again.products, asked(world)) == ("recent", first.products, 1)

    days_pass(world)
    unchanged = refresh(world.workspace)
    assert (unchanged.outcome, unchanged.fetched_at, asked(world)) == ("unchanged", first.fetched_at, 2)
    assert world.simulator.requests[-1].status == 304
    assert refresh(world.workspace).outcome == "recent"

    world.simulator.product_list.publish("Contoso AI", "CONTOSO_AI", NEW.upper())
    days_pass(world)
    assert (refresh(world.workspace).outcome, asked(world)) == ("replaced", 3)
    assert catalogue_of(world.workspace).name(NEW, "X") == "Contoso AI"


def test_a_clock_that_was_wrong_does_not_stop_it_for_years(world: World) -> None:
    """An attempt that lies in the future is no reason to wait for it."""
    refresh(world.workspace)
    days_pass(world, -1000)
    assert refresh(world.workspace).outcome == "unchanged"


PROBLEMS = [
    ({"kind": "status", "status": 404}, "HTTP 404"),
    ({"kind": "status", "status": 503}, "HTTP 503"),
    ({"kind": "throttle", "retry_after": "3600"}, "HTTP 429"),
    ({"kind": "html_200"}, "no column"),
    ({"kind": "truncated"}, "broke off"),
    ({"kind": "reset"}, "localhost"),
    ({"kind": "lost_answer"}, "localhost"),
]


@pytest.mark.parametrize(("fault", "words"), PROBLEMS, ids=[str(fault) for fault, _ in PROBLEMS])
def test_whatever_goes_wrong_the_last_good_list_holds(world: World, fault: dict[str, str], words: str) -> None:
    """One attempt, one line in the log, tried again a day later; without a list the shipped names hold."""
    world.add_fault(Fault("download", **fault))  # type: ignore[arg-type]
    first = refresh(world.workspace)
    assert (first.outcome, first.products, asked(world)) == ("kept", 0, 1)
    assert words in str(first.problem)
    assert catalogue_of(world.workspace).name("05e9a617-0261-4cee-bb44-138d3ef5d965", None) == "Microsoft 365 E3"
    assert len(warnings(world)) == 1
    assert words in warnings(world)[0]
    assert refresh(world.workspace).outcome == "recent"
    assert len(warnings(world)) == asked(world) == 1

    world.heal()
    world.simulator.product_list.publish("Contoso AI", "CONTOSO_AI", NEW)
    days_pass(world)
    assert refresh(world.workspace).outcome == "replaced"
    world.add_fault(Fault("download", **fault))  # type: ignore[arg-type]
    days_pass(world)
    world.simulator.product_list.publish("Another", "ANOTHER", NEW[:-1] + "2")
    assert refresh(world.workspace).outcome == "kept"
    assert catalogue_of(world.workspace).name(NEW, None) == "Contoso AI"
    days_pass(world)
    world.heal()
    healed = refresh(world.workspace)
    assert (healed.outcome, healed.problem) == ("replaced", None)
    assert refresh(world.workspace).problem is None


def test_a_host_that_is_not_there_is_no_problem_for_a_sync(world: World) -> None:
    """Without a network the shipped names hold."""
    world.config.write_text(world.config.read_text().replace(world.simulator.product_list_url, "https://localhost:9/x"))
    done = refresh(world.workspace)
    assert done.outcome == "kept"
    assert "localhost" in str(done.problem)


def test_another_address_is_asked_at_once_and_whole(world: World) -> None:
    """What one server said of its file says nothing about another's, and the names stay if it has none."""
    good = refresh(world.workspace).products
    text = world.config.read_text()
    world.config.write_text(text.replace("/download/products/", "/download/elsewhere/"))
    moved = refresh(world.workspace)
    assert (moved.outcome, moved.products) == ("kept", good)
    assert "HTTP 404" in str(moved.problem)
    world.config.write_text(text)
    back = refresh(world.workspace)
    assert (back.outcome, world.simulator.requests[-1].status) == ("replaced", 200)


def test_no_refresh_asks_nothing(world: World) -> None:
    """An installation without the internet says so once; what it has stays in force."""
    refresh(world.workspace)
    text = world.config.read_text()
    world.config.write_text(text.replace("[catalogue]", "[catalogue]\nrefresh = false"))
    days_pass(world)
    done = refresh(world.workspace)
    assert (done.outcome, asked(world)) == ("off", 1)
    assert done.products > 500


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"url":"x","tried_at":"2026-01-01T00:00:00"}', b"\xff\xfe"])
def test_a_damaged_copy_is_fetched_anew(world: World, content: bytes) -> None:
    """It can be had again, so it stops nothing."""
    refresh(world.workspace)
    (world.settings.data_dir / sku_list.FILE).write_bytes(content)
    assert catalogue_of(world.workspace).knows("05e9a617-0261-4cee-bb44-138d3ef5d965")
    assert refresh(world.workspace).outcome == "replaced"


def test_a_copy_that_cannot_be_written_fails_nothing(world: World) -> None:
    """A full or read-only place is named in the log."""
    (world.settings.data_dir).mkdir(exist_ok=True)
    (world.settings.data_dir / "catalogue").write_text("in the way")
    done = refresh(world.workspace)
    assert done.outcome == "kept"
    assert "catalogue" in str(done.problem)
    assert len(warnings(world)) == 1


def test_a_list_that_lost_most_of_itself_is_not_taken(world: World) -> None:
    """Right header, enough rows, but half the products gone: it waits for a look."""
    refresh(world.workspace)
    copy = sku_list.read(world.settings.data_dir)
    assert copy is not None
    more = [sku_list.Entry(f"f0000000-0000-4000-8000-{n:012}", f"Old {n}", None) for n in range(1000)]
    sku_list.write(world.settings.data_dir, msgspec.structs.replace(copy, etag=None, products=[*copy.products, *more]))
    days_pass(world)
    done = refresh(world.workspace)
    assert (done.outcome, done.products) == ("kept", len(copy.products) + 1000)
    assert "where it had" in str(done.problem)


def unknown(world: World) -> list[tuple[object, ...]]:
    return world.rows("SELECT sku_id, sku_part_number, tenants, users, consumed FROM m365.unknown_skus")


def test_an_unknown_product_has_a_row_until_somebody_names_it(world: World, contoso: Estate) -> None:
    """Its part number instead of a name, since when and who; then Microsoft's name, or ours over it."""
    for tenant in contoso.tenants:
        tenant.skus = [SimSku("SPB"), SimSku("CONTOSO_AI", sku_id=NEW, consumed=2)]
    user = contoso.tenants[0].users[0]
    user.licenses = [*user.licenses, SimLicense(NEW)]
    contoso.touch()
    name = f"SELECT DISTINCT product_name, is_known_sku FROM m365.licenses WHERE sku_id = '{NEW}'"
    held = f"SELECT DISTINCT product_name FROM m365.license_assignments WHERE sku_id = '{NEW}'"
    first_seen = "SELECT first_seen_at FROM m365.unknown_skus"
    world.sync()
    assert world.rows(name) == [("CONTOSO_AI", False)]
    assert unknown(world) == [(NEW, "CONTOSO_AI", 2, 1, 4)]
    since = world.rows(first_seen)
    world.sync()
    assert world.rows(first_seen) == since

    world.simulator.product_list.publish("Contoso  AI\u00a0Bundle", "CONTOSO_AI", NEW.upper())
    refresh(world.workspace)
    world.sync()
    assert (world.rows(name), world.rows(held)) == ([("Contoso AI Bundle", True)], [("Contoso AI Bundle",)])
    assert unknown(world) == []
    world.configure(f'[catalogue.names]\n"{NEW.upper()}" = "Our Bundle"')
    world.sync()
    assert (world.rows(name), world.rows(held)) == ([("Our Bundle", True)], [("Our Bundle",)])
    assert world.rows(f"SELECT product_name, source FROM m365.products WHERE sku_id = '{NEW}'") == [
        ("Our Bundle", "configuration")
    ]


def test_a_product_that_only_users_hold_is_noticed_too(world: World, contoso: Estate) -> None:
    """A tenant does not list what it no longer buys; its users still have it."""
    contoso.tenants[0].skus = [SimSku("SPB")]
    user = contoso.tenants[0].users[0]
    user.licenses = [*user.licenses, SimLicense(NEW)]
    contoso.touch()
    world.sync()
    assert unknown(world) == [(NEW, None, 1, 1, None)]
