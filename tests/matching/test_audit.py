"""The first-sync audit: who resembles whom and why, and who is held back for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from o365_etl.matching.audit import MOST, AuditContact, AuditUser, Resemblance, audit, held_back
from o365_etl.normalise import person_key
from o365_etl.store import audit as store
from o365_etl.store import relate
from o365_etl.store.warehouse import Db


def user(first: str | None = None, last: str | None = None, id_: str = "u", **more: Any) -> AuditUser:
    return AuditUser("t", id_, first, last, **more)


def contact(first: str | None = None, last: str | None = None, id_: str = "1", **more: Any) -> AuditContact:
    return AuditContact(id_, first, last, **more)


def why(one: AuditUser, other: AuditContact) -> set[str]:
    """In which ways a user resembles a contact, with nobody else about."""
    return {kind for found in audit([one], [other]).values() for each in found for kind in each.why}


def named(one: str, other: str) -> set[str]:
    """The same for two full names, "First Last"; a first name of two words is written with an underscore."""
    (first, last), (contact_first, contact_last) = (name.split(" ", 1) for name in (one, other))
    return why(
        user(first.replace("_", " "), last, display_name="X Y"), contact(contact_first.replace("_", " "), contact_last)
    )


SWAPPED = {
    "given and family name in each other's place": ("Anna Berg", "Berg Anna", True),
    "normalised": ("ANNA  Berg", "berg  anna", True),
    "diacritics count": ("Zoé Berg", "Berg Zoe", False),
    "one name alone": ("Anna Berg", "Berg Hanna", False),
    "the same order": ("Anna Berg", "Anna Dahl", False),
}

NICKNAMES = {
    "English": ("Bob Smith", "Robert Smith", True),
    "two nicknames of one name": ("Bill Smith", "Will Smith", True),
    "English women": ("Kathy Smith", "Katherine Smith", True),
    "German": ("Hans Meier", "Johannes Meier", True),
    "French": ("Manu Petit", "Emmanuel Petit", True),
    "Spanish, diacritics folded": ("José Díaz", "Pepe Diaz", True),
    "Scandinavian": ("Lasse Berg", "Lars Berg", True),
    "Polish": ("Gosia Nowak", "Małgorzata Nowak", True),
    "Italian": ("Gianni Rossi", "Giovanni Rossi", True),
    "a middle name beside it": ("Robert_J. Smith", "Bob Smith", True),
    "a middle name more": ("Anna_Maria Berg", "Anna Berg", True),
    "the last name written out": ("Bob Müller", "Robert Mueller", True),
    "another last name": ("Bob Smith", "Robert Smart", False),
    "two names that share a nickname": ("Christian Berg", "Christopher Berg", False),
    "two names that end in one nickname": ("Alexander Berg", "Alexandra Berg", False),
    "other middle initials": ("Robert_J. Smith", "Robert_K. Smith", False),
    "equal first names": ("Bob Smith", "Bob Smith", False),
    "a prefix of three letters": ("Ann Lee", "Annika Lee", True),
    "a prefix, the other way": ("Gabriela Lee", "Gab Lee", True),
    "a prefix of two letters": ("Zo Lee", "Zoran Lee", False),
    "a prefix of another last name": ("Ann Lee", "Annika Li", False),
    "an initial with a dot": ("J. Berg", "Jana Berg", True),
    "an initial without, the other way": ("Jana Berg", "J Berg", True),
    "two initials": ("J.-P. Dupont", "Jean-Pierre Dupont", True),
    "the same initial": ("J. Berg", "J Berg", False),
    "another initial": ("K. Berg", "Jana Berg", False),
    "an initial and another last name": ("J. Berg", "Jana Borg", False),
    "one letter is a name where there are no capitals": ("伟 王", "伟明 王", False),
}

TYPOS = {
    "a letter more": ("Anna Berg", "Anna Bergg", True),
    "two letters in the wrong order": ("Micheal Berg", "Michael Berg", True),
    "another letter": ("Peter Schmidt", "Peter Schmitt", True),
    "two slips from ten letters on": ("Jonathan Smyth", "Jonathon Smith", True),
    "two slips in one name": ("Christian Meyer", "Christian Maier", True),
    "two slips in just ten letters": ("Peter Meyer", "Peter Maier", True),
    "two slips in nine letters": ("Pete Meyer", "Pete Maier", False),
    "three slips": ("Jonathan Smythe", "Jonathon Smit", False),
    "diacritics folded": ("Peter Müller", "Peter Muller", True),
    "an umlaut written out": ("Jürgen Müller", "Juergen Mueller", True),
    "written out and left out": ("Peter Mueller", "Peter Muller", True),
    "letters without a decomposition": ("Søren Wałęsa", "Soren Walesa", True),
    "a ring written out": ("Håkon Aas", "Haakon Ås", True),
    "a hyphen": ("Anne-Marie Berg", "Anne_Marie Berg", True),
    "a hyphen between two letters": ("J-P Ek", "JP Ek", True),
    "an apostrophe": ("Tim O’Brien", "Tim OBrien", True),
    "a blank in the other name": ("Anne_Marie Berg", "Anne Marie Berg", True),
    "one name in two languages": ("Katarina Berg", "Katharina Berg", True),
    "the first letter of a long name": ("Katrin Hoffmann", "Catrin Hoffmann", True),
    "the first letter of a short name": ("Peter Berg", "Peter Werg", False),
    "the first letters of both": ("Peterson Hoffmann", "Beterson Koffmann", False),
    "two short names, two edits": ("Ann Lee", "Ian Lee", False),
    "two short names, one edit": ("Dan Lee", "Ian Lee", False),
    "one letter of three is another name": ("Jan Lee", "Jon Lee", False),
    "a letter too few of four is a slip": ("Bo Dahl", "Bo Dal", True),
    "of three letters two in the wrong order": ("Anna Eke", "Anna Eek", True),
    "of three letters the first two in the wrong order": ("Anna Eke", "Anna Kee", False),
    "two edits in four letters": ("Sebastian Berg", "Sebastian Burk", False),
    "two edits, one in the first letter": ("Peter Hansen", "Peter Jensen", False),
    "two spellings of a short first name": ("Eric Berg", "Erik Berg", True),
    "of two letters nothing": ("Anna Li", "Anna Lin", False),
    "short first names that both exist": ("Lena Zimmermann", "Lina Zimmermann", False),
    "a short first name that does not exist": ("Lewna Zimmermann", "Lena Zimmermann", True),
    "the same letters in one name only": ("Anna Berg", "Anna Holm", False),
}


def table(*tables: tuple[str, dict[str, tuple[str, str, bool]]]) -> list[Any]:
    return [
        pytest.param(kind, one, other, expected, id=f"{kind}: {label}")
        for kind, cases in tables
        for label, (one, other, expected) in cases.items()
    ]


@pytest.mark.parametrize(
    ("kind", "one", "other", "expected"),
    table(("swapped_names", SWAPPED), ("nickname", NICKNAMES), ("typo", TYPOS)),
)
def test_names_that_resemble(kind: str, one: str, other: str, expected: bool) -> None:
    """Each kind that looks at names alone finds what it says, whoever has which name, and nothing else."""
    assert (kind in named(one, other)) is expected
    assert (kind in named(other, one)) is expected


def test_a_whole_name_in_one_field_is_that_name() -> None:
    """The other side must know which part is which: two first names are no full name."""
    assert why(user("Anna", "Berg"), contact("Anna Berg")) == {"typo"}
    assert why(user("Anna Berg"), contact("Anna", "Berg")) == {"typo"}
    assert why(user("Anna Maria"), contact("Anna Maria")) == set()
    assert why(user("Anna"), contact("Anna")) == set()
    assert why(user(None, "Berg"), contact(None, "Berg")) == set()


DISPLAY_NAMES = {
    "the contact's full name": (user(display_name="ANNA  Berg"), contact("Anna", "Berg"), True),
    "last name first": (user(display_name="Berg, Anna"), contact("Anna", "Berg"), True),
    "a surname is missing": (user("Anna", display_name="Anna Berg"), contact("Anna", "Berg"), True),
    "a blank surname": (user("Anna", " ", display_name="Anna Berg"), contact("Anna", "Berg"), True),
    "both names are there": (user("A", "B", display_name="Anna Berg"), contact("Anna", "Berg"), False),
    "diacritics count": (user(display_name="Zoe Berg"), contact("Zoé", "Berg"), False),
    "the first name alone": (user(display_name="Anna"), contact("Anna"), False),
    "the last name alone": (user(display_name="Berg"), contact(None, "Berg"), False),
    "no name at all": (user(), contact(), False),
}


@pytest.mark.parametrize(("one", "other", "expected"), DISPLAY_NAMES.values(), ids=DISPLAY_NAMES.keys())
def test_display_names(one: AuditUser, other: AuditContact, expected: bool) -> None:
    """A display name counts where given name or surname is missing, and only as a whole."""
    assert ("display_name" in why(one, other)) is expected


PHONES = {
    "equal digits": ("(415) 555-2156", "415.555.2156", True),
    "a country code": ("+1 415 555 2156", "4155552156", True),
    "an exit code": ("0049 30 1234567", "030 1234567", True),
    "seven digits": ("555-2156", "5552156", True),
    "six digits": ("555-215", "555215", False),
    "another number": ("4155552156", "4155552157", False),
    "equally long, another beginning": ("14155552156", "24155552156", False),
    "the end of a longer number only": ("5552156", "4155552156", False),
    "no digits": ("none", "none", False),
}


@pytest.mark.parametrize(("one", "other", "expected"), PHONES.values(), ids=PHONES.keys())
def test_phones(one: str, other: str, expected: bool) -> None:
    """Numbers compare by their digits; where one is longer, by the last nine."""
    for a, b in ((one, other), (other, one)):
        assert why(user("A", "Berg", phones=["1", a]), contact("B", "Dahl", phones=[b])) == (
            {"same_phone"} if expected else set()
        )


@pytest.mark.parametrize("written", ["4155552156", "+1 415 555 2156"])
@pytest.mark.parametrize("bearers", [1, 2, 3])
@pytest.mark.parametrize("others_are", ["free", "taken", "new users", "known users"])
def test_a_number_of_many_is_a_switchboard(written: str, bearers: int, others_are: str) -> None:
    """Three bearers on one side make a switchboard, also contacts that somebody has, and users who have a contact."""
    users, contacts = [user("A", "Berg", phones=["4155552156"])], [contact("B", "Dahl", phones=["4155552156"])]
    for number in range(2, bearers + 1):
        if others_are in ("free", "taken"):
            is_free = others_are == "free"
            contacts.append(contact(f"B{number}", "Dahl", str(number), phones=[written], is_free=is_free))
        else:
            is_new = others_are == "new users"
            users.append(user(f"A{number}", "Berg", f"u{number}", phones=[written], is_new=is_new))
    assert bool(audit(users, contacts)) is (bearers < 3)


MAILBOXES = {
    "another domain": ("anna.berg@new.example", "anna.berg@old.example", True),
    "normalised": ("Anna.Berg@new.example", "anna.berg@OLD.example", True),
    "the same address is a rule's business": ("anna.berg@x.example", "anna.berg@x.example", False),
    "four letters": ("anna@new.example", "anna@old.example", True),
    "three letters": ("ann@new.example", "ann@old.example", False),
    "no letter": ("12345@new.example", "12345@old.example", False),
    "a desk": ("office@new.example", "office@old.example", False),
    "a desk with a number": ("info-2@new.example", "info-2@old.example", False),
    "a desk in two words": ("no-reply@new.example", "no-reply@old.example", False),
    "a person at a desk's name": ("infos.berg@new.example", "infos.berg@old.example", True),
    "another mailbox": ("a.berg@new.example", "b.berg@old.example", False),
    "no address": ("anna.berg", "anna.berg", False),
}


@pytest.mark.parametrize(("one", "other", "expected"), MAILBOXES.values(), ids=MAILBOXES.keys())
def test_mailboxes(one: str, other: str, expected: bool) -> None:
    """The part before the @ speaks if it names a person and stands at another domain."""
    found = why(user("X", "Y", addresses=["z@z.example", one]), contact("V", "W", addresses=[other]))
    assert found == ({"same_mailbox"} if expected else set())


PHONE = {"phones": ["4155552156"]}
BOSS = {"title": "Managing Director"}
SURNAMES = {
    "the same phone": (user("Anna", "Berg", **PHONE), contact("Anna", "Dahl", **PHONE), True),
    "the same phone, another first name": (user("Anna", "Berg", **PHONE), contact("Eva", "Dahl", **PHONE), False),
    "the same phone, the same last name": (user("Anna", "Berg", **PHONE), contact("Anna", "Berg", **PHONE), False),
    "the user's address has the old name": (
        user("Anna", "Berg", addresses=["anna.dahl@x.example"]),
        contact("Anna", "Dahl"),
        True,
    ),
    "the contact's address has the new name": (
        user("Anna", "Berg"),
        contact("Anna", "Dahl", addresses=["aberg@x.example"]),
        True,
    ),
    "in the address an umlaut is written out": (
        user("Anna", "Berg", addresses=["anna.mueller@x.example"]),
        contact("Anna", "Müller"),
        True,
    ),
    "in the address a double name has its hyphen": (
        user("Anna", "Berg", addresses=["anna.dahl-holm@x.example"]),
        contact("Anna", "Dahl-Holm"),
        True,
    ),
    "a name was added": (
        user("Anna", "Berg-Dahl", addresses=["anna.berg-dahl@x.example"]),
        contact("Anna", "Berg"),
        True,
    ),
    "a piece of the own name": (
        user("Ann", "Leeman", addresses=["annleeman@x.example"]),
        contact("Ann", "Leem"),
        False,
    ),
    "a short name as a word": (user("Ann", "Berg", addresses=["ann.lee@x.example"]), contact("Ann", "Lee"), True),
    "a short name in a word": (user("Ann", "Berg", addresses=["colleen@x.example"]), contact("Ann", "Lee"), False),
    "the domain says nothing": (
        user("Anna", "Berg", addresses=["anna@dahl.example"]),
        contact("Anna", "Dahl"),
        False,
    ),
    "the first name in the address says nothing": (
        user("Anna", "Berg", addresses=["anna.berg@x.example"]),
        contact("Anna", "Anna"),
        False,
    ),
    "another first name": (
        user("Eva", "Berg", addresses=["anna.dahl@x.example"]),
        contact("Anna", "Dahl"),
        False,
    ),
    "equal titles": (user("Anna", "Berg", **BOSS), contact("Anna", "Dahl", title="managing  director"), True),
    "equal titles, equal names": (user("Anna", "Berg", **BOSS), contact("Anna", "Berg", **BOSS), False),
    "other titles": (user("Anna", "Berg", **BOSS), contact("Anna", "Dahl", title="Driver"), False),
    "no titles": (user("Anna", "Berg", title=" "), contact("Anna", "Dahl", title=""), False),
    "equal titles, two letters": (user("Bo", "Berg", **BOSS), contact("Bo", "Dahl", **BOSS), False),
    "equal titles, no last name": (user("Anna", "Berg", **BOSS), contact("Anna", **BOSS), False),
    "the first name alone": (user("Anna", "Berg"), contact("Anna", "Dahl"), False),
}


@pytest.mark.parametrize(("one", "other", "expected"), SURNAMES.values(), ids=SURNAMES.keys())
def test_changed_surnames(one: AuditUser, other: AuditContact, expected: bool) -> None:
    """A first name needs something else beside it."""
    assert ("changed_surname" in why(one, other)) is expected


@pytest.mark.parametrize(
    ("users", "contacts", "expected"),
    [
        ([], [], True),
        ([user("Anna", "Holm", "v")], [], False),
        ([], [contact("Anna", "Holm", "2")], False),
        ([user("Anna", "Holm", "v", is_new=False)], [contact("Anna", "Holm", "2", is_free=False)], True),
    ],
    ids=["nobody else", "another new user", "another free contact", "others who have each other"],
)
def test_equal_titles_speak_for_the_only_two_of_a_first_name(
    users: list[AuditUser], contacts: list[AuditContact], expected: bool
) -> None:
    """Another new user or free contact of that first name takes the title's word away."""
    found = audit([user("Anna", "Berg", **BOSS), *users], [contact("Anna", "Dahl", **BOSS), *contacts])
    assert (found == {("t", "u"): [Resemblance("1", ("changed_surname",))]}) is expected
    assert bool(found) is expected


