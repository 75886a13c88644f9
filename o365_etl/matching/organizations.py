"""Tenant → organization: decisions, links, then the rules `tenant_name`, `contact_email`, `domain`.

The first that decides, wins. A person always wins over a rule; a decision or a link outlives renames. A rule's claim
on an organization that another tenant claims too, or holds already, decides nothing: all those tenants become
`suggested` and a person looks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from o365_etl.matching.suggestions import Evidence, Suggestion, suggest
from o365_etl.tables import TABLES

# Rule contact_email: a top candidate among several needs this many addresses, and this many times the next one's.
CLEAR_ADDRESSES = 3
CLEAR_FACTOR = 3


class TenantDecision(Protocol):
    """What a person decided about a tenant; `action` is accept, to, create or ignore."""

    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str: ...  # noqa: D102
    @property
    def organization_id(self) -> str | None: ...  # noqa: D102
    @property
    def who(self) -> str: ...  # noqa: D102
    @property
    def at(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Claim:
    """What one rule found for one tenant."""

    organization_id: str
    rule: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a tenant stands. `wanted` are organizations that must be among its suggestions."""

    status: str
    organization_id: str | None = None
    rule: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    decision: TenantDecision | None = None
    wanted: tuple[str, ...] = ()
    is_settled: bool = True


