"""The plan in the browser: what is shown, what an approval is good for, and what may not be waved through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest

from o365_etl.errors import ConflictError
from o365_etl.pipeline import deciding, planned
from o365_etl.simulator import (
    Estate,
    SimAdapter,
    SimContact,
    SimEmail,
    SimOrganization,
    SimTenant,
    SimUser,
)
from tests.conftest import World, world_of
from tests.review.conftest import Site, Visitor

Start = Callable[..., World]
Open = Callable[..., Site]

BOLD = "<b>Bold</b> & Co"


def an_estate() -> Estate:
    """One plan that a brake holds, one that none holds and whose names are markup, one contact that is not ours."""
    return Estate.build(
        tenants=[
            SimTenant(
                "Contoso",
                users=[
                    SimUser.person("Anna", "Berg", "contoso.example"),
                    SimUser.person("Bo", "Dahl", "contoso.example"),
                    SimUser.person("Cy", "Eek", "contoso.example"),
                ],
            ),
            SimTenant(BOLD, users=[SimUser.person("<i>Ida</i>", "Fox", "bold.example", local="ida")]),
        ],
        organizations=[SimOrganization("Contoso", 101), SimOrganization(BOLD, 102)],
        contacts=[
            SimContact(101, "Anna", "Old & <s>grey</s>", emails=[SimEmail("anna.berg@contoso.example", primary=True)]),
            SimContact(
                101,
                "Bo",
                "Dahlgren",
                adapters=[SimAdapter("Autotask")],
                emails=[SimEmail("bo.dahl@contoso.example", primary=True)],
            ),
        ],
    )


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that is synced once; what its tests approve they take away again."""
    with world_of(an_estate(), tmp_path_factory.mktemp("plan")) as world:
        world.sync()
        yield world


@pytest.fixture
def visitor(synced: World, open_site: Open) -> Iterator[Visitor]:
    """Somebody who looks at the plan of that world, of which nothing is approved."""
    yield open_site(synced).visitor()
    synced.workspace.state.approvals.use("nobody", dict(synced.workspace.state.approvals.open()))


def ids(world: World) -> dict[str, str]:
    return dict(world.rows("SELECT display_name, tenant_id FROM m365.tenants"))


def states(world: World) -> dict[str, str]:
    return {row["tenant_name"]: row["state"] for row in planned.by_tenant(world.workspace)}


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, f"no field {name}"
    return unescape(found[1])