def test_a_switchboard_does_not_change_a_surname() -> None:
    """Two of one first name behind the number of the firm are two people."""
    others = [contact(name, "Holm", id_, **PHONE) for name, id_ in (("Eva", "2"), ("Bo", "3"))]
    assert audit([user("Anna", "Berg", **PHONE)], [contact("Anna", "Dahl", **PHONE), *others]) == {}


def test_a_phone_changes_the_surname_of_its_bearer_only() -> None:
    """That somebody of the user's first name is about says nothing about another contact with his phone."""
    found = audit([user("Anna", "Berg", **PHONE)], [contact("Eva", "Dahl", **PHONE), contact("Anna", "Holm", "2")])
    assert found == {("t", "u"): [Resemblance("1", ("same_phone",))]}


def test_only_new_users_and_free_contacts_resemble() -> None:
    """Who has a contact keeps it, and a contact that somebody has is nobody else's."""
    one, other = user("Bob", "Smith", **PHONE), contact("Robert", "Smith", **PHONE)
    assert why(one, other) == {"nickname", "same_phone"}
    assert why(replace(one, is_new=False), other) == set()
    assert why(one, replace(other, is_free=False)) == set()


def test_the_best_come_first_and_five_are_enough() -> None:
    """More kinds first, then the stronger kind, then the lower id; users of two tenants are two users."""
    contacts = [
        contact("Rob", "Smith", "10"),
        contact("Bobby", "Smith", "9"),
        contact("Smith", "Bob", "11"),
        contact("Robbie", "Smith", "8", phones=["5552156"]),
        contact("Robert", "Smith", "7"),
        contact("B", "Smith", "6"),
        contact("Bert", "Smith", "5"),
    ]
    people = [replace(user("Bob", "Smith", phones=["5552156"]), tenant_id=tenant) for tenant in ("t", "s")]
    found = audit(people, contacts)
    expected = [
        Resemblance("8", ("nickname", "same_phone")),
        Resemblance("11", ("swapped_names",)),
        *(Resemblance(id_, ("nickname",)) for id_ in ("5", "6", "7")),
    ]
    assert found == {("t", "u"): expected, ("s", "u"): expected}
    assert len(expected) == MOST


