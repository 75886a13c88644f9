"""Matching: which organization each tenant belongs to, with what speaks for it; decided one by one.

What does not live here: what holds for a tenant right now (`pipeline.standing`), what a decision does
(`pipeline.deciding`), many at once (`accepting`), and users (`ambiguous`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from o365_etl.errors import ConflictError, NotFoundError, O365EtlError
from o365_etl.normalise import normalise
from o365_etl.pipeline import deciding
from o365_etl.pipeline.naming import organization_names
from o365_etl.pipeline.standing import STATUSES, Standing, Standings, standings
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.review.answering import back, desk_of, page, session_of, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.pages.accepting import SCORE
from o365_etl.review.pages.conflict import LONGEST_REASON, conflict
from o365_etl.review.pages.match_words import evidence_in_words, in_a_sentence, in_words, reasons
from o365_etl.review.paging import page_of
from o365_etl.review.rendering import segment

Row = dict[str, Any]
PER_PAGE = 25
# Organizations that a search shows at once.
FOUND = 20


# --- the list


def show(request: Request) -> Response:
    """The tenants of one status, 25 at a time."""
    held = standings(workspace_of(request))
    text = request.query_params.get("q", "").strip()
    counts = held.counts(text)
    wanted = request.query_params.get("show", "")
    if wanted not in (*STATUSES, "all"):
        wanted = _first_of_all(held)
    found = held.find(None if wanted == "all" else wanted, text)
    number, pages = page_of(request, len(found), PER_PAGE)
    rows = found[(number - 1) * PER_PAGE : number * PER_PAGE]
    address = "/matching?" + urlencode({"show": wanted, "q": text})
    did = held.get(request.query_params.get("did", ""))
    return page(
        request,
        "matching.html",
        {
            "tenants": [_Shown(row, held) for row in rows],
            "suggestions": _suggestions(workspace_of(request), [row.tenant_id for row in rows]),
            "counts": {**counts, "all": sum(counts.values())},
            "shown": wanted,
            "text": text,
            "number": number,
            "pages": pages,
            "address": address,
            "here_again": f"{address}&page={number}",
            "did": did,
            "did_says": in_a_sentence(did, is_undone=did.decision is None) if did else "",
            "score": SCORE,
            "surely": sum(1 for row in held.find("suggested") if row.suggested and row.suggested.score >= SCORE),
        },
    )


def _first_of_all(held: Standings) -> str:
    """What waits for a person: unmatched tenants, else suggestions."""
    waits = any(not row.is_to_be_created for row in held.find("unmatched"))
    return "suggested" if not waits and held.counts()["suggested"] else "unmatched"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A tenant with what a row says of it in words."""

    stands: Standing
    held: Standings

    @property
    def says(self) -> list[str]:
        """Why it is matched, or why not."""
        return reasons(self.stands, self.held)

    @property
    def others(self) -> list[Standing]:
        """Other tenants that have the organization in question already."""
        best = self.stands.suggested
        organization_id = self.stands.organization_id or (best.organization_id if best else None)
        holders = self.held.holders.get(organization_id or "", ())
        return [row for row in holders if row.tenant_id != self.stands.tenant_id]


def _suggestions(workspace: Workspace, tenant_ids: Sequence[str]) -> dict[str, list[Row]]:
    """All suggestions of these tenants, best first, with what speaks for each."""
    found: dict[str, list[Row]] = {tenant_id: [] for tenant_id in tenant_ids}
    for row in query(
        workspace,
        "SELECT s.tenant_id, s.rank, s.organization_id, s.organization_name, s.score,"
        ' from_json(s.evidence, \'{"name_score": "DOUBLE", "shared_addresses": "BIGINT",'
        ' "shared_domains": "BIGINT", "domains": ["VARCHAR"]}\') AS seen,'
        " o.organization_type, o.organization_status, o.resource_url"
        " FROM match.organization_suggestions s LEFT JOIN itglue.organizations o USING (organization_id)"
        " WHERE s.tenant_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY s.tenant_id, s.rank",
        [list(tenant_ids)],
    ):
        found[row["tenant_id"]].append({**row, "words": evidence_in_words(row["seen"] or {})})
    return found


# --- one tenant


