"""Sorting in the simulated IT Glue: by what the API allows, and by the last change above all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o365_etl.simulator import Estate, SimContact, SimOrganization, Simulator
from o365_etl.simulator.estate import FIRST_ORGANIZATION_ID
from tests.simulator.caller import Caller

NEWEST = {"sort": "-updated_at", "include": "adapters_resources"}


def ids(answer: Any) -> list[str]:
    """The ids in an answer."""
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


def write(caller: Caller, method: str, path: str, kind: str, **attributes: object) -> None:
    """One write that is taken."""
    answer = caller.session.request(
        method,
        f"{caller.simulator.itglue_url}{path}",
        json={"data": {"type": kind, "attributes": attributes}},
        headers={"x-api-key": caller.simulator.itglue_api_key, "Content-Type": "application/vnd.api+json"},
        timeout=10,
    )
    assert answer.status_code in (200, 201), answer.text


def test_a_write_moves_a_record_to_the_front(folder: Path) -> None:
    """Both spellings and both directions; a write that changes nothing moves nothing; only listed keys are taken."""
    estate = Estate.build(
        organizations=[SimOrganization("B", 72), SimOrganization("A", 73)],
        contacts=[SimContact(72, "C", "X", 501), SimContact(72, "A", "X", 502), SimContact(73, "B", "Y", 503)],
    )
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        write(caller, "PATCH", "/contacts/502", "contacts", title="CEO")
        write(caller, "PATCH", "/contacts/501", "contacts", first_name="C")
        assert ids(caller.itglue("/contacts", sort="-updated_at")) == ["502", "501", "503"]
        assert ids(caller.itglue("/contacts", sort="-updated-at")) == ["502", "501", "503"]
        assert ids(caller.itglue("/contacts", sort="updated_at")) == ["501", "503", "502"]
        assert ids(caller.itglue("/contacts", sort="last_name,-first_name")) == ["501", "502", "503"]
        write(caller, "PATCH", "/organizations/73", "organizations", short_name="a")
        assert ids(caller.itglue("/organizations", sort="-updated_at")) == ["73", "72"]
        assert ids(caller.itglue("/organizations", sort="name")) == ["73", "72"]
        assert caller.itglue("/contacts", sort="title").status_code == 400
        assert caller.itglue("/organizations", sort="-primary").status_code == 400
        caller.session.close()


@pytest.mark.parametrize("size", [7, 50])
def test_a_sized_estate_is_sorted_by_change_as_any_other(folder: Path, size: int) -> None:
    """From its blocks it answers as if every contact were an object, and stays as small as it was."""
    seen = []
    for is_unfolded in (False, True):
        estate = Estate.sized(3, 20)
        with Simulator(estate, folder=folder) as simulator:
            caller = Caller(simulator)
            if is_unfolded:
                estate.unfold_contacts()
            caller.itglue(f"/contacts/{FIRST_ORGANIZATION_ID}0000001")  # looked up, not changed
            write(caller, "PATCH", f"/contacts/{FIRST_ORGANIZATION_ID + 1}0000003", "contacts", title="CEO")
            write(caller, "POST", "/contacts", "contacts", first_name="New", organization_id=FIRST_ORGANIZATION_ID)
            pages = [
                caller.itglue("/contacts", **NEWEST, **{"page[size]": str(size), "page[number]": str(number)})
                for number in range(1, 54 // size + 2)
            ]
            caller.session.close()
            rows = [row for page in pages for row in page.json()["data"]]
            times = [row["attributes"]["updated-at"] for row in rows]
            assert times == sorted(times, reverse=True)
            assert rows[1]["attributes"]["title"] == "CEO"
            assert (estate.sized_contacts is None) is is_unfolded
            seen.append([row["id"] for row in rows])

    assert len(set(seen[0])) == 55
    assert seen[0] == seen[1]
