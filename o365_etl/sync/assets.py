"""Our two flexible asset types: licenses of a tenant, and the Microsoft 365 data beside a contact.

Values are compared as plain text: IT Glue may give a text box back with other markup. A value that is not known is not
written, so that what stands there stays. What does not live here: how traits are merged with those that a person
added (`payloads`), and the names of the types (given by the caller).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from o365_etl.sync.changes import NEW_CONTACT, Change, FieldChange, Resource, Row

Kind = Literal["Text", "Textbox", "Number", "Date", "Tag"]
# The trait that tags contacts, in both types.
CONTACTS = "contacts"
# Numbers that move by themselves: alone they are no reason to write more often than this.
RESTLESS = frozenset(("mailbox-size", "last-activity", "last-sign-in"))
RESTLESS_DAYS = 7


@dataclass(frozen=True)
class Trait:
    """One field of a flexible asset type. IT Glue makes the trait's key of the name: lower case, blanks as hyphens."""

    name: str
    kind: Kind
    is_title: bool = False
    is_listed: bool = True

    @property
    def key(self) -> str:
        """The key under which an asset holds it."""
        return self.name.lower().replace(" ", "-")


LICENSE_TRAITS = (
    Trait("Product Name", "Text", is_title=True),
    Trait("Status", "Text"),
    Trait("Active", "Number"),
    Trait("Consumed", "Number"),
    Trait("Unused", "Number"),
    Trait("Renewal Date", "Date"),
    Trait("Contacts", "Tag", is_listed=False),
    Trait("Tenant ID", "Text", is_listed=False),
    Trait("SKU ID", "Text", is_listed=False),
)
USER_TRAITS = (
    Trait("User Name", "Text", is_title=True),
    Trait("Contacts", "Tag"),
    Trait("Sign In", "Text"),
    Trait("Licenses", "Textbox"),
    Trait("Aliases", "Textbox", is_listed=False),
    Trait("Mailbox Type", "Text"),
    Trait("Mailbox Size", "Text"),
    Trait("Last Activity", "Date"),
    Trait("Last Sign In", "Date"),
    Trait("Manage", "Text", is_listed=False),
    Trait("Tenant ID", "Text", is_listed=False),
    Trait("User ID", "Text", is_listed=False),
)
_KINDS: Mapping[str, Kind] = {trait.key: trait.kind for trait in (*USER_TRAITS, *LICENSE_TRAITS)}
_UNKNOWN = (None, "")
_TAG = re.compile(r"<[^>]*>")


def create_type(name: str) -> Change:
    """The flexible asset type itself, if the account lacks it."""
    return Change(
        tenant_id=None,
        organization_id=None,
        action="create",
        resource="flexible_asset_type",
        target_id=None,
        subject_id=name,
        fields={"name": FieldChange(None, name)},
        reason="the account has no such asset type yet",
    )


def license_asset(row: Row) -> Change | None:
    """One product of one tenant; None if it is documented as it is.

    `row` has tenant_id, sku_id, organization_id, asset_id (None: not documented), is_held (the tenant has it), wanted
    and found: trait key → value, and tags_wanted, tags_found: lists of contact ids (`user:<id>` for one to come).
    """
    if row["asset_id"] is None:
        return _create("license_asset", row, row["sku_id"], {"tenant-id": row["tenant_id"], "sku-id": row["sku_id"]})
    fields = _differences(row["wanted"], row["found"]) | _tags(row)
    return _update("license_asset", row, row["sku_id"], fields) if fields else None


def user_asset(row: Row, *, is_restless_due: bool) -> Change | None:
    """The Microsoft 365 data of one user beside his contact; None if it is documented as it is.

    `row` as for `license_asset`, with user_id. `is_restless_due`: the numbers that move by themselves may be a reason.
    """
    if row["asset_id"] is None:
        return _create("user_asset", row, row["user_id"], {"tenant-id": row["tenant_id"], "user-id": row["user_id"]})
    fields = _differences(row["wanted"], row["found"]) | _tags(row)
    if not fields or (not is_restless_due and RESTLESS.issuperset(fields)):
        return None
    return _update("user_asset", row, row["user_id"], fields)


def _create(resource: Resource, row: Row, subject_id: str, identity: Mapping[str, str]) -> Change:
    known = {name: value for name, value in row["wanted"].items() if value not in _UNKNOWN}
    fields = {name: FieldChange(None, value) for name, value in {**known, **identity}.items()}
    if row["tags_wanted"]:
        fields[CONTACTS] = FieldChange(None, _ordered(row["tags_wanted"]))
    return Change(
        row["tenant_id"], row["organization_id"], "create", resource, None, subject_id, fields, "not documented yet"
    )


def _update(resource: Resource, row: Row, subject_id: str, fields: Mapping[str, FieldChange]) -> Change:
    return Change(
        row["tenant_id"],
        row["organization_id"],
        "update",
        resource,
        row["asset_id"],
        subject_id,
        fields,
        "Microsoft 365 says otherwise",
    )


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, FieldChange]:
    return {
        name: FieldChange(found.get(name), value)
        for name, value in wanted.items()
        if value not in _UNKNOWN and not same_trait(name, value, found.get(name))
    }


def _tags(row: Row) -> dict[str, FieldChange]:
    wanted, found = set(row["tags_wanted"]), set(row["tags_found"])
    if wanted == found or not wanted:
        # Nobody holds it any more, or nobody is known to: a blank never overwrites.
        return {}
    return {CONTACTS: FieldChange(_ordered(found) or None, _ordered(wanted))}


def same_trait(key: str, one: Any, other: Any) -> bool:
    """True if two values of a trait say the same to a reader."""
    if key == CONTACTS:
        return set(tag_ids(one)) == set(tag_ids(other))
    if one is None or other is None:
        return one is other
    if _KINDS.get(key) == "Number":
        return _number(one) == _number(other)
    if _KINDS.get(key) == "Date":
        return str(one)[:10] == str(other)[:10]
    return _plain(key, one) == _plain(key, other)


def tag_ids(value: Any) -> list[str]:
    """The ids of a tag trait, as it is read (an object with values) or as it is written (a list of ids)."""
    if isinstance(value, Mapping):
        value = [each.get("id") if isinstance(each, Mapping) else each for each in value.get("values") or ()]
    return [str(each) for each in value or () if each is not None]


def is_tag(value: Any) -> bool:
    """True for a trait as it is read that names records by their ids; an upload has none, for one."""
    return (
        isinstance(value, Mapping)
        and "values" in value
        and all(isinstance(each, Mapping) and each.get("id") is not None for each in value["values"] or ())
    )


def _ordered(ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=lambda each: (each.startswith(NEW_CONTACT), len(each), each))


def _number(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _plain(key: str, value: Any) -> str:
    # Only a text box holds markup: "<none>" in any other is what it says.
    text = _TAG.sub(" ", str(value)) if _KINDS.get(key) == "Textbox" else str(value)
    return " ".join(html.unescape(text).split())


def as_fields(traits: Sequence[Trait]) -> list[dict[str, Any]]:
    """The fields of a type as IT Glue takes them when the type is created."""
    return [
        {
            "order": number,
            "name": trait.name,
            "kind": trait.kind,
            "required": trait.is_title,
            "show-in-list": trait.is_listed,
            "use-for-title": trait.is_title,
            **({"tag-type": "Contacts"} if trait.kind == "Tag" else {}),
        }
        for number, trait in enumerate(traits, start=1)
    ]
