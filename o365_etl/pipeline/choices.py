"""What can be synced: products, boxes and tenants, with counts from the last read and what is chosen now.

What does not live here: changing the choice (`selecting`), and who would be in scope (`scoping`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from o365_etl.config import Selection, Settings
from o365_etl.normalise import normalise
from o365_etl.pipeline.scoping import EXCLUDED, LastRead, Selections, Users, selections_of
from o365_etl.pipeline.selectable import find_connection, products
from o365_etl.pipeline.workspace import Workspace

Row = dict[str, Any]
# Products in the order of the list: those that an MSP manages first.
_ORDER = {"paid": 1, "free": 2, "viral": 3, "trial": 4, "unknown": 5}
# Box → the values of its key when it is off and on, and whom it is about.
_BOXES: Mapping[str, tuple[object, object, Callable[[Users], bool]]] = {
    "users": ("licensed", "all", lambda group: not group.is_licensed),
    "guests": (False, True, lambda group: group.is_guest),
    "disabled": (False, True, lambda group: group.account_enabled is False),
    "shared_mailboxes": (False, True, lambda group: group.mailbox_type == "shared"),
}


def choices(workspace: Workspace, connection: str | None = None) -> Row:
    """Everything there is to choose, of one connection or of all.

    Before the first sync there are no counts: they are None. Raises `ConfigError` for an unknown connection.
    """
    settings = workspace.settings
    own = find_connection(settings, connection)
    every = selections_of(settings)
    shown = {own.name: every[own.name]} if own else every
    selection = every[own.name] if own else settings.selection
    read = LastRead(workspace, own.name if own else None)
    return {
        "connection": own.name if own else None,
        "last_read": read.at,
        "selection": selection.model_dump(),
        "own": _differing(settings, shown),
        "products": _products(read, shown),
        "not_held": _not_held(read, selection),
        "boxes": _boxes(read, shown, selection),
        "scope": None if read.is_empty else dict(read.counts(shown)),
        "excluded": [_tenant_line(read, entry) for entry in selection.exclude_tenants],
        "aliases": [{**_tenant_line(read, key), "alias": alias} for key, alias in selection.tenant_aliases.items()],
    }


def _differing(settings: Settings, shown: Selections) -> Mapping[str, Row]:
    """The keys that connections set for themselves."""
    own = {each.name: each.selection.model_dump(exclude_none=True) for each in settings.connections}
    return {name: keys for name, keys in own.items() if keys and name in shown}


def _products(read: LastRead, selections: Selections) -> list[Row]:
    """Every product that somebody holds, recommended ones first."""
    users: Counter[str] = Counter()
    holders: defaultdict[str, set[str]] = defaultdict(set)
    tenants = {key: each for key, each in read.tenants.items() if not each.is_excluded(selections[each.connection])}
    for group in read.users:
        for sku_id in group.skus if group.tenant_id in tenants else ():
            users[sku_id] += group.users
            holders[sku_id].add(group.tenant_id)
    for tenant_id in tenants:
        for sku_id in read.offers[tenant_id]:
            holders[sku_id].add(tenant_id)
    recommended = {key: read.selected(tenant, Selection()) for key, tenant in tenants.items()}
    chosen = {key: read.selected(tenant, selections[tenant.connection]) for key, tenant in tenants.items()}
    rows = []
    for sku_id, held_by in holders.items():
        offers = [offer for key in held_by if (offer := read.offers[key].get(sku_id))]
        part_number = min((offer.part_number for offer in offers if offer.part_number), default=None)
        known = read.catalogue.get(sku_id)
        consumed = [offer.consumed for offer in offers if offer.consumed is not None]
        rows.append(
            {
                "sku_id": sku_id,
                "product_name": read.catalogue.name(sku_id, part_number),
                "sku_part_number": part_number or (known.part_number if known else None),
                "kind": read.catalogue.kind(sku_id, part_number) or "unknown",
                "users": users[sku_id],
                "consumed": sum(consumed) if consumed else None,
                "tenants": len(held_by),
                "recommended_in": sum(recommended[key].any_of([sku_id]) for key in held_by),
                "chosen_in": sum(chosen[key].any_of([sku_id]) for key in held_by),
            }
        )
    return sorted(rows, key=_place)


def _place(row: Row) -> tuple[object, ...]:
    first = row["kind"] == "paid" and row["recommended_in"]
    return 0 if first else _ORDER[row["kind"]], -row["users"], normalise(row["product_name"]), row["sku_id"]


def _not_held(read: LastRead, selection: Selection) -> list[str]:
    """The entries of `skus` that fit no product that was read: bought by nobody, or misspelt."""
    names: set[str] = set()
    for named in products(read).values():
        names.update([named.sku_id, *named.part_numbers] if named.is_held else ())
    return [] if read.is_empty else [entry for entry in selection.skus if normalise(entry) not in names]


def _boxes(read: LastRead, shown: Selections, selection: Selection) -> list[Row]:
    """Each box: whether it is ticked, how many users it is about, and how many of them it brings into scope."""
    rows: list[Row] = []
    for key, (off, on, is_about) in _BOXES.items():
        row: Row = {"box": key, "ticked": getattr(selection, key) == on, "users": None, "brings": None}
        if not read.is_empty:
            about, within = 0, {off: 0, on: 0}
            for value in within:
                forced = {name: each.model_copy(update={key: value}) for name, each in shown.items()}
                for group, reason in read.reasons(forced):
                    within[value] += group.users * (reason is None)
                    about += group.users * (value == on and reason != EXCLUDED and is_about(group))
            row |= {"users": about, "brings": within[on] - within[off]}
        rows.append(row)
    row = {"box": "licenses", "ticked": selection.licenses, "products": None, "tenants": None}
    if not read.is_empty:
        kept = [key for key, tenant in read.tenants.items() if not tenant.is_excluded(shown[tenant.connection])]
        held = [sku_id for key in kept for sku_id in read.offers[key]]
        row |= {"products": len(set(held)), "tenants": sum(bool(read.offers[key]) for key in kept)}
    return [*rows, row]


def _tenant_line(read: LastRead, entry: str) -> Row:
    choice = Selection(exclude_tenants=(entry,))
    tenant = next((tenant for tenant in read.tenants.values() if tenant.is_excluded(choice)), None)
    return {
        "entry": entry,
        "tenant_id": tenant.tenant_id if tenant else None,
        "microsoft_name": (tenant.microsoft_name or tenant.display_name) if tenant else None,
    }
