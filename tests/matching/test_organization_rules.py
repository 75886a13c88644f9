"""Tenant → organization: each rule, who wins, and what a tie does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o365_etl.matching.organizations import match_organizations
from o365_etl.normalise import normalise
from o365_etl.tables import TABLES

AT = datetime(2026, 1, 2, tzinfo=UTC)
COUNTED = ["shared_addresses", "shared_domains"]


@dataclass(frozen=True)
class Decision:
    tenant_id: str
    action: str
    organization_id: str | None = None
    who: str = "lead"
    at: datetime = AT


def run(
    tenants: Mapping[str, str | None],
    organizations: Mapping[str, str | tuple[str, str]],
    evidence: Sequence[tuple[str, str, int, list[str]]] = (),
    decisions: Sequence[Decision] = (),
    links: Mapping[str, str] | None = None,
    held: Mapping[str, str] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Matches by name; returns the match rows and the suggested organizations by tenant."""
    names = {id_: name if isinstance(name, tuple) else (name, None) for id_, name in organizations.items()}
    matches, suggestions = match_organizations(
        pd.DataFrame(
            [(id_, name, normalise(name) if name else None) for id_, name in tenants.items()],
            columns=["tenant_id", "display_name", "name_key"],
        ),
        pd.DataFrame(
            [(id_, n, normalise(n), normalise(short) if short else None) for id_, (n, short) in names.items()],
            columns=["organization_id", "name", "name_key", "short_name_key"],
        ),
        pd.DataFrame(
            [(t, o, addresses, len(domains), json.dumps(domains)) for t, o, addresses, domains in evidence],
            columns=["tenant_id", "organization_id", *COUNTED, "domains"],
        ),
        decisions,
        links or {},
        held or {},
    )
    assert list(matches.columns) == list(TABLES["match.organizations"].column_names)
    assert list(suggestions.columns) == list(TABLES["match.organization_suggestions"].column_names)
    ranked: dict[str, list[str]] = {}
    for row in suggestions.itertuples():
        ranked.setdefault(str(row.tenant_id), []).append(str(row.organization_id))
        assert row.rank == len(ranked[str(row.tenant_id)])
        assert 0 <= float(str(row.score)) <= 100
    return {row["tenant_id"]: row for row in matches.to_dict("records")}, ranked


