"""Who may write what: the modes, the brakes, and approvals that are good for one plan and one run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from desk import (
    apply,
    approve,
    approve_and_apply,
    assert_settled,
    changes,
    counts,
    messages,
    small_estate,
    tenant_of,
    writes,
)

from o365_etl.errors import ConfigError, NotFoundError, O365EtlError
from o365_etl.pipeline import planned
from o365_etl.simulator import Estate, Fault, SimOrganization
from tests.conftest import World

Start = Callable[..., World]


def set_mode(world: World, mode: str) -> None:
    text = world.config.read_text(encoding="utf-8")
    for other in ("off", "plan", "apply"):
        text = text.replace(f'mode = "{other}"', f'mode = "{mode}"')
    world.config.write_text(text, encoding="utf-8")


def two_tenants(**options: object) -> Estate:
    return Estate.build(
        [tenant_of("Alpha", ["Anna Berg", "Bo Dahl"]), tenant_of("Beta", ["Cy Eek"])],
        [SimOrganization("Alpha", 101), SimOrganization("Beta", 102)],
        **options,  # type: ignore[arg-type]
    )


def test_in_mode_plan_a_sync_writes_nothing_even_if_approved(start: Start) -> None:
    """Only a person's apply writes; the approval waits for it."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve(world)
    done = apply(world, by_person=False)
    assert (done.counts, writes(world), done.waiting) == ({}, 0, changes(world).total())
    world.sync()
    assert changes(world, "approved") == changes(world)
    apply(world)

    assert counts(estate)["contacts"] == 2


def test_in_mode_off_nothing_is_planned_or_written(start: Start) -> None:
    """Not even what was approved before the mode was set to off."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve(world)
    set_mode(world, "off")
    with pytest.raises(ConfigError, match=r"itglue.mode is off"):
        apply(world)
    apply(world, by_person=False)
    world.sync()
    apply(world, by_person=False)

    assert (changes(world), writes(world)) == ({}, 0)
    with pytest.raises(NotFoundError, match="nothing is planned"):
        approve(world)


def test_in_mode_apply_a_sync_writes_what_no_brake_holds(start: Start) -> None:
    """Two creates are one too many for Alpha: Beta is written, Alpha waits, and an approval lets it pass."""
    estate = two_tenants()
    world = start(estate)
    set_mode(world, "apply")
    world.configure("[brakes]\nmax_creates_per_tenant = 1")
    world.sync()
    assert changes(world, "blocked")["create contact"] == 2
    done = apply(world, by_person=False)

    assert [each.organization_id for each in estate.contacts] == [102]
    assert done.blocked_tenants == 1
    assert world.rows("SELECT status FROM sync.runs ORDER BY started_at DESC LIMIT 1") == [("blocked",)]
    approve(world, "Alpha")
    done = apply(world, by_person=False)
    assert sorted(each.organization_id for each in estate.contacts) == [101, 101, 102]
    assert done.blocked_tenants == 0
    assert_settled(world)


def test_a_preview_writes_nothing_in_any_mode(start: Start) -> None:
    """A preview is for looking."""
    world = start(small_estate())
    set_mode(world, "apply")
    world.sync()
    approve(world)
    apply(world, by_person=False, preview=True)
    assert writes(world) == 0


def test_an_approval_is_void_once_the_plan_is_another(start: Start) -> None:
    """A title that changes is another plan: nobody has seen that one."""
    estate = small_estate()
    world = start(estate)
    world.sync()
    approve(world)
    tenant = estate.tenants[0]
    tenant.users[0].job_title = "Head of IT"
    estate.touch(tenant.tenant_id)
    world.sync()
    done = apply(world)

    # The account's part, the two asset types, is what was approved; nothing of the tenant's is.
    assert done.counts == {"applied": 2}
    assert counts(estate) == {"organizations": 1, "flexible_asset_types": 2}
    approve_and_apply(world)
    assert estate.contact("Anna Berg").title == "Head of IT"


def test_an_approval_is_used_up_by_its_run(start: Start, contoso: Estate) -> None:
    """The same plan once more, weeks later, needs somebody who says so again."""
    contoso.tenants[0].users[0].job_title = "Head of IT"
    world = start(contoso)
    world.sync()
    approve_and_apply(world)
    first = contoso.contact("Anna Berg")
    first.title = None
    world.sync()
    once = {row[0] for row in world.rows("SELECT plan_hash FROM sync.changes WHERE state IN ('planned', 'blocked')")}
    apply(world)
    assert (first.title, changes(world)) == (None, {"update contact": 1})
    approve_and_apply(world)
    first.title = None
    world.sync()
    again = {row[0] for row in world.rows("SELECT plan_hash FROM sync.changes WHERE state IN ('planned', 'blocked')")}
    apply(world)

    assert once == again
    assert first.title is None


def test_a_brake_holds_again_what_a_stopped_run_left(start: Start) -> None:
    """The approval was for that run: what it did not come to waits for a person once more, also in mode apply."""
    estate = small_estate()
    world = start(estate)
    set_mode(world, "apply")
    world.configure("[brakes]\nmax_creates_per_tenant = 1")
    world.sync()
    approve(world)
    world.add_fault(Fault("itglue", "status", path="contacts", method="POST", status=401))
    with pytest.raises(O365EtlError):
        apply(world, by_person=False)
    assert [row["state"] for row in planned.by_tenant(world.workspace) if row["tenant_id"]] == ["blocked"]
    world.heal()
    done = apply(world, by_person=False)

    assert (done.blocked_tenants, estate.contacts) == (1, [])
    world.sync()
    approve_and_apply(world)
    assert len(estate.contacts) == 2


def test_an_approval_of_one_tenant_is_none_of_another(start: Start) -> None:
    """Alpha's plan is written, with the asset types that it needs; Beta's waits untouched."""
    estate = two_tenants()
    world = start(estate)
    world.sync()
    approve(world, "Alpha")
    apply(world)

    assert [each.organization_id for each in estate.contacts] == [101, 101]
    assert counts(estate)["flexible_asset_types"] == 2
    assert changes(world) == {"create contact": 1, "create license_asset": 1, "create user_asset": 1}


def test_what_failed_before_can_be_written_after_another_tenant_was(start: Start) -> None:
    """A change that failed once and is planned again stays to be done while somebody else's plan is written."""
    estate = two_tenants()
    estate.tenants[1].users[0].job_title = "x" * 300
    world = start(estate)
    world.sync()
    approve(world, "Beta")
    apply(world)
    assert len(messages(world, "failed")) == 1
    world.sync()
    approve(world, "Alpha")
    apply(world)

    assert changes(world)["create contact"] == 1
    approve(world, "Beta")
