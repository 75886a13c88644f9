"""Which users become contacts: the selection of the configuration, applied to what is known of a user.

Unknown never excludes: an account that does not say whether it is enabled counts as enabled, a mailbox without a
known type as a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from o365_etl.config import Selection
from o365_etl.normalise import normalise
from o365_etl.transform.catalogue import Catalogue

_RESOURCE_TYPES = frozenset(("room", "equipment"))


def out_of_scope_reason(
    selection: Selection,
    *,
    is_guest: bool,
    account_enabled: bool | None,
    mailbox_type: str | None,
    has_selected_sku: bool,
) -> str | None:
    """Why a user becomes no contact; None if he does. The first reason in order wins."""
    if is_guest and not selection.guests:
        return "guest"
    if account_enabled is False and not selection.disabled:
        return "disabled"
    if mailbox_type in _RESOURCE_TYPES:
        return "resource"
    if mailbox_type == "shared" and not selection.shared_mailboxes:
        return "shared_mailbox"
    if not has_selected_sku and selection.users != "all":
        return "unlicensed"
    return None


class Offered(Protocol):
    """What has to be known of a product that a tenant holds."""

    @property
    def part_number(self) -> str | None:
        """The tenant's word for it."""

    @property
    def is_recommended(self) -> bool:
        """Part of the default selection."""


class SelectedSkus:
    """Answers whether one of a user's products is selected, each product worked out once per tenant."""

    def __init__(self, selection: Selection, licenses: Mapping[str, Offered], catalogue: Catalogue) -> None:
        self._wanted = frozenset(normalise(entry) for entry in selection.skus)
        self._licenses = licenses
        self._catalogue = catalogue
        self._answers: dict[str, bool] = {}

    def any_of(self, sku_ids: Collection[str]) -> bool:
        """True if at least one of the products (ids in lower case) is selected."""
        for sku_id in sku_ids:
            answer = self._answers.get(sku_id)
            if answer is None:
                decide: Callable[[str], bool] = self._is_named if self._wanted else self._is_recommended
                answer = self._answers[sku_id] = decide(sku_id)
            if answer:
                return True
        return False

    def _is_named(self, sku_id: str) -> bool:
        part_number = self._part_number(sku_id)
        return sku_id in self._wanted or (part_number is not None and normalise(part_number) in self._wanted)

    def _is_recommended(self, sku_id: str) -> bool:
        license_ = self._licenses.get(sku_id)
        return license_.is_recommended if license_ else not self._catalogue.is_unpaid(sku_id, None)

    def _part_number(self, sku_id: str) -> str | None:
        license_ = self._licenses.get(sku_id)
        if license_ is not None and license_.part_number:
            return license_.part_number
        product = self._catalogue.get(sku_id)
        return product.part_number if product else None
