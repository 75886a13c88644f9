"""What attributes may hold, checked one by one: texts, flags, references to other records, phone numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from o365_etl.simulator.itglue_body import number
from o365_etl.simulator.itglue_errors import UNPROCESSABLE, Problems

LONGEST = 255
TOO_LONG = f"is too long (maximum is {LONGEST} characters)"
BLANK = "can't be blank"


def text_problem(value: object, longest: int | None = LONGEST) -> str | None:
    """What is wrong with a text, None if nothing is; null is a text as well."""
    if value is None:
        return None
    if not isinstance(value, str):
        return "is not a text"
    return TOO_LONG if longest is not None and len(value) > longest else None


def take_texts(
    target: object, given: Mapping[str, object], limits: Mapping[str, int | None], problems: Problems
) -> None:
    """Put the given texts into the fields of the same names; `limits` names them with the length each may have."""
    for name, longest in limits.items():
        if name not in given:
            continue
        problem = text_problem(given[name], longest)
        if problem is not None:
            problems.add(name, problem)
        setattr(target, name, str(given[name]) if given[name] is not None else None)


def take_flags(
    target: object, given: Mapping[str, object], names: Collection[str], problems: Problems, *, nullable: bool = False
) -> None:
    """Put the given booleans into the fields of the same names."""
    for name in names:
        if name not in given:
            continue
        value = given[name]
        if isinstance(value, bool) or (value is None and nullable):
            setattr(target, name, value)
        else:
            problems.add(name, "is not true or false")


def required(value: str | None, name: str, problems: Problems) -> None:
    """A text that must not be blank."""
    if not (value or "").strip():
        problems.add(name, BLANK)


def reference(value: object, name: str, known: Mapping[int, str], problems: Problems) -> str | None:
    """The name of a record that is referred to by its id; None for null, and for one that does not exist."""
    if value is None:
        return None
    found = known.get(number(value) or 0)
    if found is None:
        problems.add(name, "must exist")
    return found


def existing_organization(value: object, known: Collection[int], problems: Problems) -> int:
    """The id of an organization, 0 if there is no such organization."""
    identity = number(value)
    if identity is None or identity not in known:
        # As recorded, down to the pointer without a slash
        title, pointer = "Valid organization_id is required", "data/attributes/organization_id"
        problems.add("organization_id", UNPROCESSABLE, title, pointer)
        return 0
    return identity


def digits(value: str) -> str:
    """A phone number as IT Glue stores it: the separators and a leading plus are gone."""
    return "".join(sign for sign in value if sign in "0123456789")
