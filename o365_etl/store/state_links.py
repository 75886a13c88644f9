"""What belongs together for good: tenants and organizations, users and contacts, and records known by nothing else.

What does not live here: how a pair is found (`matching`), and the tables themselves (`state_schema`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from o365_etl.store.state_database import Database, constant, execute_many, parameter, upsert
from o365_etl.store.state_schema import links_tenant, links_user, places

# Tenant, organization, rule · tenant, user, organization, contact, rule · tenant, resource, subject, target.
TenantLink: TypeAlias = tuple[str, str, str | None]
UserLink: TypeAlias = tuple[str, str, str, str, str | None]
Place: TypeAlias = tuple[str, str, str | None, str]

USER_LINKS = pa.schema([(name, pa.string()) for name in ("tenant_id", "user_id", "organization_id", "contact_id")])


class Links:
    """Reads and writes links. Part of `StateStore`; raises what it raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- tenants

    def tenant_links(self) -> dict[str, str]:
        """Tenant id → organization id."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(links_tenant.c.tenant_id, links_tenant.c.organization_id))
            return {row[0]: row[1] for row in rows}

    def link_tenants(self, rows: Iterable[TenantLink]) -> None:
        """Link tenants: (tenant, organization, rule). A link that says the same stays with its date and its rule;
        with another organization it is a new one, nothing of which was applied yet.
        """
        at = datetime.now(UTC)
        with self._database.writing() as connection:
            write_tenant_links(connection, rows, at)

    def unlink_tenant(self, tenant_id: str) -> None:
        """Forget a tenant's organization; nothing happens if there is none."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(links_tenant).where(links_tenant.c.tenant_id == tenant_id))

    def mark_applied(self, tenant_ids: Iterable[str]) -> None:
        """Note that these tenants' plans have been written to their organizations; the first time counts."""
        statement = (
            sa.update(links_tenant)
            .where(links_tenant.c.tenant_id == parameter("tenant"), links_tenant.c.applied_at.is_(None))
            .values(applied_at=constant(links_tenant.c.applied_at, datetime.now(UTC)))
        )
        with self._database.writing() as connection:
            execute_many(connection, statement, ("tenant",), ((tenant_id,) for tenant_id in tenant_ids))

    def first_applied(self) -> dict[str, datetime]:
        """Tenant id → when something was first written for it, of those for which something was."""
        columns = links_tenant.c
        query = sa.select(columns.tenant_id, columns.applied_at).where(columns.applied_at.is_not(None))
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    # --- users

    def user_links(self) -> pa.RecordBatchReader:
        """All links of users: tenant_id, user_id, organization_id, contact_id. Read in batches, as they are asked for;
        until the last one the database holds this moment, so read to the end or close it.
        """
        query = sa.select(*(links_user.c[name] for name in USER_LINKS.names))
        return pa.RecordBatchReader.from_batches(USER_LINKS, self._database.batches(query, USER_LINKS))

    def link_users(self, rows: Iterable[UserLink]) -> None:
        """Link users: (tenant, user, organization, contact, rule), all or none. A link that says the same stays with
        its date and its rule.
        """
        at = datetime.now(UTC)
        with self._database.writing() as connection:
            write_user_links(connection, rows, at)

    def unlink_users(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """Forget links of users: (tenant, user, organization); one that is not there is no error."""
        columns = links_user.c
        statement = sa.delete(links_user).where(
            columns.tenant_id == parameter("tenant"),
            columns.user_id == parameter("user"),
            columns.organization_id == parameter("organization"),
        )
        with self._database.writing() as connection:
            execute_many(connection, statement, ("tenant", "user", "organization"), keys)

    # --- places

    def places(self, resource: str) -> dict[tuple[str, str | None], str]:
        """The records of this kind that were remembered: (tenant id, subject id) → id in IT Glue."""
        columns = places.c
        query = sa.select(columns.tenant_id, columns.subject_id, columns.target_id).where(columns.resource == resource)
        with self._database.reading() as connection:
            return {(row[0], row[1] or None): row[2] for row in connection.execute(query)}

    def remember_place(self, tenant_id: str, resource: str, subject_id: str | None, target_id: str) -> None:
        """Remember a record that this program created and that nothing else would tell (a tenant's location)."""
        with self._database.writing() as connection:
            write_place(connection, (tenant_id, resource, subject_id, target_id), datetime.now(UTC))


def write_tenant_links(connection: sa.Connection, rows: Iterable[TenantLink], at: datetime) -> None:
    """See `Links.link_tenants`; for a transaction that does more than this."""
    names = ("tenant_id", "organization_id", "rule")
    common = {"since": at, "applied_at": None}
    replaced = ("organization_id", "rule", *common)
    upsert(connection, links_tenant, names, rows, constants=common, replaced=replaced, if_other="organization_id")


def write_user_links(connection: sa.Connection, rows: Iterable[UserLink], at: datetime) -> None:
    """See `Links.link_users`; for a transaction that does more than this."""
    names = ("tenant_id", "user_id", "organization_id", "contact_id", "rule")
    replaced = ("contact_id", "rule", "since")
    upsert(connection, links_user, names, rows, constants={"since": at}, replaced=replaced, if_other="contact_id")


def write_place(connection: sa.Connection, place: Place, at: datetime) -> None:
    """See `Links.remember_place`; for a transaction that does more than this."""
    tenant_id, resource, subject_id, target_id = place
    names = ("tenant_id", "resource", "subject_id", "target_id")
    row = (tenant_id, resource, subject_id or "", target_id)
    replaced = ("target_id", "since")
    upsert(connection, places, names, [row], constants={"since": at}, replaced=replaced, if_other="target_id")
