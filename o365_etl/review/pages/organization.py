"""One tenant beside its organization: how it was read, what differs, its licenses, and its users in lists.

What does not live here: one user (`contact`), deciding the match (`matching`) and the plan (`plan`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.errors import NotFoundError
from o365_etl.normalise import normalise
from o365_etl.pipeline import planned
from o365_etl.pipeline.workspace import Workspace, now, query
from o365_etl.review.answering import page, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.paging import page_of
from o365_etl.review.rendering import share, word
from o365_etl.tables import SCOPE_REASONS, TABLES

Row = dict[str, Any]

PER_PAGE = 50
# The longest search that is looked for; a longer one is no name.
_LONGEST_SEARCH = 200
ACCESS_ENDS_SOON = timedelta(days=30)
_STATUSES = ("matched", "create", "ambiguous", "ignored", "organization_unmatched", "out_of_scope")
_FIELDS = next(column.values for column in TABLES["compare.contacts"].columns if column.name == "field")
_STREAMS: Mapping[str, str] = {
    "tenants": "the tenant itself",
    "domains": "domains",
    "users": "users",
    "licenses": "licenses",
    "mailboxes": "mailboxes and their sizes",
    "sign_ins": "last sign-ins",
}
# The state of a stream → how it is marked, and what it means.
_READ: Mapping[str, tuple[str, str]] = {
    "ok": ("ok", "read"),
    "degraded": ("partial", "read in part"),
    "failed": ("failed", "not read"),
    "skipped": ("skipped", "not asked for"),
}


def show(request: Request) -> Response:
    """The tenant and its organization."""
    workspace = workspace_of(request)
    tenant = _tenant(workspace, request.path_params["tenant_id"])
    tenant_id, is_matched = tenant["tenant_id"], tenant["match_status"] == "matched"
    groups = _groups(workspace, tenant_id)
    ends = tenant["access_ends_at"]
    return page(
        request,
        "organization.html",
        {
            "tenant": tenant,
            "streams": _streams(tenant["streams"]),
            "ends_soon": ends is not None and ends - now() < ACCESS_ENDS_SOON,
            "is_matched": is_matched,
            "comparison": _comparison(workspace, tenant_id) if is_matched else [],
            "licenses": _licenses(workspace, tenant_id),
            "groups": groups,
            "users": sum(group["users"] for group in groups),
            "ambiguous": sum(group["users"] for group in groups if group["status"] == "ambiguous"),
            "differences": _differences(workspace, tenant_id),
            "changes": _changes(workspace, tenant_id),
        },
    )


def users(request: Request) -> Response:
    """The users of a tenant, filtered, a page of them."""
    workspace = workspace_of(request)
    tenant = _tenant(workspace, request.path_params["tenant_id"])
    asked = request.query_params
    state = _one_of(asked.get("state"), (*_STATUSES, *SCOPE_REASONS))
    field = _one_of(asked.get("field"), _FIELDS)
    wanted = asked.get("q", "").strip()[:_LONGEST_SEARCH]
    groups = _groups(workspace, tenant["tenant_id"])
    where, parameters = _filter(tenant["tenant_id"], state, field, wanted)
    found = query(workspace, f"SELECT count(*) AS users FROM {where}", parameters)[0]["users"]
    number, pages = page_of(request, found, PER_PAGE)
    filters = {"state": state, "field": field, "q": wanted}
    return page(
        request,
        "users.html",
        {
            "tenant": tenant,
            "tabs": _tabs(groups, state, field, wanted),
            "state": state,
            "field": field,
            "fields": _FIELDS,
            "q": wanted,
            "found": found,
            "page": number,
            "pages": pages,
            "address": f"?{urlencode([*((key, value) for key, value in filters.items() if value), ('page', '')])}",
            "rows": _page_of_users(workspace, where, parameters, number),
        },
    )


def _tenant(workspace: Workspace, tenant_id: str) -> Row:
    """What is known of a tenant, read or not. Raises `NotFoundError` for one that no connection ever named."""
    row = query(
        workspace,
        "SELECT k.tenant_id, coalesce(m.tenant_name, t.display_name, s.display_name, k.tenant_id) AS name,"
        " s.status, s.error_code, s.remedy, s.last_ok_at, coalesce(s.as_of, t.as_of) AS as_of, s.streams,"
        " coalesce(s.connection, t.connection) AS connection, s.failing_since, s.next_try_at,"
        " s.tenant_id IS NOT NULL AS is_named, t.tenant_id IS NOT NULL AS is_read, t.is_stale, t.access_ends_at,"
        " t.default_domain, t.manage_url,"
        " m.status AS match_status, m.rule, m.organization_id, m.organization_name, m.decided_by, m.decided_at,"
        " o.resource_url, o.sync_owner FROM (SELECT ?::VARCHAR AS tenant_id) k"
        " LEFT JOIN sync.tenants s USING (tenant_id) LEFT JOIN m365.tenants t USING (tenant_id)"
        " LEFT JOIN match.organizations m USING (tenant_id)"
        " LEFT JOIN itglue.organizations o ON o.organization_id = m.organization_id",
        [tenant_id],
    )[0]
    if not (row["is_named"] or row["is_read"]):
        raise NotFoundError(
            "no tenant of that id is known", remedy="The list of integrations shows the tenants that there are."
        )
    return row


def _streams(document: str | None) -> list[Row]:
    """What was read of a tenant, and what was not, in words."""
    found: Mapping[str, Row] = json.loads(document or "{}")
    rows = []
    for name in sorted(found, key=lambda name: [*_STREAMS, name].index(name)):
        each = found[name]
        kind, said = _READ.get(each["state"], ("info", each["state"]))
        rows.append(
            {
                "name": _STREAMS.get(name, word(name)),
                "kind": kind,
                "said": said,
                "reason": word(each.get("reason") or each.get("error_code")),
                "rows": each.get("rows") if kind in ("ok", "partial") else None,
                "remedy": each.get("remedy"),
            }
        )
    return rows


def _comparison(workspace: Workspace, tenant_id: str) -> list[Row]:
    return query(
        workspace,
        "SELECT field, m365_value, itglue_value, state FROM compare.organizations WHERE tenant_id = ?"
        " ORDER BY array_position(['name', 'address_1', 'city', 'region', 'postal_code', 'country', 'phone'], field)",
        [tenant_id],
    )


def _licenses(workspace: Workspace, tenant_id: str) -> list[Row]:
    """The tenant's products, with how much of each is in use and whether IT Glue says the same."""
    held = query(
        workspace,
        "SELECT sku_id, sku_part_number, product_name, status, active, consumed, unused, suspended, warning, renews_at"
        " FROM m365.licenses WHERE tenant_id = ? ORDER BY consumed DESC NULLS LAST, product_name, sku_id",
        [tenant_id],
    )
    compared: dict[str, list[Row]] = {}
    for row in query(
        workspace,
        "SELECT sku_id, field, m365_value, itglue_value, state FROM compare.licenses WHERE tenant_id = ?"
        " ORDER BY array_position(['product_name', 'status', 'active', 'consumed', 'unused'], field)",
        [tenant_id],
    ):
        compared.setdefault(row["sku_id"], []).append(row)
    rows = [{**row, **_use(row), **_documented(compared.pop(row["sku_id"], []))} for row in held]
    # What only IT Glue still has.
    for sku_id, fields in compared.items():
        values = {each["field"]: each["itglue_value"] for each in fields}
        nothing = dict.fromkeys(("sku_part_number", "active", "consumed", "unused", "renews_at"))
        name = values.get("product_name") or sku_id
        rows.append({**nothing, "product_name": name, "status": None, **_use(nothing), **_documented(fields)})
    return rows


