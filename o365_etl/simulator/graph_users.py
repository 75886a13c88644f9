"""Graph's routes about users: the collection with its strict options, single users, mailbox settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable

from o365_etl.simulator.graph_call import Call, Refusal, collection, encode, ok, page, page_size, selected
from o365_etl.simulator.graph_objects import (
    USER_DEFAULTS,
    USER_KNOWN,
    USER_NOT_ON_COLLECTION,
    Json,
    sku_json,
    user_json,
)
from o365_etl.simulator.model import SimUser
from o365_etl.simulator.rows import ListRows, Rows
from o365_etl.simulator.transport import Response

USER_PAGE, SIGN_IN_PAGE, DEFAULT_PAGE = 999, 500, 100
_COMPARISON = re.compile(r"(\w+(?:/\$count)?) (eq|ne) ('(?:[^']|'')*'|true|false|null|\d+)")


def users(call: Call) -> Response:
    """GET /users."""
    call.need("User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
    call.allow("$select", "$top", "$count", "$filter")
    names = _selection(call, on_collection=True)
    size = page_size(call, DEFAULT_PAGE, SIGN_IN_PAGE if "signInActivity" in names else USER_PAGE)
    rows: Rows[SimUser] = call.estate.user_rows(call.tenant)
    if text := call.query.get("$filter"):
        keep = _filter(call, text)
        rows = ListRows([user for user in call.tenant.users if keep(user)])

    def render(user: SimUser) -> bytes:
        return encode(user_json(user, names))

    kind: Hashable = ("user", names)
    count = rows.count(kind, render)
    context = f"{call.metadata}users" + (f"({','.join(names)})" if "$select" in call.query else "")
    # Without the header the service ignores $count silently
    total = count if call.query.get("$count") == "true" and call.is_eventual else None
    return page(call, context, count, lambda start, stop: rows.cut(kind, render, start, stop), size, total=total)


def users_count(call: Call) -> Response:
    """GET /users/$count: plain text, and only with the ConsistencyLevel header."""
    call.need("User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
    if not call.is_eventual:
        raise Refusal(400, "Request_BadRequest", "$count is not currently supported.")
    return Response(200, str(len(call.tenant.users)).encode(), {"Content-Type": "text/plain"})


def user(call: Call, key: str) -> Response:
    """GET /users/{id or user principal name}."""
    call.need("User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
    call.allow("$select")
    names = _selection(call, on_collection=False)
    found = find(call, key)
    suffix = f"({','.join(names)})" if "$select" in call.query else ""
    return ok({"@odata.context": f"{call.metadata}users{suffix}/$entity", **user_json(found, names)})


def license_details(call: Call, key: str) -> Response:
    """GET /users/{id}/licenseDetails."""
    call.need("LicenseAssignment.Read.All", "User.Read.All", "Directory.Read.All")
    call.allow("$select")
    found = find(call, key)
    held = {license.sku_id for license in found.licenses}
    rows: list[Json] = [
        {
            "id": f"{found.user_id[:12]}{sku.sku_id[:12]}",
            "skuId": sku.sku_id,
            "skuPartNumber": sku.part_number,
            "servicePlans": sku_json(call.tenant, sku)["servicePlans"],
        }
        for sku in call.tenant.all_skus()
        if sku.sku_id in held
    ]
    return collection(call, rows, "licenseDetails", f"users('{found.user_id}')/licenseDetails")


def mailbox_settings(call: Call, key: str) -> Response:
    """GET /users/{id}/mailboxSettings."""
    call.allow("$select")
    found, purpose = _purpose(call, key)
    shaped: object = {"value": purpose} if call.tenant.user_purpose_form == "object" else purpose
    return ok(
        {
            "@odata.context": f"{call.metadata}users('{found.user_id}')/mailboxSettings",
            "archiveFolder": None,
            "timeZone": "UTC",
            "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
            "dateFormat": "yyyy-MM-dd",
            "timeFormat": "HH:mm",
            "userPurpose": shaped,
            "automaticRepliesSetting": {"status": "disabled", "externalAudience": "none"},
            "language": {"locale": "en-US", "displayName": "English (United States)"},
        }
    )


def user_purpose(call: Call, key: str) -> Response:
    """GET /users/{id}/mailboxSettings/userPurpose."""
    found, purpose = _purpose(call, key)
    context = f"{call.metadata}users('{found.user_id}')/mailboxSettings/userPurpose"
    return ok({"@odata.context": context, "value": purpose})


def find(call: Call, key: str) -> SimUser:
    """The user that a path names, or the 404."""
    found = call.estate.find_user(call.tenant, key)
    if found is None:
        raise Refusal(
            404,
            "Request_ResourceNotFound",
            f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
        )
    return found


def _purpose(call: Call, key: str) -> tuple[SimUser, str]:
    call.need("MailboxSettings.Read", "MailboxSettings.ReadWrite")
    found = find(call, key)
    blocked = call.tenant.mailbox_policy == "blocked" or (found.mailbox is not None and found.mailbox.blocked)
    if blocked:
        raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    if found.mailbox is None or found.user_type == "Guest":
        raise Refusal(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    return found, found.mailbox.kind


def _selection(call: Call, *, on_collection: bool) -> tuple[str, ...]:
    """The selected properties, or the refusal that a bad selection deserves."""
    names = selected(call, USER_KNOWN | USER_NOT_ON_COLLECTION, "user")
    if names is None:
        names = tuple(USER_DEFAULTS)
    if on_collection and not USER_NOT_ON_COLLECTION.isdisjoint(names):
        raise Refusal(501, "NotImplemented", "This operation target is not yet supported.")
    if "signInActivity" in names:
        call.need("AuditLog.Read.All")
        if not call.tenant.has_premium():
            raise Refusal(
                403,
                "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                "Neither tenant is B2C or tenant doesn't have premium license",
            )
    return names


def _filter(call: Call, text: str) -> Callable[[SimUser], bool]:
    """The filters in common use: comparisons of simple properties, joined by `and`."""
    tests: list[Callable[[SimUser], bool]] = []
    for clause in text.split(" and "):
        match = _COMPARISON.fullmatch(clause.strip())
        if match is None:
            raise Refusal(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
        name, operator, literal = match.groups()
        if (operator == "ne" or name.endswith("/$count")) and not (call.is_eventual and "$count" in call.query):
            raise Refusal(400, "Request_UnsupportedQuery", "Unsupported Query.")
        tests.append(_comparison(name, operator == "eq", _literal(literal)))
    return lambda user: all(test(user) for test in tests)


def _comparison(name: str, equal: bool, value: object) -> Callable[[SimUser], bool]:
    plain = name.removesuffix("/$count")
    if plain not in USER_KNOWN:
        raise Refusal(400, "BadRequest", f"Could not find a property named '{plain}' on type 'microsoft.graph.user'.")

    def test(user: SimUser) -> bool:
        found = user_json(user, (plain,)).get(plain)
        if name.endswith("/$count"):
            found = len(found or ())
        if isinstance(found, str) and isinstance(value, str):
            return (found.lower() == value.lower()) == equal
        return (found == value) == equal

    return test


def _literal(text: str) -> object:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return {"true": True, "false": False, "null": None}[text] if text.isalpha() else int(text)
