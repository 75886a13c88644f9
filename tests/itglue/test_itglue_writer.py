"""Looking up, creating and updating records: the requests on the wire, and what is believed of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import OddServer, refusal

from o365_etl.errors import (
    BadAnswerError,
    O365EtlError,
    OutcomeUnknownError,
    PermanentError,
    ProtocolError,
    RejectedError,
    TransientError,
    UnsupportedError,
)
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.writer import ItGlueWriter, Live
from o365_etl.simulator import SimAdapter, SimContact, SimOrganization, Simulator
from o365_etl.simulator.transport import Request, Response

Connect = Callable[..., ItGlueClient]
Serve = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]
Json = dict[str, Any]


class Account:
    """Gives one answer to everything, and keeps the requests."""

    def __init__(self, answer: object, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return Response(self.status, json.dumps(self.answer).encode())

    @property
    def sent(self) -> tuple[str, str, bytes]:
        """The only request."""
        (request,) = self.requests
        return request.method, request.path, request.body


def record(identity: str | int, **attributes: object) -> Json:
    return {"id": identity, "type": "x", "attributes": {name.replace("_", "-"): v for name, v in attributes.items()}}


def document(*records: Json) -> Json:
    return {"data": list(records)}


def to(simulator: Simulator, connect: Connect) -> ItGlueWriter:
    return ItGlueWriter(connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key))


def ids(lives: list[Live]) -> list[str]:
    return [live.id for live in lives]


# Looking up


def test_records_are_found_by_organization(simulate: Simulate, connect: Connect) -> None:
    """All that fit come, over all pages, by id, with their owner and the time they were made."""
    simulator = simulate(contacts=1500)
    made = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    simulator.estate.contacts.append(
        SimContact(101, "Other", contact_id=5000, adapters=[SimAdapter("Autotask")], created_at=made)
    )
    writer = to(simulator, connect)

    assert len(set(ids(writer.find("contacts", organization_id="100")))) == 1500
    (other,) = writer.find("contacts", organization_id=101)
    assert (other.id, other.owner, other.created_at) == ("5000", "Autotask", made)
    assert (other.attributes["first-name"], other.attributes["organization-id"]) == ("Other", 101)
    assert writer.find("contacts", organization_id="102") == []


def test_a_filter_that_is_ignored_is_made_up_for(serve: Serve) -> None:
    """Records of other organizations and types never pass, whatever the server does with filters."""
    assets = [(1, 100, 9), (2, 101, 9), (3, 100, 8), (4, 100, 9)]
    account = Account(
        document(*(record(str(i), organization_id=o, flexible_asset_type_id=t, name="n") for i, o, t in assets))
    )
    writer = ItGlueWriter(serve(account))

    assert ids(writer.find("flexible_assets", organization_id="100", flexible_asset_type_id="9")) == ["1", "4"]
    assert ids(writer.find("flexible_assets", flexible_asset_type_id=9, id="2,4,7")) == ["2", "4"]
    assert account.requests[0].query == {
        "sort": "id",
        "filter[organization_id]": "100",
        "filter[flexible_asset_type_id]": "9",
        "page[number]": "1",
        "page[size]": "1000",
    }


def test_owners_are_asked_for_where_there_are_any(serve: Serve) -> None:
    """Organizations and contacts come with their integrations, nothing else does."""
    for resource, wanted in (("organizations", True), ("contacts", True), ("locations", False)):
        account = Account(document())
        ItGlueWriter(serve(account)).find(resource)  # type: ignore[arg-type]
        assert ("include" in account.requests[0].query) is wanted


def test_a_name_with_a_comma_is_not_left_to_the_server(serve: Serve) -> None:
    """IT Glue would take it for two names; so all are asked for."""
    account = Account(document(record("1", name="Acme, Inc."), record("2", name="Other")))
    found = ItGlueWriter(serve(account)).find("organizations", name="Acme, Inc.")

    assert "filter[name]" not in account.requests[0].query
    assert ids(found) == ["1", "2"]


def test_a_record_that_hides_what_was_asked_for_is_an_error(serve: Serve) -> None:
    """Neither taking nor leaving it would be right."""
    with pytest.raises(ProtocolError, match="organization-id"):
        ItGlueWriter(serve(Account(document(record("1"))))).find("contacts", organization_id="100")


def test_missing_records_are_not_taken_for_absent(serve: Serve) -> None:
    """A list with a gap is read again, and is an error if the gap stays."""
    server = OddServer([1, 2, 3], meta=lambda meta: meta | {"total-count": 4})
    with pytest.raises(TransientError) as caught:
        ItGlueWriter(serve(server.respond)).find("locations")
    assert (caught.value.code, len(server.calls)) == ("incomplete", 2)

    server = OddServer([1, 2, 3])
    server.meta = lambda meta: meta | {"total-count": 4 if len(server.calls) == 1 else 3}
    assert ids(ItGlueWriter(serve(server.respond)).find("locations")) == ["1", "2", "3"]


def test_records_that_cannot_be_read_are_an_error(serve: Serve) -> None:
    """Attributes that are a list are no record."""
    with pytest.raises(BadAnswerError):
        ItGlueWriter(serve(Account({"data": [{"id": "1", "attributes": []}]}))).find("locations")


def test_one_record(simulate: Simulate, connect: Connect) -> None:
    """It comes with its owner, also where another integration is only linked; None if it is gone."""
    simulator = simulate()
    simulator.estate.organizations += [
        SimOrganization("Linked", 700, adapters=[SimAdapter("Microsoft", sync=False)]),
        SimOrganization("Owned", 701, adapters=[SimAdapter("Microsoft", sync=False), SimAdapter("Autotask")]),
    ]
    writer = to(simulator, connect)
    linked, owned = writer.get("organizations", "700"), writer.get("organizations", "701")

    assert linked is not None
    assert owned is not None
    assert (linked.id, linked.owner, owned.owner) == ("700", None, "Autotask")
    assert writer.get("organizations", "999") is None


def test_an_owner_without_a_link_counts(serve: Serve) -> None:
    """With one record asked for, what is included is about it; tags own nothing."""
    included = [
        {"type": "tags", "attributes": {"adapter-type-name": "Tag", "sync": True}},
        {"type": "adapters-resources", "attributes": {"adapter-type-name": None, "sync": True}},
    ]
    writer = ItGlueWriter(serve(Account({"data": record("1"), "included": included})))
    live = writer.get("contacts", "1")

    assert live is not None
    assert live.owner == "unknown"
    assert live.created_at is None


def test_a_server_without_owners_is_asked_without(serve: Serve) -> None:
    """A refused `include` costs one more request; another refusal stays one."""
    account = Account({"data": record("1")})
    client = serve(lambda request: refusal(400, "no include") if "include" in request.query else account(request))

    assert ItGlueWriter(client).get("contacts", "1") == Live("1", {}, None, None)
    with pytest.raises(UnsupportedError):
        ItGlueWriter(serve(lambda _: refusal(400, "no"))).get("locations", "1")


@pytest.mark.parametrize("text", ["2016-09-12T19:10:26.000Z", "2016-09-12T19:10:26", "2016-09-12T21:10:26+02:00"])
def test_times(serve: Serve, text: str) -> None:
    """The time of creation has a zone, UTC where none is given; nonsense is None."""
    live = ItGlueWriter(serve(Account({"data": record("1", created_at=text)}))).get("locations", "1")
    odd = ItGlueWriter(serve(Account({"data": record("1", created_at="soon")}))).get("locations", "1")

    assert live is not None
    assert live.created_at == datetime(2016, 9, 12, 19, 10, 26, tzinfo=UTC)
    assert odd is not None
    assert odd.created_at is None


# Bodies


def test_the_body_of_a_create(serve: Serve) -> None:
    """One resource object, text as UTF-8, nulls kept."""
    account = Account({"data": record(72, first_name="Åsa")}, 201)
    live = ItGlueWriter(serve(account)).create("contacts", {"organization-id": "2", "first-name": "Åsa", "notes": None})

    assert account.sent == (
        "POST",
        "/contacts",
        '{"data":{"type":"contacts","attributes":{"organization-id":"2","first-name":"Åsa","notes":null}}}'.encode(),
    )
    assert (live.id, live.attributes) == ("72", {"first-name": "Åsa"})


def test_the_body_of_a_type_with_its_fields(serve: Serve) -> None:
    """Relationships stand beside the attributes; the type's name has hyphens, the path underscores."""
    account = Account({"data": record("5")}, 201)
    fields = {"flexible-asset-fields": {"data": [{"type": "flexible_asset_fields", "attributes": {"order": 1}}]}}
    ItGlueWriter(serve(account)).create("flexible_asset_types", {"name": "T"}, fields)

    assert account.sent == (
        "POST",
        "/flexible_asset_types",
        b'{"data":{"type":"flexible-asset-types","attributes":{"name":"T"},"relationships":{"flexible-asset-fields":'
        b'{"data":[{"type":"flexible_asset_fields","attributes":{"order":1}}]}}}}',
    )


