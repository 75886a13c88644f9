"""Every field of both sides, and how it compares."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o365_etl.errors import LocalError
from o365_etl.normalise import normalise
from o365_etl.store import relate
from o365_etl.store.history import write_history
from o365_etl.store.warehouse import Db, Warehouse
from o365_etl.tables import HISTORY, TABLES

ORG = "100"
Fill = Callable[..., None]
MATCHED = {"tenant_id": "t", "status": "matched", "organization_id": ORG}
TENANT = {"tenant_id": "t", "display_name": "Contoso", "name_key": "contoso", "connection": "main"}
USER = {"tenant_id": "t", "user_id": "u", "user_principal_name": "Anna@X.example", "is_guest": False}
CONTACT = {"contact_id": "1", "organization_id": ORG}
LOCATION = {"location_id": "5", "organization_id": ORG, "name": "Contoso", "is_primary": False}


def person(fill: Fill, db: Db, user: dict[str, Any], contact: dict[str, Any], **more: list[Any]) -> dict[str, Any]:
    """Compares one user with one contact: field → (m365, itglue, state)."""
    addresses = [
        {"tenant_id": "t", "user_id": "u", "address": a, "kind": kind} for a, kind in more.get("addresses", [])
    ]
    emails = [
        {"contact_id": "1", "organization_id": ORG, "address": a, "is_primary": primary}
        for a, primary in more.get("emails", [])
    ]
    phones = [
        {"contact_id": "1", "number": number, "label": label, "is_primary": primary}
        for number, label, primary in more.get("phones", [])
    ]
    fill(
        {
            "m365.users": [USER | user],
            "m365.user_addresses": addresses,
            "match.contacts": [MATCHED | {"user_id": "u", "contact_id": "1"}],
            "itglue.contacts": [CONTACT | contact],
            "itglue.contact_emails": emails,
            "itglue.contact_phones": phones,
        }
    )
    relate.compare(db, ["t"], [])
    return {r[0]: r[1:] for r in db.rows("SELECT field, m365_value, itglue_value, state FROM compare.contacts")}


STATES = [
    ("Anna", "Anna", "equal"),
    ("Anna", " ANNA ", "equal"),
    ("Anna  Lena", "anna lena", "equal"),
    ("Zoë", "zoë", "equal"),
    ("Zoë", "Zoe", "different"),
    ("Straße", "STRASSE", "equal"),
    (None, None, "equal"),
    ("", "  ", "equal"),
    ("Anna", None, "only_m365"),
    (None, "Anna", "only_itglue"),
    ("Anna", "Bo", "different"),
    ("=HYPERLINK(1)", "<b>x</b>", "different"),
    ("Robert'); DROP TABLE users;--", "robert'); drop table users;--", "equal"),
    ("آنا", "آنا", "equal"),
    ("x" * 400, "X" * 400, "equal"),
]


@pytest.mark.parametrize(("left", "right", "state"), STATES)
def test_text_compares_normalised(db: Db, fill: Fill, left: str | None, right: str | None, state: str) -> None:
    """Case, blanks and compatibility forms do not count, diacritics do, empty is NULL."""
    fields = person(fill, db, {"given_name": left}, {"first_name": right})
    assert fields["first_name"] == (
        left if left and left.strip() else None,
        right if right and right.strip() else None,
        state,
    )


def test_every_matched_user_has_every_field(db: Db, fill: Fill) -> None:
    """A pair with nothing in it still has one row a field, so that a missing row never means equal."""
    fields = person(fill, db, {}, {})
    declared = next(c.values for c in TABLES["compare.contacts"].columns if c.name == "field")
    assert set(fields) == set(declared)
    assert fields["last_name"] == (None, None, "equal")


def test_e_mails_compare_as_sets_without_other_mails(db: Db, fill: Fill) -> None:
    """Order does not count, and the user's private address is nobody's business."""
    fields = person(
        fill,
        db,
        {},
        {},
        addresses=[("b@x.example", "alias"), ("a@x.example", "primary"), ("me@home.example", "other")],
        emails=[("b@x.example", False), ("a@x.example", True)],
    )
    assert fields["email_addresses"] == ("a@x.example, b@x.example", "a@x.example, b@x.example", "equal")
    assert fields["primary_email"] == ("Anna@X.example", "a@x.example", "different")


def test_the_only_e_mail_is_the_primary_one(db: Db, fill: Fill) -> None:
    """A single address counts as primary even if nobody marked it."""
    assert person(fill, db, {}, {}, emails=[("anna@x.example", False)])["primary_email"][2] == "equal"


def test_phones_compare_by_digits_and_label(db: Db, fill: Fill) -> None:
    """Mobile meets mobile, the office number the first that is neither mobile nor fax, punctuation counts nothing."""
    fields = person(
        fill,
        db,
        {"business_phone": "+1 (555) 01-02", "mobile_phone": "+1 777"},
        {},
        phones=[("1 999", "Fax", True), ("15550102", "Work", False), ("1777", "Cell phone", False)],
    )
    assert fields["phone"] == ("+1 (555) 01-02", "15550102", "equal")
    assert fields["mobile_phone"] == ("+1 777", "1777", "equal")


def test_a_phone_without_digits_compares_as_text(db: Db, fill: Fill) -> None:
    """Two different remarks in the phone field are not equal because both have no digits."""
    fields = person(fill, db, {"business_phone": "ask Bo"}, {}, phones=[("none", "Work", True)])
    assert fields["phone"][2] == "different"


def organization(fill: Fill, db: Db, tenant: dict[str, Any], places: list[dict[str, Any]], **known: bool) -> Any:
    """Compares the tenant with its organization: field → (m365, itglue, state)."""
    fill(
        {
            "m365.tenants": [TENANT | tenant],
            "match.organizations": [MATCHED],
            "itglue.organizations": [{"organization_id": ORG, "name": "CONTOSO"}],
            "itglue.locations": [LOCATION | place for place in places],
        }
    )
    relate.compare(db, ["t"], [], known)
    return {r[0]: r[1:] for r in db.rows("SELECT field, m365_value, itglue_value, state FROM compare.organizations")}


def test_the_location_named_like_the_tenant_wins(db: Db, fill: Fill) -> None:
    """Named alike beats primary, primary beats the rest."""
    places = [
        {"location_id": "1", "name": "Depot", "city": "Bern"},
        {"location_id": "2", "name": "Head office", "city": "Basel", "is_primary": True},
        {"location_id": "3", "name": "contoso", "city": "Zug"},
    ]
    assert organization(fill, db, {"city": "Zug"}, places)["city"] == ("Zug", "Zug", "equal")
    assert organization(fill, db, {"city": "Zug"}, places[:2])["city"] == ("Zug", "Basel", "different")
    assert organization(fill, db, {"city": "Zug"}, places[:1])["city"] == ("Zug", "Bern", "different")


def test_without_a_location_only_microsoft_has_an_address(db: Db, fill: Fill) -> None:
    """No location at all is a fact, and the name needs none."""
    fields = organization(fill, db, {"city": "Zug"}, [])
    assert fields["city"] == ("Zug", None, "only_m365")
    assert fields["name"] == ("Contoso", "CONTOSO", "equal")
    assert fields["phone"] == (None, None, "equal")


def test_open_or_unread_locations_are_unknown(db: Db, fill: Fill) -> None:
    """Several locations without a mark, or none read, say nothing: not equal, not missing."""
    two = [{"location_id": n, "name": f"Depot {n}", "city": "Bern"} for n in "12"]
    assert organization(fill, db, {"city": "Bern"}, two)["city"] == ("Bern", None, "unknown")
    assert organization(fill, db, {"city": "Bern"}, [], locations=False)["city"] == ("Bern", None, "unknown")
    assert organization(fill, db, {"city": "Bern"}, [], locations=False)["name"][2] == "equal"


@pytest.mark.parametrize(("country", "state"), [("Switzerland", "equal"), ("ch", "equal"), ("France", "different")])
def test_a_country_is_equal_by_name_or_code(db: Db, fill: Fill, country: str, state: str) -> None:
    """IT Glue may hold the name or the code."""
    tenant = {"country": "Switzerland", "country_code": "CH"}
    assert organization(fill, db, tenant, [{"country": country}])["country"][2] == state


def licenses(fill: Fill, db: Db, held: list[dict[str, Any]], assets: list[dict[str, Any]], **more: Any) -> Any:
    """Compares the tenant's licenses with the assets: (sku, field) → (m365, itglue, state)."""
    fill(
        {
            "m365.tenants": [TENANT],
            "match.organizations": [MATCHED],
            "itglue.organizations": [{"organization_id": ORG, "name": "Contoso"}],
            "m365.licenses": [{"tenant_id": "t", **row} for row in held],
            "itglue.license_assets": [{"tenant_id": "t", "organization_id": ORG, **row} for row in assets],
        }
    )
    relate.compare(db, ["t"], more.get("connections", ["main"]), more.get("known"))
    rows = db.rows("SELECT sku_id, field, m365_value, itglue_value, state FROM compare.licenses")
    return {row[:2]: row[2:] for row in rows}


