"""The demo's world: one MSP, its customers with every awkward case, and what its IT Glue knows of them.

What lives here: which tenant stands for which case, and the truth. The people are made in `demo_people`, the IT Glue
side in `demo_itglue`.
"""

from __future__ import annotations

import datetime as dt
import random

from o365_etl.simulator.demo_itglue import Book
from o365_etl.simulator.demo_people import awkward, staff
from o365_etl.simulator.estate import Estate, Truth
from o365_etl.simulator.model import (
    PARTNER_ROLES,
    READER_ROLES,
    SimDomain,
    SimLicense,
    SimRelationship,
    SimSku,
    SimSubscription,
    SimTenant,
    SimUser,
    stable_id,
)
from o365_etl.simulator.products import PRODUCTS

BUSINESS = ("SPB", "SPB", "O365_BUSINESS_PREMIUM", "O365_BUSINESS_ESSENTIALS")
WITHOUT_P1 = ("O365_BUSINESS_PREMIUM", "O365_BUSINESS_ESSENTIALS", "EXCHANGESTANDARD")
ENTERPRISE = ("SPE_E3", "SPE_E3", "SPE_F1", "SPE_E5")


def make_demo(seed: int) -> Estate:
    """See `Estate.demo`."""
    demo = _Demo(seed)
    demo.matched()
    demo.differently_named()
    demo.refused()
    demo.degraded()
    demo.listed()
    demo.strange_data()
    return demo.estate()


