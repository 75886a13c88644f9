"""Tenants that fail until a person mends something: which failures count, how long the pauses are, who is left alone.

A pause is for syncs that nobody asked for. It ends with its time, with a read that gets through, with a release
(`StateStore.quarantine`), or when the connection's credential is another one. What does not live here: the rows
themselves (`store.state_quarantine`), and which tenants a sync reads (`planning`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from o365_etl.config import Connection
from o365_etl.errors import ConfigError
from o365_etl.graph.model import TenantResult, TenantTarget
from o365_etl.pipeline.workspace import Workspace

Row = dict[str, Any]

# Words of `sync.tenants.error_code` behind which somebody has to do something: in the app registration, in the tenant
# or in the configuration. Whatever is not here may pass by itself, and is tried at every sync.
MENDED_BY_PEOPLE = frozenset(
    {
        "app_disabled",
        "app_not_found",
        "auth_failed",
        "certificate_unknown",
        "conditional_access",
        "forbidden",
        "invalid_tenant_id",
        "not_consented",
        "resource_not_found",
        "secret_expired",
        "secret_wrong",
        "single_tenant",
        "tenant_invalid",
        "tenant_not_found",
        "tenant_unavailable",
    }
)
# Failures one after the other that change nothing yet.
FREE_FAILURES = 2
FIRST_PAUSE = timedelta(hours=2)
LONGEST_PAUSE = timedelta(hours=24)


def pause_after(failures: int) -> timedelta:
    """How long a tenant is left alone after so many failures: 0, 0, 2, 4, 8, 16, 24, 24 … hours."""
    doubled = failures - FREE_FAILURES - 1
    # The exponent is bounded because a number is not: somebody may sync by hand a thousand times.
    return min(FIRST_PAUSE * 2 ** min(doubled, 10), LONGEST_PAUSE) if doubled >= 0 else timedelta(0)


def left_alone(workspace: Workspace, targets: Iterable[TenantTarget], at: datetime) -> set[str]:
    """Which of these a sync that nobody asked for leaves alone at this time."""
    paused = {row["tenant_id"]: row for row in workspace.state.quarantine.paused(at)}
    same = _Credentials(workspace.settings.connections)
    return {
        target.tenant_id
        for target in targets
        if (row := paused.get(target.tenant_id)) is not None
        and row["connection"] == target.connection
        and same.as_then(target.connection, row["credential"])
    }


def note(
    workspace: Workspace, results: Sequence[TenantResult], given_up: Iterable[TenantTarget], at: datetime
) -> dict[str, Row]:
    """Count what failed for good, forget what was read or is not to be read any more (`given_up`, and tenants of a
    connection that is not configured any more). Returns what is failing now, by the target's tenant id.
    """
    store = workspace.state.quarantine
    before = {row["tenant_id"]: row for row in store.rows()}
    credentials = _Credentials(workspace.settings.connections)
    failed, over = [], {target.tenant_id for target in given_up}
    over |= {tenant_id for tenant_id, row in before.items() if row["connection"] not in credentials.names}
    for result in results:
        tenant_id, known = result.target.tenant_id, before.get(result.target.tenant_id)
        if result.status in ("ok", "partial"):
            over.add(tenant_id)
        elif result.error_code in MENDED_BY_PEOPLE:
            # A tenant that another connection names by now starts anew.
            known = known if known and known["connection"] == result.target.connection else None
            failures = (known["failures"] if known else 0) + 1
            failed.append(
                {
                    "tenant_id": tenant_id,
                    "connection": result.target.connection,
                    "error_code": result.error_code,
                    "remedy": result.remedy,
                    "failing_since": known["failing_since"] if known else at,
                    "failures": failures,
                    "next_try_at": at + pause_after(failures),
                    "credential": credentials.now(result.target.connection),
                }
            )
    over &= before.keys()
    store.note(failed, over)
    after = before | {row["tenant_id"]: row for row in failed}
    return {tenant_id: row for tenant_id, row in after.items() if tenant_id not in over}


def shown(row: Row | None, at: datetime, *, with_reason: bool = False) -> Row:
    """What `sync.tenants` says of a failing tenant: since when, and until when it is left alone; with the reason where
    it was not tried this time.
    """
    if row is None:
        return {}
    pause_ends = row["next_try_at"] if row["next_try_at"] > at else None
    reason = {name: row[name] for name in ("error_code", "remedy")} if with_reason else {}
    return {"failing_since": row["failing_since"], "next_try_at": pause_ends, **reason}


class _Credentials:
    """What connections sign in with, as fingerprints that tell whether it is still the same and nothing else."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self.names = {connection.name: connection for connection in connections}
        self._salt = secrets.token_hex(16)
        self._known: dict[tuple[str, str], str] = {}

    def now(self, connection: str) -> str:
        """The fingerprint as it is kept: salt and digest."""
        return self._fingerprint(connection, self._salt)

    def as_then(self, connection: str, kept: str) -> bool:
        """Whether the connection still signs in with what this fingerprint was made of."""
        return secrets.compare_digest(self._fingerprint(connection, kept.partition(":")[0]), kept)

    def _fingerprint(self, connection: str, salt: str) -> str:
        if (connection, salt) not in self._known:
            text = "\n".join([salt, *_signs_in_with(self.names[connection])])
            self._known[connection, salt] = f"{salt}:{hashlib.sha256(text.encode()).hexdigest()}"
        return self._known[connection, salt]


def _signs_in_with(connection: Connection) -> list[str]:
    reference = connection.client_secret or connection.certificate
    try:
        secret = reference.read(connection.name) if reference else ""
    except ConfigError:
        secret = ""  # whoever signs in says so better
    return [connection.client_id, connection.tenant_id, connection.authority, connection.graph, secret]
