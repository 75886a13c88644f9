"""The review website of a small simulated world, over real HTTP, signed in."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from typing import Any

import pytest
import requests

from o365_etl.review.serving import Website
from tests.conftest import World, world_of


class Visitor:
    """A browser without a screen: keeps cookies, finds the forms of a page, and sends them as a browser does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.page = requests.Response()

    def get(self, path: str, **options: Any) -> str:
        """The text of a page."""
        self.page = self.http.get(self.url + path if path.startswith("/") else path, timeout=30, **options)
        return self.page.text

    @property
    def status(self) -> int:
        """Of the last answer."""
        return self.page.status_code

    @property
    def csrf(self) -> str:
        """The token in the forms of the page that was seen last."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page.text)
        assert found, "the page has no form"
        return unescape(found[1])

    def post(self, path: str, fields: dict[str, Any] | None = None, **options: Any) -> str:
        """Send a form with the token of the last page; follows the way back."""
        data = {"csrf": self.csrf} | (fields or {})
        headers = {"Origin": self.url} | options.pop("headers", {})
        self.page = self.http.post(self.url + path, data=data, headers=headers, timeout=60, **options)
        return self.page.text

    def wait_idle(self, seconds: float = 120) -> dict[str, Any]:
        """Wait until nothing is going on, and say what the line at the top says then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now: dict[str, Any] = self.http.get(self.url + "/activity", timeout=30).json()
            if now["kind"] != "busy":
                return now
            time.sleep(0.3)
        raise AssertionError("it is still busy")


class Site:
    """A website and how to come in."""

    def __init__(self, world: World, website: Website, links: list[str]) -> None:
        self.world, self.website, self.links = world, website, links
        self.url = website.url

    def visitor(self) -> Visitor:
        """Somebody who is signed in."""
        visitor = self.stranger()
        visitor.get(self.website.link)
        assert visitor.status == 200
        return visitor

    def stranger(self) -> Visitor:
        """Somebody who is not."""
        return Visitor(self.url)


@contextmanager
def opened(world: World, **options: Any) -> Iterator[Site]:
    """The website of a world, open until the block ends."""
    links: list[str] = []
    website = Website(world.config, who="lead", port=0, on_link=links.append, **options)
    thread = threading.Thread(target=website.serve)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not website.is_ready and time.monotonic() < deadline:
            time.sleep(0.02)
        assert website.is_ready
        yield Site(world, website, links)
    finally:
        website.stop()
        thread.join(60)


@pytest.fixture
def open_site() -> Iterator[Callable[..., Site]]:
    """Opens the website of a world; any number of them."""
    with ExitStack() as stack:
        yield lambda world, **options: stack.enter_context(opened(world, **options))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A synced world whose names attack whoever shows them; for all tests that only look."""
    from tests.review.hostile import hostile_estate, make_hostile

    with world_of(hostile_estate(), tmp_path_factory.mktemp("hostile")) as world:
        yield make_hostile(world)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium, without a screen; pages of it belong to the test that opens them.

    Not for the whole session: as long as it is open its event loop runs, beside which tests of other files that use
    asyncio cannot have one.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        # Runs as root in a container as well; nothing but our own pages is opened.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
