"""The page of one tenant beside its organization, and the list of its users."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest

from o365_etl.pipeline.workspace import query
from o365_etl.simulator import (
    READER_ROLES,
    Estate,
    Fault,
    SimContact,
    SimEmail,
    SimLocation,
    SimOrganization,
    SimSku,
    SimTenant,
    SimUser,
)
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

MARKUP = "Litware <b>Labs</b> & Co"


def _users(domain: str, count: int) -> list[SimUser]:
    return [SimUser.person(f"Ada{number:02}", "Many", domain) for number in range(count)]


def _estate() -> Estate:
    guest = SimUser.person("Gus", "Guest", "contoso.example")
    guest.user_type = "Guest"
    disabled = SimUser.person("Dis", "Abled", "contoso.example")
    disabled.account_enabled = False
    odd = SimUser.person("Bea", "O'Hara_100%", "contoso.example", local="bea")
    odd.proxy_addresses.append("smtp:queen.bea@contoso.example")
    titled = SimUser.person("Zoe", "Titled", "contoso.example")
    titled.job_title = "Manager"
    contoso = SimTenant(
        "Contoso",
        users=[
            *_users("contoso.example", 54),
            SimUser.person("Quin", "Twin", "contoso.example"),
            guest,
            disabled,
            odd,
            titled,
        ],
        skus=[SimSku("SPB", enabled=50, consumed=58), SimSku("VISIOCLIENT", enabled=10, consumed=4)],
        street="1 New Street",
        city="Seattle",
    )
    return Estate.build(
        tenants=[
            contoso,
            SimTenant(MARKUP, users=[SimUser.person("<i>Ina</i>", "Holm", "litware.example")]),
            SimTenant(
                "Partly",
                users=[SimUser.person("Pia", "Park", "partly.example")],
                roles=tuple(role for role in READER_ROLES if role != "Reports.Read.All"),
            ),
            SimTenant("Nobody's", users=[SimUser.person("Nils", "Nord", "nobodys.example")]),
            SimTenant("Waiting", consented=False),
            SimTenant("Yesterday's", users=[SimUser.person("Yan", "Ost", "yesterdays.example")]),
        ],
        organizations=[SimOrganization("Contoso", 101), SimOrganization(MARKUP, 102), SimOrganization("Partly", 103)],
        locations=[SimLocation(101, "Main", address_1="9 Old Road", city="Seattle")],
        contacts=[
            SimContact(
                101, "Zoe", "Titled", title="Clerk", emails=[SimEmail("zoe.titled@contoso.example", primary=True)]
            ),
            SimContact(101, "Quin", "Twin"),
            SimContact(101, "Quin", "Twin"),
        ],
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all questions that only look."""
    with world_of(_estate(), tmp_path_factory.mktemp("organization")) as made:
        made.sync()
        (older,) = query(made.workspace, "SELECT tenant_id FROM sync.tenants WHERE display_name = ?", ["Yesterday's"])
        made.add_fault(Fault("graph", "status", tenant_id=older["tenant_id"], path="/users", status=403))
        made.sync((older["tenant_id"],))
        yield made


@pytest.fixture
def visitor(world: World, open_site: Callable[..., Site]) -> Visitor:
    """Somebody who is signed in there."""
    return open_site(world).visitor()


def _path(world: World, name: str) -> str:
    (row,) = query(world.workspace, "SELECT tenant_id FROM sync.tenants WHERE display_name = ?", [name])
    return f"/tenants/{row['tenant_id']}"


def _words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _row(page: str, name: str) -> str:
    """The row of a table whose header begins with a name."""
    rows = re.findall(r"<tr[^>]*>\s*<th scope=\"row\">(.*?)</tr>", page, re.DOTALL)
    return next(words for row in rows if (words := _words(row)).startswith(name))


def _names(page: str) -> list[str]:
    """The users of a list."""
    return [unescape(name) for name in re.findall(r'<a data-first href="[^"]*">([^<]*)</a>', page)]


def test_the_organization_is_compared_field_by_field(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "Contoso"))
    assert visitor.status == 200
    assert _row(page, "street") == "street 1 New Street 9 Old Road ≠ different"
    assert _row(page, "city") == "city Seattle Seattle ✓ equal"


def test_licenses_show_their_use_in_words_and_mark_overuse(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "Contoso"))
    over = _row(page, "Microsoft 365 Business Premium")
    assert "50 58 -8 116 % in use ✕ over by 8" in over
    assert over.endswith("not documented")
    assert "10 4 6 40 % in use" in _row(page, "Visio Plan 2")
    assert 'class="fill" width="40.00"' in page
    # The bar ends at its end, also where more is in use than there is.
    assert re.search(r'<svg class="bar bad"[^>]*>.*?class="fill" width="100\.00"', page)


def test_users_by_state_lead_to_the_list_of_just_them(world: World, visitor: Visitor) -> None:
    path = _path(world, "Contoso")
    page = visitor.get(path)
    expected = {"matched": 1, "ambiguous": 1, "create": 55, "guest": 1, "disabled": 1}
    for state, count in expected.items():
        assert f'<a href="{path}/users?state={state}">{count}</a>' in page
        listed = visitor.get(f"{path}/users?state={state}")
        assert f"{count} user" in listed
        assert len(_names(listed)) == min(count, 50)
    assert _names(visitor.get(f"{path}/users?state=guest")) == ["Gus Guest"]
    assert f'href="{path}/ambiguous">Ambiguous users (1)' in page


