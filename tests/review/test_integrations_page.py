"""The page Active integrations with its list of tenants, and the sync settings of a connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape

import pytest

from o365_etl.pipeline import alerting, queueing
from o365_etl.simulator import Estate, SimOrganization, SimTenant, SimUser
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

NASTY = "<script>alert(1)</script> Ltd"


def estate() -> Estate:
    """Two healthy tenants, one without consent, and one with a connection of its own that cannot sign in."""
    people = [
        SimUser.person("Anna", "Berg", "contoso.example"),
        SimUser.person("Bo", "Dahl", "contoso.example"),
        SimUser.person("Gi", "Ek", "contoso.example", skus=()),
    ]
    return Estate.build(
        tenants=[
            SimTenant("Contoso", users=people),
            SimTenant(NASTY, users=[SimUser.person("Di", "Falk", "scriptalert1scriptltd.example")]),
            SimTenant("Waiting", consented=False),
            SimTenant(
                "Lapwing",
                users=[SimUser.person("Ed", "Gran", "lapwing.example")],
                direct=True,
                secret_state="expired",
                listed_in="none",
            ),
        ],
        organizations=[SimOrganization("Contoso", 101)],
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One synced world, for tests that change nothing of it for good."""
    with world_of(estate(), tmp_path_factory.mktemp("integrations")) as world:
        world.sync()
        yield world


@pytest.fixture
def visitor(synced: World, open_site: Callable[..., Site]) -> Visitor:
    """Somebody who looks at the synced world."""
    return open_site(synced).visitor()


def listed(text: str) -> list[str]:
    """The names in the list of tenants."""
    table = text.partition('<table class="stack tenants">')[2].partition("</table>")[0]
    return [unescape(name) for name in re.findall(r'<th scope="row"><a href="/tenants/[^"]+">(.*?)</a>', table)]


def card(text: str, name: str) -> str:
    """The card of one connection."""
    cards = text.partition("<h2>Connections</h2>")[2].split('<section class="card connection"')[1:]
    return next(each for each in cards if f">{name}</h3>" in each).partition("</section>")[0]


def tenant_id(world: World, name: str) -> str:
    """Microsoft's id."""
    return next(tenant.tenant_id for tenant in world.simulator.estate.tenants if tenant.display_name == name)


def test_before_the_first_sync_the_page_says_so(start: Callable[..., World], open_site: Callable[..., Site]) -> None:
    visitor = open_site(start(estate())).visitor()
    text = visitor.get("/")
    assert visitor.status == 200
    assert "Nothing was synced yet" in text
    assert 'action="/sync"' in text
    assert "Never synced" in card(text, "partner")
    assert "<table" not in text


def test_each_connection_shows_how_its_tenants_stand(visitor: Visitor) -> None:
    text = visitor.get("/")
    partner, lapwing = card(text, "partner"), card(text, "lapwing")
    assert '<a href="/?status=ok&amp;connection=partner#tenants">2</a>' in partner
    assert '<a href="/?status=failing&amp;connection=partner#tenants">1</a>' in partner
    assert "Some tenants fail" in partner
    assert "No tenant is in order" in lapwing
    assert "ended well" in partner
    assert re.search(
        r'<time datetime="[^"]+" title="20\d\d-\d\d-\d\d \d\d:\d\d UTC">(just now|\d+ minutes? ago)</time>', partner
    )


def test_the_list_is_narrowed_by_status_connection_name_and_domain(visitor: Visitor, synced: World) -> None:
    # An expired secret hides the tenant's name: it was never read.
    lapwing = tenant_id(synced, "Lapwing")
    assert listed(visitor.get("/")) == [lapwing, "Waiting", NASTY, "Contoso"]
    assert listed(visitor.get("/?status=failing")) == [lapwing, "Waiting"]
    assert listed(visitor.get("/?status=ok")) == [NASTY, "Contoso"]
    assert listed(visitor.get("/?status=failing&connection=lapwing")) == [lapwing]
    assert listed(visitor.get("/?q=CONTO")) == ["Contoso"]
    assert listed(visitor.get("/?q=contoso.onmicrosoft")) == ["Contoso"]
    assert listed(visitor.get("/", params={"q": tenant_id(synced, "Waiting")})) == ["Waiting"]
    text = visitor.get("/?q=nobody")
    assert listed(text) == []
    assert "No tenant fits" in text


