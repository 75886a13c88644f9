"""The tenants of a connection: of a partner tenant its contracts and its GDAP relationships, of a direct one itself.

Neither list holds all: contracts are reseller relationships, GDAP is its own thing, so the union counts. A list that
the application may not read is no problem while the other can be read; a list that broke off is, because then a
tenant missing here is not gone. National clouds have no GDAP: there the contracts are all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from o365_etl.config import Connection, is_guid
from o365_etl.errors import ForbiddenError, NotFoundError, O365EtlError, UnsupportedError
from o365_etl.graph.answers import (
    Page,
    Relationship,
    decode_contracts,
    decode_gdap_tenants,
    decode_relationships,
)
from o365_etl.graph.client import TenantClient
from o365_etl.graph.model import Discovery, TenantTarget
from o365_etl.graph.rights import has_gdap
from o365_etl.graph.session import GraphSession
from o365_etl.graph.transport import Tally
from o365_etl.graph.waiting import Clock

__all__ = ["Discovery", "TenantTarget", "discover"]

T = TypeVar("T")
_CONTRACTS = "contracts"
_GDAP = "gdap"
_ENDS = "ends"
_GDAP_PERMISSION = "DelegatedAdminRelationship.Read.All"
_NOT_OURS = (ForbiddenError, NotFoundError, UnsupportedError)


def discover(session: GraphSession, connection: Connection) -> Discovery:
    """List the tenants of a connection. A direct connection is not asked; a partner's own tenant is not listed.

    Never raises an `O365EtlError` for what the server does: it stands in `problem`, beside what could be read.
    """
    if connection.kind == "direct":
        return Discovery([TenantTarget(tenant_id=connection.tenant_id, connection=connection.name, kind="direct")])
    try:
        client = session.client(connection, connection.tenant_id)
        own = {connection.tenant_id, client.sign_in.token().tenant_id}
    except O365EtlError as error:
        return Discovery([], False, error)
    return _Survey(client, connection.name, own, session.clock).result()


@dataclass(slots=True)
class _Found:
    """What the lists say about one tenant."""

    display_name: str | None = None
    default_domain: str | None = None
    ends_at: datetime | None = None
    listed_in: list[str] = field(default_factory=list)


class _Survey:
    def __init__(self, client: TenantClient, connection: str, own: set[str | None], clock: Clock) -> None:
        self._client = client
        self._connection = connection
        self._own = own
        self._clock = clock
        self._found: dict[str, _Found] = {}

    def result(self) -> Discovery:
        reads = {_CONTRACTS: self._read_contracts}
        if has_gdap(self._client.sign_in.connection.cloud):
            reads |= {_GDAP: self._read_gdap, _ENDS: self._read_ends}
        # Asked for at the same time, noted one after the other.
        with ThreadPoolExecutor(len(reads)) as pool:
            try:
                outcomes = dict(zip(reads, pool.map(self._attempt, reads.values()), strict=True))
            except BaseException:  # an interrupt included: threads in a long wait must not hold the program
                self._clock.stop()
                raise
        problems: dict[str, O365EtlError] = {}
        for name, outcome in outcomes.items():
            if isinstance(outcome, O365EtlError):
                problems[name] = outcome
            else:
                outcome()
        # The end of a relationship is worth a column, but a list of tenants is complete without it.
        ends = problems.pop(_ENDS, None)
        broken = [error for error in problems.values() if not isinstance(error, _NOT_OURS)]
        if not broken and len(problems) == len(reads.keys() - {_ENDS}):
            broken = list(problems.values())
        if ends is not None and _GDAP not in problems and not isinstance(ends, _NOT_OURS):
            broken.append(ends)
        targets = [self._target(tenant_id, found) for tenant_id, found in self._found.items()]
        return Discovery(targets, not broken, broken[0] if broken else None)

    def _target(self, tenant_id: str, found: _Found) -> TenantTarget:
        return TenantTarget(
            tenant_id=tenant_id,
            connection=self._connection,
            kind="partner",
            display_name=found.display_name,
            default_domain=found.default_domain,
            access_ends_at=found.ends_at,
            listed_in=tuple(found.listed_in),
        )

    def _attempt(self, read: Callable[[], Callable[[], None]]) -> Callable[[], None] | O365EtlError:
        """What notes that which was read, or why it could not be read."""
        try:
            return read()
        except O365EtlError as error:
            return error

    def _read_contracts(self) -> Callable[[], None]:
        contracts = self._items("contracts", decode_contracts, "Directory.Read.All")

        def note() -> None:
            for contract in contracts:
                found = self._note(contract.tenant_id, contract.display_name, _CONTRACTS)
                if found is not None and contract.domain:
                    found.default_domain = contract.domain.lower()

        return note

    def _read_gdap(self) -> Callable[[], None]:
        path = "tenantRelationships/delegatedAdminCustomers?$top=300"
        tenants = self._items(path, decode_gdap_tenants, _GDAP_PERMISSION)

        def note() -> None:
            for tenant in tenants:
                self._note(tenant.tenant_id, tenant.display_name, _GDAP)

        return note

    def _read_ends(self) -> Callable[[], None]:
        relationships = list(active_relationships(self._client))

        def note() -> None:
            for tenant_id, ends_at, _ in relationships:
                found = self._found.get(tenant_id)
                if found is not None and (found.ends_at is None or found.ends_at < ends_at):
                    found.ends_at = ends_at

        return note

    def _items(self, path: str, decode: Callable[[bytes], Page[T]], permission: str) -> list[T]:
        items: list[T] = []
        for _, page in self._client.pages(path, decode, Tally(), permission=permission):
            items += page.value
        return items

    def _note(self, raw_id: str | None, display_name: str | None, source: str) -> _Found | None:
        """Keep the tenant; an id that is none is kept as well, so that its tenant is reported and not lost."""
        tenant_id = (raw_id or "").strip()
        tenant_id = tenant_id.lower() if is_guid(tenant_id) else tenant_id[:100]
        if tenant_id in self._own:
            return None
        found = self._found.setdefault(tenant_id, _Found())
        # The GDAP list is read last and is the fresher of the two: contracts keep the name of their first day.
        found.display_name = display_name or found.display_name
        if source not in found.listed_in:
            found.listed_in.append(source)
        return found


def active_relationships(client: TenantClient) -> Iterator[tuple[str, datetime, Relationship]]:
    """The GDAP relationships that are in force: tenant id, end, and all that is told; those without either are not.

    Raises what the partner tenant answers.
    """
    path = "tenantRelationships/delegatedAdminRelationships?$filter=status eq 'active'&$top=300"
    for _, page in client.pages(path, decode_relationships, Tally(), permission=_GDAP_PERMISSION):
        for each in page.value:
            tenant_id = ((each.tenant and each.tenant.tenant_id) or "").strip().lower()
            ends_at = _moment(each.ends)
            # The filter is the server's to apply; one that ignores it must not lend a dead relationship's date.
            if (each.status or "").lower() == "active" and tenant_id and ends_at is not None:
                yield tenant_id, ends_at, each


def _moment(text: str | None) -> datetime | None:
    """A time of Microsoft's in UTC, with the seven digits of a second that are one too many; None if it is none."""
    try:
        found = msgspec.convert(text, datetime) if text else None
    except msgspec.ValidationError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