def test_the_body_of_a_bulk_create(serve: Serve) -> None:
    """One request to the organization, a list of resource objects."""
    account = Account(document(record("1"), record("2")), 201)
    items = [{"first-name": "A"}, {"first-name": "B", "important": False}]
    found = ItGlueWriter(serve(account)).create_many("contacts", "12", items)

    assert account.sent == (
        "POST",
        "/organizations/12/relationships/contacts",
        b'{"data":[{"type":"contacts","attributes":{"first-name":"A"}},'
        b'{"type":"contacts","attributes":{"first-name":"B","important":false}}]}',
    )
    assert ids(found) == ["1", "2"]


def test_the_body_of_an_update(serve: Serve) -> None:
    """The id stands in the path."""
    account = Account({"data": record("72")})
    ItGlueWriter(serve(account)).update("flexible_assets", "72", {"traits": {"contacts": ["1", "2"]}})

    assert account.sent == (
        "PATCH",
        "/flexible_assets/72",
        b'{"data":{"type":"flexible-assets","attributes":{"traits":{"contacts":["1","2"]}}}}',
    )


def test_the_body_of_a_bulk_update(serve: Serve) -> None:
    """The ids stand inside the attributes; the answer is put in the order of the items."""
    account = Account(document(record("8", title="B"), record(7, title="A")))
    found = ItGlueWriter(serve(account)).update_many("contacts", [("7", {"title": "A"}), ("8", {"title": "B"})])

    assert account.sent == (
        "PATCH",
        "/contacts",
        b'{"data":[{"type":"contacts","attributes":{"id":"7","title":"A"}},'
        b'{"type":"contacts","attributes":{"id":"8","title":"B"}}]}',
    )
    assert [(live.id, live.attributes["title"]) for live in found] == [("7", "A"), ("8", "B")]


