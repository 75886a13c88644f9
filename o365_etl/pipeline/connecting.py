"""Connecting Microsoft 365: what a person says about a connection is verified, and only then saved.

What does not live here: asking the person (`cli`), what is asked of Microsoft and IT Glue (`verifying`), taking a
connection away (`disconnecting`), and how the file is written (`config_file`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from o365_etl.config import Connection, SecretRef, Settings, load_settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import LocalError
from o365_etl.pipeline.verifying import Customers, ask_microsoft, check_itglue, check_secret
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store.disk import local_errors, make_folder, replace_file

SECRETS = "secrets"
ITGLUE_KEY = f"{SECRETS}/itglue.key"
FirstSync = Literal["now", "later", "never"]


@dataclass(frozen=True)
class Given:
    """A secret as a person gives it: a reference (`env`, `file` or `keyring`), or the typed value, kept in a file."""

    reference: dict[str, str] | None = None
    typed: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Wanted:
    """What a connection is to be. None keeps what the file says, else the default of the configuration.

    Paths are absolute, or relative to the folder of the configuration file.
    """

    name: str
    kind: str | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Given | None = None
    certificate: str | None = None
    secret_expires: date | None = None
    cloud: str | None = None
    login_url: str | None = None
    graph_url: str | None = None
    itglue_region: str | None = None
    itglue_url: str | None = None
    itglue_key: Given | None = None
    ca_bundle: str | None = None
    data_dir: str | None = None


@dataclass(frozen=True)
class Connected:
    """What was verified and saved. `tenant_name` is what a direct tenant calls itself."""

    name: str
    kind: str
    created: bool
    tenant_id: str
    tenant_name: str | None
    customers: Customers | None
    warnings: list[str]
    request_id: str | None
    first_sync_at: datetime | None


def connect(file: ConfigFile, wanted: Wanted, *, who: str, first_sync: FirstSync | None = None) -> Connected:
    """Verify the connection with Microsoft and a new IT Glue key with IT Glue, save, and queue the first sync.

    Without a `first_sync` it is `later` for an installation or a connection that is new, else `never`. Nothing is
    saved if anything fails: raises `ConfigError`, or what Microsoft, IT Glue or this machine says.
    """
    created = not has_connection(file, wanted.name)
    typed = _Typed(file, wanted)
    _write(file, wanted, created=created)
    typed.refer()
    file.settings()  # what is written must make sense before anything is stored or asked, above all the name
    with typed.stored():
        settings = file.settings()
        connection = _named(settings, wanted.name)
        check_secret(connection)
        answer = ask_microsoft(settings, connection)
        if wanted.itglue_key or wanted.itglue_region or wanted.itglue_url:
            check_itglue(settings)
        file.set_connection(wanted.name, ["tenant_id"], answer.tenant_id)
        is_first = not Workspace.of(settings).state.runs(1)
        typed.refer(final=True)
        file.save()
        typed.keep()
    # As the program will see it from now on, the environment included.
    workspace = Workspace.of(load_settings(file.path))
    connection = _named(workspace.settings, wanted.name)
    workspace.state.quarantine.release_connection(connection.name)
    at, due_at, request_id = now(), None, None
    mode = first_sync or ("later" if created or is_first else "never")
    if mode != "never":
        delay = workspace.settings.schedule.first_sync_delay_minutes if mode == "later" else 0
        due_at = at + timedelta(minutes=delay)
        request_id = workspace.state.requests.queue(trigger="connect", who=who, at=at, due_at=due_at)
    return Connected(
        name=connection.name,
        kind=connection.kind,
        created=created,
        tenant_id=answer.tenant_id,
        tenant_name=answer.tenant_name,
        customers=answer.customers,
        warnings=[*_loose_files(workspace.settings, connection), *answer.warnings],
        request_id=request_id,
        first_sync_at=due_at,
    )


def _named(settings: Settings, name: str) -> Connection:
    return next(each for each in settings.connections if each.name.casefold() == name.casefold())


def has_connection(file: ConfigFile, name: str) -> bool:
    """Whether the file has a connection of this name, in whatever case."""
    entries = file.raw().get("connections", [])
    return any(str(entry.get("name", "")).casefold() == name.casefold() for entry in entries)


def secret_path(name: str) -> str:
    """Where a typed secret is kept, from the folder of the configuration file."""
    return f"{SECRETS}/{name}.secret"


# --- writing


def _write(file: ConfigFile, wanted: Wanted, *, created: bool) -> None:
    """Put everything into the file's text but what was typed; nothing is saved by that."""
    if not file.exists:
        file.set(["data_dir"], "data")
    for path, value in (
        (["data_dir"], wanted.data_dir),
        (["itglue", "region"], wanted.itglue_region),
        (["itglue", "base_url"], wanted.itglue_url),
        (["itglue", "api_key"], _reference(wanted.itglue_key)),
        (["tls", "ca_bundle"], wanted.ca_bundle),
    ):
        if value is not None:
            file.set(path, value)
    if wanted.itglue_region and not wanted.itglue_url:
        file.set(["itglue", "base_url"], None)  # else it would win over the region
    values: dict[str, Any] = {
        "kind": wanted.kind,
        "tenant_id": wanted.tenant_id and wanted.tenant_id.strip(),
        "client_id": wanted.client_id and wanted.client_id.strip(),
        "client_secret": _reference(wanted.client_secret),
        "certificate": None if wanted.certificate is None else {"file": wanted.certificate},
        "secret_expires": wanted.secret_expires,
        "cloud": wanted.cloud,
        "login_url": wanted.login_url,
        "graph_url": wanted.graph_url,
    }
    given = {key: value for key, value in values.items() if value is not None}
    if created:
        file.add_connection({"name": wanted.name} | given)
        return
    if wanted.client_secret is not None or wanted.certificate is not None:
        # What belongs to the credential before goes.
        given |= {"secret_expires": wanted.secret_expires}
        given |= {"certificate" if wanted.client_secret is not None else "client_secret": None}
    for key, value in given.items():
        file.set_connection(wanted.name, [key], value)


