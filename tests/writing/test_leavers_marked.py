"""Users who left: their contacts are marked, once and never deleted; whoever comes back loses the mark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import apply, approve_and_apply, assert_settled, changes, counts, small_estate, tenant_of, writes

from o365_etl.pipeline import deciding
from o365_etl.simulator import Estate, SimOrganization
from tests.conftest import World

Start = Callable[..., World]
FIVE = ("Anna Berg", "Bo Dahl", "Cy Eek", "Di Falk", "Ed Gold")


def without_grace(world: World) -> None:
    world.configure("[leavers]\ngrace_days = 0")


def notes(estate: Estate) -> dict[str, str]:
    """The first words of each contact's note."""
    return {each.first_name or "": (each.notes or "").split(",")[0] for each in estate.contacts}


def test_each_way_to_leave_is_marked_once_and_taken_back(start: Start) -> None:
    """Deleted, disabled, unlicensed, converted to shared: four words; all back: four notes as they were."""
    estate = small_estate(FIVE)
    world = start(estate)
    without_grace(world)
    world.sync()
    approve_and_apply(world)
    estate.contact("Bo Dahl").notes = "Key holder"
    tenant = estate.tenants[0]
    everybody = list(tenant.users)
    _, bo, cy, di, _ = everybody
    tenant.users = everybody[1:]
    bo.account_enabled = False
    licenses, cy.licenses, di.licenses = cy.licenses, [], []
    assert di.mailbox is not None  # a shared mailbox needs no license, and nobody signs in to it
    di.mailbox.kind = "shared"
    estate.touch()
    world.sync()
    assert changes(world, "blocked")["deactivate contact"] == 4
    approve_and_apply(world)

    assert notes(estate) == {
        "Anna": "Left Microsoft 365: deleted there",
        "Bo": "Key holder\nLeft Microsoft 365: sign-in blocked",
        "Cy": "Left Microsoft 365: no license any more",
        "Di": "Left Microsoft 365: mailbox converted to shared",
        "Ed": "",
    }
    assert counts(estate)["contacts"] == 5
    assert_settled(world)

    tenant.users = everybody
    bo.account_enabled, cy.licenses, di.licenses, di.mailbox.kind = True, licenses, list(licenses), "user"
    estate.touch()
    world.sync()
    approve_and_apply(world)
    assert notes(estate) == {"Anna": "", "Bo": "Key holder", "Cy": "", "Di": "", "Ed": ""}
    assert counts(estate)["contacts"] == 5
    assert_settled(world)


def test_nobody_is_marked_within_the_grace_period(start: Start) -> None:
    """Thirty days by default: a user who is gone today may be back tomorrow."""
    estate = small_estate(FIVE)
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    estate.tenants[0].users = list(estate.tenants[0].users)[1:]
    estate.touch()
    world.sync()

    assert [what for what in changes(world) if "contact" in what] == []


@pytest.fixture
def two_tenants() -> Estate:
    """Two tenants of five."""
    return Estate.build(
        [tenant_of("Alpha", FIVE), tenant_of("Beta", FIVE)],
        [SimOrganization("Alpha", 101), SimOrganization("Beta", 102)],
    )


def test_mass_leaving_stops_that_tenant_only(start: Start, two_tenants: Estate) -> None:
    """In mode apply: four of five gone waits for a person, one of five in the other tenant is marked at once."""
    world = start(two_tenants)
    without_grace(world)
    world.config.write_text(world.config.read_text().replace('mode = "plan"', 'mode = "apply"'))
    world.sync()
    apply(world, by_person=False)
    for tenant, gone in zip(two_tenants.tenants, (4, 1), strict=True):
        tenant.users = list(tenant.users)[gone:]
    two_tenants.touch()
    world.sync()
    done = apply(world, by_person=False)

    marked = [each.organization_id for each in two_tenants.contacts if each.notes]
    assert marked == [102]
    assert done.blocked_tenants == 1
    assert "max_gone_share" in world.rows("SELECT any_value(reason) FROM sync.changes WHERE state = 'blocked'")[0][0]
    before = writes(world)
    apply(world, by_person=False)
    assert writes(world) == before
    deciding.approve_plan(world.workspace, ("Alpha",), who="desk")
    apply(world)
    assert sorted(each.organization_id for each in two_tenants.contacts if each.notes) == [101] * 4 + [102]
