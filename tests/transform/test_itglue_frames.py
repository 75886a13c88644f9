"""IT Glue's pages as tables, in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.errors import LocalError, ProtocolError
from o365_etl.tables import TABLES
from o365_etl.transform.itglue import PAGES_PER_BATCH, itglue_frames


def document(
    *records: tuple[str | int, dict[str, Any]], included: list[Any] | None = None, **links: list[str]
) -> bytes:
    """One page; `links` names the adapter rows of record `id_<id>`."""
    data = [
        {
            "id": id_,
            "type": "x",
            "attributes": attributes,
            "relationships": {
                "adapters-resources": {
                    "data": [{"type": "adapters-resources", "id": link} for link in links.get(f"id_{id_}", [])]
                },
                "odd": {"data": {"id": 1}},
            },
        }
        for id_, attributes in records
    ]
    return json.dumps({"data": data, "included": included or [], "meta": {"total-count": len(data)}}).encode()


def tables(stream: str, *pages: bytes) -> dict[str, list[dict[str, Any]]]:
    """All rows of a stream by table, each batch in the schema of its contract."""
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in itglue_frames(stream, pages):
        for name, frame in batch.items():
            assert frame.schema == TABLES[name].arrow_schema()
            found.setdefault(name, []).extend(frame.to_pylist())
    return found


def adapter(id_: str, name: str | None, *, sync: bool) -> dict[str, Any]:
    return {"type": "adapters-resources", "id": id_, "attributes": {"adapter-type-name": name, "sync": sync}}


def test_contacts_with_their_addresses_and_phones() -> None:
    """Ids are text whichever way they come; addresses are normalised and stand once, the primary entry wins."""
    attributes = {
        "organization-id": 2,
        "first-name": "Anna",
        "last-name": "BERG",
        "title": "",
        "updated-at": "2016-09-12T19:10:26.000Z",
        "contact-emails": [
            {"value": "A@X.example", "primary": False, "label-name": "Home"},
            {"value": " a@x.example ", "primary": True, "label-name": "Work"},
            {"value": None},
            {"value": "b@x.example", "primary": None},
        ],
        "contact-phones": [
            {"value": 4155552156, "extension": 12, "primary": True, "label-name": "Work"},
            {"value": ""},
        ],
    }
    found = tables("contacts", document((72, attributes)))
    (contact,) = found["itglue.contacts"]
    assert (contact["contact_id"], contact["organization_id"], contact["name_key"]) == ("72", "2", "anna berg")
    assert (contact["title"], contact["updated_at"]) == (None, datetime(2016, 9, 12, 19, 10, 26, tzinfo=UTC))
    assert [(e["address"], e["is_primary"], e["label"]) for e in found["itglue.contact_emails"]] == [
        ("a@x.example", True, "Work"),
        ("b@x.example", False, None),
    ]
    (phone,) = found["itglue.contact_phones"]
    assert (phone["number"], phone["extension"], phone["is_primary"]) == ("4155552156", "12", True)


def test_an_owner_is_an_adapter_that_syncs() -> None:
    """A link that is switched off owns nothing; a nameless owner is one all the same; tags are no adapters."""
    included = [
        adapter("a", "Microsoft", sync=False),
        adapter("b", "Autotask", sync=True),
        adapter("c", None, sync=True),
        {"type": "tags", "id": "d", "attributes": {"resource-type-name": "Microsoft Licenses"}},
    ]
    page = document(
        ("1", {}),
        ("2", {}),
        ("3", {}),
        ("4", {}),
        included=included,
        id_1=["a"],
        id_2=["a", "b"],
        id_3=["c"],
        id_4=["d"],
    )
    found = tables("organizations", page)["itglue.organizations"]
    assert [row["sync_owner"] for row in found] == [None, "Autotask", "unknown", None]


def test_a_record_on_two_pages_counts_once() -> None:
    """Paging shifts when somebody deletes a record; across batches too."""
    pages = [
        document((str(n), {"name": f"o{n}"}), (str(n + 1), {"name": "shifted"})) for n in range(PAGES_PER_BATCH + 5)
    ]
    found = [row["organization_id"] for row in tables("organizations", *pages)["itglue.organizations"]]
    assert len(found) == len(set(found)) == PAGES_PER_BATCH + 6


def test_batches_take_pages_only_as_needed() -> None:
    """A million contacts never sit in memory: the first batch is out before the second is read."""
    taken = 0

    def pages() -> Iterator[bytes]:
        nonlocal taken
        for number in range(3 * PAGES_PER_BATCH):
            taken += 1
            yield document((number, {}))

    batches = itglue_frames("contacts", pages())
    next(batches)
    assert taken == PAGES_PER_BATCH
    assert sum(1 for _ in batches) == 2


STREAMS = (
    "organizations",
    "contacts",
    "locations",
    "asset_types",
    "license_assets",
    "user_assets",
    "contact_types",
    "countries",
    "regions",
)


@pytest.mark.parametrize("stream", STREAMS)
def test_an_empty_stream_gives_empty_tables(stream: str) -> None:
    """So that a certified empty answer replaces what was there."""
    assert all(rows == [] for rows in tables(stream).values())
    assert list(tables(stream)) == list(tables(stream, document()))


def test_locations_and_license_assets() -> None:
    """Figures may come as text; ids are compared in lower case."""
    place = {
        "organization-id": "2",
        "name": "HQ",
        "primary": True,
        "address-1": "Main St 1",
        "region-name": "Bern",
        "country-name": "Switzerland",
        "postal-code": 3000,
        "phone": "031",
    }
    (location,) = tables("locations", document((5, place)))["itglue.locations"]
    assert (location["address_1"], location["region"], location["postal_code"]) == ("Main St 1", "Bern", "3000")
    traits = {"tenant-id": "AB", "sku-id": "CD", "product-name": "E3", "active": 5, "consumed": "6", "unused": "?"}
    (asset,) = tables("license_assets", document((9, {"organization-id": 2, "traits": traits})))[
        "itglue.license_assets"
    ]
    assert (asset["tenant_id"], asset["sku_id"]) == ("ab", "cd")
    assert (asset["active"], asset["consumed"], asset["unused"]) == (5, 6, None)


def tag(*ids: object) -> dict[str, Any]:
    """A tag's value as IT Glue gives it."""
    values = [{"id": each, "name": "n", "resource-url": "https://x"} for each in ids]
    return {"type": "Contacts", "values": values}


