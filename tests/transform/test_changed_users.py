"""Tables of a full read and the changes since."""

from __future__ import annotations

from typing import Any

from tests.transform.landed import ANNA, BO, E3, FLOW_FREE, STREAMS, frames, page, rows, user

BOTH = STREAMS | {"users_changes"}


def table_of(base: list[dict[str, Any]], *changed: dict[str, Any], certified: frozenset[str] = BOTH) -> Any:
    """The frames of a base with changes."""
    return frames(base, certified=certified, changed=[page(*changed)])


def test_changes_are_laid_over_the_base() -> None:
    """Told holds, absent stays, null is null; a new user is added; ids are of any case."""
    base = [user(jobTitle="Head", department="Tax"), user(BO, "bo@x.example", jobTitle="Clerk")]
    new = user("cccccccc-0000-4000-8000-000000000003", "cy@x.example")

    made = table_of(base, {"id": ANNA.upper(), "jobTitle": None}, new)

    found = {
        row["user_id"]: (row["user_principal_name"], row["job_title"], row["department"])
        for row in rows(made, "m365.users")
    }
    assert found == {
        ANNA: ("anna@x.example", None, "Tax"),
        BO: ("bo@x.example", "Clerk", None),
        new["id"]: ("cy@x.example", None, None),
    }


def test_nobody_goes_because_of_changes() -> None:
    """A removed user stays as he was."""
    made = table_of([user(jobTitle="Head")], {"id": ANNA, "@removed": {"reason": "deleted"}})

    assert [row["job_title"] for row in rows(made, "m365.users")] == ["Head"]


def test_what_was_kept_of_a_removed_user_holds() -> None:
    """It stands beside the changes, and comes after the word that he was removed."""
    gone = {"id": ANNA, "@removed": {"reason": "changed"}}

    made = frames(
        [user(jobTitle="Head")], certified=BOTH, changed=[page(gone)], kept=[page({"id": ANNA, "jobTitle": "Clerk"})]
    )

    assert [row["job_title"] for row in rows(made, "m365.users")] == ["Clerk"]


def test_changes_that_are_not_in_force_are_not_asked_for() -> None:
    """The caller says which streams count."""
    made = table_of([user(jobTitle="Head")], {"id": ANNA, "jobTitle": "Clerk"}, certified=STREAMS)

    assert [row["job_title"] for row in rows(made, "m365.users")] == ["Head"]


def test_states_of_licenses_hold_only_for_those_still_held() -> None:
    """Told without its states, a license that went takes its state along; one that never worked keeps its error."""
    states = [{"skuId": E3, "state": "Active"}, {"skuId": FLOW_FREE, "state": "Error", "error": "CountViolation"}]
    base = [user(assignedLicenses=[{"skuId": E3}], licenseAssignmentStates=states)]

    kept = table_of(base, {"id": ANNA, "jobTitle": "Head"})
    gone = table_of(base, {"id": ANNA, "assignedLicenses": []})
    told = table_of(base, {"id": ANNA, "assignedLicenses": [], "licenseAssignmentStates": states[:1]})

    assert [row["sku_id"] for row in rows(kept, "m365.license_assignments")] == [E3, FLOW_FREE]
    assert [row["sku_id"] for row in rows(gone, "m365.license_assignments")] == [FLOW_FREE]
    assert [row["sku_id"] for row in rows(told, "m365.license_assignments")] == [E3]


def test_one_odd_field_of_a_change_loses_neither_it_nor_the_others() -> None:
    """A field of the wrong type is unknown, the rest of the change holds."""
    base = [user(), user(BO, "bo@x.example")]

    made = table_of(base, {"id": ANNA, "jobTitle": ["Head"], "department": "Tax"}, {"id": BO, "jobTitle": "Clerk"})

    assert [(row["job_title"], row["department"]) for row in rows(made, "m365.users")] == [
        (None, "Tax"),
        ("Clerk", None),
    ]
