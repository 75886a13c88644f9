"""What the matching pages say in words: rules, evidence, decisions, and what holds for a tenant.

What does not live here: the pages (`matching`, `accepting`), and the rules themselves (`matching.organizations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from o365_etl.pipeline.standing import Standing, Standings
from o365_etl.review.rendering import plural, word


def reasons(row: Standing, held: Standings) -> list[str]:
    """Why a tenant is matched, or why not."""
    seen = row.evidence
    if row.status == "matched":
        return [_rule_in_words(row.rule, seen).rstrip(".") + "."]
    if row.is_to_be_created:
        return ["The next plan creates an organization for it."]
    if "decided_organization_gone" in seen:
        return [f"The organization that was decided on ({seen['decided_organization_gone']}) is gone from IT Glue."]
    tie = seen.get("tie")
    if tie and row.status in ("suggested", "unmatched"):
        names = [_name(held, each) for each in row.rivals]
        return [f"{_rule_in_words(tie.get('rule'), tie)}; but so has {', '.join(names)}, so a person decides."]
    return []


def _name(held: Standings, tenant_id: str) -> str:
    known = held.get(tenant_id)
    if known is None:
        return tenant_id
    return f"{known.tenant_name} ({known.default_domain})" if known.default_domain else known.tenant_name


def _rule_in_words(rule: str | None, seen: Mapping[str, Any]) -> str:
    if rule == "decision":
        return {
            "accept": "The suggestion was accepted.",
            "to": "A person chose this organization.",
            "create": "The organization was created for it.",
        }.get(seen.get("action", ""), "A person decided.")
    if rule == "link":
        return "Linked since an earlier sync."
    if rule == "tenant_name":
        which = "short name" if seen.get("equals") == "short_name" else "name"
        return f"It has the organization's {which}"
    if rule == "contact_email":
        return (
            f"{plural(seen.get('shared_addresses', 0), 'address', 'addresses')} of its users found among the contacts"
        )
    if rule == "domain":
        return f"Its domain is in the contacts' addresses: {', '.join(seen.get('domains') or ())}"
    return word(rule)


def evidence_in_words(seen: Mapping[str, Any]) -> list[str]:
    """What speaks for a suggestion."""
    score, words = seen.get("name_score"), []
    if score is not None and score >= 100:
        words.append("same name, the legal form left out")
    elif score:
        words.append(f"names {score:.0f} % alike")
    if addresses := seen.get("shared_addresses"):
        words.append(plural(addresses, "shared address", "shared addresses"))
    if domains := seen.get("shared_domains"):
        words.append(f"{plural(domains, 'shared domain')}: {', '.join(seen.get('domains') or ())}")
    return words or ["nothing but a likeness"]


def in_words(action: str, target: str | None) -> str:
    """A decision about a tenant as a person says it."""
    return {
        "accept": f"accepted {target}",
        "to": f"matched it with {target}",
        "create": "had an organization created",
        "ignore": "ignored it",
        "undo": "took the last decision back",
    }[action]


def in_a_sentence(row: Standing, *, is_undone: bool = False) -> str:
    """What holds for a tenant, and since when."""
    if row.is_to_be_created:
        text = f"An organization will be created for {row.tenant_name}."
    elif row.status == "matched":
        text = f"{row.tenant_name} is matched with {row.organization_name}."
    else:
        text = f"{row.tenant_name} is {row.status}."
    if is_undone:
        text = f"Taken back. {text}"
    return text if row.is_in_effect else f"{text} It takes effect in a moment."
