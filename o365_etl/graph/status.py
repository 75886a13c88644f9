"""From the receipts of a tenant's streams to the one word that stands for the tenant."""

from __future__ import annotations

from collections.abc import Mapping

from o365_etl.graph.model import STREAMS, TenantStatus
from o365_etl.receipts import Receipt


def tenant_status(receipts: Mapping[str, Receipt], *, users_known: bool) -> tuple[TenantStatus, Receipt | None]:
    """The tenant's status and the receipt that decided it.

    Without consent: `not_consented`. Without its own record, or without users where none are known from before:
    `failed`. With any other stream failed or forbidden: `partial`. What a tenant chose to conceal, or has no
    premium license for, or its cloud does not offer, is `ok`.
    """
    for stream in STREAMS:
        receipt = receipts.get(stream)
        if receipt is None or not _is_lacking(receipt):
            continue
        if receipt.error_code == "not_consented":
            return "not_consented", receipt
        if stream == "tenants":
            return "failed", receipt
        if stream == "users" and not (users_known or receipt.error_code == "zero_users"):
            return "failed", receipt
    lacking = sorted(
        (receipt for receipt in receipts.values() if _is_lacking(receipt)),
        key=lambda receipt: (receipt.state != "failed", STREAMS.index(receipt.stream)),
    )
    return ("partial", lacking[0]) if lacking else ("ok", None)


def _is_lacking(receipt: Receipt) -> bool:
    return receipt.state == "failed" or (receipt.state == "degraded" and receipt.reason == "forbidden")
