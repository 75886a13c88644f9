"""Which tenants a connection has: the union of both lists, and no tenant gone because a list was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from o365_etl.errors import ForbiddenError, O365EtlError
from o365_etl.graph import Discovery, discover
from o365_etl.simulator import PARTNER_ROLES, Estate, Fault, SimRelationship, SimTenant
from tests.graph.conftest import TENANT, Rig, Script, answer, jwt

Begin = Callable[..., Rig]
OTHER = "22222222-2222-4333-8444-555555555555"
SOON = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)


def find(world: Rig, name: str = "partner") -> Discovery:
    """Discover one connection."""
    with world.session() as session:
        return discover(session, world.connection(name))


def world_of(rig: Begin, roles: tuple[str, ...] = PARTNER_ROLES) -> Rig:
    """A partner with a tenant in each list, one in both, one in none."""
    tenants = [
        SimTenant("Aster", listed_in="contracts", listed_name="Aster of old"),
        SimTenant(
            "Birch", listed_in="gdap", relationships=[SimRelationship(ends_at=SOON), SimRelationship(ends_at=LATER)]
        ),
        SimTenant(
            "Cedar", listed_in="both", relationships=[SimRelationship(ends_at=SOON), SimRelationship("expired", LATER)]
        ),
        SimTenant("Dogwood", listed_in="none"),
    ]
    partner = SimTenant("The MSP", roles=roles, listed_in="none")
    return rig(estate=Estate.build(tenants=tenants, partner=partner))


def test_the_union_of_both_lists(rig: Begin) -> None:
    """Each tenant once, with where it is listed and when the last active relationship ends."""
    found = find(world_of(rig))

    assert found.complete
    assert found.problem is None
    facts = {target.display_name: (set(target.listed_in), _day(target.access_ends_at)) for target in found.targets}
    assert facts == {
        "Aster of old": ({"contracts"}, None),
        "Birch": ({"gdap"}, LATER),
        "Cedar": ({"contracts", "gdap"}, SOON),
    }
    assert {target.default_domain for target in found.targets} >= {"aster.onmicrosoft.com", "cedar.onmicrosoft.com"}


def _day(moment: dt.datetime | None) -> dt.datetime | None:
    """Microsoft's times have seven digits of a second: the last one is rounded."""
    return moment and moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ("Directory.Read.All", {"Birch", "Cedar"}),
        ("DelegatedAdminRelationship.Read.All", {"Aster of old", "Cedar"}),
    ],
)
def test_one_forbidden_list_is_enough_of_the_other(rig: Begin, missing: str, names: set[str]) -> None:
    """A list the application may not read is no problem while the other can be read."""
    roles = tuple(role for role in PARTNER_ROLES if role != missing)

    found = find(world_of(rig, roles))

    assert (found.complete, found.problem) == (True, None)
    assert {target.display_name for target in found.targets} == names


def test_two_forbidden_lists_are_a_problem(rig: Begin) -> None:
    """If neither list may be read the discovery is incomplete and says what to grant."""
    found = find(world_of(rig, ()))

    assert (found.targets, found.complete) == ([], False)
    assert isinstance(found.problem, ForbiddenError)
    assert "Directory.Read.All" in found.problem.remedy


@pytest.mark.parametrize("path", ["contracts", "delegatedAdminCustomers", "delegatedAdminRelationships"])
@pytest.mark.parametrize("kind", ["status", "html_200", "loop", "foreign_host"])
def test_a_broken_list_makes_discovery_incomplete(rig: Begin, path: str, kind: str) -> None:
    """What could not be read to its end is incomplete, so that nobody concludes that a tenant is gone."""
    world = world_of(rig)
    world.fail(Fault("graph", kind, path=path, status=503))  # type: ignore[arg-type]  # parametrized literal

    found = find(world)

    assert not found.complete
    assert isinstance(found.problem, O365EtlError)
    assert "Cedar" in {target.display_name for target in found.targets}


def test_a_refused_sign_in_is_the_problem(rig: Begin) -> None:
    """Without sign-in there is no list, which is not an empty list."""
    world = world_of(rig)
    world.fail(Fault("login", "status", status=503))

    found = find(world)

    assert (found.targets, found.complete) == ([], False)
    assert found.problem is not None
    assert found.problem.code == "bad_answer"


def test_the_partner_is_not_its_own_customer(script: Script) -> None:
    """The partner's own tenant is left out even where a list names it, also if it is configured by its domain."""
    script.token = jwt(tid=TENANT)
    listed = [{"customerId": TENANT.upper(), "displayName": "The MSP"}, {"customerId": OTHER, "displayName": "Aster"}]
    script.answers["/contracts"] = answer({"value": listed})

    for name in (TENANT, "msp.example"):
        found = script.discover(name)
        assert [target.display_name for target in found.targets] == ["Aster"]
        assert found.complete


def test_a_listed_id_that_is_none_is_reported(rig: Begin) -> None:
    """A tenant listed under something that is no GUID is kept as a target, so that it can fail by name."""
    world = rig(estate=Estate.build(tenants=[SimTenant("Aster", tenant_id="../../aster", listed_in="contracts")]))

    found = find(world)
    results = world.read_all(found.targets)

    assert [target.tenant_id for target in found.targets] == ["../../aster"]
    assert [result.error_code for result in results] == ["invalid_tenant_id"]


def test_a_direct_connection_is_its_one_tenant(rig: Begin) -> None:
    """A direct connection needs no request."""
    world = rig(SimTenant("Aster", direct=True, listed_in="none"))
    name = next(connection.name for connection in world.settings.connections if connection.kind == "direct")

    found = find(world, name)

    assert [target.tenant_id for target in found.targets] == [world.estate.tenants[0].tenant_id]
    assert world.simulator.requests == []


def test_long_lists_are_followed_to_their_end(rig: Begin) -> None:
    """More tenants than fit on a page are all found."""
    world = rig(*(SimTenant(f"Tenant {n}") for n in range(650)))

    found = find(world)

    assert len(found.targets) == 650
    assert {target.listed_in for target in found.targets} == {("contracts", "gdap")}
