"""`m365.mailboxes` of one tenant: Microsoft's usage report, joined to the users.

The report is read by header name: its columns drift (15, 16 or 17), start with a byte order mark and may come in any
order. Where it cannot be read (forbidden, concealed, not offered in this cloud, not understood) every user with an
Exchange plan has a row whose figures are NULL with the reason: unknown is never zero.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa

from o365_etl.tables import TABLES, UNKNOWN_REASONS
from o365_etl.transform.answers import MailboxType, User
from o365_etl.transform.columns import parse_count, parse_date, to_table
from o365_etl.transform.licenses import License

# Service plans that carry a mailbox, and plans of the service "exchange" that do not.
MAILBOX_PLANS = frozenset(
    (
        "9aaf7827-d63c-4b61-89c3-182f06f82e5c",  # EXCHANGE_S_STANDARD
        "efb87545-963c-4e0d-99df-69c6916d9eb0",  # EXCHANGE_S_ENTERPRISE
        "4a82b400-a79f-41a4-b4e2-e94f5787b113",  # EXCHANGE_S_DESKLESS
        "1126bef5-da20-4f07-b45e-ad25d2581aa8",  # EXCHANGE_S_ESSENTIALS
        "fc52cc4b-ed7d-472d-bbe7-b081c23ecc56",  # EXCHANGE_S_STANDARD_MIDMARKET
        "90927877-dcff-4af6-b346-2332c0b15bb7",  # EXCHANGE_B_STANDARD
        "e9b4930a-925f-45e2-ac2a-3f7788ca6fdd",  # EXCHANGE_S_STANDARD_GOV
        "8c3069c0-ccdb-44be-ab77-986203a67df2",  # EXCHANGE_S_ENTERPRISE_GOV
        "88f4d7ef-a73b-4246-8047-516022144c9f",  # EXCHANGE_S_DESKLESS_GOV
    )
)
NO_MAILBOX_PLANS = frozenset(
    (
        "113feb6c-3fe4-4440-bddc-54d774bf0318",  # EXCHANGE_S_FOUNDATION
        "176a09a6-7ec5-4039-ac02-b2791c6ba793",  # EXCHANGE_S_ARCHIVE_ADDON
    )
)
_UPN, _DELETED, _REFRESHED = "user principal name", "is deleted", "report refresh date"
_USED, _ITEMS, _QUOTA = "storage used (byte)", "item count", "prohibit send quota (byte)"
_NAME, _ACTIVE, _ARCHIVE = "display name", "last activity date", "has archive"
_READ = (_UPN, _NAME, _DELETED, _USED, _QUOTA, _ITEMS, _ACTIVE, _ARCHIVE, _REFRESHED)
# Every variant of the report has these; without one of them it is some other report.
_REQUIRED = frozenset(_READ) - {_ARCHIVE}
_is_concealed = re.compile(r"[0-9A-F]{32}").fullmatch
_CONCEALED_SHARE = 0.9
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}
_SOURCES = next(c.values for c in TABLES["m365.mailboxes"].columns if c.name == "mailbox_type_source")


class Mailbox(msgspec.Struct, frozen=True):
    """One row of the usage report."""

    upn: str
    display_name: str | None = None
    is_deleted: bool | None = None
    storage_used: int | None = None
    quota: int | None = None
    items: int | None = None
    last_activity: date | None = None
    has_archive: bool | None = None
    refreshed: date | None = None
    unknown_reason: str | None = None


def parse_report(text: str) -> list[Mailbox] | None:
    """The rows of a usage report; None if it is not one (a header that every variant has is missing)."""
    try:
        lines = list(csv.reader(text.removeprefix("\ufeff").splitlines(keepends=True)))
    except csv.Error:
        return None
    names = [name.strip().casefold() for name in lines[0]] if lines else []
    if not _REQUIRED.issubset(names):
        return None
    # A line that is too short lacks its last columns, a report its optional ones: both read an empty cell.
    absent = len(names)
    pick = itemgetter(*(names.index(name) if name in names else absent for name in _READ))
    rows = (pick(line + [""] * (absent + 1 - len(line)) if len(line) <= absent else line) for line in lines[1:])
    return [_mailbox(*row) for row in rows if row[0].strip()]


def _mailbox(
    upn: str, name: str, deleted: str, used: str, quota: str, items: str, active: str, archive: str, refreshed: str
) -> Mailbox:
    return Mailbox(
        upn=upn.strip(),
        display_name=name or None,
        is_deleted=_BOOLEANS.get(deleted.strip().lower()),
        storage_used=parse_count(used),
        quota=parse_count(quota),
        items=parse_count(items),
        last_activity=parse_date(active),
        has_archive=_BOOLEANS.get(archive.strip().lower()),
        refreshed=parse_date(refreshed),
    )


def unreadable_reason(rows: Sequence[Mailbox] | None, reason: str | None) -> str | None:
    """Why the report tells nothing, as a word of `unknown_reason`; None if it can be used.

    `reason` is what the reader noted with the stream; `rows` is None if there is no report or it is not understood.
    """
    if reason in UNKNOWN_REASONS:
        return reason
    if rows is None:
        return "unsupported"
    concealed = sum(_is_concealed(row.upn) is not None for row in rows)
    return "concealed" if rows and concealed > _CONCEALED_SHARE * len(rows) else None


def has_exchange_plan(user: User, licenses: Mapping[str, License]) -> bool:
    """True if the user's plans carry a mailbox; by the products' plans where the user's own were not told."""
    if user.assigned_plans is None:
        return any(
            not MAILBOX_PLANS.isdisjoint(licenses[sku_id].plan_ids.difference(license_.disabled_plans or ()))
            for license_ in user.assigned_licenses or ()
            if license_.sku_id and (sku_id := license_.sku_id.lower()) in licenses
        )
    for plan in user.assigned_plans:
        if plan.capability_status == "Enabled":
            plan_id = (plan.service_plan_id or "").lower()
            if plan_id in MAILBOX_PLANS:
                return True
            if plan.service is not None and plan.service.lower() == "exchange" and plan_id not in NO_MAILBOX_PLANS:
                return True
    return False


