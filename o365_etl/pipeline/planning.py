"""Which tenants one sync sets out to read: connections → tenants → shards, as plain data for any executor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from o365_etl.config import Settings
from o365_etl.errors import ConfigError
from o365_etl.graph.discovery import discover
from o365_etl.graph.model import TenantTarget
from o365_etl.graph.session import GraphSession
from o365_etl.pipeline.memory import bulk_work
from o365_etl.pipeline.quarantining import left_alone
from o365_etl.pipeline.targets import KNOWN_TENANTS, Known, gathered, is_excluded, names_of
from o365_etl.pipeline.workspace import Workspace, now

log = logging.getLogger(__name__)


class Shard(msgspec.Struct, frozen=True):
    """Tenants that are read together; `full`: everything, also where a read of what changed would do."""

    number: int
    targets: list[TenantTarget]
    full: bool = False


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
    full: bool = False,
    at: datetime | None = None,
) -> Plan:
    """Ask every connection that is not paused for its tenants and cut them into shards.

    `tenants` narrows to these (id, domain or exact name), `only_failed` to those whose last read was not complete.
    `respect_pauses` is for a sync that nobody asked for: it leaves alone who is quarantined `at` this time (None: now).
    `full` reads everything, also where a read of what changed would do.
    Raises `ConfigError` if a named tenant is not found, and the connection's own error if none could be listed.
    """
    settings = workspace.settings
    settings.check_secrets()
    if not settings.connections:
        raise ConfigError("no connection is configured", remedy="Add [[connections]]: docs/connect.md.")
    at = at or now()
    known = _known_tenants(workspace)
    active = [connection for connection in settings.connections if not connection.paused]
    # The threads that list tenants share the heap of those that will read them.
    with bulk_work(), GraphSession(settings, threads=settings.limits.threads) as session:
        listings = [(connection, discover(session, connection)) for connection in active]
    problems = [found.problem for _, found in listings if found.problem is not None]
    targets, unlisted = gathered(listings, known)
    if problems and not targets:
        raise problems[0]
    for problem in problems:
        log.warning("a connection could not list all its tenants: %s", problem.line)
    excluded = [target for target in targets.values() if is_excluded(settings, target)]
    chosen = [target for target in targets.values() if not is_excluded(settings, target)]
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
        shards=[Shard(start // size, chosen[start : start + size], full) for start in range(0, len(chosen), size)],
        excluded=excluded,
        unlisted=list(unlisted.values()),
        quarantined=quarantined,
        paused=[connection.name for connection in settings.connections if connection.paused],
        problems=[problem.line for problem in problems],
    )


def _known_tenants(workspace: Workspace) -> dict[str, Known]:
    with workspace.tables() as db:
        return {row["tenant_id"]: row for row in db.dicts(KNOWN_TENANTS)}


def _refuse_paused(settings: Settings, tenants: Sequence[str], known: dict[str, Known]) -> None:
    """Whoever names a tenant of a paused connection is told so."""
    paused = {connection.name for connection in settings.connections if connection.paused}
    wanted = {tenant.strip().lower() for tenant in tenants}
    for tenant_id, facts in known.items():
        target = TenantTarget(tenant_id=tenant_id, connection=str(facts["connection"]), kind="partner")
        if facts["connection"] in paused and wanted & names_of(target, facts):
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
    names = {target.tenant_id: names_of(target, known.get(target.tenant_id, {})) for target in targets}
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
