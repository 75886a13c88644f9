"""The IT Glue API: keys, paging, filters, includes, limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from o365_etl.simulator import (
    Estate,
    ItGlueBehaviour,
    SimAdapter,
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
    SimPhone,
    Simulator,
    emails,
)
from tests.simulator.caller import Caller


def world() -> Estate:
    """Two organizations, three contacts, one of them owned by another integration."""
    return Estate.build(
        organizations=[
            SimOrganization("Contoso", 72, short_name="CO"),
            SimOrganization("Acme, Inc.", 73, organization_status="Inactive"),
        ],
        contacts=[
            SimContact(
                72,
                "Anna",
                "Berg",
                501,
                title="Director",
                contact_type="Approver",
                emails=emails("anna@contoso.example", "a.berg@contoso.example"),
                phones=[SimPhone("4155552156", primary=True, formatted="(415) 555-2156")],
                adapters=[SimAdapter("Autotask", remote_id="9"), SimAdapter("Microsoft", sync=False, orphaned=True)],
            ),
            SimContact(72, "Bo", None, 502, important=True),
            SimContact(73, "Cy", "Dahl", 503),
        ],
        locations=[SimLocation(72, "Contoso", city="Seattle", region="Washington", country="United States")],
        flexible_asset_types=[SimFlexibleAssetType("Backup", 31)],
        flexible_assets=[SimFlexibleAsset(72, 31, "Nightly", traits={"tenant-id": "x"})],
    )


@pytest.fixture
def glue(folder: Path) -> Iterator[Caller]:
    """A client of that account."""
    with Simulator(world(), folder=folder) as simulator:
        client = Caller(simulator)
        yield client
        client.session.close()


def ids(answer: Any) -> list[str]:
    """The ids in an answer."""
    return [row["id"] for row in answer.json()["data"]]


def test_a_key_is_needed(glue: Caller) -> None:
    """Neither a missing nor a wrong key gets data, and the error is the gateway's, not JSON:API."""
    url = f"{glue.simulator.itglue_url}/organizations"

    assert glue.session.get(url, timeout=10).status_code == 401
    wrong = glue.session.get(url, headers={"x-api-key": "ITG.wrong"}, timeout=10)
    assert (wrong.status_code, list(wrong.json())) == (403, ["message"])


def test_a_contact_looks_as_documented(glue: Caller) -> None:
    """Kebab-case attributes, own id as text, foreign ids as numbers, e-mails and phones inside."""
    row = glue.itglue("/contacts", **{"filter[id]": "501"}).json()["data"][0]

    attributes = row["attributes"]
    assert (row["id"], row["type"]) == ("501", "contacts")
    assert (attributes["organization-id"], attributes["organization-name"]) == (72, "Contoso")
    assert (attributes["name"], attributes["contact-type-id"]) == ("Anna Berg", 24)
    assert attributes["contact-emails"][0] == {"value": "anna@contoso.example", "primary": True, "label-name": "Work"}
    assert attributes["contact-phones"][0]["formatted-value"] == "(415) 555-2156"
    assert attributes["updated-at"] == "2021-08-02T10:30:06.000Z"


def test_pages(glue: Caller) -> None:
    """Page numbers from 1, meta and links as documented; page 0 is page 1."""
    first = glue.itglue("/contacts", **{"page[size]": "2", "page[number]": "1", "sort": "id"})
    second = glue.session.get(
        first.json()["links"]["next"], headers={"x-api-key": glue.simulator.itglue_api_key}, timeout=10
    )

    assert ids(first) + ids(second) == ["501", "502", "503"]
    assert first.json()["meta"] == {
        "current-page": 1,
        "next-page": 2,
        "prev-page": None,
        "total-pages": 2,
        "total-count": 3,
        "filters": {},
    }
    assert second.json()["links"]["next"] is None
    assert ids(glue.itglue("/contacts", **{"page[size]": "2", "page[number]": "0", "sort": "id"})) == ids(first)
    assert glue.itglue("/contacts", **{"page[size]": "1001"}).status_code == 400


