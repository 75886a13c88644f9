"""The mailbox usage report: redirect, download, variants, concealment, the JSON of the beta."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from typing import Literal

import pytest

from o365_etl.simulator import READER_ROLES, SimTenant
from tests.simulator.caller import Caller

PATH = "/v1.0/reports/getMailboxUsageDetail(period='D7')"
BETA = "/beta/reports/getMailboxUsageDetail(period='D7')?$format=application/json"


def download(caller: Caller, tenant: SimTenant) -> list[dict[str, str]]:
    """The rows of the report."""
    link = caller.graph(tenant, PATH).headers["Location"]
    answer = caller.session.get(link, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_the_report_is_a_redirect_to_another_origin(caller: Caller, tenant: SimTenant) -> None:
    """302 with an empty body to a third port, which refuses a token."""
    answer = caller.graph(tenant, PATH)
    link = answer.headers["Location"]

    assert (answer.status_code, answer.content) == (302, b"")
    assert not link.startswith(caller.simulator.graph_url)
    assert caller.session.get(link, headers=caller.headers(tenant.tenant_id), timeout=10).status_code == 403


def test_the_file_begins_with_a_mark_and_has_carriage_returns(caller: Caller, tenant: SimTenant) -> None:
    """UTF-8 BOM, CRLF at every line's end, figures two days old."""
    body = caller.session.get(caller.graph(tenant, PATH).headers["Location"], timeout=10).content
    rows = download(caller, tenant)

    assert body.startswith(b"\xef\xbb\xbfReport Refresh Date,")
    assert body.count(b"\n") == body.count(b"\r\n") == len(rows) + 1
    refreshed = caller.simulator.estate.now.date() - dt.timedelta(days=2)
    assert {row["Report Refresh Date"] for row in rows} == {refreshed.isoformat()}


def test_the_report_knows_mailboxes_not_users(caller: Caller, tenant: SimTenant) -> None:
    """Shared and deleted mailboxes are in it, users without a mailbox are not."""
    rows = {row["User Principal Name"]: row for row in download(caller, tenant)}

    assert set(rows) == {"Anna.Berg@contoso.example".lower(), "info@contoso.example", "gone@contoso.example"}
    assert rows["gone@contoso.example"]["Is Deleted"] == "True"
    assert rows["gone@contoso.example"]["Deleted Date"]


@pytest.mark.parametrize(("columns", "last"), [(15, "Report Period"), (16, "Has Archive"), (17, "Report Period")])
def test_the_columns_differ_by_tenant(
    caller: Caller, tenant: SimTenant, columns: Literal[15, 16, 17], last: str
) -> None:
    """15, 16 or 17 columns."""
    tenant.report_columns = columns

    header = list(download(caller, tenant)[0])
    assert (len(header), header[-1]) == (columns, last)


def test_concealed_names_are_32_upper_case_hex_digits(caller: Caller, tenant: SimTenant) -> None:
    """No name of the directory is left in a concealed report, in neither form of it."""
    tenant.concealed = True
    names = [row["User Principal Name"] for row in download(caller, tenant)]
    names += [row["userPrincipalName"] for row in caller.graph(tenant, BETA).json()["value"]]

    assert all(re.fullmatch(r"[0-9A-F]{32}", name) for name in names)
    assert len(set(names)) == 3


def test_a_link_expires(caller: Caller, tenant: SimTenant) -> None:
    """An old link is refused."""
    link = caller.graph(tenant, PATH).headers["Location"]
    caller.simulator.reports.expire()

    assert caller.session.get(link, timeout=10).status_code == 403


def test_an_unchanged_report_is_304(caller: Caller, tenant: SimTenant) -> None:
    """The ETag of the download, sent back to Graph, spares the download."""
    etag = caller.session.get(caller.graph(tenant, PATH).headers["Location"], timeout=10).headers["ETag"]

    assert caller.graph(tenant, PATH, headers={"If-None-Match": etag}).status_code == 304
    assert caller.graph(tenant, PATH, headers={"If-None-Match": '"old"'}).status_code == 302


def test_reports_need_their_role_and_a_known_period(caller: Caller, tenant: SimTenant) -> None:
    """Without Reports.Read.All 403, with a period of no report 400."""
    assert caller.graph(tenant, PATH.replace("D7", "D8")).status_code == 400
    tenant.roles = tuple(role for role in READER_ROLES if role != "Reports.Read.All")
    fresh = Caller(caller.simulator)
    assert fresh.graph(tenant, PATH).status_code == 403
    fresh.session.close()


def test_the_beta_tells_the_type_of_a_mailbox(caller: Caller, tenant: SimTenant) -> None:
    """JSON in pages, with the undocumented recipientType if the tenant has it."""
    pages = caller.pages(tenant, f"{BETA}&$top=1")
    types = {row["userPrincipalName"]: row["recipientType"] for page in pages for row in page["value"]}
    assert types == {"anna.berg@contoso.example": "User", "info@contoso.example": "Shared"}
    assert len(pages) == 2

    tenant.recipient_type_column = False
    assert "recipientType" not in caller.graph(tenant, BETA).json()["value"][0]

    tenant.recipient_type_json = False
    assert caller.graph(tenant, BETA).status_code == 400


def test_report_settings_come_flat_or_wrapped(caller: Caller, tenant: SimTenant) -> None:
    """Both forms that documents show."""
    path = "/v1.0/admin/reportSettings"
    assert caller.graph(tenant, path).json()["displayConcealedNames"] is False

    tenant.report_settings_form, tenant.concealed = "wrapped", True
    assert caller.graph(tenant, path).json()["value"]["displayConcealedNames"] is True
