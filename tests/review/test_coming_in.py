"""The sign-in link, and what the first page shows."""

from __future__ import annotations

from collections.abc import Callable

from o365_etl.simulator import Estate
from tests.conftest import World
from tests.review.conftest import Site


def test_the_link_opens_the_site_once(
    start: Callable[..., World], contoso: Estate, open_site: Callable[..., Site]
) -> None:
    world = start(contoso)
    world.sync()
    site = open_site(world)
    link = site.website.link
    visitor = site.stranger()
    assert "Active integrations" in visitor.get(link)
    assert site.links == [site.website.link] != [link]
    other = site.stranger()
    other.get(link)
    assert other.status == 401
    assert "Active integrations" not in other.page.text