def test_nothing_to_write_is_nothing_sent(serve: Serve) -> None:
    """An empty bulk is no request."""
    account = Account({})
    writer = ItGlueWriter(serve(account))

    assert writer.create_many("contacts", "1", []) == writer.update_many("contacts", []) == []
    assert account.requests == []


@pytest.mark.parametrize(
    "write",
    [
        lambda writer: writer.update("flexible_asset_types", "1", {}),
        lambda writer: writer.update("contacts", "1/../../passwords/1", {}),
        lambda writer: writer.create_many("organizations", "1", [{}]),
        lambda writer: writer.create_many("contacts", "x", [{}]),
        lambda writer: writer.create("passwords", {}),
        lambda writer: writer.get("passwords", "1"),
    ],
)
def test_the_list_holds_for_the_writer(serve: Serve, write: Callable[[ItGlueWriter], object]) -> None:
    """Whatever it is asked, nothing is sent that is not on the list."""
    account = Account({})
    with pytest.raises(PermanentError, match="not on the list"):
        write(ItGlueWriter(serve(account)))
    assert account.requests == []


# Answers


@pytest.mark.parametrize(
    "answer",
    [
        document(),
        document(record("1")),
        document(record("1"), record("2"), record("3")),
        document(record("1"), record("1")),
        document(record("1"), {"type": "x", "attributes": {}}),
        document(record("1"), record("")),
        document(record("1"), {"id": None, "attributes": {}}),
        {"data": record("1")},
        {},
    ],
)
def test_a_bulk_answer_with_other_records(serve: Serve, answer: Json) -> None:
    """Another number of records than was sent, or one without an id: it may have been done."""
    account = Account(answer, 201)
    writer = ItGlueWriter(serve(account))

    with pytest.raises(OutcomeUnknownError):
        writer.create_many("contacts", "12", [{"first-name": "Secretive"}, {"first-name": "B"}])
    with pytest.raises(OutcomeUnknownError) as caught:
        writer.update_many("contacts", [("1", {"title": "Secretive"}), ("2", {})])
    assert "Secretive" not in caught.value.line
    assert len(account.requests) == 2


def test_an_update_answered_with_another_record(serve: Serve) -> None:
    """An answer about something else proves nothing."""
    with pytest.raises(OutcomeUnknownError):
        ItGlueWriter(serve(Account({"data": record("2")}))).update("contacts", "1", {})
    with pytest.raises(OutcomeUnknownError):
        ItGlueWriter(serve(Account(document(record("1"), record("3"))))).update_many("contacts", [("1", {}), ("2", {})])


def test_a_single_answer_without_an_id(serve: Serve) -> None:
    """A record that was perhaps created, but cannot be linked to."""
    for answer in ({"data": {"attributes": {}}}, {"data": None}, {"data": []}):
        with pytest.raises(OutcomeUnknownError):
            ItGlueWriter(serve(Account(answer, 201))).create("contacts", {})


