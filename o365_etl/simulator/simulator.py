"""The simulator as one thing: three servers, the services behind them, credentials, a log of all requests."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from o365_etl.simulator.certificates import Certificates, prepare, write_private
from o365_etl.simulator.estate import Estate
from o365_etl.simulator.faults import FaultPlan, Service
from o365_etl.simulator.graph_reports import ReportDownloads
from o365_etl.simulator.graph_service import GraphService
from o365_etl.simulator.itglue_service import ItGlueBehaviour, ItGlueService
from o365_etl.simulator.model import SimTenant, stable_id
from o365_etl.simulator.product_list import PRODUCT_LIST_PATH, ProductList
from o365_etl.simulator.sign_in import App, SignInService
from o365_etl.simulator.transport import HttpsServer, Request, Response

_GRAPH_PATHS = ("/v1.0/", "/beta/")


@dataclass(frozen=True)
class PartnerCredentials:
    """The partner's application: what a configuration needs to sign in."""

    tenant_id: str
    client_id: str
    client_secret: str
    certificate_pem: Path


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that was answered. `started` is seconds since the epoch, `bytes_sent` the size of the body."""

    service: Service
    method: str
    path: str
    query: str
    tenant_id: str | None
    status: int
    started: float
    bytes_sent: int


class Simulator:
    """Serves one estate while its context is entered. `latency` seconds pass before every answer.

    `folder` takes the certificates and secrets (a temporary one without it); `ports` are those of login and Graph, of
    IT Glue, and of the report download, 0 for a free one.
    """

    def __init__(
        self,
        estate: Estate,
        *,
        faults: FaultPlan | None = None,
        latency: float = 0.0,
        folder: Path | None = None,
        ports: tuple[int, int, int] = (0, 0, 0),
        itglue: ItGlueBehaviour | None = None,
    ) -> None:
        self.estate = estate
        self.faults = faults or FaultPlan()
        self.latency = latency
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="o365_etl-simulator-"))
        self._ports = ports
        self._itglue_behaviour = itglue or ItGlueBehaviour()
        self._certificates: Certificates = prepare(self.folder)
        self.itglue_api_key = f"ITG.{stable_id('itglue-key', estate.partner.tenant_id).replace('-', '')}"
        self.partner = PartnerCredentials(
            tenant_id=estate.partner.tenant_id,
            client_id=stable_id("app", estate.partner.tenant_id),
            client_secret=_secret(estate.partner),
            certificate_pem=self._certificates.app,
        )
        self._records: list[RequestRecord] = []
        self._lock = threading.Lock()
        self._servers: list[HttpsServer] = []
        self.reports = ReportDownloads(estate)
        self.product_list = ProductList()

    def __enter__(self) -> Simulator:
        context = self._certificates.server_context()
        self._servers = [HttpsServer(context, port) for port in self._ports]
        graph_server, itglue_server, report_server = self._servers
        sign_in = SignInService(self.estate, graph_server.url, graph_server.url)
        certificate = self._certificates.app_certificate
        sign_in.register(App(self.partner.client_id, self.partner.client_secret, certificate))
        for tenant in self.estate.tenants:
            if tenant.direct:
                sign_in.register(App(direct_client_id(tenant), _secret(tenant), home=tenant.tenant_id))
        self.reports.base_url = report_server.url
        graph = GraphService(self.estate, sign_in, self.faults, graph_server.url, self.reports.link)
        itglue = ItGlueService(self.estate, self.itglue_api_key, self._itglue_behaviour, itglue_server.url)

        def answer_first(request: Request) -> Response:
            if request.raw_path.startswith(_GRAPH_PATHS):
                return self._answer("graph", graph.tenant_of, graph.respond, request)
            return self._answer("login", sign_in.tenant_of, sign_in.respond, request)

        graph_server.start(answer_first)
        itglue_server.start(lambda request: self._answer("itglue", lambda _: None, itglue.respond, request))

        def answer_download(request: Request) -> Response:
            if request.raw_path == PRODUCT_LIST_PATH:
                return self._answer("download", lambda _: None, self.product_list.respond, request)
            return self._answer("report", self.reports.tenant_of, self.reports.respond, request)

        report_server.start(answer_download)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.stop()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def login_url(self) -> str:
        """The origin of the sign-in service."""
        return self._servers[0].url

    @property
    def graph_url(self) -> str:
        """The origin of Graph, without a version."""
        return self._servers[0].url

    @property
    def itglue_url(self) -> str:
        """The origin of IT Glue."""
        return self._servers[1].url

    @property
    def product_list_url(self) -> str:
        """The address of the published list of products."""
        return f"{self._servers[2].url}{PRODUCT_LIST_PATH}"

    @property
    def ca_bundle(self) -> Path:
        """The PEM file of the authority that signed the servers' certificate."""
        return self._certificates.ca

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests answered so far, in the order of their answers."""
        with self._lock:
            return list(self._records)

    def count(
        self, service: Service | None = None, tenant_id: str | None = None, path_prefix: str | None = None
    ) -> int:
        """How many requests fit; the path of Graph counts with its version."""
        return sum(
            service in (None, record.service)
            and tenant_id in (None, record.tenant_id)
            and (path_prefix is None or record.path.startswith(path_prefix))
            for record in self.requests
        )

    def reset_log(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._records.clear()

    def client_id(self, tenant: SimTenant) -> str:
        """The application id of a direct tenant."""
        return direct_client_id(tenant)

    def settings_toml(self, data_dir: str, mode: str = "plan") -> str:
        """A complete configuration for this simulator. The secrets it refers to are files in `folder`."""
        lines = [
            f"data_dir = {_quoted(data_dir)}",
            "",
            "[itglue]",
            f"base_url = {_quoted(self.itglue_url)}",
            f"api_key = {{ file = {_quoted(self._secret_file('itglue_api_key', self.itglue_api_key))} }}",
            f"mode = {_quoted(mode)}",
            "",
            "[tls]",
            f"ca_bundle = {_quoted(self.ca_bundle.resolve())}",
            "",
            "[catalogue]",
            f"url = {_quoted(self.product_list_url)}",
        ]
        partner = self.partner
        lines += self._connection("partner", "partner", partner.tenant_id, partner.client_id, partner.client_secret)
        for tenant in self.estate.tenants:
            if tenant.direct:
                name = re.sub(r"[^a-z0-9]+", "-", tenant.default_domain.split(".")[0].lower()).strip("-")
                secret = "not-the-secret" if tenant.secret_state == "wrong" else _secret(tenant)
                lines += self._connection(name, "direct", tenant.tenant_id, direct_client_id(tenant), secret)
        return "\n".join(lines) + "\n"

    def _connection(self, name: str, kind: str, tenant_id: str, client_id: str, secret: str) -> list[str]:
        return [
            "",
            "[[connections]]",
            f"name = {_quoted(name)}",
            f"kind = {_quoted(kind)}",
            f"tenant_id = {_quoted(tenant_id)}",
            f"client_id = {_quoted(client_id)}",
            f"client_secret = {{ file = {_quoted(self._secret_file(f'secret_{name}', secret))} }}",
            f"login_url = {_quoted(self.login_url)}",
            f"graph_url = {_quoted(self.graph_url)}",
        ]

    def _secret_file(self, name: str, value: str) -> Path:
        path = self.folder.resolve() / name
        write_private(path, value.encode())
        return path

    def _answer(
        self,
        service: Service,
        tenant_of: Callable[[Request], str | None],
        respond: Callable[[Request], Response],
        request: Request,
    ) -> Response:
        """One answer with the latency, the faults and the log around it."""
        started = time.time()
        if self.latency:
            time.sleep(self.latency)
        tenant_id = tenant_of(request)
        response = self.faults.answer(service, tenant_id, request, respond)
        record = RequestRecord(
            service,
            request.method,
            request.path,
            request.raw_query,
            tenant_id,
            response.status,
            started,
            len(response.body),
        )
        with self._lock:
            self._records.append(record)
        return response


def direct_client_id(tenant: SimTenant) -> str:
    """The application id of a tenant's own, single-tenant application."""
    return stable_id("direct-app", tenant.tenant_id)


def _secret(tenant: SimTenant) -> str:
    # Real secrets hold characters that forms and TOML have to escape
    return f"s~{stable_id('secret', tenant.tenant_id)[:18]}+/="


def _quoted(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
