from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from o365_etl.config import ItGlue, SecretRef
from o365_etl.itglue.client import ItGlueClient
from o365_etl.simulator import Estate, FaultPlan, SimContact, SimOrganization, Simulator
from o365_etl.simulator.certificates import Certificates, prepare
from o365_etl.simulator.transport import HttpsServer, Request, Response

Handler = Callable[[Request], Response]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for all servers of these tests."""
    return prepare(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., ItGlueClient]]:
    """Makes clients that wait for nothing; closes them."""
    with ExitStack() as stack:

        def make(url: str, ca_bundle: Path | None, key: str = "ITG.test", **options: Any) -> ItGlueClient:
            file = tmp_path / "itglue.key"
            file.write_text(key)
            settings = ItGlue(base_url=url, api_key=SecretRef(file=file))
            return stack.enter_context(ItGlueClient(settings, ca_bundle, **{"rate": 1e6, "pause": 0.0, **options}))

        yield make


@pytest.fixture
def simulate(certificates: Certificates) -> Iterator[Callable[..., Simulator]]:
    """Starts IT Glue accounts of some organizations and contacts."""
    with ExitStack() as stack:

        def start(organizations: int = 3, contacts: int = 0, **options: Any) -> Simulator:
            estate = Estate.build(
                tenants=[],
                organizations=[SimOrganization(f"Organization {each}", 100 + each) for each in range(organizations)],
                contacts=[SimContact(100, "First", str(each)) for each in range(contacts)],
            )
            options = {"faults": FaultPlan(), "folder": certificates.ca.parent, **options}
            return stack.enter_context(Simulator(estate, **options))

        yield start


@pytest.fixture
def serve(certificates: Certificates, connect: Callable[..., ItGlueClient]) -> Iterator[Callable[..., ItGlueClient]]:
    """Starts a server on a handler and returns a client for it."""
    with ExitStack() as stack:

        def start(handler: Handler, **options: Any) -> ItGlueClient:
            server = HttpsServer(certificates.server_context())
            server.start(handler)
            stack.callback(server.stop)
            return connect(server.url, certificates.ca, **options)

        yield start
