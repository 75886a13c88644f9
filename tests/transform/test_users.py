"""Users, their addresses and their licenses, from landed pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landed import ANNA, BO, E3, STREAMS, TENANT, frames, page, rows, user

from o365_etl.errors import LocalError


def only_user(**fields: Any) -> dict[str, Any]:
    (row,) = rows(frames([user(**fields)]), "m365.users")
    return row


def addresses(**fields: Any) -> dict[str, str]:
    return {row["address"]: row["kind"] for row in rows(frames([user(**fields)]), "m365.user_addresses")}


def test_each_address_stands_once_under_its_strongest_kind() -> None:
    """primary before alias before user name before otherMails; other kinds of proxies are none."""
    found = addresses(
        upn="Anna@X.example",
        mail="anna@x.example",
        proxyAddresses=[
            "smtp:alias@x.example",
            "SMTP:Anna@x.example",
            "smtp:ALIAS@x.example",
            "SIP:s@x.example",
            "X500:o",
        ],
        otherMails=["alias@x.example", "Private@home.example"],
    )
    assert found == {"anna@x.example": "primary", "alias@x.example": "alias", "private@home.example": "other"}


def test_the_smtp_address_beats_mail() -> None:
    """Where both differ, the main SMTP address is primary and mail an alias; without one, mail is primary."""
    assert addresses(upn="u@x.ex", mail="m@x.ex", proxyAddresses=["SMTP:p@x.ex"]) == {
        "p@x.ex": "primary",
        "m@x.ex": "alias",
        "u@x.ex": "upn",
    }
    assert addresses(upn="u@x.ex", mail="M@x.ex") == {"m@x.ex": "primary", "u@x.ex": "upn"}


@pytest.mark.parametrize(
    ("fields", "guest"),
    [
        ({"userType": "Guest"}, True),
        ({"userType": "guest"}, True),
        ({"upn": "a_home.example#EXT#@x.onmicrosoft.com"}, True),
        ({"upn": "a_home.example#ext#@x.onmicrosoft.com", "userType": "Member"}, True),
        ({"userType": None}, False),
        ({"userType": "Cyborg"}, False),
    ],
)
def test_guests_by_type_or_mark(fields: dict[str, Any], guest: bool) -> None:
    """An external member is a guest too; a type that did not exist when this was written is kept and is none."""
    assert only_user(**fields)["is_guest"] is guest


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ({"lastSignInDateTime": "2026-01-02T03:04:05Z"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"lastSignInDateTime": "2026-01-02T03:04:05.1234567Z"}, datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ({"lastSignInDateTime": "2026-01-02T05:04:05+02:00"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"lastSignInDateTime": "0001-01-01T00:00:00Z"}, None),
        ({"lastSignInDateTime": ""}, None),
        ({"lastSignInDateTime": "yesterday"}, None),
        ({"lastSignInDateTime": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_sign_in_that_never_was_is_null(activity: dict[str, Any] | None, expected: datetime | None) -> None:
    """Empty text, the year 1 and an absent property all mean: never."""
    made = frames([user()], sign_ins=[page({"id": ANNA.upper(), "signInActivity": activity})])
    assert rows(made, "m365.users")[0]["last_sign_in_at"] == expected


def test_sign_ins_that_were_never_read_are_unknown() -> None:
    """Without a certified stream the column is NULL."""
    made = frames([user()], certified=STREAMS - {"sign_ins"}, sign_ins=[page()])
    assert rows(made, "m365.users")[0]["last_sign_in_at"] is None


def test_assignments_direct_by_group_and_without_state() -> None:
    """One product assigned twice has two rows; a product without any state counts as assigned directly."""
    group = "cccccccc-0000-4000-8000-000000000001"
    made = frames(
        [
            user(
                assignedLicenses=[{"skuId": E3.upper()}, {"skuId": "d0000000-0000-4000-8000-000000000001"}],
                licenseAssignmentStates=[
                    {"skuId": E3, "assignedByGroup": None, "state": "Error", "error": "Other"},
                    {"skuId": E3, "assignedByGroup": None, "state": "Active", "error": "None"},
                    {
                        "skuId": E3,
                        "assignedByGroup": group.upper(),
                        "state": "ActiveWithError",
                        "error": "CountViolation",
                    },
                ],
            )
        ]
    )
    found = {
        (row["product_name"], row["assigned_by"]): (row["state"], row["error"])
        for row in rows(made, "m365.license_assignments")
    }
    assert found == {
        ("Microsoft 365 E3", "direct"): ("Active", None),
        ("Microsoft 365 E3", group): ("ActiveWithError", "CountViolation"),
        ("d0000000-0000-4000-8000-000000000001", "direct"): (None, None),
    }


def test_a_user_that_comes_twice_counts_as_it_came_last() -> None:
    """Pages may repeat a user while the directory changes."""
    made = frames(user_pages=[page(user(jobTitle="old"), user(BO, "bo@x.ex")), page(user(jobTitle="new"))])
    assert {row["user_id"]: row["job_title"] for row in rows(made, "m365.users")} == {ANNA: "new", BO: None}


AWKWARD = [
    "x" * 400,
    "آنا \u202eabc",
    "<b>Bold & Co</b>",
    "Robert'); DROP TABLE users;--",
    '=HYPERLINK("https://evil.example")',
    "tab\tnul\x00bell\x07",
    "  blanks  ",
    "🙂",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_survive_as_data(name: str) -> None:
    """Whatever people are called is stored as it came."""
    row = only_user(displayName=name, givenName=name, surname=name)
    assert (row["display_name"], row["given_name"], row["surname"]) == (name, name, name)


def test_a_user_without_names_or_anything_else() -> None:
    """Absent and null are the same: unknown, and the row is there."""
    made = frames([{"id": ANNA}, {"id": BO, **dict.fromkeys(["userPrincipalName", "displayName", "mail"])}])
    for row in rows(made, "m365.users"):
        told = {name for name, value in row.items() if value not in (None, False)}
        assert told == {"tenant_id", "user_id", "manage_url", "out_of_scope_reason"}
        assert row["account_enabled"] is None
    assert rows(made, "m365.user_addresses") == []


def test_one_odd_field_loses_neither_the_row_nor_its_page() -> None:
    """A field of the wrong type is unknown; the rest of the user and of the page stay."""
    odd = user(
        jobTitle=["Clerk"],
        accountEnabled="yes",
        proxyAddresses=["SMTP:anna@x.example", 5],
        assignedLicenses=[{"skuId": E3}, "E5", {"skuId": 7}],
        department="Sales",
    )
    made = frames(user_pages=[page(odd, "no user", {"id": 5}, user(BO, "bo@x.example"))])
    anna, bo = rows(made, "m365.users")
    assert (anna["job_title"], anna["account_enabled"], anna["department"]) == (None, None, "Sales")
    assert (anna["is_licensed"], bo["user_id"]) == (True, BO)
    assert rows(made, "m365.license_assignments")[0]["sku_id"] == E3


def test_half_a_surrogate_pair_becomes_a_mark() -> None:
    """Text that cannot be stored is replaced where it is broken, and nothing else is lost."""
    body = page(user(displayName="@", surname="Berg")).replace(b'"@"', rb'"a\ud83d b"')
    (row,) = rows(frames(user_pages=[body]), "m365.users")
    assert row["surname"] == "Berg"
    assert row["display_name"].startswith("a")


def test_a_damaged_page_is_an_error_of_ours() -> None:
    """Landed bytes that are no JSON stop the tenant with a remedy, not with a traceback."""
    with pytest.raises(LocalError) as caught:
        frames(user_pages=[b'{"value": [{"id"'])
    assert caught.value.code == "damaged"


def test_links_lead_only_where_an_id_is_an_id() -> None:
    """The link holds tenant and user; an id of another form bends no address; each cloud has its own."""
    assert only_user()["manage_url"] == (
        f"https://entra.microsoft.com/{TENANT}/#view/Microsoft_AAD_UsersAndTenants/UserProfileMenuBlade"
        f"/~/overview/userId/{ANNA}"
    )
    assert only_user(id_="../../evil")["manage_url"] is None
    assert rows(frames(cloud="usgov"), "m365.tenants")[0]["manage_url"] == f"https://entra.microsoft.us/{TENANT}"
    assert rows(frames(organization={"id": "../x"}), "m365.tenants")[0]["manage_url"] is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "userPrincipalName",
        "displayName",
        "mail",
        "proxyAddresses",
        "otherMails",
        "accountEnabled",
        "assignedLicenses",
        "businessPhones",
        "licenseAssignmentStates",
        "assignedPlans",
        "createdDateTime",
        "userType",
        "onPremisesSyncEnabled",
        "surname",
    ]
)


@given(st.lists(st.dictionaries(FIELDS, JSON), max_size=4))
def test_no_answer_loses_a_user(users: list[dict[str, Any]]) -> None:
    """Whatever nonsense stands in the fields, every user with an id has his row."""
    made = frames([{**fields, "id": f"id{number}"} for number, fields in enumerate(users)])
    assert [row["user_id"] for row in rows(made, "m365.users")] == [f"id{number}" for number in range(len(users))]
    assert json.dumps(rows(made, "m365.user_addresses"))
