"""Users that only a person can match: each with the contacts in question, side by side; and what was decided of users.

What does not live here: what a decision does (`pipeline.deciding`), and tenants (`matching`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from o365_etl.errors import ConflictError, NotFoundError, O365EtlError
from o365_etl.normalise import digits, normalise
from o365_etl.pipeline import deciding
from o365_etl.pipeline.standing import Standing, not_in_effect, standings
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.review.answering import back, desk_of, page, session_of, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.pages.conflict import LONGEST_REASON, conflict
from o365_etl.review.paging import page_of
from o365_etl.review.rendering import plural, segment, word
from o365_etl.store.state_decisions import UserDecision

Row = dict[str, Any]
PER_PAGE = 20
# Contacts that a search shows at once.
FOUND = 20
# A number with fewer digits is an extension.
_SHORTEST_PHONE = 7

_KINDS = {
    "swapped_names": "first and last name swapped",
    "display_name": "the display name is the contact's",
    "typo": "almost the same name",
    "same_mailbox": "same mailbox name at another domain",
    "nickname": "same last name, related first name",
    "same_phone": "same phone number",
    "changed_surname": "same first name, other last name",
}


def show(request: Request) -> Response:
    """The users to decide, or those that were decided, 20 at a time."""
    workspace = workspace_of(request)
    tenant = standings(workspace).of(request.path_params["tenant_id"])
    path = f"/tenants/{segment(tenant.tenant_id)}/ambiguous"
    decided = standings(workspace).user_decisions.get(tenant.tenant_id, {})
    pending = {each.user_id for each in not_in_effect(workspace, decided.values())}
    is_decided = request.query_params.get("show") == "decided"
    to_decide = _to_decide(workspace, tenant.tenant_id, decided, pending)
    listed = list(decided) if is_decided else to_decide
    number, pages = page_of(request, len(listed), PER_PAGE)
    listed = listed[(number - 1) * PER_PAGE : number * PER_PAGE]
    matches = _matches(workspace, tenant.tenant_id, listed)
    rows = [matches[user_id] for user_id in listed if user_id in matches]
    text, asked = request.query_params.get("q", "").strip(), request.query_params.get("user", "")
    did = decided.get(request.query_params.get("did", ""))
    address = f"{path}?" + urlencode({"show": "decided" if is_decided else "open"})
    return page(
        request,
        "ambiguous.html",
        {
            "tenant": tenant,
            "path": path,
            "people": _people(workspace, tenant, rows, decided, pending),
            "is_decided": is_decided,
            "counts": {"open": len(to_decide), "decided": len(decided)},
            "number": number,
            "pages": pages,
            "address": address,
            "here_again": f"{address}&page={number}",
            "did": did,
            "did_says": _in_a_sentence(workspace, tenant, did, is_in_effect=did.user_id not in pending) if did else "",
            "asked": asked,
            "text": text,
            "found": _found_contacts(workspace, tenant, text) if asked and text else [],
        },
    )


def _to_decide(
    workspace: Workspace, tenant_id: str, decided: Mapping[str, UserDecision], pending: Collection[str]
) -> list[str]:
    """The users a person has to look at, by name: no rule decides, or what was decided was taken back since."""
    rows = query(
        workspace,
        "SELECT user_id, status FROM match.contacts WHERE tenant_id = ? AND (status = 'ambiguous' OR rule = 'decision')"
        " ORDER BY user_principal_name, user_id",
        [tenant_id],
    )
    return [
        row["user_id"]
        for row in rows
        if (row["user_id"] not in pending if row["status"] == "ambiguous" else row["user_id"] not in decided)
    ]


def _matches(workspace: Workspace, tenant_id: str, ids: Sequence[str]) -> dict[str, Row]:
    rows = query(
        workspace,
        f"SELECT * FROM match.contacts WHERE tenant_id = ? AND user_id IN ({_marks(ids)})",
        [tenant_id, *ids],
    )
    return {row["user_id"]: row for row in rows}


def _marks(values: Collection[str]) -> str:
    """As many parameters as there are values: constants, unlike a list, are looked for while the table is read."""
    return ", ".join("?" * len(values)) or "NULL"


def _people(
    workspace: Workspace,
    tenant: Standing,
    rows: Sequence[Row],
    decided: Mapping[str, UserDecision],
    pending: Collection[str],
) -> list[Row]:
    """Each user with what is known of him, and the contacts in question beside him."""
    users = _users(workspace, tenant.tenant_id, [row["user_id"] for row in rows])
    parsed = [(row, json.loads(row["candidates"] or "[]"), json.loads(row["evidence"] or "{}")) for row in rows]
    wanted = {each for _, candidates, _ in parsed for each in candidates}
    wanted |= {row["contact_id"] for row in rows if row["contact_id"]}
    wanted |= {each.contact_id for row in rows if (each := decided.get(row["user_id"])) and each.contact_id}
    contacts = _contacts(workspace, tenant.organization_id, wanted)
    claims = _claims(workspace, tenant.organization_id, wanted)
    people = []
    for row, candidates, seen in parsed:
        user = users.get(row["user_id"], {"display_name": None, "job_title": None, "addresses": [], "phones": []})
        decision = decided.get(row["user_id"])
        why = {each["contact_id"]: each["why"] for each in seen.get("resembles", ())}
        shown = candidates or ([row["contact_id"]] if row["contact_id"] else [])
        if decision and decision.contact_id and decision.contact_id not in shown:
            shown = [decision.contact_id, *shown]
        people.append(
            {
                **row,
                **user,
                "mails": [(each, False) for each in user["addresses"]],
                "calls": [(each, False) for each in user["phones"]],
                "says": _reason(row, seen),
                "decision": decision,
                "is_pending": row["user_id"] in pending,
                # Published as decided, and not decided any more.
                "is_taken_back": decision is None and row["status"] != "ambiguous",
                "did": _in_words(decision, contacts) if decision else "",
                "seen": decision.id if decision else 0,
                "contacts": [
                    _beside(
                        user, contacts.get(each, {"contact_id": each}), row, claims.get(each, ()), why.get(each, ())
                    )
                    for each in shown
                ],
            }
        )
    return people


def _users(workspace: Workspace, tenant_id: str, ids: Sequence[str]) -> dict[str, Row]:
    rows = query(
        workspace,
        # The tenant stands in each part, so that only its rows are looked through.
        "WITH mails AS (SELECT user_id, list(address ORDER BY array_position(['primary', 'alias', 'upn', 'other'],"
        " kind), address) AS addresses FROM m365.user_addresses"
        f" WHERE tenant_id = ? AND user_id IN ({_marks(ids)}) GROUP BY user_id)"
        " SELECT user_id, display_name, given_name, surname, job_title,"
        " list_filter([business_phone, mobile_phone], lambda x: x IS NOT NULL) AS phones,"
        " coalesce(addresses, []) AS addresses FROM m365.users LEFT JOIN mails USING (user_id)"
        f" WHERE tenant_id = ? AND user_id IN ({_marks(ids)})",
        [tenant_id, *ids, tenant_id, *ids],
    )
    return {row["user_id"]: row for row in rows}


def _contacts(workspace: Workspace, organization_id: str | None, ids: Collection[str]) -> dict[str, Row]:
    wanted = [organization_id, *sorted(ids)]
    own = f"WHERE organization_id = ? AND contact_id IN ({_marks(ids)})"
    rows = query(
        workspace,
        "WITH mails AS (SELECT contact_id, list(address ORDER BY is_primary DESC NULLS LAST, address) AS addresses"
        f" FROM itglue.contact_emails {own} GROUP BY contact_id),"
        " calls AS (SELECT contact_id, list(number ORDER BY is_primary DESC NULLS LAST, number) AS phones"
        f" FROM itglue.contact_phones WHERE contact_id IN ({_marks(ids)}) GROUP BY contact_id)"
        " SELECT c.contact_id, c.first_name, c.last_name, c.title, c.sync_owner, c.resource_url,"
        " coalesce(m.addresses, []) AS addresses, coalesce(p.phones, []) AS phones"
        f" FROM (SELECT * FROM itglue.contacts {own}) c"
        " LEFT JOIN mails m USING (contact_id) LEFT JOIN calls p USING (contact_id)",
        [*wanted, *sorted(ids), *wanted],
    )
    return {row["contact_id"]: row for row in rows}


def _claims(workspace: Workspace, organization_id: str | None, ids: Collection[str]) -> dict[str, list[Row]]:
    """Contact id → the users who have it or for whom it is in question, of every tenant of this organization."""
    claims: dict[str, list[Row]] = {}
    for row in query(
        workspace,
        "WITH claims AS (SELECT tenant_id, user_id, user_principal_name, status,"
        " unnest(CASE WHEN contact_id IS NOT NULL THEN [contact_id]"
        " ELSE from_json(candidates, '[\"VARCHAR\"]') END) AS contact_id FROM match.contacts"
        " WHERE organization_id = ? AND status IN ('matched', 'ambiguous'))"
        " SELECT * FROM claims WHERE contact_id IN (SELECT unnest(?::VARCHAR[]))"
        " QUALIFY row_number() OVER (PARTITION BY contact_id ORDER BY status DESC, user_principal_name) <= 4"
        " ORDER BY status DESC, user_principal_name",
        [organization_id, sorted(ids)],
    ):
        claims.setdefault(row["contact_id"], []).append(row)
    return claims


def _beside(user: Row, contact: Row, row: Row, claims: Sequence[Row], why: Sequence[str]) -> Row:
    """A contact as it is shown beside a user: what is equal is marked."""
    own = {normalise(each) for each in user["addresses"]}
    own_phones = {digits(each) for each in user["phones"]}
    named = " ".join(filter(None, (contact.get("first_name"), contact.get("last_name"))))
    his = (" ".join(filter(None, (user.get("given_name"), user.get("surname")))), user["display_name"] or "")
    return {
        **contact,
        "is_gone": "first_name" not in contact,
        "name": named or None,
        "is_same_name": bool(named) and normalise(named) in {normalise(each) for each in his},
        "is_same_title": bool(contact.get("title"))
        and normalise(contact["title"]) == normalise(user.get("job_title") or ""),
        "mails": [(each, normalise(each) in own) for each in contact.get("addresses", ())],
        "calls": [
            (each, len(digits(each)) >= _SHORTEST_PHONE and digits(each) in own_phones)
            for each in contact.get("phones", ())
        ],
        "claims": [each for each in claims if each["user_id"] != row["user_id"]][:3],
        "why": [_KINDS.get(each, word(each)) for each in why],
    }


def _reason(row: Row, seen: Mapping[str, Any]) -> str:
    """Why no rule decides."""
    if "decided_contact_gone" in seen:
        return f"The contact that was decided on ({seen['decided_contact_gone']}) is gone from this organization."
    if "linked_contact_gone" in seen:
        return f"The contact that was linked ({seen['linked_contact_gone']}) is gone from IT Glue."
    if seen.get("resembles"):
        return "No rule finds a contact, but this user resembles one that nobody has."
    if "users" in seen:
        how = {"alias": "an address", "username": "the user name", "full_name": "the full name", "link": "a link"}
        by = how.get(row["rule"] or "", "a rule")
        contacts, users = seen.get("contacts") or 1, seen.get("users") or 1
        if users > 1:
            several = f", of {plural(contacts, 'contact')}" if contacts > 1 else ""
            return f"{plural(users, 'user')} share a contact by {by}{several}."
        return f"By {by}, {plural(contacts, 'contact')} may be this user."
    return ""


def _in_words(decision: UserDecision, contacts: Mapping[str, Row]) -> str:
    if decision.action == "to":
        contact = contacts.get(decision.contact_id or "", {})
        name = " ".join(filter(None, (contact.get("first_name"), contact.get("last_name"))))
        return f"is the contact {name or decision.contact_id}"
    return "gets a new contact" if decision.action == "create" else "is ignored"


def _in_a_sentence(workspace: Workspace, tenant: Standing, decision: UserDecision, *, is_in_effect: bool) -> str:
    contacts = _contacts(workspace, tenant.organization_id, [decision.contact_id] if decision.contact_id else [])
    name = _name_of(workspace, decision.tenant_id, decision.user_id)
    text = f"{name} {_in_words(decision, contacts)}."
    return text if is_in_effect else f"{text} It takes effect in a moment."


def _name_of(workspace: Workspace, tenant_id: str, user_id: str) -> str:
    rows = query(
        workspace,
        "SELECT coalesce(u.display_name, m.user_principal_name, m.user_id) AS name FROM match.contacts m"
        " LEFT JOIN m365.users u USING (tenant_id, user_id) WHERE m.tenant_id = ? AND m.user_id = ?",
        [tenant_id, user_id],
    )
    if not rows:
        raise NotFoundError("this tenant has no such user", remedy="Go back and load the list again.")
    return str(rows[0]["name"])


# --- searching contacts


def search(request: Request) -> Response:
    """Contacts of the tenant's organization for the type-ahead: id, name, addresses."""
    workspace = workspace_of(request)
    tenant = standings(workspace).of(request.path_params["tenant_id"])
    return JSONResponse(_found_contacts(workspace, tenant, request.query_params.get("q", "")))