@pytest.mark.parametrize("wrong", ["page=0", "page=-3", "page=9999", "page=x", "page=²", "status=%27", "connection=no"])
def test_wrong_filters_count_as_none(visitor: Visitor, wrong: str) -> None:
    text = visitor.get(f"/?{wrong}")
    assert visitor.status == 200
    assert len(listed(text)) == 4


def test_percent_signs_and_quotes_are_looked_for_as_they_are(visitor: Visitor) -> None:
    for text in ("%", "_", "' OR 1=1 --"):
        assert listed(visitor.get("/", params={"q": text})) == []
        assert visitor.status == 200


def test_a_failing_tenant_says_what_to_do(visitor: Visitor) -> None:
    text = visitor.get("/?connection=lapwing")
    assert "secret_expired" in text
    assert "Create a client secret" in text
    assert "never read" in text


def test_markup_in_names_is_shown_as_text(visitor: Visitor) -> None:
    text = visitor.get("/", params={"q": "<script>alert(1)</script>"})
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Ltd" in text
    assert listed(text) == [NASTY]


def test_many_tenants_are_shown_page_by_page(start: Callable[..., World], open_site: Callable[..., Site]) -> None:
    names = [f"Tenant {number:03}" for number in range(53)]
    world = start(Estate.build(tenants=[SimTenant(name, consented=False) for name in names]))
    world.sync()
    visitor = open_site(world).visitor()
    first = visitor.get("/?q=tenant")
    assert listed(first) == names[:50]
    assert 'href="/?q=tenant&amp;page=2"' in first
    assert listed(visitor.get("/?q=tenant&page=2")) == names[50:]
    assert listed(visitor.get("/?q=tenant&page=77")) == names[50:]


def test_a_sync_that_runs_or_failed_is_told(synced: World, visitor: Visitor) -> None:
    state, at = synced.workspace.state, datetime.now(UTC)
    state.start_run("by-hand", "manual", at)
    assert "Syncing…" in card(visitor.get("/"), "partner")
    state.finish_run("by-hand", at, "failed")
    text = visitor.get("/")
    assert "The last sync failed" in card(text, "partner")
    assert '<a href="/log?run=by-hand">' in text
    # Taking up a decision is no sync, and hides none.
    state.start_run("decided", "decision", at)
    state.finish_run("decided", at, "ok")
    assert "The last sync failed" in card(visitor.get("/"), "partner")
    state.start_run("later", "schedule", at)
    state.finish_run("later", at, "ok", tenants_ok=2, tenants_failed=2)
    assert "ended well" in card(visitor.get("/"), "partner")


def test_what_is_queued_can_be_taken_back_once(synced: World, visitor: Visitor) -> None:
    row = queueing.queue(synced.workspace, trigger="queue", who="<b>eve</b>", tenants=["Contoso"], minutes=30)
    text = visitor.get("/")
    assert "Contoso, due" in text
    assert "&lt;b&gt;eve&lt;/b&gt;" in text
    text = visitor.post("/sync/take-back", {"request": row["request_id"]})
    assert "was taken back" in text
    assert "Contoso, due" not in text
    visitor.post("/sync/take-back", {"request": row["request_id"]})
    assert visitor.status == 409
    visitor.get("/")
    visitor.post("/sync/take-back", {"request": "never"})
    assert visitor.status == 404
    assert not synced.workspace.state.requests.open()


def test_standing_alerts_are_listed_with_where_to_look(synced: World, visitor: Visitor) -> None:
    assert "What needs attention" not in visitor.get("/")
    alerting.look(synced.workspace)
    text = visitor.get("/")
    assert '<a href="/?status=failing#tenants">A tenant cannot be read</a>' in text
    assert f'<a href="/tenants/{tenant_id(synced, "Lapwing")}">' in text
    assert "A tenant waits for consent" in text


@pytest.mark.parametrize(
    ("mode", "said"),
    [("off", "nothing is written"), ("plan", "until a person approves"), ("apply", "each sync writes")],
)
def test_the_mode_is_told_in_words(
    synced: World, open_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, mode: str, said: str
) -> None:
    monkeypatch.setenv("O365_ETL_ITGLUE__MODE", mode)
    assert said in open_site(synced).visitor().get("/")


