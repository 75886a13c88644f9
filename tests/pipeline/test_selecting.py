"""Choosing what is synced: the counts are those of the next sync, and a wrong name changes nothing."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from o365_etl.errors import ConfigError
from o365_etl.pipeline.choices import choices
from o365_etl.pipeline.naming import AmbiguousNameError
from o365_etl.pipeline.selecting import Wanted, change
from o365_etl.simulator import (
    Estate,
    SimContact,
    SimEmail,
    SimLicense,
    SimMailbox,
    SimOrganization,
    SimSku,
    SimTenant,
    SimUser,
)
from tests.conftest import World

Start = Callable[..., World]
E3, FREE = "05e9a617-0261-4cee-bb44-138d3ef5d965", "f30db892-07e9-47e9-837c-80727f46fd3d"
SPB = "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"
F1, F1_TOO = "44575883-256e-4a79-9da4-ebe9acabe2b2", "50f60901-3181-4b75-8a2c-4c8e4c1d5a72"


def person(name: str, *skus: str, domain: str = "alpha.example", **more: Any) -> SimUser:
    user = SimUser.person(name, "Doe", domain, skus=skus)
    for key, value in more.items():
        setattr(user, key, value)
    return user


@pytest.fixture
def estate() -> Estate:
    return of_all_sorts()


def of_all_sorts(*contacts: str) -> Estate:
    """One of each sort in Alpha, two in Beta, which has a connection of its own; contacts for these of Alpha."""
    failed = person("Failed")
    failed.licenses = [SimLicense(E3, state="Error", error="CountViolation")]
    people = [
        person("Anna", "SPB"),
        person("Bo", "SPE_E3"),
        person("Both", "SPE_E3", "FLOW_FREE"),
        person("Free", "FLOW_FREE"),
        person("None"),
        person("Guest", "SPB", user_type="Guest"),
        person("Visitor", user_type="Guest"),
        person("Off", "SPB", account_enabled=False),
        person("Offguest", "SPB", account_enabled=False, user_type="Guest"),
        person("Shared", "SPB", mailbox=SimMailbox(kind="shared")),
        person("Sharedfree", mailbox=SimMailbox(kind="shared"), account_enabled=False),
        person("Room", "SPB", mailbox=SimMailbox(kind="room")),
        failed,
    ]
    beta = [person("Di", "SPB", domain="beta.example"), person("Ed", domain="beta.example")]
    return Estate.build(
        [
            SimTenant("Alpha", users=people, skus=[SimSku("SPB"), SimSku("SPE_E3"), SimSku("FLOW_FREE")]),
            SimTenant("Beta", users=beta, direct=True, listed_in="none"),
        ],
        [SimOrganization("Alpha", 101), SimOrganization("Beta", 102)],
        [SimContact(101, name, "Doe", emails=[SimEmail(f"{name.lower()}.doe@alpha.example")]) for name in contacts],
    )


@pytest.fixture
def world(start: Start, estate: Estate) -> World:
    world = start(estate)
    world.sync()
    return world


def in_scope(world: World) -> set[str]:
    return {row[0] for row in world.rows("SELECT given_name FROM m365.users WHERE in_scope")}


def raw(world: World) -> dict[str, Any]:
    return tomllib.loads(world.config.read_text(encoding="utf-8"))


STEPS: list[tuple[Wanted, str | None, set[str]]] = [
    (Wanted(guests=True), None, {"Anna", "Bo", "Both", "Guest", "Di"}),
    (Wanted(disabled=True, guests=False), None, {"Anna", "Bo", "Both", "Off", "Di"}),
    (Wanted(shared_mailboxes=True), None, {"Anna", "Bo", "Both", "Off", "Shared", "Di"}),
    (Wanted(skus=("Microsoft 365 E3",)), None, {"Bo", "Both"}),
    (Wanted(skus=("flow_free", SPB), disabled=False, shared_mailboxes=False), None, {"Anna", "Both", "Free", "Di"}),
    (Wanted(skus=("recommended",)), "beta", {"Anna", "Both", "Free", "Di"}),
    (Wanted(skus=("SPE_E3",)), None, {"Bo", "Both", "Di"}),
    (Wanted(users="all"), "beta", {"Bo", "Both", "Di", "Ed"}),
    (Wanted(users="all"), None, {"Anna", "Bo", "Both", "Free", "None", "Failed", "Di", "Ed"}),
    (
        Wanted(guests=True, disabled=True, shared_mailboxes=True),
        None,
        {
            *(
                "Anna",
                "Bo",
                "Both",
                "Free",
                "None",
                "Failed",
                "Guest",
                "Visitor",
                "Off",
                "Offguest",
                "Shared",
                "Sharedfree",
            )
        }
        | {"Di", "Ed"},
    ),
]


def test_what_is_foretold_is_what_the_next_sync_does(world: World) -> None:
    """Box by box: who comes in, who leaves, how many are in scope; a dry run saves nothing and foretells the same."""
    assert in_scope(world) == {"Anna", "Bo", "Both", "Di"}
    for wanted, connection, then in STEPS:
        now = in_scope(world)
        text = world.config.read_text()
        tried = change(world.workspace, wanted, connection, dry_run=True)
        assert world.config.read_text() == text
        done = change(world.workspace, wanted, connection)
        assert (tried["saved"], done["saved"]) == (False, True)
        assert tried["effect"] == done["effect"]
        told = done["effect"]
        world.sync()
        assert in_scope(world) == then, wanted
        assert (told["in_scope_before"], told["in_scope_after"]) == (len(now), len(then)), wanted
        assert (told["come_in"], told["leave"]) == (len(then - now), len(now - then)), wanted
        shown = choices(world.workspace)
        assert shown["scope"]["in_scope"] == len(then)


def test_what_is_foretold_of_contacts_is_what_the_plan_does(start: Start) -> None:
    """Blocked, shared and unlicensed users who leave the selection are marked like those who left; others are not."""
    world = start(of_all_sorts("Anna", "Bo", "Free", "None", "Guest", "Off", "Offguest", "Shared"))
    world.configure(
        '[leavers]\ngrace_days = 0\n[brakes]\nmax_gone_share = 1.0\n[selection]\nusers = "all"\nguests = true\n'
        "disabled = true\nshared_mailboxes = true"
    )
    world.sync()
    matched = "SELECT count(*) FROM match.contacts WHERE status = 'matched'"
    assert world.rows(matched) == [(8,)]
    wanted = Wanted(
        users="licensed", skus=("SPE_E3",), guests=False, disabled=False, shared_mailboxes=False, exclude=("Beta",)
    )
    told = change(world.workspace, wanted)["effect"]
    assert (told["leave"], told["with_contact"], told["to_mark"]) == (12, 7, 4)
    world.sync()
    marked = world.rows(
        "SELECT given_name FROM sync.changes c JOIN m365.users u ON u.user_id = c.subject_id"
        " WHERE action = 'deactivate' ORDER BY 1"
    )
    assert marked == [("None",), ("Off",), ("Offguest",), ("Shared",)]
    assert world.rows(matched) == [(1,)]
    others = (
        "SELECT count(*) FROM sync.changes c JOIN m365.users u ON u.user_id = c.subject_id"
        " WHERE c.resource = 'contact' AND action <> 'deactivate' AND NOT u.in_scope"
    )
    assert world.rows(others) == [(0,)]


def test_the_list(world: World) -> None:
    """Recommended products by users held, then free ones; every box with whom it is about and whom it brings."""
    found = choices(world.workspace)

    assert found["last_read"] is not None
    shown = [(row["sku_part_number"], row["users"], row["tenants"], row["kind"]) for row in found["products"]]
    assert shown == [("SPB", 7, 2, "paid"), ("SPE_E3", 2, 1, "paid"), ("FLOW_FREE", 2, 1, "free")]
    assert [(row["recommended_in"], row["chosen_in"]) for row in found["products"]] == [(2, 2), (1, 1), (0, 0)]
    boxes = {row["box"]: row for row in found["boxes"]}
    assert {box: (row["users"], row["brings"]) for box, row in boxes.items() if box != "licenses"} == {
        "users": (5, 4),
        "guests": (3, 1),
        "disabled": (3, 1),
        "shared_mailboxes": (2, 1),
    }
    assert (boxes["licenses"]["products"], boxes["licenses"]["tenants"], boxes["licenses"]["ticked"]) == (3, 2, True)
    assert found["scope"] == {
        "in_scope": 4,
        "guest": 3,
        "disabled": 2,
        "shared_mailbox": 1,
        "resource": 1,
        "unlicensed": 4,
    }
    own = choices(world.workspace, "BETA")
    assert [(row["sku_part_number"], row["users"]) for row in own["products"]] == [("SPB", 1)]


def test_unknown_products_are_last_but_count_as_they_count(start: Start, estate: Estate) -> None:
    """A product that nobody knows is in the default selection, and stands where a person looks for doubtful ones."""
    estate.tenants[0].skus += [SimSku("NEW_THING"), SimSku("NEW_TRIAL"), SimSku("SPE_E5", applies_to="Company")]
    estate.tenants[0].users[3].licenses.append(SimLicense(SimSku("NEW_THING").sku_id))
    estate.touch()
    world = start(estate)
    world.sync()
    shown = [
        (row["sku_part_number"], row["kind"], row["recommended_in"]) for row in choices(world.workspace)["products"]
    ]
    assert shown == [
        ("SPB", "paid", 2),
        ("SPE_E3", "paid", 1),
        ("SPE_E5", "paid", 0),
        ("FLOW_FREE", "free", 0),
        ("NEW_TRIAL", "trial", 0),
        ("NEW_THING", "unknown", 1),
    ]
    assert "Free" in in_scope(world)
    assert raw_after(world, skus=("new_thing",)) == ["NEW_THING"]


def raw_after(world: World, connection: str | None = None, **wanted: Any) -> Any:
    """What stands in the file for the one key that this changes."""
    (done,) = change(world.workspace, Wanted(**wanted), connection)["changes"]
    node = raw(world)
    if connection:
        (node,) = [each for each in node["connections"] if each["name"] == connection]
    return node["selection"][done["key"]]


def test_products_by_any_name(world: World) -> None:
    """An id stays an id, a name becomes the part number; also of products that nobody holds yet."""
    for given, saved in (
        (("SPB",), ["SPB"]),
        ((E3.upper(),), [E3]),
        (("spb ", "Microsoft 365 Business\u00a0Premium", "SPB"), ["SPB"]),
        (("microsoft 365 e3", "FLOW_FREE"), ["SPE_E3", "FLOW_FREE"]),
        ((F1_TOO,), [F1_TOO]),
        (("Microsoft Entra ID P1",), ["AAD_PREMIUM"]),
    ):
        assert raw_after(world, skus=given) == saved
    assert choices(world.workspace)["not_held"] == ["AAD_PREMIUM"]
    back = change(world.workspace, Wanted(skus=("recommended",)))
    assert raw(world)["selection"]["skus"] == []
    assert back["effect"]["in_scope_after"] == 4


def test_a_product_nobody_knows_changes_nothing(world: World) -> None:
    """Ambiguous or unknown: refused with the candidates, nothing saved."""
    text = world.config.read_text()
    refusals: list[tuple[tuple[str, ...], type[ConfigError], tuple[str, ...]]] = [
        (("Microsoft 365 F1",), AmbiguousNameError, (F1, F1_TOO)),
        (("SPE_E33",), ConfigError, ("SPE_E3",)),
        (("Microsoft 365 Busness Premium",), ConfigError, ("SPB", SPB)),
        (("SPB", "zzzzzzzz"), ConfigError, ("zzzzzzzz",)),
        (("",), ConfigError, ("no product",)),
        (("d0000000-0000-4000-8000-00000000000f",), ConfigError, ("no product",)),
        (("recommended", "SPB"), ConfigError, ("alone",)),
    ]
    for given, error, words in refusals:
        with pytest.raises(error) as refused:
            change(world.workspace, Wanted(skus=given, guests=True))
        assert all(word in refused.value.line for word in words), refused.value.line
        assert world.config.read_text() == text


def test_a_name_of_two_products_is_the_one_that_is_held(start: Start, estate: Estate) -> None:
    """Two products are called Microsoft 365 F1; where one of them is held it is meant, and saved without doubt."""
    estate.tenants[0].skus.append(SimSku("M365_F1"))
    estate.touch()
    world = start(estate)
    world.sync()
    assert raw_after(world, skus=("Microsoft 365 F1",)) == ["M365_F1"]


def test_tenants_are_left_out_and_taken_back(world: World, estate: Estate) -> None:
    """By name, domain or id, each once; the users of a tenant that is left out leave the scope."""
    alpha, beta = (tenant.tenant_id for tenant in estate.tenants)
    told = change(world.workspace, Wanted(exclude=("alpha", "ALPHA.example", alpha.upper())))
    assert raw(world)["selection"]["exclude_tenants"] == [alpha]
    assert (told["effect"]["leave"], told["effect"]["in_scope_after"], told["effect"]["to_mark"]) == (3, 1, 0)
    world.sync()
    assert world.rows("SELECT status FROM sync.tenants ORDER BY display_name") == [("excluded",), ("ok",)]
    shown = choices(world.workspace)
    assert shown["excluded"] == [{"entry": alpha, "tenant_id": alpha, "microsoft_name": "Alpha"}]
    assert shown["scope"] == {"excluded": 13, "in_scope": 1, "unlicensed": 1}
    assert [row["sku_part_number"] for row in shown["products"]] == ["SPB"]

    assert change(world.workspace, Wanted(exclude=("Alpha",)))["changes"] == []
    back = change(world.workspace, Wanted(include=("Alpha",), exclude=("beta.example",)))
    assert raw(world)["selection"]["exclude_tenants"] == [beta]
    assert (back["effect"]["come_in"], back["effect"]["leave"]) == (3, 1)
    assert change(world.workspace, Wanted(include=("alpha",)))["changes"] == []


def test_an_entry_by_domain_is_the_same_tenant(world: World) -> None:
    """What a person wrote into the file by hand is found again."""
    world.configure('[selection]\nexclude_tenants = ["Alpha.example", "gone.example"]')
    assert change(world.workspace, Wanted(exclude=("Alpha",)))["changes"] == []
    assert choices(world.workspace)["excluded"][1] == {
        "entry": "gone.example",
        "tenant_id": None,
        "microsoft_name": None,
    }
    assert raw_after(world, include=("Alpha", "GONE.example")) == []


def test_a_tenant_that_no_sync_has_seen(world: World) -> None:
    """An id or a domain may be of a tenant to come, and that is said; a name nobody has is refused."""
    done = change(world.workspace, Wanted(exclude=("New.example",)))
    assert raw(world)["selection"]["exclude_tenants"] == ["new.example"]
    assert any("new.example" in note for note in done["notes"])
    for wanted in (Wanted(exclude=("Alhpa",)), Wanted(include=("Nobody",)), Wanted(exclude=("",))):
        with pytest.raises(ConfigError, match="no tenant"):
            change(world.workspace, wanted)
    with pytest.raises(ConfigError, match="excluded and included"):
        change(world.workspace, Wanted(exclude=("Alpha",), include=("alpha.example",)))


def test_aliases(world: World, estate: Estate) -> None:
    """A tenant gets the name a person gives it, and loses it; other aliases stay as they are written."""
    alpha, beta = (tenant.tenant_id for tenant in estate.tenants)
    world.configure(f'[selection.tenant_aliases]\n"{beta.upper()}" = "Beta Group" # as they say')
    change(world.workspace, Wanted(aliases=(("alpha.example", " Alpha  Works "),)))
    assert raw(world)["selection"]["tenant_aliases"] == {alpha: "Alpha Works", beta.upper(): "Beta Group"}
    assert "# as they say" in world.config.read_text()
    world.sync()
    assert world.rows("SELECT display_name, microsoft_name FROM m365.tenants ORDER BY 1") == [
        ("Alpha Works", "Alpha"),
        ("Beta Group", "Beta"),
    ]
    assert {row["alias"]: row["microsoft_name"] for row in choices(world.workspace)["aliases"]} == {
        "Alpha Works": "Alpha",
        "Beta Group": "Beta",
    }
    change(world.workspace, Wanted(no_alias=("Alpha Works", beta)))
    assert raw(world)["selection"]["tenant_aliases"] == {}
    for wanted in (
        Wanted(aliases=(("Alpha", "  "),)),
        Wanted(aliases=(("Alpha", "a\x1bb"),)),
        Wanted(aliases=(("Alpha", "A"), (alpha, "B"))),
        Wanted(aliases=(("Alpha", "A"),), no_alias=("alpha.example",)),
        Wanted(aliases=(("new.example", "A"),)),
    ):
        with pytest.raises(ConfigError):
            change(world.workspace, wanted)


def test_a_connection_of_its_own_mind(world: World, estate: Estate) -> None:
    """A key of a connection wins over the general one; a general change says where it does not count."""
    alpha, beta = (tenant.tenant_id for tenant in estate.tenants)
    world.configure('[selection]\nexclude_tenants = ["old.example"]')
    assert raw_after(world, "beta", exclude=("Beta",)) == ["old.example", beta]
    # the same value as the general one, but from now on its own
    assert raw_after(world, "beta", licenses=True) is True
    done = change(world.workspace, Wanted(licenses=False, include=("Beta",)))
    assert sorted(note.partition("`")[2].partition("`")[0] for note in done["notes"]) == ["licenses"]
    assert choices(world.workspace)["own"] == {"beta": {"licenses": True, "exclude_tenants": ("old.example", beta)}}
    assert choices(world.workspace, "partner")["own"] == {}
    assert choices(world.workspace, "beta")["selection"]["licenses"] is True
    with pytest.raises(ConfigError, match="partner"):
        change(world.workspace, Wanted(exclude=(alpha,)), "beta")
    with pytest.raises(ConfigError, match="no connection named 'nobody'"):
        change(world.workspace, Wanted(guests=True), "nobody")
    aliases = raw_after(world, "beta", aliases=(("Beta", "B"),))
    assert aliases == {beta: "B"}
    assert raw_after(world, "beta", no_alias=("Beta",)) == {}


def test_what_the_environment_overrides_is_not_pretended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that would not count is refused with the variable; another key is saved, without what is overridden."""
    monkeypatch.setenv("O365_ETL_SELECTION__GUESTS", "true")
    text = world.config.read_text()
    with pytest.raises(ConfigError) as refused:
        change(world.workspace, Wanted(guests=False))
    assert "O365_ETL_SELECTION__GUESTS" in refused.value.line
    assert world.config.read_text() == text
    done = change(world.workspace, Wanted(disabled=True))
    assert raw(world)["selection"] == {"disabled": True}
    assert done["effect"]["in_scope_after"] == 7  # with the guests that the environment lets in


