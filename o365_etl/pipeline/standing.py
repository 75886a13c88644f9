"""What holds for each tenant right now: what was published, and over it what people decided since.

A decision is taken up by the next rematch or sync, seconds or an hour later; whoever decided must see it at once.
What does not live here: deciding (`deciding`), and what the rules make of a decision (`matching`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any
from weakref import WeakKeyDictionary

from o365_etl.errors import NotFoundError
from o365_etl.normalise import normalise
from o365_etl.pipeline import queueing
from o365_etl.pipeline.naming import organization_names
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.store.published import OpenCopy
from o365_etl.store.state_decisions import UNDO, TenantDecision, UserDecision

Row = dict[str, Any]
STATUSES = ("unmatched", "suggested", "matched", "ignored")


@dataclass(frozen=True, slots=True)
class Suggested:
    """The best suggestion for a tenant."""

    organization_id: str
    organization_name: str
    score: float
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a tenant stands. `decision` is the one in force; not `is_in_effect`: matching has yet to take it up (or
    that it was taken back), and this is what will hold then.
    """

    tenant_id: str
    tenant_name: str
    default_domain: str | None
    status: str
    organization_id: str | None
    organization_name: str | None
    rule: str | None
    evidence: Mapping[str, Any]
    suggested: Suggested | None
    decision: TenantDecision | None
    is_in_effect: bool
    # Name and domains, normalised, to search in.
    words: str

    @property
    def seen(self) -> int:
        """What whoever looks at this gives as `seen` with his decision."""
        return self.decision.id if self.decision else 0

    @property
    def is_to_be_created(self) -> bool:
        """Whether an organization will be created for it: nothing is left to decide, although it is unmatched."""
        return self.status == "unmatched" and self.evidence.get("pending") == "create"

    @property
    def rivals(self) -> tuple[str, ...]:
        """The tenants that a rule finds the same organization for, so that neither got it."""
        tie = self.evidence.get("tie") or {}
        return (*tie.get("held_by", ()), *tie.get("claimed_by", ()))


class Standings:
    """Every tenant that was matched so far, what needs a person first."""

    def __init__(self, rows: Iterable[Standing], user_decisions: Sequence[UserDecision]) -> None:
        self.rows = sorted(rows, key=_place)
        self._by_id = {row.tenant_id: row for row in self.rows}
        self._user_decisions = user_decisions

    def of(self, tenant_id: str) -> Standing:
        """One tenant. Raises `NotFoundError` if it was never read, or is left out by the configuration."""
        try:
            return self._by_id[tenant_id]
        except KeyError:
            raise NotFoundError(
                f"no tenant that is matched has the id {tenant_id!r}",
                remedy="A tenant is matched once it was read, unless the configuration leaves it out.",
            ) from None

    def get(self, tenant_id: str) -> Standing | None:
        """One tenant, or None."""
        return self._by_id.get(tenant_id)

    def find(self, status: str | None, text: str = "") -> list[Standing]:
        """Those of this status (None: all) whose name, domain or organization contains the text."""
        wanted = normalise(text)
        return [
            row
            for row in self.rows
            if (status is None or row.status == status) and (not wanted or _contains(row, wanted))
        ]

    def counts(self, text: str = "") -> dict[str, int]:
        """How many of each status `find` finds."""
        counted = Counter(row.status for row in self.find(None, text))
        return {status: counted[status] for status in STATUSES}

    @cached_property
    def holders(self) -> Mapping[str, Sequence[Standing]]:
        """Organization id → the tenants that are matched with it."""
        found: dict[str, list[Standing]] = defaultdict(list)
        for row in self.rows:
            if row.status == "matched" and row.organization_id:
                found[row.organization_id].append(row)
        return found

    @cached_property
    def user_decisions(self) -> Mapping[str, Mapping[str, UserDecision]]:
        """Tenant id → user id → the decision in force, the latest first."""
        found: dict[str, dict[str, UserDecision]] = defaultdict(dict)
        for each in sorted(self._user_decisions, key=lambda each: -each.id):
            found[each.tenant_id][each.user_id] = each
        return found


@dataclass(slots=True)
class _Kept:
    """What was worked out for one published copy, and at which decision."""

    version: tuple[int, ...]
    published: list[Standing]
    latest: int = -1
    standings: Standings | None = None


_kept: WeakKeyDictionary[OpenCopy, _Kept] = WeakKeyDictionary()


def standings(workspace: Workspace) -> Standings:
    """Where every tenant stands. Kept until the next sync or decision; cheap to ask for on every page.

    Raises `NotFoundError` if nothing was published yet.
    """
    version, latest = workspace.open_copy.version(), workspace.state.decisions.latest()
    kept = _kept.get(workspace.open_copy)
    if kept is None or kept.version != version:
        kept = _kept[workspace.open_copy] = _Kept(version, _published(workspace))
    found = kept.standings
    if found is None or kept.latest != latest:
        found = _with_decisions(workspace, kept.published)
        kept.latest, kept.standings = latest, found
    return found


def not_in_effect(workspace: Workspace, decisions: Iterable[UserDecision]) -> list[UserDecision]:
    """Those of these decisions that matching has yet to take up."""
    latest_first = sorted(decisions, key=lambda each: each.at, reverse=True)
    return list(takewhile(lambda each: not queueing.has_matched_since(workspace, each.at), latest_first))


