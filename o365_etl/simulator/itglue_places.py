"""Writing IT Glue organizations and locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from o365_etl.simulator import itglue_objects as objects
from o365_etl.simulator.itglue_body import Item
from o365_etl.simulator.itglue_errors import Problems
from o365_etl.simulator.itglue_model import SimLocation, SimOrganization
from o365_etl.simulator.itglue_values import (
    LONGEST,
    digits,
    existing_organization,
    reference,
    required,
    take_flags,
    take_texts,
)
from o365_etl.simulator.itglue_writer import Writer, owner, unique

TAKEN = "has already been taken"
_ORGANIZATION_TEXTS = {
    "name": LONGEST,
    "short_name": LONGEST,
    "alert": None,
    "description": None,
    "quick_notes": None,
}
# What may still change where another integration owns the organization
_FREE = frozenset({"alert", "description", "quick_notes"})
_WRITABLE = frozenset({*_ORGANIZATION_TEXTS, "organization_type_id", "organization_status_id", "primary"})
_TYPES = {identity: name for name, identity in objects.ORGANIZATION_TYPES.items()}
_STATUSES = {identity: name for name, identity in objects.ORGANIZATION_STATUSES.items()}
_COUNTRIES = {row[0]: name for name, row in objects.COUNTRIES.items()}
_REGIONS = {row[0]: name for name, row in objects.REGIONS.items()}
_LOCATION_TEXTS = {
    "name": LONGEST,
    "address_1": LONGEST,
    "address_2": LONGEST,
    "city": LONGEST,
    "postal_code": LONGEST,
    "phone": LONGEST,
    "fax": LONGEST,
    "notes": None,
}


class OrganizationWriter(Writer[SimOrganization]):
    """Writes organizations."""

    def find(self, identity: int) -> SimOrganization | None:
        """See `Writer`."""
        return next((each for each in self.estate.organizations if each.organization_id == identity), None)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimOrganization:
        """See `Writer`."""
        draft = SimOrganization("", organization_type=None, organization_status=None)
        _take_organization(draft, item.attributes, problems)
        required(draft.name, "name", problems)
        return draft

    def fill(self, draft: SimOrganization, item: Item, problems: Problems) -> None:
        """See `Writer`."""
        other = owner(draft.adapters)
        for name in sorted(_WRITABLE.intersection(item.attributes) - _FREE) if other else ():
            problems.add(name, f"is synced with {other} and cannot be changed")
        _take_organization(draft, item.attributes, problems)
        if "name" in item.attributes:
            required(draft.name, "name", problems)

    def judge(self, drafts: Sequence[SimOrganization], problems: Problems) -> None:
        """Names are unique in the account."""
        unique(
            drafts,
            self.estate.organizations,
            lambda each: each.organization_id,
            lambda each: (each.name or "").lower(),
            lambda _: problems.add("name", TAKEN),
        )

    def add(self, record: SimOrganization) -> None:
        """See `Writer`."""
        self.estate.add_itglue("organizations", record)


class LocationWriter(Writer[SimLocation]):
    """Writes locations."""

    def find(self, identity: int) -> SimLocation | None:
        """See `Writer`."""
        return next((each for each in self.estate.locations if each.location_id == identity), None)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimLocation:
        """See `Writer`."""
        if parent_id is None:
            parent_id = existing_organization(item.attributes.get("organization_id"), self.view.organizations, problems)
        draft = SimLocation(parent_id, "", primary=False)
        _take_location(draft, item.attributes, problems)
        required(draft.name, "name", problems)
        return draft

    def fill(self, draft: SimLocation, item: Item, problems: Problems) -> None:
        """See `Writer`."""
        given = item.attributes
        if "organization_id" in given:
            draft.organization_id = existing_organization(given["organization_id"], self.view.organizations, problems)
        _take_location(draft, given, problems)
        if "name" in given:
            required(draft.name, "name", problems)

    def add(self, record: SimLocation) -> None:
        """See `Writer`."""
        self.estate.add_itglue("locations", record)


def _take_organization(draft: SimOrganization, given: Mapping[str, object], problems: Problems) -> None:
    take_texts(draft, given, _ORGANIZATION_TEXTS, problems)
    take_flags(draft, given, ("primary",), problems)
    if "organization_type_id" in given:
        value = given["organization_type_id"]
        draft.organization_type = reference(value, "organization_type_id", _TYPES, problems)
    if "organization_status_id" in given:
        value = given["organization_status_id"]
        draft.organization_status = reference(value, "organization_status_id", _STATUSES, problems)


def _take_location(draft: SimLocation, given: Mapping[str, object], problems: Problems) -> None:
    take_texts(draft, given, _LOCATION_TEXTS, problems)
    take_flags(draft, given, ("primary",), problems)
    if "country_id" in given:
        draft.country = reference(given["country_id"], "country_id", _COUNTRIES, problems)
    if "region_id" in given:
        draft.region = reference(given["region_id"], "region_id", _REGIONS, problems)
    # There is a formatted twin of each, so what is stored are the digits, as with a contact's phones
    if given.get("phone") and draft.phone is not None:
        draft.phone = digits(draft.phone)
    if given.get("fax") and draft.fax is not None:
        draft.fax = digits(draft.fax)
