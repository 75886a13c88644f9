"""Graph's mailbox usage report: redirect, download from another origin, the beta JSON, and the concealment switch."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
import secrets
import threading
import time
from collections.abc import Callable, Hashable

from o365_etl.simulator.estate import Estate
from o365_etl.simulator.graph_call import Call, Refusal, encode, ok, page, page_size
from o365_etl.simulator.graph_objects import Json
from o365_etl.simulator.model import GIB, SimMailbox, SimTenant, SimUser
from o365_etl.simulator.transport import Request, Response

LINK_LIFETIME = 300.0
# The figures in a usage report are about two days old when they come out
REPORT_AGE = dt.timedelta(days=2)
BETA_PAGE = 200
PERIODS = {"D7": 7, "D30": 30, "D90": 90, "D180": 180}
_COMMON_COLUMNS = (
    "Report Refresh Date,User Principal Name,Display Name,Is Deleted,Deleted Date,Created Date,Last Activity Date,"
    "Item Count,Storage Used (Byte),Issue Warning Quota (Byte),Prohibit Send Quota (Byte),"
    "Prohibit Send/Receive Quota (Byte),Deleted Item Count,Deleted Item Size (Byte)"
)
_COLUMNS = {
    15: [*_COMMON_COLUMNS.split(","), "Report Period"],
    16: [*_COMMON_COLUMNS.split(","), "Deleted Item Quota (Byte)", "Has Archive"],
    17: [*_COMMON_COLUMNS.split(","), "Deleted Item Quota (Byte)", "Has Archive", "Report Period"],
}
_RECIPIENT_TYPES = {"user": "User", "shared": "Shared", "room": "Room", "equipment": "Equipment"}
_DOWNLOAD = re.compile(r"/data/download/([\w-]+)")


def report_settings(call: Call) -> Response:
    """GET /admin/reportSettings, flat or wrapped."""
    call.need("ReportSettings.Read.All", "ReportSettings.ReadWrite.All")
    context = f"{call.metadata}admin/reportSettings/$entity"
    if call.tenant.report_settings_form == "wrapped":
        value = {
            "@odata.type": "#microsoft.graph.adminReportSettings",
            "displayConcealedNames": call.tenant.concealed,
        }
        return ok({"value": value})
    return ok({"@odata.context": context, "displayConcealedNames": call.tenant.concealed})


def mailbox_usage(call: Call, period: str) -> Response:
    """GET /reports/getMailboxUsageDetail: a redirect, or rows of JSON in beta with `$format`."""
    if call.roles.isdisjoint({"Reports.Read.All"}):
        raise Refusal(403, "S2SUnauthorized", "Invalid permission.")
    if period not in PERIODS:
        raise Refusal(400, "InvalidRequest", f"The period '{period}' is not supported.")
    if call.version == "beta" and call.query.get("$format") == "application/json":
        return _beta(call, period)
    etag = report_etag(report_csv(call.estate, call.tenant, period))
    if call.request.headers.get("if-none-match") == etag:
        return Response(304, headers={"ETag": etag})
    link = call.report_link(call.tenant.tenant_id, period)
    return Response(302, headers={"Content-Type": "text/plain", "Location": link, "ETag": etag})


class ReportDownloads:
    """The other origin, where the redirect leads: pre-authenticated links that expire."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._links: dict[str, tuple[str, str, float]] = {}
        self._lock = threading.Lock()
        self.base_url = ""

    def link(self, tenant_id: str, period: str) -> str:
        """A new link to a tenant's report."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._links[key] = (tenant_id, period, time.monotonic() + LINK_LIFETIME)
        return f"{self.base_url}/data/download/{key}"

    def expire(self) -> None:
        """Let all links that were given out expire."""
        with self._lock:
            self._links = {key: (tenant_id, period, 0.0) for key, (tenant_id, period, _) in self._links.items()}

    def tenant_of(self, request: Request) -> str | None:
        """The tenant whose report a link leads to."""
        match = _DOWNLOAD.fullmatch(request.path)
        entry = self._links.get(match[1]) if match else None
        return entry[0] if entry else None

    def respond(self, request: Request) -> Response:
        """Answer one download."""
        if "authorization" in request.headers:
            # The link is the authorisation; a token sent to this host would be a leak
            return _plain(403, "The request must not carry an Authorization header.")
        match = _DOWNLOAD.fullmatch(request.path)
        entry = self._links.get(match[1]) if match else None
        if entry is None:
            return _plain(404, "There is no such report.")
        tenant_id, period, expires = entry
        if time.monotonic() > expires:
            return _plain(403, "The link has expired.")
        tenant = self._estate.tenant(tenant_id)
        report = report_csv(self._estate, tenant, period)
        etag = report_etag(report)
        if request.headers.get("if-none-match") == etag:
            return Response(304, headers={"ETag": etag})
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": 'attachment; filename="MailboxUsageDetail.csv"',
            "ETag": etag,
        }
        return Response(200, report, headers)


def report_etag(report: bytes) -> str:
    """The ETag of a report: another for whatever is told otherwise."""
    return f'"{hashlib.sha256(report).hexdigest()[:16]}"'


def refresh_date(estate: Estate) -> dt.date:
    """The day the report's figures are of."""
    return (estate.now - REPORT_AGE).date()


