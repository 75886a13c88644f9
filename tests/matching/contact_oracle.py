"""The contact rules of the design once more, in slow and obvious Python: what the SQL is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from o365_etl.normalise import normalise

Key = tuple[str, str]


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
    links: Mapping[Key, str] = field(default_factory=dict)
    earlier: Mapping[Key, str] = field(default_factory=dict)  # what users of stale tenants had


@dataclass(frozen=True)
class Outcome:
    status: str
    rule: str | None = None
    contact: str | None = None
    candidates: tuple[str, ...] | None = None


def match(world: World) -> dict[Key, Outcome]:
    """Where each user of a fresh tenant stands."""
    contacts = {contact.id: contact for contact in world.contacts}
    decisions = {(d.tenant_id, d.user_id): d for d in world.decisions}
    links = {
        key: contact
        for key, contact in world.links.items()
        if contact in contacts and (key not in decisions or decisions[key].action == "ignore")
    }
    present = {user.key for user in world.users}

    def counts(key: Key) -> bool:
        return key in present or key[0] not in world.fresh

    decided = {d.contact_id for d in world.decisions if counts((d.tenant_id, d.user_id))} - {None}
    held = {contact for key, contact in world.earlier.items() if key[0] not in world.fresh}
    taken = decided | {contact for key, contact in links.items() if counts(key)} | held
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
        outcomes |= _by_rules(pool, there, links, decided, taken)
    return outcomes


def _before_rules(
    user: User,
    organization: str | None,
    decision: Decided | None,
    links: Mapping[Key, str],
    contacts: Mapping[str, Contact],
) -> Outcome | None:
    if not user.in_scope:
        kept = decision.contact_id if decision and decision.contact_id in contacts else links.get(user.key)
        return Outcome("out_of_scope", contact=kept)
    if organization is None:
        return Outcome("organization_unmatched")
    if decision is None:
        return None
    if decision.action == "ignore":
        return Outcome("ignored", "decision")
    if decision.contact_id is None:
        return Outcome("create", "decision")
    chosen = contacts.get(decision.contact_id)
    if chosen is None or chosen.organization != organization:
        return Outcome("ambiguous", "decision")
    return Outcome("matched", "decision", chosen.id)


def _by_rules(
    users: Sequence[User],
    contacts: Sequence[Contact],
    links: Mapping[Key, str],
    decided: set[str | None],
    taken: set[str],
) -> dict[Key, Outcome]:
    outcomes: dict[Key, Outcome] = {}
    given: set[str] = set()
    contested: set[str] = set()

    def finds(rule: str, user: User, contact: Contact) -> bool:
        if rule == "link":
            return links.get(user.key) == contact.id and contact.id not in decided
        if contact.id in taken or contact.id in given:
            return False
        if rule == "alias":
            kinds = ("primary", "alias", "other")
            return any(kind in kinds and address in contact.emails for address, kind in user.addresses.items())
        if rule == "username":
            return normalise(user.upn) in contact.emails
        return user.name is not None and user.name == contact.name

    for rule in ("link", "alias", "username", "full_name"):
        pairs = {
            (user.key, contact.id)
            for user in users
            for contact in contacts
            if user.key not in outcomes and finds(rule, user, contact)
        }
        free = {pair for pair in pairs if pair[1] not in contested}
        for key in {key for key, _ in pairs}:
            mine = [contact for owner, contact in free if owner == key]
            rivals = [owner for owner, contact in free if mine and contact == mine[0]]
            if len(mine) == 1 and len(rivals) == 1:
                outcomes[key] = Outcome("matched", rule, mine[0])
                given.add(mine[0])
            else:
                candidates = tuple(sorted(contact for owner, contact in pairs if owner == key))
                outcomes[key] = Outcome("ambiguous", rule, None, candidates)
        for key, contact in pairs:
            if outcomes[key].status == "ambiguous":
                contested.add(contact)
    for user in users:
        outcomes.setdefault(user.key, Outcome("create"))
    return outcomes
