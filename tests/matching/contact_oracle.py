"""The contact rules of the design once more, in slow and obvious Python: what the SQL is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from o365_etl.normalise import normalise

Key = tuple[str, str]  # tenant, user
Evidence = Mapping[str, object]


@dataclass(frozen=True)
class User:
    tenant: str
    id: str
    upn: str
    name: str | None = None
    in_scope: bool = True
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.tenant, self.id


@dataclass(frozen=True)
class Contact:
    id: str
    organization: str
    name: str | None = None
    emails: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Decided:
    tenant_id: str
    user_id: str
    action: str
    contact_id: str | None = None


@dataclass(frozen=True)
class World:
    organizations: Mapping[str, str | None]  # tenant → its matched organization
    users: Sequence[User]
    contacts: Sequence[Contact]
    fresh: frozenset[str]
    decisions: Sequence[Decided] = ()
    links: Mapping[tuple[str, str, str], str] = field(default_factory=dict)  # tenant, user, organization → contact
    earlier: Mapping[Key, str] = field(default_factory=dict)  # what users of stale tenants had


@dataclass(frozen=True)
class Outcome:
    status: str
    rule: str | None = None
    contact: str | None = None
    candidates: tuple[str, ...] | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Links:
    """The links that count: into the organization that the tenant is matched with, and not overruled."""

    whole: Mapping[Key, str]
    broken: Mapping[Key, str]  # the contact is gone, or in another organization


def match(world: World) -> dict[Key, Outcome]:
    """Where each user of a fresh tenant stands."""
    contacts = {contact.id: contact for contact in world.contacts}
    decisions = {(d.tenant_id, d.user_id): d for d in world.decisions}
    links = _links_that_count(world, contacts, decisions)
    decided, taken = _held(world, links, decisions)
    outcomes: dict[Key, Outcome] = {}
    open_users = []
    for user in world.users:
        if user.tenant in world.fresh:
            outcome = _before_rules(
                user, world.organizations.get(user.tenant), decisions.get(user.key), links, contacts
            )
            if outcome is None:
                open_users.append(user)
            else:
                outcomes[user.key] = outcome
    for organization in {world.organizations[user.tenant] for user in open_users}:
        pool = [user for user in open_users if world.organizations[user.tenant] == organization]
        there = [contact for contact in world.contacts if contact.organization == organization]
        outcomes |= _by_rules(pool, there, links.whole, decided, taken)
    return outcomes


def new_links(world: World, outcomes: Mapping[Key, Outcome]) -> set[tuple[str, str, str, str, str]]:
    """What was found out and no link says: tenant, user, organization, contact, rule."""
    found = set()
    for (tenant, user), outcome in outcomes.items():
        organization = world.organizations.get(tenant)
        if outcome.status != "matched" or organization is None or outcome.contact is None or outcome.rule is None:
            continue
        if world.links.get((tenant, user, organization)) != outcome.contact:
            found.add((tenant, user, organization, outcome.contact, outcome.rule))
    return found


def _links_that_count(world: World, contacts: Mapping[str, Contact], decisions: Mapping[Key, Decided]) -> Links:
    whole: dict[Key, str] = {}
    broken: dict[Key, str] = {}
    for (tenant, user, organization), contact in world.links.items():
        decision = decisions.get((tenant, user))
        if world.organizations.get(tenant) != organization or (decision and decision.contact_id is not None):
            continue
        is_there = contact in contacts and contacts[contact].organization == organization
        (whole if is_there else broken)[tenant, user] = contact
    return Links(whole, broken)


def _held(world: World, links: Links, decisions: Mapping[Key, Decided]) -> tuple[set[str], set[str]]:
    """The contacts that people gave away, and all that no rule may give away."""
    present = {user.key for user in world.users}

    def counts(key: Key) -> bool:
        return key in present or key[0] not in world.fresh

    decided: set[str] = set()
    for key, decision in decisions.items():
        if not counts(key):
            continue
        if decision.contact_id is not None:
            decided.add(decision.contact_id)
        elif decision.action == "create" and key in links.whole:  # the contact that was created
            decided.add(links.whole[key])
    linked = {contact for key, contact in links.whole.items() if counts(key)}
    earlier = {contact for key, contact in world.earlier.items() if key[0] not in world.fresh}
    return decided, decided | linked | earlier


def _before_rules(
    user: User,
    organization: str | None,
    decision: Decided | None,
    links: Links,
    contacts: Mapping[str, Contact],
) -> Outcome | None:
    whole, broken = links.whole.get(user.key), links.broken.get(user.key)
    if not user.in_scope:
        kept = decision.contact_id if decision and decision.contact_id in contacts else whole
        return Outcome("out_of_scope", contact=kept)
    if organization is None:
        return Outcome("organization_unmatched")
    if decision and decision.action == "ignore":
        return Outcome("ignored", "decision", evidence={"action": "ignore"})
    if decision and decision.contact_id is not None:
        chosen = contacts.get(decision.contact_id)
        if chosen is None or chosen.organization != organization:
            return Outcome("ambiguous", "decision", evidence={"decided_contact_gone": decision.contact_id})
        return Outcome("matched", "decision", chosen.id, evidence={"action": decision.action})
    if broken is not None:
        return Outcome("ambiguous", "link", evidence={"linked_contact_gone": broken})
    if decision is None:
        return None
    status = "create" if whole is None else "matched"
    return Outcome(status, "decision", whole, evidence={"action": "create"})


def _by_rules(
    users: Sequence[User],
    contacts: Sequence[Contact],
    links: Mapping[Key, str],
    decided: set[str],
    taken: set[str],
) -> dict[Key, Outcome]:
    outcomes: dict[Key, Outcome] = {}
    given: set[str] = set()
    claimed: dict[str, set[Key]] = {}  # contact → the users whom rules left ambiguous about it

    def finds(rule: str, user: User, contact: Contact) -> Evidence | None:
        if rule == "link":
            return {"linked": True} if links.get(user.key) == contact.id and contact.id not in decided else None
        if contact.id in taken or contact.id in given:
            return None
        if rule == "full_name":
            return {"name": user.name} if user.name is not None and user.name == contact.name else None
        if rule == "username":
            mine = {normalise(user.upn)}
        else:
            mine = {address for address, kind in user.addresses.items() if kind in ("primary", "alias", "other")}
        shared = mine & contact.emails
        return {"address": min(shared)} if shared else None

    for rule in ("link", "alias", "username", "full_name"):
        pairs = {
            (user.key, contact.id): evidence
            for user in users
            for contact in contacts
            if user.key not in outcomes and (evidence := finds(rule, user, contact)) is not None
        }
        free = {pair for pair in pairs if pair[1] not in claimed}
        for key in {key for key, _ in pairs}:
            mine = [contact for owner, contact in free if owner == key]
            rivals = [owner for owner, contact in free if mine and contact == mine[0]]
            if len(mine) == 1 and len(rivals) == 1:
                outcomes[key] = Outcome("matched", rule, mine[0], evidence=pairs[key, mine[0]])
                given.add(mine[0])
            else:
                candidates = tuple(sorted(contact for owner, contact in pairs if owner == key))
                outcomes[key] = Outcome("ambiguous", rule, None, candidates)
        for key, contact in pairs:
            if outcomes[key].status == "ambiguous":
                claimed.setdefault(contact, set()).add(key)
    for key, outcome in outcomes.items():
        if outcome.candidates is not None:
            most = max(len(claimed[contact]) for contact in outcome.candidates)
            evidence = {"contacts": len(outcome.candidates), "users": most}
            outcomes[key] = Outcome(outcome.status, outcome.rule, None, outcome.candidates, evidence)
    for user in users:
        outcomes.setdefault(user.key, Outcome("create"))
    return outcomes