def test_one_tenant_or_those_that_failed_can_be_synced(
    start: Callable[..., World], open_site: Callable[..., Site]
) -> None:
    world = start(estate())
    world.sync()
    visitor = open_site(world).visitor()
    text = visitor.get("/")
    assert f'name="tenant" value="{tenant_id(world, "Contoso")}"' in text
    text = visitor.post("/sync", {"tenant": tenant_id(world, "Contoso"), "back": "/?q=contoso"})
    assert "The sync of Contoso was started" in text
    assert visitor.page.url.endswith("/?q=contoso")
    visitor.wait_idle()
    run = world.workspace.state.runs(limit=1)[0]
    assert (run["trigger"], run["status"], run["tenants_ok"], run["tenants_failed"]) == ("manual", "ok", 1, 0)

    lapwing = next(each for each in world.simulator.estate.tenants if each.display_name == "Lapwing")
    lapwing.secret_state = "ok"
    world.simulator.estate.touch(lapwing.tenant_id)
    visitor.post("/sync", {"failed": "yes"})
    visitor.wait_idle()
    run = world.workspace.state.runs(limit=1)[0]
    assert (run["status"], run["tenants_ok"], run["tenants_failed"]) == ("ok", 1, 0)
    assert "OK" in card(visitor.get("/"), "lapwing")


def test_a_tenant_that_is_not_known_or_not_read_is_not_synced(synced: World, visitor: Visitor) -> None:
    before = synced.workspace.state.runs()
    visitor.get("/")
    visitor.post("/sync", {"tenant": "--failed"})
    assert visitor.status == 404
    visitor.get("/")
    visitor.post("/connections/lapwing/pause", {"paused": "yes"})
    text = visitor.post("/sync", {"tenant": tenant_id(synced, "Lapwing")})
    assert visitor.status == 409
    assert "is paused or was removed" in text
    visitor.get("/")
    visitor.post("/connections/lapwing/pause", {"paused": "no"})
    assert visitor.wait_idle()["kind"] == "idle"
    assert synced.workspace.state.runs() == before


# --- pause and settings


@pytest.fixture
def own(synced: World) -> Iterator[World]:
    """The synced world; its configuration is as before afterwards."""
    before = synced.config.read_bytes()
    yield synced
    synced.config.write_bytes(before)


def fields_of(text: str) -> dict[str, list[str]]:
    """The hidden fields of the form that saves."""
    form = text.partition('id="preview"')[2].partition("<form")[2].partition("</form>")[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form):
        found.setdefault(name, []).append(unescape(value))
    return found


def test_a_connection_is_paused_and_resumed(own: World, open_site: Callable[..., Site]) -> None:
    visitor = open_site(own).visitor()
    visitor.get("/")
    text = visitor.post("/connections/lapwing/pause", {"paused": "yes"})
    assert own.settings.connections[1].paused
    assert "lapwing is paused" in text
    text = visitor.get("/")
    assert "Paused" in card(text, "lapwing")
    assert "not while it is paused" in card(text, "lapwing")
    assert "Sync now" not in card(text, "lapwing")
    assert "not while it is paused" not in card(text, "partner")
    visitor.post("/connections/lapwing/pause", {"paused": "no"})
    assert not own.settings.connections[1].paused


def test_an_unknown_connection_is_not_found(visitor: Visitor, synced: World) -> None:
    before = synced.config.read_bytes()
    visitor.get("/connections/nobody")
    assert visitor.status == 404
    visitor.get("/")
    for path in ("/connections/nobody", "/connections/nobody/pause"):
        visitor.post(path, {"paused": "yes"})
        assert visitor.status == 404
        visitor.get("/")
    assert synced.config.read_bytes() == before


def test_a_change_is_previewed_and_then_saved(own: World, open_site: Callable[..., Site]) -> None:
    visitor = open_site(own).visitor()
    before = own.config.read_bytes()
    text = visitor.get("/connections/partner")
    assert "1 user; would bring 1 into scope" in text
    assert "What this change means" not in text
    text = visitor.get(
        "/connections/partner?preview=1&products=recommended&users=all&licenses=yes&exclude=contoso.example"
    )
    assert "What this change means" in text
    assert re.search(r"Users without a license</th><td[^>]*>no</td><td[^>]*>yes<", text)
    assert re.search(r"Excluded tenants</th><td[^>]*>none</td><td[^>]*>Contoso<", text)
    assert re.search(r"Leave it</dt><dd>− 2<", text)
    assert own.config.read_bytes() == before
    fields = fields_of(text)
    assert fields.keys() == {"csrf", "seen", "users", "exclude"}
    text = visitor.post("/connections/partner", fields)
    assert "were saved" in text
    assert "does not wait for the schedule" in text
    saved = own.settings.connections[0].selection
    assert saved.model_dump(exclude_none=True) == {
        "users": "all",
        "exclude_tenants": (tenant_id(own, "Contoso"),),
    }
    # And taken in again.
    text = visitor.get("/connections/partner")
    assert "Sync again: Contoso" in text
    text = visitor.get(
        "/connections/partner",
        params={"preview": "1", "users": "all", "licenses": "yes", "include": tenant_id(own, "Contoso")},
    )
    visitor.post("/connections/partner", fields_of(text))
    assert own.settings.connections[0].selection.exclude_tenants == ()