def test_rows_become_rows_of_the_match() -> None:
    """The JSON that a person's page reads."""
    users = [{"tenant_id": "t", "user_id": "u", "first_name": "Bob", "last_name": "Smith"}]
    contacts = [{"contact_id": id_, "first_name": "Robert", "last_name": "Smith"} for id_ in ("20", "3")]
    ((*key, candidates, evidence),) = held_back(users, contacts)
    assert key == ["t", "u"]
    assert json.loads(candidates) == ["3", "20"]
    assert json.loads(evidence) == {"resembles": [{"contact_id": id_, "why": ["nickname"]} for id_ in ("3", "20")]}


# Small enough to meet again and again, with a pair for every kind.
FIRST = st.sampled_from([None, "Anna", "Ann", "A.", "Berg", "Robert", "Bob", "Jürgen", "Juergen", "Jurgne", "李"])
LAST = st.sampled_from([None, "Anna", "Berg", "Bergg", "Berg-Dahl", "Dahl", "Müller", "Mueller", "Li"])
NUMBERS = st.lists(st.sampled_from(["5552156", "+14155552156", "4155552156", "12"]), max_size=2)
ADDRESSES = st.lists(
    st.sampled_from(
        ["anna.berg@x.example", "anna.berg@y.example", "adahl@x.example", "anna.muller@y.example", "info@y.example"]
    ),
    max_size=2,
)
PERSON = {
    "first_name": FIRST,
    "last_name": LAST,
    "title": st.sampled_from([None, "Boss", "BOSS"]),
    "phones": NUMBERS,
    "addresses": ADDRESSES,
}
USERS = st.lists(
    st.builds(
        AuditUser,
        tenant_id=st.just("t"),
        user_id=st.sampled_from("abcd"),
        display_name=st.sampled_from([None, "Anna Berg"]),
        is_new=st.booleans(),
        **PERSON,
    ),
    max_size=4,
    unique_by=lambda each: each.user_id,
)
CONTACTS = st.lists(
    st.builds(AuditContact, contact_id=st.sampled_from("12345"), is_free=st.booleans(), **PERSON),
    max_size=MOST,
    unique_by=lambda each: each.contact_id,
)