def _reference(given: Given | None) -> dict[str, str] | None:
    return None if given is None else given.reference


class _Typed:
    """The secrets that were typed: proved from files of their own, so that the ones before stay in force until then."""

    def __init__(self, file: ConfigFile, wanted: Wanted) -> None:
        self._file, self._name = file, wanted.name
        pairs = ((secret_path(wanted.name), wanted.client_secret), (ITGLUE_KEY, wanted.itglue_key))
        self._values = {place: each.typed.strip() for place, each in pairs if each is not None and each.typed}
        self._suffix = f".{uuid.uuid4().hex[:8]}.new"

    def refer(self, *, final: bool = False) -> None:
        """Write the references to these files into the configuration, or to where they are in the end."""
        for place in self._values:
            reference = {"file": place if final else place + self._suffix}
            if place == ITGLUE_KEY:
                self._file.set(["itglue", "api_key"], reference)
            else:
                self._file.set_connection(self._name, ["client_secret"], reference)

    @contextmanager
    def stored(self) -> Iterator[None]:
        """The files are there, for this user alone, as long as the block runs."""
        try:
            for place, value in self._values.items():
                path = self._path(place + self._suffix)
                make_folder(path.parent)
                with local_errors(f"write {path}"):
                    replace_file(path, value.encode())
            yield
        finally:
            for place in self._values:
                self._path(place + self._suffix).unlink(missing_ok=True)

    def keep(self) -> None:
        """Move the files to where they are in the end."""
        for place in self._values:
            with local_errors(f"write {self._path(place)}"):
                self._path(place + self._suffix).replace(self._path(place))

    def _path(self, place: str) -> Path:
        return self._file.path.parent / place


def _loose_files(settings: Settings, connection: Connection) -> list[str]:
    """A word about every secret file that others on this machine can read."""
    refs = (connection.client_secret, connection.certificate, settings.itglue.api_key)
    files = [ref.path() for ref in refs if ref is not None and ref.file is not None and _is_open(ref)]
    return [f"Other users of this machine can read {path}: chmod 600 {path}" for path in files]


def _is_open(ref: SecretRef) -> bool:
    try:
        return bool(ref.path().stat().st_mode & 0o077)
    except OSError as error:
        raise LocalError(f"{ref.path()} cannot be looked at ({error.strerror})") from error
