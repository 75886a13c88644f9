"""The rules that give each user a contact: one by one, and all of them against the oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from contact_oracle import Contact, Decided, Key, Outcome, User, World, match, new_links
from hypothesis import example, given, settings
from hypothesis import strategies as st

from o365_etl.store import relate
from o365_etl.store.warehouse import Db
from o365_etl.tables import TABLES

ORG = "100"
ANNA = "anna@x.example"
BO = "bo@x.example"


@dataclass(frozen=True)
class Matched:
    """What a match says: where the users of fresh tenants stand, and the new links as they came."""

    outcomes: dict[Key, Outcome]
    portions: list[list[relate.UserLink]]

    @property
    def links(self) -> list[relate.UserLink]:
        return sorted(link for portion in self.portions for link in portion)


Match: TypeAlias = Callable[[World], Matched]


def match_again(db: Db, world: World) -> Matched:
    """Match what is in the warehouse, with the world's decisions and links."""
    portions: list[list[relate.UserLink]] = []
    with relate.known_people(db, world.decisions, link_table(world).to_reader(2)):
        relate.match_contacts(db, sorted(world.fresh), portions.append)
    rows = db.rows('SELECT tenant_id, user_id, status, rule, contact_id, candidates, evidence FROM "match".contacts')
    outcomes = {
        (tenant, user): Outcome(
            status,
            rule,
            contact,
            tuple(json.loads(candidates)) if candidates else None,
            json.loads(evidence) if evidence else None,
        )
        for tenant, user, status, rule, contact, candidates, evidence in rows
        if tenant in world.fresh
    }
    return Matched(outcomes, portions)


@pytest.fixture(scope="module")
def matched(db: Db, fill: Callable[..., None]) -> Match:
    """Matches a world in the warehouse."""

    def run(world: World) -> Matched:
        fill(tables_of(world))
        return match_again(db, world)

    return run


def link_table(world: World) -> pa.Table:
    """The links as the state store hands them out."""
    names = ("tenant_id", "user_id", "organization_id", "contact_id")
    rows = [dict(zip(names, (*key, contact), strict=True)) for key, contact in world.links.items()]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))


