"""The website attacked: without a session, with a forged one, from a foreign page, by names, by the network."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from itsdangerous import URLSafeTimedSerializer
from requests.adapters import HTTPAdapter

from o365_etl.review.pages import start as start_page
from o365_etl.simulator import Estate
from tests.conftest import World
from tests.review.conftest import Site, Visitor, opened
from tests.review.hostile import (
    ATTACKS,
    SCRIPT,
    Seen,
    filled,
    routes,
    walk,
)

OpenSite = Callable[..., Site]
PROXY = """
[review]
trusted_header = "X-Remote-User"
trusted_proxies = ["127.0.0.2"]
allowed_users = ["lead@example.com", "deputy@example.com"]
hostnames = ["review.example"]
"""
LEAD = {"X-Remote-User": "lead@example.com"}
EVIL = "https://evil.example"
# How long ago: what differs between two visits of which nothing else does.
CLOCK = re.compile(r"just now|in a moment|\d+ (second|minute|hour)s? ago|in \d+ (second|minute|hour)s?")


@pytest.fixture(scope="module")
def site(hostile: World) -> Iterator[Site]:
    with opened(hostile) as site:
        yield site


@pytest.fixture(scope="module")
def proxied(hostile: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same installation behind a proxy on 127.0.0.2."""
    with opened(behind_proxy(hostile, tmp_path_factory.mktemp("proxied"))) as site:
        yield site


@pytest.fixture(scope="module")
def walked(site: Site) -> tuple[dict[str, str], list[str]]:
    """All pages as somebody saw them, and how he came in: the token of his link and his cookie."""
    visitor, token = site.stranger(), site.website.link.partition("token=")[2]
    visitor.get(site.website.link)
    (cookie,) = visitor.http.cookies.values()
    identity = URLSafeTimedSerializer(b"guess").loads_unsafe(cookie)[1]
    return walk(visitor, site.world), [token, cookie, identity]


def behind_proxy(world: World, folder: Path) -> World:
    made = World(world.simulator, folder)
    text = world.config.read_text(encoding="utf-8") + PROXY
    made.config.write_text(text.replace('data_dir = "data"', f'data_dir = "{world.folder}/data"'), encoding="utf-8")
    return made


