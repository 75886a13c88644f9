"""Users against contacts: what the contact lacks, field by field, under the rules of who owns which field.

E-mails and phones are merged: what Microsoft 365 has is added, what a person added stays. The primary address is the
user name, the primary phone the business phone. What does not live here: how compared values are found equal (the
comparison) and the lists as IT Glue wants them (`payloads`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from o365_etl.normalise import digits, normalise
from o365_etl.sync.changes import Change, FieldChange, Row, filled, owned_by

Owner: TypeAlias = Literal["microsoft", "itglue", "fill_blank"]
# As it stands in the configuration: field → owner.
Owners: TypeAlias = Mapping[str, Owner]

PLAIN_FIELDS = ("first_name", "last_name", "title")
PHONE_FIELDS = ("phone", "mobile_phone")
_TAKEN = "contact {}, which is another user's, has one of his addresses: take it out there, or decide"


def create_contact(user: Row, organization_id: str | None) -> Change:
    """A contact for a user who has none.

    `user` has tenant_id, user_id, user_principal_name, display_name, given_name, surname, job_title, business_phone,
    mobile_phone, addresses (list, normalised), taken_by (a contact of the organization that is somebody else's and has
    one of these addresses, or None: a second contact with it would be a duplicate).
    """
    first, last = names_of(user)
    new = {
        "first_name": first,
        "last_name": last,
        "title": _text(user["job_title"]),
        "primary_email": _email(user["user_principal_name"]),
        "email_addresses": [address for address in sorted(set(user["addresses"] or ())) if _email(address)],
        "phone": phone_number(user["business_phone"]),
        "mobile_phone": phone_number(user["mobile_phone"]),
    }
    return Change(
        tenant_id=user["tenant_id"],
        organization_id=organization_id,
        action="create",
        resource="contact",
        target_id=None,
        subject_id=user["user_id"],
        fields=filled({name: FieldChange(None, value) for name, value in new.items()}),
        reason="no contact fits this user",
        skipped_because=_TAKEN.format(user["taken_by"]) if user["taken_by"] else None,
    )


def update_contact(side: Row, owners: Owners) -> Change | None:
    """What to change at a matched contact; None if nothing.

    `side` has tenant_id, user_id, organization_id, contact_id, sync_owner, and for each compared field the columns
    m_<field> (Microsoft's value), i_<field> (IT Glue's) and s_<field> (how they compare).
    """
    fields: dict[str, FieldChange] = {}
    for name in PLAIN_FIELDS:
        if _is_wanted(side, name, owners) and not _is_first_name_already(side, name):
            fields[name] = FieldChange(side[f"i_{name}"], _text(side[f"m_{name}"]))
    for name, other in (PHONE_FIELDS, PHONE_FIELDS[::-1]):
        # A contact's only number is found under one of the two fields: whoever has one number for both has it.
        if _is_wanted(side, name, owners) and not same_number(side[f"m_{name}"], side[f"i_{other}"]):
            fields[name] = FieldChange(side[f"i_{name}"], phone_number(side[f"m_{name}"]))
    fields |= _email_fields(side, owners)
    fields = filled(fields)
    if not fields:
        return None
    return Change(
        tenant_id=side["tenant_id"],
        organization_id=side["organization_id"],
        action="update",
        resource="contact",
        target_id=side["contact_id"],
        subject_id=side["user_id"],
        fields=fields,
        reason="Microsoft 365 says otherwise",
        skipped_because=owned_by(side["sync_owner"]),
    )


def _is_wanted(side: Row, name: str, owners: Owners) -> bool:
    state, owner = side[f"s_{name}"], owners[name]
    return (state == "only_m365" and owner != "itglue") or (state == "different" and owner == "microsoft")


def _is_first_name_already(side: Row, name: str) -> bool:
    """True for the last name of somebody without a first one: IT Glue insists on a first one, so it stands there."""
    first = side["i_first_name"]
    return (
        name == "last_name"
        and _text(side["m_first_name"]) is None
        and side["s_last_name"] == "only_m365"
        and normalise(first or "") == normalise(side["m_last_name"] or "")
    )


def _email_fields(side: Row, owners: Owners) -> dict[str, FieldChange]:
    fields: dict[str, FieldChange] = {}
    there = split_addresses(side["i_email_addresses"])
    wanted = [address for address in split_addresses(side["m_email_addresses"]) if _email(address)]
    primary = _email(side["m_primary_email"])
    moves_primary = bool(primary) and _is_wanted(side, "primary_email", owners)
    add = wanted if _is_wanted(side, "email_addresses", owners) else []
    # The primary address has to be in the list to be its primary.
    merged = sorted({*there, *add, *([normalise(primary)] if primary and moves_primary else [])})
    if merged != sorted(there):
        fields["email_addresses"] = FieldChange(there or None, merged)
    if moves_primary:
        fields["primary_email"] = FieldChange(side["i_primary_email"], primary)
    return fields


def names_of(user: Row) -> tuple[str, str | None]:
    """First and last name for IT Glue, which insists on a first one: from display name or address if need be."""
    first, last = _text(user["given_name"]), _text(user["surname"])
    display = _text(user["display_name"])
    if first is None and display is not None:
        first = _without_last_name(display, last) if last else display
    if first is None and last is not None:
        return last, None
    return first or _text((user["user_principal_name"] or "").partition("@")[0]) or "?", last


def _without_last_name(display: str, last: str) -> str | None:
    """What a display name says besides the last name: "Anna" of "Anna Berg" and of "Berg, Anna"; all of any other."""
    words, own = display.replace(",", " ").split(), last.replace(",", " ").split()
    for name, rest in ((words[-len(own) :], words[: -len(own)]), (words[: len(own)], words[len(own) :])):
        if own and normalise(" ".join(name)) == normalise(" ".join(own)):
            return " ".join(rest) or None
    return display


def phone_number(value: str | None) -> str | None:
    """A phone number as IT Glue keeps it: digits. Text without any is no number."""
    return digits(value or "") or None


def split_addresses(joined: str | None) -> list[str]:
    """The addresses of a compared list (`a@x, b@x`)."""
    return joined.split(", ") if joined else []


def same_number(one: str | None, other: str | None) -> bool:
    """Phone numbers are the same if their digits are; text without any compares as text."""
    number = phone_number(one)
    return number == phone_number(other) and (number is not None or normalise(one or "") == normalise(other or ""))


def merged_emails(
    live: Sequence[Mapping[str, object]], wanted: Iterable[str], primary: str | None
) -> list[dict[str, object]]:
    """The contact's e-mail entries as they are now, with the missing addresses added and exactly one primary."""
    merged = _with_a_value(live)
    known = {each for entry in merged for each in split_addresses(normalise(str(entry.get("value") or "")))}
    for address in wanted:
        if normalise(address) not in known:
            known.add(normalise(address))
            merged.append({"value": address, "primary": False, "label-name": "Work"})
    _one_primary(merged, lambda entry: primary is not None and normalise(str(entry.get("value"))) == normalise(primary))
    return merged