@pytest.mark.parametrize(
    ("path", "filters", "expected"),
    [
        ("/contacts", {"filter[organization_id]": "73"}, ["503"]),
        ("/contacts", {"filter[organization-id]": "73"}, ["503"]),
        ("/contacts", {"filter[id]": "501,503"}, ["501", "503"]),
        ("/contacts", {"filter[important]": "true"}, ["502"]),
        ("/contacts", {"filter[primary_email]": "anna@contoso.example"}, ["501"]),
        ("/contacts", {"filter[primary_email]": "a.berg@contoso.example"}, []),
        ("/contacts", {"filter[updated_at]": "2022-01-01,*"}, []),
        ("/organizations", {"filter[name]": "Contoso"}, ["72"]),
        ("/organizations", {"filter[name]": "Acme, Inc."}, []),
        ("/organizations/73/relationships/contacts", {}, ["503"]),
    ],
)
def test_filters(glue: Caller, path: str, filters: dict[str, str], expected: list[str]) -> None:
    """Filters in both spellings; a comma separates values, so a name with a comma finds nothing."""
    assert ids(glue.itglue(path, sort="id", **filters)) == expected


def test_unknown_filters_and_records(glue: Caller) -> None:
    """400 and 404 in the form of JSON:API."""
    assert glue.itglue("/contacts", **{"filter[shoe_size]": "42"}).status_code == 400
    missing = glue.itglue("/contacts/999")
    assert (missing.status_code, missing.json()["errors"][0]["status"]) == (404, 404)
    assert glue.itglue("/nothing").status_code == 404


def test_owners_are_included_and_linked(glue: Caller) -> None:
    """Every included row is linked from its contact, and only when it was asked for."""
    answer = glue.itglue("/contacts", include="adapters_resources", sort="id").json()
    included = {row["id"]: row["attributes"] for row in answer["included"]}
    links = [row["relationships"]["adapters-resources"]["data"] for row in answer["data"]]

    assert [included[link["id"]]["adapter-type-name"] for link in links[0]] == ["Autotask", "Microsoft"]
    assert [included[link["id"]]["sync"] for link in links[0]] == [True, False]
    assert links[1:] == [[], []]
    assert "included" not in glue.itglue("/contacts").json()
    assert len(glue.itglue("/contacts/501", include="adapters_resources").json()["included"]) == 2


def test_the_other_resources(glue: Caller) -> None:
    """Locations, flexible assets and the tables of names answer; assets need their type."""
    location = glue.itglue("/organizations/72/relationships/locations").json()["data"][0]["attributes"]
    assert (location["region-id"], location["country-id"]) == (1, 1)
    assert glue.itglue("/flexible_assets").status_code == 422
    assets = glue.itglue("/flexible_assets", **{"filter[flexible_asset_type_id]": "31"}).json()["data"]
    assert assets[0]["attributes"]["traits"] == {"tenant-id": "x"}
    for name in ("countries", "regions", "organization_types", "organization_statuses", "contact_types"):
        assert glue.itglue(f"/{name}").json()["data"]
    assert glue.itglue("/countries", **{"filter[iso]": "US"}).json()["meta"]["total-count"] == 1


def test_relationships_belong_to_their_parent(glue: Caller) -> None:
    """A contact is shown under its own organization only; flexible assets are not listed under one at all."""
    assert ids(glue.itglue("/organizations/72/relationships/contacts", sort="id")) == ["501", "502"]
    assert glue.itglue("/organizations/72/relationships/contacts/501").json()["data"]["id"] == "501"
    assert glue.itglue("/organizations/73/relationships/contacts/501").status_code == 404
    assert glue.itglue("/organizations/72/relationships/flexible_assets").status_code == 404


def test_the_log_knows_who_asked_for_passwords(glue: Caller) -> None:
    """A test can prove that nobody did."""
    assert glue.simulator.count("itglue", path_prefix="/passwords") == 0
    glue.itglue("/passwords")
    assert glue.simulator.count("itglue", path_prefix="/passwords") == 1


def test_the_rate_limit(folder: Path) -> None:
    """One request too many in the window gets 429 with a message."""
    with Simulator(world(), folder=folder, itglue=ItGlueBehaviour(rate_limit=(2, 60.0))) as simulator:
        caller = Caller(simulator)
        answers = [caller.itglue("/organizations").status_code for _ in range(3)]
        caller.session.close()

    assert answers == [200, 200, 429]


def test_large_pages_can_time_out(folder: Path) -> None:
    """Pages above the limit fail with the service's own words, smaller ones do not."""
    behaviour = ItGlueBehaviour(timeout_above=100, timeout_status=504)
    with Simulator(world(), folder=folder, itglue=behaviour) as simulator:
        caller = Caller(simulator)
        large = caller.itglue("/contacts", **{"page[size]": "101"})
        small = caller.itglue("/contacts", **{"page[size]": "100"})
        caller.session.close()

    assert large.status_code == 504
    assert "took too long" in large.json()["errors"][0]["detail"]
    assert small.status_code == 200