class FromAddress(HTTPAdapter):
    """Asks from a certain address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
        return super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)


def through_proxy(site: Site) -> Visitor:
    visitor = site.stranger()
    visitor.http.mount("http://", FromAddress("127.0.0.2"))
    return visitor


def raw(site: Site, method: str, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """A request with a path as it is written, which a client for people would tidy up."""
    connection = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=30)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def cookie_of(visitor: Visitor) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{each.name}={each.value}" for each in visitor.http.cookies)}


def held(world: World) -> list[Any]:
    """What a form could have changed."""
    state = world.workspace.state
    runs = [(run["run_id"], run["status"]) for run in state.runs(limit=50)]
    return [runs, state.decisions.latest(), state.approvals.open(), world.config.read_text(encoding="utf-8")]


# --- who may come in


def test_without_a_session_no_page_and_no_form_answers(site: Site) -> None:
    """Every address of the application, as a stranger: 401, no data, nothing done."""
    before = held(site.world)
    pages, forms = routes()
    for path in pages:
        for address in filled(path, site.world):
            answer = requests.get(site.url + address, timeout=30, allow_redirects=False)
            assert (answer.status_code, answer.text.count("<h1>")) == (401, 1), address
            assert "script.example" not in answer.text
    for path in forms:
        for address in filled(path, site.world)[:1]:
            answer = requests.post(site.url + address, data={"csrf": ""}, timeout=30, allow_redirects=False)
            assert answer.status_code == 401, address
    for address in ("/no-such-page", "/sign-in", "/sign-in-please", "/health/../plan", "/static/none.css", "/static"):
        assert raw(site, "GET", address).status in (401, 307), address
    assert held(site.world) == before


def test_a_used_link_opens_nothing(site: Site) -> None:
    """Whoever finds the link in a history or over a shoulder is too late."""
    link = site.website.link
    site.stranger().get(link)
    answer = requests.get(link, timeout=30, allow_redirects=False)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_guessed_links_open_nothing_and_do_not_use_up_the_right_one(site: Site) -> None:
    """Neither a part of the token nor many wrong ones."""
    token = site.website.link.partition("token=")[2]
    guesses = ["", "0", token[:-1], token + "0", token.swapcase(), "é", "%00", *(f"guess{n}" for n in range(100))]
    for guess in guesses:
        answer = requests.get(f"{site.url}/sign-in?token={guess}", timeout=30, allow_redirects=False)
        assert answer.status_code == 401, guess
    assert site.website.link.endswith(token)
    assert site.visitor().status == 200


@pytest.mark.parametrize("forgery", ["other key", "other session", "cut", "empty", "long", "not signed", "odd"])
def test_a_forged_cookie_opens_nothing(site: Site, forgery: str) -> None:
    """Signed by another key, changed, cut, or made up."""
    visitor = site.visitor()
    ((name, cookie),) = visitor.http.cookies.items()
    identity, rest = cookie.split(".", 1)
    guess = URLSafeTimedSerializer(b"guess", salt="session")
    made = {
        "other key": guess.dumps(guess.loads_unsafe(cookie)[1]),
        "other session": f"{identity[:5]}{'A' if identity[5] != 'A' else 'B'}{identity[6:]}.{rest}",
        "cut": cookie[: len(cookie) // 2],
        "empty": "",
        "long": "A" * 4000,
        "not signed": identity,
        "odd": "%00.é.<script>",
    }[forgery]
    answer = requests.get(f"{site.url}/", headers={"Cookie": f"{name}={made}".encode()}, timeout=30)

    assert answer.status_code == 401
    visitor.get("/")
    assert visitor.status == 200


def test_a_cookie_of_another_website_opens_nothing(hostile: World, open_site: OpenSite) -> None:
    """Each website signs with a key of its own, which ends with it."""
    first, second = open_site(hostile), open_site(hostile)
    (value,) = first.visitor().http.cookies.values()
    (name,) = second.visitor().http.cookies.keys()

    assert requests.get(second.url, headers={"Cookie": f"{name}={value}"}, timeout=30).status_code == 401


def test_two_websites_of_one_machine_do_not_sign_each_other_out(hostile: World, open_site: OpenSite) -> None:
    """Browsers send a cookie to every port of a host."""
    first, second = open_site(hostile), open_site(hostile)
    visitor = first.visitor()
    visitor.get(second.website.link)
    assert visitor.status == 200
    visitor.get(f"{first.url}/")
    assert visitor.status == 200


def test_an_expired_session_opens_nothing(hostile: World, open_site: OpenSite) -> None:
    """After `review.session_hours` the same cookie is refused, also for a form."""
    at = [datetime.now(UTC)]
    site = open_site(hostile, clock=lambda: at[0])
    visitor = site.visitor()
    at[0] += timedelta(hours=hostile.settings.review.session_hours, seconds=-1)
    visitor.get("/")
    assert visitor.status == 200
    before = held(site.world)
    at[0] += timedelta(seconds=1)
    visitor.post("/sync")
    assert visitor.status == 401
    visitor.get("/")
    assert visitor.status == 401
    assert held(site.world) == before


def test_a_cookie_kept_after_signing_out_opens_nothing(site: Site) -> None:
    """Signing out ends the session itself, not only the browser's copy of it."""
    visitor = site.visitor()
    kept = cookie_of(visitor)
    visitor.post("/sign-out")

    assert visitor.status == 401
    assert visitor.http.cookies.keys() == []
    assert requests.get(site.url, headers=kept, timeout=30).status_code == 401


# --- forged forms


