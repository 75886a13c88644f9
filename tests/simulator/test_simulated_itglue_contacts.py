"""Writing contacts to the simulated IT Glue: one by one, in bulk, and what is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o365_etl.simulator import (
    Estate,
    FaultPlan,
    ItGlueBehaviour,
    SimAdapter,
    SimContact,
    SimLocation,
    SimOrganization,
    SimPhone,
    Simulator,
    emails,
)
from tests.simulator.caller import Caller

JSON_API = "application/vnd.api+json"


class Account(Caller):
    """A client that writes as well."""

    def send(self, method: str, path: str, data: object, **headers: str) -> requests.Response:
        """Send this as the `data` of a request."""
        return self.session.request(
            method,
            f"{self.simulator.itglue_url}{path}",
            json={"data": data},
            headers={"x-api-key": self.simulator.itglue_api_key, "Content-Type": JSON_API} | headers,
            timeout=10,
        )

    def done(self, method: str, path: str, data: object) -> Any:
        """The `data` of the answer to a request that has to succeed."""
        answer = self.send(method, path, data)
        assert answer.status_code == {"POST": 201, "PATCH": 200}[method], answer.text
        return answer.json()["data"]

    def errors(self, method: str, path: str, data: object, status: int = 422) -> list[dict[str, Any]]:
        """The errors of a request that has to be refused."""
        answer = self.send(method, path, data)
        assert answer.status_code == status, answer.text
        errors: list[dict[str, Any]] = answer.json()["errors"]
        assert [error["status"] for error in errors] == [status] * len(errors)
        return errors


@contextmanager
def opened(
    folder: Path, estate: Estate, itglue: ItGlueBehaviour | None = None, faults: FaultPlan | None = None
) -> Iterator[Account]:
    """A client of the account of this estate."""
    with Simulator(estate, folder=folder, itglue=itglue, faults=faults) as simulator:
        account = Account(simulator)
        try:
            yield account
        finally:
            account.session.close()


def row(kind: str, /, **attributes: object) -> dict[str, object]:
    """One resource object; names as they are, so snake_case."""
    return {"type": kind, "attributes": attributes}


def world() -> Estate:
    """Two organizations and three contacts, one of them owned by another integration."""
    return Estate.build(
        organizations=[SimOrganization("Contoso", 72), SimOrganization("Fabrikam", 73)],
        contacts=[
            SimContact(
                72,
                "Anna",
                "Berg",
                501,
                title="Director",
                notes="Likes tea",
                emails=emails("anna@contoso.example"),
                phones=[SimPhone("2065550100", primary=True)],
            ),
            SimContact(72, "Bo", None, 502, adapters=[SimAdapter("Autotask", sync=True)]),
            SimContact(73, "Cy", "Dahl", 503, adapters=[SimAdapter("Microsoft", sync=False, orphaned=True)]),
        ],
        locations=[SimLocation(72, "Head office", 601)],
    )


@pytest.fixture
def account(folder: Path) -> Iterator[Account]:
    """A client of that account."""
    with opened(folder, world()) as client:
        yield client


def test_a_new_contact_is_answered_in_full_and_found_everywhere(account: Account) -> None:
    """201 with a fresh id, the made-up attributes and both times; lists, filters and relationships show it."""
    before = dt.datetime.now(dt.UTC)
    made = account.done(
        "POST",
        "/contacts",
        {
            "type": "contacts",
            "attributes": {
                "organization-id": "72",
                "first-name": "Dee",
                "last_name": "Eriksen",
                "contact-type-id": 26,
                "location_id": "601",
                "contact-emails": [{"value": "dee@contoso.example", "label-name": "Lab"}],
                "contact_phones": [{"value": "+1 (415) 555-2156", "label_name": "Office"}],
            },
        },
    )
    attributes = made["attributes"]

    assert (made["type"], attributes["name"]) == ("contacts", "Dee Eriksen")
    assert int(made["id"]) > 503
    assert (attributes["organization-name"], attributes["contact-type-name"]) == ("Contoso", "End User")
    assert (attributes["location-id"], attributes["location-name"]) == (601, "Head office")
    assert attributes["contact-emails"] == [{"value": "dee@contoso.example", "primary": True, "label-name": "Lab"}]
    assert attributes["contact-phones"] == [
        {
            "value": "14155552156",
            "extension": None,
            "primary": True,
            "label-name": "Office",
            "label-type": "phone",
            "formatted-value": "14155552156",
        }
    ]
    assert attributes["created-at"] == attributes["updated-at"]
    stamp = dt.datetime.fromisoformat(attributes["created-at"])
    assert dt.timedelta(seconds=-1) < stamp - before < dt.timedelta(seconds=10)
    for path, filters in [
        ("/contacts", {"filter[id]": f"501,{made['id']}"}),
        ("/contacts", {"filter[organization_id]": "72"}),
        ("/contacts", {"filter[primary_email]": "dee@contoso.example"}),
        ("/organizations/72/relationships/contacts", {"include": "adapters_resources"}),
    ]:
        rows = account.itglue(path, sort="-id", **filters).json()["data"]
        assert (rows[0]["id"], rows[0]["attributes"]) == (made["id"], attributes)
    assert account.itglue(f"/contacts/{made['id']}").json()["data"] == made


def test_an_organization_may_stand_in_the_path(account: Account) -> None:
    """The relationship takes one contact or a list, and answers in kind and in order."""
    path = "/organizations/73/relationships/contacts"
    one = account.done("POST", path, row("contacts", first_name="One"))
    many = account.done("POST", path, [row("contacts", first_name=name) for name in ("Two", "Three")])

    assert one["attributes"]["organization-id"] == 73
    assert [each["attributes"]["first-name"] for each in many] == ["Two", "Three"]
    identities = [int(each["id"]) for each in [one, *many]]
    assert identities == sorted({503, *identities})[1:]
    missing = account.errors("POST", "/organizations/99/relationships/contacts", row("contacts", first_name="X"), 404)
    assert missing[0]["title"] == "Not Found"


def test_a_change_leaves_alone_what_it_does_not_name(account: Account) -> None:
    """Named attributes change, lists are replaced whole, the rest stays; only the time of the change moves."""
    before = account.itglue("/contacts/501").json()["data"]["attributes"]
    emails_sent = [{"value": "a.berg@contoso.example", "primary": True}, {"value": "anna@contoso.example"}]
    after = account.done("PATCH", "/contacts/501", row("contacts", title="CEO", contact_emails=emails_sent))[
        "attributes"
    ]

    assert (after["title"], after["notes"], after["contact-phones"]) == ("CEO", "Likes tea", before["contact-phones"])
    assert [(each["value"], each["primary"]) for each in after["contact-emails"]] == [
        ("a.berg@contoso.example", True),
        ("anna@contoso.example", False),
    ]
    assert after["created-at"] == before["created-at"]
    assert after["updated-at"] > before["updated-at"]
    cleared = account.done("PATCH", "/contacts/501", row("contacts", title=None, contact_emails=[]))["attributes"]
    assert (cleared["title"], cleared["contact-emails"]) == (None, [])


def test_a_change_that_changes_nothing_leaves_no_trace(account: Account) -> None:
    """What is sent a second time does not move the time of the change."""
    change = row("contacts", title="CEO", contact_phones=[{"value": "(206) 555-0199"}])
    first = account.done("PATCH", "/contacts/501", change)

    assert account.done("PATCH", "/contacts/501", change) == first


def test_a_contact_changes_in_three_places(account: Account) -> None:
    """By its own path, under its organization, and in bulk with the id inside the attributes."""
    account.done("PATCH", "/organizations/72/relationships/contacts/501", row("contacts", title="One"))
    assert account.simulator.estate.contact(501).title == "One"
    account.errors("PATCH", "/organizations/73/relationships/contacts/501", row("contacts", title="No"), 404)
    changed = account.done(
        "PATCH", "/contacts", [row("contacts", id="503", title="Two"), row("contacts", id=501, title="Three")]
    )
    assert [(each["id"], each["attributes"]["title"]) for each in changed] == [("503", "Two"), ("501", "Three")]
    alone = account.done("PATCH", "/contacts", row("contacts", id=501, title="Four"))
    assert (alone["id"], alone["attributes"]["title"]) == ("501", "Four")
    account.errors("PATCH", "/contacts/999", row("contacts", title="No"), 404)


@pytest.mark.parametrize(
    ("attributes", "pointer", "words"),
    [
        ({"first_name": None}, "/data/attributes/first-name", "can't be blank"),
        ({"first_name": "  "}, "/data/attributes/first-name", "can't be blank"),
        ({"first_name": "x" * 256}, "/data/attributes/first-name", "is too long (maximum is 255 characters)"),
        ({"last_name": "x" * 256}, "/data/attributes/last-name", "is too long (maximum is 255 characters)"),
        ({"title": "x" * 256}, "/data/attributes/title", "is too long (maximum is 255 characters)"),
        ({"title": 5}, "/data/attributes/title", "is not a text"),
        ({"important": "yes"}, "/data/attributes/important", "is not true or false"),
        ({"contact_type_id": 4}, "/data/attributes/contact-type-id", "must exist"),
        ({"location-id": "602"}, "/data/attributes/location-id", "must exist"),
        ({"organization_id": 99}, "data/attributes/organization_id", "Unprocessable Entity"),
        ({"contact_emails": [{"value": "nobody"}]}, "/data/attributes/contact-emails", "is not an e-mail address"),
        ({"contact_emails": [{"label-name": "Work"}]}, "/data/attributes/contact-emails", "is not an e-mail address"),
        (
            {"contact_emails": [{"value": "@" * 256}]},
            "/data/attributes/contact-emails",
            "is too long (maximum is 255 characters)",
        ),
        ({"contact_emails": "a@b.example"}, "/data/attributes/contact-emails", "is not a list of objects"),
        ({"contact_phones": ["1"]}, "/data/attributes/contact-phones", "is not a list of objects"),
        ({"contact_phones": [{"value": "call me"}]}, "/data/attributes/contact-phones", "is not a phone number"),
        (
            {"contact_phones": [{"value": "1", "label_type": "pager"}]},
            "/data/attributes/contact-phones",
            "label-type is not phone or fax",
        ),
    ],
)
def test_what_is_refused(account: Account, attributes: dict[str, object], pointer: str, words: str) -> None:
    """POST and PATCH answer 422 with a pointer to the attribute, and nothing is stored."""
    before = account.itglue("/contacts").json()
    good: dict[str, object] = {"first_name": "New", "organization_id": 72}
    for method, path, sent in [
        ("POST", "/contacts", good | attributes),
        ("PATCH", "/contacts/501", {"title": "New", **attributes}),
    ]:
        errors = account.errors(method, path, row("contacts", **sent))
        assert [(error["source"]["pointer"], error["detail"]) for error in errors] == [(pointer, words)]
    assert account.itglue("/contacts").json() == before


def test_a_contact_needs_a_first_name_and_an_organization(account: Account) -> None:
    """Both are named in one answer; the organization with the title that was seen in real life."""
    errors = account.errors("POST", "/contacts", row("contacts", last_name="Only"))

    assert [error["title"] for error in errors] == ["Valid organization_id is required", "Unprocessable Entity"]
    assert account.simulator.estate.counts()["contacts"] == 3


def test_what_another_integration_owns_stays(account: Account) -> None:
    """With `sync` true every change is refused, with `sync` false none."""
    errors = account.errors("PATCH", "/contacts/502", row("contacts", notes="Mine"))

    assert "Autotask" in errors[0]["detail"]
    assert account.simulator.estate.contact(502).notes is None
    account.done("PATCH", "/contacts/503", row("contacts", notes="Mine"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bulk_request_is_done_whole_or_not_at_all(account: Account, place: int) -> None:
    """One bad item anywhere refuses the list, creating and changing, and an unknown id counts as bad."""
    before = account.itglue("/contacts").json()
    new = [row("contacts", first_name=f"New {number}", organization_id=72) for number in range(3)]
    new[place] = row("contacts", first_name="", organization_id=72)
    account.errors("POST", "/contacts", new)
    for bad in (row("contacts", id=502, title="owned"), row("contacts", id=999), row("contacts", title="no id")):
        changes = [row("contacts", id=501, title="New"), row("contacts", id=503, title="New")]
        changes.insert(place, bad)
        account.errors("PATCH", "/contacts", changes)

    assert account.itglue("/contacts").json() == before


def test_a_list_may_name_a_contact_twice(account: Account) -> None:
    """The changes follow each other."""
    changed = account.done(
        "PATCH", "/contacts", [row("contacts", id=501, title="CEO"), row("contacts", id=501, notes="New")]
    )

    assert [(each["attributes"]["title"], each["attributes"]["notes"]) for each in changed] == [("CEO", "New")] * 2


def test_phones_are_digits(account: Account) -> None:
    """Separators and a plus go, ten digits are shown the North American way, the last primary wins."""
    sent = [
        {"value": "(206) 555-0100", "extension": 12, "primary": True, "label-name": "Front desk"},
        {"value": "+45 12 34 56 78", "primary": True, "label-type": "fax"},
        {"value": 4155552156, "primary": False},
    ]
    phones = account.done("PATCH", "/contacts/501", row("contacts", contact_phones=sent))["attributes"][
        "contact-phones"
    ]

    assert [each["value"] for each in phones] == ["2065550100", "4512345678", "4155552156"]
    assert phones[0]["formatted-value"] == "(206) 555-0100"
    assert [each["primary"] for each in phones] == [False, True, False]
    assert [(each["label-name"], each["label-type"]) for each in phones[:2]] == [
        ("Front desk", "phone"),
        ("Work", "fax"),
    ]
    assert phones[0]["extension"] == "12"


def test_contacts_are_deleted_by_body_or_filter(account: Account) -> None:
    """DELETE takes a list or `filter[id]`; an id is never given again; an unknown one deletes nothing."""
    newest = account.done("POST", "/contacts", row("contacts", first_name="New", organization_id=72))["id"]
    assert account.send("DELETE", "/contacts", [row("contacts", id=501), row("contacts", id=999)]).status_code == 404
    twice = [row("contacts", id=501), row("contacts", id="503"), row("contacts", id=501)]
    assert account.send("DELETE", "/contacts", twice).status_code == 200
    key = {"x-api-key": account.simulator.itglue_api_key}
    url = f"{account.simulator.itglue_url}/contacts"
    answer = account.session.delete(url, params={"filter[id]": newest}, headers=key, timeout=10)

    assert answer.status_code == 200
    assert [each["id"] for each in account.itglue("/contacts").json()["data"]] == ["502"]
    again = account.done("POST", "/contacts", row("contacts", first_name="New", organization_id=72))["id"]
    assert int(again) > int(newest)


ADDRESSES = st.sampled_from(["a@x.example", "A@x.example", "b@x.example", "c@x.example"])


@given(sent=st.lists(st.tuples(ADDRESSES, st.booleans()), max_size=6))
# One account serves all examples: each replaces what the last one left
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_address_is_primary_and_none_stands_twice(account: Account, sent: Sequence[tuple[str, bool]]) -> None:
    """Whatever is sent: each address once, in order, and the last one marked is primary, else the first."""
    entries = [{"value": address, "primary": primary} for address, primary in sent]
    stored = account.done("PATCH", "/contacts/501", row("contacts", contact_emails=entries))["attributes"]
    found = [(each["value"].lower(), each["primary"]) for each in stored["contact-emails"]]

    expected = list(dict.fromkeys(address.lower() for address, _ in sent))
    marked = [address.lower() for address, primary in sent if primary] or expected[:1]
    assert found == [(address, address == marked[-1]) for address in expected]