def test_before_the_first_sync(start: Start, estate: Estate) -> None:
    """Everything can be chosen already, and no number is made up."""
    world = start(estate)
    found = choices(world.workspace)
    assert (found["last_read"], found["scope"], found["products"]) == (None, None, [])
    assert {row.get("users") for row in found["boxes"]} == {None}
    done = change(world.workspace, Wanted(skus=("SPB",), exclude=(estate.tenants[0].tenant_id,)))
    assert done["effect"] is None
    assert raw(world)["selection"] == {"skus": ["SPB"], "exclude_tenants": [estate.tenants[0].tenant_id]}
    with pytest.raises(ConfigError, match="no tenant"):
        change(world.workspace, Wanted(exclude=("Alpha",)))


def test_licenses_do_not_ask_the_user_filter(world: World) -> None:
    """All products of a tenant are documented, whichever users are chosen; and none without the box."""
    change(world.workspace, Wanted(skus=("SPE_E3",)))
    world.sync()
    assert Counter(world.rows("SELECT DISTINCT sku_id FROM compare.licenses")) == Counter([(SPB,), (E3,), (FREE,)])
    assert world.rows("SELECT DISTINCT out_of_scope_reason FROM m365.users WHERE given_name = 'Anna'") == [
        ("unlicensed",)
    ]
    change(world.workspace, Wanted(licenses=False))
    world.sync()
    assert world.rows("SELECT count(*) FROM compare.licenses") == [(0,)]