def one(request: Request) -> Response:
    """One tenant: all suggestions side by side, search, create, and what was decided about it."""
    workspace, tenant_id = workspace_of(request), request.path_params["tenant_id"]
    held = standings(workspace)
    row = held.of(tenant_id)
    text = request.query_params.get("q", "").strip()
    suggestions = [] if row.status == "matched" else _suggestions(workspace, [tenant_id])[tenant_id]
    for each in suggestions:
        each["rivals"] = _rivals(workspace, held, tenant_id, each["organization_id"])
    near = deciding.near_duplicates(workspace, row.tenant_name) if "create" in request.query_params else []
    history = _history(workspace, tenant_id)
    return page(
        request,
        "matching_tenant.html",
        {
            "tenant": _Shown(row, held),
            "suggestions": suggestions,
            "text": text,
            "found": found_organizations(workspace, held, text) if text else [],
            "is_creating": "create" in request.query_params,
            "near": [{"id": identity, "name": name, "score": score} for identity, name, score in near],
            "history": history,
            "ambiguous": query(
                workspace,
                "SELECT count(*) AS n FROM match.contacts WHERE tenant_id = ? AND status = 'ambiguous'",
                [tenant_id],
            )[0]["n"],
        },
    )


def _rivals(workspace: Workspace, held: Standings, tenant_id: str, organization_id: str) -> list[Row]:
    """Other tenants that have this organization, or that it is suggested for as well."""
    having = [row for row in held.holders.get(organization_id, ()) if row.tenant_id != tenant_id]
    wanting = query(
        workspace,
        "SELECT tenant_id, score FROM match.organization_suggestions WHERE organization_id = ? AND tenant_id <> ?"
        " ORDER BY score DESC, tenant_id LIMIT 5",
        [organization_id, tenant_id],
    )
    rivals = [{"tenant": row, "says": "is matched with it"} for row in having[:5]]
    for row in wanting:
        rival = held.get(row["tenant_id"])
        if rival is not None and rival.status == "suggested":
            rivals.append({"tenant": rival, "says": f"it is suggested for it too, with {row['score']:.0f} of 100"})
    return rivals


def _history(workspace: Workspace, tenant_id: str) -> list[Row]:
    """What was decided about the tenant, the latest first."""
    rows = [row for row in workspace.state.decisions.history(tenant_id) if row["user_id"] is None]
    names = organization_names(workspace, [row["organization_id"] for row in rows])
    return [{**row, "did": in_words(row["action"], _called(names, row["organization_id"]))} for row in reversed(rows)]


def _called(names: Mapping[str, str], organization_id: str | None) -> str:
    """What an organization is called, also if it is gone."""
    return names.get(organization_id or "") or f"organization {organization_id}"


# --- searching organizations


def search(request: Request) -> Response:
    """Organizations for the type-ahead: id, name and what tells them apart."""
    workspace = workspace_of(request)
    rows = found_organizations(workspace, standings(workspace), request.query_params.get("q", ""))
    return JSONResponse([{"id": row["id"], "name": row["name"], "detail": row["detail"]} for row in rows])


def found_organizations(workspace: Workspace, held: Standings, text: str) -> list[Row]:
    """At most 20 organizations by name, short name, id, or domain of their contacts; the closest first."""
    wanted = normalise(text)
    if not wanted:
        return []
    domain = wanted.rpartition("@")[2] if "." in wanted and " " not in wanted else ""
    rows = query(
        workspace,
        "WITH of_domain AS (SELECT DISTINCT organization_id FROM itglue.contact_emails"
        " WHERE ? <> '' AND starts_with(split_part(address, '@', 2), ?))"
        " SELECT organization_id AS id, coalesce(name, organization_id) AS name, short_name, organization_type,"
        " organization_status, organization_id IN (FROM of_domain) AS is_of_domain"
        " FROM itglue.organizations WHERE contains(name_key, ?) OR contains(short_name_key, ?) OR organization_id = ?"
        " OR organization_id IN (FROM of_domain)"
        " ORDER BY organization_id = ? OR name_key = ? OR coalesce(short_name_key = ?, false) DESC,"
        " coalesce(starts_with(name_key, ?), false) DESC, name_key, organization_id LIMIT ?",
        [domain, domain, *[wanted] * 7, FOUND],
    )
    for row in rows:
        holders = held.holders.get(row["id"], ())
        details = [row["short_name"], row["organization_type"], row["organization_status"], row["id"]]
        if row["is_of_domain"]:
            details.append(f"contacts at {domain}…")
        if holders:
            details.append(f"matched with {', '.join(each.tenant_name for each in holders[:3])}")
        row["detail"] = " · ".join(filter(None, details))
    return rows


