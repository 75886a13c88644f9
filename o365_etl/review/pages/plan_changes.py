"""How changes look on the page of a tenant's plan: grouped, with names for ids, old and new of each field side by side.

What does not live here: which changes there are (`pipeline.planned`), and the page itself (`plan`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from o365_etl.pipeline import planned
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.rendering import word
from o365_etl.sync.changes import NEW_CONTACT

Row = dict[str, Any]

# Members of a list that are named; of the others the number is told.
MOST_NAMED = 8
RESOURCES = {
    "organization": "Organization",
    "location": "Location",
    "contact": "Contact",
    "flexible_asset_type": "Asset type of the account",
    "license_asset": "License",
    "user_asset": "Microsoft 365 data of a contact",
}


def grouped(workspace: Workspace, tenant_id: str | None, changes: Sequence[Row]) -> list[Row]:
    """The changes under what is done to which kind of record, with names for ids."""
    listed = {id(each): _compared(each["old"], each["new"]) for change in changes for each in change["fields"].values()}
    contacts: set[str] = set()
    users: set[str] = set()
    for change in changes:
        if change["resource"] == "contact" and not _is_user(change) and change["target_id"]:
            contacts.add(change["target_id"])
        for member in _members(change, listed):
            (users if member.startswith(NEW_CONTACT) else contacts).add(member.removeprefix(NEW_CONTACT))
    names = planned.names_of(workspace, tenant_id, contacts, users)

    def said(member: str, field: str) -> str:
        return names.get(member.removeprefix(NEW_CONTACT), member) if field == "contacts" else member

    groups: dict[tuple[str, str], Row] = {}
    for change in changes:
        fields = []
        for name, each in change["fields"].items():
            sides = listed[id(each)]
            shown = {kind: [said(member, name) for member in sides[kind]] for kind in ("gone", "kept", "new")}
            fields.append(
                {"name": word(name.replace("-", "_")), "is_list": sides["is_list"], "more": sides["more"], **shown}
            )
        group = groups.setdefault(
            (change["resource"], change["action"]),
            {"resource": change["resource"], "action": change["action"], "changes": []},
        )
        group["changes"].append(
            {
                **change,
                "subject": _subject(change, names),
                "is_user": _is_user(change),
                "reason": planned.reason_of(change["reason"]),
                "fields": fields,
            }
        )
    return list(groups.values())


def _is_user(change: Row) -> bool:
    """Whether a change is about a user who is there."""
    return change["user_principal_name"] is not None or change["display_name"] is not None


def _members(change: Row, listed: Mapping[int, Row]) -> Iterator[str]:
    """The contacts that a change names in a list, by their ids or as the user whose contact is still to be created."""
    each = change["fields"].get("contacts")
    if each is not None:
        for kind in ("gone", "kept", "new"):
            yield from listed[id(each)][kind]


def _subject(change: Row, names: Mapping[str, str]) -> str:
    """What a change is about, by its name where that is known."""
    own = change["display_name"] or change["user_principal_name"] or change["product_name"]
    if own is None and change["resource"] == "contact":
        own = names.get(change["target_id"] or "")
    if own is None and change["resource"] in ("organization", "location", "flexible_asset_type"):
        named = change["fields"].get("name", {})
        own = named.get("new") or named.get("old") or RESOURCES[change["resource"]]
    return str(own or change["subject_id"] or change["target_id"] or RESOURCES[change["resource"]])


def _compared(old: Any, new: Any) -> Row:
    """Two values of a field as texts: what goes, what stays, what comes; `more` counts what is not named of a list."""
    if not isinstance(old, list) and not isinstance(new, list):
        return {"is_list": False, "gone": _texts(old), "kept": [], "new": _texts(new), "more": {"gone": 0, "new": 0}}
    before, after = _texts(old), _texts(new)
    sides = {
        "gone": [each for each in before if each not in set(after)],
        "kept": [each for each in before if each in set(after)],
        "new": [each for each in after if each not in set(before)],
    }
    more = {kind: max(0, len(each) - MOST_NAMED) for kind, each in sides.items()}
    return {"is_list": True, **{kind: each[:MOST_NAMED] for kind, each in sides.items()}, "more": more}


def _texts(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
