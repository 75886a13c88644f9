"""Who would be in scope: the selection applied to what the last sync read, without reading anything.

The rule itself is the transforms' own (`transform.scope`); users who are alike for it are counted together, so that a
million of them are a few thousand groups. What does not live here: changing the selection (`selecting`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from o365_etl.config import Selection, Settings
from o365_etl.pipeline.catalogue import catalogue_of
from o365_etl.pipeline.targets import leaves_out
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.transform.catalogue import Catalogue
from o365_etl.transform.scope import SelectedSkus, out_of_scope_reason

EXCLUDED = "excluded"
# The selection in force by the name of its connection.
Selections = Mapping[str, Selection]

_TENANTS = """
SELECT s.tenant_id, coalesce(t.connection, s.connection) AS connection,
 coalesce(t.display_name, s.display_name) AS display_name, t.microsoft_name, t.default_domain, t.as_of,
 list_distinct(list_filter([t.default_domain, t.initial_domain], x -> x IS NOT NULL)
  || coalesce((SELECT list(domain) FROM m365.domains d WHERE d.tenant_id = s.tenant_id AND is_verified), [])) AS domains
FROM sync.tenants s LEFT JOIN m365.tenants t USING (tenant_id) ORDER BY 1
"""
# A product in an error state is not held, unless it is all that a licensed user has. What a mailbox is may be known for
# users without a row in m365.mailboxes too: the reason they were left out says it.
_USERS = """
WITH held AS (
 SELECT tenant_id, user_id, list_sort(list(DISTINCT sku_id)) AS listed,
  list_sort(list(DISTINCT sku_id) FILTER (state IS NULL OR state IN ('Active', 'ActiveWithError'))) AS working
 FROM m365.license_assignments GROUP BY ALL
), boxes AS (
 SELECT tenant_id, user_id, min(mailbox_type) AS mailbox_type
 FROM m365.mailboxes WHERE user_id IS NOT NULL GROUP BY ALL
)
SELECT u.tenant_id, u.is_guest, u.account_enabled, u.is_licensed,
 coalesce(
  b.mailbox_type, CASE u.out_of_scope_reason WHEN 'shared_mailbox' THEN 'shared' WHEN 'resource' THEN 'room' END
 ) AS mailbox_type,
 CASE WHEN u.is_licensed THEN coalesce(h.working, h.listed, []) ELSE [] END AS skus,
 m.contact_id IS NOT NULL AS has_contact, count(*) AS users
FROM m365.users u
LEFT JOIN held h USING (tenant_id, user_id)
LEFT JOIN boxes b USING (tenant_id, user_id)
LEFT JOIN "match".contacts m ON m.tenant_id = u.tenant_id AND m.user_id = u.user_id AND m.status = 'matched'
GROUP BY ALL ORDER BY ALL
"""
_PRODUCTS = "SELECT tenant_id, sku_id, sku_part_number AS part_number, is_recommended, consumed FROM m365.licenses"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that a sync has seen."""

    tenant_id: str
    connection: str
    display_name: str | None
    microsoft_name: str | None
    default_domain: str | None
    as_of: datetime | None
    domains: Sequence[str]

    def is_excluded(self, selection: Selection) -> bool:
        """True if the selection of its connection leaves it out."""
        return leaves_out(selection, self.tenant_id, self.default_domain)