@given(USERS, CONTACTS, st.randoms(use_true_random=False))
def test_the_order_of_people_does_not_matter(
    users: list[AuditUser], contacts: list[AuditContact], order: random.Random
) -> None:
    """The same people give the same answer."""
    assert audit(order.sample(users, len(users)), order.sample(contacts, len(contacts))) == audit(users, contacts)


@given(USERS, CONTACTS)
def test_a_crowd_shows_what_each_pair_shows_alone(users: list[AuditUser], contacts: list[AuditContact]) -> None:
    """The indexes miss nobody and invent nobody; only a switchboard and a common first name make a crowd say less."""
    found = {
        (user_id, each.contact_id, kind)
        for (_, user_id), resemblances in audit(users, contacts).items()
        for each in resemblances
        for kind in each.why
    }
    alone = {(u.user_id, c.contact_id, kind) for u in users for c in contacts for kind in why(u, c)}
    in_context = {"same_phone", "changed_surname"}
    assert found <= alone
    assert {each for each in alone - found if each[2] not in in_context} == set()


@given(FIRST, LAST, FIRST, LAST, NUMBERS, NUMBERS, ADDRESSES, ADDRESSES)
@example("Anna", "Berg", "Berg", "Anna", [], [], [], [])
def test_to_resemble_is_mutual(
    first: str | None,
    last: str | None,
    other_first: str | None,
    other_last: str | None,
    numbers: list[str],
    other_numbers: list[str],
    addresses: list[str],
    other_addresses: list[str],
) -> None:
    """Which of two people is the user and which the contact makes no difference."""
    one, other = (first, last), (other_first, other_last)
    there = why(
        user(*one, phones=numbers, addresses=addresses),
        contact(*other, phones=other_numbers, addresses=other_addresses),
    )
    back = why(
        user(*other, phones=other_numbers, addresses=other_addresses),
        contact(*one, phones=numbers, addresses=addresses),
    )
    assert there == back


