"""Taking a connection away: pausing it, removing it, deleting what was read through it, and what stays in Entra.

What people decided and what belongs together for good (decisions and links) outlives a connection, and so does
everything in IT Glue. What does not live here: asking whether it is meant (`cli`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from o365_etl.config import Connection, is_guid, load_settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import NotFoundError
from o365_etl.pipeline.connecting import SECRETS
from o365_etl.pipeline.publishing import publish
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.store.disk import local_errors
from o365_etl.store.warehouse import VIEWS, WORKING, Db
from o365_etl.tables import TABLES
from o365_etl.transform.portal import tenant_link

_APPLICATION = "#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/"
_ENTERPRISE = "#view/Microsoft_AAD_IAM/StartboardApplicationsMenuBlade/~/AppAppsPreview"
_OF_TENANTS = "SELECT tenant_id, display_name FROM sync.tenants WHERE connection = ? ORDER BY display_name, tenant_id"
# Its rows are the state store's.
_LOGGED = ("sync.log", "sync.runs")


@dataclass(frozen=True)
class Consent:
    """A tenant where the enterprise application, and with it the consent, stays; `link` opens the list it is in."""

    tenant_id: str
    name: str | None
    link: str | None


@dataclass(frozen=True)
class Removed:
    """What was removed, and what only a person can remove."""

    name: str
    kind: str
    client_id: str
    registration_link: str | None
    consents: list[Consent]
    deleted_tenants: int | None
    secret_file: Path | None


def set_paused(file: ConfigFile, name: str, paused: bool) -> bool:
    """Pause a connection (its tenants are not read, all else stays) or take that back. False if it was so already.

    Raises `ConfigError` if there is no such connection.
    """
    if bool(file.connection(name).get("paused", False)) == paused:
        return False
    file.set_connection(name, ["paused"], True if paused else None)
    file.save()
    return True


def remove(file: ConfigFile, name: str, *, delete_data: bool, wait_seconds: float = 60.0) -> Removed:
    """Remove a connection from the file, and with `delete_data` what was read through it.

    Raises `ConfigError` if there is no such connection, `BusyError` if a sync is running for longer than
    `wait_seconds`; then nothing was done.
    """
    file.connection(name)  # for its own error
    connection = next(each for each in file.settings().connections if each.name.casefold() == name.casefold())
    workspace = Workspace.of(load_settings(file.path))
    consents = _consents(connection, _read_tenants(workspace, connection.name))
    deleted = None
    if delete_data:
        deleted = _delete(file, workspace, connection.name, wait_seconds)
    else:
        file.remove_connection(name)
        file.save()
    waiting = workspace.state.quarantine
    waiting.note((), [row["tenant_id"] for row in waiting.rows() if row["connection"] == connection.name])
    tenant = tenant_link(connection.cloud, connection.tenant_id)
    return Removed(
        name=connection.name,
        kind=connection.kind,
        client_id=connection.client_id,
        registration_link=tenant and f"{tenant}/{_APPLICATION}{connection.client_id}",
        consents=consents,
        deleted_tenants=deleted,
        secret_file=_forget_secret(file, connection),
    )


def _read_tenants(workspace: Workspace, connection: str) -> list[tuple[str, str | None]]:
    """The tenants that the published copy knows of this connection; nothing was synced yet: none."""
    try:
        rows = query(workspace, _OF_TENANTS, [connection])
    except NotFoundError:
        return []
    return [(row["tenant_id"], row["display_name"]) for row in rows]


def _consents(connection: Connection, tenants: list[tuple[str, str | None]]) -> list[Consent]:
    if connection.kind == "direct" and not tenants:
        tenants = [(connection.tenant_id, None)]
    found = []
    for tenant_id, name in tenants:
        link = tenant_link(connection.cloud, tenant_id)
        found.append(Consent(tenant_id, name, link and f"{link}/{_ENTERPRISE}"))
    return found


def _delete(file: ConfigFile, workspace: Workspace, connection: str, wait_seconds: float) -> int:
    """Delete landed answers and rows of the connection's tenants, with the lock in hand so that no sync is at them.

    The connection leaves the file last: should this break off before, saying it again finishes it.
    """
    run_id = f"disconnect-{uuid.uuid4().hex[:12]}"
    with workspace.writing(run_id, "disconnect", wait_seconds=wait_seconds):
        with workspace.tables() as db:
            tenants = [row[0] for row in db.rows(_OF_TENANTS, [connection])]
        for tenant_id in tenants:
            if is_guid(tenant_id):
                workspace.landing.forget(tenant_id)
        with workspace.tables() as db, db.transaction():
            for table in _tables_of_tenants():
                _delete_rows(db, table, tenants)
        workspace.state.log(run_id, "info", f"disconnected {connection}: deleted the data of {len(tenants)} tenants")
        publish(workspace, run_id, status="ok")
        file.remove_connection(connection)
        file.save()
    return len(tenants)


def _tables_of_tenants() -> list[str]:
    contract = [
        name
        for name, table in TABLES.items()
        if "tenant_id" in table.column_names and name not in VIEWS and name not in _LOGGED
    ]
    return [*contract, *(name for name, columns in WORKING.items() if "tenant_id" in columns)]


def _delete_rows(db: Db, table: str, tenants: list[str]) -> None:
    db.execute(f"DELETE FROM {table} WHERE list_contains(?, tenant_id)", [tenants])


def _forget_secret(file: ConfigFile, connection: Connection) -> Path | None:
    """Delete the secret that `connect` stored beside the file; any other secret is not ours."""
    ref = connection.client_secret
    if ref is None or ref.file is None or ref.path().parent != (file.path.parent / SECRETS).resolve():
        return None
    path = ref.path()
    others = (each.client_secret for each in file.settings().connections)
    if any(other is not None and other.file is not None and other.path() == path for other in others):
        return None
    with local_errors(f"delete {path}"):
        path.unlink(missing_ok=True)
    return path
