"""The page Overview: coverage, licenses, age of the data, and the trend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from o365_etl.pipeline import overviewing
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate, SimOrganization, SimSku, SimTenant, SimUser
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor


def estate() -> Estate:
    """A tenant with too many licenses, one with too few of the same product, and an unknown product named as markup."""
    return Estate.build(
        tenants=[
            SimTenant(
                "Contoso",
                users=[SimUser.person("Anna", "Berg", "contoso.example")],
                skus=[
                    SimSku("SPB", enabled=30, consumed=10, suspended=3),
                    SimSku("POWER_BI_STANDARD", enabled=1_000_000, consumed=1),
                    SimSku("<script>alert(1)</script>", enabled=2, consumed=2),
                ],
            ),
            SimTenant(
                "Fabrikam",
                users=[SimUser.person("Bo", "Dahl", "fabrikam.example")],
                skus=[SimSku("SPB", enabled=5, consumed=9)],
            ),
        ],
        organizations=[SimOrganization("Contoso", 101)],
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world, synced once."""
    with world_of(estate(), tmp_path_factory.mktemp("overview")) as world:
        world.sync()
        yield world


@pytest.fixture
def visitor(synced: World, open_site: Callable[..., Site]) -> Visitor:
    """Somebody who looks at it."""
    return open_site(synced).visitor()


def test_before_the_first_sync_the_page_says_what_to_do(
    start: Callable[..., World], open_site: Callable[..., Site]
) -> None:
    visitor = open_site(start(estate())).visitor()
    text = visitor.get("/overview")
    assert visitor.status == 404
    assert "nothing has been published yet" in text
    assert "o365-etl sync" in text


def test_coverage_counts_tenants_and_users_by_their_match(visitor: Visitor) -> None:
    text = visitor.get("/overview")
    assert visitor.status == 200
    assert 'aria-label="Tenants: 1 matched, 1 unmatched"' in text
    assert re.search(r'<a href="/matching\?show=unmatched">unmatched</a>\s*<strong>1</strong>', text)
    assert 'aria-label="Users: 1 to be created, 1 organization unmatched"' in text


def test_unused_licenses_of_one_tenant_do_not_hide_missing_ones_of_another(visitor: Visitor) -> None:
    text = visitor.get("/overview")
    row = re.search(r'<tr><th scope="row">Microsoft 365 Business Premium</th>(.*?)</tr>', text, re.DOTALL)
    assert row
    cells = [re.sub(r"<[^>]+>|[▲\s]", "", cell) for cell in re.findall(r"<td.*?</td>", row[1], re.DOTALL)]
    assert cells == ["2", "35", "19", "", "20", "4", "3"]
    assert 'aria-label="54 % in use"' in row[1]


def test_what_costs_nothing_is_no_waste(visitor: Visitor) -> None:
    text = visitor.get("/overview")
    assert "without 1 product that costs nothing" in text
    assert "Power BI" not in text
    assert "1,000,0" not in text


def test_markup_in_names_is_shown_as_text(visitor: Visitor) -> None:
    text = visitor.get("/overview")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_tenants_are_counted_by_the_age_of_their_data(synced: World) -> None:
    def counted(days: float) -> dict[str, int]:
        found = overviewing.ages(synced.workspace, now() + timedelta(days=days), 5)
        return {row["age"]: row["tenants"] for row in found["classes"] if row["tenants"]}

    assert counted(0) == {"up to a day": 2}
    assert counted(3) == {"up to a week": 2}
    assert counted(10) == {"up to a month": 2}
    assert counted(100) == {"older than a month": 2}
    oldest = overviewing.ages(synced.workspace, now() + timedelta(days=3), 1)["oldest"]
    first = synced.rows("SELECT display_name FROM sync.tenants ORDER BY as_of LIMIT 1")[0][0]
    assert [row["display_name"] for row in oldest] == [first]
    assert overviewing.ages(synced.workspace, now(), 5)["oldest"] == []


def test_the_trend_begins_with_the_second_sync_and_counts_what_was_written_until_the_next(
    synced: World, visitor: Visitor
) -> None:
    assert "A trend shows from the second sync on" in visitor.get("/overview")
    state = synced.workspace.state

    def run(run_id: str, trigger: str, status: str, tenants: int | None, **counts: int) -> None:
        state.start_run(run_id, trigger, now())
        named = {name.replace("__", ".").replace("_of_", " "): number for name, number in counts.items()}
        state.finish_run(run_id, now(), status, tenants_ok=tenants, tenants_failed=tenants and 3, counts=named)

    run("a", "schedule", "ok", 2, m365__users=1200, itglue__contacts=900, changes_of_applied=10)
    run("b", "apply", "ok", None, m365__users=1200, itglue__contacts=905, changes_of_applied=5)
    run("c", "schedule", "failed", 1, m365__users=7777)
    run("d", "schedule", "ok", 2, m365__users=1300, itglue__contacts=910)
    text = visitor.get("/overview")
    assert "Users in Microsoft 365 over the last 3 syncs: from 2 to 1,300, at most 1,300" in text
    assert "7,777" not in text
    rows = re.findall(r'<tr><th scope="row"><a href="/log\?run=(\w+)">[^<]+</a></th>(.*?)</tr>', text)
    table = {run_id: re.findall(r">([\d,]+|–)<", cells) for run_id, cells in rows}
    assert table["a"] == ["1,200", "900", "15", "3"]
    assert table["d"] == ["1,300", "910", "0", "3"]
    assert "b" not in table
