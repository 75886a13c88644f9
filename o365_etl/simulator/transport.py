"""HTTPS on loopback: one thread per connection, HTTP/1.1 keep-alive, nothing that costs time.

What lives here: reading requests, writing answers, and the ways in which a wire can fail (a reset in mid-body, a body
shorter than announced). What an answer says is the services' business. Bodies are never compressed, whatever
`Accept-Encoding` asks for: the benchmarks measure the client, not zlib.

`http.server` is not used because its header parser costs more than a whole answer here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from http import HTTPStatus
from io import BufferedReader
from typing import Literal
from urllib.parse import parse_qsl, unquote

HEADER_LIMIT = 64 * 1024
BODY_LIMIT = 8 * 1024 * 1024
Damage = Literal["reset", "truncated"]
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(slots=True, weakref_slot=True)
class Request:
    """One request; `headers` has lower-case names, `raw_path` and `raw_query` are as received."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes = b""
    _query: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path)

    @property
    def query(self) -> dict[str, str]:
        """The query options, decoded; a repeated option keeps its last value."""
        if self._query is None:
            self._query = dict(parse_qsl(self.raw_query, keep_blank_values=True))
        return self._query


@dataclass(slots=True)
class Response:
    """One answer. `chunked` sends it without a Content-Length, as Graph does; `damage` breaks it on the wire."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    damage: Damage | None = None


Handler = Callable[[Request], Response]


class HttpsServer:
    """Listens on 127.0.0.1 as soon as it is made; `start` begins to answer, `stop` ends every connection."""

    def __init__(self, context: ssl.SSLContext, port: int = 0) -> None:
        self._context = context
        self._handler: Handler | None = None
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, name="simulator-accept", daemon=True)

    @cached_property
    def port(self) -> int:
        """The port in use."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The origin, `https://localhost:PORT`."""
        return f"https://localhost:{self.port}"

    def start(self, handler: Handler) -> None:
        """Begin to answer with `handler`, which is called from many threads."""
        self._handler = handler
        self._acceptor.start()

    def stop(self) -> None:
        """Close the listener and all connections, and wait for the threads to end."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._acceptor.is_alive():
            self._acceptor.join(timeout=5)
        with self._lock:
            open_connections, threads = list(self._connections), list(self._threads)
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
            thread = threading.Thread(target=self._serve, args=(raw,), name="simulator-connection", daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        """One connection from handshake to end; the handshake is here so that a slow peer holds up nobody else."""
        connection: socket.socket = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            connection = tls
            with self._lock:
                self._connections.add(tls)
            tls.do_handshake()
            with tls.makefile("rb") as stream:
                while not self._stopping and self._exchange(tls, stream):
                    pass
        except OSError:
            pass  # the peer went away: this connection ends, the server goes on
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())
            connection.close()
            raw.close()

    def _exchange(self, connection: socket.socket, stream: BufferedReader) -> bool:
        """Answer one request; False when the connection is at its end."""
        try:
            request = read_request(stream)
        except ValueError:
            return False  # the peer does not speak HTTP
        if request is None or self._handler is None:
            return False
        response = self._handler(request)
        keep = request.headers.get("connection", "").lower() != "close" and response.damage is None
        _write(connection, request, response, keep)
        return keep


def read_request(stream: BufferedReader) -> Request | None:
    """The next request of a connection, or None at its end. Raises `ValueError` on a malformed one."""
    line = stream.readline(HEADER_LIMIT)
    if not line:
        return None
    method, target, version = line.decode("latin-1").split()
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1.x")
    headers: dict[str, str] = {}
    while True:
        line = stream.readline(HEADER_LIMIT)
        if line in (b"\r\n", b"\n"):
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("malformed header line")
        headers[name.strip().lower()] = value.strip()
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, _read_body(stream, headers))


def _read_body(stream: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(stream.readline(HEADER_LIMIT).split(b";")[0], 16):
            body += stream.read(size)
            stream.readline(HEADER_LIMIT)
            if len(body) > BODY_LIMIT:
                raise ValueError("body too large")
        stream.readline(HEADER_LIMIT)
        return body
    length = int(headers.get("content-length", "0"))
    if length > BODY_LIMIT:
        raise ValueError("body too large")
    return stream.read(length) if length else b""


def _write(connection: socket.socket, request: Request, response: Response, keep: bool) -> None:
    body = response.body
    phrase = _PHRASES.get(response.status, "Unknown")
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    if "Date" not in response.headers:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    chunked = response.chunked and response.damage is None and bool(body) and request.method != "HEAD"
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif response.status not in (204, 304):
        lines.append(f"Content-Length: {len(body) + (1000 if response.damage else 0)}")
    if not keep:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if request.method == "HEAD":
        body = b""
    if response.damage:
        body = body[: max(1, len(body) // 2)]
    parts = [head, body]
    if chunked:
        parts = [head + b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"]
    if len(body) < 16_384:
        parts = [b"".join(parts)]  # one packet; a large body is not copied once more
    for part in parts:
        connection.sendall(part)
    if response.damage == "reset":
        # With a zero linger time, close() sends RST instead of FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