class _Demo:
    """Collects the tenants and, through `Book`, what IT Glue knows of them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self.tenants: list[SimTenant] = []
        self.book = Book(self.rng)

    def add(
        self,
        name: str,
        slug: str,
        count: int,
        skus: tuple[str, ...] = BUSINESS,
        extra: tuple[SimDomain, ...] = (),
        **behaviour: object,
    ) -> SimTenant:
        """One tenant with staff; `behaviour` are fields of `SimTenant`."""
        initial, default = f"{slug}.onmicrosoft.com", f"{slug}.example"
        tenant = SimTenant(
            name,
            tenant_id=stable_id("demo", self.seed, slug),
            domains=[SimDomain(initial, is_initial=True), SimDomain(default, is_default=True), *extra],
            street=f"{self.rng.randint(1, 400)} Harbour Street",
            city="Seattle",
            state="Washington",
            postal_code="98101",
            country="United States",
            business_phones=[f"+1 206 555 {self.rng.randint(0, 9999):04d}"],
        )
        tenant.users = staff(self.rng, default, initial, count, skus, self.now)
        for field, value in behaviour.items():
            setattr(tenant, field, value)
        tenant.deleted_mailboxes = [(f"gone.{slug}@{default}", "Gone Person")]
        self.tenants.append(tenant)
        return tenant

    def matched(self) -> None:
        """Tenants whose organization is plain to see."""
        big = self.add("Kestrel Freight", "kestrelfreight", 3000, ENTERPRISE, odd_paging=True, report_columns=17)
        self.book.organization_of(big, "Kestrel Freight", share=0.9)
        nordic = self.add("Håndværk & Søn A/S", "haandvaerk", 60, extra=(SimDomain("soen.example"),))
        self.book.organization_of(nordic, "håndværk & søn  a/s")
        comma = self.add("Osprey, Ltd.", "osprey", 80, on_premises_sync_enabled=True)
        self.book.organization_of(comma, "Osprey, Ltd.")
        short = self.add("Blue Heron Radiology", "blueheron", 70)
        self.book.organization_of(short, "BHR Group", short_name="Blue Heron Radiology")
        direct = self.add("Curlew's Travel", "curlew", 45, direct=True, listed_in="none", user_purpose_form="object")
        self.book.organization_of(direct, "Curlew's Travel")

    def differently_named(self) -> None:
        """Tenants that a rule below the name has to find, or a person."""
        by_contact = self.add("Dunlin Toys", "dunlin", 60)
        self.book.organization_of(by_contact, "Playroom Holding")
        by_domain = self.add("Egret Software", "egret", 50)
        self.book.organization_of(by_domain, "Tall Bird Studios", share=0.0, mailbox="reception.desk@egret.example")
        # The legal form differs, or an abbreviation: a suggestion for a person, never a match
        self.book.bare_organization(self.add("Fulmar GmbH", "fulmar", 55), "Fulmar")
        self.book.bare_organization(self.add("Gannet Wind Power Inc.", "gannet", 40), "Gannet Windpower")
        self.book.bare_organization(self.add("Harrier Legal Services", "harrier", 65), "Harrier Legal Svcs. LLP")
        self.add("Ibis Holdings", "ibis", 30)  # nobody in IT Glue knows it
        self.book.expect(self.tenants[-1], None)
        # Two tenants of one name, one organization: a tie goes to a person
        self.add("Jacana Dental", "jacana", 40)
        self.add("Jacana Dental", "jacana-west", 35)
        self.book.plain_organization("Jacana Dental")

    def refused(self) -> None:
        """Tenants that sign-in refuses."""
        waiting = self.add("Kingfisher Schools", "kingfisher", 25, consented=False)
        self.book.plain_organization(waiting.display_name)
        expired = self.add("Lapwing Clinic", "lapwing", 30, direct=True, secret_state="expired", listed_in="none")
        self.book.plain_organization(expired.display_name)

    def degraded(self) -> None:
        """Tenants of which a part cannot be read."""
        concealed = self.add(
            "Merlin Airlines", "merlin", 340, concealed=True, report_columns=16, report_settings_form="wrapped"
        )
        self.book.organization_of(concealed, "Merlin Airlines")
        no_reports = tuple(role for role in READER_ROLES if not role.startswith("Report"))
        power = self.add("Nuthatch Power & Light", "nuthatch", 210, roles=no_reports)
        self.book.organization_of(power, "Nuthatch Power & Light")
        self.book.organization_of(self.add("Oriole Vineyard", "oriole", 75, WITHOUT_P1), "Oriole Vineyard")
        policy = self.add(
            "Plover's Pickles", "plover", 50, mailbox_policy="blocked", recipient_type_json=False, report_columns=15
        )
        self.book.organization_of(policy, "Plover's Pickles")
        no_type = self.add("Quetzal Cloud", "quetzal", 60, recipient_type_column=False)
        self.book.organization_of(no_type, "Quetzal Cloud")
        no_audit = tuple(role for role in READER_ROLES if role != "AuditLog.Read.All")
        self.book.organization_of(self.add("Rook Publishing", "rook", 45, roles=no_audit), "Rook Publishing")

    def listed(self) -> None:
        """Tenants that only one of the partner's two lists names, and access that ends."""
        # The contract still carries the name of the day it was made
        contract_only = self.add("Sandpiper Winery", "sandpiper", 35, listed_in="contracts", listed_name="Sandpiper")
        self.book.organization_of(contract_only, "Sandpiper Winery")
        self.book.organization_of(self.add("Tern Consultants", "tern", 55, listed_in="gdap"), "Tern Consultants")
        ending = self.add("Umbrellabird Healthcare", "umbrellabird", 90, gdap_ends_at=self.now + dt.timedelta(days=40))
        ending.relationships = [
            SimRelationship("expired", self.now - dt.timedelta(days=100)),
            SimRelationship("active", ending.gdap_ends_at, auto_extend="PT0S"),
        ]
        self.book.organization_of(ending, "Umbrellabird Healthcare")

    def strange_data(self) -> None:
        """Tenants whose people, licenses or contacts are strange."""
        unverified = SimDomain("not-yet-verified.example", is_verified=False)
        odd = self.add("Vireo <i>Labs</i>", "vireo", 40, extra=(unverified,))
        odd.users = [*odd.users, *awkward(odd.default_domain, odd.initial_domain, self.now)]
        self._odd_skus(odd)
        self.book.organization_of(odd, "Vireo <i>Labs</i>", share=0.5)
        disputed = self.add("Wren Bank", "wren", 100)
        self.book.organization_of(disputed, "Wren Bank")
        self.book.dispute(disputed)

    def _odd_skus(self, tenant: SimTenant) -> None:
        tenant.skus = [sku for sku in tenant.all_skus() if sku.part_number != "ENTERPRISEPACK"]
        tenant.skus += [
            SimSku("ENTERPRISEPACK", enabled=0, suspended=25, status="Suspended"),
            SimSku("WINDOWS_STORE", enabled=25, consumed=0, applies_to="Company"),
            SimSku("TEAMS_EXPLORATORY", enabled=0, consumed=0, status="Deleted"),
            SimSku("STANDARDPACK", enabled=10, warning=5, consumed=0, status="Warning"),
        ]
        for sku in tenant.skus:
            if sku.part_number in ("POWER_BI_STANDARD", "FLOW_FREE", "POWERAPPS_VIRAL"):
                sku.enabled = 1_000_000 if sku.part_number == "POWER_BI_STANDARD" else 10_000
            elif sku.part_number == "SPB":
                sku.enabled -= 2  # more in use than bought: unused is negative
        tenant.subscriptions.append(SimSubscription("POWERAPPS_VIRAL", total=10_000, is_trial=True))

    def estate(self) -> Estate:
        """The finished world."""
        partner = SimTenant(
            "Beacon Managed IT",
            tenant_id=stable_id("demo", self.seed, "partner"),
            domains=[
                SimDomain("beaconit.onmicrosoft.com", is_initial=True),
                SimDomain("beaconit.example", is_default=True),
            ],
            users=staff(self.rng, "beaconit.example", "beaconit.onmicrosoft.com", 20, ("SPE_E5",), self.now),
            roles=PARTNER_ROLES,
            listed_in="none",
        )
        for tenant in self.tenants:
            self._sell(tenant, partner)
        self.book.strangers()
        book = self.book
        return Estate(
            partner=partner,
            tenants=self.tenants,
            organizations=book.organizations,
            contacts=book.contacts,
            locations=book.locations,
            flexible_asset_types=book.asset_types,
            now=self.now,
            truth=lambda: Truth(book.true_organizations, book.true_contacts),
        )

    def _sell(self, tenant: SimTenant, partner: SimTenant) -> None:
        """Seats to spare, a subscription behind every paid SKU, and an add-on for somebody."""
        rooms = PRODUCTS["MEETING_ROOM"].sku_id
        _give(tenant.users, SimLicense(PRODUCTS["VISIOCLIENT"].sku_id))
        if not tenant.skus:
            tenant.skus = tenant.all_skus()
            for sku in tenant.skus:
                sku.enabled += self.rng.randint(0, 5)
        for sku in tenant.skus:
            if sku.status == "Enabled" and sku.enabled < 10_000 and sku.sku_id != rooms:
                renewal = self.now + dt.timedelta(days=self.rng.randint(5, 360))
                tenant.subscriptions.append(
                    SimSubscription(
                        sku.part_number,
                        total=sku.enabled,
                        next_lifecycle_at=renewal,
                        owner_tenant_id=partner.tenant_id,
                    )
                )


def _give(users: object, extra: SimLicense) -> None:
    first = next((user for user in _as_users(users) if user.licenses and user.account_enabled), None)
    if first is not None:
        first.licenses.append(extra)


def _as_users(users: object) -> list[SimUser]:
    return list(users) if isinstance(users, list) else []
