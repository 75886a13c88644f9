"""What the demo's IT Glue knows: organizations, contacts in every state of care, and who truly belongs to whom."""

from __future__ import annotations

import itertools
import random

from o365_etl.simulator.itglue_model import (
    SimAdapter,
    SimContact,
    SimEmail,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
    SimPhone,
    emails,
)
from o365_etl.simulator.model import SimTenant, SimUser

FIRST_ORGANIZATION_ID, FIRST_CONTACT_ID = 2_340_001, 7_120_001
# Organizations without a tenant that anybody reads: vendors, prospects, former customers, the MSP itself
_STRANGERS = (
    ("Beacon Managed IT", "Internal"), ("Copperline Internet", "Vendor"), ("Old Mill Bakery", "Customer"),
    ("Distant Shore Ferries", "Prospect"), ("Greenfield Nursery", "Customer"), ("Hilltop Observatory", "Customer"),
    ("Ironbridge Museum", "Customer"), ("Jumping Spider Games", "Prospect"), ("Longship Breweries", "Customer"),
    ("Moonrise Theatre", "Customer"), ("Nine Wells Water", "Customer"), ("Papermill Press", "Customer"),
    ("Quayside Fishmongers", "Customer"), ("Redwood Carpentry", "Customer"), ("Saltmarsh Salt", "Customer"),
)  # fmt: skip


