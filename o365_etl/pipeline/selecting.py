"""Changing what is synced, in the configuration file. It counts from the next sync on.

What does not live here: what there is to choose from (`choices`), who would be in scope (`scoping`), and what a name
stands for (`selectable`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from o365_etl.config import Connection, Selection, SelectionOverride, Settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import ConfigError
from o365_etl.pipeline.scoping import LastRead, effect, selections_of
from o365_etl.pipeline.selectable import find_connection, find_tenant, products, sku_entry
from o365_etl.pipeline.workspace import Workspace

Row = dict[str, Any]
RECOMMENDED = "recommended"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person wants different; what is None or empty stays as it is."""

    users: Literal["licensed", "all"] | None = None
    skus: tuple[str, ...] = ()
    guests: bool | None = None
    disabled: bool | None = None
    shared_mailboxes: bool | None = None
    licenses: bool | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    no_alias: tuple[str, ...] = ()


def change(workspace: Workspace, wanted: Wanted, connection: str | None = None, *, dry_run: bool = False) -> Row:
    """Change the selection, general or of one connection, and say what that means by the last read.

    Raises `ConfigError` for a name that stands for nothing or for several, and for a key that the environment
    overrides; nothing is saved then.
    """
    settings = workspace.settings
    if settings.file is None:
        raise ConfigError("these settings come from no file", remedy="Name one with --config.")
    file = ConfigFile.open(settings.file)
    own = find_connection(settings, connection)
    read = LastRead(workspace)
    notes: list[str] = []
    before = settings.selection_for(own.name) if own else settings.selection
    after = _wanted_values(before, wanted, read, own, notes)
    stated = own.selection.model_fields_set if own else frozenset(Selection.model_fields)
    changed = {key: value for key, value in after.items() if value != getattr(before, key) or key not in stated}
    _check_environment(settings, file, own, changed)
    for key, value in changed.items():
        _write(file, own, key, value, before)
    new = _changed(settings, own, changed)
    file.settings()  # what would not be valid is not shown as if it could be saved
    if changed and not dry_run:
        file.save()
    notes += _overridden(settings, own, changed)
    return {
        "connection": own.name if own else None,
        "file": str(settings.file),
        "saved": bool(changed) and not dry_run,
        "changes": [{"key": key, "before": getattr(before, key), "after": value} for key, value in changed.items()],
        "last_read": read.at,
        "effect": None if read.is_empty else asdict(effect(read, selections_of(settings), selections_of(new))),
        "grace_days": settings.leavers.grace_days,
        "notes": notes,
    }


def _wanted_values(
    before: Selection, wanted: Wanted, read: LastRead, own: Connection | None, notes: list[str]
) -> dict[str, Any]:
    """The keys that a person names, with the values they get."""
    boxes = ("users", "guests", "disabled", "shared_mailboxes", "licenses")
    values: dict[str, Any] = {key: getattr(wanted, key) for key in boxes if getattr(wanted, key) is not None}
    if wanted.skus:
        values["skus"] = _skus(wanted.skus, read)
    if wanted.exclude or wanted.include:
        values["exclude_tenants"] = _exclusions(before.exclude_tenants, wanted, read, own, notes)
    if wanted.aliases or wanted.no_alias:
        values["tenant_aliases"] = _aliases(before.tenant_aliases, wanted, read, own, notes)
    return values


def _skus(wanted: tuple[str, ...], read: LastRead) -> tuple[str, ...]:
    if any(entry.strip().lower() == RECOMMENDED for entry in wanted):
        if len(set(wanted)) > 1:
            raise ConfigError("recommended stands for a choice of its own", remedy="Give it alone, or name products.")
        return ()
    known = products(read)
    return tuple(dict.fromkeys(sku_entry(known, entry) for entry in wanted))


def _exclusions(
    before: tuple[str, ...], wanted: Wanted, read: LastRead, own: Connection | None, notes: list[str]
) -> tuple[str, ...]:
    entries = list(before)
    taken: set[str] = set()
    for text in wanted.exclude:
        names = _entries_for(text, read, own, notes)
        taken.update(names)
        if not any(entry.strip().lower() in names for entry in entries):
            entries.append(names[0])
    for text in wanted.include:
        literal = text.strip().lower()
        names = [literal] if literal in {entry.strip().lower() for entry in entries} else []
        names += [name for name in _entries_for(text, read, own, []) if name not in names]
        if taken.intersection(names):
            raise ConfigError(f"{text!r} is to be excluded and included", remedy="Decide for one of the two.")
        entries = [entry for entry in entries if entry.strip().lower() not in names]
    return tuple(entries)