def test_differences_by_field_lead_to_those_who_differ(world: World, visitor: Visitor) -> None:
    path = _path(world, "Contoso")
    assert f'<a href="{path}/users?field=title">1</a>' in visitor.get(path)
    page = visitor.get(f"{path}/users?field=title")
    assert _names(page) == ["Zoe Titled"]
    assert "title" in _row(page, "Zoe Titled")
    assert _names(visitor.get(f"{path}/users?field=last_name")) == []


def test_a_user_is_found_by_name_and_by_any_address_and_signs_are_letters(world: World, visitor: Visitor) -> None:
    path = _path(world, "Contoso")
    for wanted in ("o'hara", "O'HARA_100%", "queen.bea@", "bea@contoso", "  bea o'hara "):
        visitor.get(f"{path}/users", params={"q": wanted})
        assert _names(visitor.page.text) == ["Bea O'Hara_100%"], wanted
    for wanted in ("%", "_"):
        visitor.get(f"{path}/users", params={"q": wanted})
        assert _names(visitor.page.text) == ["Bea O'Hara_100%"], wanted
    visitor.get(f"{path}/users", params={"q": "nils"})
    assert "No user of this tenant fits." in visitor.page.text


def test_the_list_turns_its_pages_and_keeps_its_filters(world: World, visitor: Visitor) -> None:
    path = _path(world, "Contoso")
    first = visitor.get(f"{path}/users?q=many&state=create")
    following = re.search(r'<a rel="next" href="([^"]*)"', first)
    assert following
    assert unescape(following[1]) == f"{path}/users?state=create&q=many&page=2"
    second = visitor.get(unescape(following[1]))
    assert len(_names(first)) == 50
    assert sorted(_names(first) + _names(second)) == [f"Ada{number:02} Many" for number in range(54)]


@pytest.mark.parametrize(
    "query_string",
    [
        "state=nonsense",
        "field=password",
        "page=0",
        "page=-1",
        "page=x",
        "page=²",
        f"page={'9' * 40}",
        "q=" + "a" * 5000,
    ],
)
def test_a_wrong_filter_is_no_error(world: World, visitor: Visitor, query_string: str) -> None:
    visitor.get(f"{_path(world, 'Contoso')}/users?{query_string}")
    assert visitor.status == 200


def test_a_tenant_that_was_never_read_shows_its_remedy(world: World, visitor: Visitor) -> None:
    path = _path(world, "Waiting")
    page = _words(visitor.get(path))
    assert visitor.status == 200
    assert "no consent" in page
    assert "never read" in page
    assert "What to do: A Global Administrator of the tenant opens https://" in page
    assert "No user of this tenant fits." in visitor.get(f"{path}/users")


def test_what_was_read_in_part_is_said_with_its_mend(world: World, visitor: Visitor) -> None:
    page = _words(visitor.get(_path(world, "Partly")))
    assert "▲ read in part mailboxes and their sizes" in page
    assert "✓ read users 1" in page
    assert "What to do: Add the application permission Reports.Read.All" in page


def test_a_tenant_without_an_organization_leads_to_matching(world: World, visitor: Visitor) -> None:
    path = _path(world, "Nobody's")
    page = visitor.get(path)
    assert "It has no organization yet" in page
    assert f'href="/matching/{path.rpartition("/")[2]}"' in page
    assert "field by field" not in page


def test_markup_in_names_is_text(world: World, visitor: Visitor) -> None:
    path = _path(world, MARKUP)
    for page in (visitor.get(path), visitor.get(f"{path}/users")):
        assert "<b>Labs" not in page
        assert "<i>Ina" not in page
        assert "Litware &lt;b&gt;Labs&lt;/b&gt; &amp; Co" in page
    assert _names(page) == ["<i>Ina</i> Holm"]


def test_an_unknown_tenant_is_not_found(world: World, visitor: Visitor) -> None:
    for path in ("/tenants/00000000-0000-4000-8000-000000000000", "/tenants/%3Cscript%3E/users"):
        page = visitor.get(path)
        assert visitor.status == 404
        assert "no tenant of that id is known" in page


def test_rows_that_are_older_are_called_so(world: World, visitor: Visitor) -> None:
    path = _path(world, "Yesterday's")
    page = _words(visitor.get(path))
    assert "could not read this tenant completely" in page
    assert "✕ not read users" in page
    listed = visitor.get(f"{path}/users")
    user = re.search(r'<a data-first href="([^"]*)">Yan Ost</a>', listed)
    assert user
    assert "could not be read completely at the last sync" in visitor.get(unescape(user[1]))
    assert "could not read this tenant completely" not in visitor.get(_path(world, "Contoso"))


def test_before_the_first_sync_the_page_says_so(
    start: Callable[..., World], contoso: Estate, open_site: Callable[..., Site]
) -> None:
    visitor = open_site(start(contoso)).visitor()
    page = visitor.get("/tenants/00000000-0000-4000-8000-000000000000")
    assert visitor.status == 404
    assert "nothing has been published yet" in page
