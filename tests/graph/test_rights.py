"""Granted against needed: what is missing, what is too much, and what a cloud or an edition makes of it."""

from __future__ import annotations

import pytest

from o365_etl.graph.rights import Need, granted, judge, may_write, partner_needs, tenant_needs
from o365_etl.graph.sign_in import Token
from o365_etl.simulator import PARTNER_ROLES, READER_ROLES

NEEDS = tenant_needs("global")


def missing(*roles: str, needs: tuple[Need, ...] = NEEDS) -> set[tuple[str, str]]:
    return {(need.stream, need.permission) for need in judge(roles, needs, "direct").missing}


def test_the_permissions_of_the_documentation_are_enough_and_not_too_many() -> None:
    """With what docs/connect.md asks for, nothing is missing and nothing could be taken away."""
    judged = judge(READER_ROLES, NEEDS, "direct")

    assert judged.missing == ()
    assert judged.excess == []


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ("Domain.Read.All", {("domains", "Domain.Read.All")}),
        ("User.Read.All", {("users", "User.Read.All")}),
        ("Reports.Read.All", {("mailboxes", "Reports.Read.All")}),
        ("ReportSettings.Read.All", {("mailboxes", "ReportSettings.Read.All")}),
        ("MailboxSettings.Read", {("mailboxes", "MailboxSettings.Read")}),
        ("AuditLog.Read.All", {("sign_ins", "AuditLog.Read.All")}),
        # What another one stands in for is not missing.
        ("Organization.Read.All", set()),
        ("LicenseAssignment.Read.All", set()),
    ],
)
def test_each_missing_permission_is_named_with_its_stream(without: str, expected: set[tuple[str, str]]) -> None:
    """One permission less, one stream less; a wider one that is there does as well."""
    assert missing(*(role for role in READER_ROLES if role != without)) == expected


def test_licenses_need_one_of_two() -> None:
    """Products are told to whoever may read licenses or the organization, and to nobody else."""
    rest = [role for role in READER_ROLES if role not in ("LicenseAssignment.Read.All", "Organization.Read.All")]

    assert missing(*rest) == {("licenses", "LicenseAssignment.Read.All")}


def test_nothing_granted_is_everything_missing() -> None:
    """Consent to no application permission at all: every stream is named."""
    assert {stream for stream, _ in missing()} == {"tenants", "domains", "users", "licenses", "mailboxes", "sign_ins"}


def test_a_wide_permission_is_excess_only_where_the_narrow_ones_are_there() -> None:
    """Directory.Read.All instead of three others is needed; beside them it is not."""
    narrow = ("Domain.Read.All", "User.Read.All", "LicenseAssignment.Read.All", "Organization.Read.All")
    rest = [role for role in READER_ROLES if role not in narrow]

    assert judge([*rest, "Directory.Read.All"], NEEDS, "direct").excess == []
    assert judge([*READER_ROLES, "Directory.Read.All"], NEEDS, "direct").others == ("Directory.Read.All",)


def test_a_permission_to_write_is_too_much_even_where_it_is_the_only_one_that_reads() -> None:
    """User.ReadWrite.All reads users, so that nothing is missing, and is named all the same."""
    roles = [role for role in READER_ROLES if role != "User.Read.All"]
    judged = judge([*roles, "User.ReadWrite.All"], NEEDS, "direct")

    assert judged.missing == ()
    assert judged.writes == ("User.ReadWrite.All",)


def test_what_a_partners_application_asks_for_is_no_excess_in_a_customers_tenant() -> None:
    """Consent grants the whole list: listing customers is granted in each of them; a direct one needs it nowhere."""
    roles = [*READER_ROLES, "Directory.Read.All", "DelegatedAdminRelationship.Read.All"]

    assert judge(roles, NEEDS, "partner").excess == []
    assert judge(roles, NEEDS, "direct").excess == ["DelegatedAdminRelationship.Read.All", "Directory.Read.All"]


def test_a_partner_needs_two_lists() -> None:
    """Either permission lists some customers; what is neither is named."""
    needs = partner_needs("global")

    assert [need.stream for need in judge(["Directory.Read.All"], needs, "partner").missing] == ["gdap"]
    assert [need.stream for need in judge([], needs, "partner").missing] == ["contracts", "gdap"]
    assert judge(PARTNER_ROLES, needs, "partner").excess == ["CrossTenantInformation.ReadBasic.All"]


def test_without_premium_nobody_needs_sign_ins() -> None:
    """Microsoft would tell a tenant without Entra ID P1 nothing, whatever is granted; granted it is no excess."""
    needs = tenant_needs("global", premium=False)
    roles = [role for role in READER_ROLES if role != "AuditLog.Read.All"]

    assert missing(*roles, needs=needs) == set()
    assert judge(READER_ROLES, needs, "direct").excess == []


@pytest.mark.parametrize("cloud", ["usgov", "usgovdod", "china"])
def test_a_national_cloud_needs_no_reports_and_no_gdap(cloud: str) -> None:
    """What Microsoft does not offer there is not missing."""
    permissions = {need.permission for need in (*tenant_needs(cloud), *partner_needs(cloud))}  # type: ignore[arg-type]

    assert permissions.isdisjoint(
        {"Reports.Read.All", "ReportSettings.Read.All", "DelegatedAdminRelationship.Read.All"}
    )
    assert {"User.Read.All", "MailboxSettings.Read", "Directory.Read.All"} <= permissions


@pytest.mark.parametrize(
    ("role", "writes"),
    [
        ("User.Read.All", False),
        ("MailboxSettings.Read", False),
        ("CrossTenantInformation.ReadBasic.All", False),
        ("User.ReadWrite.All", True),
        ("RoleManagement.ReadWrite.Directory", True),
        ("Mail.Send", True),
        ("Sites.FullControl.All", True),
        ("AppRoleAssignment.ReadWrite.All", True),
        ("full_access_as_app", True),
        ("", True),
    ],
)
def test_whatever_is_not_plainly_reading_counts_as_writing(role: str, writes: bool) -> None:
    """Names that nobody foresaw are on the careful side."""
    assert may_write(role) is writes


def test_a_readable_token_without_roles_grants_nothing_and_an_opaque_one_says_nothing() -> None:
    """Microsoft leaves the claim out if there is nothing to put into it."""
    assert granted(Token("t", 0.0, "tenant", None)) == frozenset()
    assert granted(Token("t", 0.0, None, None)) is None
    assert granted(Token("t", 0.0, "tenant", frozenset({"User.Read.All"}))) == {"User.Read.All"}
