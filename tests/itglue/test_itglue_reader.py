"""Reading IT Glue into the landing zone: what is certified, what degrades alone, what fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_server import OddServer, refusal

from o365_etl.itglue import LICENSE_ASSET_TYPE, USER_ASSET_TYPE
from o365_etl.itglue.client import ItGlueClient
from o365_etl.itglue.reader import STREAMS, read_itglue
from o365_etl.receipts import Receipt
from o365_etl.simulator import (
    Fault,
    FaultPlan,
    ItGlueBehaviour,
    SimAdapter,
    SimFlexibleAsset,
    SimFlexibleAssetType,
    Simulator,
)
from o365_etl.simulator.transport import Request, Response
from o365_etl.store.landing import LandingZone

Connect = Callable[..., ItGlueClient]
Serve = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


def read(simulator: Simulator, connect: Connect, zone: LandingZone, read_id: str = "r1") -> dict[str, Receipt]:
    client = connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key)
    return {receipt.stream: receipt for receipt in read_itglue(client, zone, read_id)}


def ids(zone: LandingZone, stream: str) -> list[str]:
    return [each["id"] for body in zone.parts("itglue", stream, stream) for each in json.loads(body)["data"]]


def test_everything_is_read_and_certified(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """Every stream ends certified with its figures, each record is landed once, and no password was asked for."""
    simulator = simulate(organizations=1200, contacts=2100)
    receipts = read(simulator, connect, zone)

    assert tuple(receipts) == STREAMS
    assert {receipt.state for receipt in receipts.values()} == {"ok"}
    assert (receipts["contacts"].rows, receipts["contacts"].pages, receipts["contacts"].requests) == (2100, 3, 3)
    assert len(ids(zone, "contacts")) == len(set(ids(zone, "contacts"))) == 2100
    assert len(ids(zone, "organizations")) == receipts["organizations"].rows == 1200
    assert zone.receipt("itglue", "contacts") == receipts["contacts"]
    assert simulator.count(path_prefix="/passwords") == 0
    assert {record.method for record in simulator.requests} == {"GET"}


def test_owners_come_with_the_records(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """The integrations that own a record are landed with it."""
    simulator = simulate()
    simulator.estate.organizations[0].adapters.append(SimAdapter(sync=True))
    read(simulator, connect, zone)
    (page,) = zone.parts("itglue", "organizations", "organizations")

    assert [row["attributes"]["sync"] for row in json.loads(page)["included"]] == [True]


def test_refused_owners_degrade(serve: Serve, zone: LandingZone) -> None:
    """Where ownership cannot be asked for, the records are certified and the receipt says what is not known."""
    server = OddServer([1, 2, 3], refuses=("include",))
    receipts = {receipt.stream: receipt for receipt in read_itglue(serve(server.respond), zone, "r1")}

    assert (receipts["contacts"].state, receipts["contacts"].reason) == ("degraded", "owners_unknown")
    assert receipts["locations"].state == "ok"
    assert ids(zone, "contacts") == ["1", "2", "3"]


def test_our_assets_are_found_by_their_exact_types(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """Only assets of our own types are landed, each in its stream; the types are asked for once."""
    simulator = simulate()
    names = ["Microsoft Licenses", LICENSE_ASSET_TYPE, LICENSE_ASSET_TYPE + " old", USER_ASSET_TYPE]
    for number, name in enumerate(names, start=1):
        simulator.estate.flexible_asset_types.append(SimFlexibleAssetType(name, type_id=number))
        simulator.estate.flexible_assets.append(SimFlexibleAsset(100, number, {}, asset_id=50 + number))
    receipts = read(simulator, connect, zone)

    assert {receipt.state for receipt in receipts.values()} == {"ok"}
    assert ids(zone, "license_assets") == ["52"]
    assert ids(zone, "user_assets") == ["54"]
    assert ids(zone, "asset_types") == ["1", "2", "3", "4"]
    assert simulator.count(path_prefix="/flexible_asset_types") == 1
    assert simulator.count(path_prefix="/flexible_assets") == 2


def test_without_assets_the_streams_are_empty_and_certified(
    simulate: Simulate, connect: Connect, zone: LandingZone
) -> None:
    """Before the first asset was documented there is a certified read of nothing, which costs no request."""
    receipts = read(simulate(), connect, zone)

    for stream in ("license_assets", "user_assets"):
        assert (receipts[stream].state, receipts[stream].rows, receipts[stream].requests) == ("ok", 0, 0)
        assert list(zone.read("itglue", stream)) == []


def test_a_type_that_was_made_since_is_seen_by_the_next_read(
    simulate: Simulate, connect: Connect, zone: LandingZone
) -> None:
    """The assets follow the types of the same read, not those of an earlier one."""
    simulator = simulate()
    read(simulator, connect, zone, "r1")
    simulator.estate.flexible_asset_types.append(SimFlexibleAssetType(USER_ASSET_TYPE, type_id=9))
    simulator.estate.flexible_assets.append(SimFlexibleAsset(100, 9, {}, asset_id=77))
    read(simulator, connect, zone, "r2")

    assert ids(zone, "user_assets") == ["77"]


def test_what_planning_needs_is_read(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """Types of contacts, countries and regions are landed, one request each."""
    simulator = simulate()
    receipts = read(simulator, connect, zone)

    for stream in ("contact_types", "countries", "regions"):
        assert (receipts[stream].state, receipts[stream].requests) == ("ok", 1)
        assert len(ids(zone, stream)) == receipts[stream].rows > 0
    assert len(simulator.requests) == 7


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "forbidden"), (404, "unsupported"), (400, "unsupported"), (405, "unsupported")]
)
def test_an_optional_stream_degrades_alone(
    simulate: Simulate, connect: Connect, zone: LandingZone, status: int, reason: str
) -> None:
    """What is not to be had is said so, assets together with their types; all else is read."""
    paths = ("/locations", "/flexible_asset_types", "/contact_types", "/countries", "/regions")
    refused = [Fault("itglue", "status", path=path, status=status) for path in paths]
    receipts = read(simulate(faults=FaultPlan(refused)), connect, zone)

    for stream in STREAMS[2:]:
        assert (receipts[stream].state, receipts[stream].reason) == ("degraded", reason)
        assert receipts[stream].remedy
    assert receipts["organizations"].state == receipts["contacts"].state == "ok"


def test_assets_share_the_fate_of_their_types(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """Types that cannot be read now leave the assets of the last read in force."""
    simulator = simulate()
    simulator.estate.flexible_asset_types.append(SimFlexibleAssetType(USER_ASSET_TYPE, type_id=9))
    simulator.estate.flexible_assets.append(SimFlexibleAsset(100, 9, {}, asset_id=77))
    read(simulator, connect, zone, "r1")
    simulator.faults.add(Fault("itglue", "status", path="/flexible_asset_types", status=500))
    receipts = read(simulator, connect, zone, "r2")

    for stream in ("asset_types", "license_assets", "user_assets"):
        assert (receipts[stream].state, receipts[stream].error_code) == ("failed", "bad_answer")
        certified = zone.receipt("itglue", stream)
        assert certified is not None
        assert certified.read_id == "r1"
    assert ids(zone, "user_assets") == ["77"]
    assert receipts["contacts"].state == "ok"


def test_a_stream_that_fails_keeps_its_rows(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """Contacts that cannot be read to their end are not certified; the last certified read stays in force."""
    simulator = simulate(contacts=2100)
    read(simulator, connect, zone, "r1")
    simulator.faults.add(Fault("itglue", "status", path=r"/contacts.*number]=2", status=500))
    receipts = read(simulator, connect, zone, "r2")

    assert (receipts["contacts"].state, receipts["contacts"].error_code) == ("failed", "bad_answer")
    assert receipts["organizations"].state == "ok"
    assert len(ids(zone, "contacts")) == 2100
    certified, last = zone.receipt("itglue", "contacts"), zone.last_attempt("itglue", "contacts")
    assert certified is not None
    assert last is not None
    assert (certified.read_id, last.read_id) == ("r1", "r2")


def test_a_refused_key_empties_nothing(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """With a wrong key every stream fails, the optional ones too: a refusal is then no news about them."""
    simulator = simulate(contacts=5)
    read(simulator, connect, zone, "r1")
    client = connect(simulator.itglue_url, simulator.ca_bundle, "ITG.wrong")
    simulator.reset_log()
    receipts = read_itglue(client, zone, "r2")

    assert [(receipt.stream, receipt.state, receipt.error_code) for receipt in receipts] == [
        (stream, "failed", "itglue_key") for stream in STREAMS
    ]
    assert len(simulator.requests) == 1
    assert all(zone.receipt("itglue", stream).read_id == "r1" for stream in STREAMS)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [500, 504])
def test_large_pages_that_time_out(simulate: Simulate, connect: Connect, zone: LandingZone, status: int) -> None:
    """An account whose large pages time out is read in smaller ones, each record once."""
    simulator = simulate(contacts=600, itglue=ItGlueBehaviour(timeout_above=100, timeout_status=status))
    receipts = read(simulator, connect, zone)

    assert receipts["contacts"].state == "ok"
    assert len(ids(zone, "contacts")) == len(set(ids(zone, "contacts"))) == 600


def test_the_published_rate_limit_is_lived_with(simulate: Simulate, connect: Connect, zone: LandingZone) -> None:
    """An account that throttles is read to the end."""
    simulator = simulate(contacts=3000, faults=FaultPlan([Fault("itglue", "throttle", every=2, retry_after="1")]))

    assert {receipt.state for receipt in read(simulator, connect, zone).values()} == {"ok"}
    assert len(ids(zone, "contacts")) == 3000


def test_a_crawl_with_a_gap_is_repeated_once(serve: Serve, zone: LandingZone) -> None:
    """Records missing at the end make the crawl start over; missing again, the stream fails as `incomplete`."""
    gaps = {"contacts": 1, "organizations": 0, "locations": 9}

    def respond(request: Request) -> Response:
        name = request.path.strip("/")
        if name == "flexible_asset_types":
            return refusal(404, "no such endpoint")
        server = OddServer([1, 2, 3])
        if gaps.get(name, 0) > 0:
            gaps[name] -= 1
            server.meta = lambda meta: meta | {"total-count": 4}
        return server.respond(request)

    receipts = {receipt.stream: receipt for receipt in read_itglue(serve(respond), zone, "r1")}

    assert (receipts["contacts"].state, receipts["contacts"].requests) == ("ok", 2)
    assert ids(zone, "contacts") == ["1", "2", "3"]
    assert (receipts["locations"].state, receipts["locations"].error_code) == ("failed", "incomplete")
    assert receipts["locations"].requests == 2
