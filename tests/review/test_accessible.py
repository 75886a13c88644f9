"""Every page for everybody: checked by axe, light and dark, on a phone, and enlarged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import World
from tests.review.conftest import Site, opened
from tests.review.hostile import filled, routes

NOT_PAGES = ("/activity", "/organizations/search", "/tenants/{tenant_id}/ambiguous/contacts")
MORE = (
    "/no-such-page",
    *(f"/matching?show={show}" for show in ("all", "matched", "suggested", "ignored", "unmatched")),
    "/matching?q=nothing-is-found",
    "/?status=not_consented",
)
PHONE, ENLARGED, DESK = (390, 800), (640, 500), (1280, 900)
LIGHT, DARK = "light", "dark"


@pytest.fixture(scope="module")
def site(hostile: World) -> Iterator[Site]:
    with opened(hostile) as site:
        yield site


@pytest.fixture(scope="module")
def browser_page(site: Site, chromium: Any) -> Iterator[Any]:
    """A tab of somebody who is signed in."""
    context = chromium.new_context(device_scale_factor=2)
    page = context.new_page()
    page.goto(site.website.link)
    yield page
    context.close()


def check(page: Any, address: str) -> list[str]:
    """What is wrong with a page, one line for each; the page stays as it was."""
    page.emulate_media(color_scheme=LIGHT)
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    page.goto(address)
    found = violations(page, LIGHT)
    page.emulate_media(color_scheme=DARK)
    found += violations(page, DARK, {"runOnly": ["color-contrast"], "resultTypes": ["violations"]})
    for width, height in (ENLARGED, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        found += wide(page, width)
    return found


def violations(page: Any, scheme: str, options: dict[str, Any] | None = None) -> list[str]:
    # Colours that still change from the scheme before are none that anybody reads.
    page.evaluate("document.getAnimations().forEach((each) => each.finish())")
    response = Axe().run(page, options=options or {"resultTypes": ["violations"]}).response
    return [
        f"{scheme}: {rule['id']}: {rule['help']}: {node['target']} {node['html'][:160]}"
        for rule in response["violations"]
        for node in rule["nodes"][:3]
    ]


def wide(page: Any, width: int) -> list[str]:
    """The elements because of which the page as a whole can be pushed sideways."""
    if page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        return []
    widest = page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.scroll'))"
        ".slice(0, 3).map((each) => each.outerHTML.slice(0, 120))"
    )
    return [f"{width} px: wider than the window: {widest}"]


@pytest.mark.parametrize("path", [path for path in routes()[0] if path not in NOT_PAGES])
def test_every_page_is_accessible(site: Site, browser_page: Any, path: str) -> None:
    """No rule of axe is broken, light or dark, and nothing is cut off on a phone or at 200 %."""
    for address in filled(path, site.world)[:2]:
        assert check(browser_page, urljoin(site.url, address)) == [], address


@pytest.mark.parametrize("address", MORE)
def test_other_views_of_pages_are_accessible(site: Site, browser_page: Any, address: str) -> None:
    """Lists with one kind of rows, without any, and the page that is not there."""
    assert check(browser_page, urljoin(site.url, address)) == []


def test_the_check_finds_what_is_wrong(site: Site, browser_page: Any) -> None:
    """An input without a label, pale text in one of the two schemes, and something wider than a phone."""
    browser_page.goto(site.url)
    browser_page.evaluate(
        "main = document.getElementById('main'); main.append(document.createElement('input'));"
        "pale = main.appendChild(document.createElement('p')); pale.textContent = 'pale'; pale.style.color = '#777';"
        "wide = main.appendChild(document.createElement('p')); wide.style.width = '500px'; wide.textContent = 'wide'"
    )
    browser_page.emulate_media(color_scheme=LIGHT)
    assert [rule for rule in violations(browser_page, LIGHT) if "label" in rule]
    browser_page.emulate_media(color_scheme=DARK)
    assert [rule for rule in violations(browser_page, DARK) if "color-contrast" in rule]
    browser_page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert "wide" in wide(browser_page, PHONE[0])[0]


def test_outside_is_accessible(site: Site, chromium: Any) -> None:
    """The page of those who are not signed in."""
    context = chromium.new_context()
    try:
        assert check(context.new_page(), site.url) == []
    finally:
        context.close()


def test_before_the_first_sync_it_is_accessible(
    start: Callable[..., World], contoso: Any, open_site: Callable[..., Site], chromium: Any
) -> None:
    """Each page without data says so in a way that everybody can read."""
    site = open_site(start(contoso))
    context = chromium.new_context()
    try:
        page = context.new_page()
        page.goto(site.website.link)
        for path in routes()[0]:
            if "{" not in path and path not in NOT_PAGES:
                assert check(page, urljoin(site.url, path)) == [], path
    finally:
        context.close()


def test_the_first_key_leads_past_the_navigation(browser_page: Any, site: Site) -> None:
    """Tab and Enter put a person who has no mouse at the beginning of the content."""
    browser_page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    browser_page.goto(site.url)
    browser_page.keyboard.press("Tab")
    assert browser_page.evaluate("document.activeElement.className") == "skip"
    assert browser_page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    browser_page.keyboard.press("Enter")
    assert browser_page.evaluate("document.activeElement.id") == "main"