def license_asset(**traits: object) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in traits.items()}
    (row,) = tables("license_assets", document((9, {"traits": named})))["itglue.license_assets"]
    return row


@pytest.mark.parametrize(
    ("contacts", "ids"),
    [
        (tag(10, 9, "100", 9), '["9","10","100"]'),
        (["10", 9], '["9","10"]'),
        (tag("x", 2), '["2","x"]'),
        (tag(), None),
        ([], None),
        (None, None),
        ({"type": "Contacts"}, None),
        ("odd", None),
    ],
)
def test_tagged_contacts_are_ids_in_order(contacts: object, ids: str | None) -> None:
    """By number, not by text; each once; NULL if there are none. In both kinds of assets."""
    assert license_asset(contacts=contacts)["contact_ids"] == ids
    (row,) = tables("user_assets", document((1, {"traits": {"contacts": contacts}})))["itglue.user_assets"]
    assert (row["contact_ids"], row["traits"]) == (ids, "{}")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01T00:00:00.000Z", "2026-03-01"),
        ("1 March", None),
        ("", None),
        (None, None),
    ],
)
def test_renewal_dates(text: str | None, day: str | None) -> None:
    """A day, whether or not a time comes with it; what is no day is unknown."""
    assert license_asset(renewal_date=text)["renewal_date"] == day


