"""What every request must pass and every answer bears: known host names only, and headers that leave a page nothing to
load, run or be framed by but its own.

What does not live here: who is signed in (`access`).
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it browsers send no Origin with a form, by which forged ones are told.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # People's data: neither a proxy nor the back button of the next person shows it.
    "Cache-Control": "no-store",
}
OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Shield:
    """The outermost layer of the website."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = {host.lower() for host in (*OWN_NAMES, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a foreign host name with 400, pass on everything else."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        # A name that an attacker's page made point to this machine would make that page and this one the same origin.
        if _host_name(Request(scope).headers.get("host", "")) not in self._hosts:
            await PlainTextResponse("This name is not known here.", 400)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def _host_name(host: str) -> str:
    """Without the port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
