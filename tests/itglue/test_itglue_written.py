"""The writer against the simulated IT Glue: what is written stands there, once, and reads back the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from o365_etl.errors import (
    ForbiddenError,
    NotFoundError,
    OutcomeUnknownError,
    RejectedError,
)
from o365_etl.itglue import LICENSE_ASSET_TYPE
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.reader import read_itglue
from o365_etl.itglue.writer import ItGlueWriter
from o365_etl.simulator import Fault, FaultPlan, ItGlueBehaviour, SimAdapter, SimContact, Simulator
from o365_etl.store.landing import LandingZone

Connect = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]
Json = dict[str, Any]


def field(order: int, name: str, kind: str = "Text", **more: object) -> Json:
    attributes = {"order": order, "name": name, "kind": kind, "show-in-list": order == 1, **more}
    return {"type": "flexible_asset_fields", "attributes": attributes}


FIELDS = {
    "flexible-asset-fields": {
        "data": [
            field(1, "Product name", **{"use-for-title": True, "required": True}),
            field(2, "Tenant ID"),
            field(3, "SKU ID"),
            field(4, "Active", "Number"),
            field(5, "Contacts", "Tag", **{"tag-type": "Contacts"}),
        ]
    }
}


def person(first: str, address: str, **more: object) -> Json:
    return {"first-name": first, "contact-emails": [{"value": address, "primary": True, "label-name": "Work"}], **more}


def client_of(simulator: Simulator, connect: Connect) -> ItGlueClient:
    return connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key)


def writer_of(simulator: Simulator, connect: Connect) -> ItGlueWriter:
    return ItGlueWriter(client_of(simulator, connect))


def test_a_client_from_nothing(simulate: Simulate, connect: Connect, tmp_path: Path) -> None:
    """An organization, its location, its contacts, a type and its assets: made, found, changed, read by the reader."""
    simulator = simulate()
    client = client_of(simulator, connect)
    writer = ItGlueWriter(client)
    organization = writer.create("organizations", {"name": "Contoso, Ltd."})
    assert organization.attributes["name"] == "Contoso, Ltd."
    assert organization.created_at is not None
    assert [live.id for live in writer.find("organizations", name="Contoso, Ltd.") if live.attributes["name"][0] == "C"]

    place = {"organization-id": organization.id, "name": "Contoso", "city": "Oslo"}
    location = writer.create("locations", place)
    people = writer.create_many(
        "contacts", organization.id, [person("Anna", "anna@x.example"), person("Bo", "bo@x.example", notes="<b>ä</b>")]
    )
    assert [live.attributes["first-name"] for live in people] == ["Anna", "Bo"]
    kind = writer.create("flexible_asset_types", {"name": LICENSE_ASSET_TYPE, "icon": "key"}, FIELDS)
    assert [live.id for live in writer.find("flexible_asset_types", name=LICENSE_ASSET_TYPE)] == [kind.id]

    def asset(sku: str, active: int, *contacts: str) -> Json:
        traits = {"product-name": f"Name of {sku}", "tenant-id": "t", "sku-id": sku, "active": active}
        attributes = {"organization-id": organization.id, "flexible-asset-type-id": kind.id}
        return {**attributes, "traits": {**traits, "contacts": list(contacts)}}

    first = writer.create("flexible_assets", asset("a", 1, people[0].id))
    others = writer.create_many("flexible_assets", organization.id, [asset("b", 2), asset("c", 3)])
    found = writer.find("flexible_assets", organization_id=organization.id, flexible_asset_type_id=kind.id)
    assert [live.id for live in found] == [first.id, *(live.id for live in others)]
    assert [value["id"] for value in found[0].attributes["traits"]["contacts"]["values"]] == [int(people[0].id)]

    assert writer.update("locations", location.id, {"city": "Bergen"}).attributes["city"] == "Bergen"
    changed = writer.update_many("contacts", [(people[1].id, {"title": "B"}), (people[0].id, {"title": "A"})])
    assert [(live.id, live.attributes["title"]) for live in changed] == [(people[1].id, "B"), (people[0].id, "A")]
    assert simulator.estate.contact("anna@x.example").title == "A"

    zone = LandingZone(tmp_path / "landing")
    receipts = {receipt.stream: receipt for receipt in read_itglue(client, zone, "r1")}
    assert (receipts["license_assets"].state, receipts["license_assets"].rows) == ("ok", 3)
    (body,) = zone.parts("itglue", "license_assets", "license_assets")
    assert {row["attributes"]["traits"]["sku-id"] for row in json.loads(body)["data"]} == {"a", "b", "c"}


def test_a_lost_answer_leaves_one_record(simulate: Simulate, connect: Connect) -> None:
    """The write was done, nobody said so: the outcome is unknown, and a look finds the one record there is."""
    simulator = simulate(faults=FaultPlan([Fault("itglue", "lost_answer", method="POST")]))
    writer = writer_of(simulator, connect)

    with pytest.raises(OutcomeUnknownError):
        writer.create_many("contacts", "100", [person("Anna", "anna@x.example")])
    (anna,) = writer.find("contacts", organization_id="100")
    assert anna.attributes["contact-emails"][0]["value"] == "anna@x.example"
    assert [record.method for record in simulator.requests].count("POST") == 1


def test_a_throttled_write_is_done_once(simulate: Simulate, connect: Connect) -> None:
    """The first try was turned away, the second one counts."""
    throttle = Fault("itglue", "throttle", method="POST", calls=(1, 2), retry_after="1")
    simulator = simulate(faults=FaultPlan([throttle]))
    writer_of(simulator, connect).create("contacts", {"organization-id": "100", **person("Anna", "anna@x.example")})

    assert len(simulator.estate.contacts) == 1
    assert len(simulator.requests) == 3


def test_what_another_integration_owns_is_refused(simulate: Simulate, connect: Connect) -> None:
    """The owner is seen before, and IT Glue's refusal comes in its own words."""
    simulator = simulate()
    simulator.estate.contacts.append(SimContact(100, "Anna", contact_id=7, adapters=[SimAdapter("Autotask")]))
    writer = writer_of(simulator, connect)
    anna = writer.get("contacts", "7")

    assert anna is not None
    assert anna.owner == "Autotask"
    with pytest.raises(RejectedError) as caught:
        writer.update("contacts", "7", {"title": "Secretive"})
    assert len(caught.value.message) > len("IT Glue (localhost:00000) answered PATCH /contacts/7 with 422: ")
    assert "Secretive" not in caught.value.line


