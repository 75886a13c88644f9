"""The contact: one user of Microsoft 365 beside his contact in IT Glue, field by field, with who owns each field, what
the plan does with it, and how it came to that.

What does not live here: the steps of the match (`pipeline.reporting`), and deciding it (`ambiguous`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.config import Mode
from o365_etl.pipeline import reporting
from o365_etl.review.answering import page, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.rendering import plural, share, word

Row = dict[str, Any]

# Who owns a field, and what that means.
OWNERS: Mapping[str, tuple[str, str]] = {
    "microsoft": ("Microsoft 365", "IT Glue follows"),
    "itglue": ("IT Glue", "never written"),
    "fill_blank": ("IT Glue", "written only where it is empty"),
}
_TYPE_SOURCES: Mapping[str, str] = {
    "report": "by the usage report",
    "mailbox_settings": "by the mailbox's own settings",
    "last_known": "as last known",
    "heuristic": "a guess",
}
# Shares of the quota from which a mailbox is worth a look, and from which it is about to stop.
_FILLING, _FULL = 80.0, 95.0


def show(request: Request) -> Response:
    """One user, side by side."""
    workspace = workspace_of(request)
    tenant_id, user_id = request.path_params["tenant_id"], request.path_params["user_id"]
    one = reporting.explain_user(workspace, tenant_id, user_id)
    settings, match = workspace.settings, one["match"] or {}
    contact = {"contact_id": match.get("contact_id"), "resource_url": None, "sync_owner": None}
    for each in one["candidates"]:
        if each["contact_id"] == contact["contact_id"]:
            contact |= each
    tenant = (one["read"] or [{}])[0]
    changes = [{**each, "lines": _lines(each["fields"])} for each in one["changes"]]
    waiting = [each for each in changes if each["finished_at"] is None]
    return page(
        request,
        "contact.html",
        {
            **one,
            "tenant_id": tenant_id,
            "user_id": user_id,
            "tenant": tenant,
            "tenant_name": tenant.get("display_name") or tenant_id,
            "name": one["user"]["display_name"] or one["user"]["user_principal_name"] or user_id,
            "status": match.get("status"),
            "is_off": settings.itglue.mode == "off",
            "match": match,
            "organization": (one["organization"] or [{}])[0],
            "contact": contact,
            "evidence": evidence(match.get("evidence"), match.get("rule"), match.get("status")),
            "fields": _fields(one, settings.fields.contact.model_dump(), settings.itglue.mode),
            "mailboxes": [_mailbox(each) for each in one["mailbox"]],
            "sign_in_unknown": _sign_in_unknown(tenant),
            "contact_changes": [each for each in waiting if each["resource"] == "contact"],
            "other_changes": [each for each in waiting if each["resource"] != "contact"],
            "finished": [each for each in changes if each["finished_at"] is not None],
            "decisions": [_decision(each) for each in workspace.state.decisions.history(tenant_id, user_id)],
        },
    )


def evidence(document: str | None, rule: str | None, status: str | None) -> list[str]:
    """What a rule saw, in sentences."""
    facts: Mapping[str, Any] = json.loads(document or "{}")
    said = {
        "address": "Both have the address {}.",
        "name": "Both are called {}.",
        "linked_contact_gone": "The contact, {}, is not in this organization any more.",
        "decided_contact_gone": "The contact that was chosen, {}, is not in this organization any more.",
    }
    sentences = [text.format(facts[key]) for key, text in said.items() if facts.get(key)]
    if facts.get("linked"):
        sentences.append("An earlier sync found this contact; the link outlives changes of name and address.")
    if status == "ambiguous" and "users" in facts and "contacts" in facts:
        contacts, users = plural(facts["contacts"], "contact"), plural(facts["users"], "user")
        sentences.append(f"{contacts} and {users} fit each other ({word(rule)}): a person decides.")
    sentences += [
        f"This user resembles contact {each['contact_id']}: {', '.join(word(why) for why in each['why'])}."
        for each in facts.get("resembles") or ()
    ]
    return sentences


def _fields(one: Row, owners: Mapping[str, str], mode: Mode) -> list[Row]:
    """Each field: both sides, their state, who owns it, and what the plan does with it."""
    changes = [each for each in one["changes"] if each["resource"] == "contact"]
    open_ones = [each for each in changes if each["finished_at"] is None]
    read_at = one["read"][0]["as_of"] if one["read"] else None
    # Compared is what was read: a change written since then still shows as a difference.
    written = [
        each
        for each in changes
        if each["state"] == "applied" and each["finished_at"] and (read_at is None or each["finished_at"] > read_at)
    ]
    compared = {row["field"]: row for row in one["comparison"]}
    if not compared:
        compared = {
            field: {"field": field, "m365_value": _text(value["new"]), "itglue_value": None, "state": "only_m365"}
            for change in [*open_ones, *written]
            if change["action"] == "create"
            for field, value in change["fields"].items()
        }
    is_stale = bool(one["read"] and one["read"][0]["is_stale"])
    rows = []
    for field, owner in owners.items():
        if (row := compared.get(field)) is None:
            continue
        rows.append(
            {
                **row,
                "m365_values": _values(field, row["m365_value"]),
                "itglue_values": _values(field, row["itglue_value"]),
                "owner": OWNERS[owner][0],
                "owner_means": OWNERS[owner][1],
                "change": _change_of(field, open_ones),
                "written": _change_of(field, written),
                "nothing": _why_nothing(field, row, owner, mode, is_stale=is_stale),
            }
        )
    return rows


def _change_of(field: str, changes: Iterable[Row]) -> Row | None:
    """What a change does with a field: what goes, what comes, and how far the change is."""
    for change in changes:
        if field in change["fields"]:
            old, new = _listed(change["fields"][field]["old"]), _listed(change["fields"][field]["new"])
            return {
                "old": [value for value in old if value not in new],
                "new": [value for value in new if value not in old],
                "state": change["state"],
                "finished_at": change["finished_at"],
            }
    return None


def _why_nothing(field: str, row: Row, owner: str, mode: Mode, *, is_stale: bool) -> str:
    """Why the plan leaves a field alone."""
    state = row["state"]
    if state == "equal":
        return "Nothing to do"
    if state == "unknown":
        return "Nothing: one side is not known"
    if state == "only_itglue":
        return "Nothing: an empty value never overwrites"
    if owner == "itglue":
        return "Nothing: IT Glue owns this field"
    if owner == "fill_blank" and state == "different":
        return "Nothing: only an empty field is filled"
    if mode == "off":
        return "Nothing: writing is switched off"
    if is_stale:
        return "Nothing: the tenant could not be read completely"
    if field == "email_addresses":
        return "Nothing: IT Glue has all of them, and keeps its own"
    if field in ("phone", "mobile_phone"):
        return "Nothing: IT Glue has this number already"
    return "Nothing is planned"


def _values(field: str, value: str | None) -> list[str]:
    """A compared value in lines: addresses are one text there."""
    if value is None:
        return []
    return value.split(", ") if field == "email_addresses" else [value]


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _lines(fields: Mapping[str, Row]) -> list[tuple[str, str | None, str | None]]:
    """The fields of a change: name, old and new as a person reads them."""
    return [(word(name.replace("-", " ")), _text(each["old"]), _text(each["new"])) for name, each in fields.items()]


def _text(value: Any) -> str | None:
    return ", ".join(_listed(value)) or None


def _mailbox(row: Mapping[str, Any]) -> Row:
    """A mailbox with its size in words and as a share of its quota."""
    used, quota = row["storage_used_bytes"], row["prohibit_send_quota_bytes"]
    percent = share(used, quota) if used is not None and quota else None
    kind = "plain"
    if percent is not None and percent >= _FILLING:
        kind = "bad" if percent >= _FULL else "warn"
    # A share is told as it is, also past the quota; the bar ends there.
    words = f"{100 * used / quota:.0f} % used" if percent is not None else None
    return {
        **row,
        "percent": percent,
        "kind": kind,
        "words": words,
        "type_source": _TYPE_SOURCES.get(row["mailbox_type_source"] or "", ""),
    }


def _sign_in_unknown(tenant: Mapping[str, Any]) -> str | None:
    """Why nobody can say when he signed in last; None if Microsoft tells it."""
    if tenant.get("sign_ins") == "ok":
        return None
    return word(tenant.get("sign_ins_reason")) or "it was not read at the last sync"


def _decision(row: Mapping[str, Any]) -> Row:
    said = {
        "to": f"This is contact {row['contact_id']}",
        "create": "A new contact is created",
        "ignore": "No contact is wanted",
        "undo": "The decision before was taken back",
    }
    return {**row, "said": said.get(row["action"], row["action"])}


PAGES: Mapping[str, Callable[[Request], Response]] = {"/tenants/{tenant_id}/users/{user_id}": show}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {}