def _found_contacts(workspace: Workspace, tenant: Standing, text: str) -> list[Row]:
    wanted = normalise(text)
    if not wanted:
        return []
    rows = query(
        workspace,
        "WITH own AS (SELECT * FROM itglue.contacts WHERE organization_id = ?),"
        " mails AS (SELECT contact_id, list(address ORDER BY address) AS addresses FROM itglue.contact_emails"
        "  WHERE organization_id = ? GROUP BY contact_id)"
        " SELECT o.contact_id AS id, concat_ws(' ', o.first_name, o.last_name) AS name, o.title,"
        " coalesce(m.addresses, []) AS addresses FROM own o LEFT JOIN mails m USING (contact_id)"
        " WHERE o.contact_id = ? OR contains(coalesce(o.name_key, lower(concat_ws(' ', o.first_name, o.last_name))), ?)"
        " OR contains(array_to_string(m.addresses, ' '), ?)"
        " ORDER BY o.contact_id = ? DESC, name, id LIMIT ?",
        [tenant.organization_id, tenant.organization_id, *[wanted] * 4, FOUND],
    )
    return [
        {
            "id": row["id"],
            "name": row["name"] or row["id"],
            "detail": " · ".join(filter(None, [row["title"], ", ".join(row["addresses"]), row["id"]])),
        }
        for row in rows
    ]


