"""A process that ends in the middle of an apply, by force or by Ctrl-C: what is left is done later, nothing twice."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import (
    WHO,
    apply,
    approve,
    approve_and_apply,
    assert_once,
    assert_settled,
    changes,
    counts,
    small_estate,
    tenant_of,
    writes,
)

from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate, Fault, ItGlueBehaviour, SimOrganization
from tests.conftest import World

Start = Callable[..., World]
LATENCY = 0.15
APPLY = """
import sys
from pathlib import Path
from o365_etl.pipeline import applying
from o365_etl.pipeline.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]))
with workspace.writing("killed", "apply", wait_seconds=5):
    applying.apply_plan(workspace, "killed", by_person=True)
"""


def people(letters: str, surname: str) -> list[str]:
    return [f"Anna{letter} {surname}" for letter in letters]


@pytest.fixture
def three_tenants() -> Estate:
    """Three tenants, 63 users, no contact yet."""
    letters = "abcdefghijklmnopqrstu"
    return Estate.build(
        [tenant_of(name, people(letters, f"Of{name.lower()}")) for name in ("Alpha", "Beta", "Gamma")],
        [SimOrganization(name, number) for number, name in enumerate(("Alpha", "Beta", "Gamma"), start=101)],
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until the server has seen so much, or the process is over."""
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "over before it could be stopped"
        assert time.monotonic() < until, "it never came so far"
        time.sleep(0.005)


def kill_after(world: World, condition: Callable[[], bool]) -> None:
    """An apply in a process of its own, killed as soon as the server has seen so much."""
    world.simulator.latency = LATENCY
    process = subprocess.Popen([sys.executable, "-c", APPLY, str(world.config)], text=True)
    try:
        wait_for(condition, process)
    finally:
        process.kill()
        process.wait()
    time.sleep(2 * LATENCY)  # the server still does what is on its way
    world.simulator.latency = 0


@pytest.mark.parametrize(
    ("path", "number", "bulk"),
    [
        ("/flexible_asset_types", 1, True),
        ("/contacts", 1, True),
        ("/contacts", 30, False),
        ("/flexible_assets", 3, True),
    ],
)
def test_killed_in_the_middle_it_goes_on(
    start: Start, three_tenants: Estate, path: str, number: int, bulk: bool
) -> None:
    """Killed wherever: the same apply again, without another approval, does the rest, and each thing once."""
    world = start(three_tenants, itglue=ItGlueBehaviour(bulk=bulk))
    world.sync()
    approve(world)
    total = changes(world).total()
    kill_after(world, lambda: writes(world, "POST", path) >= number)
    apply(world)

    assert counts(three_tenants) == {
        "organizations": 3,
        "contacts": 63,
        "flexible_asset_types": 2,
        "flexible_assets": 3 + 63,
    }
    assert_once(three_tenants)
    assert changes(world, "applied").total() == total
    assert world.workspace.state.intents.pending() == []
    assert_settled(world)


def test_killed_with_an_answer_lost_it_goes_on(start: Start) -> None:
    """Sent, done, unanswered, and then the process is killed: the next one finds what was done."""
    estate = small_estate()
    world = start(estate)
    world.add_fault(Fault("itglue", "lost_answer", method="POST", path="/relationships/contacts", calls=(1,)))
    world.sync()
    approve(world)
    kill_after(world, lambda: writes(world, "POST", "/contacts") >= 1)
    assert len(world.workspace.state.intents.pending()) == 2
    apply(world)

    assert writes(world, "POST", "/contacts") == 1
    assert counts(estate) == {"organizations": 1, "contacts": 2, "flexible_asset_types": 2, "flexible_assets": 3}
    assert_once(estate)
    assert_settled(world)


def test_killed_after_its_organization_it_goes_on(start: Start) -> None:
    """The organization is there, nothing in it yet: the next run fills that one."""
    estate = small_estate(name="Newcomer", street="1 Main Street", city="Seattle", country="United States")
    estate.organizations[:] = [SimOrganization("Quite Another", 7)]
    world = start(estate)
    world.sync()
    deciding.create(world.workspace, "Newcomer", **WHO)
    world.sync()
    approve(world)
    kill_after(world, lambda: writes(world, "POST", "/organizations") >= 1)
    apply(world)

    assert counts(estate) == {
        "organizations": 2,
        "contacts": 2,
        "locations": 1,
        "flexible_asset_types": 2,
        "flexible_assets": 3,
    }
    assert_once(estate)
    assert_settled(world)


def test_ctrl_c_finishes_what_is_on_its_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says how much was written, notes the rest as not sent, and a later apply does it."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    estate = small_estate(people("abcdefghijkl", "Berg"))
    world = start(estate, itglue=ItGlueBehaviour(bulk=False))
    world.sync()
    approve(world)
    world.simulator.latency = LATENCY
    command = [str(Path(sys.executable).with_name("o365-etl")), "apply", "--config", str(world.config)]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: writes(world, "POST", "/contacts") >= 4, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    world.simulator.latency = 0

    assert process.returncode == 1
    told = re.search(r"stopped by a person: (\d+) changes were written", said)
    assert told is not None, said
    assert 3 <= len(estate.contacts) < 12
    assert int(told[1]) == counts(estate)["flexible_asset_types"] + len(estate.contacts)
    assert world.workspace.state.intents.pending() == []
    approve_and_apply(world)
    assert counts(estate) == {"organizations": 1, "contacts": 12, "flexible_asset_types": 2, "flexible_assets": 13}
    assert_once(estate)
    assert_settled(world)