def test_a_refused_bulk_names_the_field(simulate: Simulate, connect: Connect) -> None:
    """One item that does not fit refuses all of them, and the message says which field it was."""
    simulator = simulate()

    with pytest.raises(RejectedError, match=r"first.name"):
        writer_of(simulator, connect).create_many("contacts", "100", [person("Anna", "a@x.example"), {"title": "T"}])
    assert len(simulator.estate.contacts) == 0


def test_what_cannot_be_written(simulate: Simulate, connect: Connect) -> None:
    """A key that may only read, a record that is gone, lists that are refused: each is called what it is."""
    with pytest.raises(ForbiddenError, match="permission") as caught:
        writer_of(simulate(itglue=ItGlueBehaviour(read_only=True)), connect).create("organizations", {"name": "X"})
    assert caught.value.code == "itglue_key"
    with pytest.raises(NotFoundError):
        writer_of(simulate(), connect).update("contacts", "424242", {"title": "T"})
    alone = writer_of(simulate(itglue=ItGlueBehaviour(bulk=False)), connect)
    with pytest.raises(RejectedError, match="Bulk"):
        alone.create_many("contacts", "100", [person("Anna", "a@x.example"), person("Bo", "b@x.example")])


def test_four_threads_write_at_once(simulate: Simulate, connect: Connect) -> None:
    """Every record is made once, and each thread gets back its own."""
    simulator = simulate(organizations=4)
    writer = writer_of(simulator, connect)

    def fill(organization: int) -> list[str]:
        return [
            live.attributes["contact-emails"][0]["value"]
            for turn in range(5)
            for live in writer.create_many(
                "contacts",
                str(organization),
                [person(f"P{turn}{each}", f"{organization}.{turn}.{each}@x.example") for each in range(10)],
            )
        ]

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(range(100, 104), pool.map(fill, range(100, 104)), strict=True))
    assert found == {
        each: [f"{each}.{turn}.{number}@x.example" for turn in range(5) for number in range(10)]
        for each in range(100, 104)
    }
    assert len(simulator.estate.contacts) == 200
