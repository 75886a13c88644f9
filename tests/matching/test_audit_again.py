"""The audit looks at few people: it finds what all of them would show, and is asked again only where they changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o365_etl.matching.audit import AuditContact, AuditUser, audit, held_back
from o365_etl.normalise import person_key
from o365_etl.pipeline.relating import OF_HOLDING
from o365_etl.store.audit import Held, hold_back
from o365_etl.store.marks import unconcluded
from o365_etl.store.warehouse import Db

Rows = dict[str, list[dict[str, Any]]]
Fill = Callable[[Mapping[str, Sequence[Mapping[str, Any]]]], None]
Change = Callable[[Rows], None]
NUMBER = "+1 415 555 2156"


def person(user_id: str, first: str, last: str, **more: Any) -> dict[str, Any]:
    ids = {"tenant_id": "t", "user_id": user_id, "user_principal_name": f"{user_id}@x.example"}
    return {**ids, "given_name": first, "surname": last, "name_key": person_key(first, last), "in_scope": True, **more}


def contact(id_: str, first: str, last: str, **more: Any) -> dict[str, Any]:
    return {"contact_id": id_, "organization_id": "100", "first_name": first, "last_name": last, **more}


def match(user_id: str, contact_id: str | None = None) -> dict[str, Any]:
    status = "create" if contact_id is None else "matched"
    ids = {"tenant_id": "t", "user_id": user_id, "organization_id": "100", "contact_id": contact_id}
    return {**ids, "user_principal_name": f"{user_id}@x.example", "status": status}


def rows() -> Rows:
    """Bob is new and has a phone; Robert's contact is free; Eve and Al have their contacts."""
    return {
        "m365.tenants": [{"tenant_id": tenant, "display_name": tenant} for tenant in ("t", "other")],
        "match.organizations": [
            {"tenant_id": tenant, "status": "matched", "organization_id": id_}
            for tenant, id_ in (("t", "100"), ("other", "200"))
        ],
        "match.contacts": [match("bob"), match("eve", "2"), match("al", "3")],
        "m365.users": [
            person("bob", "Bob", "Smith", business_phone=NUMBER, job_title="Baker"),
            person("eve", "Eve", "Dahl", business_phone="5552159", job_title="Boss"),
            person("al", "Al", "Ost"),
        ],
        "m365.user_addresses": [
            {"tenant_id": "t", "user_id": user_id, "address": f"{user_id}@x.example", "kind": "alias"}
            for user_id in ("bob", "eve")
        ],
        "itglue.contacts": [
            contact("1", "Robert", "Smith", title="Smith"),
            contact("2", "Eve", "Dahl", title="Boss"),
            contact("3", "Al", "Ost"),
        ],
        "itglue.contact_emails": [
            {"contact_id": id_, "organization_id": "100", "address": f"{id_}@y.example"} for id_ in ("1", "2")
        ],
        "itglue.contact_phones": [{"contact_id": "2", "number": "5552159"}],
    }


def setting(table: str, key: str, **values: Any) -> Change:
    """Other values in the row of this user or contact."""

    def change(all_rows: Rows) -> None:
        for row in all_rows[table]:
            if key in (row.get("user_id"), row.get("contact_id")):
                row.update(values)

    return change


def adding(table: str, *new: dict[str, Any]) -> Change:
    return lambda all_rows: all_rows[table].extend(new)


def both(*changes: Change) -> Change:
    return lambda all_rows: [change(all_rows) for change in changes] and None


LEFT_ALONE: dict[str, Change] = {
    "nothing": lambda _: None,
    "a linked user's title": setting("m365.users", "eve", job_title="Director"),
    "a linked user's name": setting("m365.users", "eve", given_name="Eva", name_key="eva dahl"),
    "a linked user's phone, of nobody new": setting("m365.users", "eve", business_phone="5552158"),
    "a linked user's address": setting("m365.user_addresses", "eve", address="eve@z.example"),
    "the title of a contact that somebody has": setting("itglue.contacts", "2", title="Director"),
    "its address": setting("itglue.contact_emails", "2", address="eve@y.example"),
    "its phone, of nobody new": setting("itglue.contact_phones", "2", number="5552158"),
    "when a new user signed in": setting("m365.users", "bob", last_sign_in_at=datetime(2026, 3, 1, tzinfo=UTC)),
    "how a link was found": setting("match.contacts", "eve", rule="alias", evidence="{}"),
}
ASKED_AGAIN: dict[str, Change] = {
    "the new user's name": setting("m365.users", "bob", given_name="Rob"),
    "his title": setting("m365.users", "bob", job_title="Smith"),
    "his display name": setting("m365.users", "bob", display_name="Bob S."),
    "his phone": setting("m365.users", "bob", business_phone="5552157"),
    "his mobile phone": setting("m365.users", "bob", mobile_phone="5552157"),
    "his address": setting("m365.user_addresses", "bob", address="bob@z.example"),
    "an address more": adding(
        "m365.user_addresses", {"tenant_id": "t", "user_id": "bob", "address": "bs@x.example", "kind": "alias"}
    ),
    "he is created on a person's word": setting("match.contacts", "bob", rule="decision"),
    "somebody else is new": both(
        adding("m365.users", person("cy", "Cy", "Eek")), adding("match.contacts", match("cy"))
    ),
    "a linked user has the number now": setting("m365.users", "eve", mobile_phone="4155552156"),
    "the free contact's name": setting("itglue.contacts", "1", first_name="Rupert"),
    "its title": setting("itglue.contacts", "1", title="Baker"),
    "its phone": adding("itglue.contact_phones", {"contact_id": "1", "number": "5552157"}),
    "its address": setting("itglue.contact_emails", "1", address="robert@y.example"),
    "a contact that somebody has, has the number now": adding(
        "itglue.contact_phones", {"contact_id": "2", "number": "(415) 555-2156"}
    ),
    "another contact is free": setting("match.contacts", "al", status="out_of_scope", contact_id=None),
    "the free contact is somebody's": setting("match.contacts", "al", contact_id="1"),
    "the organization": both(
        setting("match.contacts", "bob", organization_id="200"), setting("itglue.contacts", "1", organization_id="200")
    ),
}