def match_organizations(
    tenants: pd.DataFrame,
    organizations: pd.DataFrame,
    evidence: pd.DataFrame,
    decisions: Sequence[TenantDecision],
    links: Mapping[str, str],
    held: Mapping[str, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames of `match.organizations` and `match.organization_suggestions`, one outcome per row of `tenants`.

    `tenants` has tenant_id, display_name, name_key; `organizations` organization_id, name, name_key, short_name_key;
    `evidence` a row for each tenant and organization that share something: tenant_id, organization_id,
    shared_addresses, shared_domains (counts), domains (JSON list). `links` maps tenant to organization, `held`
    organizations to the stale tenants that have them.
    """
    names = {row["organization_id"]: row["name"] for row in _rows(organizations)}
    shared = _evidence_by_tenant(evidence, names)
    outcomes = _outcomes(_rows(tenants), _NameIndex(organizations), names, shared, decisions, links, held)
    # With `loc`, because an empty list by itself would choose no columns instead of no rows.
    open_tenants = tenants.loc[[not outcomes[tenant_id].is_settled for tenant_id in tenants["tenant_id"]]]
    suggestions = suggest(
        open_tenants,
        organizations,
        shared,
        wanted={tenant_id: outcome.wanted for tenant_id, outcome in outcomes.items()},
    )
    return _match_frame(_rows(tenants), outcomes, suggestions, names), _suggestion_frame(suggestions, names)


class _NameIndex:
    """Which organizations bear a normalised name, as name or short name."""

    def __init__(self, organizations: pd.DataFrame) -> None:
        self._bearers: dict[str, dict[str, str]] = defaultdict(dict)
        for row in _rows(organizations):
            # A name counts before a short name, so it is written last.
            for column in ("short_name_key", "name_key"):
                if isinstance(row[column], str):
                    self._bearers[row[column]][row["organization_id"]] = column.removesuffix("_key")

    def bearers(self, name_key: object) -> Mapping[str, str]:
        """Organization id → `name` or `short_name`."""
        return self._bearers.get(name_key, {}) if isinstance(name_key, str) else {}


def _evidence_by_tenant(evidence: pd.DataFrame, names: Mapping[str, str]) -> dict[str, dict[str, Evidence]]:
    shared: dict[str, dict[str, Evidence]] = defaultdict(dict)
    for row in _rows(evidence):
        if row["organization_id"] in names:
            domains = json.loads(row["domains"]) if isinstance(row["domains"], str) else []
            shared[row["tenant_id"]][row["organization_id"]] = Evidence(
                addresses=int(row["shared_addresses"]),
                domains_shared=int(row["shared_domains"]),
                domains=tuple(domains),
            )
    return shared


def _outcomes(
    tenants: Iterable[Mapping[str, Any]],
    index: _NameIndex,
    names: Mapping[str, str],
    shared: Mapping[str, Mapping[str, Evidence]],
    decisions: Sequence[TenantDecision],
    links: Mapping[str, str],
    held: Mapping[str, str],
) -> dict[str, Outcome]:
    decided = {decision.tenant_id: decision for decision in decisions}
    outcomes: dict[str, Outcome] = {}
    claims: dict[str, Claim | None] = {}
    for tenant in tenants:
        tenant_id = tenant["tenant_id"]
        outcome = _by_person_or_link(decided.get(tenant_id), links.get(tenant_id), names)
        if outcome is not None:
            outcomes[tenant_id] = outcome
        else:
            claims[tenant_id] = _claim(index.bearers(tenant["name_key"]), shared.get(tenant_id, {}))
    holders = _holders(decided, links, held, outcomes)
    rivals: dict[str, list[str]] = defaultdict(list)
    for tenant_id, claim in claims.items():
        if claim is not None:
            rivals[claim.organization_id].append(tenant_id)
    for tenant_id, claim in claims.items():
        outcomes[tenant_id] = _by_rule(tenant_id, claim, rivals, holders)
    return outcomes


def _by_person_or_link(decision: TenantDecision | None, link: str | None, names: Mapping[str, str]) -> Outcome | None:
    if decision is not None:
        if decision.action == "ignore":
            return Outcome("ignored", rule="decision", decision=decision)
        if decision.organization_id in names:
            return Outcome("matched", decision.organization_id, "decision", {"action": decision.action}, decision)
        if decision.organization_id is None and decision.action == "create":
            if link is None:
                return Outcome("unmatched", evidence={"pending": "create"}, decision=decision)
            if link in names:
                return Outcome("matched", link, "decision", {"action": "create"}, decision)
        # The person's choice is gone from IT Glue. No rule may choose in his place.
        gone = {"decided_organization_gone": decision.organization_id or link}
        return Outcome("unmatched", evidence=gone, decision=decision, is_settled=False)
    if link in names:
        return Outcome("matched", link, "link", {"linked": True})
    return None


def _claim(bearers: Mapping[str, str], shared: Mapping[str, Evidence]) -> Claim | None:
    """What the first rule that decides says, seen from this tenant alone."""
    if len(bearers) == 1:
        ((organization_id, column),) = bearers.items()
        return Claim(organization_id, "tenant_name", {"equals": column})
    by_addresses = sorted(
        ((found.addresses, organization_id) for organization_id, found in shared.items() if found.addresses),
        reverse=True,
    )
    if by_addresses:
        (top, organization_id), next_ = by_addresses[0], by_addresses[1][0] if len(by_addresses) > 1 else 0
        if not next_ or (top >= CLEAR_ADDRESSES and top >= CLEAR_FACTOR * next_):
            return Claim(organization_id, "contact_email", {"shared_addresses": top, "next": next_})
    by_domain = [(organization_id, found) for organization_id, found in shared.items() if found.domains_shared]
    if len(by_domain) == 1:
        organization_id, found = by_domain[0]
        return Claim(organization_id, "domain", {"shared_domains": found.domains_shared, "domains": found.domains})
    return None


def _holders(
    decided: Mapping[str, TenantDecision],
    links: Mapping[str, str],
    held: Mapping[str, str],
    outcomes: Mapping[str, Outcome],
) -> dict[str, set[str]]:
    """Which tenants hold an organization before any rule is asked."""
    holders: dict[str, set[str]] = defaultdict(set)
    for organization_id, tenant_id in held.items():
        holders[organization_id].add(tenant_id)
    for tenant_id, decision in decided.items():
        if decision.action != "ignore" and decision.organization_id is not None:
            holders[decision.organization_id].add(tenant_id)
    for tenant_id, organization_id in links.items():
        # A link that a decision overruled holds nothing any more; beside the decision to create it is what was created.
        if tenant_id not in decided or decided[tenant_id].action == "create":
            holders[organization_id].add(tenant_id)
    for tenant_id, outcome in outcomes.items():
        if outcome.organization_id is not None:
            holders[outcome.organization_id].add(tenant_id)
    return holders


def _by_rule(
    tenant_id: str, claim: Claim | None, rivals: Mapping[str, Sequence[str]], holders: Mapping[str, set[str]]
) -> Outcome:
    if claim is None:
        return Outcome("unmatched", is_settled=False)
    holding = sorted(holders.get(claim.organization_id, set()) - {tenant_id})
    claiming = sorted(set(rivals[claim.organization_id]) - {tenant_id})
    if not holding and not claiming:
        return Outcome("matched", claim.organization_id, claim.rule, claim.evidence)
    tie = {
        "rule": claim.rule,
        "organization_id": claim.organization_id,
        **claim.evidence,
        **({"held_by": holding} if holding else {}),
        **({"claimed_by": claiming} if claiming else {}),
    }
    return Outcome("suggested", evidence={"tie": tie}, wanted=(claim.organization_id,), is_settled=False)


def _match_frame(
    tenants: Iterable[Mapping[str, Any]],
    outcomes: Mapping[str, Outcome],
    suggestions: Mapping[str, Sequence[Suggestion]],
    names: Mapping[str, str],
) -> pd.DataFrame:
    rows = []
    for tenant in tenants:
        tenant_id = tenant["tenant_id"]
        outcome = outcomes[tenant_id]
        decision = outcome.decision
        status = "suggested" if suggestions.get(tenant_id) and not outcome.is_settled else outcome.status
        rows.append(
            (
                tenant_id,
                tenant["display_name"],
                status,
                outcome.organization_id,
                names[outcome.organization_id] if outcome.organization_id is not None else None,
                outcome.rule,
                json.dumps(outcome.evidence, ensure_ascii=False) if outcome.evidence else None,
                decision.who if decision else None,
                decision.at if decision else None,
            )
        )
    return pd.DataFrame(rows, columns=list(TABLES["match.organizations"].column_names), dtype=object)


def _suggestion_frame(suggestions: Mapping[str, Sequence[Suggestion]], names: Mapping[str, str]) -> pd.DataFrame:
    rows = [
        (tenant_id, rank, found.organization_id, names[found.organization_id], found.score, found.evidence_json())
        for tenant_id, ranked in suggestions.items()
        for rank, found in enumerate(ranked, start=1)
    ]
    return pd.DataFrame(rows, columns=list(TABLES["match.organization_suggestions"].column_names), dtype=object)


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as dictionaries, every kind of NULL as None."""
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns]
    names = list(frame.columns)
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))
