"""Suggestions: up to five organizations that may be a tenant's, scored 0 to 100, best first.

The score is the likeness of the names, with and without their legal forms, lifted to at least 75 by a shared verified
domain and to at least 85 by shared addresses. Names are compared all with all by a cheap scorer; a dear one that
forgives missing words sees only pairs that share an uncommon word.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from rapidfuzz import fuzz, process

from o365_etl.normalise import without_legal_form

LOWEST_SCORE = 60.0
DOMAIN_SCORE = 75.0
ADDRESS_SCORE = 85.0
MOST = 5
# A name that merely contains the other's words is less sure than one that equals it.
_PARTIAL_WEIGHT = 0.9
# A word that more organizations than this have in their names says nothing ("dental", "consulting").
_COMMON_WORD = 50
# Rows of the score matrix in memory at once.
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a tenant and an organization share: how many addresses, how many verified domains, some of these."""

    addresses: int = 0
    domains_shared: int = 0
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One organization for one tenant, with what speaks for it."""

    organization_id: str
    score: float
    name_score: float
    evidence: Evidence

    def evidence_json(self) -> str:
        """What speaks for it, as the table shows it."""
        shown = {
            "name_score": self.name_score,
            "shared_addresses": self.evidence.addresses,
            "shared_domains": self.evidence.domains_shared,
            "domains": self.evidence.domains,
        }
        return json.dumps(shown, ensure_ascii=False)


class _Choices:
    """The names that organizations go by, each with its position in the organizations' frame."""

    def __init__(self, organizations: pd.DataFrame) -> None:
        self.full: list[str] = []
        self.positions: list[int] = []
        for column in ("name_key", "short_name_key"):
            for position, name in enumerate(organizations[column]):
                if isinstance(name, str) and name:
                    self.full.append(name)
                    self.positions.append(position)
        self.bare = [without_legal_form(name) for name in self.full]
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(self.bare):
            for word in set(name.split()):
                self._by_word[word].append(index)

    def sharing_a_word(self, bare_name: str) -> list[int]:
        """Indexes of the names that share an uncommon word."""
        found: set[int] = set()
        for word in set(bare_name.split()):
            indexes = self._by_word.get(word, ())
            if len(indexes) <= _COMMON_WORD:
                found.update(indexes)
        return sorted(found)


def suggest(
    tenants: pd.DataFrame,
    organizations: pd.DataFrame,
    shared: Mapping[str, Mapping[str, Evidence]],
    *,
    wanted: Mapping[str, Sequence[str]],
) -> dict[str, list[Suggestion]]:
    """The suggestions of each tenant that has any, best first.

    `shared` is what tenant and organization have in common; `wanted` names organizations that must be among the
    suggestions of a tenant whatever else is. Equal scores: more shared addresses first, then name, then id.
    """
    ids = organizations["organization_id"].tolist()
    names = {
        id_: name if isinstance(name, str) else "" for id_, name in zip(ids, organizations["name_key"], strict=True)
    }
    suggestions = {}
    for tenant_id, by_name in zip(tenants["tenant_id"], _name_scores(tenants, organizations), strict=True):
        scores = {ids[position]: score for position, score in by_name.items()}
        evidence = shared.get(tenant_id, {})
        ranked = sorted(
            (
                _suggestion(
                    organization_id, scores.get(organization_id, 0.0), evidence.get(organization_id, Evidence())
                )
                for organization_id in {*scores, *evidence, *wanted.get(tenant_id, ())}
            ),
            key=lambda found: (
                -found.score,
                -found.evidence.addresses,
                names[found.organization_id],
                found.organization_id,
            ),
        )
        if best := _best(ranked, wanted.get(tenant_id, ())):
            suggestions[tenant_id] = best
    return suggestions


def _suggestion(organization_id: str, name_score: float, evidence: Evidence) -> Suggestion:
    score = name_score
    if evidence.domains_shared:
        score = max(score, DOMAIN_SCORE)
    if evidence.addresses:
        score = max(score, ADDRESS_SCORE)
    return Suggestion(organization_id, score, name_score, evidence)


def _best(ranked: Sequence[Suggestion], wanted: Sequence[str]) -> list[Suggestion]:
    best = [found for found in ranked if found.score >= LOWEST_SCORE][:MOST]
    missing = [found for found in ranked if found.organization_id in wanted and found not in best]
    return best[: MOST - len(missing)] + missing


def _name_scores(tenants: pd.DataFrame, organizations: pd.DataFrame) -> Iterator[dict[int, float]]:
    """For each tenant the likeliest organizations by name: position → score of at least `LOWEST_SCORE`."""
    choices = _Choices(organizations)
    full = [name if isinstance(name, str) else "" for name in tenants["name_key"]]
    bare = [without_legal_form(name) for name in full]
    for start in range(0, len(full), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        alike = np.maximum(_all_with_all(full[chunk], choices.full), _all_with_all(bare[chunk], choices.bare))
        for name, row in zip(bare[chunk], alike, strict=True):
            scores = _likeliest(row, choices)
            _add_partial(scores, name, choices)
            yield {position: round(score, 1) for position, score in scores.items()}


def _all_with_all(names: Sequence[str], choices: Sequence[str]) -> npt.NDArray[np.float32]:
    if not choices:
        return np.zeros((len(names), 0), dtype=np.float32)
    scores: npt.NDArray[np.float32] = process.cdist(
        names, choices, scorer=fuzz.token_sort_ratio, score_cutoff=LOWEST_SCORE, workers=-1, dtype=np.float32
    )
    # Two tenants without a name are not alike.
    scores[[not name for name in names]] = 0
    return scores


def _likeliest(row: npt.NDArray[np.float32], choices: _Choices) -> dict[int, float]:
    """The best organizations of one row, and all that tie with the last of them."""
    found = np.flatnonzero(row >= LOWEST_SCORE)
    scores: dict[int, float] = {}
    # An organization may stand twice (name and short name), so twice as many rows are kept as will be shown.
    keep = 2 * MOST
    if len(found) > keep:
        lowest = np.partition(row[found], -keep)[-keep]
        found = found[row[found] >= lowest]
    for index in found:
        position = choices.positions[index]
        scores[position] = max(scores.get(position, 0.0), float(row[index]))
    return scores


def _add_partial(scores: dict[int, float], bare_name: str, choices: _Choices) -> None:
    indexes = choices.sharing_a_word(bare_name)
    cutoff = LOWEST_SCORE / _PARTIAL_WEIGHT
    for _, score, at in process.extract(
        bare_name,
        [choices.bare[index] for index in indexes],
        scorer=fuzz.token_set_ratio,
        score_cutoff=cutoff,
        limit=2 * MOST,
    ):
        position = choices.positions[indexes[at]]
        scores[position] = max(scores.get(position, 0.0), score * _PARTIAL_WEIGHT)
