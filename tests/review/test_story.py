"""A day of the service desk lead in a real browser, on the demo's MSP: from the first sync to the log of what was done.

Also takes the pictures of the documentation: `make pictures` puts them into `docs/images`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Error

from o365_etl.simulator import Estate
from tests.conftest import World
from tests.review.conftest import Site

# A sync, a rematch and an apply of the demo's MSP take seconds; a machine that does three things at once takes longer.
PATIENCE = 180_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Browser:
    """One tab, the picture book, and waiting until nothing is going on."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page = page
        self.folder = folder
        page.set_default_timeout(30_000)

    def go(self, name: str) -> None:
        """To a page of the navigation."""
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()

    def press(self, name: str, within: Any = None, role: str = "button") -> None:
        """A button, by what stands on it."""
        (within or self.page).get_by_role(role, name=name).first.click()

    def tab(self, name: str) -> None:
        """A filter of the list."""
        self.page.locator(".tabs a", has_text=re.compile(f"^{name}")).click()

    def row(self, tenant: str) -> Any:
        """The card of a tenant in the matching screen."""
        return self.page.locator("[data-row]", has=self.page.get_by_role("link", name=tenant, exact=True))

    def wait_idle(self) -> None:
        """Until nothing runs or waits to run."""
        deadline = time.monotonic() + PATIENCE / 1000
        address = urljoin(self.page.url, "/activity")
        while (now := self.page.request.get(address).json())["kind"] == "busy":
            assert time.monotonic() < deadline, now
            self.page.wait_for_timeout(500)
        assert now["kind"] == "idle", now
        for is_last in (False, False, False, True):
            try:
                self.page.reload()
                return
            except Error:
                # The page was loading itself anew at this very moment.
                if is_last:
                    raise
                self.page.wait_for_timeout(500)

    def sees(self, text: str, within: Any = None) -> None:
        """The page says so."""
        (within or self.page.locator("main")).get_by_text(text).first.wait_for()

    def picture(self, name: str, *, dark: bool = False, narrow: bool = False) -> None:
        """Keep what the page looks like."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.set_viewport_size(NARROW if narrow else WIDE)
        self.page.screenshot(path=self.folder / f"review-{name}.png")
        self.page.set_viewport_size(WIDE)
        self.page.emulate_media(color_scheme="light")


@pytest.fixture
def browser(chromium: Any, tmp_path: Path) -> Any:
    folder = Path(os.environ.get("PICTURES_FOLDER") or tmp_path)
    context = chromium.new_context(viewport=WIDE)
    yield Browser(context.new_page(), folder)
    context.close()


@pytest.mark.timeout(900)
def test_from_the_first_sync_to_the_log_of_what_was_written(
    start: Callable[..., World], open_site: Callable[..., Site], browser: Browser
) -> None:
    world = start(Estate.demo(seed=1))
    site = open_site(world)
    page = browser.page
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    # The first sync, by hand.
    page.goto(site.website.link)
    browser.sees("Nothing was synced yet")
    browser.press("Sync now")
    page.locator("#activity", has_text="Syncing…").wait_for(timeout=PATIENCE)
    browser.wait_idle()
    browser.sees("ended well")
    browser.sees("OK", page.locator(".connection", has_text="curlew"))
    browser.sees("Kingfisher Schools")
    browser.picture("integrations")
    browser.picture("integrations-phone", narrow=True)

    # Matching opens on what no rule and no likeness could find: this one is created.
    browser.go("Matching")
    assert page.locator(".tabs [aria-current]").inner_text().startswith("Unmatched")
    browser.press("Create organization", browser.row("Ibis Holdings"))
    browser.sees("Ibis Holdings", page.locator(".match-did"))

    # The suggestions: accept one, search another organization for the next, ignore a third with the keyboard.
    browser.go("Matching")
    browser.tab("Suggested")
    browser.sees("Gannet Windpower")
    browser.picture("matching")
    browser.picture("matching-dark", dark=True)
    browser.picture("matching-phone", narrow=True)
    browser.press("Accept", browser.row("Fulmar GmbH"))
    browser.sees("Fulmar", page.locator(".match-did"))
    _match_by_search(browser, "Gannet Wind Power Inc.", "playr", "Playroom Holding")
    browser.go("Matching")
    browser.tab("Suggested")
    browser.row("Harrier Legal Services").get_by_role("link", name="Harrier Legal Services").focus()
    page.keyboard.press("i")
    browser.sees("Harrier Legal Services", page.locator(".match-did"))
    browser.tab("Ignored")
    browser.sees("Harrier Legal Services")

    # The one that was chosen by mistake is changed.
    browser.tab("Matched")
    page.get_by_role("searchbox").fill("Gannet")
    browser.press("Search")
    browser.sees("Playroom Holding")
    _match_by_search(browser, "Gannet Wind Power Inc.", "gannet w", "Gannet Windpower")
    browser.picture("matching-tenant")
    browser.wait_idle()
    held = {
        row[0]: row[1:] for row in world.rows("SELECT tenant_name, status, organization_name FROM match.organizations")
    }
    assert held["Fulmar GmbH"] == ("matched", "Fulmar")
    assert held["Gannet Wind Power Inc."] == ("matched", "Gannet Windpower")
    assert held["Harrier Legal Services"][0] == "ignored"

    # What was decided is in the plan.
    browser.go("Plan")
    for tenant in ("Fulmar GmbH", "Gannet Wind Power Inc.", "Ibis Holdings"):
        browser.sees(tenant)
    assert not page.get_by_text("Harrier Legal Services").count()
    browser.picture("plan")

    # One organization, and one of its contacts: Microsoft 365 and IT Glue side by side.
    page.get_by_role("link", name="Dunlin Toys").first.click()
    dunlin = world.rows("SELECT tenant_id FROM match.organizations WHERE tenant_name = 'Dunlin Toys'")[0][0]
    page.goto(f"{site.url}/tenants/{dunlin}")
    browser.sees("Playroom Holding")
    browser.picture("organization")
    ((user_id,),) = world.rows(
        f"SELECT user_id FROM sync.changes JOIN m365.users ON user_id = subject_id AND action = 'update'"
        f" AND resource = 'contact' AND m365.users.tenant_id = '{dunlin}' ORDER BY user_principal_name LIMIT 1"
    )
    page.goto(f"{site.url}/tenants/{dunlin}/users/{user_id}")
    heads = page.locator("table").first.locator("thead").inner_text()
    assert "Microsoft 365" in heads
    assert "IT Glue" in heads
    browser.picture("contact")
    browser.picture("contact-phone", narrow=True)

    # A user whom only a person can match.
    ((kestrel,),) = world.rows("SELECT tenant_id FROM match.organizations WHERE tenant_name = 'Kestrel Freight'")
    page.goto(f"{site.url}/tenants/{kestrel}/ambiguous")
    browser.sees("This contact")
    browser.picture("ambiguous")
    browser.press("This contact")
    browser.wait_idle()

    # The plan of that one tenant is approved in spite of its brake, and written.
    page.goto(f"{site.url}/plan/{dunlin}")
    browser.picture("plan-tenant")
    browser.press("Approve")
    browser.sees("is approved")
    browser.go("Plan")
    browser.press("Write to IT Glue…", role="link")
    page.locator("form[action='/plan/apply'] button").click()
    browser.wait_idle()
    written = world.rows(f"SELECT count(*) FROM sync.changes WHERE state = 'applied' AND tenant_id = '{dunlin}'")[0][0]
    assert written > 50

    # And the log says so.
    browser.go("Sync log")
    browser.sees("applied")
    browser.picture("log")
    page.goto(f"{site.url}/runs")
    browser.picture("runs")
    browser.go("Overview")
    browser.picture("overview")
    assert problems == []


def _match_by_search(browser: Browser, tenant: str, text: str, organization: str) -> None:
    """Search an organization by the start of its name, take it from the list, match the tenant with it."""
    page = browser.page
    browser.row(tenant).locator("a[data-key=m]").click()
    page.get_by_role("combobox").press_sequentially(text)
    page.get_by_role("option", name=organization).click()
    browser.press("Match with it")
    browser.sees(organization)
