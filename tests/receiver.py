"""A web service on loopback that takes the messages of alerts, as a chat or a ticket system would."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

# Part of every address, as the token of a chat's web hook is: must never be seen anywhere.
TOKEN = "T0ken-0f-The-H00k"
# Apprise imports a module that Python 3.13 has no more: its own, not ours to mend.
NOT_OURS = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Receiver:
    """Records every message it takes; `status` is what it answers. May be stopped and started again on its port."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.messages: list[dict[str, Any]] = []
        self.calls = 0
        self.status = 200
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Its address as apprise writes it."""
        return f"json{'s' if self._certificate else ''}://localhost:{self.port}/{TOKEN}"

    @property
    def titles(self) -> list[str]:
        """The titles of the messages, in order."""
        return [message["title"] for message in self.messages]

    def start(self) -> None:
        """Listen; at the port of before, if it did already."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls += 1
                if outer.status == 200:
                    outer.messages.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Answer nothing any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def listen(folder: Path, *addresses: str) -> str:
    """The configuration by which alerts go to these addresses; they are secrets in files, as it should be."""
    files = []
    for address in addresses:
        path = folder / f"target-{len(list(folder.glob('target-*')))}"
        path.write_text(address, encoding="utf-8")
        files.append(f"{{ file = {json.dumps(str(path))} }}")
    return f"[alerts]\ntargets = [{', '.join(files)}]\n"
