"""The rules that give each user a contact: one by one, and all of them against the oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from contact_oracle import Contact, Decided, Key, Outcome, User, World, match
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o365_etl.store import relate
from o365_etl.store.warehouse import Db

ORG = "100"
ANNA = "anna@x.example"
BO = "bo@x.example"


@pytest.fixture(scope="module")
def outcomes(db: Db, fill: Callable[..., None]) -> Callable[[World], dict[Key, Outcome]]:
    """Matches a world in the warehouse."""

    def run(world: World) -> dict[Key, Outcome]:
        fill(tables_of(world))
        relate.match_contacts(db, sorted(world.fresh), world.decisions, world.links)
        rows = db.rows('SELECT tenant_id, user_id, status, rule, contact_id, candidates FROM "match".contacts')
        return {
            (tenant, user): Outcome(status, rule, contact, tuple(json.loads(candidates)) if candidates else None)
            for tenant, user, status, rule, contact, candidates in rows
            if tenant in world.fresh
        }

    return run


def tables_of(world: World) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables that the rules look at."""
    return {
        "match.organizations": [
            {"tenant_id": tenant, "status": "matched" if org else "unmatched", "organization_id": org}
            for tenant, org in world.organizations.items()
        ],
        "match.contacts": [
            {"tenant_id": tenant, "user_id": user, "status": "matched", "contact_id": contact}
            for (tenant, user), contact in world.earlier.items()
        ],
        "m365.users": [
            {
                "tenant_id": user.tenant,
                "user_id": user.id,
                "user_principal_name": user.upn,
                "name_key": user.name,
                "in_scope": user.in_scope,
                "is_guest": False,
            }
            for user in world.users
        ],
        "m365.user_addresses": [
            {"tenant_id": user.tenant, "user_id": user.id, "address": address, "kind": kind}
            for user in world.users
            for address, kind in user.addresses.items()
        ],
        "itglue.contacts": [
            {"contact_id": contact.id, "organization_id": contact.organization, "name_key": contact.name}
            for contact in world.contacts
        ],
        "itglue.contact_emails": [
            {"contact_id": contact.id, "organization_id": contact.organization, "address": address}
            for contact in world.contacts
            for address in contact.emails
        ],
    }


def world(users: list[User], contacts: list[Contact], **more: Any) -> World:
    """A world of one tenant `t` matched to `ORG`, unless told otherwise."""
    return World(**{"organizations": {"t": ORG}, "fresh": frozenset("t"), "users": users, "contacts": contacts, **more})


def contact(id_: str, *emails: str, name: str | None = None, organization: str = ORG) -> Contact:
    return Contact(id_, organization, name, frozenset(emails))


def user(id_: str, upn: str = "upn@x.example", *, tenant: str = "t", **more: Any) -> User:
    return User(tenant, id_, upn, **more)


