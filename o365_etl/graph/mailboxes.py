"""The mailboxes stream: Microsoft's usage report, and the types of mailboxes that it does not tell.

The report is a CSV file, 24 to 48 hours old, that the tenant may conceal (pseudonyms instead of names, Microsoft's
default) or not allow, and that national clouds do not have. Then the stream is degraded, not failed: figures are
unknown, which is not zero.

What does not live here: reading the figures (`o365_etl.transform`); only names are looked at here.
"""

from __future__ import annotations

import csv
import io
import itertools
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from o365_etl.errors import (
    BadAnswerError,
    ForbiddenError,
    LocalError,
    NotFoundError,
    O365EtlError,
    UnsupportedError,
)
from o365_etl.graph.client import Reported, TenantClient
from o365_etl.graph.directory import Directory
from o365_etl.graph.mailbox_types import TypeSurvey
from o365_etl.graph.recording import Recording
from o365_etl.graph.rights import has_usage_reports
from o365_etl.graph.transport import Tally
from o365_etl.receipts import Landing, Receipt

log = logging.getLogger(__name__)

_REPORT = "reports/getMailboxUsageDetail(period='D7')"
_NAME_COLUMN = "user principal name"
_PSEUDONYM = re.compile(r"[0-9A-F]{32}")
_SAMPLE = 100  # rows looked at to see whether names are concealed
_MOSTLY = 0.9  # a few real names among pseudonyms do not make a readable report
SHOW_NAMES = (
    "In that tenant's Microsoft 365 admin center, Settings > Org settings > Services > Reports, untick "
    "'Display concealed user, group, and site names in all reports'."
)
"""Where a tenant's administrator switches the concealing of names off."""


class ReportSettings(msgspec.Struct):
    """The tenant's settings of its usage reports; Microsoft's sample wraps the object, its schema does not."""

    concealed: bool | None = msgspec.field(default=None, name="displayConcealedNames")
    value: ReportSettings | None = None

    @property
    def conceals(self) -> bool:
        """True if the reports show pseudonyms instead of names."""
        return bool(self.concealed or (self.value and self.value.concealed))


decode_report_settings = msgspec.json.Decoder(ReportSettings).decode


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """The report of the last certified read: its ETag, and its text when it is wanted (None: not to be had)."""

    etag: str | None
    text: Callable[[], str | None]


def earlier_report(landing: Landing, tenant_id: str) -> EarlierReport:
    """What the landing zone has of a tenant's report. A damaged one counts as none: it is read anew."""

    def text() -> str | None:
        try:
            bodies = landing.parts(tenant_id, "mailboxes", "usage_csv")
        except LocalError:
            return None
        return bodies[-1].decode("utf-8", "surrogatepass") if bodies else None

    try:
        receipt = landing.receipt(tenant_id, "mailboxes")
    except LocalError:
        receipt = None
    return EarlierReport(receipt.bookmark if receipt else None, text)


class MailboxReading:
    """One attempt at the mailboxes of one tenant, in steps that a scheduler may run on different threads.

    `begin` reads the report; then `survey.ask` is called for each of `batches`, in any order; `end` concludes.
    """

    def __init__(self, client: TenantClient, recording: Recording, directory: Directory, before: EarlierReport) -> None:
        self._client = client
        self._recording = recording
        self._before = before
        self._reason: str | None = None
        self._error: O365EtlError | None = None
        self._remedy: str | None = None
        self.survey = TypeSurvey(client, directory)

    def begin(self) -> list[list[str]]:
        """Read the report and what it says about types; return the batches of users still to be asked about.

        Raises what cannot be degraded: a report that exists but could not be had this time.
        """
        if not has_usage_reports(self._client.sign_in.connection.cloud):
            self._degrade("not_in_cloud", remedy="Microsoft offers no usage reports in this cloud: there is no mend.")
        elif self._is_concealed_by_setting():
            self._degrade("concealed", remedy=SHOW_NAMES)
        else:
            self._read_report()
        if self._reason is None:
            self.survey.ask_report(self._recording)
        return self.survey.questions()

    def ask(self, user_ids: Sequence[str], tally: Tally) -> None:
        """Ask for the types of up to twenty mailboxes."""
        self.survey.ask(user_ids, tally)

    def end(self) -> Receipt:
        """Land the types and conclude the stream."""
        self.survey.land(self._recording)
        if self._reason is None:
            return self._recording.ok()
        return self._recording.degraded(self._reason, self._error, self._remedy)

    def _is_concealed_by_setting(self) -> bool:
        """What the tenant's report settings say; not being told is no answer, the report itself then shows it."""
        try:
            body, settings = self._client.get(
                "admin/reportSettings",
                decode_report_settings,
                self._recording.tally,
                permission="ReportSettings.Read.All",
            )
        except O365EtlError as error:
            log.info("report settings are not to be had (%s)", error.code)
            return False
        self._recording.page("report_settings", body)
        return settings.conceals

    def _read_report(self) -> None:
        try:
            text, self._recording.bookmark = self._report()
        except ForbiddenError as error:
            self._degrade("forbidden", error)
            return
        except (NotFoundError, UnsupportedError) as error:
            self._degrade("unsupported", error, "This server has no usage reports; mailbox sizes stay unknown.")
            return
        names, rows = _names(text)
        self._recording.text("usage_csv", text, rows)
        if names is None:
            remedy = "Microsoft has changed the report: mailbox sizes stay unknown until this program is updated."
            self._degrade("unsupported", remedy=remedy)
        elif sum(_PSEUDONYM.fullmatch(name) is not None for name in names) > _MOSTLY * len(names):
            self._degrade("concealed", remedy=SHOW_NAMES)

    def _report(self) -> Reported[str]:
        """The report and its ETag. Microsoft makes one a day: the one that is known already is not sent again."""
        etag = self._before.etag
        for known in (etag, None) if etag else (None,):
            found = self._client.report(
                _REPORT, _csv_text, self._recording.tally, permission="Reports.Read.All", etag=known
            )
            if found is not None:
                return found
            text = self._before.text()
            if text is not None:
                return Reported(text, known)
        raise BadAnswerError("the report was not sent although nothing was said of an earlier one")

    def _degrade(self, reason: str, error: O365EtlError | None = None, remedy: str | None = None) -> None:
        self._reason, self._error, self._remedy = reason, error, remedy


def _csv_text(body: bytes) -> str:
    """The report as text, without its byte order mark. A page of HTML or JSON in its place is no report."""
    text = body.decode("utf-8-sig")
    if text.lstrip()[:1] in ("<", "{", "[", ""):
        raise msgspec.DecodeError("not a CSV file")
    return text


def _names(text: str) -> tuple[list[str] | None, int]:
    """The first names in the report, and its lines below the head; no names at all (None) if no column holds them.

    A tenant conceals all names or none, so the first ones tell; parsing all would double the cost of the stream.
    """
    lines = text.count("\n") - (1 if text.endswith("\n") else 0)
    reader = csv.reader(io.StringIO(text))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        rows = [row for row in itertools.islice(reader, _SAMPLE) if row]
    except csv.Error:
        return None, lines
    if _NAME_COLUMN not in header:
        return None, lines
    column = header.index(_NAME_COLUMN)
    return [row[column].strip() for row in rows if len(row) > column], lines
