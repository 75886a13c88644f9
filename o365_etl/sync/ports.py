"""What applying a plan needs of IT Glue and of the state store, as protocols: `sync` imports neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

from o365_etl.sync.changes import Row

Endpoint: TypeAlias = Literal["organizations", "contacts", "locations", "flexible_assets", "flexible_asset_types"]
Outcome: TypeAlias = Literal["applied", "failed", "skipped"]


class Live(Protocol):
    """A record as it is in IT Glue now."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def attributes(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def created_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def owner(self) -> str | None: ...  # noqa: D102


class Records(Protocol):
    """IT Glue; see `o365_etl.itglue.writer.ItGlueWriter` for what each may raise."""

    def find(self, resource: Endpoint, **filters: str | int) -> Sequence[Live]:
        """All records that fit."""

    def get(self, resource: Endpoint, identity: str) -> Live | None:
        """One record as it is now; None if there is none."""

    def create(
        self, resource: Endpoint, attributes: Mapping[str, Any], relationships: Mapping[str, Any] | None = None
    ) -> Live:
        """Create one record."""

    def create_many(
        self, resource: Endpoint, organization_id: str, items: Sequence[Mapping[str, Any]]
    ) -> Sequence[Live]:
        """Create records of one organization in one request, all or none."""

    def update(self, resource: Endpoint, identity: str, attributes: Mapping[str, Any]) -> Live:
        """Change the named attributes of one record."""

    def update_many(self, resource: Endpoint, items: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[Live]:
        """Change records in one request, all or none."""


class Journal(Protocol):
    """The write-ahead log; see `o365_etl.store.state_intents.Intents`."""

    def open(self, run_id: str, changes: Sequence[Row]) -> list[int]:
        """Note what is going to be sent."""

    def close(self, outcomes: Sequence[Mapping[str, Any]]) -> None:
        """Note what became of it, and what is to be remembered of it: all or nothing."""

    def record(self, run_id: str, changes: Iterable[Row], state: Outcome, message: str | None) -> None:
        """Note what ended without a request."""

    def pending(self) -> Sequence[Row]:
        """What was sent and never answered."""
