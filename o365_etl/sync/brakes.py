"""Brakes: a plan that looks like an accident waits for a person.

A share that no tenant exceeds, all of them together cannot exceed either; so for the whole run only the creates are
counted. What does not live here: the approval that lets a plan pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from o365_etl.sync.changes import Change


class Thresholds(Protocol):
    """The thresholds, as configured."""

    @property
    def max_creates_per_tenant(self) -> int: ...  # noqa: D102
    @property
    def max_creates_per_run(self) -> int: ...  # noqa: D102
    @property
    def max_changed_share(self) -> float: ...  # noqa: D102
    @property
    def max_field_share(self) -> float: ...  # noqa: D102
    @property
    def max_gone_share(self) -> float: ...  # noqa: D102


@dataclass
class Tally:
    """What one tenant's plan would do to its contacts. `overwritten` counts fields that lose a value, by field."""

    creates: int = 0
    changed: int = 0
    gone: int = 0
    overwritten: Counter[str] = field(default_factory=Counter)

    def add(self, change: Change) -> None:
        """Count one change; only contacts count, and only what would be written."""
        if change.resource != "contact" or change.skipped_because:
            return
        if change.action == "create":
            self.creates += 1
        elif change.action == "deactivate":
            self.gone += 1
        else:
            self.changed += 1
            # Lists are merged: nothing is lost there.
            self.overwritten.update(
                name for name, each in change.fields.items() if each.old and name != "email_addresses"
            )

    def join(self, other: Tally) -> None:
        """Count what another tally counted."""
        self.creates += other.creates
        self.changed += other.changed
        self.gone += other.gone
        self.overwritten.update(other.overwritten)

    def to_json(self) -> str:
        """The tally as text, for `of_json`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def of_json(cls, text: str) -> Tally:
        """The inverse of `to_json`."""
        counted = msgspec.json.decode(text)
        return cls(**{**counted, "overwritten": Counter(counted["overwritten"])})


def pulled(
    tallies: Mapping[str, Tally], linked: Mapping[str, int], thresholds: Thresholds, approved: Iterable[str]
) -> dict[str, str]:
    """Tenant → why its plan has to wait. `linked` is the number of contacts that a tenant's users have.

    The creates of tenants in `approved`, whose plan a person has seen, do not count towards the run's.
    """
    reasons = {}
    for tenant_id, tally in tallies.items():
        why = _why(tally, linked.get(tenant_id, 0), thresholds)
        if why:
            reasons[tenant_id] = why
    seen = set(approved)
    free = {tenant_id: tally.creates for tenant_id, tally in tallies.items() if tenant_id not in {*reasons, *seen}}
    if sum(free.values()) > thresholds.max_creates_per_run:
        said = f"{sum(free.values())} creates in one run (brakes.max_creates_per_run {thresholds.max_creates_per_run})"
        reasons |= {tenant_id: said for tenant_id, creates in free.items() if creates}
    return reasons


def _why(tally: Tally, linked: int, thresholds: Thresholds) -> str:
    found = []
    if tally.creates > thresholds.max_creates_per_tenant:
        found.append(f"{tally.creates} creates (brakes.max_creates_per_tenant {thresholds.max_creates_per_tenant})")
    for what, count, name in (
        ("contacts changed", tally.changed, "max_changed_share"),
        ("contacts left", tally.gone, "max_gone_share"),
    ):
        most: float = getattr(thresholds, name)
        if _exceeds(count, linked, most):
            found.append(f"{count} of {linked} {what} (brakes.{name} {most:g})")
    for name, count in sorted(tally.overwritten.items()):
        if _exceeds(count, linked, thresholds.max_field_share):
            found.append(
                f"{name} overwritten in {count} of {linked} (brakes.max_field_share {thresholds.max_field_share:g})"
            )
    return "; ".join(found)


def _exceeds(count: int, linked: int, most: float) -> bool:
    # Divided, not multiplied: 29 of 100 are 0.29, but 0.29 * 100 is a little less than 29.
    return count / linked > most if linked else count > 0