def _entries_for(text: str, read: LastRead, own: Connection | None, notes: list[str]) -> list[str]:
    """What stands for a tenant in `exclude_tenants`, its id first."""
    tenant = find_tenant(read, text)
    if tenant is None:
        notes.append(f"no sync has seen a tenant {text.strip().lower()} yet")
        return [text.strip().lower()]
    if own and tenant.connection != own.name:
        raise ConfigError(
            f"the tenant {tenant.tenant_id} is read by the connection {tenant.connection}, not by {own.name}",
            remedy=f"Give --connection {tenant.connection}, or none.",
        )
    return [tenant.tenant_id, *([tenant.default_domain.lower()] if tenant.default_domain else [])]


def _aliases(
    before: Mapping[str, str], wanted: Wanted, read: LastRead, own: Connection | None, notes: list[str]
) -> dict[str, str]:
    aliases = dict(before)
    spelt = {key.lower(): key for key in before}
    named: set[str] = set()
    for text, alias in wanted.aliases:
        tenant_id = _alias_key(text, read, own, notes)
        name = " ".join(alias.split())
        if not name or not name.isprintable():
            raise ConfigError(f"the name for {text!r} is empty or cannot be printed", remedy="Give a plain name.")
        if tenant_id in named:
            raise ConfigError(f"two names are given for {text!r}", remedy="Give one.")
        named.add(tenant_id)
        aliases[spelt.get(tenant_id, tenant_id)] = name
    for text in wanted.no_alias:
        tenant_id = text.strip().lower() if text.strip().lower() in spelt else _alias_key(text, read, own, [])
        if tenant_id in named:
            raise ConfigError(f"{text!r} is to get a name and to lose it", remedy="Decide for one of the two.")
        aliases.pop(spelt.get(tenant_id, tenant_id), None)
    return aliases


def _alias_key(text: str, read: LastRead, own: Connection | None, notes: list[str]) -> str:
    tenant_id = _entries_for(text, read, own, notes)[0]
    if "." in tenant_id:
        raise ConfigError(f"no sync has seen the tenant {tenant_id} yet", remedy="Give its id for an alias.")
    return tenant_id


def _check_environment(settings: Settings, file: ConfigFile, own: Connection | None, keys: Mapping[str, Any]) -> None:
    """A key that the environment overrides would not change, whatever is saved."""
    stands = file.settings()
    in_force: Selection | SelectionOverride = own.selection if own else settings.selection
    in_file: Selection | SelectionOverride = stands.selection
    for connection in stands.connections:
        if own and connection.name == own.name:
            in_file = connection.selection
    where = f"CONNECTIONS__{settings.connections.index(own)}__SELECTION" if own else "SELECTION"
    for key in keys:
        if getattr(in_file, key) != getattr(in_force, key):
            raise ConfigError(
                f"the environment overrides selection.{key}: what is saved would not count",
                remedy=f"Unset O365_ETL_{where}__{key.upper()}, then do this again.",
            )


def _write(file: ConfigFile, own: Connection | None, key: str, value: Any, before: Selection) -> None:
    """Put one key into the file; of aliases only those that change, so that the others stay as they are written."""
    if key == "tenant_aliases" and (own is None or own.selection.tenant_aliases is not None):
        for tenant_id in {*value, *before.tenant_aliases}:
            if value.get(tenant_id) != before.tenant_aliases.get(tenant_id):
                _set(file, own, ("selection", key, tenant_id), value.get(tenant_id))
    else:
        _set(file, own, ("selection", key), value)


def _set(file: ConfigFile, own: Connection | None, path: tuple[str, ...], value: Any) -> None:
    if own:
        file.set_connection(own.name, path, value)
    else:
        file.set(path, value)


def _changed(settings: Settings, own: Connection | None, keys: Mapping[str, Any]) -> Settings:
    """The settings with these keys changed, as they are in force: with what the environment says of others."""
    if own is None:
        return settings.model_copy(update={"selection": settings.selection.model_copy(update=dict(keys))})
    new = own.model_copy(update={"selection": own.selection.model_copy(update=dict(keys))})
    connections = tuple(new if connection is own else connection for connection in settings.connections)
    return settings.model_copy(update={"connections": connections})


def _overridden(settings: Settings, own: Connection | None, keys: Mapping[str, Any]) -> list[str]:
    return [
        f"the connection {connection.name} has a `{key}` of its own: change that with --connection {connection.name}"
        for connection in settings.connections
        for key in keys
        if own is None and getattr(connection.selection, key) is not None
    ]
