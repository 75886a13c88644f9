"""One change: what would be written to one record of IT Glue, and why.

A change is known by its content. The same difference found by the next sync is the same change, so an approval of a
plan stays good for exactly as long as the plan says the same (its hash is made of the ids, in `store.plan`).

What does not live here: how changes are found (the modules beside this one) and how they are written (`apply`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring
from typing import Any, Literal, TypeAlias

import msgspec

Action: TypeAlias = Literal["create", "update", "deactivate"]
Resource: TypeAlias = Literal[
    "organization", "location", "contact", "flexible_asset_type", "license_asset", "user_asset"
]
# A text, a number, or a list of texts; None is blank.
Value: TypeAlias = Any
Row: TypeAlias = Mapping[str, Any]

# As json.dumps, which would make an encoder for each of a million changes.
_as_json = json.JSONEncoder(ensure_ascii=False).encode
# The state of a change that is shown and not written.
SKIPPED = "skipped"
# A contact that the same plan creates has no id yet: lists name it by its user.
NEW_CONTACT = "user:"


class FieldChange(msgspec.Struct, frozen=True, gc=False):
    """What a field holds in IT Glue according to the last read (None: blank), and what it shall hold."""

    old: Value
    new: Value


@dataclass(frozen=True)
class Change:
    """One write to one record.

    `tenant_id` is None for what belongs to the whole account (an asset type). `organization_id` is None while the
    organization is itself still to be created: then it is the one that tenant's own organization change creates.
    `target_id` is None for a create. `subject_id` is the user or the SKU it is about. A list of contacts in `fields`
    names a contact by its id, or a user whose contact the same plan creates as `user:<user id>`. `skipped_because`
    says why a change is shown and not written (somebody else owns the record).
    """

    tenant_id: str | None
    organization_id: str | None
    action: Action
    resource: Resource
    target_id: str | None
    subject_id: str | None
    fields: Mapping[str, FieldChange]
    reason: str
    skipped_because: str | None = None

    @cached_property
    def change_id(self) -> str:
        """32 hexadecimal digits over everything but the reason."""
        content = [self.tenant_id, self.organization_id, self.action, self.resource, self.target_id, self.subject_id]
        said = ", ".join([_text(each) for each in (*content, self.fields_json, self.skipped_because)])
        return hashlib.sha256(f"[{said}]".encode()).hexdigest()[:32]

    @cached_property
    def fields_json(self) -> str:
        """`fields` as `sync.changes` shows them, always in the same order."""
        said = [
            f'{encode_basestring(name)}: {{"old": {_text(field.old)}, "new": {_text(field.new)}}}'
            for name, field in sorted(self.fields.items())
        ]
        return f"{{{', '.join(said)}}}"

    @classmethod
    def of_row(cls, row: Row) -> Change:
        """The inverse of what the plan writes into `sync.changes`."""
        return cls(
            tenant_id=row["tenant_id"],
            organization_id=row["organization_id"],
            action=row["action"],
            resource=row["resource"],
            target_id=row["target_id"],
            subject_id=row["subject_id"],
            fields={name: FieldChange(f["old"], f["new"]) for name, f in json.loads(row["fields"]).items()},
            reason=row["reason"] or "",
            skipped_because=row["reason"] if row.get("state") == SKIPPED else None,
        )


def owned_by(integration: str | None) -> str | None:
    """Why a record is not written: another integration owns it. None if none does."""
    return f"owned by the integration {integration}" if integration else None


def filled(fields: Mapping[str, FieldChange]) -> dict[str, FieldChange]:
    """Without the fields whose new value is blank: a blank never overwrites, and is not worth creating."""
    return {name: field for name, field in fields.items() if field.new not in (None, "", [])}


def _text(value: Value) -> str:
    """A value as `json.dumps` writes it, whose way through an encoder costs a text six times as much."""
    if value is None:
        return "null"
    if type(value) is str:
        return encode_basestring(value)
    return f"[{', '.join([_text(each) for each in value])}]" if type(value) is list else _as_json(value)