def test_odd_extras_in_the_answer_of_a_write_do_not_matter(serve: Serve) -> None:
    """The id is there, so it was done."""
    answer = {"data": {"id": "1", "relationships": {"adapters-resources": {"data": {}}}}, "included": [3], "meta": None}

    assert ItGlueWriter(serve(Account(answer, 201))).create("contacts", {}).id == "1"


PEOPLE = [
    {"first-name": "Anna", "last-name": "Berg", "contact-emails": [{"value": "anna@x.example", "primary": True}]},
    {"first-name": "Bo", "last-name": "Berg", "contact-emails": [{"value": "bo@x.example", "primary": True}]},
    {"first-name": "Bo", "last-name": "Berg", "contact-emails": [{"value": "bo.2@x.example", "primary": True}]},
    {"first-name": "Cy", "notes": "no last name"},
]
SKUS = [
    {"organization-id": "1", "traits": {"tenant-id": "t", "sku-id": sku, "contacts": ["3"], "active": 2}}
    for sku in ("a", "b", "c", "d")
]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(4)), people=st.booleans())
def test_an_answer_in_another_order_is_put_in_order(serve: Serve, order: list[int], people: bool) -> None:
    """Nobody gets somebody else's record: contacts are told apart by name and address, assets by their key traits.
    What IT Glue tidied up on the way (blanks, case, tags as objects) does not matter.
    """
    items = PEOPLE if people else SKUS

    def tidy(item: Json) -> Json:
        given = json.loads(json.dumps(item))
        if people:
            given["first-name"] = f" {given['first-name'].upper()}"
        else:
            given["organization-id"] = 1
            given["traits"]["contacts"] = {"type": "Contacts", "values": [{"id": 3}]}
        return given

    answer = {"data": [{"id": str(10 + index), "attributes": tidy(items[index])} for index in order]}
    writer = ItGlueWriter(serve(Account(answer, 201)))
    found = writer.create_many("contacts" if people else "flexible_assets", "1", items)

    assert ids(found) == ["10", "11", "12", "13"]


@pytest.mark.parametrize(
    ("items", "answered"),
    [
        ([0, 1], [PEOPLE[0], PEOPLE[0] | {"first-name": "Zoe"}]),
        ([0, 1], [PEOPLE[0] | {"last-name": "X"}, PEOPLE[1]]),
        ([0, 1], [PEOPLE[1], PEOPLE[1]]),
        ([0, 0], [PEOPLE[0], PEOPLE[1]]),
        ([0, 0, 1], [PEOPLE[1], PEOPLE[0], PEOPLE[0]]),
    ],
)
def test_an_answer_about_others_is_not_believed(serve: Serve, items: list[int], answered: list[Json]) -> None:
    """If a record cannot be told to be of one item, nothing is concluded."""
    answer = {"data": [{"id": str(number), "attributes": each} for number, each in enumerate(answered)]}

    with pytest.raises(OutcomeUnknownError):
        ItGlueWriter(serve(Account(answer, 201))).create_many("contacts", "1", [PEOPLE[item] for item in items])


def test_alike_items_take_what_comes(serve: Serve) -> None:
    """Two items with nothing to tell them apart are taken in the order of the answer."""
    found = ItGlueWriter(serve(Account(document(record("2", title="x"), record("1")), 201)))

    assert ids(found.create_many("contacts", "1", [{"title": "x"}, {"title": "x"}])) == ["2", "1"]


@pytest.mark.parametrize(
    "write",
    [
        lambda writer: writer.create("contacts", {"first-name": "Secretive"}),
        lambda writer: writer.create_many("contacts", "1", [{"first-name": "Secretive"}]),
        lambda writer: writer.update("contacts", "1", {"first-name": "Secretive"}),
        lambda writer: writer.update_many("contacts", [("1", {"first-name": "Secretive"})]),
    ],
)
@pytest.mark.parametrize(
    ("answer", "kind"), [(refusal(422, "must exist"), RejectedError), (Response(500), OutcomeUnknownError)]
)
def test_every_write_is_sent_once(
    serve: Serve, write: Callable[[ItGlueWriter], object], answer: Response, kind: type[O365EtlError]
) -> None:
    """Refused or left open, no write is repeated, and none of it stands in the error."""
    seen: list[str] = []

    def respond(request: Request) -> Response:
        seen.append(request.method)
        return answer

    with pytest.raises(kind) as caught:
        write(ItGlueWriter(serve(respond)))
    assert len(seen) == 1
    assert "Secretive" not in caught.value.line
