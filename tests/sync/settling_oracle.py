"""A user, a contact as IT Glue keeps it, and how the two compare, in slow and obvious Python.

The comparison is the one of `compare_contact_sides.sql` and `same_number.sql`; the contact does what IT Glue does with
what it is sent. What does not live here: what is planned and sent, which is what is being tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from o365_etl.normalise import digits, normalise

Side = dict[str, Any]
Attributes = dict[str, Any]


def patched(live: Attributes, sent: Mapping[str, Any]) -> Attributes:
    """The contact after a write: what is named is replaced, lists as a whole."""
    after = {**live, **sent}
    after["contact-emails"] = _one_primary(_emails(after.get("contact-emails") or []))
    after["contact-phones"] = _one_primary(
        [{**phone, "value": digits(phone["value"])} for phone in after.get("contact-phones") or []]
    )
    assert all(phone["value"] for phone in after["contact-phones"]), "IT Glue takes no number without digits"
    assert all("@" in email["value"] for email in after["contact-emails"]), "IT Glue takes no such address"
    assert str(after.get("first-name") or "").strip(), "IT Glue insists on a first name"
    return after


def _emails(entries: Iterable[Attributes]) -> list[Attributes]:
    """Each address once; the mark of either entry counts."""
    kept: dict[str, Attributes] = {}
    for entry in entries:
        first = kept.setdefault(entry["value"].lower(), dict(entry))
        first["primary"] = first["primary"] or entry["primary"]
    return list(kept.values())


def _one_primary(entries: list[Attributes]) -> list[Attributes]:
    """The last that is marked wins; if none is, the first."""
    marked = [number for number, entry in enumerate(entries) if entry["primary"]] or [0]
    return [{**entry, "primary": number == marked[-1]} for number, entry in enumerate(entries)]


def compared(user: Mapping[str, Any], live: Attributes) -> Side:
    """The row of `work.contact_sides` for this user and this contact."""
    emails = _rows(live["contact-emails"], normalise)
    phones = _rows(live["contact-phones"], str.strip)
    marked = sorted(address for address, entry in emails.items() if entry["primary"])
    business, mobile = user["business_phone"], user["mobile_phone"]
    addresses = sorted(user["addresses"])
    pairs: dict[str, tuple[str | None, str | None]] = {
        "first_name": (user["given_name"], live["first-name"]),
        "last_name": (user["surname"], live["last-name"]),
        "title": (user["job_title"], live["title"]),
        "primary_email": (
            user["user_principal_name"],
            marked[0] if marked else next(iter(emails)) if len(emails) == 1 else None,
        ),
        "email_addresses": (", ".join(addresses), ", ".join(sorted(emails))),
        "phone": (business, _same_number(phones, business, _chosen(phones, is_mobile=False))),
        "mobile_phone": (mobile, _same_number(phones, mobile, _chosen(phones, is_mobile=True))),
    }
    side: Side = {
        "tenant_id": "t",
        "user_id": "u",
        "organization_id": "100",
        "contact_id": "7",
        "sync_owner": None,
    }
    for name, values in pairs.items():
        m, i = (value if value and normalise(value) else None for value in values)
        side |= {f"m_{name}": m, f"i_{name}": i, f"s_{name}": _state(m, i, is_phone=name.endswith("phone"))}
    return side


def _rows(entries: Iterable[Attributes], key: Any) -> dict[str, Attributes]:
    """Entries by value, each value once; the primary one counts."""
    found: dict[str, Attributes] = {}
    for entry in entries:
        value = key(entry["value"])
        if value and (value not in found or entry["primary"]):
            found[value] = entry
    return found


def _has(entry: Attributes, pattern: str) -> bool:
    return re.search(pattern, entry["label-name"] or "", re.IGNORECASE) is not None


def _chosen(phones: Mapping[str, Attributes], *, is_mobile: bool) -> str | None:
    fitting = {
        number: entry
        for number, entry in phones.items()
        if (_has(entry, "mobile|cell") if is_mobile else not _has(entry, "mobile|cell|fax"))
    }
    marked = [number for number, entry in fitting.items() if entry["primary"]]
    return min(marked or fitting, default=None)


def _same_number(phones: Mapping[str, Attributes], wanted: str | None, otherwise: str | None) -> str | None:
    is_fax = any(_has(entry, "fax") for entry in phones.values())
    if (len(phones) < 2 and not is_fax) or not digits(wanted or ""):
        return otherwise
    return next((number for number in phones if digits(number) == digits(wanted or "")), otherwise)


def _state(m: str | None, i: str | None, *, is_phone: bool) -> str:
    if m is None or i is None:
        return "equal" if m == i else "only_m365" if i is None else "only_itglue"
    is_same = digits(m) == digits(i) if is_phone and digits(m + i) else normalise(m) == normalise(i)
    return "equal" if is_same else "different"
