"""What all simulator tests share: one folder of certificates, a small world, a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from o365_etl.simulator import Estate, SimTenant, Simulator
from tests.simulator.caller import Caller, contoso


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of certificates for the whole session."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture
def tenant() -> SimTenant:
    """The tenant that `caller` talks about."""
    return contoso()


@pytest.fixture
def simulator(tenant: SimTenant, folder: Path) -> Iterator[Simulator]:
    """A running simulator of a world of one tenant."""
    with Simulator(Estate.build([tenant]), folder=folder) as running:
        yield running


@pytest.fixture
def caller(simulator: Simulator) -> Iterator[Caller]:
    """A client of that simulator."""
    client = Caller(simulator)
    yield client
    client.session.close()
