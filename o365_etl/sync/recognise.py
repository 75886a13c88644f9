"""Recognises a record that a change was to create: what tells one contact, asset or organization from another.

What does not live here: reading the records (`sending`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from o365_etl.normalise import normalise
from o365_etl.sync.assets import CONTACTS
from o365_etl.sync.changes import NEW_CONTACT, Change
from o365_etl.sync.payloads import addresses
from o365_etl.sync.ports import Live

# A record created by a request that we sent may bear the time of a clock that is behind ours.
CLOCK_SKEW = timedelta(minutes=10)


def addresses_of(change: Change) -> set[str]:
    """The addresses that a change to a contact names, normalised."""
    values = list(change.fields["email_addresses"].new) if "email_addresses" in change.fields else []
    if "primary_email" in change.fields:
        values.append(change.fields["primary_email"].new)
    return {normalise(value) for value in values}


def name_of(change: Change) -> str:
    """First + last name that a change gives a contact, normalised."""
    parts = (change.fields[name].new for name in ("first_name", "last_name") if name in change.fields)
    return normalise(" ".join(parts))


def name_in(attributes: Mapping[str, Any]) -> str:
    """First + last name of a contact as it is now, normalised."""
    return normalise(" ".join(str(attributes.get(name) or "") for name in ("first-name", "last-name")))


def asset_key(traits: Mapping[str, Any]) -> tuple[str, str]:
    """What one of our assets is about: the tenant, and the product or the user."""
    return str(traits.get("tenant-id")).lower(), str(traits.get("sku-id") or traits.get("user-id")).lower()


def has_contact(change: Change, created: Mapping[str, str]) -> bool:
    """True if a contact that the asset is to tag is there by now."""
    tags = change.fields[CONTACTS].new if CONTACTS in change.fields else []
    return any(not tag.startswith(NEW_CONTACT) or tag.removeprefix(NEW_CONTACT) in created for tag in tags)


def is_it(change: Change, live: Live) -> bool:
    """True if this record could be the one that the change was to create."""
    if change.resource == "contact":
        own = addresses_of(change)
        if own:
            return bool(own & set(addresses(live.attributes)))
        return name_of(change) == name_in(live.attributes)
    if change.resource in ("license_asset", "user_asset"):
        wanted = asset_key({name: each.new for name, each in change.fields.items()})
        return asset_key(live.attributes.get("traits") or {}) == wanted
    return normalise(str(live.attributes.get("name") or "")) == normalise(change.fields["name"].new)


def is_young(live: Live, since: datetime) -> bool:
    """True if the record may have been created since then."""
    return live.created_at is None or live.created_at >= since - CLOCK_SKEW