@dataclass(frozen=True, slots=True)
class Users:
    """So many users of a tenant that are alike for the selection."""

    tenant_id: str
    is_guest: bool
    account_enabled: bool | None
    is_licensed: bool
    mailbox_type: str | None
    skus: Sequence[str]
    has_contact: bool
    users: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A product that a tenant holds."""

    tenant_id: str
    sku_id: str
    part_number: str | None
    is_recommended: bool
    consumed: int | None


class LastRead:
    """What the last sync read, as far as the selection looks at it; of one connection, or of all that are configured.

    Empty before the first sync.
    """

    def __init__(self, workspace: Workspace, connection: str | None = None) -> None:
        self._workspace = workspace
        names = {each.name for each in workspace.settings.connections if connection in (None, each.name)}
        known = [Tenant(**row) for row in self._rows(_TENANTS)]
        self.tenants = {tenant.tenant_id: tenant for tenant in known if tenant.connection in names}

    @cached_property
    def catalogue(self) -> Catalogue:
        """What products are called."""
        return catalogue_of(self._workspace)

    @cached_property
    def users(self) -> list[Users]:
        """The users, in groups."""
        return [Users(**row) for row in self._rows(_USERS) if row["tenant_id"] in self.tenants]

    @cached_property
    def offers(self) -> Mapping[str, Mapping[str, Offer]]:
        """The products by tenant and id."""
        found: dict[str, dict[str, Offer]] = {tenant_id: {} for tenant_id in self.tenants}
        for row in self._rows(_PRODUCTS):
            if row["tenant_id"] in found:
                found[row["tenant_id"]][row["sku_id"]] = Offer(**row)
        return found

    @property
    def is_empty(self) -> bool:
        """True if nothing was read yet."""
        return not self.users and not any(self.offers.values())

    @property
    def at(self) -> datetime | None:
        """When the last of these tenants was read completely."""
        return max((tenant.as_of for tenant in self.tenants.values() if tenant.as_of), default=None)

    def selected(self, tenant: Tenant, selection: Selection) -> SelectedSkus:
        """Which of a tenant's products a selection takes."""
        return SelectedSkus(selection, self.offers[tenant.tenant_id], self.catalogue)

    def reasons(self, selections: Selections) -> Iterator[tuple[Users, str | None]]:
        """Each group of users with the reason why it becomes no contacts; None if it does."""
        excluded = {key: tenant.is_excluded(selections[tenant.connection]) for key, tenant in self.tenants.items()}
        selected = {key: self.selected(tenant, selections[tenant.connection]) for key, tenant in self.tenants.items()}
        for group in self.users:
            if excluded[group.tenant_id]:
                yield group, EXCLUDED
                continue
            reason = out_of_scope_reason(
                selections[self.tenants[group.tenant_id].connection],
                is_guest=group.is_guest,
                account_enabled=group.account_enabled,
                mailbox_type=group.mailbox_type,
                has_selected_sku=selected[group.tenant_id].any_of(group.skus),
            )
            yield group, reason

    def counts(self, selections: Selections) -> Counter[str]:
        """Users by the reason why they become no contacts, and `in_scope`."""
        counted: Counter[str] = Counter()
        for group, reason in self.reasons(selections):
            counted[reason or "in_scope"] += group.users
        return counted

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        return query(self._workspace, sql, remember=True) if self._workspace.published.is_file() else []


def selections_of(settings: Settings) -> Selections:
    """The selection in force for each connection."""
    return {connection.name: settings.selection_for(connection.name) for connection in settings.connections}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change of the selection means by the last read. Of those who leave, `with_contact` have a contact; the
    contacts of `to_mark` of these will be marked like those of users who left the tenant, the others stay as they are.
    """

    in_scope_before: int = 0
    in_scope_after: int = 0
    come_in: int = 0
    leave: int = 0
    with_contact: int = 0
    to_mark: int = 0


def effect(read: LastRead, before: Selections, after: Selections) -> Effect:
    """Who comes into scope and who leaves it when one selection follows the other."""
    counted: Counter[str] = Counter()
    for (group, old), (_, new) in zip(read.reasons(before), read.reasons(after), strict=True):
        was, is_ = old is None, new is None
        counted["in_scope_before"] += group.users * was
        counted["in_scope_after"] += group.users * is_
        counted["come_in"] += group.users * (is_ and not was)
        if was and not is_:
            counted["leave"] += group.users
            counted["with_contact"] += group.users * group.has_contact
            counted["to_mark"] += group.users * (group.has_contact and _counts_as_left(group, str(new)))
    return Effect(**counted)


def _counts_as_left(group: Users, reason: str) -> bool:
    """As in `store/sql/plan_leavers.sql`: who is out of scope for another reason did not leave."""
    if reason == EXCLUDED:
        return False
    if group.mailbox_type == "shared" or group.account_enabled is False:
        return True
    return reason == "unlicensed" and not group.is_licensed
