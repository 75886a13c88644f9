"""A uniform, healthy estate of any size, made of one block of a thousand people with markers in their texts.

Every tenant has the same people, told apart by eight hex digits in ids and domains; the number of the block makes the
names of one tenant distinct. An organization is named as its tenant; nine of ten people have a contact there, by
alias, user name or full name alone; one of ten has to be created. A later state of the same estate, in which a
thousandth of the people have another job, is made with the same `now`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from o365_etl.simulator.estate import Estate, Truth
from o365_etl.simulator.itglue_model import SimContact, SimOrganization, SimPhone, emails
from o365_etl.simulator.itglue_objects import contact_attributes, resource
from o365_etl.simulator.model import (
    CREATED,
    GIB,
    SimDomain,
    SimLicense,
    SimMailbox,
    SimSignIn,
    SimSku,
    SimSubscription,
    SimTenant,
    SimUser,
)
from o365_etl.simulator.names import GIVEN_NAMES, SURNAMES, TITLES, TOWNS, tenant_name
from o365_etl.simulator.products import PRODUCTS
from o365_etl.simulator.rows import (
    BLOCK,
    BLOCK_MARKER,
    NAME_MARKER,
    ORGANIZATION_MARKER,
    TENANT_MARKER,
    BlockRows,
    BlockTemplate,
    LazyList,
    Rows,
)

FIRST_ORGANIZATION = 1_000_000
SKU = "EXCHANGESTANDARD"  # one plan: a user is little more than a kilobyte of JSON
WITHOUT_CONTACT = 10  # every tenth person has no contact
_ID_FACTOR = 0x9E3779B1  # odd, so that multiplying by it shuffles all 32-bit numbers
_encoder = msgspec.json.Encoder()
T = TypeVar("T")


def make_sized(
    tenants: int,
    users_per_tenant: int,
    seed: int,
    contacts: bool,
    shared_mailbox_share: float,
    promoted: str | None,
    now: dt.datetime | None,
) -> Estate:
    """See `Estate.sized`."""
    now = now or dt.datetime.now(dt.UTC)
    people = BlockTemplate([_person(number, shared_mailbox_share, now) for number in range(BLOCK)])
    world = _World(tenants, users_per_tenant, seed, people, contacts, _promoted(people.objects, promoted))
    members = [world.tenant(index, now) for index in range(tenants)]
    organizations = [
        SimOrganization(tenant.display_name, FIRST_ORGANIZATION + index) for index, tenant in enumerate(members)
    ]
    book = _ContactBook(world, organizations) if contacts else None
    estate = Estate(
        tenants=members,
        organizations=organizations,
        contacts=LazyList(book.count(None), book.make) if book else [],
        now=now,
        truth=lambda: world.truth(members, organizations),
    )
    users = {tenant.tenant_id: _TenantUsers(world, index) for index, tenant in enumerate(members)}
    estate.keep_sized(dict(users), book)
    return estate


def _person(number: int, shared_share: float, now: dt.datetime) -> SimUser:
    """The person with this number in the block; `<<h>>` and `<<t>>` stand for block and tenant."""
    given = GIVEN_NAMES[number % len(GIVEN_NAMES)]
    surname = SURNAMES[(number // len(GIVEN_NAMES) + number) % len(SURNAMES)]
    # Evenly spread over the block, so that small tenants get their share too
    shared = int((number + 1) * shared_share) > int(number * shared_share)
    local = f"{given}.{surname}.{number:03d}{BLOCK_MARKER}".lower()
    domain = f"m{TENANT_MARKER}.example"
    address = f"{local}@{domain}"
    signed_in = (now - dt.timedelta(days=number % 60, hours=number % 24)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return SimUser(
        user_principal_name=address,
        user_id=f"{TENANT_MARKER}-{BLOCK_MARKER}-4{number:03d}-8000-0000{number * _ID_FACTOR % 2**32:08x}",
        display_name=f"{given} {surname} {number:03d}{BLOCK_MARKER}",
        given_name=given,
        surname=f"{surname} {number:03d}{BLOCK_MARKER}",
        mail=address,
        mail_nickname=local,
        proxy_addresses=[f"SMTP:{address}", f"smtp:{given[0].lower()}{number:03d}{BLOCK_MARKER}@{domain}"],
        account_enabled=not shared,
        job_title=None if shared else TITLES[number % len(TITLES)],
        business_phones=[f"+1 206 555 {number:04d}"],
        mobile_phone=f"+1 425 555 {number:04d}",
        licenses=[] if shared else [SimLicense(PRODUCTS[SKU].sku_id)],
        sign_in=None if shared else SimSignIn(signed_in, signed_in, signed_in),
        mailbox=SimMailbox(
            kind="shared" if shared else "user",
            storage_used=(number * 37 % 48 + 1) * GIB,
            item_count=number * 97 + 12,
            last_activity=(now - dt.timedelta(days=number % 30 + 2)).date(),
        ),
    )


def _promoted(people: Sequence[SimUser], who: str | None) -> dict[int | None, BlockTemplate[SimUser]]:
    """The people of the tenants (None: of every tenant) in which somebody has another job than before."""
    if who is None:
        return {}
    everywhere = who == "everywhere"
    jobs = [
        replace(person, job_title="Head of Change") if not everywhere or number == 0 else person
        for number, person in enumerate(people)
    ]
    return {None if everywhere else 0: BlockTemplate(jobs)}


def _contact(number: int, user: SimUser) -> SimContact:
    """The contact of a person: found by alias, by user name or only by full name, some with another title."""
    phone = user.business_phones[0]
    how = number % 4
    address = {0: user.proxy_addresses[1].split(":")[1], 3: f"private.{number:03d}{BLOCK_MARKER}@home.example"}
    return SimContact(
        organization_id=0,
        first_name=user.given_name,
        last_name=user.surname,
        title="Assistant" if number % 7 == 0 else user.job_title,
        emails=emails(address.get(how, user.user_principal_name)),
        phones=[SimPhone("".join(filter(str.isdigit, phone)), primary=True, formatted=phone)],
        created_at=CREATED,
        updated_at=CREATED + dt.timedelta(hours=number),
    )


def _filled(value: T, fill: dict[str, str], kind: type[T]) -> T:
    """A copy of an object with its markers filled in: through JSON, where every text can be reached at once."""
    text = _encoder.encode(value).decode()
    for marker, filling in fill.items():
        text = text.replace(marker, filling)
    return msgspec.json.decode(text, type=kind)


class _World:
    """The numbers that everything in a sized estate follows from."""

    def __init__(
        self,
        tenants: int,
        users: int,
        seed: int,
        people: BlockTemplate[SimUser],
        contacts: bool,
        promoted: Mapping[int | None, BlockTemplate[SimUser]],
    ) -> None:
        self.tenants, self.users, self.seed, self.people, self.has_contacts = tenants, users, seed, people, contacts
        self._promoted = promoted

    def people_of(self, index: int) -> BlockTemplate[SimUser]:
        """The people of one tenant as Microsoft 365 has them; IT Glue has those of `people`."""
        return self._promoted.get(index) or self._promoted.get(None) or self.people

    def marker(self, index: int) -> str:
        """The eight hex digits of a tenant."""
        return f"{(index + 1) * _ID_FACTOR + self.seed * 0x85EBCA6B & 0xFFFFFFFF:08x}"

    def tenant(self, index: int, now: dt.datetime) -> SimTenant:
        """The tenant with this number."""
        marker = self.marker(index)
        shared = sum(not self.people.objects[number % BLOCK].licenses for number in range(min(self.users, BLOCK)))
        shared = shared if self.users <= BLOCK else self._count(lambda user: not user.licenses)
        licensed = self.users - shared
        renewal = now + dt.timedelta(days=30 + index % 300)
        return SimTenant(
            display_name=tenant_name(index),
            tenant_id=f"{marker}-5eed-4000-8000-{index:012x}",
            domains=[
                SimDomain(f"m{marker}.onmicrosoft.com", is_initial=True),
                SimDomain(f"m{marker}.example", is_default=True),
            ],
            users=LazyList(self.users, lambda: [self.user(index, number) for number in range(self.users)]),
            skus=[
                SimSku(SKU, enabled=licensed + 5, consumed=licensed),
                SimSku("AAD_PREMIUM", enabled=1, consumed=0),
                SimSku("POWER_BI_STANDARD", enabled=1_000_000, consumed=0),
            ],
            subscriptions=[SimSubscription(SKU, total=licensed + 5, next_lifecycle_at=renewal)],
            street=f"{index + 1} Main Street",
            city=TOWNS[index % len(TOWNS)],
            state="Washington",
            postal_code=f"{98000 + index % 999}",
            country="United States",
            business_phones=[f"+1 206 555 {index % 10_000:04d}"],
        )

    def _count(self, test: Callable[[SimUser], bool]) -> int:
        full, rest = divmod(self.users, BLOCK)
        return full * sum(map(test, self.people.objects)) + sum(map(test, self.people.objects[:rest]))

    def fill(self, index: int, number: int) -> dict[str, str]:
        """What stands for the markers in the texts of one person."""
        return {TENANT_MARKER: self.marker(index), BLOCK_MARKER: f"{number // BLOCK:04d}"}

    def user(self, index: int, number: int) -> SimUser:
        """One user as an object."""
        return _filled(self.people_of(index).objects[number % BLOCK], self.fill(index, number), SimUser)

    def user_id(self, index: int, number: int) -> str:
        """The id of one user, without making the user."""
        text = self.people.objects[number % BLOCK].user_id
        for marker, value in self.fill(index, number).items():
            text = text.replace(marker, value)
        return text

    def truth(self, members: list[SimTenant], organizations: list[SimOrganization]) -> Truth:
        """Who belongs to whom."""
        known = {
            member.tenant_id: str(organization.organization_id)
            for member, organization in zip(members, organizations, strict=True)
        }
        pairs: dict[tuple[str, str], str | None] = {}
        for index, (member, organization) in enumerate(zip(members, organizations, strict=True)):
            for number in range(self.users):
                has_contact = self.has_contacts and number % WITHOUT_CONTACT != WITHOUT_CONTACT - 1
                contact = f"{organization.organization_id}{number:07d}" if has_contact else None
                pairs[(member.tenant_id, self.user_id(index, number))] = contact
        return Truth(dict(known), pairs)


class _TenantUsers:
    """The users of one tenant; see `estate.SizedUsers`."""

    def __init__(self, world: _World, index: int) -> None:
        self._world, self._index = world, index
        self.rows: Rows[SimUser] = BlockRows(world.people_of(index), world.users, {TENANT_MARKER: world.marker(index)})

    def find(self, key: str) -> SimUser | None:
        """The user with this id or user principal name: both say the number of the person and of the block."""
        for number in self._candidates(key.lower()):
            if number < self._world.users:
                user = self._world.user(self._index, number)
                if key.lower() in (user.user_id, user.user_principal_name):
                    return user
        return None

    @staticmethod
    def _candidates(key: str) -> Iterable[int]:
        local, at, _ = key.partition("@")
        digits = local.rpartition(".")[2] if at else key[15:18] + key[9:13]
        if len(digits) == 7 and digits.isdigit():
            yield int(digits[3:]) * BLOCK + int(digits[:3])


class _ContactBook:
    """The contacts of all organizations; see `estate.SizedContacts`."""

    def __init__(self, world: _World, organizations: list[SimOrganization]) -> None:
        self._world, self._organizations = world, organizations
        self._numbers = [number for number in range(BLOCK) if number % WITHOUT_CONTACT != WITHOUT_CONTACT - 1]
        self._template = BlockTemplate(
            [replace(_contact(number, world.people.objects[number]), contact_id=number) for number in self._numbers]
        )
        full, rest = divmod(world.users, BLOCK)
        self._each = full * len(self._numbers) + sum(number < rest for number in self._numbers)

    def count(self, organization_id: int | None) -> int:
        """How many contacts there are, in one organization or in all."""
        if organization_id is None:
            return self._each * len(self._organizations)
        return self._each if 0 <= organization_id - FIRST_ORGANIZATION < len(self._organizations) else 0

    def cut(self, organization_id: int | None, start: int, size: int, with_adapters: bool) -> bytes:
        """Rendered contacts by id; a page may span organizations."""
        first = 0 if organization_id is None else (organization_id - FIRST_ORGANIZATION) * self._each
        stop = first + min(start + size, self.count(organization_id))
        start += first
        parts = []
        while start < stop:
            index, begin = divmod(start, self._each)
            end = min(self._each, begin + stop - start)
            parts.append(self._rows(index).cut(("contact", with_adapters), _render(with_adapters), begin, end))
            start += end - begin
        return b",".join(parts)

    def newest_first(self) -> Iterator[tuple[dt.datetime, int]]:
        """When each contact was changed and its place among all; the people of a block differ, the blocks do not."""
        block = len(self._numbers)
        for person in reversed(range(min(block, self._each))):
            at = self._template.objects[person].updated_at
            for index in range(len(self._organizations)):
                for place in range(person, self._each, block):
                    yield at, index * self._each + place

    def make(self) -> list[SimContact]:
        """All contacts as objects."""
        made = []
        for index, organization in enumerate(self._organizations):
            for number in range(self._world.users):
                if number % WITHOUT_CONTACT == WITHOUT_CONTACT - 1:
                    continue
                user = _filled(self._world.people.objects[number % BLOCK], self._world.fill(index, number), SimUser)
                contact = _filled(_contact(number % BLOCK, user), self._world.fill(index, number), SimContact)
                contact.organization_id = organization.organization_id
                contact.contact_id = int(f"{organization.organization_id}{number:07d}")
                made.append(contact)
        return made

    def _rows(self, index: int) -> BlockRows[SimContact]:
        organization = self._organizations[index]
        fill = {
            TENANT_MARKER: self._world.marker(index),
            ORGANIZATION_MARKER: str(organization.organization_id),
            # Inside a JSON text, so quotes and the like have to be escaped
            NAME_MARKER: _encoder.encode(organization.name).decode()[1:-1],
        }
        return BlockRows(self._template, self._each, fill)


def _render(with_adapters: bool) -> Callable[[SimContact], bytes]:
    def render(contact: SimContact) -> bytes:
        identity = f"{ORGANIZATION_MARKER}{BLOCK_MARKER}{contact.contact_id:03d}"
        attributes = contact_attributes(contact, NAME_MARKER)
        attributes["organization-id"] = -987654321
        attributes["resource-url"] = f"https://msp.itglue.com/{ORGANIZATION_MARKER}/contacts/{identity}"
        body = _encoder.encode(resource("contacts", identity, attributes, [] if with_adapters else None))
        # A number cannot hold a marker, so it is put in afterwards
        return body.replace(b"-987654321", ORGANIZATION_MARKER.encode())

    return render
