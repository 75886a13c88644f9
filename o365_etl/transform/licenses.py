"""`m365.licenses`: the products of one tenant, with how many are in use and when they renew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import pyarrow as pa

from o365_etl.normalise import normalise
from o365_etl.transform.answers import Page, PrepaidUnits, SubscribedSku, Subscription
from o365_etl.transform.catalogue import Catalogue
from o365_etl.transform.columns import parse_time, rows_to_table
from o365_etl.transform.decode import decode_all

_COLUMNS = (
    "tenant_id",
    "sku_id",
    "sku_part_number",
    "product_name",
    "status",
    "active",
    "consumed",
    "unused",
    "suspended",
    "warning",
    "renews_at",
    "is_known_sku",
    "is_recommended",
)


class License(msgspec.Struct, frozen=True):
    """One product a tenant holds, as far as the users' rows need to know it."""

    sku: SubscribedSku
    part_number: str | None
    is_recommended: bool
    renews_at: datetime | None
    plan_ids: frozenset[str]


def tenant_licenses(
    skus: Iterable[bytes], subscriptions: Iterable[bytes], catalogue: Catalogue
) -> Mapping[str, License]:
    """The tenant's products by id, from the answers of `/subscribedSkus` and `/directory/subscriptions`."""
    by_sku: dict[str, list[Subscription]] = defaultdict(list)
    for subscriptions_page in decode_all(subscriptions, Page[Subscription]):
        for subscription in subscriptions_page.value or ():
            if subscription.sku_id:
                by_sku[subscription.sku_id.lower()].append(subscription)
    licenses = {}
    for page in decode_all(skus, Page[SubscribedSku]):
        for sku in page.value or ():
            if sku.sku_id:
                sku_id = sku.sku_id.lower()
                licenses[sku_id] = _license(sku_id, sku, by_sku[sku_id], catalogue)
    return licenses


def _license(sku_id: str, sku: SubscribedSku, subscriptions: list[Subscription], catalogue: Catalogue) -> License:
    part_number = " ".join(sku.sku_part_number.split()) if sku.sku_part_number else None
    is_for_users = sku.applies_to is None or normalise(sku.applies_to) != "company"
    is_trial = bool(subscriptions) and all(subscription.is_trial for subscription in subscriptions)
    renewals = [
        time
        for subscription in subscriptions
        if normalise(subscription.status or "") != "deleted"
        and (time := parse_time(subscription.next_lifecycle_date_time)) is not None
    ]
    return License(
        sku=sku,
        part_number=part_number,
        is_recommended=is_for_users and not is_trial and not catalogue.is_unpaid(sku_id, part_number),
        renews_at=min(renewals, default=None),
        plan_ids=frozenset(
            plan.service_plan_id.lower()
            for plan in sku.service_plans or ()
            if plan.service_plan_id and plan.provisioning_status != "Disabled"
        ),
    )


def license_table(tenant_id: str, licenses: Mapping[str, License], catalogue: Catalogue) -> pa.Table:
    """`m365.licenses` of one tenant."""
    rows = []
    for sku_id, license_ in licenses.items():
        sku, units = license_.sku, license_.sku.prepaid_units or PrepaidUnits()
        active, consumed = units.enabled, sku.consumed_units
        rows.append(
            (
                tenant_id,
                sku_id,
                license_.part_number,
                catalogue.name(sku_id, license_.part_number),
                sku.capability_status,
                active,
                consumed,
                active - consumed if active is not None and consumed is not None else None,
                units.suspended,
                units.warning,
                license_.renews_at,
                catalogue.knows(sku_id),
                license_.is_recommended,
            )
        )
    return rows_to_table("m365.licenses", _COLUMNS, rows)