def test_licenses_compare_field_by_field(db: Db, fill: Fill) -> None:
    """Each product of either side, numbers as text."""
    fields = licenses(
        fill,
        db,
        [{"sku_id": "a", "product_name": "E3", "active": 5, "consumed": 6, "unused": -1}],
        [
            {"asset_id": "9", "sku_id": "a", "product_name": "e3", "active": 5, "consumed": 4, "unused": 1},
            {"asset_id": "10", "sku_id": "a", "product_name": "a second asset"},
            {"asset_id": "11", "sku_id": "b", "product_name": "E1"},
        ],
    )
    assert fields["a", "product_name"] == ("E3", "e3", "equal")
    assert fields["a", "active"] == ("5", "5", "equal")
    assert fields["a", "unused"] == ("-1", "1", "different")
    assert fields["a", "status"] == (None, None, "equal")
    assert fields["b", "product_name"] == (None, "E1", "only_itglue")
    assert len(fields) == 10


def test_licenses_that_were_not_read_are_unknown(db: Db, fill: Fill) -> None:
    """Neither a tenant without one known product nor unread assets make a difference."""
    asset = [{"asset_id": "9", "sku_id": "a", "product_name": "E3"}]
    assert licenses(fill, db, [], asset)["a", "product_name"] == (None, "E3", "unknown")
    held = [{"sku_id": "a", "product_name": "E3"}]
    assert licenses(fill, db, held, [], known={"license_assets": False})["a", "product_name"][2] == "unknown"


