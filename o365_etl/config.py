"""The settings of the program, and the only place that reads the environment.

One TOML file (`--config`, else `$O365_ETL_CONFIG`, else `./o365_etl.toml`); every key can be overridden by the
environment: `O365_ETL_DATA_DIR`, `O365_ETL_ITGLUE__MODE`, `O365_ETL_CONNECTIONS__0__CLOUD`. A secret is always a
reference: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ keyring = "SERVICE" }`. Relative paths are relative to the
configuration file, so that a command works from any folder. Whatever is wrong is one `ConfigError` line that names
the key and the mend.

What does not live here: the meaning of the settings, and how a variable finds its key (`config_overrides`). Nothing
here opens a connection.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from o365_etl.config_overrides import CONFIG_VARIABLE, override
from o365_etl.errors import ConfigError

DEFAULT_FILE = "o365_etl.toml"

Cloud = Literal["global", "usgov", "usgovdod", "china"]
Mode = Literal["off", "plan", "apply"]
Owner = Literal["microsoft", "itglue", "fill_blank"]

# Authority and Graph host of each national cloud: learn.microsoft.com/graph/deployments
CLOUDS: Mapping[Cloud, tuple[str, str]] = {
    "global": ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "usgov": ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "usgovdod": ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": ("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
}
ITGLUE_REGIONS: Mapping[str, str] = {
    "us": "https://api.itglue.com",
    "eu": "https://api.eu.itglue.com",
    "au": "https://api.au.itglue.com",
}

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DOMAIN = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")


def is_guid(value: str) -> bool:
    """True for the 8-4-4-4-12 form that Microsoft uses for tenants, users and SKUs."""
    return _GUID.fullmatch(value) is not None


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class SecretRef(_Section):
    """Where a secret is kept; never the secret itself."""

    env: str | None = None
    file: Path | None = None
    keyring: str | None = None
    _base: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="before")
    @classmethod
    def _no_plain_value(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError('a secret is a reference, never a value: write { env = "NAME" } or { file = "PATH" }')
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(part is not None for part in (self.env, self.file, self.keyring)) != 1:
            raise ValueError('needs exactly one of { env = "NAME" }, { file = "PATH" }, { keyring = "SERVICE" }')
        return self

    def path(self) -> Path:
        """The file of a `file` reference, made absolute against the configuration file's folder."""
        if self.file is None:
            raise ConfigError("this reference names no file", remedy='Write { file = "PATH" }.')
        return (self._base / self.file.expanduser()).resolve()

    def read(self, key: str) -> str:
        """The secret. `key` is the configuration key, named in the error when the secret is missing.

        Raises `ConfigError` if the variable is unset or empty, the file unreadable, or the keyring has no entry.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
            if not value:
                raise ConfigError(f"{key}: the environment variable {self.env} is not set", remedy=f"Set {self.env}.")
            return value
        if self.file is not None:
            try:
                value = self.path().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not a text file"
                raise ConfigError(
                    f"{key}: the secret file {self.path()} cannot be read ({reason})",
                    remedy="Create it, readable by this user alone.",
                ) from error
            if not value:
                raise ConfigError(f"{key}: the secret file {self.path()} is empty", remedy="Put the secret in it.")
            return value
        return _read_keyring(str(self.keyring), key)


def _read_keyring(service: str, key: str) -> str:
    try:
        import keyring  # an optional extra: only whoever refers to a keyring needs it
    except ImportError as error:
        raise ConfigError(
            f"{key}: a keyring is named, but the keyring package is not installed", remedy="pip install keyring"
        ) from error
    value = keyring.get_password(service, "o365_etl")
    if not value:
        raise ConfigError(f"{key}: the keyring has no entry {service!r}", remedy=f"Run: keyring set {service} o365_etl")
    return str(value).strip()


class Selection(_Section):
    """What "Sync your data" asks: who becomes a contact, and whether licenses are documented."""

    users: Literal["licensed", "all"] = "licensed"
    skus: tuple[str, ...] = ()
    guests: bool = False
    disabled: bool = False
    shared_mailboxes: bool = False
    licenses: bool = True
    exclude_tenants: tuple[str, ...] = ()
    tenant_aliases: dict[str, str] = Field(default_factory=dict)


class SelectionOverride(_Section):
    """The selection keys that one connection sets differently; an absent key keeps the general one."""

    users: Literal["licensed", "all"] | None = None
    skus: tuple[str, ...] | None = None
    guests: bool | None = None
    disabled: bool | None = None
    shared_mailboxes: bool | None = None
    licenses: bool | None = None
    exclude_tenants: tuple[str, ...] | None = None
    tenant_aliases: dict[str, str] | None = None


def _https(value: str) -> str:
    value = value.strip().rstrip("/")
    if not re.fullmatch(r"https://[^/?#\s@]+(/[^?#\s]*)?", value):
        raise ValueError("must be an https:// address without query or credentials")
    return value


class Connection(_Section):
    """One application registration: a CSP/GDAP partner tenant, or one direct tenant. With `users_delta` a sync asks for
    the users that changed since the last full read, which is repeated every `full_read_hours`.
    """

    name: str
    kind: Literal["partner", "direct"]
    tenant_id: str
    client_id: str
    client_secret: SecretRef | None = None
    certificate: SecretRef | None = None
    cloud: Cloud = "global"
    login_url: str = ""
    graph_url: str = ""
    paused: bool = False
    secret_expires: date | None = None  # Microsoft tells the end of a secret only to whoever may read applications
    users_delta: bool = False
    full_read_hours: float = Field(default=24, ge=0, le=144)  # a delta link lives seven days
    selection: SelectionOverride = SelectionOverride()

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("use letters, digits, blanks, '-', '_' and '.', at most 64 characters")
        return value

    @field_validator("tenant_id")
    @classmethod
    def _tenant(cls, value: str) -> str:
        value = value.strip()
        if not (is_guid(value) or _DOMAIN.fullmatch(value)):
            raise ValueError("must be the tenant's id (a GUID) or one of its domains")
        return value.lower()

    @field_validator("client_id")
    @classmethod
    def _client(cls, value: str) -> str:
        value = value.strip()
        if not is_guid(value):
            raise ValueError("must be the application (client) id, a GUID")
        return value.lower()

    @field_validator("login_url", "graph_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _https(value) if value else value

    @model_validator(mode="after")
    def _credentials_and_cloud(self) -> Connection:
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("needs exactly one of client_secret and certificate")
        if self.certificate is not None and self.certificate.file is None:
            raise ValueError('certificate must be { file = "PATH" }: certificate and key in one PEM')
        return self

    @property
    def authority(self) -> str:
        """The sign-in host: `login_url`, else the cloud's own."""
        return self.login_url or CLOUDS[self.cloud][0]

    @property
    def graph(self) -> str:
        """The Graph host: `graph_url`, else the cloud's own."""
        return self.graph_url or CLOUDS[self.cloud][1]