def report_csv(estate: Estate, tenant: SimTenant, period: str) -> bytes:
    """The whole report as it is downloaded: BOM, header, CRLF."""
    columns = _COLUMNS[tenant.report_columns]
    refreshed = refresh_date(estate)

    def render(user: SimUser) -> bytes | None:
        return None if user.mailbox is None else _line(columns, _row(refreshed, user, user.mailbox, tenant, period))

    kind: Hashable = ("csv", refreshed, tenant.report_columns, tenant.concealed, period)
    rows = estate.user_rows(tenant)
    lines = [b"\xef\xbb\xbf", ",".join(columns).encode(), b"\r\n"]
    lines.append(rows.cut(kind, render, 0, rows.count(kind, render), b""))
    lines += [_line(columns, _deleted_row(refreshed, tenant, *gone, period)) for gone in tenant.deleted_mailboxes]
    return b"".join(lines)


def concealed(text: str) -> str:
    """A pseudonym of the form the service uses: 32 upper-case hex digits."""
    return hashlib.sha256(f"o365_etl/{text}".encode()).hexdigest()[:32].upper()


def _beta(call: Call, period: str) -> Response:
    call.allow("$format", "$top", "$skiptoken", "$skipToken")
    if not call.tenant.recipient_type_json:
        raise Refusal(400, "BadRequest", "The requested format is not supported.")
    refreshed = refresh_date(call.estate)
    tenant = call.tenant

    def render(user: SimUser) -> bytes | None:
        return None if user.mailbox is None else encode(_beta_row(refreshed, user, user.mailbox, tenant, period))

    kind: Hashable = ("beta", refreshed, tenant.concealed, tenant.recipient_type_column, period)
    rows = call.estate.user_rows(tenant)
    cut: Callable[[int, int], bytes] = lambda start, stop: rows.cut(kind, render, start, stop)  # noqa: E731
    context = f"{call.metadata}Collection(microsoft.graph.mailboxUsageDetail)"
    return page(call, context, rows.count(kind, render), cut, page_size(call, BETA_PAGE, 999))


def _row(refreshed: dt.date, user: SimUser, mailbox: SimMailbox, tenant: SimTenant, period: str) -> Json:
    names = [user.user_principal_name, user.display_name or ""]
    if tenant.concealed:
        names = [concealed(name) for name in names]
    return {
        "Report Refresh Date": refreshed,
        "User Principal Name": names[0],
        "Display Name": names[1],
        "Is Deleted": False,
        "Deleted Date": "",
        "Created Date": mailbox.created,
        "Last Activity Date": mailbox.last_activity or "",
        "Item Count": mailbox.item_count,
        "Storage Used (Byte)": mailbox.storage_used,
        "Issue Warning Quota (Byte)": mailbox.issue_warning_quota,
        "Prohibit Send Quota (Byte)": mailbox.prohibit_send_quota,
        "Prohibit Send/Receive Quota (Byte)": mailbox.prohibit_send_receive_quota,
        "Deleted Item Count": mailbox.deleted_item_count,
        "Deleted Item Size (Byte)": mailbox.deleted_item_size,
        "Deleted Item Quota (Byte)": 30 * GIB,
        "Has Archive": mailbox.has_archive,
        "Report Period": PERIODS[period],
    }


def _deleted_row(refreshed: dt.date, tenant: SimTenant, name: str, display_name: str, period: str) -> Json:
    ghost = SimUser(name, display_name)
    row = _row(refreshed, ghost, SimMailbox(item_count=0, storage_used=0), tenant, period)
    return row | {"Is Deleted": True, "Deleted Date": refreshed - dt.timedelta(days=9)}


def _beta_row(refreshed: dt.date, user: SimUser, mailbox: SimMailbox, tenant: SimTenant, period: str) -> Json:
    row = _row(refreshed, user, mailbox, tenant, period)
    answer: Json = {
        "reportRefreshDate": refreshed.isoformat(),
        "userPrincipalName": row["User Principal Name"],
        "displayName": row["Display Name"],
        "isDeleted": False,
        "deletedDate": None,
        "createdDate": mailbox.created.isoformat(),
        "lastActivityDate": mailbox.last_activity.isoformat() if mailbox.last_activity else None,
        "itemCount": mailbox.item_count,
        "storageUsedInBytes": mailbox.storage_used,
        "deletedItemCount": mailbox.deleted_item_count,
        "deletedItemSizeInBytes": mailbox.deleted_item_size,
        "issueWarningQuotaInBytes": mailbox.issue_warning_quota,
        "prohibitSendQuotaInBytes": mailbox.prohibit_send_quota,
        "prohibitSendReceiveQuotaInBytes": mailbox.prohibit_send_receive_quota,
        "reportPeriod": str(PERIODS[period]),
    }
    if tenant.recipient_type_column:
        answer["recipientType"] = _RECIPIENT_TYPES.get(mailbox.kind, "Others")
    return answer


def _line(columns: list[str], row: Json) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow([row[column] for column in columns])
    return text.getvalue().encode()


def _plain(status: int, text: str) -> Response:
    return Response(status, text.encode(), {"Content-Type": "text/plain"})
