"""Users that left: four different states, a grace period, and a mark on the contact. Never a deletion.

What does not live here: since when somebody is gone (the state store remembers) and who is (`store/sql`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from o365_etl.normalise import normalise
from o365_etl.sync.changes import Change, FieldChange, Row, owned_by

LeaverState: TypeAlias = Literal["gone", "disabled", "shared", "unlicensed"]
# How the line begins that the note carries, and by which contacts that may carry one are found.
MARK = "Left Microsoft 365"
_WORDS = {
    "gone": "deleted there",
    "disabled": "sign-in blocked",
    "shared": "mailbox converted to shared",
    "unlicensed": "no license any more",
}
# Exactly our line: what a person wrote about somebody who left is not ours to take away.
_LINE = re.compile(rf"\s*{MARK}: (?:{'|'.join(_WORDS.values())}), since \d{{4,}}-\d\d-\d\d\.\s*")


def deactivate(leaver: Row, at: datetime, grace_days: int, contact_type: str | None) -> Change | None:
    """The mark for the contact of a user who left; None during the grace period, or if it is marked already.

    `leaver` has tenant_id, user_id, organization_id, contact_id, sync_owner, state, since, notes, contact_type.
    `contact_type` None: a line in the notes; else that type.
    """
    if at - leaver["since"] < timedelta(days=grace_days):
        return None
    if contact_type is None:
        if _without_line(leaver["notes"] or "") is not None:
            return None
        line = f"{MARK}: {_WORDS[leaver['state']]}, since {leaver['since']:%Y-%m-%d}."
        fields = {"notes": FieldChange(leaver["notes"], "\n".join(filter(None, [leaver["notes"], line])))}
    else:
        if normalise(leaver["contact_type"] or "") == normalise(contact_type):
            return None
        fields = {"contact_type": FieldChange(leaver["contact_type"], contact_type)}
    return _change(leaver, "deactivate", fields, f"the user left: {leaver['state']}")


def reactivate(returned: Row) -> Change | None:
    """Take the line out of the notes of a contact whose user is back; None if there is none.

    A contact type that was changed stays: nobody remembers for certain what it was before.
    """
    notes = returned["notes"] or ""
    kept = _without_line(notes)
    if kept is None:
        return None
    return _change(returned, "update", {"notes": FieldChange(notes, kept)}, "the user is back")


def _without_line(notes: str) -> str | None:
    """The notes without our line; None if it is not there."""
    lines = notes.split("\n")
    kept = [line for line in lines if not _LINE.fullmatch(line)]
    return "\n".join(kept) if len(kept) < len(lines) else None


def _change(row: Row, action: Literal["update", "deactivate"], fields: dict[str, FieldChange], reason: str) -> Change:
    return Change(
        tenant_id=row["tenant_id"],
        organization_id=row["organization_id"],
        action=action,
        resource="contact",
        target_id=row["contact_id"],
        subject_id=row["user_id"],
        fields=fields,
        reason=reason,
        skipped_because=owned_by(row["sync_owner"]),
    )
