"""The Matching screen over HTTP: what is shown, what a click decides, and two people at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest

from o365_etl.pipeline import deciding
from o365_etl.pipeline.standing import standings
from o365_etl.simulator import Estate, SimContact, SimOrganization, SimTenant, SimUser, emails
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

MARKUP = "<script>alert(1)</script> Labs"


def tenant(name: str, domain: str) -> SimTenant:
    """A tenant with one user."""
    return SimTenant(name, users=[SimUser.person("Anna", "Berg", domain)])


def estate() -> Estate:
    """Every status but ignored, two tenants that want one organization, and names that contain markup. Each test
    decides about a tenant of its own.
    """
    suggested = ["Fabrikam", "Northwind", "Tailspin", "Wingtip", "Litware", "Proseware"]
    return Estate.build(
        tenants=[
            tenant("Contoso", "contoso.example"),
            *[tenant(f"{name} Ltd", f"{name.lower()}ltd.example") for name in suggested],
            SimTenant("Twin", tenant_id="11111111-1111-4111-8111-111111111111", users=[]),
            SimTenant("Twin", tenant_id="22222222-2222-4222-8222-222222222222", users=[]),
            tenant(f"{MARKUP} Ltd", "markup.example"),
            tenant("Zyxwv", "zyxwv.example"),
        ],
        organizations=[
            SimOrganization("Contoso", 101, short_name="CTS"),
            *[SimOrganization(f"{name} GmbH", 102 + place) for place, name in enumerate(suggested)],
            SimOrganization("Twin", 110),
            SimOrganization(f"{MARKUP} GmbH", 111),
            SimOrganization("Adventure Works", 112),
            *[SimOrganization(f"Filler {number}", 200 + number) for number in range(25)],
        ],
        contacts=[SimContact(112, "Cy", "Eek", emails=emails("cy.eek@adventure.example"))],
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The estate, synced once."""
    with world_of(estate(), tmp_path_factory.mktemp("matching")) as made:
        made.sync()
        yield made


@pytest.fixture
def site(world: World, open_site: Callable[..., Site]) -> Site:
    """Its website."""
    return open_site(world)


@pytest.fixture
def visitor(site: Site) -> Visitor:
    """The service desk lead."""
    return site.visitor()


def id_of(world: World, name: str) -> str:
    """The id of a tenant."""
    return next(row.tenant_id for row in standings(world.workspace).rows if row.tenant_name == name)


def state_of(world: World, tenant_id: str) -> tuple[str, str | None]:
    """What holds for a tenant."""
    row = standings(world.workspace).of(tenant_id)
    return row.status, row.organization_id


def row_of(page: str, tenant_id: str) -> str:
    """The part of a list that is about one tenant."""
    found = re.search(
        rf'<li class="card match-row" id="row-{tenant_id}".*?(?=<li class="card match-row"|</main>)', page, re.S
    )
    return found[0] if found else ""


def forms(page: str) -> dict[str, dict[str, str]]:
    """The fields of each form on the page by its address; of several with one address the first."""
    found: dict[str, dict[str, str]] = {}
    for action, body in re.findall(r'<form method="post" action="([^"]+)"(.*?)</form>', page, re.S):
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', body)
        found.setdefault(unescape(action), {name: unescape(value) for name, value in fields})
    return found


def counts(page: str) -> dict[str, int]:
    """The filters with their counts."""
    found = re.findall(r'show=(\w+)&amp;[^>]*>\w+ <span class="count">(\d+)</span>', page)
    return {name: int(count) for name, count in found}


def press(visitor: Visitor, action: str, **changed: Any) -> str:
    """Send a form of the page as it stands there."""
    return visitor.post(action, forms(visitor.page.text)[action] | changed)


def test_the_list_opens_on_what_is_unmatched_with_counts(visitor: Visitor, world: World) -> None:
    page = visitor.get("/matching")
    assert 'aria-current="page">Unmatched' in page
    assert row_of(page, id_of(world, "Zyxwv"))
    assert not row_of(page, id_of(world, "Contoso"))
    assert counts(page)["all"] == 11
    assert {"unmatched", "suggested", "matched", "ignored", "all"} == set(counts(page))


