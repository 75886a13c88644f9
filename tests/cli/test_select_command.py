"""`o365-etl select` as people use it: what it lists, what it saves, what it refuses."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.simulator import Estate, SimUser
from tests.conftest import World

Start = Callable[..., World]
Select = Callable[..., Result]


@pytest.fixture
def world(start: Start, contoso: Estate) -> World:
    """Two tenants with a guest, a blocked user, and somebody with a free product alone."""
    more = [SimUser.person(name, "Extra", "contoso.example") for name in ("Gast", "Weg")]
    more[0].user_type, more[1].account_enabled = "Guest", False
    free = SimUser.person("Free", "Extra", "contoso.example", skus=["FLOW_FREE"])
    contoso.tenants[0].users = [*contoso.tenants[0].users, *more, free]
    contoso.touch()
    return start(contoso)


@pytest.fixture
def select(world: World) -> Select:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["select", *arguments, "--config", str(world.config)], catch_exceptions=False)

    return run


def selection(world: World) -> dict[str, Any]:
    return dict(tomllib.loads(world.config.read_text(encoding="utf-8")).get("selection", {}))


def test_before_the_first_sync_it_lists_the_boxes(select: Select) -> None:
    """No count is made up, and it is said why."""
    result = select()
    assert result.exit_code == 0
    assert "Nothing has been read yet" in result.stdout
    assert re.search(r"guests +no *\n", result.stdout)
    document = json.loads(select("--json").stdout)
    assert (document["scope"], document["products"]) == (None, [])


def test_the_list(world: World, select: Select) -> None:
    """Products with names and holders, boxes with whom they bring, tenants left out, names."""
    world.sync()
    tenant_id = world.rows("SELECT tenant_id FROM m365.tenants WHERE display_name = 'Contoso'")[0][0]
    world.configure(
        f'[selection]\nexclude_tenants = ["gone.example"]\nskus = ["SPB", "MISSPELT"]\n'
        f'[selection.tenant_aliases]\n"{tenant_id}" = "Contoso\\u001b[31m Group"'
    )
    result = select()
    assert result.exit_code == 0
    shown = result.stdout
    assert re.search(r"yes +Microsoft 365[^\n]* SPB +6 +2 +paid +yes", shown)
    assert shown.index("SPB") < shown.index("FLOW_FREE")
    assert re.search(r"no +Microsoft Power[^\n]* FLOW_FREE +1 +1 +free +no", shown)
    assert re.search(r"guests +no +1 users; it would bring 1", shown)
    assert re.search(r"licenses +yes +2 products of 2 tenants", shown)
    assert "nobody holds it: MISSPELT" in shown
    assert "gone.example" in shown
    assert "Group" in shown
    assert "\x1b" not in shown
    document = json.loads(select("--json").stdout)
    assert document["selection"]["exclude_tenants"] == ["gone.example"]
    assert [row["sku_part_number"] for row in document["products"]] == ["SPB", "FLOW_FREE"]


def test_a_change_says_what_it_means_and_saves(world: World, select: Select) -> None:
    """The file keeps its comments; the sync after it does what was said."""
    world.sync()
    world.configure("# what the desk decided\n[selection]\ndisabled = false # not yet")
    before = world.config.read_text()
    tried = select("--guests", "--disabled", "--dry-run")
    assert tried.exit_code == 0
    assert "2 users come into scope, 0 leave it; 6 are in scope then (4 now)" in tried.stdout
    assert "Nothing was saved" in tried.stdout
    assert world.config.read_text() == before

    done = select("--guests", "--disabled")
    assert done.exit_code == 0
    assert "from the next sync on" in done.stdout
    assert selection(world) == {"disabled": True, "guests": True}
    assert "# what the desk decided" in world.config.read_text()
    assert "# not yet" in world.config.read_text()
    world.sync()
    assert world.rows("SELECT count(*) FROM m365.users WHERE in_scope") == [(6,)]

    again = select("--guests")
    assert "Nothing to change" in again.stdout
    back = select("--no-disabled", "--json")
    document = json.loads(back.stdout)
    assert document["changes"] == [{"key": "disabled", "before": True, "after": False}]
    assert (document["saved"], document["effect"]["leave"]) == (True, 1)


def test_leavers_are_told_truthfully(world: World, select: Select) -> None:
    """How many have a contact, how many of these are left alone, and how many are marked after how long."""
    world.sync()
    narrowed = select("--sku", "FLOW_FREE", "--dry-run").stdout
    assert "1 users come into scope, 4 leave it" in narrowed
    assert "No contact is deleted" in narrowed
    assert "2 contacts stay as they are" in narrowed
    assert "marked" not in narrowed


def test_products_and_tenants(world: World, select: Select) -> None:
    """Every option reaches its key."""
    world.sync()
    tenants = dict(world.rows("SELECT display_name, tenant_id FROM m365.tenants"))
    result = select(
        *("--sku", "Microsoft 365 Business Premium", "--sku", "flow_free", "--users", "all", "--shared-mailboxes"),
        *("--no-licenses", "--exclude-tenant", "Fabrikam Ltd", "--alias", "contoso.example", "Contoso Group"),
    )
    assert result.exit_code == 0, result.output
    assert "is not updated any more" in result.stdout
    assert selection(world) == {
        "users": "all",
        "skus": ["SPB", "FLOW_FREE"],
        "shared_mailboxes": True,
        "licenses": False,
        "exclude_tenants": [tenants["Fabrikam Ltd"]],
        "tenant_aliases": {tenants["Contoso"]: "Contoso Group"},
    }
    assert select("--include-tenant", "Fabrikam Ltd", "--no-alias", "Contoso").exit_code == 0
    assert select("--sku", "recommended", "--connection", "partner", "--licenses").exit_code == 0
    assert (selection(world)["exclude_tenants"], selection(world)["tenant_aliases"]) == ([], {})
    own = tomllib.loads(world.config.read_text())["connections"][0]["selection"]
    assert own == {"skus": [], "licenses": True}
    assert "Connection partner has its own" in select().stdout
    assert "has a `licenses` of its own" in select("--licenses").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sku", "Microsoft 365 F1"), "several products"),
        (("--sku", "SPBB"), "Nearest: cbdc14ab"),
        (("--exclude-tenant", "Contosso"), "Nearest: Contoso"),
        (("--alias", "Contoso", " "), "plain name"),
        (("--connection", "nobody", "--guests"), "Connections: partner"),
        (("--connection", "nobody"), "Connections: partner"),
        (("--users", "some"), "licensed"),
        (("--dry-run",), "needs a change"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    world: World, select: Select, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, the mend beside it."""
    world.sync()
    before = world.config.read_text()
    result = select(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert world.config.read_text() == before


def test_a_file_that_cannot_be_written_says_so(world: World, select: Select) -> None:
    """What the file holds besides must be valid too."""
    world.configure("[selecton]\nguests = true")
    result = select("--guests")
    assert result.exit_code == 2
    assert "selecton" in result.stderr
