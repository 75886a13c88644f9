"""Organizations and their location: created when a person said so, filled in or kept in step after that.

A location is made once per tenant and updated in place from then on; the built-in integration makes another one at
every move. What does not live here: which location is compared with the tenant's address (`store/sql`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from o365_etl.normalise import normalise
from o365_etl.sync.changes import Change, FieldChange, Row, filled, owned_by
from o365_etl.sync.contacts import Owner, phone_number

# Microsoft's value, IT Glue's value, and how they compare.
Side: TypeAlias = tuple[str | None, str | None, str]


def create_organization(tenant: Row) -> Change:
    """The organization that a person wants for a tenant. `tenant` has tenant_id, display_name."""
    return Change(
        tenant_id=tenant["tenant_id"],
        organization_id=None,
        action="create",
        resource="organization",
        target_id=None,
        subject_id=None,
        fields={"name": FieldChange(None, " ".join(tenant["display_name"].split()))},
        reason="decided: create",
    )


def rename_organization(tenant: Row, owner: Owner) -> Change | None:
    """The tenant's name for its organization, where Microsoft 365 owns it.

    `tenant` has tenant_id, organization_id, sync_owner, display_name, organization_name.
    """
    new, old = " ".join((tenant["display_name"] or "").split()), tenant["organization_name"]
    if owner != "microsoft" or not new or normalise(new) == normalise(old or ""):
        return None
    return Change(
        tenant_id=tenant["tenant_id"],
        organization_id=tenant["organization_id"],
        action="update",
        resource="organization",
        target_id=tenant["organization_id"],
        subject_id=None,
        fields={"name": FieldChange(old, new)},
        reason="Microsoft 365 says otherwise",
        skipped_because=owned_by(tenant["sync_owner"]),
    )


def document_location(tenant: Row, sides: Mapping[str, Side], owner: Owner) -> Change | None:
    """The tenant's address as a location; None if there is nothing to write.

    `tenant` has tenant_id, display_name, organization_id (None: still to be created), location_id (None: there is
    none) and is_ours (this program made the location). `sides` maps each field to Microsoft's value, IT Glue's, and
    how they compare. A location that is not ours keeps what it says, unless the owner is `microsoft`.
    """
    if tenant["location_id"] is None:
        fields = filled({name: FieldChange(None, _value(name, m)) for name, (m, _, _) in sides.items()})
        if not any(name in fields for name in ("address_1", "city", "postal_code")):
            return None  # a country alone is no place to send anybody to
        fields = {"name": FieldChange(None, " ".join(tenant["display_name"].split())), **fields}
        action, reason = "create", "the organization has no location"
    else:
        states = {"only_m365"} if owner == "fill_blank" and not tenant["is_ours"] else {"only_m365", "different"}
        if owner == "itglue" and not tenant["is_ours"]:
            return None
        fields = filled(
            {name: FieldChange(i, _value(name, m)) for name, (m, i, state) in sides.items() if state in states}
        )
        if "country" not in fields and sides["country"][2] != "equal":
            fields.pop("region", None)  # it would be one of another country
        if not fields:
            return None
        action, reason = "update", "the tenant's address in Microsoft 365"
    return Change(
        tenant_id=tenant["tenant_id"],
        organization_id=tenant["organization_id"],
        action="create" if action == "create" else "update",
        resource="location",
        target_id=tenant["location_id"],
        subject_id=None,
        fields=fields,
        reason=reason,
    )


def in_words_of_it_glue(
    sides: Mapping[str, Side], countries: Iterable[Sequence[str | None]], regions: Iterable[Sequence[str | None]]
) -> dict[str, Side]:
    """Country and region as IT Glue calls them: they are written by id. One that it does not know is left out.

    `countries` are (id, name, code), `regions` (country id, name, code).
    """
    found = dict(sides)
    country_id, country = None, None
    wanted = normalise(sides["country"][0] or "")
    for identity, name, code in countries:
        if wanted and wanted in (normalise(name or ""), normalise(code or "")):
            country_id, country = identity, name
    wanted = normalise(sides["region"][0] or "")
    region = None
    for owner, name, code in regions:
        is_near = country_id is not None and owner == country_id
        if wanted and is_near and wanted in (normalise(name or ""), normalise(code or "")):
            region = name
    for name, word in (("country", country), ("region", region)):
        _, there, state = sides[name]
        if word is not None and there is not None and normalise(word) == normalise(there):
            state = "equal"
        found[name] = (word, there, state)
    return found


def _value(name: str, value: str | None) -> str | None:
    return phone_number(value) if name == "phone" else " ".join(value.split()) if value else None
