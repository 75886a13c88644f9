"""What one run shares between all tenants: settings, connections, credentials, the clock."""

from __future__ import annotations

import threading
from types import TracebackType

from o365_etl.config import Connection, Settings
from o365_etl.errors import ConfigError
from o365_etl.graph.client import TenantClient
from o365_etl.graph.credentials import Credential, credential
from o365_etl.graph.sign_in import SignIn, SignInDocuments
from o365_etl.graph.transport import Transport
from o365_etl.graph.waiting import Clock, Gate


class GraphSession:
    """One run's access to Microsoft; a context manager, safe to use from many threads.

    `threads` bounds the requests in flight, `timeouts` are seconds to connect and to wait for the next byte,
    `wait_scale` shortens every wait between attempts (for tests).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        threads: int,
        timeouts: tuple[float, float] = (10.0, 60.0),
        wait_scale: float = 1.0,
    ) -> None:
        self.threads = threads
        self.clock = Clock(wait_scale)
        self._connections = {connection.name: connection for connection in settings.connections}
        self._transport = Transport(settings.ca_bundle, threads, timeouts, self.clock)
        self._credentials: dict[str, Credential] = {}
        self._documents = SignInDocuments()
        self._lock = threading.Lock()

    def __enter__(self) -> GraphSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all waits and close all connections."""
        self.clock.stop()
        self._transport.close()

    def connection(self, name: str) -> Connection:
        """The configured connection of this name. Raises `ConfigError` if there is none."""
        try:
            return self._connections[name]
        except KeyError:
            raise ConfigError(
                f"there is no connection named {name!r}", remedy="Name one of the configuration's connections."
            ) from None

    def client(self, connection: Connection, tenant: str) -> TenantClient:
        """A client for one tenant, by id or domain; nothing is asked yet. Raises `ConfigError` for its secret."""
        gate = Gate(self.clock)
        held = self._credential(connection)
        sign_in = SignIn(connection, tenant, held, self._transport, gate, self._documents)
        return TenantClient(self._transport, connection.graph, sign_in, gate)

    def _credential(self, connection: Connection) -> Credential:
        with self._lock:
            if connection.name not in self._credentials:
                self._credentials[connection.name] = credential(connection)
            return self._credentials[connection.name]