def merged_phones(
    live: Sequence[Mapping[str, object]], phone: str | None, mobile: str | None
) -> list[dict[str, object]]:
    """The contact's phone entries as they are now, with the missing numbers added and exactly one primary."""
    merged = _with_a_value(live)
    for entry in merged:
        entry.pop("formatted-value", None)
    for number, label in ((phone, "Work"), (mobile, "Mobile")):
        if number and not any(same_number(str(entry.get("value") or ""), number) for entry in merged):
            merged.append({"value": number, "primary": False, "label-name": label, "label-type": "phone"})
    _one_primary(merged, lambda entry: phone is not None and same_number(str(entry.get("value") or ""), phone))
    return merged


def _with_a_value(live: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The entries that say something: IT Glue has blank ones, and refuses to take them back."""
    return [dict(entry) for entry in live if str(entry.get("value") or "").strip()]


def _one_primary(entries: list[dict[str, object]], is_wanted: Callable[[dict[str, object]], bool]) -> None:
    """Mark one entry: the wanted one, else the one that is marked already, else the first."""
    chosen = next((n for n, entry in enumerate(entries) if is_wanted(entry)), None)
    if chosen is None:
        chosen = next((n for n, entry in enumerate(entries) if entry.get("primary")), 0)
    for number, entry in enumerate(entries):
        entry["primary"] = number == chosen


def _text(value: str | None) -> str | None:
    text = " ".join(value.split()) if value else ""
    return text or None


def _email(value: str | None) -> str | None:
    """The address, if it is one that IT Glue can take: a guest's user name (a_b#EXT#@tenant) is none."""
    text = _text(value)
    return text if text and "@" in text and "#ext#" not in text.lower() and " " not in text else None