@pytest.mark.parametrize(("figure", "count"), [(5, 5), (5.0, 5), ("5", 5), (5.5, None), ("?", None), (True, None)])
def test_figures(figure: object, count: int | None) -> None:
    """Whole numbers in whatever form; anything else is unknown."""
    row = license_asset(active=figure, product_name="E3", contacts=tag(1))
    assert (row["active"], row["product_name"], row["contact_ids"]) == (count, "E3", '["1"]')


def test_user_assets() -> None:
    """Keys become columns, in lower case; all other traits stay as they came, sorted, tags as their ids."""
    traits = {
        "user-id": "AB-C",
        "tenant-id": "DEF",
        "contacts": tag(3),
        "zulu": 'naïve "x"',
        "licenses": tag(20, 3),
        "alpha": 1.5,
        "flag": False,
        "nothing": None,
        "upload": {"values": [{"url": "u"}], "type": "Upload"},
        "list": [2, 1],
    }
    page = document((8, {"organization-id": 2, "traits": traits, "updated-at": "2016-09-12T19:10:26.000Z"}))
    (row,) = tables("user_assets", page)["itglue.user_assets"]
    assert row == {
        "asset_id": "8",
        "organization_id": "2",
        "tenant_id": "def",
        "user_id": "ab-c",
        "contact_ids": '["3"]',
        "traits": '{"alpha":1.5,"flag":false,"licenses":["3","20"],"list":[2,1],"nothing":null,'
        '"upload":{"values":[{"url":"u"}],"type":"Upload"},"zulu":"naïve \\"x\\""}',
        "updated_at": datetime(2016, 9, 12, 19, 10, 26, tzinfo=UTC),
    }


def test_a_user_asset_without_traits() -> None:
    """Its keys and traits are unknown, and the row is there: it stands in IT Glue."""
    found = tables("user_assets", document((1, {"organization-id": 2}), (2, {"traits": {"user-id": None}})))
    assert [(row["user_id"], row["traits"]) for row in found["itglue.user_assets"]] == [(None, None), (None, "{}")]


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name not in ("user-id", "tenant-id", "contacts")),
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        max_size=5,
    )
)
def test_traits_come_back_as_they_are(traits: dict[str, object]) -> None:
    """Whatever a trait holds, its value is kept, under sorted keys."""
    (row,) = tables("user_assets", document((1, {"traits": traits})))["itglue.user_assets"]
    assert json.loads(row["traits"]) == traits
    assert list(json.loads(row["traits"])) == sorted(traits)


def test_types_countries_and_regions() -> None:
    """Names as they are, codes in upper case."""
    for stream, key in (("asset_types", "asset_type_id"), ("contact_types", "contact_type_id")):
        rows = tables(stream, document((5, {"name": "Former", "synced": False}), ("6", {"name": None})))
        assert rows == {f"itglue.{stream}": [{key: "5", "name": "Former"}, {key: "6", "name": None}]}
    countries = tables("countries", document((1, {"name": "Denmark", "iso": "dk"}), (2, {"name": "X", "iso": ""})))
    assert countries["itglue.countries"] == [
        {"country_id": "1", "name": "Denmark", "iso": "DK"},
        {"country_id": "2", "name": "X", "iso": None},
    ]
    regions = tables("regions", document((5, {"name": "Hovedstaden", "iso": 84, "country-id": 4})))
    assert regions["itglue.regions"] == [{"region_id": "5", "country_id": "4", "name": "Hovedstaden", "iso": "84"}]


def test_one_odd_field_loses_no_record() -> None:
    """A name that is a number, an attribute that is a list: unknown, and everything else stays."""
    found = tables("organizations", document((1, {"name": 7, "short-name": "A"}), (2, {"name": "B", "primary": "x"})))
    assert [(row["name"], row["short_name"]) for row in found["itglue.organizations"]] == [(None, "A"), ("B", None)]


def test_a_damaged_page_and_another_stream_are_errors_of_ours() -> None:
    """Never a traceback."""
    with pytest.raises(LocalError):
        tables("contacts", b"<html>")
    with pytest.raises(ProtocolError):
        tables("passwords")