class ItGlue(_Section):
    """The IT Glue account. A stream of more than `incremental_from` records is read by what changed since the last full
    crawl, which is repeated every `full_crawl_hours` (0: always) and alone tells what was deleted.
    """

    region: Literal["us", "eu", "au"] = "us"
    base_url: str = ""
    api_key: SecretRef
    mode: Mode = "plan"
    full_crawl_hours: float = Field(default=24, ge=0, le=24 * 31)
    incremental_from: int = Field(default=5000, ge=0)

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _https(value) if value else value

    @property
    def url(self) -> str:
        """The API's address: `base_url`, else the region's."""
        return self.base_url or ITGLUE_REGIONS[self.region]


class Tls(_Section):
    """A private certificate authority, for a proxy that inspects TLS or a test server."""

    ca_bundle: Path | None = None


class State(_Section):
    """Where decisions, links and the sync log are kept: `{data_dir}/state.sqlite`, or the database of this URL."""

    url: SecretRef | None = None


class Warehouse(_Section):
    """Where the working tables are: `{data_dir}/warehouse.duckdb`, or a DuckLake whose catalog is a PostgreSQL database
    and whose files are below `data_path`, a folder or an object store that every machine sees.
    """

    catalog: SecretRef | None = None
    data_path: str = "lake"


class Workers(_Section):
    """Who executes the steps of a sync: its own process, or the Celery workers behind this Redis broker."""

    broker: SecretRef | None = None


class Limits(_Section):
    """How much is asked at once."""

    threads: int = Field(default=32, ge=1, le=256)
    shard_size: int = Field(default=250, ge=1, le=10_000)


class Brakes(_Section):
    """A plan past one of these waits for a person."""

    max_creates_per_tenant: int = Field(default=100, ge=0)
    max_creates_per_run: int = Field(default=1000, ge=0)
    max_changed_share: float = Field(default=0.3, ge=0, le=1)
    max_field_share: float = Field(default=0.2, ge=0, le=1)
    max_gone_share: float = Field(default=0.2, ge=0, le=1)


class ContactFields(_Section):
    """Which side owns each field of a contact. A blank never overwrites, whoever owns the field."""

    first_name: Owner = "microsoft"
    last_name: Owner = "microsoft"
    title: Owner = "microsoft"
    primary_email: Owner = "microsoft"
    email_addresses: Owner = "microsoft"
    phone: Owner = "microsoft"
    mobile_phone: Owner = "microsoft"