# --- deciding


def decide(request: Request, form: Form) -> Response:
    """Say which contact a user is, that he needs a new one or none, or take that back."""
    workspace, who = workspace_of(request), session_of(request).who
    tenant_id, user_id = request.path_params["tenant_id"], request.path_params["user_id"]
    action, contact_id = request.path_params["action"], form.get("contact_id")
    own_page = f"/tenants/{segment(tenant_id)}/ambiguous"
    if action not in ("to", "create", "ignore", "undo"):
        raise NotFoundError(f"nothing is called {action!r} here", remedy="Go back to the list.")
    tenant = standings(workspace).of(tenant_id)
    name = _name_of(workspace, tenant_id, user_id)
    if action == "to" and not contact_id:
        # Without JavaScript, or before one of the found ones was chosen: they are shown with a button each.
        asked = urlencode({"user": user_id, "q": form.get("q"), "page": form.get("page", "1")})
        return RedirectResponse(f"{own_page}?{asked}#row-{segment(user_id)}", 303)
    seen, why = form.number("seen") or 0, form.get("why")[:LONGEST_REASON] or None
    contact = contact_id if action == "to" else None
    try:
        deciding.decide_user(workspace, tenant_id, user_id, action=action, contact=contact, who=who, why=why, seen=seen)
    except (ConflictError, NotFoundError) as error:
        if isinstance(error, NotFoundError) and action != "undo":
            raise
        # Also if somebody took it back already.
        return _asked_again(request, form, tenant, name, error)
    desk_of(request).worker.ask("rematch")
    if action == "undo":
        return back(request, form, own_page, f"Taken back for {name}. It takes effect in a moment.")
    return back(request, form, own_page)


