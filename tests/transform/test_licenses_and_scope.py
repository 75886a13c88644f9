"""Products, and which users they bring into scope."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from landed import ANNA, E3, FLOW_FREE, STREAMS, TENANT, frames, page, rows, user

from o365_etl.config import Selection
from o365_etl.transform.scope import out_of_scope_reason

UNKNOWN = "d0000000-0000-4000-8000-000000000001"


def license_of(sku: dict[str, Any], subscriptions: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    made = frames(subscribed_skus=[page(sku)], subscriptions=[page(*subscriptions)])
    (row,) = rows(made, "m365.licenses")
    return row


def test_figures_of_a_product() -> None:
    """active is what can be assigned, unused may be negative, the name comes from the catalogue by id."""
    units = {"enabled": 0, "suspended": 25, "warning": 1, "lockedOut": 0}
    row = license_of({"skuId": E3.upper(), "skuPartNumber": "SPE_E3", "consumedUnits": 14, "prepaidUnits": units})
    assert (row["sku_id"], row["product_name"], row["is_known_sku"]) == (E3, "Microsoft 365 E3", True)
    figures = ["active", "consumed", "unused", "suspended", "warning"]
    assert [row[name] for name in figures] == [0, 14, -14, 25, 1]


def test_unknown_figures_and_products() -> None:
    """What is not told is NULL, not zero; an unknown product shows its part number, else its id."""
    row = license_of({"skuId": UNKNOWN, "skuPartNumber": "NEW\u00a0THING ", "consumedUnits": 3})
    assert (row["product_name"], row["active"], row["unused"], row["is_known_sku"]) == ("NEW THING", None, None, False)
    assert license_of({"skuId": UNKNOWN})["product_name"] == UNKNOWN


def test_the_earliest_renewal_of_what_is_not_deleted() -> None:
    """Seven fraction digits and all."""
    row = license_of(
        {"skuId": E3},
        [
            {"skuId": E3, "status": "Deleted", "nextLifecycleDateTime": "2026-01-01T00:00:00Z"},
            {"skuId": E3.upper(), "status": "Enabled", "nextLifecycleDateTime": "2026-03-01T00:00:00.1234567Z"},
            {"skuId": E3, "status": "Warning", "nextLifecycleDateTime": "2026-04-01T00:00:00Z"},
            {"skuId": E3, "status": "Enabled", "nextLifecycleDateTime": ""},
        ],
    )
    assert row["renews_at"] == datetime(2026, 3, 1, 0, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sku", "trial", "recommended"),
    [
        ({"skuId": E3, "appliesTo": "User"}, None, True),
        ({"skuId": E3}, None, True),
        ({"skuId": E3, "appliesTo": "Company"}, None, False),
        ({"skuId": FLOW_FREE, "appliesTo": "User"}, None, False),
        ({"skuId": UNKNOWN, "skuPartNumber": "NEW_VIRAL"}, None, False),
        ({"skuId": UNKNOWN, "skuPartNumber": "NEW_TRIAL_THING"}, None, False),
        ({"skuId": UNKNOWN, "skuPartNumber": "INDUSTRIAL"}, None, True),
        ({"skuId": UNKNOWN, "skuPartNumber": "PHONESYSTEM_VIRTUALUSER"}, None, True),
        ({"skuId": E3}, [True, True], False),
        ({"skuId": E3}, [True, False], True),
        ({"skuId": E3}, [None], True),
    ],
)
def test_which_products_are_recommended(sku: dict[str, Any], trial: list[Any] | None, recommended: bool) -> None:
    """Those for users that are neither free, viral nor trial; what is not known to be one of these is none."""
    subscriptions = [{"skuId": sku["skuId"], "isTrial": each} for each in trial or ()]
    assert license_of(sku, subscriptions)["is_recommended"] is recommended


def scope(
    selection: Selection, skus: Sequence[str] = (E3,), licenses: Sequence[dict[str, Any]] = (), **fields: Any
) -> Any:
    held = [{"skuId": sku} for sku in skus]
    made = frames(
        [user(assignedLicenses=held, **fields)],
        selection=selection,
        subscribed_skus=[page(*licenses)],
        types=[b'{"%s": {"type": "user"}}' % ANNA.encode()],
    )
    return rows(made, "m365.users")[0]["out_of_scope_reason"]


@pytest.mark.parametrize(
    ("selected", "held", "reason"),
    [
        ((), [E3], None),
        ((), [FLOW_FREE], "unlicensed"),
        ((), [FLOW_FREE, E3], None),
        ((), [], "unlicensed"),
        ((), [UNKNOWN], None),
        (("spe_e3",), [E3], None),
        ((E3.upper(),), [E3], None),
        (("FLOW_FREE",), [FLOW_FREE], None),
        (("SPE_E5",), [E3], "unlicensed"),
        (("renamed",), [UNKNOWN], None),
    ],
)
def test_selected_products(selected: tuple[str, ...], held: list[str], reason: str | None) -> None:
    """Ids or part numbers in any case; a part number is the tenant's own, else the catalogue's; empty = recommended."""
    licenses = [{"skuId": UNKNOWN, "skuPartNumber": "Renamed"}]
    assert scope(Selection(skus=selected), held, licenses) == reason


def test_all_users_need_no_license() -> None:
    """`users = "all"` asks for none."""
    assert scope(Selection(users="all"), []) is None


def test_a_user_without_any_word_on_sign_in_counts_as_enabled() -> None:
    """Unknown excludes nobody."""
    assert scope(Selection(), accountEnabled=None) is None
    assert scope(Selection(), accountEnabled=False) == "disabled"


@pytest.mark.parametrize("guests", [False, True])
@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("users", ["licensed", "all"])
def test_every_combination_of_scope(guests: bool, disabled: bool, shared: bool, users: Any) -> None:
    """Each switch lifts exactly its own reason; the first reason in order is told."""
    selection = Selection(guests=guests, disabled=disabled, shared_mailboxes=shared, users=users)
    kinds = [None, "user", "shared", "room", "equipment", "hologram"]
    for guest, enabled, kind, licensed in product([True, False], [True, False, None], kinds, [True, False]):
        reasons = [
            reason
            for reason, holds in (
                ("guest", guest and not guests),
                ("disabled", enabled is False and not disabled),
                ("resource", kind in ("room", "equipment")),
                ("shared_mailbox", kind == "shared" and not shared),
                ("unlicensed", not licensed and users == "licensed"),
            )
            if holds
        ]
        found = out_of_scope_reason(
            selection, is_guest=guest, account_enabled=enabled, mailbox_type=kind, has_selected_sku=licensed
        )
        assert found == (reasons[0] if reasons else None)


def test_the_type_of_a_mailbox_reaches_the_scope() -> None:
    """A shared mailbox is none of the users, as far as its type is known."""
    held = [{"skuId": E3}]
    types = [b'{"%s": {"type": "shared", "source": "last_known"}}' % ANNA.encode()]
    shared = frames([user(assignedLicenses=held)], types=types)
    assert rows(shared, "m365.users")[0]["out_of_scope_reason"] == "shared_mailbox"
    never_read = frames([user(assignedLicenses=held)], types=types, certified=STREAMS - {"mailboxes"})
    assert rows(never_read, "m365.users")[0]["in_scope"] is True


def test_the_tenant_and_its_domains() -> None:
    """Names lower-cased where they are compared; the alias is shown, Microsoft's name is kept beside it."""
    made = frames(
        organization={
            "id": TENANT.upper(),
            "displayName": "Contoso  AG",
            "businessPhones": ["", "+1"],
            "countryLetterCode": "CH",
            "verifiedDomains": [
                {"name": "Contoso.onmicrosoft.com", "isInitial": True, "isDefault": False},
                {"name": "Contoso.example", "isDefault": True},
            ],
        },
        selection=Selection(tenant_aliases={TENANT.upper(): "Con Toso"}),
        domains=[page({"id": "Contoso.example", "isVerified": True}, {"id": "new.example"})],
    )
    (tenant,) = rows(made, "m365.tenants")
    assert (tenant["tenant_id"], tenant["display_name"], tenant["microsoft_name"]) == (
        TENANT,
        "Con Toso",
        "Contoso  AG",
    )
    assert (tenant["name_key"], tenant["phone"], tenant["country_code"]) == ("con toso", "+1", "CH")
    assert (tenant["default_domain"], tenant["initial_domain"]) == ("contoso.example", "contoso.onmicrosoft.com")
    assert {row["domain"]: row["is_verified"] for row in rows(made, "m365.domains")} == {
        "contoso.example": True,
        "new.example": None,
    }


def test_streams_that_were_never_read_leave_their_tables_out() -> None:
    """Nothing is concluded from what is not there."""
    assert set(frames(certified=frozenset(("tenants",)))) == {"m365.tenants"}
    assert set(frames(certified=frozenset(("tenants", "users")))) == {
        "m365.tenants",
        "m365.users",
        "m365.user_addresses",
        "m365.license_assignments",
    }
    assert frames(certified=frozenset()) == {}
    assert frames(organization={"id": None}) == {}
