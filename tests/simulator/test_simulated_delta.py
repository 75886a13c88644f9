"""users/delta as the simulator answers it: rounds, links, what is told of a change, how links end."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from o365_etl.simulator import Estate, SimTenant, Simulator, SimUser
from tests.simulator.caller import Caller

START = "/v1.0/users/delta?$select=id,displayName,jobTitle,department,businessPhones"


def round_of(caller: Caller, tenant: SimTenant, path: str) -> tuple[list[dict[str, Any]], str]:
    """All entries of one round, and the link to the next."""
    pages = caller.pages(tenant, path)
    assert all(("@odata.nextLink" in page) != ("@odata.deltaLink" in page) for page in pages)
    return [entry for page in pages for entry in page["value"]], pages[-1]["@odata.deltaLink"]


def latest(caller: Caller, tenant: SimTenant) -> str:
    """A link from now on."""
    entries, link = round_of(caller, tenant, f"{START}&$deltatoken=latest")
    assert entries == []
    return link


@pytest.fixture
def world(caller: Caller, tenant: SimTenant) -> Any:
    """Edit the tenant's users, and make it known."""

    def edit(change: Any) -> None:
        change(tenant.users)
        caller.simulator.estate.touch(tenant.tenant_id)

    return edit


@pytest.mark.parametrize("spelling", ["delta", "delta()", "microsoft.graph.delta()"])
def test_the_first_round_tells_everybody_and_leaves_out_what_was_never_set(
    caller: Caller, tenant: SimTenant, spelling: str
) -> None:
    """All three spellings; a property without a value is absent, an empty list is a value."""
    tenant.users[0].job_title = "Head"

    entries, link = round_of(caller, tenant, START.replace("delta", spelling, 1))

    assert {entry["id"] for entry in entries} == {user.user_id for user in tenant.users}
    anna = next(entry for entry in entries if entry["id"] == tenant.users[0].user_id)
    assert anna == {"id": anna["id"], "displayName": "Anna Berg", "jobTitle": "Head", "businessPhones": []}
    assert round_of(caller, tenant, link)[0] == []


def test_a_link_tells_what_changed_since_and_can_be_followed_again(
    caller: Caller, tenant: SimTenant, world: Any
) -> None:
    """Changed and new users, a value that was taken away as null; the same link later tells all of it again."""
    tenant.users[0].job_title = "Head"
    link = latest(caller, tenant)
    anna, guest, new = tenant.users[0], tenant.users[1], SimUser("new@contoso.example", "New")
    world(lambda users: users.append(new))
    world(lambda users: setattr(users[0], "job_title", None))
    first, _ = round_of(caller, tenant, link)
    world(lambda users: setattr(users[1], "department", "Sales"))

    second, further = round_of(caller, tenant, link)

    assert {entry["id"]: entry for entry in first} == {
        anna.user_id: {"id": anna.user_id, "jobTitle": None},
        new.user_id: {"id": new.user_id, "displayName": "New", "businessPhones": []},
    }
    by_id = {entry["id"]: entry for entry in second}
    assert by_id.keys() == {anna.user_id, new.user_id, guest.user_id}
    # Of every second user everything is told again, not only what changed
    assert by_id[guest.user_id] == {
        "id": guest.user_id,
        "displayName": "Gast",
        "department": "Sales",
        "businessPhones": [],
    }
    assert round_of(caller, tenant, further)[0] == []


def test_removed_users_are_marked_and_restored_ones_come_back_whole(
    caller: Caller, tenant: SimTenant, world: Any
) -> None:
    """`changed` can be restored, `deleted` cannot; the mark comes in a first round as well."""
    link = latest(caller, tenant)
    gone, purged = tenant.users[3], tenant.users[2]
    tenant.purged.append(purged.user_id)
    world(lambda users: (users.remove(gone), users.remove(purged)))

    entries, _ = round_of(caller, tenant, link)

    marks = [
        {"id": purged.user_id, "@removed": {"reason": "deleted"}},
        {"id": gone.user_id, "@removed": {"reason": "changed"}},
    ]
    assert entries == marks
    assert [entry for entry in round_of(caller, tenant, START)[0] if "@removed" in entry] == marks
    world(lambda users: users.append(gone))
    entries, _ = round_of(caller, tenant, link)
    assert {"id": gone.user_id, "displayName": "Bare", "businessPhones": []} in entries


def test_odd_pages_are_short_empty_and_repeat_themselves(caller: Caller, tenant: SimTenant, world: Any) -> None:
    """Of what is told more than once the last word is the truth."""
    tenant.odd_paging = True
    link = latest(caller, tenant)
    gone = tenant.users[3]
    world(lambda users: [setattr(user, "job_title", f"Job {n}") for n, user in enumerate(users)])
    world(lambda users: users.remove(gone))
    world(lambda users: users.append(gone))

    pages = caller.pages(tenant, link)

    assert [len(page["value"]) > 0 for page in pages] == [True, False, True]
    told: dict[str, list[dict[str, Any]]] = {}
    for page in pages:
        for entry in page["value"]:
            told.setdefault(entry["id"], []).append(entry)
    anna, restored = told[tenant.users[0].user_id], told[gone.user_id]
    assert [entry["jobTitle"] for entry in anna] == [None, "Job 0", "Job 0"]
    assert restored[0] == {"id": gone.user_id, "@removed": {"reason": "changed"}}
    assert restored[-1]["jobTitle"] == "Job 3"