def _asked_again(request: Request, form: Form, tenant: Standing, name: str, error: O365EtlError) -> Response:
    """Somebody else decided first."""
    workspace, action = workspace_of(request), request.path_params["action"]
    user_id, contact_id = request.path_params["user_id"], form.get("contact_id")
    now = standings(workspace).user_decisions.get(tenant.tenant_id, {}).get(user_id)
    history = workspace.state.decisions.history(tenant.tenant_id, user_id)
    ids = {each["contact_id"] for each in history if each["contact_id"]} | {contact_id}
    contacts = _contacts(workspace, tenant.organization_id, ids)
    named = " ".join(filter(None, (contacts.get(contact_id, {}).get(key) for key in ("first_name", "last_name"))))
    wanted = {
        "to": f"say that this is the contact {named or contact_id}",
        "create": "have a new contact created",
        "ignore": "ignore this user",
        "undo": "take the last decision back",
    }[action]
    happened = None
    if history and (now.id if now else 0) != (form.number("seen") or 0):
        last = history[-1]
        did = {"create": "had a new contact created", "ignore": "ignored this user", "undo": "took the decision back"}
        other = contacts.get(last["contact_id"] or "", {})
        other_name = " ".join(filter(None, (other.get("first_name"), other.get("last_name")))) or last["contact_id"]
        happened = {**last, "did": did.get(last["action"], f"said that this is the contact {other_name}")}
    own_page = f"/tenants/{segment(tenant.tenant_id)}/ambiguous"
    return conflict(
        request,
        form,
        name=name,
        happened=happened,
        message=error.message,
        remedy=error.remedy,
        stands=f"{name} {_in_words(now, contacts)}." if now else f"Nobody's decision about {name} is in force.",
        wanted=wanted,
        label="Do it all the same" if action != "undo" or now else None,
        action=f"{own_page}/{segment(user_id)}/{action}",
        fields={"contact_id": contact_id or None, "seen": now.id if now else 0},
        leave=own_page,
    )


PAGES: Mapping[str, Callable[[Request], Response]] = {
    "/tenants/{tenant_id}/ambiguous": show,
    "/tenants/{tenant_id}/ambiguous/contacts": search,
}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/tenants/{tenant_id}/ambiguous/{user_id}/{action}": decide,
}
