"""Ambiguous users over HTTP: their candidates side by side, what a click decides, and two people at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest

from o365_etl.pipeline import deciding
from o365_etl.pipeline.standing import standings
from o365_etl.simulator import Estate, SimContact, SimOrganization, SimPhone, SimTenant, SimUser, emails
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

MARKUP = "<img src=x onerror=alert(1)>"


def estate() -> Estate:
    """Users with two contacts of one address each, two users of one address, and more than fill a page."""
    users = [SimUser.person(f"User{number:02}", "Many", "contoso.example") for number in range(21)]
    users += [SimUser.person(name, "Berg", "contoso.example") for name in ("Anna", "Bo", "Cy", "Di", "Ed")]
    users[21].job_title, users[21].mobile_phone = "Clerk", "+1 206 555 1234"
    contacts = [
        SimContact(101, each.given_name, each.surname, 1000 + 2 * place + twin, emails=emails(each.user_principal_name))
        for place, each in enumerate(users)
        for twin in (0, 1)
    ]
    anna = contacts[42]
    anna.title, anna.phones = "Clerk", [SimPhone("12065551234")]
    contacts[43].title = MARKUP
    return Estate.build(
        tenants=[SimTenant("Contoso", users=users), SimTenant("Zyxwv", users=[])],
        organizations=[SimOrganization("Contoso", 101)],
        contacts=[*contacts, SimContact(101, "Reception", "Desk", 2000, emails=emails("desk@contoso.example"))],
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The estate, synced once."""
    with world_of(estate(), tmp_path_factory.mktemp("ambiguous")) as made:
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


@pytest.fixture
def path(world: World) -> str:
    """The page of the tenant."""
    return f"/tenants/{world.rows('SELECT tenant_id FROM match.contacts LIMIT 1')[0][0]}/ambiguous"


def id_of(world: World, name: str) -> str:
    """The id of a user by his first name."""
    found: str = world.rows(f"SELECT user_id FROM m365.users WHERE given_name = '{name}'")[0][0]
    return found


def decided(world: World, user_id: str) -> tuple[str, str | None] | None:
    """The decision in force about a user."""
    for of_tenant in standings(world.workspace).user_decisions.values():
        if user_id in of_tenant:
            return of_tenant[user_id].action, of_tenant[user_id].contact_id
    return None


def part_of(page: str, user_id: str) -> str:
    """The part of the page that is about one user."""
    found = re.search(rf'<li class="card person" id="row-{user_id}".*?(?=<li class="card person"|</main>)', page, re.S)
    return found[0] if found else ""


def press(visitor: Visitor, action: str, number: int = 0, **changed: Any) -> str:
    """Send a form of the page as it stands there; of several with one address the one of that number."""
    found = re.findall(rf'<form method="post" action="{re.escape(action)}"(.*?)</form>', visitor.page.text, re.S)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[number])
    return visitor.post(action, {name: unescape(value) for name, value in fields} | changed)


def test_the_candidates_stand_side_by_side_with_what_is_equal(visitor: Visitor, world: World, path: str) -> None:
    page = visitor.get(path + "?page=1")
    part = part_of(page, id_of(world, "Anna"))
    assert "By an address, 2 contacts may be this user." in part
    assert part.count("This contact") == 2
    for equal in ("Clerk", "12065551234", "anna.berg@contoso.example"):
        assert re.search(rf'<span class="same">{re.escape(equal)}', part), equal
    assert MARKUP not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in part


def test_there_are_twenty_on_a_page(visitor: Visitor, path: str) -> None:
    page = visitor.get(path)
    assert page.count('class="card person"') == 20
    assert "Page 1 of 2" in page
    for number in ("2", "999"):
        assert "Page 2 of 2" in visitor.get(f"{path}?page={number}")
    visitor.get(f"{path}?page=x&show=nonsense&did=x&user=x&q=%25")
    assert visitor.status == 200


