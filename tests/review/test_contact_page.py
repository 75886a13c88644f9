"""The page of one user: both sides field by field, owners, the plan, and what is not known said as such."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape

import pytest

from o365_etl.pipeline import deciding
from o365_etl.pipeline.workspace import query
from o365_etl.review.rendering import web
from o365_etl.simulator import (
    Estate,
    SimAdapter,
    SimContact,
    SimEmail,
    SimLicense,
    SimMailbox,
    SimOrganization,
    SimPhone,
    SimSignIn,
    SimTenant,
    SimUser,
)
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

GIB = 1024**3
PRODUCT = "00000000-1111-4222-8333-444444444444"
GROUP = "5e5e5e5e-0000-4000-8000-000000000001"
MARKUP = "<script>alert(1)</script>"


def _anna() -> SimUser:
    anna = SimUser.person("Anna", "Berg", "contoso.example")
    anna.job_title = "Manager"
    anna.business_phones, anna.mobile_phone = ["+1 206 555 0100"], "+1 206 555 0177"
    anna.proxy_addresses.append("smtp:a.berg@contoso.example")
    anna.sign_in = SimSignIn(last="2026-05-01T08:30:00Z")
    anna.licenses.append(SimLicense(PRODUCT, group=GROUP))
    anna.mailbox = SimMailbox(storage_used=45 * GIB, item_count=54_321, has_archive=True)
    return anna


def _disabled() -> SimUser:
    user = SimUser.person("Eve", "Gray", "contoso.example")
    user.account_enabled = False
    return user


def _estate() -> Estate:
    contoso = SimTenant(
        "Contoso",
        users=[
            _anna(),
            SimUser.person("Bo", "Dahl", "contoso.example"),
            SimUser.person("Cy", "Eek", "contoso.example"),
            SimUser.person("Di", "Falk", "contoso.example"),
            _disabled(),
            SimUser.person(MARKUP, "Hall", "contoso.example", local="hall"),
        ],
    )
    hidden = SimTenant(
        "Fabrikam", users=[SimUser.person("Fay", "Holt", "fabrikam.example")], concealed=True, premium=False
    )
    return Estate.build(
        tenants=[contoso, hidden],
        organizations=[SimOrganization("Contoso", 101), SimOrganization("Fabrikam", 102)],
        contacts=[
            SimContact(
                101,
                "Anna",
                "Berg",
                contact_id=7001,
                title="Clerk",
                emails=[SimEmail("anna.berg@contoso.example", primary=True), SimEmail("anna@home.example")],
                phones=[SimPhone("+1 206 555 0199", primary=True)],
            ),
            SimContact(101, "Bo", "Dahl", contact_id=7002, title="Boss", adapters=[SimAdapter("Autotask")]),
            SimContact(101, "Di", "Falk", contact_id=7003, title="One of two"),
            SimContact(101, "Di", "Falk", contact_id=7004, title="Two of two"),
            SimContact(101, MARKUP, "Hall", contact_id=7005, title='"><img src=x onerror=alert(2)>'),
        ],
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all questions that only look."""
    with world_of(_estate(), tmp_path_factory.mktemp("contact")) as made:
        made.configure('[fields.contact]\nphone = "fill_blank"\nmobile_phone = "itglue"\n')
        # A handful of contacts is past the brakes at once.
        made.configure("[brakes]\nmax_changed_share = 1\nmax_field_share = 1\n")
        made.sync()
        yield made


@pytest.fixture
def visitor(world: World, open_site: Callable[..., Site]) -> Visitor:
    """Somebody who is signed in there."""
    return open_site(world).visitor()


def _path(world: World, local: str) -> str:
    (row,) = query(
        world.workspace,
        "SELECT tenant_id, user_id FROM m365.users WHERE user_principal_name LIKE ? || '@%'",
        [local],
    )
    return f"/tenants/{row['tenant_id']}/users/{row['user_id']}"


