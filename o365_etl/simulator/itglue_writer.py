"""What all writers of IT Glue records have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Generic, TypeVar

from o365_etl.simulator.estate import Estate
from o365_etl.simulator.itglue_body import Item
from o365_etl.simulator.itglue_errors import Problems
from o365_etl.simulator.itglue_model import SimAdapter, SimRecord
from o365_etl.simulator.itglue_records import View

T = TypeVar("T", bound=SimRecord)


class Writer(ABC, Generic[T]):
    """Makes drafts of one kind of record from what was sent, and stores them when all of them are right."""

    def __init__(self, estate: Estate, view: View) -> None:
        self.estate = estate
        self.view = view

    @abstractmethod
    def find(self, identity: int) -> T | None:
        """The stored record with this id."""

    @abstractmethod
    def make(self, item: Item, parent_id: int | None, problems: Problems) -> T:
        """A draft of a new record; `parent_id` is the organization, or the type, that the path names."""

    @abstractmethod
    def fill(self, draft: T, item: Item, problems: Problems) -> None:
        """Put what was sent into the draft of a stored record."""

    @abstractmethod
    def add(self, record: T) -> None:
        """Store a new record under a new id."""

    def judge(self, drafts: Sequence[T], problems: Problems) -> None:
        """Look for what is wrong with the drafts together and beside the stored records."""
        return

    def replace(self, record: T, draft: T) -> None:
        """Make the stored record what the draft is."""
        for each in fields(draft):
            setattr(record, each.name, getattr(draft, each.name))


def owner(adapters: Iterable[SimAdapter]) -> str | None:
    """The name of the integration that owns a record."""
    return next((adapter.name for adapter in adapters if adapter.sync), None)


def unique(
    drafts: Sequence[T],
    stored: Iterable[T],
    identity: Callable[[T], int],
    value: Callable[[T], object],
    found: Callable[[T], None],
) -> None:
    """Call `found` with each draft whose value another record has. A stored value that was not changed may stay."""
    before: Mapping[int, T] = {identity(each): each for each in stored}
    changing = {identity(each) for each in drafts}
    taken = {value(each) for number, each in before.items() if number not in changing}
    for draft in drafts:
        old = before.get(identity(draft))
        if value(draft) in taken and (old is None or value(old) != value(draft)):
            found(draft)
        taken.add(value(draft))