class Book:
    """The IT Glue account as it is written up, and the truth beside it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.organizations: list[SimOrganization] = []
        self.contacts: list[SimContact] = []
        self.locations: list[SimLocation] = []
        self.asset_types = [SimFlexibleAssetType("Microsoft Licenses"), SimFlexibleAssetType("Backup")]
        self.true_organizations: dict[str, str | None] = {}
        self.true_contacts: dict[tuple[str, str], str | None] = {}
        self._contact_numbers = itertools.count()

    def expect(self, tenant: SimTenant, organization: SimOrganization | None) -> None:
        """Write down which organization a tenant belongs to."""
        identity = None if organization is None else str(organization.organization_id)
        self.true_organizations[tenant.tenant_id] = identity

    def plain_organization(self, name: str, kind: str = "Customer", short_name: str | None = None) -> SimOrganization:
        """An organization without contacts."""
        identity = FIRST_ORGANIZATION_ID + 7 * len(self.organizations)
        organization = SimOrganization(name, identity, short_name=short_name, organization_type=kind)
        organization.primary = kind == "Internal"
        self.organizations.append(organization)
        return organization

    def bare_organization(self, tenant: SimTenant, name: str) -> SimOrganization:
        """A tenant's organization that only its name gives away."""
        organization = self.plain_organization(name)
        self.expect(tenant, organization)
        return organization

    def organization_of(
        self,
        tenant: SimTenant,
        name: str,
        *,
        share: float = 0.7,
        short_name: str | None = None,
        mailbox: str | None = None,
    ) -> SimOrganization:
        """A tenant's organization with contacts for a share of its people; `mailbox` is a contact that is nobody's."""
        organization = self.plain_organization(name, short_name=short_name)
        self.expect(tenant, organization)
        self.locations.append(
            SimLocation(
                organization.organization_id,
                name,
                address_1=tenant.street,
                city=tenant.city,
                region=tenant.state,
                postal_code=tenant.postal_code if self._rng.random() < 0.7 else "98109",
                country=tenant.country,
                phone=(tenant.business_phones or [""])[0],
            )
        )
        if mailbox:
            self._contact(organization, SimContact(0, "Reception", "Desk", emails=emails(mailbox)))
        names = [(user.given_name, user.surname) for user in tenant.users]
        for user in tenant.users:
            if _is_person(user):
                unique = names.count((user.given_name, user.surname)) == 1
                known = self._rng.random() < share
                self._write_up(tenant, organization, user, unique=unique, known=known)
        if self._rng.random() < 0.5:
            self._contact(organization, SimContact(0, "Jordan", "Formerly", contact_type="Former", title="Retired"))
        return organization

    def dispute(self, tenant: SimTenant) -> None:
        """Ambiguous cases of a tenant: two contacts with one address, two users on one contact, an owner elsewhere."""
        organization = next(
            each
            for each in self.organizations
            if str(each.organization_id) == self.true_organizations[tenant.tenant_id]
        )
        people = [user for user in tenant.users if _is_person(user) and user.surname]
        for user in people[:3]:
            address = user.user_principal_name
            for label in ("Work", "Copy"):
                double = SimContact(0, user.given_name, user.surname, emails=[SimEmail(address, True, label)])
                self._contact(organization, double)
            self.true_contacts.pop((tenant.tenant_id, user.user_id), None)
        first, second = people[3:5]
        both = SimContact(0, "Front", "Office", emails=emails(first.user_principal_name, second.user_principal_name))
        self._contact(organization, both)
        for user in (first, second):
            self._forget(tenant, user)
        for user in people[5:9]:
            identity = self.true_contacts.get((tenant.tenant_id, user.user_id))
            for contact in self.contacts:
                if str(contact.contact_id) == identity:
                    contact.adapters = [SimAdapter("Autotask", sync=True, remote_id=f"29{contact.contact_id}")]
        self.contacts[-1].phones = _messy_phones()

    def strangers(self) -> None:
        """Organizations of nobody's tenant, some with contacts at public mail providers."""
        for number, (name, kind) in enumerate(_STRANGERS):
            organization = self.plain_organization(name, kind)
            organization.organization_status = "Inactive" if number % 7 == 6 else "Active"
            if number % 3 == 0:
                organization.adapters = [SimAdapter("Autotask", sync=True, remote_id=str(900 + number))]
            contact = SimContact(0, "Sam", f"Stranger {number}", emails=emails(f"sam{number}@gmail.com"))
            contact.phones = _messy_phones()
            self._contact(organization, contact)

    def _contact(self, organization: SimOrganization, contact: SimContact) -> SimContact:
        contact.organization_id = organization.organization_id
        # Not by counting the contacts: some are taken back, and an id is never given twice.
        contact.contact_id = FIRST_CONTACT_ID + 3 * next(self._contact_numbers)
        self.contacts.append(contact)
        return contact

    def _forget(self, tenant: SimTenant, user: SimUser) -> None:
        """Take back a user's own contact, so that only the disputed one is left."""
        identity = self.true_contacts.pop((tenant.tenant_id, user.user_id), None)
        self.contacts = [contact for contact in self.contacts if str(contact.contact_id) != identity]

    def _write_up(
        self, tenant: SimTenant, organization: SimOrganization, user: SimUser, *, unique: bool, known: bool
    ) -> None:
        key = (tenant.tenant_id, user.user_id)
        self.true_contacts[key] = None
        if not known:
            return
        contact = SimContact(0, user.given_name, user.surname, title=user.job_title, contact_type="End User")
        how = self._rng.random()
        alias = next((address[5:] for address in user.proxy_addresses if address.startswith("smtp:")), None)
        if how < 0.45:
            contact.emails = emails(user.user_principal_name)
        elif how < 0.75 and alias:
            contact.emails = emails(alias.upper() if self._rng.random() < 0.2 else alias)
        elif unique and user.given_name and user.surname:
            contact.emails = emails(f"{user.user_id[:8]}@home.example") if self._rng.random() < 0.5 else []
        else:
            contact.emails = emails(f"{user.user_id[:8]}@home.example", user.user_principal_name)
        self._neglect(contact, user)
        self._contact(organization, contact)
        self.true_contacts[key] = str(contact.contact_id)

    def _neglect(self, contact: SimContact, user: SimUser) -> None:
        """What years of copying by hand do to a contact."""
        if self._rng.random() < 0.25:
            contact.title = None if self._rng.random() < 0.5 else "Staff"
        for number in user.business_phones:
            digits = "".join(filter(str.isdigit, number))
            old = digits[:-1] + "9" if self._rng.random() < 0.2 else digits
            contact.phones.append(SimPhone(old, primary=True, formatted=number))
        if user.mobile_phone and self._rng.random() < 0.6:
            contact.phones.append(SimPhone("".join(filter(str.isdigit, user.mobile_phone)), label="Cell"))
        if self._rng.random() < 0.03:
            contact.adapters = [SimAdapter("Microsoft", sync=False, orphaned=True, remote_id=user.user_id)]
        if self._rng.random() < 0.1:
            contact.important = True


def _messy_phones() -> list[SimPhone]:
    return [
        SimPhone("(206) 555-0100 ext. 12", primary=True),
        SimPhone("0044 20 7946 0000", label="Office"),
        SimPhone("call after 5pm", label="Other"),
        SimPhone("2065550100", extension="12", label="Mobile"),
        SimPhone("", label="Fax", label_type="fax"),
    ]


def _is_person(user: SimUser) -> bool:
    """True for a member with a license and an ordinary mailbox, or none: who ought to have a contact."""
    ordinary = user.mailbox is None or user.mailbox.kind == "user"
    return user.user_type != "Guest" and bool(user.licenses) and ordinary
