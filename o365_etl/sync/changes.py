"""One change: what would be written to one record of IT Glue, and why.

A change is known by its content. The same difference found by the next sync is the same change, so an approval of a
plan stays good for exactly as long as the plan says the same.

What does not live here: how changes are found (the modules beside this one) and how they are written (`apply`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

Action: TypeAlias = Literal["create", "update", "deactivate"]
Resource: TypeAlias = Literal[
    "organization", "location", "contact", "flexible_asset_type", "license_asset", "user_asset"
]
# A text, a number, or a list of texts; None is blank.
Value: TypeAlias = Any


@dataclass(frozen=True)
class FieldChange:
    """What a field holds in IT Glue according to the last read (None: blank), and what it shall hold."""

    old: Value
    new: Value


@dataclass(frozen=True)
class Change:
    """One write to one record.

    `tenant_id` is None for what belongs to the whole account (an asset type). `organization_id` is None while the
    organization is itself still to be created: then it is the one that tenant's own organization change creates.
    `target_id` is None for a create. `subject_id` is the user or the SKU it is about. A list of contacts in `fields`
    names a contact by its id, or a user whose contact the same plan creates as `user:<user id>`.
    """

    tenant_id: str | None
    organization_id: str | None
    action: Action
    resource: Resource
    target_id: str | None
    subject_id: str | None
    fields: Mapping[str, FieldChange]
    reason: str
    is_skipped: bool = False

    @cached_property
    def change_id(self) -> str:
        """32 hexadecimal digits over everything but the reason."""
        content = [self.tenant_id, self.organization_id, self.action, self.resource, self.target_id, self.subject_id]
        return _digest([*content, self.fields_json, self.is_skipped])

    @property
    def fields_json(self) -> str:
        """`fields` as `sync.changes` shows them, always in the same order."""
        return json.dumps(
            {name: {"old": field.old, "new": field.new} for name, field in sorted(self.fields.items())},
            ensure_ascii=False,
        )


def fields_from_json(text: str) -> dict[str, FieldChange]:
    """The inverse of `Change.fields_json`."""
    return {name: FieldChange(field["old"], field["new"]) for name, field in json.loads(text).items()}


def plan_hash(change_ids: Iterable[str]) -> str:
    """The hash of a set of changes, in whatever order: 32 hexadecimal digits."""
    return _digest(sorted(change_ids))


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]
