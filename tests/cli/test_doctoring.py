"""`o365-etl doctor` as people use it: what is shown, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.simulator import READER_ROLES, Estate, SimOrganization, SimTenant, SimUser
from tests.conftest import World

Start = Callable[..., World]


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments, "--config", str(world.config)], catch_exceptions=False)


def estate(*tenants: SimTenant) -> Estate:
    return Estate.build(tenants=tenants, organizations=[SimOrganization("Contoso")])


def test_a_healthy_world_is_a_short_answer(start: Start, contoso: Estate) -> None:
    """Every group, tenants only counted, nothing to do."""
    result = run(start(contoso))

    assert result.exit_code == 0, result.output
    for head in ("This machine", "IT Glue", "Connections", "Tenants"):
        assert f"{head}\n" in result.stdout
    assert "✓ 2 of 2: in order" in result.stdout
    assert "Contoso" not in result.stdout
    assert "→" not in result.stdout


def test_troubles_come_with_their_mend_and_the_exit_code_of_tenants(start: Start) -> None:
    """The name, what it is, and the link on the line below it; errors first."""
    roles = tuple(role for role in READER_ROLES if role != "User.Read.All")
    world = start(estate(SimTenant("Amber", consented=False), SimTenant("Birch", roles=roles), SimTenant("Fine")))
    result = run(world)

    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    birch = next(
        number for number, line in enumerate(lines) if line.startswith("  ✗ Birch: not granted: User.Read.All")
    )
    amber = next(number for number, line in enumerate(lines) if line.startswith("  ▲ Amber: no administrator"))
    assert birch < amber
    assert lines[birch + 1].startswith("      → Add it to the app registration")
    assert "adminconsent?client_id=" in lines[amber + 1]
    assert "✓ 1 of 3: in order" in result.stdout


def test_a_tenant_that_only_waits_for_consent_is_no_failure(start: Start) -> None:
    """A warning leaves the exit code alone."""
    assert run(start(estate(SimTenant("Amber", consented=False)))).exit_code == 0


def test_many_tenants_with_the_same_trouble_are_one_line(start: Start) -> None:
    """Three by name and the number of the others; each has its own finding in the JSON all the same."""
    tenants = [SimTenant(f"Tenant {n}", users=[_user(n)], concealed=True) for n in range(6)]
    world = start(estate(*tenants))
    shown = run(world).stdout

    assert shown.count("pseudonyms") == 1
    assert "Tenant 0, Tenant 1, Tenant 2 and 3 more: its usage reports" in shown
    document = json.loads(run(world, "--json").stdout)
    assert sum(finding["code"] == "concealed" for finding in document["findings"]) == 6


def _user(number: int) -> SimUser:
    return SimUser.person("Anna", f"Berg{number}", f"tenant{number}.example")


def test_json_is_one_document_with_all_there_is(start: Start) -> None:
    """Counts by level, and each finding with every field; also where the exit code is not 0."""
    world = start(estate(SimTenant("Birch", roles=("Organization.Read.All",))))
    result = run(world, "--json")
    document = json.loads(result.stdout)

    assert result.exit_code == 3
    assert document["counts"]["error"] == 1
    finding = next(each for each in document["findings"] if each["level"] == "error")
    assert set(finding) == {"kind", "name", "level", "code", "what", "why", "mend", "tenant_id"}
    assert finding["tenant_id"] == world.simulator.estate.tenants[0].tenant_id
    assert finding["why"]


@pytest.mark.parametrize("broken", ["key", "secret", "folder"])
def test_what_concerns_everybody_ends_with_1(start: Start, contoso: Estate, broken: str) -> None:
    """IT Glue, a connection, or this machine; a tenant's error beside it changes nothing."""
    contoso.tenants[0].roles = ()
    world = start(contoso)
    text = world.config.read_text()
    if broken == "key":
        (world.simulator.folder / "itglue_api_key").write_text("ITG.wrong")
    elif broken == "secret":
        (world.simulator.folder / "secret_partner").write_text("wrong")
    else:
        (world.folder / "blocked").write_text("a file")
        world.config.write_text(text.replace('data_dir = "data"', 'data_dir = "blocked/data"'))

    assert run(world).exit_code == 1


def test_no_secret_is_shown(start: Start, contoso: Estate) -> None:
    """Neither the key nor the client secret, right or wrong, in any form of the answer."""
    world = start(contoso)
    (world.simulator.folder / "itglue_api_key").write_text("ITG.wrong-key")
    (world.simulator.folder / "secret_partner").write_text("wrong-secret")
    for result in (run(world), run(world, "--json")):
        for secret in ("wrong-key", "wrong-secret", world.simulator.itglue_api_key):
            assert secret not in result.output


def test_only_one_tenant(start: Start, contoso: Estate) -> None:
    """By name; a name that nobody has is a usage error on one line."""
    world = start(contoso)
    assert "✓ 1 of 1: in order" in run(world, "--tenant", "Contoso").stdout

    result = run(world, "--tenant", "Nobody")
    assert result.exit_code == 2
    assert "no tenant is known as 'nobody'" in result.stderr
    assert "Traceback" not in result.output


def test_a_configuration_that_is_wrong_is_said_first(start: Start, contoso: Estate) -> None:
    """There is nothing to examine without one."""
    world = start(contoso)
    world.configure("colour = 1")
    result = run(world)

    assert result.exit_code == 2
    assert "unknown key" in result.stderr


def test_what_a_server_says_cannot_move_the_cursor(start: Start) -> None:
    """Names come from other people's directories."""
    world = start(estate(SimTenant("Bad\x1b[2Jname", roles=())))
    result = run(world)

    assert "\x1b" not in result.stdout
    assert "Bad�[2Jname" in result.stdout
