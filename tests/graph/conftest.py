"""A simulated world with short waits and a landing zone; and a server that says what a test scripts."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from o365_etl.config import Connection, Settings, build_settings
from o365_etl.graph import Discovery, GraphSession, TenantResult, TenantTarget, discover, read_tenants
from o365_etl.receipts import Receipt
from o365_etl.simulator import Estate, Fault, SimTenant, Simulator, SimUser
from o365_etl.simulator.certificates import prepare
from o365_etl.simulator.transport import HttpsServer, Request, Response
from o365_etl.store.landing import LandingZone

WAIT_SCALE = 0.002


class Rig:
    """One simulator and one installation of the reader against it."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.estate = simulator.estate
        self.folder = folder
        self.settings = self.configured()
        self.landing = LandingZone(folder / "landing")
        self._reads = 0

    def configured(self, connection: dict[str, Any] | None = None, **tls: str) -> Settings:
        """The settings for this simulator, with another CA bundle if one is given, and more for the partner."""
        raw = tomllib.loads(self.simulator.settings_toml(data_dir="data"))
        raw["tls"] |= tls
        raw["connections"][0] |= connection or {}
        return build_settings(raw, self.folder / "o365_etl.toml")

    def connection(self, name: str = "partner") -> Connection:
        """A configured connection."""
        return next(connection for connection in self.settings.connections if connection.name == name)

    def session(self, settings: Settings | None = None, **options: Any) -> GraphSession:
        """A session that waits a hundredth of what it is asked to."""
        return GraphSession(settings or self.settings, **({"threads": 4, "wait_scale": WAIT_SCALE} | options))

    def target(self, tenant: SimTenant | str) -> TenantTarget:
        """The target that discovery would make of a tenant."""
        tenant_id = tenant if isinstance(tenant, str) else tenant.tenant_id
        return TenantTarget(tenant_id=tenant_id, connection="partner", kind="partner")

    def fail(self, *faults: Fault) -> None:
        """From now on only this goes wrong."""
        self.simulator.faults.clear()
        for fault in faults:
            self.simulator.faults.add(fault)

    def read_all(
        self, targets: list[TenantTarget] | None = None, settings: Settings | None = None, *, full: bool = False
    ) -> list[TenantResult]:
        """Read these targets, or all tenants of the estate through the partner."""
        self._reads += 1
        chosen = [self.target(tenant) for tenant in self.estate.tenants] if targets is None else targets
        with self.session(settings) as session:
            return read_tenants(session, chosen, self.landing, f"read-{self._reads}", full=full)

    def read(
        self, target: TenantTarget | None = None, settings: Settings | None = None, *, full: bool = False
    ) -> TenantResult:
        """Read one target, or the first tenant of the estate."""
        chosen = target or self.target(self.estate.tenants[0])
        return self.read_all([chosen], settings, full=full)[0]

    def landed(self, tenant: SimTenant, stream: str, part: str) -> list[Any]:
        """The landed JSON answers of one part."""
        return [json.loads(body) for body in self.landing.parts(tenant.tenant_id, stream, part)]

    def user_ids(self, tenant: SimTenant) -> set[str]:
        """The ids of the users in the certified landing."""
        return {user["id"] for page in self.landed(tenant, "users", "users") for user in page["value"]}

    def types(self, tenant: SimTenant) -> dict[str, dict[str, str | None]]:
        """The mailbox types remembered."""
        found: dict[str, dict[str, str | None]] = self.landed(tenant, "mailboxes", "types")[0]
        return found


def streams(result: TenantResult) -> dict[str, Receipt]:
    """The receipts by stream."""
    return {receipt.stream: receipt for receipt in result.receipts}


def people(count: int, domain: str = "contoso.example", **more: Any) -> list[SimUser]:
    """Ordinary licensed users."""
    return [SimUser.person(f"Given{n}", f"Family{n}", domain, **more) for n in range(count)]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of certificates for all simulators of the session: keys take long to make."""
    folder = tmp_path_factory.mktemp("certificates")
    prepare(folder)
    return folder


@pytest.fixture
def rig(tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    """Starts a simulator with these tenants (by default one of three users) and gives the rig for it."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    with ExitStack() as stack:

        def begin(*tenants: SimTenant, estate: Estate | None = None) -> Rig:
            world = estate or Estate.build(tenants=tenants or (SimTenant("Contoso", users=people(3)),))
            simulator = stack.enter_context(Simulator(world, folder=certificates))
            return Rig(simulator, tmp_path)

        yield begin


TENANT = "11111111-2222-4333-8444-555555555555"


class Script:
    """A server that is no Microsoft: answers by path, healthy unless a test says otherwise."""

    def __init__(self, certificates: Path, folder: Path) -> None:
        self._server = HttpsServer(prepare(certificates).server_context())
        self.url = self._server.url
        self.landing = LandingZone(folder / "landing")
        self.folder = folder
        self.requests: list[Request] = []
        self.token: str = "opaque"
        self.answers: dict[str, Callable[[Request], Response] | Response] = {
            "/organization": answer({"value": [{"id": TENANT}]}),
            "/domains": answer({"value": []}),
            "/users": answer({"value": [{"id": "u1", "userPrincipalName": "a@b.example"}]}),
            "/subscribedSkus": answer({"value": []}),
            "/directory/subscriptions": answer({"value": []}),
            "/admin/reportSettings": answer({"displayConcealedNames": False}),
        }
        self._ca = certificates / "ca.pem"
        self._server.start(self._respond)

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def read(self, tenant_id: str = TENANT, **connection: Any) -> TenantResult:
        """Read the one tenant."""
        target = TenantTarget(tenant_id=tenant_id, connection="c", kind="direct")
        with self._session(tenant_id, **connection) as session:
            return read_tenants(session, [target], self.landing, "read")[0]

    def discover(self, tenant_id: str = TENANT) -> Discovery:
        """List the tenants of the one partner."""
        with self._session(tenant_id, kind="partner") as session:
            return discover(session, session.connection("c"))

    def _session(self, tenant_id: str, **more: Any) -> GraphSession:
        (self.folder / "secret").write_text("secret")
        connection = {
            "name": "c",
            "kind": "direct",
            "tenant_id": tenant_id,
            "client_id": TENANT,
            "client_secret": {"file": "secret"},
            "login_url": self.url,
            "graph_url": self.url,
        }
        raw = {
            "itglue": {"api_key": {"env": "UNUSED"}},
            "tls": {"ca_bundle": str(self._ca)},
            "connections": [connection | more],
        }
        return GraphSession(build_settings(raw, self.folder / "c.toml"), threads=2, wait_scale=WAIT_SCALE)

    def _respond(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path.endswith("/openid-configuration"):
            base = f"{self.url}/{request.path.split('/')[1]}/oauth2/v2.0"
            return answer({"token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/authorize"})
        if request.path.endswith("/oauth2/v2.0/token"):
            return answer({"token_type": "Bearer", "expires_in": 3599, "access_token": self.token})
        path = request.path.removeprefix("/v1.0").removeprefix("/beta")
        found = self.answers.get(path, answer({"error": {"code": "NotFound"}}, 404))
        return found(request) if callable(found) else found


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """A JSON answer; header names with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def jwt(**claims: object) -> str:
    """A token that can be read, signed by nobody."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims)]
    return ".".join([*parts, "signature"])


@pytest.fixture
def script(tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """A scripted server."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    scripted = Script(certificates, tmp_path)
    yield scripted
    scripted.close()