def test_a_suggestion_is_shown_with_its_evidence_and_its_rivals(visitor: Visitor, world: World) -> None:
    page = visitor.get("/matching?show=suggested")
    row = row_of(page, id_of(world, "Northwind Ltd"))
    assert "Northwind GmbH" in row
    assert "same name, the legal form left out" in row
    for tenant_id in ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"):
        assert "but so has Twin" in row_of(page, tenant_id)
        assert "it is suggested for it too" in visitor.get(f"/matching/{tenant_id}")


def test_names_with_markup_are_text(visitor: Visitor, world: World) -> None:
    tenant_id = id_of(world, f"{MARKUP} Ltd")
    for path in ("/matching?show=all", f"/matching/{tenant_id}?q=script&create=1", "/matching/accept-all?score=60"):
        page = visitor.get(path)
        assert visitor.status == 200
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; Labs GmbH" in page or path.startswith("/matching/accept-all")
    visitor.get("/organizations/search?q=%3Cscript")
    assert visitor.page.headers["content-type"] == "application/json"


def test_what_is_accepted_holds_at_once_and_is_in_effect_soon(visitor: Visitor, world: World) -> None:
    tenant_id = id_of(world, "Fabrikam Ltd")
    before = counts(visitor.get("/matching?show=suggested"))
    page = press(visitor, f"/matching/{tenant_id}/accept")
    assert visitor.page.url.startswith(f"{visitor.url}/matching?show=suggested")
    assert "Fabrikam Ltd is matched with Fabrikam GmbH. It takes effect in a moment." in page
    assert not row_of(page, tenant_id)
    after = counts(page)
    assert (after["suggested"], after["matched"]) == (before["suggested"] - 1, before["matched"] + 1)
    assert "takes effect in a moment" in row_of(visitor.get("/matching?show=matched"), tenant_id)
    assert visitor.wait_idle()["kind"] == "idle"
    assert world.rows(f"SELECT status, rule FROM match.organizations WHERE tenant_id = '{tenant_id}'") == [
        ("matched", "decision")
    ]
    row = row_of(visitor.get("/matching?show=matched"), tenant_id)
    assert "Decided by lead" in row
    assert "takes effect in a moment" not in row
    assert counts(visitor.page.text) == after
    page = press(visitor, f"/matching/{tenant_id}/undo")
    assert "Taken back. Fabrikam Ltd is suggested." in page
    assert state_of(world, tenant_id) == ("suggested", None)


def test_the_second_of_two_people_is_asked(site: Site, visitor: Visitor, world: World) -> None:
    tenant_id, other = id_of(world, "Northwind Ltd"), site.visitor()
    other.get(f"/matching/{tenant_id}")
    visitor.get(f"/matching/{tenant_id}")
    press(visitor, f"/matching/{tenant_id}/accept")
    page = press(other, f"/matching/{tenant_id}/ignore", why="they left")
    assert other.status == 409
    assert "accepted Northwind GmbH" in page
    assert "To ignore it, because: they left." in page
    assert "Leave it" in page
    assert state_of(world, tenant_id) == ("matched", "103")
    page = press(other, f"/matching/{tenant_id}/ignore")
    assert other.status == 200
    assert "Northwind Ltd is ignored." in page
    assert "they left" in page
    assert state_of(world, tenant_id) == ("ignored", None)


def test_what_is_not_the_best_suggestion_any_more_is_asked_about(visitor: Visitor, world: World) -> None:
    tenant_id = id_of(world, "Tailspin Ltd")
    visitor.get(f"/matching/{tenant_id}")
    page = press(visitor, f"/matching/{tenant_id}/accept", organization_id="103")
    assert visitor.status == 409
    assert "has changed since" in page
    assert state_of(world, tenant_id) == ("suggested", None)
    press(visitor, f"/matching/{tenant_id}/to")
    assert state_of(world, tenant_id) == ("matched", "103"), "wanted all the same"


def test_a_decision_cannot_be_taken_back_twice(site: Site, visitor: Visitor, world: World) -> None:
    tenant_id, other = id_of(world, "Wingtip Ltd"), site.visitor()
    deciding.ignore(world.workspace, tenant_id, who="somebody")
    for each in (visitor, other):
        each.get(f"/matching/{tenant_id}")
    press(visitor, f"/matching/{tenant_id}/undo")
    page = press(other, f"/matching/{tenant_id}/undo")
    assert other.status == 409
    assert "took the last decision back" in page
    assert "/undo" not in page, "there is nothing left to take back"