def _published(workspace: Workspace) -> list[Standing]:
    """What the last matching found, without any decision; `rule` and `evidence` tell of those it took up."""
    rows = query(
        workspace,
        "SELECT m.tenant_id, m.tenant_name, m.status, m.organization_id, m.organization_name, m.rule, m.evidence,"
        " m.decided_by, m.decided_at, t.default_domain,"
        " concat_ws(' ', t.name_key, t.initial_domain, d.domains) AS words,"
        " s.organization_id AS suggested_id, s.organization_name AS suggested_name, s.score,"
        " s.evidence AS suggested_evidence"
        " FROM match.organizations m LEFT JOIN m365.tenants t USING (tenant_id)"
        " LEFT JOIN (SELECT tenant_id, string_agg(domain, ' ') AS domains FROM m365.domains GROUP BY tenant_id) d"
        " USING (tenant_id)"
        " LEFT JOIN match.organization_suggestions s ON s.tenant_id = m.tenant_id AND s.rank = 1",
    )
    return [_standing(row) for row in rows]


def _standing(row: Row) -> Standing:
    suggested = None
    if row["suggested_id"] is not None:
        evidence = json.loads(row["suggested_evidence"] or "{}")
        suggested = Suggested(row["suggested_id"], row["suggested_name"] or "", row["score"] or 0.0, evidence)
    taken_up = None
    if row["decided_at"] is not None:
        # Only who and when are published; it is replaced by the whole decision if that is in force still.
        taken_up = TenantDecision(0, row["tenant_id"], "", None, row["decided_by"] or "", row["decided_at"], None)
    return Standing(
        tenant_id=row["tenant_id"],
        tenant_name=row["tenant_name"] or row["tenant_id"],
        default_domain=row["default_domain"],
        status=row["status"],
        organization_id=row["organization_id"],
        organization_name=row["organization_name"],
        rule=row["rule"],
        evidence=json.loads(row["evidence"] or "{}"),
        suggested=suggested,
        decision=taken_up,
        is_in_effect=True,
        words=f"{normalise(row['tenant_name'] or '')} {normalise(row['words'] or '')}",
    )


def _with_decisions(workspace: Workspace, published: Sequence[Standing]) -> Standings:
    of_tenants, of_users = workspace.state.decisions.in_force()
    decided = {each.tenant_id: each for each in of_tenants}
    rows, open_rows = [], []
    for row in published:
        decision = decided.get(row.tenant_id)
        if (decision.at if decision else None) == (row.decision.at if row.decision else None):
            rows.append(replace(row, decision=decision) if decision else row)
        else:
            open_rows.append(replace(row, decision=decision, is_in_effect=False))
    links = workspace.state.links.tenant_links() if open_rows else {}
    # Of what was created on a person's word, only the link tells which organization that is.
    wanted = [row.decision.organization_id or links.get(row.tenant_id) for row in open_rows if row.decision]
    names = organization_names(workspace, wanted)
    rows += [
        _decided(row, row.decision, names, links) if row.decision else _taken_back(workspace, row) for row in open_rows
    ]
    return Standings(rows, of_users)


def _decided(row: Standing, decision: TenantDecision, names: Mapping[str, str], links: Mapping[str, str]) -> Standing:
    """What the next matching will make of a decision; the words of `matching.organizations`."""
    if decision.action == "ignore":
        return replace(
            row, status="ignored", organization_id=None, organization_name=None, rule="decision", evidence={}
        )
    organization_id = decision.organization_id
    if decision.action == "create" and organization_id is None:
        organization_id = links.get(row.tenant_id)
        if organization_id is None:
            nothing: Row = {"organization_id": None, "organization_name": None, "rule": None}
            return replace(row, status="unmatched", evidence={"pending": "create"}, **nothing)
    name = names.get(organization_id or "") or (
        row.organization_name if row.organization_id == organization_id else None
    )
    return replace(
        row,
        status="matched",
        organization_id=organization_id,
        organization_name=name or organization_id,
        rule="decision",
        evidence={"action": decision.action},
    )


def _taken_back(workspace: Workspace, row: Standing) -> Standing:
    """What held before the decision that was taken back. One question for each such tenant: they are few, and only
    until the next matching.
    """
    stack: list[Row] = []
    last: Row | None = None
    for entry in workspace.state.decisions.history(row.tenant_id):
        if entry["user_id"] is None:
            if entry["action"] != UNDO:
                stack.append(entry)
            elif stack:
                last = stack.pop()
    before = (last["before"] if last else None) or {}
    status = before.get("status")
    if status == "matched" and before.get("organization_id"):
        names = organization_names(workspace, [before["organization_id"]])
        return replace(
            row,
            status="matched",
            organization_id=before["organization_id"],
            organization_name=names.get(before["organization_id"], before["organization_id"]),
            rule="link",
            evidence={"linked": True},
        )
    if status not in ("suggested", "unmatched"):
        status = "suggested" if row.suggested else "unmatched"
    return replace(row, status=status, organization_id=None, organization_name=None, rule=None, evidence={})


def _contains(row: Standing, wanted: str) -> bool:
    if wanted in row.words or wanted == row.tenant_id:
        return True
    names = (row.organization_name, row.suggested.organization_name if row.suggested else None)
    return any(name and wanted in normalise(name) for name in names)


def _place(row: Standing) -> tuple[Any, ...]:
    """What needs a person first; of suggestions the surest first, as they are quickest to decide."""
    score = row.suggested.score if row.suggested and row.status == "suggested" else 0.0
    statuses = ("unmatched", "suggested", "ignored", "matched")
    return statuses.index(row.status), row.is_to_be_created, -score, normalise(row.tenant_name), row.tenant_id
