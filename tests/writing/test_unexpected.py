"""An error that nobody foresaw, in one of the threads that write: it ends the apply, it is not lost."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from o365_etl.store.state import StateStore
from o365_etl.sync.apply import Applier
from o365_etl.sync.changes import Change, FieldChange
from o365_etl.sync.payloads import Lookups
from o365_etl.sync.ports import Live
from o365_etl.sync.sending import Sender


class Unforeseen:
    """An IT Glue whose every answer is one that no code was written for."""

    def find(self, resource: str, **filters: str | int) -> Sequence[Live]:
        raise ZeroDivisionError(resource)

    def get(self, resource: str, identity: str) -> Live | None:
        raise ZeroDivisionError(resource)

    def create(
        self, resource: str, attributes: Mapping[str, Any], relationships: Mapping[str, Any] | None = None
    ) -> Live:
        raise AssertionError("nothing may be written")

    def create_many(self, resource: str, organization_id: str, items: Sequence[Mapping[str, Any]]) -> Sequence[Live]:
        raise AssertionError("nothing may be written")

    def update(self, resource: str, identity: str, attributes: Mapping[str, Any]) -> Live:
        raise AssertionError("nothing may be written")

    def update_many(self, resource: str, items: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[Live]:
        raise AssertionError("nothing may be written")


def rows_of(tenant_id: str) -> list[Mapping[str, Any]]:
    """One contact to create."""
    change = Change(tenant_id, "101", "create", "contact", None, "u", {"first_name": FieldChange(None, "Anna")}, "new")
    names = ("tenant_id", "organization_id", "action", "resource", "target_id", "subject_id", "reason", "change_id")
    return [{**{name: getattr(change, name) for name in names}, "fields": change.fields_json}]


def test_an_unforeseen_error_is_raised_and_stops_the_rest(tmp_path: Path) -> None:
    """A run that says that all went well, while a tenant was not written, would be the worst."""
    stop = threading.Event()
    sender = Sender(Unforeseen(), StateStore(tmp_path).intents, "run", Lookups("Licenses", "Users"), stop)
    applier = Applier(sender, lambda _: frozenset(), {})
    with pytest.raises(ZeroDivisionError):
        applier.apply([rows_of("one"), rows_of("two")], lambda _: None)

    assert stop.is_set()
