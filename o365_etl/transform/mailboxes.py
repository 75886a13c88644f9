"""`m365.mailboxes` of one tenant: Microsoft's usage report, joined to the users.

Where the report cannot be read (forbidden, concealed, not offered in this cloud, not understood) every user with an
Exchange plan has a row whose figures are NULL with the reason: unknown is never zero.

What does not live here: how a report is read (`usage_report`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from o365_etl.tables import TABLES, UNKNOWN_REASONS
from o365_etl.transform.answers import MailboxType, User
from o365_etl.transform.columns import Values, to_table
from o365_etl.transform.licenses import License
from o365_etl.transform.usage_report import read_report

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
_is_concealed = re.compile(r"[0-9A-F]{32}").fullmatch
_CONCEALED_LENGTH = 32
_CONCEALED_SHARE = 0.9
_SOURCES = next(c.values for c in TABLES["m365.mailboxes"].columns if c.name == "mailbox_type_source")


def unreadable_reason(names: Collection[str] | None, reason: str | None) -> str | None:
    """Why the report tells nothing, as a word of `unknown_reason`; None if it can be used.

    `names` are the user names in the report, None if there is no report or it is not understood; `reason` is what the
    reader noted with the stream.
    """
    if reason in UNKNOWN_REASONS:
        return reason
    if names is None:
        return "unsupported"
    concealed = sum(1 for name in names if len(name) == _CONCEALED_LENGTH and _is_concealed(name))
    return "concealed" if names and concealed > _CONCEALED_SHARE * len(names) else None


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
    read = read_report(report) if report is not None else None
    unknown = unreadable_reason(read.names if read else None, reason)
    ids = {user.user_principal_name.lower(): id_ for id_, user in users.items() if user.user_principal_name}
    told: list[str] = []
    tables = []
    if read is not None and unknown is None:
        told, figures = read.mailboxes()
        user_ids = [ids.get(upn) for upn in told]
        tables.append(_table(tenant_id, told, user_ids, {**figures, **_known_types(user_ids, types)}))
    seen = set(told)
    missing = {
        upn: user_id for upn, user_id in ids.items() if upn not in seen and has_exchange_plan(users[user_id], licenses)
    }
    if missing or not tables:
        rest: dict[str, Values] = {
            "display_name": [users[user_id].display_name for user_id in missing.values()],
            "unknown_reason": unknown or "not_in_report",
            **_known_types(list(missing.values()), types),
        }
        tables.append(_table(tenant_id, list(missing), list(missing.values()), rest))
    return pa.concat_tables(tables)


def _table(
    tenant_id: str, names: Sequence[str], user_ids: Sequence[str | None], more: Mapping[str, Values]
) -> pa.Table:
    columns = {"tenant_id": tenant_id, "user_principal_name": names, "user_id": user_ids, **more}
    return to_table("m365.mailboxes", columns, len(names))


def _known_types(user_ids: Sequence[str | None], types: Mapping[str, MailboxType]) -> dict[str, Sequence[str | None]]:
    if not types:
        return {}
    unknown = MailboxType()
    known = [types.get(user_id, unknown) if user_id is not None else unknown for user_id in user_ids]
    return {
        "mailbox_type": [each.type or None for each in known],
        "mailbox_type_source": [each.source if each.type and each.source in _SOURCES else None for each in known],
    }