def test_a_form_with_a_wrong_token_does_nothing(site: Site) -> None:
    """Every form of the application: without a token, with a made-up one, with another session's."""
    visitor, other = site.visitor(), site.visitor()
    other.get("/")
    visitor.get("/")
    tokens = ["", "x", other.csrf, visitor.csrf[:-1]]
    before = held(site.world)
    for path in routes()[1]:
        address = filled(path, site.world)[0]
        for token in tokens:
            visitor.page = visitor.http.post(site.url + address, data={"csrf": token}, timeout=30)
            assert visitor.status == 403, address
        visitor.page = visitor.http.post(site.url + address, timeout=30)
        assert visitor.status == 403, address
    assert held(site.world) == before
    assert visitor.http.get(f"{site.url}/activity", timeout=30).json()["kind"] == "idle"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_form_from_a_foreign_page_does_nothing(site: Site, headers: dict[str, str]) -> None:
    """Even with the right token: another site, a sandboxed frame, another port of this machine."""
    visitor = site.visitor()
    before = held(site.world)
    page = visitor.page
    for path in routes()[1]:
        visitor.page = page
        visitor.post(filled(path, site.world)[0], headers=headers)
        assert visitor.status == 403, path
    assert held(site.world) == before
    visitor.get("/")
    assert visitor.status == 200


def test_asking_for_the_address_of_a_form_does_nothing(site: Site) -> None:
    """A link, an image or a prefetch cannot decide: GET is refused where there is no page of that address."""
    visitor = site.visitor()
    before = held(site.world)
    pages, forms = routes()
    for path in forms:
        for address in filled(path, site.world):
            visitor.get(address, allow_redirects=False)
            is_page = any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", page), address) for page in pages)
            assert visitor.status in ((200, 404) if is_page else (405,)), address
    assert held(site.world) == before
    assert visitor.http.get(f"{site.url}/activity", timeout=30).json()["kind"] == "idle"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_do_nothing(site: Site, method: str) -> None:
    """Only GET, HEAD and POST have a meaning here, and POST none on a page."""
    visitor = site.visitor()
    before = held(site.world)
    pages, forms = routes()
    for path in (*pages, *forms):
        address = filled(path, site.world)[0]
        assert raw(site, method, address, cookie_of(visitor)).status == 405, address
        assert raw(site, method, address).status == 401, address
    for path in set(pages) - set(forms):
        visitor.get("/")
        visitor.post(filled(path, site.world)[0])
        assert visitor.status in (403, 405), path
    assert held(site.world) == before


def test_a_form_that_is_too_large_is_refused(site: Site) -> None:
    """It does not fill the memory, and the next form is taken."""
    visitor = site.visitor()
    visitor.post("/sync", {"x": "y" * 2_100_000})
    assert visitor.status == 413
    visitor.post("/sign-out")
    assert visitor.status == 401


def test_the_way_back_never_leads_to_another_site(
    start: Callable[..., World], contoso: Estate, open_site: OpenSite
) -> None:
    """The address that a form names for afterwards is one of this site, or is not followed."""
    site = open_site(start(contoso))
    visitor = site.visitor()
    csrf = visitor.csrf

    def sent_back(to: str) -> str:
        fields = {"back": to, "csrf": csrf}
        answer = visitor.http.post(f"{site.url}/sync", data=fields, timeout=30, allow_redirects=False)
        assert answer.status_code == 303
        assert "X-Evil" not in answer.headers
        return answer.headers["location"]

    for back in (
        "//evil.example/x",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r\nX-Evil: 1",
        f"{EVIL}/x",
        "https:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "//[",
        "",
    ):
        assert sent_back(back) == "/", back
    assert sent_back("/matching?show=all&q=a%20b") == "/matching?show=all&q=a%20b"


