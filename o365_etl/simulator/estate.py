"""The synthetic world that the simulator serves: one partner, its tenants, one IT Glue account, and the truth.

What lives here: the container, look-ups and caches. The worlds themselves are made in `demo_estate` and
`sized_estate`; how things look on the wire is in `graph_objects` and `itglue_objects`.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from o365_etl.simulator.itglue_model import (
    SimContact,
    SimFlexibleAsset,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
    SimRecord,
)
from o365_etl.simulator.itglue_overlay import OverlaidContacts, SizedContacts
from o365_etl.simulator.model import PARTNER_ROLES, SimTenant, SimUser
from o365_etl.simulator.rows import LazyList, ListRows, Rows
from o365_etl.simulator.user_history import UserHistory

FIRST_ORGANIZATION_ID = 1_000_000
FIRST_CONTACT_ID = 5_000_000
FIRST_OTHER_ID = 9_000_000
Kind = Literal["organizations", "contacts", "locations", "flexible_asset_types", "flexible_assets"]
# The field that holds the id of each kind of IT Glue record, and the first id to give
KINDS: Mapping[Kind, tuple[str, int]] = {
    "organizations": ("organization_id", FIRST_ORGANIZATION_ID),
    "contacts": ("contact_id", FIRST_CONTACT_ID),
    "locations": ("location_id", FIRST_OTHER_ID),
    "flexible_asset_types": ("type_id", FIRST_OTHER_ID),
    "flexible_assets": ("asset_id", FIRST_OTHER_ID),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Truth:
    """Who belongs to whom, as the estate was meant: for measuring precision and recall.

    `organizations`: tenant id → organization id, None where none is right. `contacts`: (tenant id, user id) →
    contact id, None where a contact has to be made. A pair that is missing is not to be judged (a person decides,
    or nobody ought to have a contact); whether a user is in scope is not considered here.
    """

    organizations: dict[str, str | None] = field(default_factory=dict)
    contacts: dict[tuple[str, str], str | None] = field(default_factory=dict)


class SizedUsers(Protocol):
    """The users of a tenant of a sized estate, without one object per user."""

    rows: Rows[SimUser]

    def find(self, key: str) -> SimUser | None:
        """The user with this id or user principal name."""


class Estate:
    """One synthetic world. Change its things between syncs, then call `touch`."""

    def __init__(
        self,
        *,
        tenants: Iterable[SimTenant] = (),
        organizations: Iterable[SimOrganization] = (),
        contacts: Iterable[SimContact] = (),
        locations: Iterable[SimLocation] = (),
        flexible_asset_types: Iterable[SimFlexibleAssetType] = (),
        flexible_assets: Iterable[SimFlexibleAsset] = (),
        partner: SimTenant | None = None,
        now: dt.datetime | None = None,
        truth: Callable[[], Truth] = Truth,
    ) -> None:
        self.partner = partner or SimTenant("Lighthouse IT Services", roles=PARTNER_ROLES, listed_in="none")
        self.tenants = list(tenants)
        self.organizations = list(organizations)
        # A lazy list stays lazy: a million contacts must not be made to be counted
        self.contacts: MutableSequence[SimContact] = contacts if isinstance(contacts, LazyList) else list(contacts)
        self.locations = list(locations)
        self.flexible_asset_types = list(flexible_asset_types)
        self.flexible_assets = list(flexible_assets)
        self.now = now or dt.datetime.now(dt.UTC)
        self._make_truth = truth
        self._truth: Truth | None = None
        self._user_rows: dict[str, Rows[SimUser]] = {}
        self._user_index: dict[str, dict[str, SimUser]] = {}
        self._tenant_index: dict[str, SimTenant] = {}
        self._histories: dict[str, UserHistory] = {}
        self._lock = threading.RLock()
        self._sized_users: dict[str, SizedUsers] = {}
        self._sized_contacts: OverlaidContacts | None = None
        # Held while IT Glue records are written or read one by one
        self.itglue_lock = threading.RLock()
        self._highest: dict[str, int] = {}
        self._number()
        self.touch()

    @classmethod
    def demo(cls, seed: int = 1) -> Estate:
        """The world of the demo: an MSP with every awkward case."""
        from o365_etl.simulator.demo_estate import make_demo  # it builds an Estate, so it cannot be imported above

        return make_demo(seed)

    @classmethod
    def sized(
        cls,
        tenants: int = 100,
        users_per_tenant: int = 500,
        seed: int = 1,
        contacts: bool = True,
        shared_mailbox_share: float = 0.03,
        promoted: str | None = None,
        now: dt.datetime | None = None,
    ) -> Estate:
        """A uniform, healthy world of any size, for tests and benchmarks.

        The same at the same `now`, but for `promoted`: `tenant` gives everybody of the first tenant another job title,
        `everywhere` one of a thousand in each tenant.
        """
        from o365_etl.simulator.sized_estate import make_sized  # it builds an Estate, so it cannot be imported above

        return make_sized(tenants, users_per_tenant, seed, contacts, shared_mailbox_share, promoted, now)

    @classmethod
    def build(
        cls,
        tenants: Iterable[SimTenant] = (),
        organizations: Iterable[SimOrganization] = (),
        contacts: Iterable[SimContact] = (),
        locations: Iterable[SimLocation] = (),
        **others: object,
    ) -> Estate:
        """An explicit small world; `others` are the remaining arguments of `Estate`."""
        return cls(
            tenants=tenants,
            organizations=organizations,
            contacts=contacts,
            locations=locations,
            **others,  # type: ignore[arg-type]  # passed through as they are
        )

    @property
    def truth(self) -> Truth:
        """The intended matches; made on first use."""
        if self._truth is None:
            self._truth = self._make_truth()
        return self._truth

    def tenant(self, tenant_id: str) -> SimTenant:
        """The tenant with this id or verified domain. Raises `KeyError` if there is none."""
        return self._tenant_index[tenant_id.lower()]

    def find_tenant(self, tenant_id: str) -> SimTenant | None:
        """As `tenant`, but None if there is none."""
        return self._tenant_index.get(tenant_id.lower())

    def organization(self, key: int | str) -> SimOrganization:
        """The IT Glue organization with this id or name. Raises `KeyError`."""
        return _one(self.organizations, key, "organization_id", lambda each: (each.name,))

    def contact(self, key: int | str) -> SimContact:
        """The IT Glue contact with this id, full name or e-mail; the first of several. Raises `KeyError`."""
        with self.itglue_lock:
            identity = _number_of(key)
            if self.sized_contacts is not None and identity is not None:
                found = self.sized_contacts.find(identity)
                if found is None:
                    raise KeyError(key)
                return found
            return _one(self.contacts, key, "contact_id", _names_of_contact)

    def location(self, key: int | str) -> SimLocation:
        """The IT Glue location with this id or name. Raises `KeyError`."""
        return _one(self.locations, key, "location_id", lambda each: (each.name,))

    def flexible_asset_type(self, key: int | str) -> SimFlexibleAssetType:
        """The flexible asset type with this id or name. Raises `KeyError`."""
        return _one(self.flexible_asset_types, key, "type_id", lambda each: (each.name,))

    def flexible_asset(self, key: int | str) -> SimFlexibleAsset:
        """The flexible asset with this id or name; the first of several. Raises `KeyError`."""
        return _one(self.flexible_assets, key, "asset_id", lambda each: (each.name,))

    def remove_contact(self, contact_id: int | str) -> None:
        """Delete a contact of IT Glue. Raises `KeyError`."""
        with self.itglue_lock:
            self._note_highest("contacts")
            self.contacts.remove(_one(self.contacts, contact_id, "contact_id", lambda each: ()))

    def remove_organization(self, organization_id: int | str) -> None:
        """Delete an organization of IT Glue and all that belongs to it. Raises `KeyError`."""
        with self.itglue_lock:
            for kind in KINDS:
                self._note_highest(kind)
            organization = _one(self.organizations, organization_id, "organization_id", lambda each: ())
            self.organizations.remove(organization)
            identity = organization.organization_id
            self.contacts[:] = [each for each in self.contacts if each.organization_id != identity]
            self.locations = [each for each in self.locations if each.organization_id != identity]
            self.flexible_assets = [each for each in self.flexible_assets if each.organization_id != identity]

    def counts(self) -> dict[str, int]:
        """How many records of each kind IT Glue has."""
        with self.itglue_lock:
            return {kind: len(self.itglue(kind)) for kind in KINDS}

    def itglue(self, kind: Kind) -> MutableSequence[SimRecord]:
        """The IT Glue records of a kind."""
        records: MutableSequence[SimRecord] = getattr(self, kind)
        return records

    def add_itglue(self, kind: Kind, record: SimRecord) -> None:
        """Add an IT Glue record, under an id that was never given before."""
        with self.itglue_lock:
            name = KINDS[kind][0]
            setattr(record, name, self._note_highest(kind) + 1)
            self._highest[kind] += 1
            if isinstance(record, SimContact) and self.sized_contacts is not None:
                self.sized_contacts.add(record)
            else:
                self.itglue(kind).append(record)

    def unfold_contacts(self) -> None:
        """Make objects of the contacts of a sized estate; from here on each costs memory and time."""
        with self.itglue_lock:
            iter(self.contacts)

    def all_tenants(self) -> Sequence[SimTenant]:
        """The partner's own tenant and all others."""
        return [self.partner, *self.tenants]

    def touch(self, tenant_id: str | None = None) -> None:
        """Forget what was rendered of a tenant (None: of everything), after a change to it."""
        with self._lock:
            stale = list(self._user_rows) if tenant_id is None else [tenant_id]
            for key in stale:
                self._user_rows.pop(key, None)
                self._user_index.pop(key, None)
            self._tenant_index = {
                domain.name.lower(): tenant
                for tenant in self.all_tenants()
                for domain in tenant.domains
                if domain.is_verified
            } | {tenant.tenant_id.lower(): tenant for tenant in self.all_tenants()}
            for key, history in self._histories.items():
                if tenant_id in (None, key):
                    history.observe()
            self._number()

    def user_rows(self, tenant: SimTenant) -> Rows[SimUser]:
        """The rendered rows of a tenant's users."""
        with self._lock:
            rows = self._user_rows.get(tenant.tenant_id)
            if rows is None:
                special = self._sized_users.get(tenant.tenant_id)
                usable = special is not None and is_untouched(tenant.users) and not tenant.concealed
                rows = special.rows if special is not None and usable else ListRows(tenant.users)
                self._user_rows[tenant.tenant_id] = rows
            return rows

    def history(self, tenant: SimTenant) -> UserHistory:
        """What became of a tenant's users since this was first asked."""
        with self._lock:
            history = self._histories.get(tenant.tenant_id)
            if history is None:
                history = self._histories[tenant.tenant_id] = UserHistory(tenant, self.user_rows(tenant))
            return history

    def find_user(self, tenant: SimTenant, key: str) -> SimUser | None:
        """The user with this id or user principal name."""
        special = self._sized_users.get(tenant.tenant_id)
        if special is not None and is_untouched(tenant.users):
            return special.find(key)
        with self._lock:
            index = self._user_index.get(tenant.tenant_id)
            if index is None:
                index = {user.user_principal_name.lower(): user for user in tenant.users}
                index |= {user.user_id.lower(): user for user in tenant.users}
                self._user_index[tenant.tenant_id] = index
            return index.get(key.lower())

    def keep_sized(self, users: dict[str, SizedUsers], contacts: SizedContacts | None) -> None:
        """Serve these users (by tenant id) and contacts from their blocks, until somebody looks at them one by one."""
        self._sized_users = users
        if contacts is not None:
            base, overlay = self.contacts, OverlaidContacts(contacts)
            self.contacts = LazyList(
                lambda: overlay.count(None), lambda: overlay.merged(list(base)), lock=self.itglue_lock
            )
            self._sized_contacts = overlay

    @property
    def sized_contacts(self) -> OverlaidContacts | None:
        """The contacts of a sized estate; None if there is no such thing, or if somebody looked at the objects."""
        return self._sized_contacts if is_untouched(self.contacts) else None

    def _note_highest(self, kind: Kind) -> int:
        """The highest id of a kind that was ever seen."""
        name, first = KINDS[kind]
        known = max(self._highest.get(kind, 0), first - 1)
        if kind == "contacts" and self.sized_contacts is not None:
            known = max(known, self.sized_contacts.highest_id())
        else:
            known = max([known, *(getattr(record, name) for record in self.itglue(kind))])
        self._highest[kind] = known
        return known

    def _number(self) -> None:
        """Give ids to the IT Glue records that have none."""
        with self.itglue_lock:
            for kind, (name, first) in KINDS.items():
                if kind != "contacts" or not is_untouched(self.contacts):
                    _number(self.itglue(kind), name, max(first, self._highest.get(kind, 0) + 1))
            self.number_fields()

    def number_fields(self) -> None:
        """Give ids and an order to the fields of flexible asset types that have none."""
        for each in self.flexible_asset_types:
            for asset_field in each.fields:
                asset_field.type_id = each.type_id
                asset_field.order = asset_field.order or max(one.order for one in each.fields) + 1
        _number((asset_field for each in self.flexible_asset_types for asset_field in each.fields), "field_id", 1)


def is_untouched(records: Sequence[object]) -> bool:
    """True for a lazy list that was never made, so that nobody can have changed it."""
    return isinstance(records, LazyList) and records.is_pristine


def _one(records: Iterable[T], key: int | str, name: str, names_of: Callable[[T], Iterable[str]]) -> T:
    """The record with this id, or else the first with this name."""
    identity = _number_of(key)
    known = list(records)
    for each in known:
        if getattr(each, name) == identity:
            return each
    for each in known:
        if str(key) in names_of(each):
            return each
    raise KeyError(key)


def _number_of(key: int | str) -> int | None:
    return int(key) if isinstance(key, int) or (key.isascii() and key.isdecimal()) else None


def _names_of_contact(contact: SimContact) -> list[str]:
    name = " ".join(part for part in (contact.first_name, contact.last_name) if part)
    return [name, *(email.value for email in contact.emails)]


def _number(records: Iterable[object], name: str, first: int) -> None:
    records = list(records)
    following = max([first - 1, *(getattr(record, name) for record in records)]) + 1
    for record in records:
        if not getattr(record, name):
            setattr(record, name, following)
            following += 1
