"""Reading what changed since a full crawl: what is asked, when a full crawl is made instead, what stays in force."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from odd_server import refusal

from o365_etl.itglue.changes import Policy
from o365_etl.itglue.client import ItGlueClient, Spent, Stopped
from o365_etl.itglue.reader import read_itglue
from o365_etl.receipts import Receipt
from o365_etl.simulator import Fault, SimAdapter, SimContact, Simulator
from o365_etl.simulator.transport import Request, Response
from o365_etl.store.landing import LandingZone

Connect = Callable[..., ItGlueClient]
Serve = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]

DAILY = Policy(full_crawl_hours=24, incremental_from=100)


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


class Account:
    """A simulated account of 1,200 contacts, the landing zone, and reads that come one after the other."""

    def __init__(self, simulator: Simulator, client: ItGlueClient, zone: LandingZone) -> None:
        self.simulator, self.client, self.zone = simulator, client, zone
        self._reads = 0

    def read(self, policy: Policy = DAILY) -> dict[str, Receipt]:
        """The receipts of one read; the log of requests holds that read alone."""
        self._reads += 1
        self.simulator.reset_log()
        return {each.stream: each for each in read_itglue(self.client, self.zone, f"r{self._reads}", policy)}

    def edit(self, number: int, **changes: object) -> SimContact:
        """Change a contact in IT Glue."""
        contact = self.simulator.estate.contacts[number]
        for name, value in {"updated_at": datetime.now(UTC), **changes}.items():
            setattr(contact, name, value)
        return contact

    def ids(self, stream: str) -> list[str]:
        """The ids in the last certified read of a stream."""
        return [each["id"] for _, body in self.zone.read("itglue", stream) for each in json.loads(body)["data"]]

    def requests(self) -> list[str]:
        """What was asked of contacts."""
        return [each.query for each in self.simulator.requests if each.path == "/contacts"]


@pytest.fixture
def account(simulate: Simulate, connect: Connect, zone: LandingZone) -> Account:
    simulator = simulate(contacts=1200)
    for contact in simulator.estate.contacts:
        contact.updated_at = datetime(2024, 1, 1, tzinfo=UTC)
    simulator.estate.contacts[7].updated_at = datetime(2024, 6, 1, 12, tzinfo=UTC)
    return Account(simulator, connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key), zone)


def test_what_changed_is_read_alone(account: Account) -> None:
    """After a full crawl one request brings what changed since, its owners too; the full crawl stays the base."""
    first = account.read()
    assert (first["contacts"].rows, first["contacts"].bookmark) == (1200, "2024-06-01T12:00:00+00:00")
    assert first["organizations"].bookmark is None  # three of them: a full crawl is right and one request
    assert first["contacts"].message is None

    edited = account.edit(3, title="CEO", adapters=[SimAdapter(sync=True)])
    new = SimContact(100, "New", updated_at=datetime.now(UTC))
    account.simulator.estate.add_itglue("contacts", new)
    second = account.read()

    assert "contacts" not in second
    changes = second["contacts_changes"]
    assert (changes.state, changes.rows, changes.requests, changes.bookmark) == ("ok", 3, 1, "r1")
    (query,) = account.requests()
    assert "sort=-updated_at" in query
    # The one that the base was the last to see is within the margin.
    assert account.ids("contacts_changes") == [str(each) for each in (new.contact_id, edited.contact_id, 5000007)]
    ((_, body),) = account.zone.read("itglue", "contacts_changes")
    assert [each["attributes"]["sync"] for each in json.loads(body)["included"]] == [True]
    assert len(account.ids("contacts")) == 1200
    assert second["organizations"].state == "ok"


def test_reads_are_cumulative_and_the_same_again(account: Account) -> None:
    """Each read goes back to the base; where nothing changed in between, it says the same."""
    account.read()
    account.edit(3, title="CEO")
    second = account.read()["contacts_changes"]
    account.edit(4, title="CTO")
    third = account.read()["contacts_changes"]
    account.edit(4, title="CFO")
    fourth = account.read()["contacts_changes"]
    fifth = account.read()["contacts_changes"]

    assert (second.rows, third.rows) == (2, 3)
    assert second.digest != third.digest != fourth.digest == fifth.digest
    assert {third.bookmark, fifth.bookmark} == {"r1"}


def test_more_than_a_page_of_changes(account: Account) -> None:
    """Pages are turned until one reaches back to the base; the front is looked at once more, and brings nothing new."""
    account.read()
    for number in range(120):
        account.edit(number, title="CEO")
    account.simulator.faults.add(Fault("itglue", "status", path=r"/contacts.*size]=(1000|500|250|125)", status=504))
    changes = account.read()["contacts_changes"]

    assert (changes.state, changes.rows, len(account.ids("contacts_changes"))) == ("ok", 120, 120)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (Policy(24, 100, full=True), "asked for"),
        (Policy(1e-9, 100), "it is due"),
        (Policy(0, 100), None),
        (Policy(24, 1200), None),
    ],
)
def test_when_a_full_crawl_is_made(account: Account, policy: Policy, why: str | None) -> None:
    """When asked for, when due, always with 0 hours, and for a stream that is small."""
    account.read()
    account.edit(3, title="CEO")
    account.read()
    receipts = account.read(policy)

    assert (receipts["contacts"].rows, receipts["contacts"].message) == (1200, why)
    assert not any("sort=-updated_at" in query and "size%5D=1000" in query for query in account.requests())
    # What was laid over the base of before is void.
    assert account.zone.receipt("itglue", "contacts_changes") is None


def test_a_small_account_pays_nothing(account: Account) -> None:
    """Nobody asks a small stream for its last change."""
    account.read(Policy(24, 5000))

    assert len(account.requests()) == 2


@pytest.mark.parametrize("damage", ["shorter", "another byte", "gone", "receipt"])
def test_a_damaged_base_is_read_again(account: Account, damage: str) -> None:
    """Changes are worth nothing without what they are changes of."""
    account.read()
    (file,) = account.zone.root.glob("itglue/contacts.*.jsonl.zst")
    whole = file.read_bytes()
    if damage == "shorter":
        file.write_bytes(whole[:-1])
    elif damage == "another byte":
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif damage == "gone":
        file.unlink()
    else:
        (account.zone.root / "itglue" / "contacts.receipt.json").write_text("{")
    receipts = account.read()

    assert (receipts["contacts"].state, receipts["contacts"].message) == ("ok", "the last one is damaged")
    assert len(account.ids("contacts")) == 1200
    assert "contacts_changes" in account.read()


def test_when_most_has_changed_all_is_read(account: Account) -> None:
    """Where more than half changed, the same run makes a full crawl, which is then the base."""
    account.read()
    for number in range(700):
        account.edit(number, title="CEO")
    receipts = account.read()

    assert (receipts["contacts"].state, receipts["contacts"].message) == ("ok", "more than half has changed")
    assert receipts["contacts"].requests == len(account.requests()) == 5
    assert account.zone.receipt("itglue", "contacts_changes") is None
    assert account.zone.receipt("itglue", "contacts").read_id == "r2"  # type: ignore[union-attr]


def test_a_read_of_changes_that_fails_leaves_all_in_force(account: Account) -> None:
    """Base and earlier changes stay certified, and the stream says why it failed."""
    account.read()
    account.edit(3, title="CEO")
    account.read()
    account.simulator.faults.add(Fault("itglue", "status", path="/contacts", status=500))
    failed = account.read()["contacts_changes"]

    assert (failed.state, failed.error_code) == ("failed", "bad_answer")
    assert account.zone.receipt("itglue", "contacts").read_id == "r1"  # type: ignore[union-attr]
    assert account.zone.receipt("itglue", "contacts_changes").read_id == "r2"  # type: ignore[union-attr]


class Plain:
    """A server that knows 300 contacts and answers `sort` in its own way."""

    def __init__(self, sort: Callable[[list[int], str], list[int] | None]) -> None:
        self._sort = sort

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        query = request.query
        ids = self._sort(list(range(300)), query.get("sort", ""))
        if ids is None:
            return refusal(400, "sort is not allowed")
        size, number = int(query["page[size]"]), int(query["page[number]"])
        rows = [
            {"id": str(each), "type": "x", "attributes": {"updated-at": f"2024-01-01T{each % 24:02}:00:00.000Z"}}
            for each in ids[(number - 1) * size : number * size]
        ]
        meta = {"total-count": 300, "total-pages": -(-300 // size), "next-page": None}
        return Response(200, json.dumps({"data": rows, "meta": meta}).encode(), {"Content-Type": "application/json"})


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_that_does_not_sort(serve: Serve, zone: LandingZone, refuses: bool) -> None:
    """An order that was not asked for is noticed, and the same run reads everything."""
    server = Plain(lambda ids, sort: None if refuses and sort == "-updated_at" else ids)
    client = serve(server.respond)
    first = {each.stream: each for each in read_itglue(client, zone, "r1", DAILY)}
    second = {each.stream: each for each in read_itglue(client, zone, "r2", DAILY)}

    assert (first["contacts"].bookmark is None) is refuses
    assert (second["contacts"].state, second["contacts"].rows) == ("ok", 300)
    assert second["contacts"].message == (
        "the last one says nothing to go on from" if refuses else "the server does not sort by the last change"
    )


def test_records_without_a_date_are_read_in_full(serve: Serve, zone: LandingZone) -> None:
    """What is not dated cannot be known to be old."""

    def respond(request: Request) -> Response:
        answer = Plain(lambda ids, sort: sorted(ids, key=lambda each: -(each % 24)) if sort[0] == "-" else ids)
        found = answer.respond(request)
        if "size%5D=1000" in request.raw_query and request.query["sort"] == "-updated_at":
            body = json.loads(found.body)
            body["data"][5]["attributes"] = {}
            found.body = json.dumps(body).encode()
        return found

    client = serve(respond)
    read_itglue(client, zone, "r1", DAILY)
    receipts = {each.stream: each for each in read_itglue(client, zone, "r2", DAILY)}

    assert receipts["contacts"].message == "the server does not sort by the last change"


def test_a_stopped_client_ends_without_a_word(serve: Serve, zone: LandingZone) -> None:
    """Stopped between two pages, a crawl leaves neither a receipt nor half a file, and the last read in force."""
    stopped = threading.Event()
    pages = 0

    def respond(request: Request) -> Response:
        nonlocal pages
        pages += request.path == "/contacts"
        if pages == 2:
            stopped.set()
        is_contacts = request.path == "/contacts"
        meta = {"total-count": 9, "next-page": pages + 1} if is_contacts else {}
        data = [{"id": str(pages), "type": "x", "attributes": {}}] if is_contacts else []
        return Response(200, json.dumps({"data": data, "meta": meta}).encode(), {"Content-Type": "application/json"})

    client = serve(respond, stopped=stopped)
    with pytest.raises(Stopped):
        read_itglue(client, zone, "r1")
    with pytest.raises(Stopped):
        client.get("/organizations", {}, dict, Spent())

    assert zone.last_attempt("itglue", "contacts") is None
    assert list(zone.root.glob("itglue/.contacts*")) == list(zone.root.glob("itglue/contacts*")) == []
