"""Questions to Microsoft that find out what a read would run into, without reading anybody's data.

One tenant: does sign-in work, which permissions are granted, has it Entra ID P1, do its reports conceal names? One
connection: does the authority answer, and what does its clock say?

What does not live here: what ends and when (`endings`), and what the answers mean for a person
(`o365_etl.pipeline.findings`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

from o365_etl.config import Connection, is_guid
from o365_etl.errors import (
    BadAnswerError,
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    ProtocolError,
    ThrottledError,
    UnsupportedError,
)
from o365_etl.graph import streams
from o365_etl.graph.answers import decode_objects, decode_skus, decode_users
from o365_etl.graph.client import TenantClient
from o365_etl.graph.defects import internal_error
from o365_etl.graph.mailboxes import decode_report_settings
from o365_etl.graph.model import TenantTarget
from o365_etl.graph.rights import granted, has_usage_reports
from o365_etl.graph.session import GraphSession
from o365_etl.graph.sign_in import DOCUMENT
from o365_etl.graph.transport import Answer, Outgoing, Tally, Transport
from o365_etl.graph.waiting import Clock, Gate, retry_after

T = TypeVar("T")


@dataclass(frozen=True)
class TenantAnswer:
    """What a tenant answered; whatever is None was not told.

    `error` is why it cannot be read. `roles` are the permissions in the token, None if it cannot be read; `refusals`
    are by permission what was asked for and forbidden, whatever the token says.
    """

    target: TenantTarget
    error: O365EtlError | None = None
    tenant_id: str | None = None
    consent_link: str | None = None
    roles: frozenset[str] | None = None
    refusals: Mapping[str, ForbiddenError] = field(default_factory=dict)
    premium: bool | None = None
    conceals: bool | None = None


def ask_tenant(session: GraphSession, target: TenantTarget) -> TenantAnswer:
    """Ask one tenant. Never raises: what goes wrong is part of the answer, a defect of ours included."""
    try:
        return _ask(session, target)
    except Exception as defect:  # it costs this tenant, not the others
        return TenantAnswer(target, internal_error(defect))


def _ask(session: GraphSession, target: TenantTarget) -> TenantAnswer:
    if target.kind == "partner" and not is_guid(target.tenant_id):
        error = ProtocolError(
            "the partner's list names a tenant by something that is no tenant id",
            code="invalid_tenant_id",
            remedy="Look at the relationship in Partner Center.",
        )
        return TenantAnswer(target, error)
    try:
        client = session.client(session.connection(target.connection), target.tenant_id)
    except O365EtlError as error:
        return TenantAnswer(target, error)
    try:
        roles = granted(client.sign_in.token())
    except O365EtlError as error:
        return TenantAnswer(target, error, consent_link=client.sign_in.consent_link)
    return _Asking(client, roles).answer(target)


class _Asking:
    """The questions to one tenant that let us sign in, each of which may be refused by itself."""

    def __init__(self, client: TenantClient, roles: frozenset[str] | None) -> None:
        self._client = client
        self._roles = roles
        self._tally = Tally()
        self._error: O365EtlError | None = None
        self._refusals: dict[str, ForbiddenError] = {}
        self._premium: bool | None = None

    def answer(self, target: TenantTarget) -> TenantAnswer:
        """Ask everything that there is to be asked."""
        tenant_id = self._try("Organization.Read.All", lambda: streams.organization(self._client, self._tally)[0])
        if tenant_id is not None and is_guid(target.tenant_id) and tenant_id != target.tenant_id.lower():
            self._error = streams.wrong_tenant()
        conceals = None
        if self._error is None:
            skus = self._get("LicenseAssignment.Read.All", "subscribedSkus", decode_skus)
            self._premium = None if skus is None else any(streams.is_premium(sku) for sku in skus.value)
            offered = has_usage_reports(self._client.sign_in.connection.cloud)
            conceals = self._ask_concealment() if offered else None
            if self._roles is None:
                self._ask_what_the_token_hides(reports=offered)
        return TenantAnswer(
            target,
            self._error,
            tenant_id,
            self._client.sign_in.consent_link,
            self._roles,
            self._refusals,
            self._premium,
            conceals,
        )

    def _ask_concealment(self) -> bool | None:
        found = self._get("ReportSettings.Read.All", "admin/reportSettings", decode_report_settings, optional=True)
        return None if found is None else found.conceals

    def _ask_what_the_token_hides(self, *, reports: bool) -> None:
        """A token is opaque by contract: where it cannot be read, only trying tells what is granted."""
        self._get("Domain.Read.All", "domains", decode_objects)
        users = self._get("User.Read.All", "users?$select=id&$top=1", decode_users)
        if self._premium is not False:
            self._get("AuditLog.Read.All", "users?$select=id,signInActivity&$top=1", decode_objects, optional=True)
        if users is not None and users.value:
            self._try("MailboxSettings.Read", lambda: self._ask_mailbox(users.value[0].id), optional=True)
        if reports:
            self._try("Reports.Read.All", self._ask_report, optional=True)

    def _ask_mailbox(self, user_id: str) -> None:
        url = f"/users/{user_id}/mailboxSettings/userPurpose"
        items = self._client.batch([url], self._tally, permission="MailboxSettings.Read")
        if any(item.status == 403 for item in items):
            raise ForbiddenError("Microsoft Graph answered 403")

    def _ask_report(self) -> None:
        path = "reports/getMailboxUsageDetail(period='D7')"
        self._client.report(path, len, self._tally, permission="Reports.Read.All")

    def _get(self, permission: str, path: str, decode: Callable[[bytes], T], *, optional: bool = False) -> T | None:
        return self._try(
            permission,
            lambda: self._client.get(path, decode, self._tally, permission=permission)[1],
            optional=optional,
        )

    def _try(self, permission: str, ask: Callable[[], T], *, optional: bool = False) -> T | None:
        """The answer; None if there is none. What a sync could do without is `optional`: its failure is no error."""
        try:
            return ask()
        except ForbiddenError as error:
            if error.code == "no_premium":
                self._premium = False
            else:
                self._refusals[permission] = error
        except (NotFoundError, UnsupportedError) as error:
            if not optional:
                self._error = self._error or error
        except O365EtlError as error:
            if not optional or error.code == "not_consented":
                self._error = self._error or error
        return None


def clock_offset(transport: Transport, connection: Connection, now: Callable[[], datetime]) -> float | None:
    """Ask the connection's sign-in service for nothing but its time: by how many seconds it is ahead of `now`.

    None if it does not tell. Raises `UnreachableError` or another `TransientError` if nobody answers there. No secret
    is sent.
    """
    url = f"{connection.authority}/{connection.tenant_id}{DOCUMENT}"

    def read(answer: Answer) -> float | None:
        at = now()
        if answer.status == 429:
            raise ThrottledError("sign-in is throttled", retry_after=retry_after(answer.headers))
        if answer.status >= 500:
            raise BadAnswerError(f"sign-in answered {answer.status}", retry_after=retry_after(answer.headers))
        theirs = _date(answer.headers.get("Date", ""))
        return None if theirs is None else (theirs - at).total_seconds()

    return transport.exchange(Outgoing("GET", url), read, Tally(), Gate(transport.clock))


def plain_transport(ca_bundle: Path | None, *, connections: int) -> Transport:
    """A way to ask without a token; close it."""
    return Transport(ca_bundle, connections, (10.0, 30.0), Clock())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
