"""Which product, tenant or connection a person names in the selection. A name that fits several is refused.

Unlike `naming` it knows products nobody holds yet, and tenants that were never read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from o365_etl.config import Connection, Settings, is_guid
from o365_etl.errors import ConfigError
from o365_etl.normalise import normalise
from o365_etl.pipeline.naming import AmbiguousNameError
from o365_etl.pipeline.scoping import LastRead, Tenant

_SHOWN = 5
_DOMAIN = re.compile(r"([a-z0-9-]+\.)+[a-z0-9-]{2,63}")


@dataclass(slots=True)
class Named:
    """A product with everything it is called."""

    sku_id: str
    name: str
    is_held: bool = False
    part_numbers: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """How a person is shown it, to choose between several."""
        parts = ", ".join(self.part_numbers.values())
        return f"{self.sku_id} ({self.name}{f', {parts}' if parts else ''})"


def products(read: LastRead) -> Mapping[str, Named]:
    """Every product that has a name or that somebody holds, by id."""
    found = {product.sku_id: Named(product.sku_id, product.name) for product in read.catalogue}
    for product in read.catalogue:
        if product.part_number:
            found[product.sku_id].part_numbers[normalise(product.part_number)] = product.part_number
    held = [(offer.sku_id, offer.part_number) for offers in read.offers.values() for offer in offers.values()]
    held += [(sku_id, None) for group in read.users for sku_id in group.skus]
    for sku_id, part_number in held:
        named = found.setdefault(sku_id, Named(sku_id, read.catalogue.name(sku_id, part_number)))
        named.is_held = True
        if part_number:
            named.part_numbers.setdefault(normalise(part_number), part_number)
    return found


def sku_entry(known: Mapping[str, Named], wanted: str) -> str:
    """The entry of `selection.skus` for a product: an id as an id, else the part number if only this product has it.

    `wanted` is an id, a part number or an exact name. Raises `ConfigError` if it is none, `AmbiguousNameError` if it
    stands for several products, of which more than one or none is held.
    """
    key = normalise(wanted)
    if is_guid(key) and key in known:
        return key
    fitting = [named for named in known.values() if key in named.part_numbers] or [
        named for named in known.values() if normalise(named.name) == key
    ]
    if len(fitting) > 1:
        fitting = [named for named in fitting if named.is_held] or fitting
    if not fitting or not key:
        raise ConfigError(f"no product is known as {wanted!r}", remedy=_nearest_product(known, key))
    if len(fitting) > 1:
        raise AmbiguousNameError(
            f"{wanted!r} stands for several products: {'; '.join(named.line for named in fitting[:_SHOWN])}"
        )
    (found,) = fitting
    for part, spelt in found.part_numbers.items():
        if sum(part in named.part_numbers for named in known.values()) == 1:
            return spelt
    return found.sku_id


def _nearest_product(known: Mapping[str, Named], key: str) -> str:
    by_name: dict[str, Named] = {}
    for named in sorted(known.values(), key=lambda each: each.is_held):
        by_name |= dict.fromkeys([normalise(named.name), *named.part_numbers], named)
    near = dict.fromkeys(by_name[name].line for name in difflib.get_close_matches(key, by_name, _SHOWN, 0.5))
    return f"Nearest: {'; '.join(near)}." if near else "`o365-etl select` lists what was read."


def find_tenant(read: LastRead, wanted: str) -> Tenant | None:
    """The tenant by id, one of its domains, or its exact name; None for an id or a domain that no sync has seen yet.

    Raises `ConfigError` if it is neither, `AmbiguousNameError` if a name stands for several tenants.
    """
    key = normalise(wanted)
    if key in read.tenants:
        return read.tenants[key]
    domains = [t for t in read.tenants.values() if key in t.domains or key == normalise(t.default_domain or "")]
    names = [t for t in read.tenants.values() if key and key in _names(t)]
    found: Sequence[Tenant] = domains or names
    if len(found) > 1:
        shown = "; ".join(f"{tenant.tenant_id} ({tenant.display_name})" for tenant in found[:_SHOWN])
        raise AmbiguousNameError(f"{wanted!r} stands for several tenants: {shown}")
    if found:
        return found[0]
    if is_guid(key) or _DOMAIN.fullmatch(key):
        return None
    by_name = {name: tenant for tenant in read.tenants.values() for name in [*_names(tenant), *tenant.domains]}
    near = dict.fromkeys(
        f"{tenant.display_name} ({tenant.tenant_id})"
        for name in difflib.get_close_matches(key, by_name, _SHOWN, 0.6)
        for tenant in [by_name[name]]
    )
    remedy = f"Nearest: {'; '.join(near)}." if near else "Give its id, one of its domains or its exact name."
    raise ConfigError(f"no tenant is known as {wanted!r}", remedy=remedy)


def find_connection(settings: Settings, name: str | None) -> Connection | None:
    """The connection of this name; None for None. Raises `ConfigError`."""
    if name is None:
        return None
    for connection in settings.connections:
        if connection.name.casefold() == name.strip().casefold():
            return connection
    names = ", ".join(connection.name for connection in settings.connections) or "none"
    raise ConfigError(f"there is no connection named {name!r}", remedy=f"Connections: {names}.")


def _names(tenant: Tenant) -> set[str]:
    return {normalise(name) for name in (tenant.display_name, tenant.microsoft_name) if name}
