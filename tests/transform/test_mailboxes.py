"""The usage report in all its variants, and what is said where there is none."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from landed import ANNA, BO, EXCHANGE, STREAMS, frames, page, rows, user

FULL = [
    "Report Refresh Date",
    "User Principal Name",
    "Display Name",
    "Is Deleted",
    "Deleted Date",
    "Created Date",
    "Last Activity Date",
    "Item Count",
    "Storage Used (Byte)",
    "Issue Warning Quota (Byte)",
    "Prohibit Send Quota (Byte)",
    "Prohibit Send/Receive Quota (Byte)",
    "Deleted Item Count",
    "Deleted Item Size (Byte)",
    "Deleted Item Quota (Byte)",
    "Has Archive",
    "Report Period",
]
ROW = {
    "Report Refresh Date": "2026-01-02",
    "User Principal Name": "Anna@X.example",
    "Display Name": "Anna Berg",
    "Is Deleted": "False",
    "Last Activity Date": "2026-01-01",
    "Item Count": "7",
    "Storage Used (Byte)": "18523759645",
    "Prohibit Send Quota (Byte)": "106300440576",
    "Has Archive": "True",
    "Report Period": "7",
}
LICENSED = user(assignedPlans=[EXCHANGE], displayName="Anna B.")


def report(*changes: dict[str, str], names: list[str] = FULL) -> bytes:
    lines = [",".join(names)] + [",".join({**ROW, **change}.get(name, "") for name in names) for change in changes]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def mailboxes(csv: bytes | None, *, users: list[Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    more["usage_csv"] = [csv] if csv is not None else []
    return rows(frames([LICENSED] if users is None else users, **more), "m365.mailboxes")


@pytest.mark.parametrize(
    "names",
    [
        FULL,
        FULL[:-1],
        FULL[:14] + FULL[16:],
        FULL[::-1],
        ["Shiny New Column", *FULL],
        [f" {name.upper()} " for name in FULL],
    ],
    ids=["17 columns", "16 columns", "15 columns", "another order", "an extra column", "another spelling"],
)
def test_the_report_is_read_by_header_name(names: list[str]) -> None:
    """Columns drift; their names say what they are."""
    csv = report({}, names=names)
    if names[0].startswith(" "):
        csv = report({}).replace(",".join(FULL).encode(), ",".join(names).encode())
    (row,) = mailboxes(csv)
    assert row["user_id"] == ANNA
    assert row["user_principal_name"] == "anna@x.example"
    assert (row["storage_used_bytes"], row["prohibit_send_quota_bytes"]) == (18523759645, 106300440576)
    assert (row["item_count"], row["last_activity_date"]) == (7, date(2026, 1, 1))
    assert row["report_refresh_date"] == date(2026, 1, 2)
    assert row["has_archive"] is (True if any("Archive" in n or "ARCHIVE" in n for n in names) else None)
    assert (row["is_deleted"], row["unknown_reason"]) == (False, None)


@pytest.mark.parametrize(
    "csv",
    [
        b"",
        b"<html>Sorry</html>",
        report({}).replace(b"Storage Used (Byte)", b"Storage Used (GB)"),
        b'\xff\xfe{"value": []}',
    ],
    ids=["empty", "html", "a header missing", "binary"],
)
def test_another_report_is_unknown_and_never_zero(csv: bytes) -> None:
    """A report that is not understood leaves every figure NULL, with the reason."""
    (row,) = mailboxes(csv)
    assert (row["unknown_reason"], row["storage_used_bytes"], row["item_count"]) == ("unsupported", None, None)


def test_empty_and_broken_figures_are_null() -> None:
    """An empty cell is no zero, and a short line loses no mailbox."""
    (row,) = mailboxes(report({"Item Count": "", "Storage Used (Byte)": "n/a", "Last Activity Date": ""}))
    assert (row["item_count"], row["storage_used_bytes"], row["last_activity_date"]) == (None, None, None)
    (row,) = mailboxes(",".join(FULL).encode() + b"\n2026-01-02,anna@x.example,Anna")
    assert (row["user_id"], row["is_deleted"], row["item_count"]) == (ANNA, None, None)


@pytest.mark.parametrize("order", [1, -1])
def test_a_live_mailbox_beats_a_deleted_one_of_the_same_name(order: int) -> None:
    """Deleted mailboxes linger in the report under a name that was given again."""
    both = [{"Is Deleted": "True", "Item Count": "1"}, {"Item Count": "2", "User Principal Name": "ANNA@x.example"}]
    (row,) = mailboxes(report(*both[::order]))
    assert (row["is_deleted"], row["item_count"]) == (False, 2)


def test_a_mailbox_of_nobody_is_kept() -> None:
    """Shared and deleted mailboxes whose user is gone have a row without a user."""
    found = mailboxes(report({}, {"User Principal Name": "gone@x.example"}))
    assert [(row["user_principal_name"], row["user_id"]) for row in found] == [
        ("anna@x.example", ANNA),
        ("gone@x.example", None),
    ]


HIDDEN = {"User Principal Name": "22C5B5A0E3BB38EA4BB5B8CCEEEEA51D"}


@pytest.mark.parametrize(
    ("csv", "reason", "expected"),
    [
        (report(HIDDEN), None, "concealed"),
        (report({}), "concealed", "concealed"),
        (None, "forbidden", "forbidden"),
        (None, "unsupported", "unsupported"),
        (None, None, "unsupported"),
        (report({"User Principal Name": "bo@x.example"}), None, "not_in_report"),
        (report(), None, "not_in_report"),
    ],
)
def test_why_figures_are_unknown(csv: bytes | None, reason: str | None, expected: str) -> None:
    """One row per user with an Exchange plan, under the name he has, figures NULL, and the reason."""
    found = {row["user_id"]: row for row in mailboxes(csv, reasons={"mailboxes": reason})}
    row = found[ANNA]
    assert row["unknown_reason"] == expected
    assert (row["user_principal_name"], row["display_name"]) == ("anna@x.example", "Anna B.")
    figures = ["storage_used_bytes", "item_count", "prohibit_send_quota_bytes", "is_deleted", "has_archive"]
    assert [row[name] for name in figures] == [None] * 5


def test_a_single_odd_name_does_not_conceal_a_report() -> None:
    """Concealed means nearly all of it."""
    found = mailboxes(report(HIDDEN, *({"User Principal Name": f"u{n}@x.example"} for n in range(5))), users=[])
    assert len(found) == 6


@pytest.mark.parametrize(
    ("plan", "carries"),
    [
        (EXCHANGE, True),
        (EXCHANGE | {"capabilityStatus": "Deleted"}, False),
        (EXCHANGE | {"servicePlanId": "113feb6c-3fe4-4440-bddc-54d774bf0318"}, False),
        (EXCHANGE | {"service": "Exchange", "servicePlanId": None}, True),
        (EXCHANGE | {"service": "renamed"}, True),
        ({"service": "SharePoint", "capabilityStatus": "Enabled"}, False),
    ],
)
def test_which_plans_carry_a_mailbox(plan: dict[str, Any], carries: bool) -> None:
    """Exchange, but not its foundation or archive alone."""
    assert bool(mailboxes(None, users=[user(assignedPlans=[plan])])) is carries


def test_plans_come_from_the_product_where_the_user_does_not_tell() -> None:
    """Without assignedPlans the product's service plans decide, without those switched off for the user."""
    sku = "d0000000-0000-4000-8000-000000000001"
    plan = EXCHANGE["servicePlanId"]
    skus = [page({"skuId": sku, "servicePlans": [{"servicePlanId": plan, "provisioningStatus": "Success"}]})]
    one, other = user(assignedLicenses=[{"skuId": sku}]), user(BO, "bo@x.ex")
    other["assignedLicenses"] = [{"skuId": sku, "disabledPlans": [plan]}]
    assert [row["user_id"] for row in mailboxes(None, users=[one, other], subscribed_skus=skus)] == [ANNA]


