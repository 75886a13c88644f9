"""What people decide, from the decision to what IT Glue holds after the next apply."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import WHO, approve_and_apply, assert_once, assert_settled, changes, counts, names, tenant_of, writes

from o365_etl.errors import ConflictError, NotFoundError
from o365_etl.pipeline import deciding
from o365_etl.pipeline.deciding import NearDuplicateError
from o365_etl.pipeline.naming import AmbiguousNameError
from o365_etl.simulator import Estate, SimOrganization
from tests.conftest import World

Start = Callable[..., World]


@pytest.fixture
def fabrikam() -> Estate:
    """One tenant, and an organization that differs in its legal form: a suggestion, not a match."""
    return Estate.build(
        [tenant_of("Fabrikam", ["Di Falk"], city="Seattle", street="1 Main Street", country="United States")],
        [SimOrganization("Fabrikam GmbH", 102), SimOrganization("Quite Another", 103)],
    )


def standing(world: World) -> tuple[str, str | None, str | None]:
    """Where the only tenant's match stands: status, organization, rule."""
    ((status, organization_id, rule),) = world.rows("SELECT status, organization_id, rule FROM match.organizations")
    return status, organization_id, rule


def test_an_accepted_suggestion_is_written(start: Start, fabrikam: Estate) -> None:
    """Nothing is planned for a suggestion; accepted, the tenant's people are documented there. Twice is once."""
    world = start(fabrikam)
    world.sync()
    assert (standing(world)[0], changes(world)) == ("suggested", {})
    first = deciding.accept(world.workspace, "fabrikam.example", seen=0, **WHO)
    again = deciding.accept(world.workspace, "fabrikam.example", seen=0, **WHO)
    assert first["decision"] == again["decision"]
    assert len(world.workspace.state.decisions.history()) == 1
    world.sync()
    approve_and_apply(world)

    assert standing(world) == ("matched", "102", "decision")
    assert [each.organization_id for each in fabrikam.contacts] == [102]
    assert [each.organization_id for each in fabrikam.locations] == [102]
    assert_settled(world)


def test_two_people_at_once_do_not_overrule_each_other(start: Start, fabrikam: Estate) -> None:
    """Whoever comes second did not see what he would undo: he is told who decided what."""
    world = start(fabrikam)
    world.sync()
    deciding.choose(world.workspace, "Fabrikam", "103", who="anna", seen=0)
    with pytest.raises(ConflictError, match=r"anna decided `to 103`"):
        deciding.ignore(world.workspace, "Fabrikam", who="bo", seen=0)
    with pytest.raises(ConflictError, match="anna"):
        deciding.undo(world.workspace, "Fabrikam", who="bo", seen=0)
    world.sync()

    assert standing(world) == ("matched", "103", "decision")


def test_a_changed_choice_moves_what_comes_and_undo_brings_it_back(start: Start, fabrikam: Estate) -> None:
    """to, then another; undone, the first holds again, and undone once more the suggestion."""
    world = start(fabrikam)
    world.sync()
    deciding.choose(world.workspace, "Fabrikam", "Quite Another", **WHO)
    world.sync()
    assert standing(world) == ("matched", "103", "decision")
    deciding.choose(world.workspace, "Fabrikam", "Fabrikam GmbH", **WHO)
    world.sync()
    assert standing(world) == ("matched", "102", "decision")
    deciding.undo(world.workspace, "Fabrikam", **WHO)
    world.sync()
    assert standing(world) == ("matched", "103", "decision")
    deciding.undo(world.workspace, "Fabrikam", **WHO)
    world.sync()
    assert standing(world)[0] == "suggested"
    with pytest.raises(NotFoundError, match="in force"):
        deciding.undo(world.workspace, "Fabrikam", **WHO)

    assert changes(world) == {}


def test_an_ignored_tenant_is_left_alone(start: Start, fabrikam: Estate) -> None:
    """Also one that was matched and written before: what is there stays, nothing more comes."""
    world = start(fabrikam)
    world.sync()
    deciding.accept(world.workspace, "Fabrikam", **WHO)
    world.sync()
    approve_and_apply(world)
    before = counts(fabrikam), writes(world)
    deciding.ignore(world.workspace, "Fabrikam", **WHO)
    fabrikam.tenants[0].users[0].job_title = "Clerk"
    fabrikam.touch()
    assert_settled(world)

    assert standing(world)[0] == "ignored"
    assert (counts(fabrikam), writes(world)) == before