class OrganizationFields(_Section):
    """Which side owns an organization's name, and the address of a location that this program did not create."""

    name: Owner = "itglue"
    location: Owner = "fill_blank"


class Fields(_Section):
    """Who owns what. `microsoft`: IT Glue follows; `itglue`: never written; `fill_blank`: written where it is empty."""

    contact: ContactFields = ContactFields()
    organization: OrganizationFields = OrganizationFields()


class Leavers(_Section):
    """What becomes of the contact of a user who left: marked after a grace period, never deleted."""

    grace_days: int = Field(default=30, ge=0)
    mark: Literal["note", "contact_type"] = "note"
    contact_type: str = "Former"


class Documentation(_Section):
    """What is documented besides contacts and (see `selection.licenses`) licenses."""

    users: bool = True
    locations: bool = True


class Retention(_Section):
    """How long the sync log and finished changes are kept."""

    days: int = Field(default=400, ge=1)


class Schedule(_Section):
    """When the daemon syncs. `cron` left alone is hourly, at a minute of this installation's own below
    `spread_minutes`, so that not all of them ask at the full hour; a `cron` that is given counts to the letter.
    """

    cron: str = "0 * * * *"
    first_sync_delay_minutes: int = Field(default=60, ge=0)
    timezone: str = "UTC"
    spread_minutes: int = Field(default=15, ge=1, le=60)

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: str) -> str:
        if len(value.split()) != 5:
            raise ValueError("is no cron expression of five fields")
        try:
            CronSim(value, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"is no cron expression of five fields ({error})") from error
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone, like UTC or Europe/Paris") from error
        return value


class Alerts(_Section):
    """Who is told when something changes for the worse or the better. A target is an apprise address; it holds a
    password or a token, so it is a reference. `link` is the start of the addresses that messages point to.
    """

    targets: tuple[SecretRef, ...] = ()
    link: str = ""


class Catalogue(_Section):
    """Product names: Microsoft's published list, and this installation's own names by SKU id, which win."""

    refresh: bool = True
    url: str = (
        "https://download.microsoft.com/download/e/3/e/e3e9faf2-f28b-490a-9ada-c6089a1fc5b0/"
        "Product%20names%20and%20service%20plan%20identifiers%20for%20licensing.csv"
    )
    names: dict[str, str] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _https(value)

    @field_validator("names")
    @classmethod
    def _ids(cls, value: dict[str, str]) -> dict[str, str]:
        if wrong := [sku_id for sku_id in value if not is_guid(sku_id.strip())]:
            raise ValueError(f"{wrong[0]!r} is no SKU id (a GUID)")
        return {sku_id.strip().lower(): " ".join(name.split()) for sku_id, name in value.items()}