def _use(row: Mapping[str, Any]) -> Row:
    """How much of a product is in use: percent of the bar, in words, and whether that is worth a look."""
    active, consumed = row["active"], row["consumed"]
    if active is None or consumed is None:
        return {"percent": None, "kind": "plain", "words": "not known", "over": 0}
    over = max(0, consumed - active)
    if not active:
        # Suspended or gone: nothing to be a share of.
        percent, words = 100.0 if over else 0.0, "none active"
    else:
        percent, words = share(consumed, active), f"{100 * consumed / active:.0f} % in use"
    return {"percent": percent, "kind": "bad" if over else "plain", "words": words, "over": over}


def _documented(fields: Iterable[Row]) -> Row:
    """Whether IT Glue says the same about a product: one state for all its fields, and those that differ."""
    rows = list(fields)
    differing = [row for row in rows if row["state"] not in ("equal", "unknown")]
    if not rows:
        state = None
    elif any(row["state"] == "unknown" for row in rows):
        state, differing = "unknown", []
    elif not differing:
        state = "equal"
    elif all(row["itglue_value"] is None for row in rows):
        state, differing = "only_m365", []
    elif all(row["m365_value"] is None for row in rows):
        state, differing = "only_itglue", []
    else:
        state = "different"
    return {"documented": state, "differing": differing}


def _groups(workspace: Workspace, tenant_id: str) -> list[Row]:
    """How many users there are by the state of their match; those out of scope by the reason."""
    return query(
        workspace,
        "SELECT m.status, CASE WHEN m.status = 'out_of_scope' THEN u.out_of_scope_reason END AS reason,"
        " count(*) AS users FROM m365.users u"
        " LEFT JOIN match.contacts m ON m.tenant_id = u.tenant_id AND m.user_id = u.user_id"
        " WHERE u.tenant_id = ? GROUP BY 1, 2"
        " ORDER BY list_position(?::VARCHAR[], m.status) NULLS LAST, users DESC, reason",
        [tenant_id, list(_STATUSES)],
    )