# --- the network


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8365", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "0.0.0.0"]
)
def test_a_foreign_name_of_this_machine_opens_nothing(site: Site, host: str) -> None:
    """DNS rebinding: a page whose name was made to point here is told nothing, signed in or not."""
    visitor = site.visitor()
    link = site.website.link
    for path in ("/", "/activity", "/static/review.js", "/health", link.removeprefix(site.url)):
        answer = raw(site, "GET", path, {**cookie_of(visitor), "Host": host})
        assert answer.status == 400, path
        assert answer.getheader("set-cookie") is None
    assert site.website.link == link


def test_names_that_are_configured_are_known(proxied: Site) -> None:
    """And those of this machine; without regard to capitals and port."""
    for host in ("review.example", "Review.Example:443", "localhost:1", "[::1]", "127.0.0.1"):
        assert raw(proxied, "GET", "/health", {"Host": host}).status == 204, host


def test_a_trusted_proxy_says_who_comes_in(proxied: Site) -> None:
    """The header of the proxy, for a user who is allowed; the browser keeps a session, and its forms are taken."""
    visitor = through_proxy(proxied)
    page = visitor.get("/", headers=LEAD)

    assert visitor.status == 200
    assert "lead@example.com" in Seen(page).text
    assert len(visitor.http.cookies) == 1
    visitor.post("/sync/take-back", {"id": "0"}, headers=LEAD)
    assert visitor.status != 403


def test_the_header_of_a_trusted_proxy_from_another_address_opens_nothing(proxied: Site) -> None:
    """It is believed from the address of the proxy only, whatever else the request says about where it came from."""
    for more in ({}, {"X-Forwarded-For": "127.0.0.2"}, {"Forwarded": "for=127.0.0.2"}, {"X-Real-IP": "127.0.0.2"}):
        answer = requests.get(proxied.url, headers={**LEAD, **more}, timeout=30)
        assert answer.status_code == 401, more
        assert "set-cookie" not in answer.headers


def test_a_session_of_the_proxy_is_good_through_the_proxy_only(proxied: Site) -> None:
    """A stolen cookie alone opens nothing, not even through the proxy without its word, or with another user's."""
    visitor = through_proxy(proxied)
    visitor.get("/", headers=LEAD)
    stolen = cookie_of(visitor)

    assert requests.get(proxied.url, headers=stolen, timeout=30).status_code == 401
    assert through_proxy(proxied).http.get(proxied.url, headers=stolen, timeout=30).status_code == 401
    other = through_proxy(proxied).http.get(
        proxied.url, headers={**stolen, "X-Remote-User": "deputy@example.com"}, timeout=30
    )
    assert "deputy@example.com" in other.text
    assert "lead@example.com" not in other.text


@pytest.mark.parametrize(
    "who", ["mallory@example.com", "", " ", "lead@example.com,mallory", "LEAD@EXAMPLE.COM", "*", "lead@example.com\x00"]
)
def test_a_user_who_is_not_allowed_does_not_come_in(proxied: Site, who: str) -> None:
    """Also one whom the proxy has signed in."""
    answer = raw_through_proxy(proxied, [("X-Remote-User", who)])

    assert b" 401 " in answer or b" 400 " in answer
    assert b"script.example" not in answer


def test_a_header_that_the_browser_added_to_the_one_of_the_proxy_opens_nothing(proxied: Site) -> None:
    """Twice the header: one of the two was not the proxy's."""
    named = [("X-Remote-User", "lead@example.com"), ("X-Remote-User", "mallory@example.com")]

    assert b" 401 " in raw_through_proxy(proxied, named)
    assert b" 401 " in raw_through_proxy(proxied, named[::-1])
    assert b" 200 " in raw_through_proxy(proxied, named[:1])


def test_a_session_that_ended_is_begun_anew_through_the_proxy(
    hostile: World, open_site: OpenSite, tmp_path: Path
) -> None:
    """Who comes with an old cookie gets a new one, so that his forms are taken."""
    at = [datetime.now(UTC)]
    site = open_site(behind_proxy(hostile, tmp_path), clock=lambda: at[0])
    visitor = through_proxy(site)
    visitor.get("/", headers=LEAD)
    (old,) = visitor.http.cookies.values()
    at[0] += timedelta(days=2)
    visitor.get("/", headers=LEAD)

    assert visitor.http.cookies.values() != [old]
    visitor.post("/sync/take-back", {"id": "0"}, headers=LEAD)
    assert visitor.status != 403


