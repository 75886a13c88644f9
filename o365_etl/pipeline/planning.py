"""Which tenants one sync sets out to read: connections → tenants → shards, as plain data for any executor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from o365_etl.config import Settings
from o365_etl.errors import ConfigError, O365EtlError
from o365_etl.graph.discovery import discover
from o365_etl.graph.model import Discovery, TenantTarget
from o365_etl.graph.session import GraphSession
from o365_etl.pipeline.quarantining import left_alone
from o365_etl.pipeline.workspace import Workspace, now

log = logging.getLogger(__name__)

# What `sync.tenants` and `m365.tenants` say of one tenant, by column.
Known = dict[str, str | None]


class Shard(msgspec.Struct, frozen=True):
    """Tenants that are read together."""

    number: int
    targets: list[TenantTarget]


class Plan(msgspec.Struct, frozen=True):
    """What one sync sets out to read, at this time. `excluded` tenants are known but left out by the configuration;
    `unlisted` ones were read earlier, and a complete list of the connection no longer names them; `quarantined` ones
    are left alone because they fail until a person mends something; nothing is asked of `paused` connections.
    """

    at: datetime
    shards: list[Shard]
    excluded: list[TenantTarget]
    unlisted: list[TenantTarget]
    quarantined: list[TenantTarget]
    paused: list[str]
    problems: list[str]

    @property
    def tenants(self) -> int:
        """How many tenants will be read."""
        return sum(len(shard.targets) for shard in self.shards)


def plan_shards(
    workspace: Workspace,
    tenants: Sequence[str] = (),
    *,
    only_failed: bool = False,
    respect_pauses: bool = False,
    at: datetime | None = None,
) -> Plan:
    """Ask every connection that is not paused for its tenants and cut them into shards.

    `tenants` narrows to these (id, domain or exact name), `only_failed` to those whose last read was not complete.
    `respect_pauses` is for a sync that nobody asked for: it leaves alone who is quarantined `at` this time (None: now).
    Raises `ConfigError` if a named tenant is not found, and the connection's own error if none could be listed.
    """
    settings = workspace.settings
    settings.check_secrets()
    if not settings.connections:
        raise ConfigError("no connection is configured", remedy="Add [[connections]]: docs/connect.md.")
    at = at or now()
    known = _known_tenants(workspace)
    targets: dict[str, TenantTarget] = {}
    unlisted: dict[str, TenantTarget] = {}
    problems: list[O365EtlError] = []
    with GraphSession(settings, threads=settings.limits.threads) as session:
        # Direct connections last: a tenant configured by itself wins over the partner's listing of it.
        for connection in sorted(settings.connections, key=lambda c: c.kind == "direct"):
            if connection.paused:
                continue
            found = discover(session, connection)
            if found.problem is not None:
                problems.append(found.problem)
            targets.update((target.tenant_id, target) for target in found.targets)
            if connection.kind == "partner":
                _add_known(connection.name, found, known, targets, unlisted)
    if problems and not targets:
        raise problems[0]
    for problem in problems:
        log.warning("a connection could not list all its tenants: %s", problem.line)
    excluded = [target for target in targets.values() if _is_excluded(settings, target)]
    chosen = [target for target in targets.values() if not _is_excluded(settings, target)]
    if tenants or only_failed:
        _refuse_paused(settings, tenants, known)
        chosen = _narrow(chosen, tenants, known, only_failed=only_failed)
        excluded, unlisted = [], {}
    alone = left_alone(workspace, chosen, at) if respect_pauses else set()
    quarantined = [target for target in chosen if target.tenant_id in alone]
    chosen = [target for target in chosen if target.tenant_id not in alone]
    size = settings.limits.shard_size
    return Plan(
        at=at,
        shards=[Shard(start // size, chosen[start : start + size]) for start in range(0, len(chosen), size)],
        excluded=excluded,
        unlisted=[target for tenant_id, target in unlisted.items() if tenant_id not in targets],
        quarantined=quarantined,
        paused=[connection.name for connection in settings.connections if connection.paused],
        problems=[problem.line for problem in problems],
    )


def _known_tenants(workspace: Workspace) -> dict[str, Known]:
    """What `sync.tenants` and `m365.tenants` say of every tenant seen so far."""
    with workspace.tables() as db:
        rows = db.rows(
            "SELECT s.tenant_id, s.status, s.connection, coalesce(t.display_name, s.display_name), t.microsoft_name,"
            " t.default_domain, t.initial_domain"
            " FROM sync.tenants s LEFT JOIN m365.tenants t USING (tenant_id)"
        )
    names = ("status", "connection", "display_name", "microsoft_name", "default_domain", "initial_domain")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def _add_known(
    connection: str,
    found: Discovery,
    known: dict[str, Known],
    targets: dict[str, TenantTarget],
    unlisted: dict[str, TenantTarget],
) -> None:
    """Tenants of this connection that the listing does not name: read them all the same if the listing is
    incomplete (absent is not gone), set them aside if it is complete.
    """
    for tenant_id, facts in known.items():
        if facts["connection"] != connection or tenant_id in targets:
            continue
        target = TenantTarget(
            tenant_id=tenant_id,
            connection=connection,
            kind="partner",
            display_name=facts["display_name"],
            default_domain=facts["default_domain"],
        )
        (unlisted if found.complete else targets)[tenant_id] = target


def _is_excluded(settings: Settings, target: TenantTarget) -> bool:
    excluded = {entry.strip().lower() for entry in settings.selection_for(target.connection).exclude_tenants}
    return bool(excluded & {target.tenant_id.lower(), (target.default_domain or "").lower()} - {""})


def _refuse_paused(settings: Settings, tenants: Sequence[str], known: dict[str, Known]) -> None:
    """Whoever names a tenant of a paused connection is told so."""
    paused = {connection.name for connection in settings.connections if connection.paused}
    wanted = {tenant.strip().lower() for tenant in tenants}
    for tenant_id, facts in known.items():
        target = TenantTarget(tenant_id=tenant_id, connection=str(facts["connection"]), kind="partner")
        if facts["connection"] in paused and wanted & _names_of(target, facts):
            raise ConfigError(
                f"the connection {facts['connection']!r} is paused",
                remedy=f'Run `o365-etl disconnect "{facts["connection"]}" --resume`, then sync.',
            )


def _narrow(
    targets: list[TenantTarget],
    tenants: Sequence[str],
    known: dict[str, Known],
    *,
    only_failed: bool,
) -> list[TenantTarget]:
    names = {target.tenant_id: _names_of(target, known.get(target.tenant_id, {})) for target in targets}
    for wanted in tenants:
        if not any(wanted.strip().lower() in own for own in names.values()):
            raise ConfigError(
                f"no tenant is known as {wanted!r}", remedy="Give its id, one of its domains or its exact name."
            )
    wanted_names = {wanted.strip().lower() for wanted in tenants}
    failed = {tenant_id for tenant_id, facts in known.items() if facts["status"] not in ("ok", "excluded")}
    return [
        target
        for target in targets
        if (not tenants or names[target.tenant_id] & wanted_names)
        and (not only_failed or target.tenant_id in failed or target.tenant_id not in known)
    ]


def _names_of(target: TenantTarget, facts: Known) -> set[str]:
    names = (
        target.tenant_id,
        target.display_name,
        target.default_domain,
        facts.get("display_name"),
        facts.get("microsoft_name"),
        facts.get("default_domain"),
        facts.get("initial_domain"),
    )
    return {name.strip().lower() for name in names if name}