def _differences(workspace: Workspace, tenant_id: str) -> list[Row]:
    """Each field of the contacts, with how many of them say the same, and how many do not."""
    counted = query(
        workspace,
        "SELECT field, count(*) FILTER (state = 'equal') AS equal, count(*) FILTER (state = 'different') AS different,"
        " count(*) FILTER (state = 'only_m365') AS only_m365, count(*) FILTER (state = 'only_itglue') AS only_itglue,"
        " count(*) FILTER (state = 'unknown') AS unknown FROM compare.contacts WHERE tenant_id = ? GROUP BY field",
        [tenant_id],
    )
    return sorted(counted, key=lambda row: _FIELDS.index(row["field"]))


def _changes(workspace: Workspace, tenant_id: str) -> int:
    """How many changes of the tenant's plan are still to be written."""
    rows = planned.counts_of(workspace, tenant_id)
    return sum(row["changes"] for row in rows if row["state"] in planned.OPEN_STATES)


def _filter(tenant_id: str, state: str | None, field: str | None, wanted: str) -> tuple[str, list[object]]:
    """The users that a person asks for: what follows FROM, and its parameters."""
    return (
        "m365.users u LEFT JOIN match.contacts m ON m.tenant_id = u.tenant_id AND m.user_id = u.user_id"
        " WHERE u.tenant_id = $1"
        " AND ($2::VARCHAR IS NULL OR m.status = $2 OR (m.status = 'out_of_scope' AND u.out_of_scope_reason = $2))"
        " AND ($3::VARCHAR IS NULL OR u.user_id IN (SELECT user_id FROM compare.contacts"
        "  WHERE tenant_id = $1 AND field = $3 AND state NOT IN ('equal', 'unknown')))"
        " AND ($4 = '' OR contains(coalesce(u.name_key, ''), $4) OR contains(lower(coalesce(u.display_name, '')), $4)"
        "  OR contains(lower(coalesce(u.user_principal_name, '')), $4)"
        "  OR u.user_id IN (SELECT user_id FROM m365.user_addresses WHERE tenant_id = $1 AND contains(address, $4)))",
        [tenant_id, state, field, normalise(wanted)],
    )


def _page_of_users(workspace: Workspace, where: str, parameters: list[object], number: int) -> list[Row]:
    rows = query(
        workspace,
        "SELECT u.user_id, u.display_name, u.user_principal_name, u.in_scope, u.out_of_scope_reason, m.status, m.rule"
        f" FROM {where} ORDER BY lower(coalesce(u.display_name, u.user_principal_name)), u.user_id LIMIT $5 OFFSET $6",
        [*parameters, PER_PAGE, (number - 1) * PER_PAGE],
    )
    differing = query(
        workspace,
        "SELECT user_id, list(field) AS fields FROM compare.contacts"
        " WHERE tenant_id = ? AND user_id IN (SELECT unnest(?::VARCHAR[])) AND state NOT IN ('equal', 'unknown')"
        " GROUP BY user_id",
        [parameters[0], [row["user_id"] for row in rows]],
    )
    fields = {row["user_id"]: sorted(row["fields"], key=_FIELDS.index) for row in differing}
    return [{**row, "differing": fields.get(row["user_id"], [])} for row in rows]


def _tabs(groups: Iterable[Row], state: str | None, field: str | None, wanted: str) -> list[Row]:
    """The states that users of this tenant are in, with their numbers; a tab leaves the other filters as they are."""
    counts: Counter[str | None] = Counter()
    for group in groups:
        counts.update(dict.fromkeys({group["status"], group["reason"]} - {None}, group["users"]))
        counts[None] += group["users"]
    are_reasons_shown = state == "out_of_scope" or state in SCOPE_REASONS
    kept = [(key, value) for key, value in (("field", field), ("q", wanted)) if value]
    return [
        {
            "name": _tab(key),
            "users": counts[key],
            "address": f"?{urlencode([*((('state', key),) if key else ()), *kept])}",
            "is_chosen": key == state,
        }
        for key in (None, *_STATUSES, *SCOPE_REASONS)
        if key in (None, state) or (counts[key] and (key in _STATUSES or are_reasons_shown))
    ]


def _tab(key: str | None) -> str:
    if key in SCOPE_REASONS:
        return f"Out of scope: {word(key)}"
    return word(key).capitalize() or "All"


def _one_of(value: str | None, known: Iterable[str]) -> str | None:
    return value if value in tuple(known) else None


PAGES: Mapping[str, Callable[[Request], Response]] = {
    "/tenants/{tenant_id}": show,
    "/tenants/{tenant_id}/users": users,
}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {}