def test_types_come_from_what_the_reader_remembers() -> None:
    """With their source; a word that is not known yet is kept, a user without a mailbox has none."""
    known = {
        ANNA.upper(): {"type": "hologram", "source": "last_known", "mark": "m"},
        BO: {"type": None, "source": "mailbox_settings", "mark": "m"},
    }
    found = mailboxes(
        report({}, {"User Principal Name": "bo@x.example"}),
        users=[LICENSED, user(BO, "bo@x.example")],
        types=[json.dumps(known).encode()],
    )
    assert [(row["mailbox_type"], row["mailbox_type_source"]) for row in found] == [
        ("hologram", "last_known"),
        (None, None),
    ]


@pytest.mark.parametrize("missing", ["mailboxes", "users"])
def test_without_both_streams_there_is_no_table(missing: str) -> None:
    """What was never read leaves the table as it is."""
    assert "m365.mailboxes" not in frames([LICENSED], certified=STREAMS - {missing})


def test_a_figure_larger_than_any_is_null() -> None:
    """It is no reason to lose the tenant."""
    (row,) = mailboxes(report({"Storage Used (Byte)": "9223372036854775808", "Item Count": "9223372036854775807"}))
    assert (row["storage_used_bytes"], row["item_count"]) == (None, 9223372036854775807)