RULES = {
    "alias finds any SMTP address": (
        world([user("a", addresses={ANNA: "alias"})], [contact("1", ANNA)]),
        Outcome("matched", "alias", "1"),
    ),
    "alias finds an address of otherMails": (
        world([user("a", addresses={ANNA: "other"})], [contact("1", ANNA)]),
        Outcome("matched", "alias", "1"),
    ),
    "the bare user name is left to rule username": (
        world([user("a", "ANNA@X.example", addresses={ANNA: "upn"})], [contact("1", ANNA)]),
        Outcome("matched", "username", "1"),
    ),
    "a full name is found last": (
        world([user("a", name="anna berg")], [contact("1", name="anna berg")]),
        Outcome("matched", "full_name", "1"),
    ),
    "a name alone on one side finds nothing": (
        world([user("a", name=None)], [contact("1", name=None)]),
        Outcome("create"),
    ),
    "a contact of another organization is no candidate": (
        world([user("a", ANNA)], [contact("1", ANNA, organization="200")]),
        Outcome("create"),
    ),
    "no candidate means create": (world([user("a")], [contact("1", BO)]), Outcome("create")),
    "two contacts for one user are ambiguous": (
        world([user("a", addresses={ANNA: "primary"})], [contact("1", ANNA), contact("2", ANNA)]),
        Outcome("ambiguous", "alias", None, ("1", "2")),
    ),
    "two users on one contact are ambiguous": (
        world(
            [user("a", addresses={ANNA: "primary"}), user("b", addresses={ANNA: "alias"})],
            [contact("1", ANNA)],
        ),
        Outcome("ambiguous", "alias", None, ("1",)),
    ),
    "users of two tenants of one organization are rivals too": (
        world(
            [user("a", addresses={ANNA: "primary"}), user("a", tenant="s", addresses={ANNA: "alias"})],
            [contact("1", ANNA)],
            organizations={"t": ORG, "s": ORG},
            fresh=frozenset("st"),
        ),
        Outcome("ambiguous", "alias", None, ("1",)),
    ),
    "a contact taken by a stronger rule is no candidate for a weaker one": (
        world(
            [user("b", addresses={BO: "primary"}), user("a", name="bo dahl")],
            [contact("1", BO, name="bo dahl")],
        ),
        Outcome("create"),
    ),
    "a contact that stronger rivals claim is not free, and nobody is created beside it": (
        world(
            [
                user("b", addresses={BO: "primary"}),
                user("c", addresses={BO: "alias"}),
                user("a", name="bo dahl"),
            ],
            [contact("1", BO, name="bo dahl")],
        ),
        Outcome("ambiguous", "full_name", None, ("1",)),
    ),
    "out of scope comes first": (
        world([user("a", ANNA, in_scope=False)], [contact("1", ANNA)], organizations={"t": None}),
        Outcome("out_of_scope"),
    ),
    "a linked user who left the scope keeps his contact": (
        world([user("a", in_scope=False)], [contact("1")], links={("t", "a"): "1"}),
        Outcome("out_of_scope", contact="1"),
    ),
    "without an organization nothing is concluded": (
        world([user("a", ANNA)], [contact("1", ANNA)], organizations={"t": None}),
        Outcome("organization_unmatched"),
    ),
    "a link outlives a new address and a new name": (
        world([user("a", ANNA)], [contact("1"), contact("2", ANNA)], links={("t", "a"): "1"}),
        Outcome("matched", "link", "1"),
    ),
    "a link to a contact that is gone does not count": (
        world([user("a", ANNA)], [contact("2", ANNA)], links={("t", "a"): "1"}),
        Outcome("matched", "username", "2"),
    ),
    "a link to a contact that moved to another organization does not count": (
        world([user("a")], [contact("1", organization="200")], links={("t", "a"): "1"}),
        Outcome("create"),
    ),
    "a decision beats a link": (
        world(
            [user("a")],
            [contact("1"), contact("2")],
            links={("t", "a"): "1"},
            decisions=[Decided("t", "a", "to", "2")],
        ),
        Outcome("matched", "decision", "2"),
    ),
    "a decision to create beats every rule": (
        world([user("a", ANNA)], [contact("1", ANNA)], decisions=[Decided("t", "a", "create")]),
        Outcome("create", "decision"),
    ),
    "an ignored user stays ignored": (
        world([user("a", ANNA)], [contact("1", ANNA)], decisions=[Decided("t", "a", "ignore")]),
        Outcome("ignored", "decision"),
    ),
    "no rule chooses where a person's choice is gone": (
        world([user("a", ANNA)], [contact("1", ANNA)], decisions=[Decided("t", "a", "to", "9")]),
        Outcome("ambiguous", "decision"),
    ),
    "a contact that a person gave to somebody else is taken": (
        world([user("a", ANNA), user("b")], [contact("1", ANNA)], decisions=[Decided("t", "b", "to", "1")]),
        Outcome("create"),
    ),
    "a contact linked to somebody out of scope is taken": (
        world([user("a", ANNA), user("b", in_scope=False)], [contact("1", ANNA)], links={("t", "b"): "1"}),
        Outcome("create"),
    ),
    "the contact of a user that a complete read no longer has is free again": (
        world([user("a", ANNA)], [contact("1", ANNA)], links={("t", "gone"): "1"}),
        Outcome("matched", "username", "1"),
    ),
    "what a stale tenant's user has stays taken": (
        world(
            [user("a", ANNA)],
            [contact("1", ANNA)],
            organizations={"t": ORG, "stale": ORG},
            earlier={("stale", "b"): "1"},
        ),
        Outcome("create"),
    ),
}