def test_a_created_organization_gets_everything_in_one_apply(start: Start, fabrikam: Estate) -> None:
    """A near duplicate is asked about; insisted on, it is created once, with contacts, location and assets."""
    world = start(fabrikam)
    world.sync()
    with pytest.raises(NearDuplicateError, match=r"Fabrikam GmbH \(102, 100\)"):
        deciding.create(world.workspace, "Fabrikam", **WHO)
    assert world.workspace.state.decisions.history() == []
    deciding.create(world.workspace, "Fabrikam", force=True, **WHO)
    world.sync()
    approve_and_apply(world)

    assert counts(fabrikam) == {
        "organizations": 3,
        "contacts": 1,
        "locations": 1,
        "flexible_asset_types": 2,
        "flexible_assets": 2,
    }
    made = fabrikam.organization("Fabrikam").organization_id
    assert {each.organization_id for each in [*fabrikam.contacts, *fabrikam.locations, *fabrikam.flexible_assets]} == {
        made
    }
    assert_once(fabrikam)
    assert_settled(world)
    assert standing(world) == ("matched", str(made), "decision")

    deciding.undo(world.workspace, "Fabrikam", **WHO)
    world.sync()
    assert standing(world)[0] in ("matched", "suggested")
    assert changes(world)["create organization"] == 0
    assert counts(fabrikam)["organizations"] == 3


def test_an_undone_create_creates_nothing(start: Start) -> None:
    """Taken back before it was written: what held before, a match by name, holds again."""
    estate = Estate.build([tenant_of("Contoso", ["Anna Berg"])], [SimOrganization("Contoso", 101)])
    world = start(estate)
    world.sync()
    assert standing(world) == ("matched", "101", "tenant_name")
    deciding.create(world.workspace, "Contoso", force=True, **WHO)
    world.sync()
    assert changes(world)["create organization"] == 1
    deciding.undo(world.workspace, "Contoso", **WHO)
    world.sync()
    approve_and_apply(world)

    assert standing(world)[:2] == ("matched", "101")
    assert counts(estate)["organizations"] == 1
    assert [each.organization_id for each in estate.contacts] == [101]


def test_a_name_that_fits_several_is_refused(start: Start) -> None:
    """Two tenants and two organizations of one name: each refusal names the candidates."""
    tenants = [tenant_of("Twin", ["Anna Berg"]), tenant_of("Other", ["Bo Dahl"])]
    tenants[1].display_name = "TWIN"
    estate = Estate.build(tenants, [SimOrganization("Same", 1), SimOrganization("SAME ", 2)])
    world = start(estate)
    world.sync()
    with pytest.raises(AmbiguousNameError) as caught:
        deciding.choose(world.workspace, "Twin", "1", **WHO)
    assert all(tenant.tenant_id in caught.value.message for tenant in tenants)
    with pytest.raises(AmbiguousNameError, match=r"1 \(Same\), 2 \(SAME"):
        deciding.choose(world.workspace, "twin.example", "same", **WHO)
    deciding.choose(world.workspace, "other.example", "2", **WHO)

    assert [each["tenant_id"] for each in world.workspace.state.decisions.history()] == [tenants[1].tenant_id]


def test_a_decision_outlives_renames_and_a_lost_warehouse(start: Start, fabrikam: Estate) -> None:
    """Both sides are renamed and the warehouse is deleted: the same organization, the same contacts, nothing to do."""
    world = start(fabrikam)
    world.sync()
    deciding.choose(world.workspace, "Fabrikam", "103", **WHO)
    world.sync()
    approve_and_apply(world)
    before = counts(fabrikam), names(fabrikam)
    fabrikam.tenants[0].display_name = "Northwind"
    fabrikam.organization(103).name = "Yet Another"
    fabrikam.organization(102).name = "Northwind"
    fabrikam.touch()
    for path in world.workspace.data_dir.glob("warehouse.duckdb*"):
        path.unlink()
    assert_settled(world)

    assert standing(world) == ("matched", "103", "decision")
    assert (counts(fabrikam), names(fabrikam)) == before
