"""Opens the address of the website and says how to come in.

What does not live here: who may (`access`), and which addresses are refused (`config.Review`).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import uvicorn

from o365_etl.errors import LocalError
from o365_etl.pipeline.workspace import now
from o365_etl.review.access import Access
from o365_etl.review.app import build
from o365_etl.review.desk import Desk


class Website:
    """One running website. `url` is where it is, `link` how to come in, once (empty behind a proxy)."""

    def __init__(
        self,
        config: Path | None,
        *,
        who: str,
        port: int | None,
        on_link: Callable[[str], None],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._desk = Desk(config, who=who, on_sign_in=lambda token: on_link(self._link(token)))
        review = self._desk.settings.review
        self._access = Access(review, clock)
        self._socket = _listen(review.host, review.port if port is None else port)
        host = f"[{review.host}]" if ":" in review.host else review.host
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                build(self._desk, self._access),
                # The address of a request would stand in the log with its sign-in token, and people's names in others.
                access_log=False,
                log_level="warning",
                # Who a request comes from is what the proxy's address proves, not what a header claims.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=3,
            )
        )

    @property
    def link(self) -> str:
        """The sign-in link that is good now."""
        return "" if self._access.is_by_header else self._link(self._access.token)

    def serve(self) -> None:
        """Answer until the process is told to stop."""
        with contextlib.closing(self._socket):
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Make `serve` return."""
        self._server.should_exit = True

    @property
    def is_ready(self) -> bool:
        """Whether it answers by now."""
        return self._server.started

    def _link(self, token: str) -> str:
        return f"{self.url}/sign-in?token={token}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        # From here on a browser waits for the answer instead of being refused: the link is shown before it is served.
        made.listen()
    except OSError as error:
        raise LocalError(
            f"the website cannot listen on {host}:{port} ({error.strerror})",
            remedy="Stop what listens there, or give another --port.",
        ) from error
    return made