def words(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=8)


@given(
    *(st.lists(words(alphabet), min_size=4, max_size=4) for alphabet in ("abcdefghijklm", "nopqrstuvwxyz")),
    st.sampled_from(["nothing", "first_name", "last_name", "title"]),
)
def test_people_with_nothing_or_one_name_in_common_do_not_resemble(
    one: Sequence[str], other: Sequence[str], common: str
) -> None:
    """A first name alone, a last name alone or a title alone is never enough."""
    sides = [
        {
            "first_name": first,
            "last_name": last,
            "title": title,
            "phones": [phone],
            "addresses": [f"{mailbox}@x.example"],
        }
        for (first, last, title, mailbox), phone in ((one, "12345678"), (other, "23456789"))
    ]
    if common != "nothing":
        sides[1][common] = sides[0][common]
    assert audit([AuditUser("t", "u", **sides[0])], [AuditContact("1", **sides[1])]) == {}


def test_a_large_organization_finds_exactly_who_was_planted() -> None:
    """5,000 users and as many contacts: a tenth resembles, each in one way."""
    source = random.Random(7)
    spelt = ("".join(source.choices("bcdfghklmnprstvwz", k=9)) for _ in range(21_000))
    names = list(dict.fromkeys(spelt))[:20_000]
    users, contacts, expected = [], [], {}
    for number in range(5_000):
        first, last, other_first, other_last = names[4 * number : 4 * number + 4]
        if number % 10 == 0:
            kind, (other_first, other_last) = [
                ("swapped_names", (last, first)),
                ("typo", (first, last[:4] + "aa" + last[4:])),
                ("nickname", (first[0], last)),
            ][number // 10 % 3]
            expected["t", f"u{number}"] = [Resemblance(str(number), (kind,))]
        users.append(user(first, last, f"u{number}", phones=["4155550000"]))
        contacts.append(contact(other_first, other_last, str(number), phones=["4155550000"]))
    assert audit(users, contacts) == expected


def test_where_all_are_called_alike_each_gets_five() -> None:
    """The worst organization there can be, in every kind at once, is still done with."""
    addresses = ["robert.smith@y.example"]
    users = [user("Robert", "Smith", f"u{number}", addresses=["robert.smith@x.example"]) for number in range(2_000)]
    contacts = [contact("Rob", "Smith", str(1_000 + number), addresses=addresses) for number in range(2_000)]
    first_five = [Resemblance(str(1_000 + number), ("same_mailbox", "nickname")) for number in range(MOST)]
    assert audit(users, contacts) == {("t", f"u{number}"): first_five for number in range(2_000)}


Fill = Callable[..., None]


def match_row(user_id: str, status: str = "create", tenant: str = "t", **more: Any) -> dict[str, Any]:
    return {"tenant_id": tenant, "user_id": user_id, "organization_id": "100", "status": status, **more}


def user_row(user_id: str, first: str, last: str, tenant: str = "t", **more: Any) -> dict[str, Any]:
    return {
        "tenant_id": tenant,
        "user_id": user_id,
        "user_principal_name": f"{user_id}@x.example",
        "given_name": first,
        "surname": last,
        "name_key": person_key(first, last),
        "in_scope": True,
        "is_guest": False,
        **more,
    }


def contact_row(id_: str, first: str, last: str, organization: str = "100") -> dict[str, Any]:
    return {
        "contact_id": id_,
        "organization_id": organization,
        "first_name": first,
        "last_name": last,
        "name_key": person_key(first, last),
    }


def organizations(**of_tenants: str) -> list[dict[str, Any]]:
    return [
        {"tenant_id": tenant, "status": "matched", "organization_id": organization}
        for tenant, organization in of_tenants.items()
    ]


def held(db: Db) -> dict[tuple[str, str], list[str]]:
    """Who is ambiguous because of a resemblance, with the candidates."""
    rows = db.rows(
        "SELECT tenant_id, user_id, candidates, evidence, rule FROM match.contacts WHERE status = 'ambiguous'"
    )
    for _, _, candidates, evidence, rule in rows:
        assert rule is None
        assert [each["contact_id"] for each in json.loads(evidence)["resembles"]] == json.loads(candidates)
    return {(tenant, user_id): json.loads(candidates) for tenant, user_id, candidates, _, _ in rows}


NO_LINKS = pa.schema(
    [(name, pa.string()) for name in ("tenant_id", "user_id", "organization_id", "contact_id")]
).empty_table()


def test_the_match_and_then_the_audit(db: Db, fill: Fill) -> None:
    """Whom the rules would create beside a free contact that resembles him goes to a person; nobody else does."""
    fill(
        {
            "match.organizations": organizations(t="100", other="200"),
            "match.contacts": [],
            "m365.users": [
                user_row("nick", "Bob", "Smith"),
                user_row("mail", "Xi", "Yu"),
                user_row("phone", "Cy", "Eek", business_phone=None, mobile_phone="+1 415 555 2156"),
                user_row("known", "Anna", "Berg"),
                user_row("new", "Di", "Falk"),
                user_row("nick", "Bob", "Smith", tenant="other"),
            ],
            "m365.user_addresses": [
                {"tenant_id": "t", "user_id": "mail", "address": address, "kind": kind}
                for address, kind in (("xi.yu@x.example", "primary"), ("mail@x.example", "upn"))
            ],
            "itglue.contacts": [
                contact_row("1", "Robert", "Smith"),
                contact_row("2", "Helga", "Ost"),
                contact_row("3", "Anna", "Berg"),
                contact_row("4", "Annika", "Berg"),
                contact_row("5", "Jo", "West"),
            ],
            "itglue.contact_emails": [{"contact_id": "2", "organization_id": "100", "address": "xi.yu@home.example"}],
            "itglue.contact_phones": [{"contact_id": "5", "number": "(415) 555-2156"}],
        }
    )
    with relate.known_people(db, [], NO_LINKS):
        relate.match_contacts(db, ["t", "other"], lambda links: None)
    assert held(db) == {}
    assert store.hold_back(db, ["t", "other"], (), {}, held_back) == 3
    assert held(db) == {("t", "nick"): ["1"], ("t", "mail"): ["2"], ("t", "phone"): ["5"]}
    left = db.rows("SELECT tenant_id, user_id, status FROM match.contacts WHERE status <> 'ambiguous' ORDER BY ALL")
    assert left == [("other", "nick", "create"), ("t", "known", "matched"), ("t", "new", "create")]
    assert store.hold_back(db, ["t", "other"], (), {}, held_back) == 0


def test_accounts_younger_than_the_first_apply_are_not_held(db: Db, fill: Fill) -> None:
    """Whoever was there at the first apply stays held until a person decides; a new colleague is just created."""
    applied = datetime(2026, 3, 1, tzinfo=UTC)
    for created_at, is_held in ((None, True), (applied - timedelta(days=1), True), (applied, False)):
        fill(
            {
                "m365.users": [{**user_row("bob", "Bob", "Smith"), "created_at": created_at}],
                "match.organizations": organizations(t="100"),
                "match.contacts": [],
                "itglue.contacts": [contact_row("1", "Robert", "Smith")],
            }
        )
        with relate.known_people(db, [], NO_LINKS):
            relate.match_contacts(db, ["t"], lambda links: None)
        assert store.hold_back(db, ["t"], (), {"t": applied, "other": applied}, held_back) == int(is_held)
        assert store.hold_back(db, ["t"], (), {}, held_back) == int(not is_held)


BOB = [user_row("bob", "Bob", "Smith")]
ROBERT = [contact_row("1", "Robert", "Smith")]
HELD_OR_NOT: dict[str, tuple[list[dict[str, Any]], list[str], set[tuple[str, str]], bool]] = {
    "would be created": ([match_row("bob")], ["t"], set(), True),
    "another was decided about": ([match_row("bob")], ["t"], {("s", "bob"), ("t", "eve")}, True),
    "a person decided": ([match_row("bob")], ["t"], {("t", "bob")}, False),
    "created on a person's word": ([match_row("bob", rule="decision")], ["t"], set(), False),
    "a tenant that is not audited": ([match_row("bob")], ["s"], set(), False),
    "no tenant": ([match_row("bob")], [], set(), False),
    "matched already": ([match_row("bob", "matched", contact_id="2")], ["t"], set(), False),
    "ignored": ([match_row("bob", "ignored")], ["t"], set(), False),
    "out of scope": ([match_row("bob", "out_of_scope")], ["t"], set(), False),
    "the contact is somebody's": (
        [match_row("bob"), match_row("eve", "matched", contact_id="1")],
        ["t"],
        set(),
        False,
    ),
    "the contact is that of a user of another tenant": (
        [match_row("bob"), match_row("eve", "out_of_scope", "s", organization_id=None, contact_id="1")],
        ["t"],
        set(),
        False,
    ),
    "another organization's contact": ([match_row("bob", organization_id="200")], ["t"], set(), False),
    "no organization": ([match_row("bob", organization_id=None)], ["t"], set(), False),
}


@pytest.mark.parametrize(("matches", "audited", "decided", "expected"), HELD_OR_NOT.values(), ids=HELD_OR_NOT.keys())
def test_who_is_held_back(
    db: Db,
    fill: Fill,
    matches: list[dict[str, Any]],
    audited: list[str],
    decided: set[tuple[str, str]],
    expected: bool,
) -> None:
    """Only users whom the rules would create, of audited tenants, undecided; only contacts that nobody has."""
    fill(
        {
            "match.organizations": organizations(t="100"),
            "match.contacts": matches,
            "m365.users": BOB,
            "itglue.contacts": ROBERT,
        }
    )
    before = db.rows("SELECT * FROM match.contacts ORDER BY ALL")
    assert store.hold_back(db, audited, decided, {}, held_back) == int(expected)
    if expected:
        assert held(db) == {("t", "bob"): ["1"]}
    else:
        assert db.rows("SELECT * FROM match.contacts ORDER BY ALL") == before


@pytest.mark.parametrize("users_per_portion", [1, 25_000])
def test_organizations_come_one_at_a_time_with_all_who_share_a_number(
    db: Db, fill: Fill, monkeypatch: pytest.MonkeyPatch, users_per_portion: int
) -> None:
    """Users of one organization's tenants come together; who has a contact comes for the number of a new user only."""
    monkeypatch.setattr(store, "USERS_PER_PORTION", users_per_portion)
    fill(
        {
            "match.organizations": organizations(t="100", s="100", r="200", q="300", p="400"),
            "match.contacts": [
                match_row("bob"),
                match_row("bob", tenant="s"),
                match_row("eve", "matched", contact_id="2"),
                match_row("mute", "matched", contact_id="3"),
                match_row("cy", tenant="r", organization_id="200"),
                match_row("di", tenant="q", organization_id="300"),
                match_row("flo", tenant="p", organization_id="400"),
                match_row("gus", "matched", tenant="p", organization_id="400", contact_id="5"),
            ],
            "m365.users": [
                *BOB,
                user_row("bob", "Bob", "Smith", tenant="s", business_phone="(555) 2156"),
                user_row("eve", "Eve", "Dahl", business_phone="5552156", mobile_phone="5552157"),
                user_row("mute", "Al", "Ost", business_phone="5552159"),
                user_row("cy", "Cy", "Eek", tenant="r"),
                user_row("di", "Di", "Falk", tenant="q"),
                user_row("flo", "Flo", "Gran", tenant="p"),
            ],
            "m365.user_addresses": [
                {"tenant_id": "t", "user_id": "bob", "address": address, "kind": kind}
                for address, kind in (("b@x.example", "upn"), ("a@x.example", "alias"))
            ],
            "itglue.contacts": [
                *ROBERT,
                contact_row("2", "Eve", "Dahl"),
                contact_row("3", "Al", "Ost"),
                contact_row("4", "Cy", "Eck", "200"),
                contact_row("5", "Flo", "Grahn", "400"),
            ],
            "itglue.contact_phones": [
                {"contact_id": contact_id, "number": number}
                for contact_id, number in (("2", "5552157"), ("2", "5552156"), ("3", "5552159"), ("5", "5552156"))
            ],
        }
    )
    found = list(store.candidates(db, ["t", "s", "r", "q", "p"], (), {}))
    assert sorted(organization for organization, _, _ in found) == ["100", "200"]
    ((users, contacts),) = [people for organization, *people in found if organization == "100"]
    assert (len(users), len(contacts)) == (3, 2)
    assert {(row["tenant_id"], row["user_id"]): (row["is_new"], row["phones"], row["addresses"]) for row in users} == {
        ("t", "bob"): (True, [], ["a@x.example", "b@x.example"]),
        ("s", "bob"): (True, ["(555) 2156"], []),
        ("t", "eve"): (False, ["5552156", "5552157"], []),
    }
    assert {row["contact_id"]: (row["is_free"], row["phones"]) for row in contacts} == {
        "1": (True, []),
        "2": (False, ["5552156", "5552157"]),
    }


def test_what_changed_in_between_is_left_alone(db: Db, fill: Fill) -> None:
    """Only a user who would still be created is made ambiguous, and only those are counted."""
    fill({"match.contacts": [match_row("bob"), match_row("eve", "ignored")]})
    found = [
        ("t", user_id, '["1"]', '{"resembles": [{"contact_id": "1", "why": []}]}') for user_id in ("bob", "eve", "x")
    ]
    assert store.hold(db, iter(found)) == 1
    assert store.hold(db, []) == 0
    assert held(db) == {("t", "bob"): ["1"]}


def test_working_tables_go_away(db: Db, fill: Fill) -> None:
    """Also where the audit is broken off half way."""
    fill(
        {
            "match.organizations": organizations(t="100"),
            "match.contacts": [match_row("bob")],
            "m365.users": BOB,
            "itglue.contacts": ROBERT,
        }
    )
    working = "SELECT table_name FROM duckdb_tables() WHERE temporary"
    before = db.rows(working)
    walk = store.candidates(db, ["t"], (), {})
    assert next(walk)[0] == "100"
    assert db.rows(working) != before
    walk.close()
    assert db.rows(working) == before
