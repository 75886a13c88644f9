"""A world whose names attack whoever shows them, and the walk over every page of the website."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from o365_etl.pipeline import deciding
from o365_etl.review.app import PAGES
from o365_etl.simulator import (
    Estate,
    SimContact,
    SimDomain,
    SimEmail,
    SimOrganization,
    SimTenant,
    SimUser,
)
from tests.conftest import World
from tests.review.conftest import Visitor

SCRIPT = "<script>window.attacked = 1</script>"
IMAGE = '"><img src=x onerror="window.attacked = 2">'
VECTOR = "'><svg onload='window.attacked = 3'>"
TEMPLATE = "{{ 7 * 7 }}{% raw %}"
STYLE = "</style><style>body{display:none}</style>"
LINK = "javascript:window.attacked = 4"
ATTACKS = (SCRIPT, IMAGE, VECTOR, TEMPLATE, STYLE, LINK)
PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def hostile_estate() -> Estate:
    """Tenants, organizations, users and contacts with markup for names: matched, suggested, unmatched, ambiguous."""
    users = [
        SimUser.person(SCRIPT, IMAGE, "script.example", local="one"),
        SimUser.person(VECTOR, TEMPLATE, "script.example", local="two"),
        SimUser.person(STYLE, LINK, "script.example", local="three"),
        SimUser.person("Anna", "Berg", "script.example"),
        SimUser.person("Cy", "Guest", "script.example", skus=()),
    ]
    for user in users:
        user.job_title, user.department, user.city = IMAGE, SCRIPT, VECTOR
        user.business_phones = ["<b>1</b>"]
        user.mobile_phone = IMAGE
    return Estate.build(
        tenants=[
            _tenant(SCRIPT, "script", users=users, street=IMAGE, city=SCRIPT, business_phones=[VECTOR]),
            _tenant(f"{IMAGE} Imaging", "image", users=[SimUser.person("Di", SCRIPT, "image.example", local="di")]),
            _tenant(f"{VECTOR} Vectors", "vector", users=[SimUser.person("Bo", "Dahl", "vector.example")]),
            _tenant(f"{TEMPLATE} Ltd", "template", users=[SimUser.person("Ed", "Holm", "template.example")]),
            _tenant("<b>Qoph & Zulu</b>", "qoph", users=[SimUser.person("Fi", "Lund", "qoph.example")]),
            _tenant("<u>Ypsilon</u>", "ypsilon", users=[SimUser.person("Gus", "Moe", "ypsilon.example")]),
            SimTenant(f"{LINK} closed", consented=False),
        ],
        organizations=[
            SimOrganization(SCRIPT, 101, organization_type=SCRIPT, organization_status=IMAGE),
            SimOrganization(f"{IMAGE} Imagining", 102, short_name=IMAGE),
            SimOrganization(f"{IMAGE} Image", 103),
            SimOrganization(f"{TEMPLATE} GmbH", 104),
        ],
        contacts=[
            SimContact(101, SCRIPT, IMAGE, title=SCRIPT, contact_type=IMAGE, notes=SCRIPT),
            SimContact(101, VECTOR, TEMPLATE, title=VECTOR, emails=[SimEmail("two@script.example")]),
            # Two organizations that know the domain of one tenant.
            SimContact(102, "Ulf", SCRIPT, emails=[SimEmail("ulf@image.example")]),
            SimContact(103, "Una", IMAGE, emails=[SimEmail("una@image.example")]),
            # Two that could be the same person.
            SimContact(101, "Anna", "Berg", title=SCRIPT),
            SimContact(101, "Anna", "Berg", title=IMAGE, notes=IMAGE),
        ],
    )


def _tenant(name: str, domain: str, **facts: Any) -> SimTenant:
    domains = [SimDomain(f"{domain}.onmicrosoft.com", is_initial=True), SimDomain(f"{domain}.example", is_default=True)]
    return SimTenant(name, domains=domains, **facts)


def make_hostile(world: World) -> World:
    """Sync it, and have people with hostile names decide for hostile reasons."""
    world.configure(f'[catalogue.names]\n"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46" = {SCRIPT!r}\n')
    world.sync()
    unmatched = world.rows("SELECT tenant_id FROM match.organizations WHERE status = 'unmatched' ORDER BY 1")
    deciding.ignore(world.workspace, unmatched[0][0], who=SCRIPT, why=IMAGE)
    matched = world.rows("SELECT tenant_id FROM match.organizations WHERE status = 'matched'")
    deciding.approve_plan(world.workspace, [matched[0][0]], who=VECTOR, why=SCRIPT)
    world.workspace.state.log("run-1", "warning", f"about {SCRIPT}", tenant_id=matched[0][0], detail={"is": IMAGE})
    world.sync()
    return world


def routes() -> tuple[list[str], list[str]]:
    """The addresses of all pages and of all forms, with their parameters in braces."""
    pages = [path for module in PAGES for path in module.PAGES]
    return pages, ["/sign-out", *(path for module in PAGES for path in module.FORMS)]


def filled(path: str, world: World) -> list[str]:
    """An address with its parameters: one for each kind of tenant and user that the world has."""
    found = []
    for values in _values(world):
        names = PARAMETER.findall(path)
        assert set(names) <= set(values), f"the walk knows no value for the parameters of {path}"
        found.append(PARAMETER.sub(lambda match, of=values: quote(of[match[1]], safe=""), path))  # type: ignore[misc]
    return list(dict.fromkeys(found))


@cache
def _values(world: World) -> list[dict[str, str]]:
    common = {
        "name": world.settings.connections[0].name,
        "run_id": str(world.workspace.state.runs(limit=1)[0]["run_id"]),
        "organization_id": str(world.rows("SELECT min(organization_id) FROM itglue.organizations")[0][0]),
        "request_id": "1",
        "action": "ignore",
    }
    users = world.rows("SELECT tenant_id, min(user_id), status FROM match.contacts GROUP BY 1, 3 ORDER BY 3")
    tenants = world.rows("SELECT tenant_id FROM sync.tenants ORDER BY 1")
    places = [(tenant_id, user_id) for tenant_id, user_id, _ in users] + [(each[0], users[0][1]) for each in tenants]
    return [{**common, "tenant_id": tenant_id, "user_id": user_id} for tenant_id, user_id in places]


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, its text and its addresses."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        return [found["href"] for tag, found in self.elements if tag == "a" and "href" in found]

    @property
    def addresses(self) -> list[str]:
        names = ("href", "src", "action", "formaction", "data", "data-search")
        return [value for _, found in self.elements for name, value in found.items() if name in names]


def walk(visitor: Visitor, world: World) -> dict[str, str]:
    """Every page of the website: each route for several tenants and users, and one of each kind that they link to."""
    waiting = [address for path in routes()[0] for address in filled(path, world)]
    alike: dict[object, int] = {}
    found: dict[str, str] = {}
    for address in waiting:
        parts = urlsplit(address)
        address = parts._replace(fragment="").geturl()
        query = tuple(name for name, value in parse_qsl(parts.query) if value)
        kind = (re.sub(r"[0-9a-f-]{36}|\d+", "*", parts.path), query)
        if address in found or alike.get(kind, 0) >= (1 if query else 5):
            continue
        alike[kind] = alike.get(kind, 0) + 1
        text = visitor.get(address)
        assert visitor.status in (200, 404), f"{address}: {visitor.status}"
        found[address] = text
        if "html" in visitor.page.headers["content-type"]:
            links = (urljoin(address, link) for link in Seen(text).links)
            waiting += [link for link in links if link.startswith("/") and not link.startswith("//")]
    return found