def test_products_are_chosen_and_recommended_again(own: World, open_site: Callable[..., Site]) -> None:
    visitor = open_site(own).visitor()
    text = visitor.get("/connections/partner")
    product = re.search(r'name="sku" value="([^"]+)" checked', text)
    assert product
    text = visitor.get("/connections/partner?preview=1&licenses=yes&products=chosen")
    assert "No product is chosen" in text
    text = visitor.get(f"/connections/partner?preview=1&licenses=yes&products=chosen&sku={product[1]}")
    visitor.post("/connections/partner", fields_of(text))
    assert len(own.settings.selection_for("partner").skus) == 1
    # Nothing but what was changed is ever written: the same again changes nothing.
    text = visitor.get(f"/connections/partner?preview=1&licenses=yes&products=chosen&sku={product[1]}")
    assert "Nothing to change" in text
    text = visitor.get("/connections/partner?preview=1&licenses=yes&products=recommended")
    assert "every recommended product" in text
    visitor.post("/connections/partner", fields_of(text))
    assert own.settings.selection_for("partner").skus == ()


def test_what_somebody_else_saved_since_the_preview_is_not_overwritten(
    own: World, open_site: Callable[..., Site]
) -> None:
    site = open_site(own)
    visitor = site.visitor()
    text = visitor.get("/connections/partner?preview=1&licenses=yes&guests=yes")
    fields = fields_of(text)
    other = site.visitor()
    other.post("/connections/partner", fields_of(other.get("/connections/partner?preview=1&licenses=yes&disabled=yes")))
    before = own.config.read_bytes()
    text = visitor.post("/connections/partner", fields)
    assert visitor.status == 409
    assert "changed by somebody else" in text
    assert own.config.read_bytes() == before


def test_a_tenant_nobody_knows_is_refused_and_the_form_keeps_what_was_typed(visitor: Visitor) -> None:
    text = visitor.get("/connections/partner?preview=1&licenses=yes&guests=yes&exclude=Contosso+%3Cb%3E")
    assert visitor.status == 200
    assert "No tenant is known as" in text
    assert "Contosso &lt;b&gt;</textarea>" in text
    assert 'name="guests" value="yes" checked' in text
    assert "What this change means" not in text


def test_what_the_environment_sets_is_named_and_locked(
    own: World, open_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("O365_ETL_CONNECTIONS__0__SELECTION__GUESTS", "true")
    monkeypatch.setenv("O365_ETL_SELECTION__DISABLED", "true")
    monkeypatch.setenv("O365_ETL_CONNECTIONS__1__PAUSED", "true")
    visitor = open_site(own).visitor()
    text = visitor.get("/connections/partner")
    assert re.search(r'name="guests" value="yes" checked disabled', text)
    assert "O365_ETL_CONNECTIONS__0__SELECTION__GUESTS" in text
    assert re.search(r'name="disabled" value="yes" checked>', text)
    assert "O365_ETL_SELECTION__DISABLED" in text
    # A browser does not send what is disabled: that is no wish to change it.
    text = visitor.get("/connections/partner?preview=1&licenses=yes")
    assert fields_of(text).keys() == {"csrf", "seen", "disabled"}
    text = visitor.post("/connections/lapwing/pause", {"paused": "no"})
    assert "PAUSED" in text


def test_before_the_first_sync_settings_can_be_chosen(
    start: Callable[..., World], open_site: Callable[..., Site]
) -> None:
    world = start(estate())
    visitor = open_site(world).visitor()
    assert "come with the first sync" in visitor.get("/connections/partner")
    text = visitor.get("/connections/partner?preview=1&guests=yes&licenses=yes")
    assert "shows after the first sync" in text
    visitor.post("/connections/partner", fields_of(text))
    assert world.settings.selection_for("partner").guests