def remembered(world: World, links: list[relate.UserLink]) -> World:
    """The world in which these links were written down: a user has one in each organization."""
    return replace(world, links={**world.links, **{link[:3]: link[3] for link in links}})


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
        world([user("a", in_scope=False)], [contact("1")], links={("t", "a", ORG): "1"}),
        Outcome("out_of_scope", contact="1"),
    ),
    "without an organization nothing is concluded": (
        world([user("a", ANNA)], [contact("1", ANNA)], organizations={"t": None}),
        Outcome("organization_unmatched"),
    ),
    "a link outlives a new address and a new name": (
        world([user("a", ANNA)], [contact("1"), contact("2", ANNA)], links={("t", "a", ORG): "1"}),
        Outcome("matched", "link", "1"),
    ),
    "of links into several organizations the one into that of now counts": (
        world(
            [user("a")],
            [contact("1"), contact("2", organization="200")],
            links={("t", "a", "200"): "2", ("t", "a", ORG): "1"},
        ),
        Outcome("matched", "link", "1"),
    ),
    "a link into another organization matches nothing": (
        world([user("a")], [contact("2", organization="200")], links={("t", "a", "200"): "2"}),
        Outcome("create"),
    ),
    "a link into another organization does not follow its contact": (
        world([user("a")], [contact("1")], links={("t", "a", "200"): "1"}),
        Outcome("create"),
    ),
    "a link into another organization, its contact gone, leaves the rules their say": (
        world([user("a", ANNA)], [contact("1", ANNA)], links={("t", "a", "200"): "9"}),
        Outcome("matched", "username", "1"),
    ),
    "a link into another organization holds no contact": (
        world([user("a", ANNA), user("b")], [contact("1", ANNA)], links={("t", "b", "200"): "1"}),
        Outcome("matched", "username", "1"),
    ),
    "what a tenant had in the organization it was matched with before is free": (
        world(
            [user("a", ANNA), user("b", tenant="s")],
            [contact("1", ANNA)],
            organizations={"t": ORG, "s": "200"},
            fresh=frozenset("st"),
            links={("s", "b", ORG): "1"},
        ),
        Outcome("matched", "username", "1"),
    ),
    "what a tenant had that is matched with nothing now is free": (
        world(
            [user("a", ANNA), user("b", tenant="s")],
            [contact("1", ANNA)],
            organizations={"t": ORG, "s": None},
            fresh=frozenset("st"),
            links={("s", "b", ORG): "1"},
        ),
        Outcome("matched", "username", "1"),
    ),
    "who left the scope keeps no contact of another organization": (
        world(
            [user("a", in_scope=False)],
            [contact("2", organization="200")],
            links={("t", "a", "200"): "2"},
        ),
        Outcome("out_of_scope"),
    ),
    "two users linked to one contact are ambiguous": (
        world([user("a"), user("b")], [contact("1")], links={("t", "a", ORG): "1", ("t", "b", ORG): "1"}),
        Outcome("ambiguous", "link", None, ("1",)),
    ),
    "no rule chooses for a user whose linked contact is gone": (
        world([user("a", ANNA)], [contact("2", ANNA)], links={("t", "a", ORG): "1"}),
        Outcome("ambiguous", "link"),
    ),
    "nor for one whose linked contact moved to another organization": (
        world(
            [user("a", ANNA)],
            [contact("1", organization="200"), contact("2", ANNA)],
            links={("t", "a", ORG): "1"},
        ),
        Outcome("ambiguous", "link"),
    ),
    "what a user with a broken link might have is left to others": (
        world(
            [user("b", addresses={ANNA: "primary"}), user("a", addresses={ANNA: "alias"})],
            [contact("1", ANNA)],
            links={("t", "b", ORG): "9"},
        ),
        Outcome("matched", "alias", "1"),
    ),
    "a contact is free where it moved to": (
        world(
            [user("a", ANNA), user("b", tenant="s")],
            [contact("1", ANNA)],
            organizations={"t": ORG, "s": "200"},
            fresh=frozenset("st"),
            links={("s", "b", "200"): "1"},
        ),
        Outcome("matched", "username", "1"),
    ),
    "who left the scope with a broken link has nothing": (
        world([user("a", in_scope=False)], [contact("1", organization="200")], links={("t", "a", ORG): "1"}),
        Outcome("out_of_scope"),
    ),
    "a broken link of an ignored user bothers nobody": (
        world([user("a")], [], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "ignore")]),
        Outcome("ignored", "decision"),
    ),
    "a decision beats a link": (
        world(
            [user("a")],
            [contact("1"), contact("2")],
            links={("t", "a", ORG): "1"},
            decisions=[Decided("t", "a", "to", "2")],
        ),
        Outcome("matched", "decision", "2"),
    ),
    "a decision mends a broken link": (
        world([user("a")], [contact("2")], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "accept", "2")]),
        Outcome("matched", "decision", "2"),
    ),
    "a link does not stand in for a person's choice that is gone": (
        world([user("a")], [contact("1")], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "to", "9")]),
        Outcome("ambiguous", "decision"),
    ),
    "a link that a person overruled holds nothing": (
        world(
            [user("a", ANNA), user("b")],
            [contact("1", ANNA), contact("2")],
            links={("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "to", "2")],
        ),
        Outcome("matched", "username", "1"),
    ),
    "nor does one that a person overruled by accepting": (
        world(
            [user("a", ANNA), user("b")],
            [contact("1", ANNA), contact("2")],
            links={("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "accept", "2")],
        ),
        Outcome("matched", "username", "1"),
    ),
    "a link to a contact that a person gave to somebody else does not count": (
        world(
            [user("a", ANNA), user("b")],
            [contact("1"), contact("2", ANNA)],
            links={("t", "a", ORG): "1"},
            decisions=[Decided("t", "b", "to", "1")],
        ),
        Outcome("matched", "username", "2"),
    ),
    "a decision to create beats every rule": (
        world([user("a", ANNA)], [contact("1", ANNA)], decisions=[Decided("t", "a", "create")]),
        Outcome("create", "decision"),
    ),
    "a contact created on a person's word is his": (
        world(
            [user("a", ANNA)],
            [contact("1"), contact("2", ANNA)],
            links={("t", "a", ORG): "1"},
            decisions=[Decided("t", "a", "create")],
        ),
        Outcome("matched", "decision", "1"),
    ),
    "a contact created in another organization is created here too": (
        world(
            [user("a")],
            [contact("2", organization="200")],
            links={("t", "a", "200"): "2"},
            decisions=[Decided("t", "a", "create")],
        ),
        Outcome("create", "decision"),
    ),
    "a created contact that is gone is not created again": (
        world(
            [user("a", ANNA)],
            [contact("2", ANNA)],
            links={("t", "a", ORG): "1"},
            decisions=[Decided("t", "a", "create")],
        ),
        Outcome("ambiguous", "link"),
    ),
    "a created contact is taken": (
        world(
            [user("a", ANNA), user("b")],
            [contact("1", ANNA)],
            links={("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "create")],
        ),
        Outcome("create"),
    ),
    "a link to a contact that was created for somebody else does not count": (
        world(
            [user("a"), user("b")],
            [contact("1")],
            links={("t", "a", ORG): "1", ("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "create")],
        ),
        Outcome("create"),
    ),
    "an ignored user stays ignored": (
        world([user("a", ANNA)], [contact("1", ANNA)], decisions=[Decided("t", "a", "ignore")]),
        Outcome("ignored", "decision"),
    ),
    "the link of an ignored user gives him nothing": (
        world([user("a")], [contact("1")], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "ignore")]),
        Outcome("ignored", "decision"),
    ),
    "but holds its contact": (
        world(
            [user("a", ANNA), user("b")],
            [contact("1", ANNA)],
            links={("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "ignore")],
        ),
        Outcome("create"),
    ),
    "and leaves one of somebody else to the same contact in force": (
        world(
            [user("a"), user("b")],
            [contact("1")],
            links={("t", "a", ORG): "1", ("t", "b", ORG): "1"},
            decisions=[Decided("t", "b", "ignore")],
        ),
        Outcome("matched", "link", "1"),
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
        world([user("a", ANNA), user("b", in_scope=False)], [contact("1", ANNA)], links={("t", "b", ORG): "1"}),
        Outcome("create"),
    ),
    "the contact of a user that a complete read no longer has is free again": (
        world([user("a", ANNA)], [contact("1", ANNA)], links={("t", "gone", ORG): "1"}),
        Outcome("matched", "username", "1"),
    ),
    "what a stale tenant's user is linked to is taken, read or not": (
        world(
            [user("a", ANNA)],
            [contact("1", ANNA)],
            organizations={"t": ORG, "stale": ORG},
            links={("stale", "b", ORG): "1"},
        ),
        Outcome("create"),
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
def test_user_a_ends_where_the_rules_say(matched: Match, case: World, expected: Outcome) -> None:
    """Each sentence of the design about users and contacts, on the smallest world that shows it."""
    assert replace(matched(case).outcomes["t", "a"], evidence=None) == expected
    assert replace(match(case)["t", "a"], evidence=None) == expected


EVIDENCE = {
    "a link": (world([user("a")], [contact("1")], links={("t", "a", ORG): "1"}), {"linked": True}),
    "a link whose contact is gone": (
        world([user("a")], [], links={("t", "a", ORG): "1"}),
        {"linked_contact_gone": "1"},
    ),
    "a link whose contact moved": (
        world([user("a")], [contact("1", organization="200")], links={("t", "a", ORG): "1"}),
        {"linked_contact_gone": "1"},
    ),
    "a created contact that is gone": (
        world([user("a")], [], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "create")]),
        {"linked_contact_gone": "1"},
    ),
    "a created contact": (
        world([user("a")], [contact("1")], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "create")]),
        {"action": "create"},
    ),
    "a person's choice that is gone": (
        world([user("a")], [], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "to", "9")]),
        {"decided_contact_gone": "9"},
    ),
    "an ignored user with a broken link": (
        world([user("a")], [], links={("t", "a", ORG): "1"}, decisions=[Decided("t", "a", "ignore")]),
        {"action": "ignore"},
    ),
    "an address": (
        world([user("a", addresses={BO: "alias", ANNA: "primary"})], [contact("1", ANNA, BO)]),
        {"address": ANNA},
    ),
    "a name": (world([user("a", name="anna berg")], [contact("1", name="anna berg")]), {"name": "anna berg"}),
    "rivals": (
        world(
            [user("a", addresses={ANNA: "primary", BO: "alias"}), user("b", addresses={BO: "alias"})],
            [contact("1", ANNA), contact("2", BO)],
        ),
        {"contacts": 2, "users": 2},
    ),
    "nothing": (world([user("a")], []), None),
    "out of scope": (world([user("a", in_scope=False)], [], links={("t", "a", ORG): "1"}), None),
}


@pytest.mark.parametrize(("case", "expected"), EVIDENCE.values(), ids=EVIDENCE.keys())
def test_evidence_names_what_was_seen(matched: Match, case: World, expected: dict[str, Any] | None) -> None:
    """A person reads there why a match is what it is."""
    assert matched(case).outcomes["t", "a"].evidence == expected
    assert match(case)["t", "a"].evidence == expected


def test_stale_tenants_are_left_as_they_are(db: Db, matched: Match) -> None:
    """Rows of a tenant that was not read stay, byte for byte, and nothing new is said about it."""
    case = world([user("a"), user("b", tenant="stale")], [contact("1")], earlier={("stale", "b"): "1"})
    assert matched(case).links == []
    kept = db.rows("SELECT user_id, status, contact_id FROM \"match\".contacts WHERE tenant_id = 'stale'")
    assert kept == [("b", "matched", "1")]


# Everything that may come of a user, in one world.
ALL_SORTS = world(
    [
        user("known"),
        user("alias", addresses={ANNA: "alias"}),
        user("username", BO),
        user("name", name="cy dahl"),
        user("chosen"),
        user("rechosen"),
        user("created"),
        user("moved", "moved@x.example"),
        user("followed", "followed@x.example"),
        user("broken"),
        user("new"),
        user("ignored"),
        user("away", in_scope=False),
        user("away, chosen", in_scope=False),
        user("rival 1", name="same"),
        user("rival 2", name="same"),
        user("nowhere", BO, tenant="s"),
    ],
    [
        contact("1"),
        contact("2", ANNA),
        contact("3", BO),
        contact("4", name="cy dahl"),
        *(contact(id_) for id_ in ("5", "6", "7", "8")),
        contact("9", "moved@x.example"),
        contact("10", name="same"),
        contact("11"),
        contact("12", organization="200"),
        contact("13", "followed@x.example"),
        contact("14"),
    ],
    organizations={"t": ORG, "s": None},
    fresh=frozenset("st"),
    decisions=[
        Decided("t", "chosen", "to", "5"),
        Decided("t", "rechosen", "to", "6"),
        Decided("t", "created", "create"),
        Decided("t", "ignored", "ignore"),
        Decided("t", "away, chosen", "to", "14"),
    ],
    links={
        ("t", "known", ORG): "1",
        ("t", "rechosen", ORG): "7",
        ("t", "created", ORG): "8",
        ("t", "moved", "200"): "12",
        ("t", "followed", "200"): "13",
        ("t", "broken", ORG): "99",
        ("t", "away", ORG): "11",
    },
)
FOUND = [
    ("t", "alias", ORG, "2", "alias"),
    ("t", "chosen", ORG, "5", "decision"),
    ("t", "followed", ORG, "13", "username"),
    ("t", "moved", ORG, "9", "username"),
    ("t", "name", ORG, "4", "full_name"),
    ("t", "rechosen", ORG, "6", "decision"),
    ("t", "username", ORG, "3", "username"),
]


def test_new_links_are_the_matches_that_no_link_says(matched: Match) -> None:
    """Neither what a link says already nor what is not certain; a link into another organization says nothing."""
    found = matched(ALL_SORTS)
    assert found.links == FOUND
    assert len({outcome.status for outcome in found.outcomes.values()}) == 6  # all that there are


@pytest.mark.parametrize(("size", "sizes"), [(4, [4, 3]), (6, [6, 1]), (7, [7]), (100, [7])])
def test_new_links_come_in_portions(
    matched: Match, monkeypatch: pytest.MonkeyPatch, size: int, sizes: list[int]
) -> None:
    """No portion is too large or empty, none of the links is left out or told twice."""
    monkeypatch.setattr(relate, "LINKS_PER_PORTION", size)
    found = matched(ALL_SORTS)
    assert [len(portion) for portion in found.portions] == sizes
    assert found.links == FOUND


def test_where_nothing_is_new_nothing_is_told(db: Db, matched: Match) -> None:
    """A sync that finds what the last one found writes no links."""
    matched(ALL_SORTS)
    assert match_again(db, remembered(ALL_SORTS, FOUND)).portions == []


def test_links_that_could_not_be_written_are_told_again(
    db: Db, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place where links are kept fails at the second portion: the next match tells what it did not take."""
    monkeypatch.setattr(relate, "LINKS_PER_PORTION", 4)
    fill(tables_of(ALL_SORTS))
    written: list[relate.UserLink] = []

    def write(portion: list[relate.UserLink]) -> None:
        if written:
            raise OSError("disk full")
        written.extend(portion)

    with (
        pytest.raises(OSError, match="disk full"),
        relate.known_people(db, ALL_SORTS.decisions, link_table(ALL_SORTS)),
    ):
        relate.match_contacts(db, sorted(ALL_SORTS.fresh), write)
    again = match_again(db, remembered(ALL_SORTS, written))
    assert len(written) == 4
    assert sorted([*written, *again.links]) == FOUND


ADDRESSES = st.sampled_from(["a@x.example", "b@x.example", "c@x.example", "dé@x.example"])
NAMES = st.sampled_from([None, "n1", "n2"])
TENANTS = ("t1", "t2", "t3")
CONTACTS = ("1", "2", "3", "4", "5")
USERS = ("u1", "u2", "u3")
ORGANIZATIONS = st.sampled_from(["100", "100", "200"])


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
        Contact(id_, draw(ORGANIZATIONS), draw(NAMES), draw(st.frozensets(ADDRESSES, max_size=2)))
        for id_ in draw(st.lists(st.sampled_from(CONTACTS), unique=True, max_size=5))
    ]
    decisions = []
    links = {}
    # Also of a user who is gone, from a tenant that was read and from one that may not have been.
    for tenant, id_ in [*(user.key for user in users), ("t1", "gone"), ("t3", "gone")]:
        action = draw(st.sampled_from([None, None, None, None, "to", "accept", "create", "create", "ignore"]))
        if action is not None:
            chosen = draw(st.sampled_from(CONTACTS)) if action in ("to", "accept") else None
            decisions.append(Decided(tenant, id_, action, chosen))
        for organization, linked in draw(st.dictionaries(ORGANIZATIONS, st.sampled_from(CONTACTS), max_size=2)).items():
            links[tenant, id_, organization] = linked
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
        links=links,
        earlier={("t3", "u9"): draw(st.sampled_from(CONTACTS))},
    )


@settings(max_examples=50, deadline=None)
@given(worlds())
@example(world([], []))
@example(ALL_SORTS)
def test_sql_says_what_the_oracle_says(matched: Match, case: World) -> None:
    """The set-based SQL and the obvious Python agree on every user of every world, and on every new link."""
    found, expected = matched(case), match(case)
    assert found.outcomes == expected
    assert found.links == sorted(new_links(case, expected))


@settings(max_examples=12, deadline=None)
@given(worlds())
@example(ALL_SORTS)
def test_a_second_match_finds_what_the_first_one_found(db: Db, matched: Match, case: World) -> None:
    """What a rule found is a link by then; nobody else's lot changes for it, and there is nothing more to remember."""
    first = matched(case)
    case = remembered(case, first.links)
    expected = {
        key: Outcome("matched", "link", outcome.contact, evidence={"linked": True})
        if outcome.status == "matched" and outcome.rule != "decision"
        else outcome
        for key, outcome in first.outcomes.items()
    }
    second = match_again(db, case)
    assert second.outcomes == expected
    assert second.portions == []
    assert match_again(db, case) == second


@settings(max_examples=20, deadline=None)
@given(worlds(), worlds())
@example(ALL_SORTS, world([], []))
@example(world([user("a", addresses={ANNA: "alias"})], [contact("1", ANNA)]), ALL_SORTS)
def test_only_what_differs_is_written_and_nothing_else_is_left(
    db: Db, fill: Callable[..., None], matched: Match, before: World, case: World
) -> None:
    """Whatever an earlier match said of fresh tenants: it ends as if there had been none."""
    matched(before)
    tables = tables_of(case)
    columns = ", ".join(TABLES["match.contacts"].column_names)
    tables["match.contacts"] += [
        row for row in db.arrow(f'SELECT {columns} FROM "match".contacts').to_pylist() if row["tenant_id"] in case.fresh
    ]
    fill(tables)
    found, expected = match_again(db, case), match(case)
    assert found.outcomes == expected
    assert found.links == sorted(new_links(case, expected))


@settings(max_examples=6, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(matched: Match, case: World, random: Any) -> None:
    """However the rows lie in the tables, everybody ends in the same place."""

    def shuffled(rows: Any) -> list[Any]:
        return random.sample(list(rows), len(rows))

    other = replace(
        case,
        users=shuffled(case.users),
        contacts=shuffled(case.contacts),
        decisions=shuffled(case.decisions),
        links=dict(shuffled(case.links.items())),
    )
    first, second = matched(case), matched(other)
    assert (first.outcomes, first.links) == (second.outcomes, second.links)


@settings(max_examples=12, deadline=None)
@given(worlds())
def test_rules_never_give_one_contact_twice(matched: Match, case: World) -> None:
    """Whatever collides, no rule gives a contact to a user that another user has, by a rule or by a decision."""
    given_away = [(o.contact, o.rule) for o in matched(case).outcomes.values() if o.status == "matched"]
    by_rule = [contact for contact, rule in given_away if rule != "decision"]
    assert len(by_rule) == len(set(by_rule))
    assert set(by_rule).isdisjoint(contact for contact, rule in given_away if rule == "decision")


def test_batches_change_nothing(matched: Match, monkeypatch: pytest.MonkeyPatch) -> None:
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
    whole = matched(case).outcomes
    monkeypatch.setattr(relate, "USERS_PER_BATCH", 2)
    assert matched(case).outcomes == whole == match(case)