@pytest.mark.parametrize(("case", "expected"), RULES.values(), ids=RULES.keys())
def test_user_a_ends_where_the_rules_say(
    outcomes: Callable[[World], dict[Key, Outcome]], case: World, expected: Outcome
) -> None:
    """Each sentence of the design about users and contacts, on the smallest world that shows it."""
    assert outcomes(case)["t", "a"] == expected
    assert match(case)["t", "a"] == expected


def test_stale_tenants_are_left_as_they_are(db: Db, outcomes: Callable[[World], dict[Key, Outcome]]) -> None:
    """Rows of a tenant that was not read stay, byte for byte."""
    case = world([user("a"), user("b", tenant="stale")], [contact("1")], earlier={("stale", "b"): "1"})
    outcomes(case)
    kept = db.rows("SELECT user_id, status, contact_id FROM \"match\".contacts WHERE tenant_id = 'stale'")
    assert kept == [("b", "matched", "1")]


ADDRESSES = st.sampled_from(["a@x.example", "b@x.example", "c@x.example", "dé@x.example"])
NAMES = st.sampled_from([None, "n1", "n2"])
TENANTS = ("t1", "t2", "t3")
CONTACTS = ("1", "2", "3", "4", "5")
USERS = ("u1", "u2", "u3")
KEYS = st.tuples(st.sampled_from(TENANTS), st.sampled_from((*USERS, "gone")))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Small worlds in which everything collides with everything."""
    users = [
        User(
            tenant,
            id_,
            draw(ADDRESSES).upper(),
            draw(NAMES),
            draw(st.sampled_from([True, True, True, False])),
            draw(st.dictionaries(ADDRESSES, st.sampled_from(["primary", "alias", "upn", "other"]), max_size=2)),
        )
        for tenant in TENANTS
        for id_ in draw(st.lists(st.sampled_from(USERS), unique=True, max_size=3))
    ]
    contacts = [
        Contact(
            id_,
            draw(st.sampled_from(["100", "100", "200"])),
            draw(NAMES),
            draw(st.frozensets(ADDRESSES, max_size=2)),
        )
        for id_ in draw(st.lists(st.sampled_from(CONTACTS), unique=True, max_size=5))
    ]
    keys = draw(st.lists(KEYS, unique=True, max_size=2))
    actions = st.sampled_from(["to", "create", "ignore"])
    decisions = []
    for tenant, id_ in keys:
        action = draw(actions)
        decisions.append(Decided(tenant, id_, action, draw(st.sampled_from(CONTACTS)) if action == "to" else None))
    return World(
        organizations={
            "t1": "100",
            "t2": draw(st.sampled_from(["100", "200", None])),
            "t3": draw(st.sampled_from(["100", "200"])),
        },
        users=users,
        contacts=contacts,
        fresh=frozenset(draw(st.sampled_from([TENANTS, TENANTS[:2]]))),
        decisions=decisions,
        links=draw(st.dictionaries(KEYS, st.sampled_from(CONTACTS), max_size=2)),
        earlier={("t3", "u9"): draw(st.sampled_from(CONTACTS))},
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds())
@example(world([], []))
def test_sql_says_what_the_oracle_says(outcomes: Callable[[World], dict[Key, Outcome]], case: World) -> None:
    """The set-based SQL and the obvious Python agree on every user of every world."""
    assert outcomes(case) == match(case)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds())
def test_rules_never_give_one_contact_twice(outcomes: Callable[[World], dict[Key, Outcome]], case: World) -> None:
    """Whatever collides, no rule gives one contact to two users."""
    given_away = [o.contact for o in outcomes(case).values() if o.status == "matched" and o.rule != "decision"]
    assert len(given_away) == len(set(given_away))


def test_batches_change_nothing(
    outcomes: Callable[[World], dict[Key, Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users matched in many small batches end where they end in one."""
    tenants = [f"t{number}" for number in range(6)]
    case = World(
        organizations={tenant: f"{number // 2}" for number, tenant in enumerate(tenants)},
        users=[
            User(
                tenant, f"u{number}", f"{tenant}.{number}@x.example", "same", addresses={f"{number}@x.example": "alias"}
            )
            for tenant in tenants
            for number in range(3)
        ],
        contacts=[contact(f"{org}{n}", f"{n}@x.example", organization=f"{org}") for org in range(3) for n in range(2)],
        fresh=frozenset(tenants),
    )
    whole = outcomes(case)
    monkeypatch.setattr(relate, "USERS_PER_BATCH", 2)
    assert outcomes(case) == whole == match(case)
