"""A change as the attributes of a request, merged with the record as it is now.

Attributes have IT Glue's names (kebab-case). `Lookups` turns names into the ids that IT Glue wants. A record that was
edited since the plan raises `Edited`: the plan no longer fits it, so nothing is written.
What does not live here: sending (`apply`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from o365_etl.normalise import normalise
from o365_etl.sync.assets import CONTACTS, LICENSE_TRAITS, USER_TRAITS, as_fields, is_tag, same_trait, tag_ids
from o365_etl.sync.changes import NEW_CONTACT, Change, Value
from o365_etl.sync.contacts import merged_emails, merged_phones, same_number, split_addresses

Attributes = dict[str, Any]

_PLAIN = {
    "name": "name",
    "first_name": "first-name",
    "last_name": "last-name",
    "title": "title",
    "notes": "notes",
    "address_1": "address-1",
    "city": "city",
    "postal_code": "postal-code",
    "phone": "phone",
}
_NAMED = {"contact_type": "contact-type-name", "region": "region-name", "country": "country-name"}
_EMAILS, _PHONES = "contact-emails", "contact-phones"
_ASSETS = ("license_asset", "user_asset")


class Edited(Exception):
    """The record does not say any more what it said when the plan was made."""


class Unresolved(Exception):
    """The change names something that is not there (a country, a contact that could not be created)."""


@dataclass
class Lookups:
    """Names → ids: contact types and countries by name, regions by country id and name, asset types by name.

    `license_type` and `user_type` are the names of our two asset types.
    """

    license_type: str
    user_type: str
    contact_types: Mapping[str, str] = field(default_factory=dict)
    countries: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[tuple[str, str], str] = field(default_factory=dict)
    asset_types: dict[str, str] = field(default_factory=dict)

    def asset_type(self, resource: str) -> str:
        """The id of the flexible asset type of `license_asset` or `user_asset`."""
        name = self.license_type if resource == "license_asset" else self.user_type
        if name not in self.asset_types:
            raise Unresolved(f"the asset type {name!r} is not there")
        return self.asset_types[name]


def new_record(change: Change, lookups: Lookups, created: Mapping[str, str]) -> Attributes:
    """The attributes of a record to create. `created` maps users to the contacts that this run created.

    Raises `Unresolved`.
    """
    values = {name: each.new for name, each in change.fields.items()}
    if change.resource in _ASSETS:
        traits = {name: _resolved(name, value, created) for name, value in values.items()}
        return {
            "flexible-asset-type-id": lookups.asset_type(change.resource),
            "traits": {name: value for name, value in traits.items() if value not in (None, [])},
        }
    if change.resource == "contact":
        return _contact(values, [], [], lookups)
    attributes = {_PLAIN[name]: value for name, value in values.items() if name in _PLAIN}
    return attributes | _ids(values, lookups)


def new_type_fields(name: str, lookups: Lookups) -> list[dict[str, Any]]:
    """The fields of one of our asset types, to be created with it."""
    return as_fields(LICENSE_TRAITS if name == lookups.license_type else USER_TRAITS)


def changed_record(
    change: Change, live: Mapping[str, Any], lookups: Lookups, created: Mapping[str, str]
) -> Attributes | None:
    """The attributes to send for an update of a record whose attributes are `live` now; None if it says so already.

    Raises `Edited`, `Unresolved`.
    """
    if change.resource in _ASSETS:
        return _changed_traits(change, live.get("traits") or {}, created)
    wanted: dict[str, Value] = {}
    for name, each in change.fields.items():
        if _says(name, live, each.new, change.resource):
            continue
        if not _says(name, live, each.old, change.resource):
            raise Edited(f"{name} was edited in IT Glue since the plan")
        wanted[name] = each.new
    if not wanted:
        return None
    if change.resource == "contact":
        return _contact(wanted, live.get(_EMAILS) or [], live.get(_PHONES) or [], lookups)
    country_id = live.get("country-id") or lookups.countries.get(str(live.get("country-name")))
    return {_PLAIN[name]: value for name, value in wanted.items() if name in _PLAIN} | _ids(wanted, lookups, country_id)


def _changed_traits(change: Change, live: Mapping[str, Any], created: Mapping[str, str]) -> Attributes | None:
    wanted = {}
    for name, each in change.fields.items():
        new = _resolved(name, each.new, created)
        if new in (None, "", []):
            continue  # none of the contacts to come has come: a blank never overwrites
        if same_trait(name, new, live.get(name)):
            continue
        if not same_trait(name, each.old, live.get(name)):
            raise Edited(f"{name} was edited in IT Glue since the plan")
        wanted[name] = new
    if not wanted:
        return None
    # Whatever is not named is deleted by IT Glue: all that is there goes along, what a person added included.
    kept = {name: tag_ids(value) if is_tag(value) else value for name, value in live.items()}
    return {"traits": {**kept, **wanted}}


def _resolved(name: str, value: Value, created: Mapping[str, str]) -> Value:
    if name != CONTACTS:
        return value
    return [
        created.get(each.removeprefix(NEW_CONTACT)) if each.startswith(NEW_CONTACT) else each
        for each in value or ()
        if not each.startswith(NEW_CONTACT) or each.removeprefix(NEW_CONTACT) in created
    ]


def _contact(
    values: Mapping[str, Value],
    emails: Sequence[Mapping[str, Any]],
    phones: Sequence[Mapping[str, Any]],
    lookups: Lookups,
) -> Attributes:
    attributes = {_PLAIN[name]: value for name, value in values.items() if name in _PLAIN and name != "phone"}
    if "email_addresses" in values or "primary_email" in values:
        primary = values.get("primary_email")
        wanted = [*([primary] if primary else []), *(values.get("email_addresses") or ())]
        attributes[_EMAILS] = merged_emails(emails, wanted, primary or primary_address({_EMAILS: emails}))
    if "phone" in values or "mobile_phone" in values:
        attributes[_PHONES] = merged_phones(phones, values.get("phone"), values.get("mobile_phone"))
    return attributes | _ids(values, lookups)


def _ids(values: Mapping[str, Value], lookups: Lookups, country_id: Value = None) -> Attributes:
    """The ids behind names; `country_id` is the country that the record has now."""
    ids: Attributes = {}
    for name, key, known in (
        ("contact_type", "contact-type-id", lookups.contact_types),
        ("country", "country-id", lookups.countries),
    ):
        if name in values:
            ids[key] = _found(known, values[name], name)
    if "region" in values:
        # A region is one of a country: several may have one of the same name.
        country = str(ids.get("country-id", country_id))
        of_country = {region: identity for (owner, region), identity in lookups.regions.items() if owner == country}
        ids["region-id"] = _found(of_country, values["region"], "region")
    return ids


def _found(known: Mapping[str, str], name: str, what: str) -> str:
    if name not in known:
        raise Unresolved(f"IT Glue knows no {what.replace('_', ' ')} {name!r}")
    return known[name]


def _says(name: str, live: Mapping[str, Any], value: Value, resource: str) -> bool:
    """True if the live record says this value in this field."""
    if resource == "contact":
        if name == "email_addresses":
            return {normalise(each) for each in value or ()} == set(addresses(live))
        if name == "primary_email":
            return normalise(value or "") == normalise(primary_address(live) or "")
        if name in ("phone", "mobile_phone"):
            # Numbers are only ever added, so that none can be lost: no number before says nothing.
            return value is None or any(
                same_number(str(each.get("value") or ""), value) for each in live.get(_PHONES) or ()
            )
    said = live.get(_PLAIN.get(name) or _NAMED[name])
    if name == "phone":
        return same_number(str(said) if said else None, value)
    return normalise(str(said or "")) == normalise(str(value or ""))


def addresses(live: Mapping[str, Any]) -> list[str]:
    """All addresses of a contact, normalised."""
    found = (normalise(str(each.get("value") or "")) for each in live.get(_EMAILS) or ())
    return [address for value in found for address in split_addresses(value)]


def primary_address(live: Mapping[str, Any]) -> str | None:
    """The primary address of a contact as IT Glue has it; the only one is the primary one, marked or not."""
    entries = [each for each in live.get(_EMAILS) or () if each.get("value")]
    marked = sorted(normalise(str(each["value"])) for each in entries if each.get("primary"))
    return marked[0] if marked else normalise(str(entries[0]["value"])) if len(entries) == 1 else None