def short(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["status"], row["rule"], row["organization_id"]


SINGLE = {
    "the name, normalised": ({"t": " CONTOSO  ag"}, {"1": "Contoso AG"}, [], ("matched", "tenant_name", "1")),
    "a short name": ({"t": "CTS"}, {"1": ("Contoso AG", "cts")}, [], ("matched", "tenant_name", "1")),
    "diacritics count": ({"t": "Zoe"}, {"1": "Zoé"}, [], ("suggested", None, None)),
    "a legal form apart is a suggestion only": (
        {"t": "Contoso GmbH"},
        {"1": "Contoso Ltd"},
        [],
        ("suggested", None, None),
    ),
    "two of one name decide nothing": (
        {"t": "Contoso"},
        {"1": "Contoso", "2": "contoso"},
        [],
        ("suggested", None, None),
    ),
    "two of one name, told apart by an address": (
        {"t": "Contoso"},
        {"1": "Contoso", "2": "contoso"},
        [("t", "2", 1, [])],
        ("matched", "contact_email", "2"),
    ),
    "one address is enough": ({"t": "A"}, {"1": "Zzz"}, [("t", "1", 1, [])], ("matched", "contact_email", "1")),
    "three times the next and at least three": (
        {"t": "A"},
        {"1": "Zzz", "2": "Yyy"},
        [("t", "1", 3, []), ("t", "2", 1, [])],
        ("matched", "contact_email", "1"),
    ),
    "less than three times the next": (
        {"t": "A"},
        {"1": "Zzz", "2": "Yyy"},
        [("t", "1", 5, []), ("t", "2", 2, [])],
        ("suggested", None, None),
    ),
    "three times but less than three": (
        {"t": "A"},
        {"1": "Zzz", "2": "Yyy"},
        [("t", "1", 2, []), ("t", "2", 1, [])],
        ("suggested", None, None),
    ),
    "a domain that points to one": ({"t": "A"}, {"1": "Z"}, [("t", "1", 0, ["x.ex"])], ("matched", "domain", "1")),
    "a domain that points to two": (
        {"t": "A"},
        {"1": "Zzz", "2": "Yyy"},
        [("t", "1", 0, ["x.ex"]), ("t", "2", 0, ["x.ex"])],
        ("suggested", None, None),
    ),
    "the domain decides where addresses cannot": (
        {"t": "A"},
        {"1": "Zzz", "2": "Yyy"},
        [("t", "1", 1, ["x.ex"]), ("t", "2", 1, [])],
        ("matched", "domain", "1"),
    ),
    "the name goes before addresses": (
        {"t": "Contoso"},
        {"1": "Contoso", "2": "Zzz"},
        [("t", "2", 9, ["x.ex"])],
        ("matched", "tenant_name", "1"),
    ),
    "nothing in common": ({"t": "Contoso"}, {"1": "Zzz"}, [], ("unmatched", None, None)),
    "a tenant without a name": ({"t": None}, {"1": "Zzz"}, [], ("unmatched", None, None)),
    "no organization at all": ({"t": "Contoso"}, {}, [], ("unmatched", None, None)),
}


@pytest.mark.parametrize(("tenants", "organizations", "evidence", "expected"), SINGLE.values(), ids=SINGLE.keys())
def test_a_tenant_alone(tenants: Any, organizations: Any, evidence: Any, expected: tuple[Any, ...]) -> None:
    """Each rule on one tenant, in the order of the design."""
    matches, suggested = run(tenants, organizations, evidence)
    assert short(matches["t"]) == expected
    assert ("t" in suggested) == (expected[0] == "suggested")


def test_a_person_wins_over_every_rule() -> None:
    """Accept, choose, ignore and create are what the person said, whatever the names say."""
    tenants = {"a": "Contoso", "b": "Fabrikam", "c": "Adatum", "d": "Litware"}
    organizations = {"1": "Contoso", "2": "Fabrikam", "3": "Adatum", "4": "Litware", "9": "Other"}
    decisions = [
        Decision("a", "to", "9"),
        Decision("b", "ignore"),
        Decision("c", "create"),
        Decision("d", "create", "9"),
    ]
    matches, suggested = run(tenants, organizations, decisions=decisions)
    assert short(matches["a"]) == ("matched", "decision", "9")
    assert short(matches["b"]) == ("ignored", "decision", None)
    assert short(matches["c"]) == ("unmatched", None, None)
    assert json.loads(matches["c"]["evidence"]) == {"pending": "create"}
    assert short(matches["d"]) == ("matched", "decision", "9")
    assert (matches["a"]["decided_by"], matches["a"]["decided_at"]) == ("lead", AT)
    assert suggested == {}


def test_a_link_outlives_a_rename_but_not_its_organization() -> None:
    """A linked tenant stays matched under a new name; where the organization is gone, the rules decide anew."""
    matches, _ = run({"a": "Renamed", "b": "Fabrikam"}, {"1": "Contoso", "2": "Fabrikam"}, links={"a": "1", "b": "77"})
    assert short(matches["a"]) == ("matched", "link", "1")
    assert short(matches["b"]) == ("matched", "tenant_name", "2")


def test_no_rule_chooses_where_the_chosen_organization_is_gone() -> None:
    """The person's choice vanished from IT Glue: a person looks, whatever the names say."""
    matches, suggested = run({"a": "Contoso"}, {"1": "Contoso"}, decisions=[Decision("a", "to", "77")])
    assert short(matches["a"]) == ("suggested", None, None)
    assert json.loads(matches["a"]["evidence"]) == {"decided_organization_gone": "77"}
    assert suggested["a"] == ["1"]


def test_a_tie_makes_all_of_them_suggested() -> None:
    """Two tenants that claim one organization, by whichever rules, both go to a person, with the tie named."""
    matches, suggested = run({"a": "Contoso", "b": "Bbb"}, {"1": "Contoso"}, [("b", "1", 4, [])])
    for tenant, rival in (("a", "b"), ("b", "a")):
        assert short(matches[tenant]) == ("suggested", None, None)
        tie = json.loads(matches[tenant]["evidence"])["tie"]
        assert (tie["organization_id"], tie["claimed_by"]) == ("1", [rival])
        assert suggested[tenant] == ["1"]


@pytest.mark.parametrize(
    "holder",
    [
        {"decisions": [Decision("b", "to", "1")]},
        {"links": {"b": "1"}},
        {"held": {"1": "stale"}},
    ],
    ids=["decision", "link", "stale tenant"],
)
def test_a_held_organization_is_only_suggested(holder: dict[str, Any]) -> None:
    """What another tenant has by decision or link, or had before it became stale, no rule takes away."""
    matches, suggested = run({"a": "Contoso", "b": "Bbb"}, {"1": "Contoso"}, **holder)
    assert short(matches["a"]) == ("suggested", None, None)
    assert "held_by" in json.loads(matches["a"]["evidence"])["tie"]
    assert suggested["a"] == ["1"]


def test_two_people_may_share_an_organization_by_decision() -> None:
    """Only a person may give one organization to two tenants."""
    matches, _ = run({"a": "A", "b": "B"}, {"1": "Z"}, decisions=[Decision("a", "to", "1"), Decision("b", "to", "1")])
    assert [short(matches[t])[:2] for t in "ab"] == [("matched", "decision")] * 2


def test_an_overruled_link_holds_nothing() -> None:
    """A tenant moved to another organization by a person frees the one it was linked to."""
    matches, _ = run(
        {"a": "Contoso", "b": "Bbb"}, {"1": "Contoso", "2": "X"}, links={"b": "1"}, decisions=[Decision("b", "to", "2")]
    )
    assert short(matches["a"]) == ("matched", "tenant_name", "1")


def scored(tenant: str, organizations: Mapping[str, str], evidence: Sequence[Any] = ()) -> list[tuple[str, float]]:
    rows = [(id_, name, normalise(name), None) for id_, name in organizations.items()]
    _, suggestions = match_organizations(
        pd.DataFrame([("t", tenant, normalise(tenant))], columns=["tenant_id", "display_name", "name_key"]),
        pd.DataFrame(rows, columns=["organization_id", "name", "name_key", "short_name_key"]),
        pd.DataFrame(evidence, columns=["tenant_id", "organization_id", *COUNTED, "domains"]),
        [],
        {},
        {},
    )
    return [(str(row.organization_id), float(str(row.score))) for row in suggestions.itertuples()]


def test_equality_without_legal_form_scores_a_hundred() -> None:
    """The best suggestion there is, but not a match."""
    assert scored("Contoso Sp. z o.o.", {"1": "CONTOSO S.A.R.L."}) == [("1", 100.0)]


def test_shared_domains_and_addresses_lift_the_score() -> None:
    """At least 75 for a shared domain, at least 85 for shared addresses, and neither lowers a better name."""
    organizations = {"1": "Qqq", "2": "Www", "3": "Contoso Group"}
    evidence = [("t", "1", 2, 0, "[]"), ("t", "2", 0, 1, '["x.ex"]'), ("t", "3", 1, 1, "[]")]
    found = dict(scored("Contoso Grupp", organizations, evidence))
    assert (found["1"], found["2"]) == (85.0, 75.0)
    assert found["3"] > 85


def test_equal_scores_go_by_addresses_then_name_then_id() -> None:
    """The order of suggestions is the same in every sync."""
    organizations = {"30": "Bbb", "4": "Aaa", "2": "Ccc", "1": "Aaa"}
    evidence = [("t", id_, 5 if id_ == "2" else 2, 0, "[]") for id_ in organizations]
    assert [id_ for id_, _ in scored("Xyz", organizations, evidence)] == ["2", "1", "4", "30"]


def test_no_more_than_five_and_none_below_sixty() -> None:
    """A list that a person can read."""
    organizations = {str(n): f"Contoso {n}" for n in range(9)} | {"z": "Unlike anything"}
    found = scored("Contoso", organizations)
    assert len(found) == 5
    assert all(score >= 60 for _, score in found)


def test_the_organization_of_a_tie_is_always_among_the_suggestions() -> None:
    """Even behind a crowd of better names, the claimed organization is shown."""
    organizations = {str(n): f"Contoso {n}" for n in range(1, 9)} | {"9": "Zzz"}
    _, suggested = run({"a": "Contoso", "b": "Contosso"}, organizations, [(t, "9", 0, ["x.ex"]) for t in "ab"])
    assert all("9" in suggested[tenant] and len(suggested[tenant]) == 5 for tenant in "ab")


def test_a_missing_word_is_forgiven() -> None:
    """A name that lacks the other's additions is found although few letters agree."""
    assert scored("Wilxan", {"1": "Wilxan International Engineering Services"})[0][0] == "1"


NAMES = st.sampled_from(["Contoso", "Contoso AG", "CONTOSO ag", "Fabrikam", "Fabrikam Inc.", "Ärzte", "=1+1", None])
IDS = st.sampled_from(["1", "2", "3", "4", "77"])


@settings(max_examples=60, deadline=None)
@given(
    tenants=st.dictionaries(st.sampled_from("abcd"), NAMES, min_size=1),
    organizations=st.dictionaries(st.sampled_from("1234"), NAMES.filter(bool)),
    evidence=st.dictionaries(st.tuples(st.sampled_from("abcd"), IDS), st.integers(0, 9)),
    links=st.dictionaries(st.sampled_from("abcd"), IDS),
    held=st.dictionaries(IDS, st.just("stale")),
)
def test_no_rule_gives_one_organization_twice(
    tenants: Any, organizations: Any, evidence: Any, links: Any, held: Any
) -> None:
    """Whatever collides: rules match one to one, never what is held; suggested means there are suggestions."""
    shared = [(t, o, count, ["x.ex"] if count % 2 else []) for (t, o), count in evidence.items() if t in tenants]
    matches, suggested = run(tenants, organizations, shared, links=links, held=held)
    assert set(matches) == set(tenants)
    by_rule = [row["organization_id"] for row in matches.values() if row["rule"] not in (None, "decision", "link")]
    by_link = [row["organization_id"] for row in matches.values() if row["rule"] == "link"]
    assert len(by_rule) == len(set(by_rule))
    assert not set(by_rule) & ({*by_link} | {*held} | {*links.values()})
    for tenant, row in matches.items():
        assert (row["status"] == "suggested") == (tenant in suggested)


def test_without_a_tenant_there_is_nothing_to_match() -> None:
    """In a sync in which every tenant fails all are stale, and none is left to match: that is no error."""
    assert run({}, {"1": "Contoso"}) == ({}, {})
    assert run({}, {}) == ({}, {})