def words(text: str) -> str:
    """What a person reads of a page."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def test_the_plan_is_summed_up_by_tenant(synced: World, visitor: Visitor) -> None:
    """Names that are markup are text; a brake is named with its reason; what is not ours is counted apart."""
    text = visitor.get("/plan")
    assert visitor.status == 200
    assert BOLD not in text
    shown = words(text)
    assert BOLD in shown
    assert "of 2 contacts changed (brakes.max_changed_share 0.3)" in shown
    assert states(synced) == {"The account": "planned", BOLD: "planned", "Contoso": "blocked"}
    for tab in ("All 3", "Waiting 2", "Held by a brake 1", "Approved 0", "Not ours to write 1"):
        assert tab in shown
    assert "Nothing is approved yet" in shown


@pytest.mark.parametrize(
    ("address", "is_there", "is_not"),
    [
        ("/plan?state=blocked", "Contoso", BOLD),
        ("/plan?state=planned", BOLD, "Contoso"),
        ("/plan?q=cONTO", "Contoso", BOLD),
        ("/plan?q=%3Cb%3Ebold", BOLD, "Contoso"),
        ("/plan?q=%25", "No tenant fits", "Contoso"),
        ("/plan?state=zzz&page=-3", "Contoso", "No tenant fits"),
        ("/plan?page=999999999999999999", "Contoso", "No tenant fits"),
    ],
)
def test_the_list_is_searched_and_filtered(visitor: Visitor, address: str, is_there: str, is_not: str) -> None:
    shown = words(visitor.get(address))
    table = shown[shown.index("By tenant") :].partition("Who approved what")[0]
    assert is_there in table
    assert is_not not in table


def test_a_tenant_is_shown_field_by_field(synced: World, visitor: Visitor) -> None:
    """Old and new side by side, people by their names, with the way to them; what is not ours says whose it is."""
    contoso = ids(synced)["Contoso"]
    text = visitor.get(f"/plan/{contoso}?resource=contact&action=update")
    assert "<del>Old &amp; &lt;s&gt;grey&lt;/s&gt;</del>" in text
    assert "<ins>Berg</ins>" in text
    user = synced.rows("SELECT user_id FROM m365.users WHERE display_name = 'Anna Berg'")[0][0]
    assert f'href="/tenants/{contoso}/users/{user}">Anna Berg</a>' in text
    assert "waits for approval:" not in text
    shown = words(visitor.get(f"/plan/{contoso}"))
    assert "Approve" in shown
    assert "in spite of the brake" in shown
    assert "Create: License 1" in shown
    assert "owned by the integration Autotask" in words(visitor.get(f"/plan/{contoso}?part=skipped"))
    assert "There is nothing here" in words(visitor.get(f"/plan/{contoso}?part=applied&page=7"))
    bold = visitor.get(f"/plan/{ids(synced)[BOLD]}")
    assert "<i>Ida" not in bold
    assert "<i>Ida</i> Fox" in words(bold)
    assert "Asset type of the account" in words(visitor.get("/plan/account"))
    visitor.get("/plan/nobody")
    assert visitor.status == 404


def test_one_tenant_is_approved_as_it_was_seen(synced: World, visitor: Visitor) -> None:
    """It counts at once, without another sync; who approved it stands below and in the log."""
    bold = ids(synced)[BOLD]
    seen = hidden(visitor.get(f"/plan/{bold}"), "plan_hash")
    shown = words(visitor.post(f"/plan/{bold}", {"plan_hash": seen, "back": "/plan"}))
    assert f"The plan of {BOLD} is approved" in shown
    assert states(synced) == {"The account": "approved", BOLD: "approved", "Contoso": "blocked"}
    assert "Approved 2" in shown
    assert f"lead {BOLD}" in shown
    entry = synced.workspace.state.entries(tenant_id=bold)[-1]
    assert (entry["message"].split(":")[0], entry["detail"]["who"]) == ("plan approved", "lead")


def test_a_plan_that_nobody_saw_is_not_approved(synced: World, visitor: Visitor) -> None:
    """Another plan than the one on the page is shown instead, and nothing is approved."""
    contoso = ids(synced)["Contoso"]
    visitor.get(f"/plan/{contoso}")
    text = visitor.post(f"/plan/{contoso}", {"plan_hash": "0" * 32, "back": "/plan"})
    assert visitor.status == 409
    assert "nothing was approved. This is the plan now." in words(text)
    assert synced.workspace.state.approvals.open() == {}
    with pytest.raises(ConflictError):
        deciding.approve_plan(synced.workspace, (), who="lead", seen={contoso: "0" * 32, ids(synced)[BOLD]: "x"})
    assert synced.workspace.state.approvals.open() == {}


def test_all_means_all_without_a_brake(synced: World, visitor: Visitor) -> None:
    """A brake passes only with its own tick, and the reason is kept."""
    contoso = ids(synced)["Contoso"]
    text = visitor.get("/plan/approve")
    shown = words(text)
    assert "No brake: 1 tenant" in shown
    assert "Held by a brake: 1 tenant" in shown
    seen, tick = hidden(text, "seen"), hidden(text, "tick")
    assert tick.startswith(contoso)
    visitor.post("/plan/approve", {"seen": "0" * 32, "tick": tick})
    assert visitor.status == 409
    assert synced.workspace.state.approvals.open() == {}
    visitor.post("/plan/approve", {"seen": seen})
    assert states(synced)["Contoso"] == "blocked"
    assert states(synced)[BOLD] == "approved"
    text = visitor.get("/plan/approve")
    shown = words(visitor.post("/plan/approve", {"seen": hidden(text, "seen"), "tick": tick, "why": "<u>looked</u>"}))
    assert "in spite of a brake" in shown
    assert "<u>looked</u>" in shown
    assert states(synced)["Contoso"] == "approved"


def test_nothing_ticked_approves_nothing(synced: World, visitor: Visitor) -> None:
    """Of a plan where everything is held by brakes, `all` is none."""
    bold = ids(synced)[BOLD]
    visitor.post(f"/plan/{bold}", {"plan_hash": hidden(visitor.get(f"/plan/{bold}"), "plan_hash")})
    before = synced.workspace.state.approvals.open()
    shown = words(visitor.post("/plan/approve", {"seen": hidden(visitor.get("/plan/approve"), "seen")}))
    assert "Nothing was ticked" in shown
    assert synced.workspace.state.approvals.open() == before


def test_nothing_is_written_that_is_not_approved(synced: World, visitor: Visitor) -> None:
    """Neither without an approval nor for a plan that was another one on the page."""
    shown = words(visitor.get("/plan/apply"))
    assert "Nothing is approved" in shown
    visitor.post("/plan/apply", {"seen": hidden(visitor.page.text, "seen")})
    assert visitor.status == 409
    deciding.approve_plan(synced.workspace, (), who="lead", seen={ids(synced)[BOLD]: hash_of(synced, BOLD)})
    visitor.get("/plan/apply")
    visitor.post("/plan/apply", {"seen": "0" * 32})
    assert visitor.status == 409
    assert visitor.wait_idle()["kind"] == "idle"
    assert all(run["trigger"] != "apply" for run in synced.workspace.state.runs())


def hash_of(world: World, name: str) -> str:
    return str(next(row["plan_hash"] for row in planned.by_tenant(world.workspace) if row["tenant_name"] == name))


def test_in_mode_off_the_button_says_why(synced: World, visitor: Visitor) -> None:
    before = synced.config.read_text(encoding="utf-8")
    synced.config.write_text(before.replace('mode = "plan"', 'mode = "off"'), encoding="utf-8")
    try:
        text = visitor.get("/plan")
        assert "itglue.mode is off" in words(text)
        assert 'href="/plan/apply"' not in text
        visitor.get("/plan/apply")
        visitor.post("/plan/apply", {"seen": hidden(visitor.page.text, "seen")})
        assert visitor.status == 400
    finally:
        synced.config.write_text(before, encoding="utf-8")


def test_an_approval_that_a_run_has_used_is_none_any_more() -> None:
    """A run that was stopped leaves `approved` in the table; what nobody approved again is not shown as approved."""

    def now(state: str, approvals: dict[str | None, str], reason: str = "new") -> str:
        change = {"state": state, "tenant_id": "t", "plan_hash": "h", "reason": reason}
        return planned.state_now(change, approvals)

    assert now("approved", {}) == "planned"
    assert now("approved", {}, "new; waits for approval: too many") == "blocked"
    assert now("blocked", {"t": "h"}) == "approved"
    assert now("blocked", {"t": "other"}) == "blocked"
    assert now("applied", {"t": "h"}) == "applied"


def test_what_is_approved_is_written_and_told(start: Start, open_site: Open) -> None:
    """From the button to IT Glue: only the approved tenant is written; the page and the log say what became of it."""
    estate = an_estate()
    world = start(estate)
    world.sync()
    visitor = open_site(world).visitor()
    bold = ids(world)[BOLD]
    visitor.post(f"/plan/{bold}", {"plan_hash": hidden(visitor.get(f"/plan/{bold}"), "plan_hash")})
    text = visitor.get("/plan/apply")
    changes = sum(row["changes"] for row in planned.by_tenant(world.workspace) if row["state"] == "approved")
    assert f"{changes} changes of 1 tenant" in words(text)
    shown = words(visitor.post("/plan/apply", {"seen": hidden(text, "seen"), "back": "/plan"}))
    assert f"Writing {changes} changes to IT Glue has begun" in shown
    assert visitor.http.get(visitor.url + "/activity").json()["text"].startswith("Writing to IT Glue")
    assert visitor.wait_idle()["kind"] == "idle"

    assert contacts(estate, 102) == ["<i>Ida</i> Fox"]
    assert contacts(estate, 101) == ["Anna Old & <s>grey</s>", "Bo Dahlgren"]
    text = visitor.get("/plan")
    assert f"{changes} written" in words(text)
    run = re.search(r'href="(/runs/[^"]+)">The run', text)
    assert run
    text = visitor.get(run[1])
    assert f"Changes applied {changes}" in words(text)
    assert "create contact applied · <i>Ida</i> Fox" in words(text)
    assert "There is nothing here" in words(visitor.get(f"/plan/{bold}?part=open"))
    assert "Written lately" in words(visitor.page.text)
    assert f"lead {BOLD} ✓ used" in words(visitor.get("/plan"))


def contacts(estate: Any, organization: int) -> list[str]:
    return sorted(
        f"{each.first_name} {each.last_name}" for each in estate.contacts if each.organization_id == organization
    )
