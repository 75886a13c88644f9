"""Writing IT Glue contacts with their e-mails and phones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from o365_etl.simulator.itglue_body import Item, snake_keys
from o365_etl.simulator.itglue_errors import Problems
from o365_etl.simulator.itglue_model import SimContact, SimEmail, SimPhone
from o365_etl.simulator.itglue_objects import CONTACT_TYPES, formatted_phone
from o365_etl.simulator.itglue_values import (
    BLANK,
    LONGEST,
    digits,
    existing_organization,
    reference,
    required,
    take_flags,
    take_texts,
    text_problem,
)
from o365_etl.simulator.itglue_writer import Writer, owner

_TEXTS = {"first_name": LONGEST, "last_name": LONGEST, "title": LONGEST, "notes": None}
_TYPES = {identity: name for name, identity in CONTACT_TYPES.items()}
EntryT = TypeVar("EntryT", SimEmail, SimPhone)


class ContactWriter(Writer[SimContact]):
    """Writes contacts."""

    def find(self, identity: int) -> SimContact | None:
        """See `Writer`."""
        return self.view.contact(identity)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimContact:
        """See `Writer`."""
        if parent_id is None:
            parent_id = existing_organization(item.attributes.get("organization_id"), self.view.organizations, problems)
        draft = SimContact(parent_id, None)
        self._take(draft, item.attributes, problems)
        required(draft.first_name, "first_name", problems)
        return draft

    def fill(self, draft: SimContact, item: Item, problems: Problems) -> None:
        """See `Writer`."""
        given = item.attributes
        other = owner(draft.adapters)
        if other is not None:
            problems.add("id", f"is synced with {other} and cannot be changed", pointer="/data")
        if "organization_id" in given:
            draft.organization_id = existing_organization(given["organization_id"], self.view.organizations, problems)
        self._take(draft, given, problems)
        if "first_name" in given:
            required(draft.first_name, "first_name", problems)

    def add(self, record: SimContact) -> None:
        """See `Writer`."""
        self.estate.add_itglue("contacts", record)

    def replace(self, record: SimContact, draft: SimContact) -> None:
        """See `Writer`."""
        if record.organization_id != draft.organization_id:
            self.estate.unfold_contacts()  # a sized estate keeps contacts by organization
        super().replace(record, draft)

    def _take(self, draft: SimContact, given: Mapping[str, object], problems: Problems) -> None:
        take_texts(draft, given, _TEXTS, problems)
        take_flags(draft, given, ("important",), problems, nullable=True)
        if "contact_type_id" in given:
            draft.contact_type = reference(given["contact_type_id"], "contact_type_id", _TYPES, problems)
        if "location_id" in given:
            value = given["location_id"]
            found = reference(value, "location_id", self.view.locations, problems)
            draft.location_id = None if found is None else int(str(value))
        if "contact_emails" in given:
            draft.emails = emails(given["contact_emails"], problems)
        if "contact_phones" in given:
            draft.phones = phones(given["contact_phones"], problems)


def emails(value: object, problems: Problems) -> list[SimEmail]:
    """The e-mails that were sent: each address once, exactly one of them primary."""
    made: dict[str, SimEmail] = {}
    marked = []
    for entry in _entries(value, "contact_emails", problems):
        address = entry.get("value")
        problem = text_problem(address)
        if problem is None and (not isinstance(address, str) or "@" not in address):
            problem = "is not an e-mail address"
        if problem is not None or not isinstance(address, str):
            problems.add("contact_emails", problem or BLANK)
            continue
        label = _label(entry, "contact_emails", problems)
        email = made.setdefault(address.lower(), SimEmail(address, label=label))
        if entry.get("primary") is True:
            marked.append(email)
    return _one_primary([*made.values()], marked)


def phones(value: object, problems: Problems) -> list[SimPhone]:
    """The phones that were sent: digits only, exactly one of them primary."""
    made, marked = [], []
    for entry in _entries(value, "contact_phones", problems):
        typed, extension, kind = entry.get("value"), entry.get("extension"), entry.get("label_type") or "phone"
        if isinstance(typed, int) and not isinstance(typed, bool):
            typed = str(typed)
        if not isinstance(typed, str) or not digits(typed):
            problems.add("contact_phones", BLANK if typed in (None, "") else "is not a phone number")
            continue
        if kind not in ("phone", "fax"):
            problems.add("contact_phones", "label-type is not phone or fax")
            continue
        phone = SimPhone(
            digits(typed),
            extension=None if extension in (None, "") else str(extension),
            label=_label(entry, "contact_phones", problems),
            label_type=str(kind),
            formatted=formatted_phone(digits(typed)),
        )
        made.append(phone)
        if entry.get("primary") is True:
            marked.append(phone)
    return _one_primary(made, marked)


def _entries(value: object, name: str, problems: Problems) -> list[dict[str, object]]:
    """The entries of a list attribute, with snake_case keys."""
    rows = value if isinstance(value, list) else [value]
    entries = [snake_keys(row) for row in rows if isinstance(row, dict)]
    if not isinstance(value, list) or len(entries) < len(rows):
        problems.add(name, "is not a list of objects")
    return entries


def _label(entry: Mapping[str, object], name: str, problems: Problems) -> str:
    label = entry.get("label_name", "Work")
    problem = text_problem(label)
    if problem is not None:
        problems.add(name, f"label-name {problem}")
    return str(label or "Work")


def _one_primary(entries: list[EntryT], marked: list[EntryT]) -> list[EntryT]:
    """The last entry that was marked primary wins; if none was, the first is."""
    for entry in entries:
        entry.primary = entry is (marked or entries)[-1 if marked else 0]
    return entries
