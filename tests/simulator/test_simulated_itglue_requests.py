"""Writing to the simulated IT Glue: bodies, accounts that refuse, faults, many writers at once, sized estates."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from o365_etl.simulator import Estate, Fault, FaultPlan, ItGlueBehaviour, SimAdapter, SimContact, SimOrganization
from tests.simulator.test_simulated_itglue_contacts import JSON_API, Account, opened, row

NEW = row("contacts", first_name="New", organization_id=72)
FIRST_ORGANIZATION = 1_000_000


def world() -> Estate:
    """One organization with one contact."""
    return Estate.build(organizations=[SimOrganization("Contoso", 72)], contacts=[SimContact(72, "Anna", "Berg", 501)])


@pytest.fixture
def account(folder: Path) -> Iterator[Account]:
    """A client of that account."""
    with opened(folder, world()) as client:
        yield client


def raw(account: Account, body: bytes, media_type: str | None = JSON_API) -> requests.Response:
    """POST these bytes to /contacts."""
    headers = {"x-api-key": account.simulator.itglue_api_key}
    if media_type is not None:
        headers["Content-Type"] = media_type
    return account.session.post(f"{account.simulator.itglue_url}/contacts", data=body, headers=headers, timeout=10)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", None])
def test_the_media_type_is_checked(account: Account, media_type: str | None) -> None:
    """Anything else is refused by the gateway; a charset does no harm."""
    answer = raw(account, b"{}", media_type)
    assert (answer.status_code, list(answer.json())) == (415, ["message"])
    assert account.send("POST", "/contacts", NEW, **{"Content-Type": f"{JSON_API}; charset=utf-8"}).status_code == 201


@pytest.mark.parametrize("body", [b"", b"{", b'{"data": \xff}'])
def test_what_is_no_json(account: Account, body: bytes) -> None:
    """400 with the words that clients look for."""
    answer = raw(account, body)
    assert answer.status_code == 400
    assert "Invalid JSON format" in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": "x"}',
        b'{"data": {"attributes": {}}}',
        b'{"data": {"type": "organizations", "attributes": {"name": "X"}}}',
        b'{"data": {"type": "contacts", "attributes": []}}',
    ],
)
def test_what_is_no_document(account: Account, body: bytes) -> None:
    """400 in the form of JSON:API: no data, nothing in it, another type, attributes that are none."""
    answer = raw(account, body)
    assert (answer.status_code, answer.json()["errors"][0]["status"]) == (400, 400)
    assert account.simulator.estate.counts()["contacts"] == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/contacts/501"),
        ("POST", "/contacts/501"),
        ("DELETE", "/contacts/501"),
        ("POST", "/organization_types"),
        ("PATCH", "/flexible_asset_types"),
        ("POST", "/passwords"),
    ],
)
def test_what_cannot_be_written(account: Account, method: str, path: str) -> None:
    """405 in the form of JSON:API."""
    assert account.errors(method, path, NEW, 405)[0]["title"] == "Method Not Allowed"


def test_a_read_only_account(folder: Path) -> None:
    """Every write is refused by the gateway, reading goes on."""
    with opened(folder, world(), ItGlueBehaviour(read_only=True)) as account:
        for method in ("POST", "PATCH", "DELETE"):
            answer = account.send(method, "/contacts", NEW)
            assert (answer.status_code, list(answer.json())) == (403, ["message"])
        assert account.itglue("/contacts").status_code == 200


def test_an_account_without_bulk(folder: Path) -> None:
    """Lists are refused, single records are taken."""
    with opened(folder, world(), ItGlueBehaviour(bulk=False)) as account:
        account.errors("POST", "/contacts", [NEW], 400)
        account.errors("PATCH", "/contacts", [row("contacts", id=501, title="X")], 400)
        assert account.send("DELETE", "/contacts", [row("contacts", id=501)]).status_code == 400
        account.done("POST", "/contacts", NEW)
        assert account.simulator.estate.counts()["contacts"] == 2
        assert account.simulator.estate.contact(501).title is None


def test_the_log_counts_writes(account: Account) -> None:
    """Method, path and status of each are there."""
    account.done("POST", "/contacts", NEW)
    account.errors("PATCH", "/contacts/501", row("contacts", first_name=""))

    assert [(each.method, each.path, each.status) for each in account.simulator.requests] == [
        ("POST", "/contacts", 201),
        ("PATCH", "/contacts/501", 422),
    ]


def test_a_lost_answer(account: Account) -> None:
    """The request is carried out and logged, the client sees the connection end; then all is well again."""
    account.simulator.faults.add(Fault("itglue", "lost_answer", path=r"^/contacts\?", calls=(1,), method="POST"))
    assert account.itglue("/contacts").status_code == 200
    with pytest.raises(requests.ConnectionError):
        account.send("POST", "/contacts", NEW)
    assert account.simulator.estate.counts()["contacts"] == 2
    assert [(each.method, each.status) for each in account.simulator.requests] == [("GET", 200), ("POST", 201)]
    account.done("POST", "/contacts", NEW)
    assert account.simulator.estate.counts()["contacts"] == 3


def test_faults_of_one_method(account: Account) -> None:
    """Calls of other methods neither fail nor count."""
    account.simulator.faults.add(Fault("itglue", "status", calls=(2,), status=503, method="PATCH"))
    change = row("contacts", title="X")
    answers = [account.send("PATCH", "/contacts/501", change).status_code]
    answers += [account.itglue("/contacts").status_code for _ in range(3)]
    answers += [account.send("PATCH", "/contacts/501", change).status_code]

    assert answers == [200, 200, 200, 200, 503]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("itglue", "throttle", method="POST"), 429),
        (Fault("itglue", "status", status=500, method="POST"), 500),
        (Fault("itglue", "status", status=502, method="POST"), 502),
        (Fault("itglue", "status", status=503, method="POST"), 503),
    ],
)
def test_a_refusal_comes_before_anything_is_done(folder: Path, fault: Fault, status: int) -> None:
    """Throttling and server errors store nothing."""
    with opened(folder, world(), faults=FaultPlan([fault])) as account:
        assert account.send("POST", "/contacts", NEW).status_code == status
        assert account.simulator.estate.counts()["contacts"] == 1


def test_a_limit_counts_writes(folder: Path) -> None:
    """The request past the limit is refused and does nothing."""
    with opened(folder, world(), ItGlueBehaviour(rate_limit=(2, 60.0))) as account:
        answers = [account.send("POST", "/contacts", NEW).status_code for _ in range(3)]
        assert (answers, account.simulator.estate.counts()["contacts"]) == ([201, 201, 429], 3)


def test_many_writers_and_readers(folder: Path) -> None:
    """Ids are unique, no write is lost, and a reader never sees half of a change."""
    stop = threading.Event()
    halves: list[Any] = []

    def write(number: int) -> list[str]:
        with_account = Account(account.simulator)
        made = []
        for turn in range(10):
            made.append(with_account.done("POST", "/contacts", NEW)["id"])
            text = f"{number}-{turn}"
            with_account.done("PATCH", "/contacts/501", row("contacts", last_name=text, title=text, notes=text))
        with_account.session.close()
        return made

    def read() -> None:
        reader = Account(account.simulator)
        while not stop.is_set():
            seen = reader.itglue("/contacts", **{"filter[id]": "501"}).json()["data"][0]["attributes"]
            if len({seen["last-name"], seen["title"], seen["notes"]}) != 1:
                halves.append(seen)
        reader.session.close()

    estate = world()
    estate.contact(501).title = estate.contact(501).notes = estate.contact(501).last_name
    with opened(folder, estate, ItGlueBehaviour(rate_limit=None)) as account, ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        made = [identity for found in pool.map(write, range(4)) for identity in found]
        stop.set()
        reading.result()
        assert (len(set(made)), halves) == (40, [])
        assert account.simulator.estate.counts()["contacts"] == 41


def pages(account: Account, path: str, size: int) -> list[dict[str, Any]]:
    """All rows of a list in pages of this size, without the times that writing gave them."""
    rows: list[dict[str, Any]] = []
    number: int | None = 1
    while number is not None:
        answer = account.itglue(path, sort="id", **{"page[size]": str(size), "page[number]": str(number)}).json()
        rows += answer["data"]
        number = answer["meta"]["next-page"]
    assert answer["meta"]["total-count"] == len(rows)
    for each in rows:
        if each["attributes"]["updated-at"] > "2022":
            del each["attributes"]["created-at"], each["attributes"]["updated-at"]
    return rows


WRITES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 17), st.sampled_from(["new", "change", "look", "list"])), max_size=8
)


@given(writes=WRITES, size=st.integers(1, 25))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sized_estate_is_written_to_as_any_other(folder: Path, writes: list[tuple[int, int, str]], size: int) -> None:
    """What is laid over the blocks looks as if every contact were an object, in all lists and at every page size."""
    seen = []
    for is_unfolded in (False, True):
        estate = Estate.sized(3, 20)
        if is_unfolded:
            estate.unfold_contacts()
        with opened(folder, estate, ItGlueBehaviour(rate_limit=None)) as account:
            for turn, (organization, number, what) in enumerate(writes):
                identity = f"{FIRST_ORGANIZATION + organization}{number + number // 9:07d}"
                path = f"/organizations/{FIRST_ORGANIZATION + organization}/relationships/contacts"
                if what == "new":
                    account.done("POST", path, row("contacts", first_name=f"New {turn}"))
                elif what == "change":
                    account.done("PATCH", f"/contacts/{identity}", row("contacts", title=f"Title {turn}"))
                elif what == "look":
                    found = account.itglue("/contacts", **{"filter[id]": f"{identity}, 5,{identity}"}).json()["data"]
                    assert [each["id"] for each in found] == [identity]
                    assert account.itglue(f"/contacts/{identity}").json()["data"]["id"] == identity
                else:
                    rows = account.itglue(path, sort="id").json()["data"]
                    changes = [row("contacts", id=each["id"], notes=f"Notes {turn}") for each in rows[:number]]
                    if changes:
                        account.done("PATCH", "/contacts", changes)
            paths = [
                "/contacts",
                *(f"/organizations/{FIRST_ORGANIZATION + each}/relationships/contacts" for each in range(3)),
            ]
            seen.append([pages(account, path, size) for path in paths])
            assert (estate.sized_contacts is None) == is_unfolded
            assert len(estate.contacts) == len(seen[-1][0])

    assert seen[0] == seen[1]


def test_a_sized_estate_remembers_when_it_is_unfolded(folder: Path) -> None:
    """Objects show what was written before; an unknown id is found in neither state; removing works."""
    estate = Estate.sized(2, 20)
    with opened(folder, estate) as account:
        made = account.done("POST", "/contacts", row("contacts", first_name="New", organization_id=FIRST_ORGANIZATION))
        changed = account.itglue("/contacts", **{"page[size]": "1"}).json()["data"][0]["id"]
        account.done("PATCH", f"/contacts/{changed}", row("contacts", title="CEO"))
        account.errors("PATCH", "/contacts/5", row("contacts", title="CEO"), 404)
        both = {"filter[organization_id]": str(FIRST_ORGANIZATION), "filter[title]": "CEO"}
        assert [each["id"] for each in account.itglue("/contacts", **both).json()["data"]] == [changed]
        with pytest.raises(KeyError):
            estate.contact(5)
        live = estate.contact(changed)
        live.notes = "By hand"
        live.adapters = [SimAdapter("Autotask")]
        included = account.itglue("/contacts", include="adapters_resources").json()["included"]
        assert [each["attributes"]["adapter-type-name"] for each in included] == ["Autotask"]
        account.errors("PATCH", f"/contacts/{changed}", row("contacts", title="No"))
        live.adapters = []
        assert account.itglue(f"/contacts/{changed}").json()["data"]["attributes"]["notes"] == "By hand"
        assert estate.sized_contacts is not None
        account.done("PATCH", f"/contacts/{changed}", row("contacts", organization_id=FIRST_ORGANIZATION + 1))
        assert estate.sized_contacts is None
        assert estate.contact(changed) is live
        assert (live.title, live.organization_id) == ("CEO", FIRST_ORGANIZATION + 1)
        assert estate.contact(made["id"]).first_name == "New"
        estate.remove_contact(made["id"])
        assert estate.counts()["contacts"] == 36
        again = account.done("POST", "/contacts", row("contacts", first_name="New", organization_id=FIRST_ORGANIZATION))
        assert int(again["id"]) > int(made["id"])


def test_contacts_of_a_sized_estate_can_be_tagged(folder: Path) -> None:
    """A tag finds contacts without making an object of each."""
    estate = Estate.sized(2, 20)
    fields = [
        {"name": "Title", "kind": "Text", "show-in-list": True, "use-for-title": True},
        {"name": "Contacts", "kind": "Tag", "tag-type": "Contacts"},
    ]
    with opened(folder, estate) as account:
        sent = {
            "type": "flexible-asset-types",
            "attributes": {"name": "Licenses"},
            "relationships": {
                "flexible-asset-fields": {"data": [row("flexible_asset_fields", **each) for each in fields]}
            },
        }
        kind = account.done("POST", "/flexible_asset_types", sent)["id"]
        contacts = [f"{FIRST_ORGANIZATION}0000001", f"{FIRST_ORGANIZATION + 1}0000002"]
        made = account.done(
            "POST",
            "/flexible_assets",
            row(
                "flexible_assets",
                organization_id=FIRST_ORGANIZATION,
                flexible_asset_type_id=kind,
                traits={"title": "P1", "contacts": contacts},
            ),
        )
        values = made["attributes"]["traits"]["contacts"]["values"]
        assert [str(each["id"]) for each in values] == contacts
        assert all(each["name"] for each in values)
        assert estate.sized_contacts is not None