def conclude(db: Db) -> int:
    """Holds back as the pipeline does; how many organizations the audit was asked about."""
    asked: list[str] = []

    def spied(users: Sequence[Mapping[str, Any]], contacts: Sequence[Mapping[str, Any]]) -> Iterable[Held]:
        asked.append("")
        return held_back(users, contacts)

    hold_back(db, ["t", "other"], (), {}, spied, lambda tenants: unconcluded(db, "hold_back", tenants, OF_HOLDING))
    return len(asked)


def held(db: Db) -> dict[str, list[str]]:
    found = db.rows("SELECT user_id, candidates FROM match.contacts WHERE status = 'ambiguous'")
    return {user_id: json.loads(candidates) for user_id, candidates in found}


def forget(db: Db) -> None:
    for table in ("held", "concluded_hold_back"):
        db.execute(f"DELETE FROM work.{table}")


@pytest.mark.parametrize(
    ("change", "is_asked"),
    [
        *(pytest.param(change, False, id=label) for label, change in LEFT_ALONE.items()),
        *(pytest.param(change, True, id=label) for label, change in ASKED_AGAIN.items()),
    ],
)
def test_it_is_asked_again_only_about_people_it_looks_at(db: Db, fill: Fill, change: Change, is_asked: bool) -> None:
    """Whatever changed, those are held whom an audit that remembers nothing would hold."""
    forget(db)
    fill(rows())
    conclude(db)
    assert held(db) == {"bob": ["1"]}
    changed = rows()
    change(changed)
    fill(changed)
    asked = conclude(db)
    found = held(db)
    forget(db)
    fill(changed)
    anew = conclude(db)
    assert found == held(db)
    # Where nobody is new any more, or no contact free, there is nothing to ask.
    assert asked == (anew if is_asked else 0)


NAMES = st.sampled_from(["Anna Berg", "Ann Berg", "Anna Dahl", "Bo Dahl", "Cy Eek"])
PHONES = st.lists(st.sampled_from(["4155552156", "+1 415 555 2156", "(415) 555-2156", "5552156", "12"]), max_size=2)
PEOPLE = st.lists(st.tuples(NAMES, PHONES, st.booleans()), min_size=1, max_size=9)


SHARED = ["4155552156"]
KNOWN, OPEN = ("Cy Eek", SHARED, False), ("Anna Berg", SHARED, True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=PEOPLE, contacts=PEOPLE)
@example(users=[OPEN, KNOWN], contacts=[("Bo Dahl", SHARED, True), KNOWN])
@example(users=[OPEN, KNOWN, KNOWN], contacts=[("Bo Dahl", SHARED, True)])
@example(users=[OPEN], contacts=[("Bo Dahl", SHARED, True), KNOWN, KNOWN])
def test_whom_it_leaves_out_would_say_nothing(
    db: Db, fill: Fill, users: list[tuple[str, list[str], bool]], contacts: list[tuple[str, list[str], bool]]
) -> None:
    """Of the people with a switchboard's number a few stand for all: those are held whom all of them would show."""
    forget(db)
    takers = [str(number) for number, (*_, is_free) in enumerate(contacts) if not is_free]
    known = [f"u{number}" for number, (*_, is_new) in enumerate(users) if not is_new]
    # Contacts that no user of these has are those of users who are gone.
    owners = [*known, *(f"gone{number}" for number in range(len(takers)))]
    of_contacts = dict(zip(takers, owners, strict=False))
    has = {owner: contact_id for contact_id, owner in of_contacts.items()}
    fill(
        {
            "m365.tenants": [{"tenant_id": "t"}],
            "match.organizations": [{"tenant_id": "t", "status": "matched", "organization_id": "100"}],
            "match.contacts": [
                *(match(f"u{n}") for n, (*_, is_new) in enumerate(users) if is_new),
                *({**match(owner, has.get(owner)), "status": "matched"} for owner in {*known, *has}),
            ],
            "m365.users": [
                person(f"u{n}", *name.split(), **dict(zip(("business_phone", "mobile_phone"), phones, strict=False)))
                for n, (name, phones, _) in enumerate(users)
            ],
            "itglue.contacts": [contact(str(n), *name.split()) for n, (name, *_) in enumerate(contacts)],
            "itglue.contact_phones": [
                {"contact_id": str(n), "number": number}
                for n, (_, phones, _) in enumerate(contacts)
                for number in phones
            ],
        }
    )
    all_users = [
        AuditUser("t", f"u{n}", *name.split(), phones=phones, is_new=is_new)
        for n, (name, phones, is_new) in enumerate(users)
    ]
    all_contacts = [
        AuditContact(str(n), *name.split(), phones=phones, is_free=is_free)
        for n, (name, phones, is_free) in enumerate(contacts)
    ]
    conclude(db)
    assert held(db) == {
        user_id: [each.contact_id for each in found] for (_, user_id), found in audit(all_users, all_contacts).items()
    }
