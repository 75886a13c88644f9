"""Looks at everything a sync depends on, before or after one: this machine, IT Glue, each connection, each tenant.

Reads nobody's data and writes nothing to anybody; a quarantined tenant that answers again is let go. What does not live
here: what the answers mean (`findings`, `machine`, `surveying`), and the questions (`graph.probe`, `itglue.probe`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime
from functools import partial

from o365_etl.config import Settings
from o365_etl.errors import ConfigError, O365EtlError
from o365_etl.graph.model import TenantTarget
from o365_etl.graph.probe import TenantAnswer, ask_tenant, plain_transport
from o365_etl.graph.session import GraphSession
from o365_etl.itglue.probe import ask_key
from o365_etl.pipeline import findings, progress
from o365_etl.pipeline.findings import KINDS, LEVELS, Finding
from o365_etl.pipeline.machine import examine_machine, known_tenants
from o365_etl.pipeline.surveying import Survey, survey
from o365_etl.pipeline.targets import Known, gathered, is_excluded, names_of
from o365_etl.pipeline.workspace import Workspace, now

__all__ = ["Finding", "examine"]


def examine(workspace: Workspace, tenants: Sequence[str] = (), *, clock: Callable[[], datetime] = now) -> list[Finding]:
    """Look at everything, the worst first; of the tenants only at these (id, domain or exact name), if any are named.

    Every healthy subject has one finding of level `ok`. Raises `ConfigError` if a named tenant is not found where all
    tenants could be listed. `clock` tells this machine's time.
    """
    settings, known = workspace.settings, known_tenants(workspace)
    workers = settings.limits.threads
    with GraphSession(settings, threads=workers) as session, ThreadPoolExecutor(workers) as pool:
        key = pool.submit(ask_key, settings.itglue, settings.ca_bundle)
        with contextlib.closing(plain_transport(settings.ca_bundle, connections=workers)) as transport:
            look = partial(survey, session, transport, clock=clock)
            surveys = list(pool.map(look, settings.connections))
        targets, unlisted = _targets(settings, surveys, known)
        if tenants:
            targets, unlisted = _narrowed(tenants, targets, unlisted, known, surveys)
        asked = [pool.submit(ask_tenant, session, target) for target in (*targets, *unlisted)]
        answers = _awaited(asked)
        found = list(findings.of_key(settings.itglue, key.result()))
    at = clock()
    offset = max((each.offset for each in surveys if each.offset is not None), key=abs, default=None)
    signs = any(connection.certificate is not None for connection in settings.connections)
    found += examine_machine(workspace, at, offset, signs=signs)
    found += _connections(surveys)
    gone = {target.tenant_id for target in unlisted}
    for answer in answers:
        name = _name(answer.target, known)
        if answer.target.tenant_id in gone:
            found.append(findings.of_unlisted(answer, name))
        else:
            found += _tenant(answer, name, surveys, at)
    found += _released(workspace, found, answers, known)
    return _worst_first(found)


def _awaited(asked: Sequence[Future[TenantAnswer]]) -> list[TenantAnswer]:
    answers = []
    for done, future in enumerate(as_completed(asked), start=1):
        answers.append(future.result())
        progress.tell("tenants asked", done, len(asked))
    return answers


def _targets(
    settings: Settings, surveys: Sequence[Survey], known: Mapping[str, Known]
) -> tuple[list[TenantTarget], list[TenantTarget]]:
    """The tenants to be asked as a sync would, and those that a complete list of their connection no longer names."""
    listings = [(each.connection, each.listed) for each in surveys if each.listed is not None]
    targets, unlisted = (
        [target for target in found.values() if not is_excluded(settings, target)]
        for found in gathered(listings, known)
    )
    return targets, unlisted


def _narrowed(
    tenants: Sequence[str],
    targets: list[TenantTarget],
    unlisted: list[TenantTarget],
    known: Mapping[str, Known],
    surveys: Sequence[Survey],
) -> tuple[list[TenantTarget], list[TenantTarget]]:
    wanted = {tenant.strip().lower() for tenant in tenants}
    names = {t.tenant_id: names_of(t, known.get(t.tenant_id, {})) for t in (*targets, *unlisted)}
    missing = wanted.difference(*names.values()) if names else wanted
    # Of a connection that could not list its tenants, its own finding says why.
    if missing and all(each.connection.paused or (each.listed and each.listed.complete) for each in surveys):
        raise ConfigError(
            f"no tenant is known as {min(missing)!r}",
            remedy="Give its id, one of its domains or its exact name; excluded and paused ones are not asked.",
        )
    return (
        [target for target in targets if names[target.tenant_id] & wanted],
        [target for target in unlisted if names[target.tenant_id] & wanted],
    )


def _name(target: TenantTarget, known: Mapping[str, Known]) -> str:
    name = known.get(target.tenant_id, {}).get("display_name") or target.display_name
    return name or (target.connection if target.kind == "direct" else target.tenant_id)


def _connections(surveys: Sequence[Survey]) -> Iterable[Finding]:
    if not surveys:
        what, why = "no connection is configured", "There is nobody to read."
        yield Finding("connection", "none", "error", "no_connection", what, why, "Run `o365-etl connect`.")
    for each in surveys:
        yield from each.found


def _tenant(answer: TenantAnswer, name: str, surveys: Sequence[Survey], at: datetime) -> list[Finding]:
    own = next(each for each in surveys if each.connection.name == answer.target.connection)
    ending = own.endings.get(answer.target.tenant_id)
    return findings.of_tenant(answer, name, own.connection.cloud, ending, at)


def _released(
    workspace: Workspace, found: Sequence[Finding], answers: Sequence[TenantAnswer], known: Mapping[str, Known]
) -> list[Finding]:
    """Let quarantined tenants go that could be read now: the next sync tries them at once."""
    failing = {finding.tenant_id for finding in found if finding.level == "error"}
    released = []
    with contextlib.suppress(O365EtlError):  # a state store that cannot be used is a finding already
        kept = {row["tenant_id"] for row in workspace.state.quarantine.rows()}
        for answer in answers:
            target_id = answer.target.tenant_id
            own = {target_id, answer.tenant_id}
            if answer.error is not None or own & failing or target_id not in kept:
                continue
            if workspace.state.quarantine.release(target_id):
                what, why = "it answers again", "It had failed for a reason that only a person can mend."
                mend = "No mend needed: the next sync reads it."
                name = _name(answer.target, known)
                released.append(Finding("tenant", name, "note", "released", what, why, mend, answer.tenant_id))
    return released


def _worst_first(found: Sequence[Finding]) -> list[Finding]:
    """By kind of subject, then subjects with their worst finding first, the findings of one together."""

    def subject(finding: Finding) -> tuple[str, str, str | None]:
        return finding.kind, finding.name, finding.tenant_id

    worst: dict[tuple[str, str, str | None], int] = {}
    for finding in found:
        rank = LEVELS.index(finding.level)
        worst[subject(finding)] = min(rank, worst.get(subject(finding), rank))
    return sorted(
        found,
        key=lambda finding: (
            KINDS.index(finding.kind),
            worst[subject(finding)],
            finding.name.casefold(),
            finding.tenant_id or "",
            LEVELS.index(finding.level),
        ),
    )