def mailbox_table(
    tenant_id: str,
    report: str | None,
    reason: str | None,
    *,
    users: Mapping[str, User],
    licenses: Mapping[str, License],
    types: Mapping[str, MailboxType],
) -> pa.Table:
    """`m365.mailboxes` of one tenant. `report` is the CSV text, None if there is none; `reason` why it says nothing."""
    rows = parse_report(report) if report is not None else None
    unknown = unreadable_reason(rows, reason)
    mailboxes: dict[str, Mailbox] = {}
    for row in rows or () if unknown is None else ():
        key = row.upn.lower()
        # A deleted mailbox lingers in the report under the name that a live one has now.
        if key not in mailboxes or not row.is_deleted or mailboxes[key].is_deleted:
            mailboxes[key] = row
    ids = {user.user_principal_name.lower(): id_ for id_, user in users.items() if user.user_principal_name}
    for upn, user_id in ids.items():
        user = users[user_id]
        if upn not in mailboxes and has_exchange_plan(user, licenses):
            mailboxes[upn] = Mailbox(upn, user.display_name, unknown_reason=unknown or "not_in_report")
    return _table(tenant_id, mailboxes, ids, types)


def _table(
    tenant_id: str, mailboxes: Mapping[str, Mailbox], ids: Mapping[str, str], types: Mapping[str, MailboxType]
) -> pa.Table:
    rows = list(mailboxes.values())
    user_ids = [ids.get(upn) for upn in mailboxes]
    known = list(_known_types(user_ids, types))
    columns: dict[str, Sequence[Any]] = {
        "tenant_id": [tenant_id] * len(rows),
        "user_principal_name": list(mailboxes),
        "user_id": user_ids,
        "display_name": [row.display_name for row in rows],
        "mailbox_type": [type_ for type_, _ in known],
        "mailbox_type_source": [source for _, source in known],
        "storage_used_bytes": [row.storage_used for row in rows],
        "prohibit_send_quota_bytes": [row.quota for row in rows],
        "item_count": [row.items for row in rows],
        "last_activity_date": [row.last_activity for row in rows],
        "has_archive": [row.has_archive for row in rows],
        "is_deleted": [row.is_deleted for row in rows],
        "report_refresh_date": [row.refreshed for row in rows],
        "unknown_reason": [row.unknown_reason for row in rows],
    }
    return to_table("m365.mailboxes", columns, len(rows))


def _known_types(
    user_ids: Sequence[str | None], types: Mapping[str, MailboxType]
) -> Iterator[tuple[str | None, str | None]]:
    for user_id in user_ids:
        known = types.get(user_id) if user_id is not None else None
        if known is None or not known.type:
            yield None, None
        else:
            yield known.type, known.source if known.source in _SOURCES else None
