"""What was changed in IT Glue between the plan and the apply: a person's hand is never overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable

from desk import apply, approve, approve_and_apply, assert_settled, counts, messages, small_estate, writes

from o365_etl.simulator import (
    Estate,
    SimAdapter,
    SimContact,
    SimEmail,
    SimFlexibleAssetField,
    SimUser,
)
from tests.conftest import World

Start = Callable[..., World]


def with_new_titles(start: Start, contoso: Estate) -> World:
    """Contoso is written; then Anna and Bo got titles, and the plan to write them is approved."""
    world = start(contoso)
    world.sync()
    approve_and_apply(world)
    for user in contoso.tenants[0].users[:2]:
        user.job_title = "Engineer"
    contoso.touch()
    world.sync()
    approve(world)
    return world


def test_an_organization_that_is_gone_gets_nothing(start: Start) -> None:
    """Deleted since the plan: everything of the tenant is skipped, nothing lands elsewhere."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve(world)
    estate.remove_organization(101)
    done = apply(world)

    assert counts(estate) == {"flexible_asset_types": 2}
    assert dict(done.counts) == {"applied": 2, "skipped": 5}
    assert set(messages(world, "skipped")) == {"the organization is gone from IT Glue"}


def test_a_contact_that_is_gone_is_skipped(start: Start, contoso: Estate) -> None:
    """Deleted since the plan: not written, not created anew; the other one is."""
    world = with_new_titles(start, contoso)
    contoso.remove_contact(contoso.contact("Anna Berg").contact_id)
    done = apply(world)

    assert dict(done.counts) == {"applied": 1, "skipped": 1}
    assert messages(world, "skipped") == ["it is gone from IT Glue since the plan was made"]
    assert (counts(contoso)["contacts"], contoso.contact("Bo Dahl").title) == (2, "Engineer")


def test_a_field_edited_by_hand_is_left_alone(start: Start, contoso: Estate) -> None:
    """The same field: skipped, the hand edit stays. Another field: written, and the hand edit stays too."""
    world = with_new_titles(start, contoso)
    contoso.contact("Anna Berg").title = "Chief of everything"
    bo = contoso.contact("Bo Dahl")
    bo.notes = "Key holder"
    bo.emails.append(SimEmail("bo@home.example", label="Home"))
    done = apply(world)

    assert dict(done.counts) == {"applied": 1, "skipped": 1}
    assert messages(world, "skipped") == ["title was edited in IT Glue since the plan"]
    assert contoso.contact("Anna Berg").title == "Chief of everything"
    assert (bo.title, bo.notes) == ("Engineer", "Key holder")
    assert [(each.value, each.label) for each in bo.emails] == [
        ("bo.dahl@contoso.example", "Work"),
        ("bo@home.example", "Home"),
    ]


def test_a_contact_that_a_psa_owns_by_now_is_skipped(start: Start, contoso: Estate) -> None:
    """IT Glue would refuse it, and the PSA would take it back."""
    world = with_new_titles(start, contoso)
    contoso.contact("Anna Berg").adapters.append(SimAdapter("Autotask"))
    before = writes(world)
    done = apply(world)

    assert dict(done.counts) == {"applied": 1, "skipped": 1}
    assert messages(world, "skipped") == ["owned by the integration Autotask"]
    assert writes(world) == before + 1
    world.sync()
    last = "(SELECT run_id FROM sync.runs ORDER BY started_at DESC LIMIT 1)"
    assert world.rows(f"SELECT state, reason FROM sync.changes WHERE run_id = {last}") == [
        ("skipped", "owned by the integration Autotask")
    ]


def test_a_contact_made_by_hand_since_the_plan_is_not_doubled(start: Start) -> None:
    """Somebody was faster: one by the address, one by the name; the next sync takes them for the users' contacts."""
    estate = small_estate(("Anna Berg", "Bo Dahl", "Cy Eek"))
    world = start(estate)
    world.sync()
    approve(world)
    estate.add_itglue("contacts", SimContact(101, "A.", "B.", emails=[SimEmail("Anna.Berg@contoso.example")]))
    estate.add_itglue("contacts", SimContact(101, "bo", "DAHL"))
    apply(world)

    assert counts(estate)["contacts"] == 3
    world.sync()
    approve_and_apply(world)
    assert counts(estate)["contacts"] == 3
    assert [each.value for each in estate.contact("Anna Berg").emails] == ["Anna.Berg@contoso.example"]
    assert_settled(world)


def test_a_trait_that_a_person_added_survives(start: Start) -> None:
    """IT Glue deletes what an update does not name: all that is there goes along."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve_and_apply(world)
    (license_,) = [each for each in estate.flexible_assets if "sku-id" in each.traits]
    kind = estate.flexible_asset_type(license_.type_id)
    kind.fields.append(SimFlexibleAssetField("Remark"))
    kind.fields.append(SimFlexibleAssetField("Billed To", "Tag", tag_type="Contacts"))
    estate.number_fields()
    license_.traits |= {"remark": "Renew in May", "billed-to": [estate.contact("Bo Dahl").contact_id]}
    tenant = estate.tenants[0]
    tenant.users = [*tenant.users, SimUser.person("Cy", "Eek", "contoso.example")]
    estate.touch()
    world.sync()
    approve(world)
    license_.traits["remark"] = "Renew in June"
    apply(world)

    (license_,) = [each for each in estate.flexible_assets if "sku-id" in each.traits]
    assert license_.traits["consumed"] == 3
    assert license_.traits["remark"] == "Renew in June"
    assert license_.traits["billed-to"] == [estate.contact("Bo Dahl").contact_id]
    assert_settled(world)