class Review(_Section):
    """The review website. It listens on this machine alone, unless a reverse proxy signs people in: `trusted_header`
    names the header that carries who they are, believed only from `trusted_proxies`, and only `allowed_users` come in.
    `hostnames`: names besides this machine's own under which browsers may reach it.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8365, ge=0, le=65535)
    session_hours: float = Field(default=12, gt=0, le=24 * 30)
    trusted_header: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    dagster_url: str = "http://127.0.0.1:3000"

    @model_validator(mode="after")
    def _is_guarded(self) -> Review:
        if self.trusted_header and not (self.trusted_proxies and self.allowed_users):
            raise ValueError("trusted_header needs trusted_proxies and allowed_users")
        if not self.trusted_header and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} is not this machine alone: other addresses need trusted_header, the header in"
                " which a reverse proxy says who is signed in"
            )
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            try:
                ip_address(address)
            except ValueError as error:
                raise ValueError(f"{address!r} is no IP address, by which a proxy is known") from error
        return tuple(str(ip_address(address)) for address in value)

    @field_validator("dagster_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError(f"{value!r} is no web address")
        return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class Settings(_Section):
    """The whole configuration, validated."""

    data_dir: Path = Path("data")
    itglue: ItGlue
    connections: tuple[Connection, ...] = ()
    tls: Tls = Tls()
    state: State = State()
    warehouse: Warehouse = Warehouse()
    workers: Workers = Workers()
    selection: Selection = Selection()
    limits: Limits = Limits()
    brakes: Brakes = Brakes()
    fields: Fields = Fields()
    leavers: Leavers = Leavers()
    documentation: Documentation = Documentation()
    retention: Retention = Retention()
    schedule: Schedule = Schedule()
    alerts: Alerts = Alerts()
    catalogue: Catalogue = Catalogue()
    review: Review = Review()
    _file: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _unique_names(self) -> Settings:
        names = [connection.name.casefold() for connection in self.connections]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"connections: the name {name!r} is used twice")
        return self

    @model_validator(mode="after")
    def _workers_share(self) -> Settings:
        if self.workers.broker is not None and (self.state.url is None or self.warehouse.catalog is None):
            missing = "state.url" if self.state.url is None else "warehouse.catalog"
            raise ValueError(f"workers.broker needs {missing} too: many processes write, and a file takes one")
        return self

    @property
    def file(self) -> Path | None:
        """The file these settings came from."""
        return self._file

    @property
    def ca_bundle(self) -> Path | None:
        """`tls.ca_bundle`, absolute."""
        return self.tls.ca_bundle

    def selection_for(self, connection: str) -> Selection:
        """The selection that holds for one connection: the general one with its own keys on top."""
        for candidate in self.connections:
            if candidate.name == connection:
                return self.selection.model_copy(update=candidate.selection.model_dump(exclude_none=True))
        return self.selection

    def _elsewhere(self) -> dict[str, SecretRef]:
        """What is kept or done on other machines, by the key that says where."""
        places = {
            "state.url": self.state.url,
            "warehouse.catalog": self.warehouse.catalog,
            "workers.broker": self.workers.broker,
        }
        return {key: place for key, place in places.items() if place is not None}

    def check_secrets(self) -> None:
        """Raise `ConfigError` for the first secret, certificate or CA bundle that cannot be read."""
        self.itglue.api_key.read("itglue.api_key")
        for index, connection in enumerate(self.connections):
            if connection.paused:
                continue  # perhaps because its secret is gone
            if connection.client_secret is not None:
                connection.client_secret.read(f"connections[{index}].client_secret")
            if connection.certificate is not None:
                connection.certificate.read(f"connections[{index}].certificate")
        for index, target in enumerate(self.alerts.targets):
            target.read(f"alerts.targets[{index}]")
        for key, place in self._elsewhere().items():
            place.read(key)
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise ConfigError(
                f"tls.ca_bundle: there is no file {self.ca_bundle}", remedy="Give the path of a PEM file."
            )


def find_config(path: Path | None = None) -> Path:
    """The configuration file in force: `path`, else `$O365_ETL_CONFIG`, else `./o365_etl.toml`."""
    if path is not None:
        return path
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)


def load_settings(path: Path | None = None) -> Settings:
    """Read, override by the environment, validate. Raises `ConfigError`."""
    file = find_config(path).expanduser().absolute()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no configuration file {file}",
            remedy=f"Create it (docs/connect.md), name one with --config or ${CONFIG_VARIABLE}, or run o365-etl demo.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {file} cannot be read: {error}") from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}", remedy="Mend that line.") from error
    override(raw, os.environ)
    return build_settings(raw, file)


def dagster_home(settings: Settings) -> Path:
    """The folder of the Dagster instance: `$DAGSTER_HOME`, else `{data_dir}/dagster`."""
    home = os.environ.get("DAGSTER_HOME")
    return Path(home).expanduser() if home else settings.data_dir / "dagster"


def build_settings(raw: Mapping[str, Any], file: Path) -> Settings:
    """Validate a configuration that was already parsed; relative paths are taken from `file`'s folder."""
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise _first_problem(error, file) from error
    base = file.parent
    tls = settings.tls
    if tls.ca_bundle is not None:
        tls = Tls(ca_bundle=(base / tls.ca_bundle.expanduser()).resolve())
    data_dir = (base / settings.data_dir.expanduser()).resolve()
    warehouse = settings.warehouse
    if "://" not in warehouse.data_path:
        data_path = (base / Path(warehouse.data_path).expanduser()).resolve()
        warehouse = warehouse.model_copy(update={"data_path": str(data_path)})
    settings = settings.model_copy(update={"data_dir": data_dir, "tls": tls, "warehouse": warehouse})
    settings._file = file
    for secret in _secrets(settings):
        secret._base = base
    return settings


def _secrets(settings: Settings) -> list[SecretRef]:
    found = [settings.itglue.api_key, *settings.alerts.targets, *settings._elsewhere().values()]
    for connection in settings.connections:
        found += [ref for ref in (connection.client_secret, connection.certificate) if ref is not None]
    return found


def _first_problem(error: ValidationError, file: Path) -> ConfigError:
    # A misspelt key is also a missing one: naming the misspelling helps more.
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    # pydantic names the path as a tuple; people read connections[0].tenant_id
    key = ""
    for part in problem["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return ConfigError(f"{file}: unknown key {key}", remedy="Remove it or correct its spelling.")
    if kind == "missing":
        return ConfigError(f"{file}: the key {key} is missing", remedy=f"Add {key}.")
    where = f"{key}: " if key else ""
    return ConfigError(f"{file}: {where}{message[0].lower()}{message[1:]}", remedy="Correct the value.")