# --- deciding


def decide(request: Request, form: Form) -> Response:
    """Accept, choose, create, ignore or undo for one tenant."""
    workspace, who = workspace_of(request), session_of(request).who
    tenant_id, action = request.path_params["tenant_id"], request.path_params["action"]
    row = standings(workspace).of(tenant_id)
    own_page = f"/matching/{segment(tenant_id)}"
    organization_id, why = form.get("organization_id"), form.get("why")[:LONGEST_REASON] or None
    said: Row = {"who": who, "why": why, "seen": form.number("seen") or 0}
    if action in ("accept", "to") and not organization_id:
        # Without JavaScript, or before one of the found ones was chosen: they are shown with a button each.
        return RedirectResponse(f"{own_page}?{urlencode({'q': form.get('q')})}#search", 303)
    try:
        if action == "accept":
            deciding.accept(workspace, tenant_id, organization=organization_id, **said)
        elif action == "to":
            deciding.choose(workspace, tenant_id, organization_id, **said)
        elif action == "create":
            deciding.create(workspace, tenant_id, force=form.get("force") == "1", **said)
        elif action == "ignore":
            deciding.ignore(workspace, tenant_id, **said)
        elif action == "undo":
            deciding.undo(workspace, tenant_id, **said)
        else:
            raise NotFoundError(f"nothing is called {action!r} here", remedy="Go back to the list.")
    except deciding.NearDuplicateError:
        return RedirectResponse(f"{own_page}?create=1#create", 303)
    except (ConflictError, NotFoundError) as error:
        if isinstance(error, NotFoundError) and action != "undo":
            raise
        # Also if somebody took it back already.
        return _asked_again(request, form, row, error)
    desk_of(request).worker.ask("rematch")
    if urlsplit(form.get("back")).path == "/matching":
        # The list says it itself, with the way to take it back.
        return back(request, form, own_page)
    stands = standings(workspace).of(tenant_id)
    return back(request, form, own_page, in_a_sentence(stands, is_undone=action == "undo"))


def _asked_again(request: Request, form: Form, row: Standing, error: O365EtlError) -> Response:
    """Somebody else decided first: what he did, what this person wanted, and whether he wants it still."""
    workspace, action = workspace_of(request), request.path_params["action"]
    now = standings(workspace).of(row.tenant_id)
    history = _history(workspace, row.tenant_id)
    organization_id = form.get("organization_id")
    name = _called(organization_names(workspace, [organization_id]), organization_id)
    # What was a suggestion then need not be one now: it stays this person's choice.
    again = "to" if action == "accept" else action
    label = {
        "accept": f"Match it with {name} all the same",
        "to": f"Match it with {name} all the same",
        "create": "Have an organization created all the same",
        "ignore": "Ignore it all the same",
        "undo": "Take this decision back",
    }[action]
    wanted = {
        "accept": f"match it with {name}",
        "to": f"match it with {name}",
        "create": "have an organization created for it",
        "ignore": "ignore it",
        "undo": "take the last decision back",
    }[action]
    is_other = now.seen != (form.number("seen") or 0)
    return conflict(
        request,
        form,
        name=row.tenant_name,
        happened=history[0] if is_other and history else None,
        message=error.message,
        remedy=error.remedy,
        stands=in_a_sentence(now),
        wanted=wanted,
        # Nothing is in force any more: there is nothing to take back.
        label=label if action != "undo" or now.seen else None,
        action=f"/matching/{segment(row.tenant_id)}/{again}",
        fields={"organization_id": organization_id or None, "seen": now.seen, "force": form.get("force") or None},
        leave=f"/matching/{segment(row.tenant_id)}",
    )


PAGES: Mapping[str, Callable[[Request], Response]] = {
    "/matching": show,
    "/matching/{tenant_id}": one,
    "/organizations/search": search,
}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/matching/{tenant_id}/{action}": decide,
}