def test_without_configuration_the_header_opens_nothing(site: Site) -> None:
    """Nobody is believed by a header unless the configuration says which and from whom."""
    for name in ("X-Remote-User", "X-Forwarded-User", "Remote-User", "X-Forwarded-Email", ""):
        headers = {name: "lead"} if name else {}
        assert requests.get(site.url, headers=headers, timeout=30).status_code == 401


def test_behind_a_proxy_no_link_opens_anything(proxied: Site) -> None:
    """There is one way in."""
    token = proxied.website._access.token

    link = f"{proxied.url}/sign-in?token={token}"
    answer = through_proxy(proxied).http.get(link, headers=LEAD, timeout=30, allow_redirects=False)

    assert proxied.website.link == ""
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def raw_through_proxy(site: Site, headers: list[tuple[str, str]]) -> bytes:
    """What is answered to a request from the address of the proxy, with headers as they are."""
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30, source_address=("127.0.0.2", 0)) as connection:
        lines = ["GET / HTTP/1.1", f"Host: {host}", "Connection: close", *(f"{n}: {v}" for n, v in headers), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


# --- what answers bear


def test_every_kind_of_answer_forbids_foreign_scripts_frames_and_caches(
    hostile: World, open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page, JSON, file, form, redirect, and each kind of error, for who is signed in and for who is not."""

    def breaks(_: Any) -> Any:
        raise RuntimeError(SCRIPT)

    monkeypatch.setattr(start_page, "PAGES", {**start_page.PAGES, "/breaks": breaks})
    broken = open_site(hostile)
    visitor = broken.visitor()
    page = visitor.page
    answers = {200: [page]}

    def ask(method: str, path: str, **options: Any) -> None:
        options.setdefault("timeout", 30)
        answer = visitor.http.request(method, broken.url + path, allow_redirects=False, **options)
        answers.setdefault(answer.status_code, []).append(answer)

    for path in (
        "/",
        "/activity",
        "/static/review.css",
        "/static/review.js",
        "/static/icon.svg",
        "/health",
        "/nothing",
    ):
        ask("GET", path)
    # After an error the server closes the connection: a client that means to use it again would be told so only then.
    ask("GET", "/breaks", headers={"Connection": "close"})
    ask("GET", "/sync/")
    ask("GET", "/static/nothing")
    ask("PUT", "/")
    ask("POST", "/sync", data={"csrf": "x"})
    ask("POST", "/sync", data={"csrf": "x" * 2_100_000})
    ask("GET", "/", headers={"Host": "evil.example"})
    ask("GET", broken.website.link.removeprefix(broken.url))
    visitor.http.cookies.clear()
    ask("GET", "/")
    ask("GET", "/nothing")
    ask("POST", "/sync")
    assert {200, 204, 303, 400, 401, 403, 404, 405, 413, 500} <= set(answers)
    for status, found in answers.items():
        for answer in found:
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'none'", status
            assert policy["frame-ancestors"] == "'none'"
            assert policy["base-uri"] == "'none'"
            assert policy["form-action"] == "'self'"
            assert set(policy.values()) <= {"'none'", "'self'"}
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers
    for answer in answers[500]:
        assert "RuntimeError" not in answer.text
        assert "attacked" not in answer.text
        assert "Traceback" not in answer.text


def test_the_cookie_is_out_of_reach_for_scripts_and_foreign_pages(site: Site, proxied: Site) -> None:
    """HttpOnly and SameSite always; Secure where the proxy speaks HTTPS to the browser."""
    plain = requests.get(site.website.link, timeout=30, allow_redirects=False).headers["set-cookie"]
    proxy = through_proxy(proxied).http
    secure = proxy.get(proxied.url, headers={**LEAD, "X-Forwarded-Proto": "https"}, timeout=30).headers["set-cookie"]
    parts = [{part.strip().lower() for part in cookie.split(";")} for cookie in (plain, secure)]

    for found in parts:
        assert {"httponly", "samesite=lax", "path=/"} <= found
        assert not any(part.startswith("domain") for part in found)
    assert "secure" not in parts[0]
    assert "secure" in parts[1]


# --- names that attack


def test_markup_in_names_is_shown_as_text_on_every_page(walked: tuple[dict[str, str], list[str]]) -> None:
    """No element, attribute or address of a page comes from a name; and the names are there to be read."""
    texts = ""
    for address, text in walked[0].items():
        if text.startswith(("{", "[")):
            continue
        seen = Seen(text)
        texts += seen.text
        for tag, found in seen.elements:
            where = f"{address}: <{tag} {found}>"
            assert not [name for name in found if name.startswith("on") or name == "style"], where
            assert tag not in ("style", "iframe", "object", "embed", "base", "foreignobject"), where
            assert tag != "script" or found == {"src": "/static/review.js", "defer": ""}, where
            assert tag != "img" or found["src"] == "/static/icon.svg", where
            if found.get("target") == "_blank":
                assert "noopener" in found["rel"], where
        for value in seen.addresses:
            assert re.match(r"(/(?![/\\])|#|\?|https?://|$)", value), f"{address}: {value}"
    for attack in ATTACKS:
        assert attack in texts
    assert "49{% raw" not in texts


def test_markup_in_names_runs_nothing_in_a_browser(
    site: Site, walked: tuple[dict[str, str], list[str]], chromium: Any
) -> None:
    """No script runs, no dialog opens, and nothing is there that the policy would have to stop."""
    context = chromium.new_context()
    try:
        page = context.new_page()
        said: list[str] = []
        page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(site.website.link)
        for address, text in walked[0].items():
            if "attacked" not in text or text.startswith(("{", "[")):
                continue
            page.goto(site.url + address)
            assert page.evaluate("window.attacked") is None, address
            assert [text for text in said if "404" not in text] == [], address
        page.goto("about:blank")
        page.set_content(f"<p>{SCRIPT}</p>")
        assert page.evaluate("window.attacked") == 1  # so that the check above is one
    finally:
        context.close()


# --- what is sent in addresses and fields


NASTY = (
    "'; DROP TABLE m365.users; --",
    "' OR '1'='1",
    "%",
    "\\",
    "\x00",
    "9" * 40,
    "-1",
    "NaN",
    SCRIPT,
    "\N{PILE OF POO}" * 50,
)
FIELDS = re.findall(
    r"\w+",
    "q page show score state field tenant level run from to seen status connection what which name back organization"
    " user kind brake filter resource",
)


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_no_value_in_an_address_breaks_a_page(site: Site, value: str) -> None:
    """SQL, markup, huge and odd values in every field of every page: never an error of the program, nothing changed."""
    visitor = site.visitor()
    counts = "SELECT (SELECT count(*) FROM m365.users), (SELECT count(*) FROM match.organizations)"
    before = site.world.rows(counts), held(site.world)
    for path in routes()[0]:
        address = filled(path, site.world)[0]
        text = visitor.get(address, params=dict.fromkeys(FIELDS, value))
        assert visitor.status in (200, 400, 404), (address, text)
        assert "json" in visitor.page.headers["content-type"] or "<script>window" not in text, address
    assert (site.world.rows(counts), held(site.world)) == before


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_no_id_in_an_address_breaks_a_page(site: Site, value: str) -> None:
    """An id that nobody has is not found."""
    visitor = site.visitor()
    for path in routes()[0]:
        if "{" in path:
            text = visitor.get(re.sub(r"\{\w+\}", quote(value, safe=""), path))
            # With a slash in it, it is the address of a form.
            assert visitor.status in ((404, 405) if "/" in value else (404,)), (path, text)


def test_sql_in_a_search_is_searched_for(site: Site) -> None:
    """A condition that is always true finds what a name that nobody has finds."""
    visitor = site.visitor()
    for path in routes()[0]:
        address = filled(path, site.world)[0]
        texts = []
        for q in ("x' OR '1'='2", "x' OR '1'='1"):
            seen = Seen(visitor.get(address, params={"q": q})).text.replace(q, "…")
            texts.append(CLOCK.sub("…", seen))
        assert texts[0] == texts[1], address


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/../../config.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/..%5capp.py",
        "/static/../templates/base.html",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/%00",
        "/static/",
        "/static/../plan",
        "/static/%2e%2e/plan",
        "/static/..%2fplan",
        "/sign-in/../plan",
        "/sign-in/..%2fplan",
        "/health/%2e%2e/plan",
        "/health%2f..%2fplan",
        "//evil.example/plan",
        "//evil.example/%2e%2e/",
        "/\\evil.example/",
        "/tenants/..%2f..%2fetc%2fpasswd",
        "/tenants/%2e%2e/%2e%2e/plan",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_path_tricks_lead_nowhere(site: Site, path: str) -> None:
    """No file outside, no page without a session, no way to another site, no error of the program."""
    visitor = site.visitor()
    for headers, statuses in (({}, (401, 404)), (cookie_of(visitor), (401, 404, 405))):
        answer = raw(site, "GET", path, headers)
        text = answer.body.decode()  # type: ignore[attr-defined]
        if answer.status == 307:
            where = answer.getheader("location")
            assert where is not None
            assert where.startswith(f"{site.url}/")
            continue
        assert answer.status in statuses
        assert "root:" not in text
        assert "import" not in text
        assert "{%" not in text


# --- secrets


def test_no_page_holds_a_secret(site: Site, walked: tuple[dict[str, str], list[str]]) -> None:
    """Neither those of the configuration nor the sign-in token, the cookie, or where secrets are kept."""
    pages, own = walked
    for address, text in pages.items():
        for secret in (*secrets_of(site.world), *own):
            assert secret not in text, address


def test_the_terminal_shows_no_secret(hostile: World, tmp_path: Path) -> None:
    """The command prints the link that is good now, and nothing of secrets, cookies or requests."""
    config = behind_proxy(hostile, tmp_path).config
    config.write_text(config.read_text(encoding="utf-8").replace(PROXY, ""), encoding="utf-8")
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "o365_etl", "review", "--port", "0", "--config", str(config)],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        link = until_found(output, r"http://\S+/sign-in\?token=\S+", 1)[0]
        visitor = Visitor(link.partition("/sign-in")[0])
        visitor.get(link)
        assert visitor.status == 200
        csrf = visitor.csrf
        for path in ("/plan", "/nothing", "/static/%00", "/tenants/x"):
            visitor.get(path)
        visitor.get(link)
        next_link = until_found(output, r"http://\S+/sign-in\?token=\S+", 2)[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    said = output.read_text(encoding="utf-8")

    assert link != next_link
    for once in (link, next_link):
        assert said.count(once.partition("token=")[2]) == 1
    for secret in (*secrets_of(hostile), csrf, *visitor.http.cookies.values(), "script.example", "/tenants/"):
        assert secret not in said
    assert "Traceback" not in said


def secrets_of(world: World) -> list[str]:
    simulator = world.simulator
    return [simulator.itglue_api_key, simulator.partner.client_secret, "itglue_api_key", "secret_partner"]


def until_found(file: Path, pattern: str, count: int) -> list[str]:
    deadline = time.monotonic() + 60
    while len(found := re.findall(pattern, file.read_text(encoding="utf-8"))) < count:
        assert time.monotonic() < deadline, file.read_text(encoding="utf-8")
        time.sleep(0.05)
    return found