def test_before_an_organization_is_created_those_like_it_are_shown(visitor: Visitor, world: World) -> None:
    tenant_id = id_of(world, "Litware Ltd")
    visitor.get("/matching?show=suggested")
    page = press(visitor, f"/matching/{tenant_id}/create")
    assert visitor.page.url.endswith(f"/matching/{tenant_id}?create=1#create")
    assert "These organizations are much like" in page
    assert "Use this one" in page
    assert state_of(world, tenant_id)[0] == "suggested"
    page = press(visitor, f"/matching/{tenant_id}/create", force="1")
    assert "An organization will be created for Litware Ltd." in page
    assert standings(world.workspace).of(tenant_id).is_to_be_created
    assert "to be created" in row_of(visitor.get("/matching?show=unmatched"), tenant_id)


def test_an_organization_is_searched_with_and_without_javascript(visitor: Visitor, world: World) -> None:
    def found(text: str) -> list[str]:
        visitor.get("/organizations/search", params={"q": text})
        return [each["id"] for each in visitor.page.json()]

    assert found("adventure") == ["112"]
    assert found("CTS") == ["101"]
    assert found("112") == ["112"]
    assert found("adventure.exam") == ["112"]
    assert found("cy.eek@adventure.example") == ["112"]
    assert found("100%") == found("") == []
    assert len(found("filler")) == 20
    assert found("filler 7")[0] == "207"
    tenant_id = id_of(world, "Zyxwv")
    visitor.get(f"/matching/{tenant_id}")
    page = press(visitor, f"/matching/{tenant_id}/to", q="adventure", organization_id="")
    assert "Adventure Works" in page
    visitor.post(f"/matching/{tenant_id}/to", {"organization_id": "112", "seen": "0"})
    assert state_of(world, tenant_id) == ("matched", "112")


def test_many_are_accepted_after_a_preview(visitor: Visitor, world: World) -> None:
    proseware, zyxwv = id_of(world, "Proseware Ltd"), id_of(world, "Zyxwv")
    page = visitor.get("/matching/accept-all?score=95")
    ticked = {unescape(each) for each in re.findall(r'name="accept"[^>]*value="([^"]+)" checked', page)}
    assert f"{proseware}:107:0" in ticked
    assert not any(each.startswith(("1111", "2222")) for each in ticked), "two tenants want it"
    assert page.count("it is the best suggestion for another tenant too") == 2
    page = visitor.post("/matching/accept-all", {"accept": [f"{proseware}:107:0", f"{zyxwv}:101:0"]})
    assert "1 suggestion accepted." in page
    assert "Zyxwv was left as it is" in page
    assert state_of(world, proseware) == ("matched", "107")
    visitor.get("/matching/accept-all?score=100.5")
    assert visitor.status == 200
    visitor.post("/matching/accept-all", {"accept": "nonsense"})
    assert visitor.status == 400
    assert "Nothing was ticked" in (visitor.get("/matching"), visitor.post("/matching/accept-all"))[1]


def test_the_search_keeps_its_words_and_narrows_the_counts(visitor: Visitor) -> None:
    page = visitor.get("/matching?show=all&q=contoso.example")
    assert counts(page) == {"unmatched": 0, "suggested": 0, "matched": 1, "ignored": 0, "all": 1}
    assert "No tenant here has “%”" in visitor.get("/matching?show=all&q=%25")


@pytest.mark.parametrize(
    "path",
    [
        "/matching?show=nonsense&page=x",
        "/matching?page=-5",
        "/matching?page=999&did=x",
        "/matching/accept-all?score=nan",
    ],
)
def test_wrong_parameters_fall_back(visitor: Visitor, path: str) -> None:
    visitor.get(path)
    assert visitor.status == 200


def test_a_tenant_nobody_read_is_not_there(visitor: Visitor) -> None:
    visitor.get("/matching")
    for path in ("/matching/nobody", "/matching/Contoso"):
        visitor.get(path)
        assert visitor.status == 404
    visitor.get("/matching")
    visitor.post("/matching/nobody/ignore")
    assert visitor.status == 404


def test_before_the_first_sync_the_page_says_so(tmp_path: Any, world: World, open_site: Callable[..., Site]) -> None:
    visitor = open_site(World(world.simulator, tmp_path)).visitor()
    page = visitor.get("/matching")
    assert visitor.status == 404
    assert "nothing has been published yet" in page