def test_what_is_not_tracked_is_told_only_along_with_the_rest(caller: Caller, tenant: SimTenant, world: Any) -> None:
    """A change of licenseAssignmentStates alone goes unnoticed; with the licenses it is told."""
    path = "/v1.0/users/delta?$select=id,assignedLicenses,licenseAssignmentStates&$deltatoken=latest"
    _, link = round_of(caller, tenant, path)
    anna = tenant.users[0]
    world(lambda users: setattr(users[0].licenses[0], "group", "11111111-1111-4111-8111-111111111111"))
    assert round_of(caller, tenant, link)[0] == []

    world(lambda users: users[0].licenses.clear())

    assert round_of(caller, tenant, link)[0] == [
        {"assignedLicenses": [], "licenseAssignmentStates": [], "id": anna.user_id}
    ]


@pytest.mark.parametrize("option", ["$top=5", "$expand=manager", "$orderby=displayName", "$filter=id eq 'x'"])
def test_options_that_delta_does_not_take(caller: Caller, tenant: SimTenant, option: str) -> None:
    """400."""
    assert caller.code(tenant, f"{START}&{option}")[0] == 400


@pytest.mark.parametrize("name", ["signInActivity", "mailboxSettings"])
def test_properties_that_delta_does_not_tell(caller: Caller, tenant: SimTenant, name: str) -> None:
    """501."""
    assert caller.code(tenant, f"/v1.0/users/delta?$select=id,{name}") == (501, "NotImplemented")


def test_delta_asks_for_the_role_of_users(caller: Caller, tenant: SimTenant) -> None:
    """User.Read.All is enough, and it is needed."""
    tenant.roles = ("Organization.Read.All",)
    assert caller.code(tenant, START) == (403, "Authorization_RequestDenied")

    tenant.roles = ("User.Read.All",)
    other = Caller(caller.simulator)
    assert other.graph(tenant, START).status_code == 200
    other.session.close()


def test_selection_is_that_of_the_first_call(caller: Caller, tenant: SimTenant, world: Any) -> None:
    """A property that was not selected then is told to nobody who selects it now."""
    link = latest(caller, tenant)
    world(lambda users: setattr(users[0], "city", "Oslo"))
    world(lambda users: setattr(users[0], "job_title", "Head"))

    entries, _ = round_of(caller, tenant, f"{link}&$select=city")

    assert entries == [{"jobTitle": "Head", "id": tenant.users[0].user_id}]


def test_links_end(caller: Caller, tenant: SimTenant) -> None:
    """After seven days, and when the service wants a full read: 410, with the address to begin again at."""
    estate = caller.simulator.estate
    link = latest(caller, tenant)
    estate.now += dt.timedelta(days=6, hours=23)
    assert caller.graph(tenant, link).status_code == 200

    estate.now += dt.timedelta(hours=2)
    expired = caller.graph(tenant, link)
    assert (expired.status_code, expired.json()["error"]["code"]) == (410, "SyncStateNotFound")
    link = latest(caller, tenant)
    estate.history(tenant).reset()
    reset = caller.graph(tenant, link)

    assert (reset.status_code, reset.json()["error"]["code"]) == (410, "resyncRequired")
    again = reset.headers["Location"]
    assert again.endswith("&$deltaToken=")
    assert len(round_of(caller, tenant, again)[0]) == 4


def test_bad_tokens_are_refused(caller: Caller, tenant: SimTenant) -> None:
    """Made up, of another tenant, and two at once."""
    link = latest(caller, tenant)
    other = SimTenant("Other")
    caller.simulator.estate.tenants.append(other)
    caller.simulator.estate.touch()

    assert caller.code(tenant, "/v1.0/users/delta?$deltatoken=made-up")[0] == 400
    assert caller.code(other, link)[0] == 400
    assert caller.code(tenant, f"{link}&$skiptoken=abc")[0] == 400


def test_a_sized_tenant_is_not_unfolded_by_asking(folder: Any) -> None:
    """A link costs no objects; once somebody edits a user, exactly that is told."""
    estate = Estate.sized(1, 1100)
    tenant = estate.tenants[0]
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        link = latest(caller, tenant)
        assert round_of(caller, tenant, link)[0] == []
        assert tenant.users.is_pristine  # type: ignore[attr-defined]  # a lazy list
        tenant.users[1050].job_title = "Chief of Nothing"
        estate.touch(tenant.tenant_id)

        entries, _ = round_of(caller, tenant, link)
        caller.session.close()

    assert [(entry["id"], entry["jobTitle"]) for entry in entries] == [(tenant.users[1050].user_id, "Chief of Nothing")]
