"""The service desk of these tests: approves, applies, counts what reached IT Glue, and sees whether it is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import Any

from o365_etl.pipeline import applying, deciding, publishing
from o365_etl.pipeline.applying import Written
from o365_etl.simulator import Estate, SimContact, SimOrganization, SimTenant, SimUser
from tests.conftest import World

WHO = {"who": "desk"}
_applies = count(1)


def apply(world: World, *, by_person: bool = True, preview: bool = False) -> Written:
    """Write what is approved, as `o365-etl apply` (or, not by a person, a sync) does, and publish."""
    run_id, workspace = f"apply-{next(_applies)}", world.workspace
    with workspace.writing(run_id, "apply", wait_seconds=5):
        done = applying.apply_plan(workspace, run_id, by_person=by_person, preview=preview)
        publishing.publish(workspace, run_id)
    return done


def approve(world: World, *tenants: str) -> list[dict[str, Any]]:
    """Approve the plan that is published."""
    return deciding.approve_plan(world.workspace, tenants, who="desk")


def approve_and_apply(world: World) -> Written:
    """Approve the whole plan and write it."""
    approve(world)
    return apply(world)


def writes(world: World, method: str | None = None, path: str = "") -> int:
    """How many writing requests IT Glue has answered: of this method, to a path that ends so."""
    return sum(
        each.service == "itglue"
        and (each.method == method if method else each.method != "GET")
        and each.path.endswith(path)
        for each in world.simulator.requests
    )


def changes(world: World, state: str | None = None) -> Counter[str]:
    """The published changes in a state, by `action resource`; without a state those still to be written."""
    states = (state,) if state else ("planned", "approved", "blocked")
    rows = world.rows("SELECT action || ' ' || resource, state FROM sync.changes")
    return Counter(what for what, found in rows if found in states)


def messages(world: World, state: str) -> list[str]:
    """What is said about the published changes that ended so."""
    return sorted(row[0] for row in world.rows(f"SELECT message FROM sync.changes WHERE state = '{state}'"))


def assert_settled(world: World) -> None:
    """Another sync plans nothing, and another apply writes nothing."""
    world.sync()
    before = writes(world)
    assert world.rows("SELECT action, resource, fields FROM sync.changes WHERE state IN ('planned', 'blocked')") == []
    apply(world)
    assert writes(world) == before


def counts(estate: Estate) -> dict[str, int]:
    """How many records IT Glue has of what this program writes."""
    return {kind: number for kind, number in estate.counts().items() if number}


def names(estate: Estate) -> list[str]:
    """The names of all contacts."""
    return sorted(" ".join(filter(None, (each.first_name, each.last_name))) for each in estate.contacts)


def addresses(contact: SimContact) -> list[str]:
    """The e-mails of a contact, the primary one with a star."""
    return sorted(f"*{each.value}" if each.primary else each.value for each in contact.emails)


def tenant_of(name: str, people: Iterable[str], **options: Any) -> SimTenant:
    """A tenant `name` with ordinary licensed users, by "first last"."""
    domain = f"{name.lower()}.example"
    return SimTenant(name, users=[SimUser.person(*each.split(), domain) for each in people], **options)


def small_estate(people: Iterable[str] = ("Anna Berg", "Bo Dahl"), name: str = "Contoso", **options: Any) -> Estate:
    """One tenant with its organization, 101, and without any contact."""
    return Estate.build([tenant_of(name, people, **options)], [SimOrganization(name, 101)])


def documented(estate: Estate) -> dict[str, int]:
    """Each contact's e-mail, license asset and user asset with how often it is there: nothing may be there twice."""
    found: Counter[str] = Counter(email.value for contact in estate.contacts for email in contact.emails)
    for asset in estate.flexible_assets:
        found[f"{asset.traits['tenant-id']} {asset.traits.get('sku-id') or asset.traits.get('user-id')}"] += 1
    found.update(f"organization {each.name}" for each in estate.organizations)
    found.update(f"location {each.organization_id} {each.name}" for each in estate.locations)
    found.update(f"type {each.name}" for each in estate.flexible_asset_types)
    return dict(found)


def assert_once(estate: Estate) -> None:
    """Nothing is there twice."""
    assert {what: number for what, number in documented(estate).items() if number != 1} == {}