def test_licenses_are_compared_only_where_they_are_documented(db: Db, fill: Fill) -> None:
    """A connection whose Licenses box is off has no rows."""
    assert licenses(fill, db, [{"sku_id": "a"}], [], connections=["other"]) == {}


def test_too_little_memory_is_said_as_such(tmp_path: Path) -> None:
    """The error that stopped the comparison arrives, not one from putting a setting back after it."""
    warehouse = Warehouse(tmp_path, memory_limit="400MB")
    rows = 60_000
    with warehouse.connect({"normalise": normalise}) as db:
        db.execute(
            "INSERT INTO m365.users BY NAME SELECT 't' AS tenant_id, 'u' || u AS user_id, repeat('x', 2000) || u"
            " AS user_principal_name, repeat('y', 2000) || u AS job_title FROM range(?) r(u)",
            [rows],
        )
        db.execute(
            "INSERT INTO itglue.contacts BY NAME SELECT 'c' || u AS contact_id, repeat('z', 2000) || u AS title"
            " FROM range(?) r(u)",
            [rows],
        )
        db.execute(
            "INSERT INTO \"match\".contacts BY NAME SELECT 't' AS tenant_id, 'u' || u AS user_id,"
            " 'c' || u AS contact_id, 'matched' AS status FROM range(?) r(u)",
            [rows],
        )
    with (
        pytest.raises(LocalError, match="memory"),
        Warehouse(tmp_path, memory_limit="30MB").connect({"normalise": normalise}) as db,
    ):
        relate.compare(db, ["t"], [])


def test_compare_leaves_other_tenants_alone(db: Db, fill: Fill) -> None:
    """Rows of a tenant that is not fresh stay."""
    rows_of = "SELECT DISTINCT tenant_id FROM compare.contacts"
    fill({})
    db.execute("INSERT INTO work.contact_sides (tenant_id, user_id) VALUES ('stale', 'u'), ('t', 'u')")
    assert set(db.rows(rows_of)) == {("stale",), ("t",)}
    relate.compare(db, ["t"], [])
    assert db.rows(rows_of) == [("stale",)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=12), min_size=1, max_size=50))
@example(["\x1c", "\t a\x0b b ", "  ", "\x85", "\u2003x", "İ", "\x00a", "a\x1fb", "a\x7fb"])
def test_sql_normalises_as_python_does(db: Db, texts: list[str]) -> None:
    """The folding that DuckDB does itself cannot be told from `normalise`."""
    db.run_file("comparable")
    rows = db.rows("SELECT t, comparable(t) FROM (SELECT unnest(?::VARCHAR[]) AS t)", [texts])
    assert [row[1] for row in rows] == [normalise(row[0]) for row in rows]


def versions(db: Db, table: str = "history.users") -> list[tuple[Any, ...]]:
    return db.rows(f"SELECT user_id, job_title, valid_from, valid_to FROM {table} ORDER BY user_id, valid_from")


def test_history_opens_and_closes_versions(db: Db, fill: Fill) -> None:
    """One version a change; a vanished row is closed; a sign-in alone is no change; NULL and empty text differ."""
    one, two, three = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    tables = ["history.users"]
    start = [USER | {"job_title": "Clerk"}, USER | {"user_id": "v", "job_title": None}]
    fill({"m365.users": start, **{name: [] for name in HISTORY}})
    assert write_history(db, one, ["t"])["history.users"] == 2
    db.execute("UPDATE m365.users SET last_sign_in_at = now()")
    assert write_history(db, two, ["t"])["history.users"] == 0
    db.execute("UPDATE m365.users SET job_title = 'Boss' WHERE user_id = 'u'")
    db.execute("DELETE FROM m365.users WHERE user_id = 'v'")
    assert write_history(db, three, ["t"])["history.users"] == 1
    assert versions(db, *tables) == [
        ("u", "Clerk", one, three),
        ("u", "Boss", three, None),
        ("v", None, one, three),
    ]


def test_history_of_a_stale_tenant_stays_open(db: Db, fill: Fill) -> None:
    """A tenant that was not read closes nothing: absent is not gone."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fill({"m365.users": [USER], **{name: [] for name in HISTORY}})
    write_history(db, at, ["t"])
    db.execute("DELETE FROM m365.users")
    write_history(db, datetime(2026, 1, 2, tzinfo=UTC), ["another"])
    assert versions(db) == [("u", None, at, None)]