def test_a_contact_is_taken_and_that_taken_back(visitor: Visitor, world: World, path: str) -> None:
    anna = id_of(world, "Anna")
    open_before = int(re.findall(r'To decide <span class="count">(\d+)', visitor.get(path))[0])
    page = press(visitor, f"{path}/{anna}/to")
    assert decided(world, anna) == ("to", "1042")
    assert "Anna Berg is the contact Anna Berg. It takes effect in a moment." in page
    assert not part_of(page, anna)
    assert re.findall(r'class="count">(\d+)', page) == [str(open_before - 1), "1"]
    page = visitor.get(path + "?show=decided")
    assert "takes effect in a moment" in part_of(page, anna)
    assert "This one was chosen." in part_of(page, anna)
    page = press(visitor, f"{path}/{anna}/undo")
    assert "Taken back for Anna Berg." in page
    assert decided(world, anna) is None
    assert part_of(visitor.get(path), anna)


def test_a_decision_is_in_effect_after_the_rematch(visitor: Visitor, world: World, path: str) -> None:
    bo = id_of(world, "Bo")
    visitor.get(path)
    press(visitor, f"{path}/{bo}/create")
    assert visitor.wait_idle()["kind"] == "idle"
    assert world.rows(f"SELECT status FROM match.contacts WHERE user_id = '{bo}'") == [("create",)]
    part = part_of(visitor.get(path + "?show=decided"), bo)
    assert "gets a new contact" in part
    assert "takes effect in a moment" not in part
    press(visitor, f"{path}/{bo}/undo")
    assert "taken back" in part_of(visitor.get(path), bo), "at once among those to decide"


def test_another_contact_is_searched_with_and_without_javascript(visitor: Visitor, world: World, path: str) -> None:
    def found(text: str) -> list[str]:
        visitor.get(path + "/contacts", params={"q": text})
        return [each["id"] for each in visitor.page.json()]

    assert found("reception") == ["2000"]
    assert found("desk@contoso") == ["2000"]
    assert found("2000") == ["2000"]
    assert found("%") == found("") == []
    cy = id_of(world, "Cy")
    visitor.get(path)
    page = press(visitor, f"{path}/{cy}/to", -1, q="reception")
    assert "Reception Desk" in part_of(page, cy)
    press(visitor, f"{path}/{cy}/to", -1)
    assert decided(world, cy) == ("to", "2000")


def test_the_second_of_two_people_is_asked(site: Site, visitor: Visitor, world: World, path: str) -> None:
    di, other = id_of(world, "Di"), site.visitor()
    for each in (visitor, other):
        each.get(path)
    press(visitor, f"{path}/{di}/to")
    page = press(other, f"{path}/{di}/ignore", why="a robot")
    assert other.status == 409
    assert "said that this is the contact Di Berg" in page
    assert "To ignore this user, because: a robot." in page
    assert decided(world, di) == ("to", "1048")
    press(other, f"{path}/{di}/ignore")
    assert decided(world, di) == ("ignore", None)
    assert world.workspace.state.decisions.history(user_id=di)[-1]["why"] == "a robot"


def test_what_was_taken_back_already_is_told(site: Site, visitor: Visitor, world: World, path: str) -> None:
    ed, tenant_id = id_of(world, "Ed"), path.split("/")[2]
    deciding.decide_user(world.workspace, tenant_id, ed, action="ignore", who="somebody")
    other = site.visitor()
    for each in (visitor, other):
        each.get(path + "?show=decided")
    press(visitor, f"{path}/{ed}/undo")
    page = press(other, f"{path}/{ed}/undo")
    assert other.status == 409
    assert "took the decision back" in page
    assert "Do it all the same" not in page


def test_who_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    visitor.get("/tenants/nobody/ambiguous")
    assert visitor.status == 404
    visitor.get(path)
    visitor.post(path + "/nobody/ignore")
    assert visitor.status == 404
    visitor.get(path)
    visitor.post(path + "/nobody/explode")
    assert visitor.status == 404


def test_a_tenant_without_an_organization_says_so(visitor: Visitor, world: World) -> None:
    tenant_id = world.rows("SELECT tenant_id FROM m365.tenants WHERE display_name = 'Zyxwv'")[0][0]
    assert "Match the tenant first" in visitor.get(f"/tenants/{tenant_id}/ambiguous")