def _words(text: str) -> str:
    """A piece of a page as a person reads it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text.replace("<wbr>", ""))).split())


def _main(page: str) -> str:
    return _words(page.partition("<main")[2])


def _row(page: str, field: str) -> str:
    """The row of a field in the comparison."""
    found = re.search(rf'<tr class="\w+">\s*<th scope="row">{field}</th>(.*?)</tr>', page, re.DOTALL)
    assert found, f"no row for {field}"
    return _words(found[1])


def test_both_sides_the_owner_and_the_plan_stand_beside_each_field(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "anna.berg"))
    assert visitor.status == 200
    assert _row(page, "first name") == "Anna Anna ✓ equal Microsoft 365 IT Glue follows Nothing to do"
    assert _row(page, "title") == (
        "Manager Clerk ≠ different Microsoft 365 IT Glue follows removed: Clerk new: Manager ○ planned"
    )
    # Only what is added shows as new: what a person noted in IT Glue stays.
    addresses = _row(page, "e-mail addresses")
    assert "new: a.berg@contoso.example" in addresses
    assert "removed:" not in addresses


def test_a_field_that_the_plan_leaves_alone_says_why(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "anna.berg"))
    assert _row(page, "phone").endswith("IT Glue written only where it is empty Nothing: only an empty field is filled")
    assert _row(page, "mobile phone").endswith("IT Glue never written Nothing: IT Glue owns this field")


def test_the_change_is_approved_as_soon_as_the_plan_is(world: World, visitor: Visitor) -> None:
    path = _path(world, "fay.holt")
    assert "○ planned" in _row(visitor.get(path), "first name")
    deciding.approve_plan(world.workspace, ["Fabrikam"], who="lead")
    assert "✓ approved" in _row(visitor.get(path), "first name")


def test_licenses_addresses_mailbox_and_account_are_shown(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "anna.berg"))
    text = _main(page)
    assert "Microsoft 365 Business Premium ✓ Active direct" in text
    assert f"by group {GROUP}" in text
    assert "anna.berg@contoso.example primary" in text
    assert "a.berg@contoso.example alias" in text
    assert re.search(r'<svg class="bar warn"[^>]*aria-label="90 % used of ', page)
    assert 'class="fill" width="90.00"' in page
    assert "Items 54,321" in text
    assert "Archive yes" in text
    assert "2026-05-01 08:30 UTC" in text


def test_links_lead_to_both_sides(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "anna.berg"))
    (user,) = query(world.workspace, "SELECT manage_url FROM m365.users WHERE user_principal_name LIKE 'anna.berg@%'")
    (contact,) = query(world.workspace, "SELECT resource_url FROM itglue.contacts WHERE contact_id = '7001'")
    for address, label in (
        (user["manage_url"], "Manage in Microsoft 365"),
        (contact["resource_url"], "Open in IT Glue"),
    ):
        assert address.startswith("https://")
        found = re.search(rf'<a class="button" href="([^"]*)" target="_blank" rel="noopener noreferrer">{label}', page)
        assert found
        assert unescape(found[1]) == address


def test_only_addresses_of_the_web_become_links() -> None:
    assert web("https://entra.microsoft.com/x") == "https://entra.microsoft.com/x"
    for address in ("javascript:alert(1)", "JAVASCRIPT://https://x", "data:text/html,x", " https://x", "", None):
        assert web(address) is None


def test_a_contact_of_another_integration_names_its_owner(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "bo.dahl"))
    assert "The integration Autotask owns this contact" in _main(page)
    assert "– skipped" in _row(page, "primary e-mail")


def test_a_user_without_a_contact_shows_what_would_be_created(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "cy.eek"))
    assert "The contact that is to be created" in page
    assert "new: Cy ○ planned" in _row(page, "first name")


def test_an_ambiguous_user_shows_his_rivals_and_where_to_decide(world: World, visitor: Visitor) -> None:
    path = _path(world, "di.falk")
    text = _main(page := visitor.get(path))
    assert "contact 7003, One of two" in text
    assert "contact 7004, Two of two" in text
    assert "2 contacts and 1 user fit each other (same full name)" in text
    assert f'href="{path.rpartition("/users/")[0]}/ambiguous"' in page


def test_a_user_out_of_scope_says_why(world: World, visitor: Visitor) -> None:
    text = _main(visitor.get(_path(world, "eve.gray")))
    assert "In scope no: disabled" in text
    assert "Nothing is compared or written: this user is out of scope." in text


def test_what_is_not_known_says_why_and_is_not_zero(world: World, visitor: Visitor) -> None:
    text = _main(visitor.get(_path(world, "fay.holt")))
    assert "Size not known: Microsoft hides names in its reports" in text
    assert "Last sign-in not known: it needs Entra ID P1" in text
    assert "Items" not in text
    assert "0 bytes" not in text


def test_markup_in_names_is_text(world: World, visitor: Visitor) -> None:
    page = visitor.get(_path(world, "hall"))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert unescape(re.sub(r"<[^>]*>", "", page)).count(MARKUP) >= 3


def test_decisions_show_who_and_why_also_those_taken_back(world: World, visitor: Visitor) -> None:
    path, workspace = _path(world, "di.falk"), world.workspace
    tenant_id, user_id = path.split("/")[2], path.split("/")[4]
    assert "Nobody has decided anything." in visitor.get(path)
    deciding.decide_user(workspace, tenant_id, user_id, action="to", contact="7003", who="mia", why="asked <him>")
    deciding.decide_user(workspace, tenant_id, user_id, action="undo", who="noa")
    page = visitor.get(path)
    text = _main(page)
    assert re.search(r"This is contact 7003 mia, [-0-9]+ [:0-9]+ UTC: asked <him>", text)
    assert "The decision before was taken back noa" in text
    assert "asked &lt;him&gt;" in page


def test_an_unknown_user_is_not_found_and_nobody_of_another_tenant_is_shown(world: World, visitor: Visitor) -> None:
    path = _path(world, "anna.berg")
    visitor.get(path + "0")
    assert visitor.status == 404
    other = _path(world, "fay.holt").partition("/users/")[0]
    page = visitor.get(f"{other}/users/{path.rpartition('/')[2]}")
    assert visitor.status == 404
    assert "this tenant has no user of that id" in page
    assert "anna.berg" not in page
