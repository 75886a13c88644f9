"""The website as one Starlette application: its routes, who is let in, and what an error looks like.

What does not live here: what a page shows (`pages`), and the address it listens on (`serving`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from o365_etl.errors import ConfigError, ConflictError, NotFoundError, O365EtlError
from o365_etl.review.access import COOKIE, Access, Session, is_same_token
from o365_etl.review.answering import told
from o365_etl.review.desk import Desk
from o365_etl.review.forms import Form
from o365_etl.review.pages import accepting, ambiguous, contact, log, matching, organization, overview, plan, start
from o365_etl.review.rendering import environment
from o365_etl.review.shield import Shield

# A form with an answer for each of five thousand tenants.
_LARGEST_FORM = 2_000_000
_NEVER_ENDING = 50_000_000
_PUBLIC = ("/sign-in", "/static/", "/health")
_BROKEN = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Not done · o365_etl</title><link rel="stylesheet" href="/static/review.css"></head>
<body class="outside"><main>
<h1>Something went wrong here</h1>
<p>The terminal of the website shows what. <a href="/">To the integrations</a></p>
</main></body>
</html>
"""
# Fixed addresses before those with a tenant in them: `/matching/accept-all` is no tenant.
PAGES = (start, overview, accepting, matching, ambiguous, contact, organization, plan, log)


def build(desk: Desk, access: Access) -> ASGIApp:
    """The application for one installation."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(desk.worker.close)

    routes: list[BaseRoute] = [
        Route("/sign-in", _sign_in),
        Route("/health", lambda _: Response(status_code=204)),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        Route("/sign-out", _guarded_form(_sign_out), methods=["POST"]),
    ]
    for page in PAGES:
        routes += [Route(path, _page(handler)) for path, handler in page.PAGES.items()]
        routes += [Route(path, _guarded_form(handler), methods=["POST"]) for path, handler in page.FORMS.items()]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(_LetIn, access=access)],
        exception_handlers={404: _not_there, 405: _not_there, Exception: _broken},
    )
    app.state.desk = desk
    app.state.access = access
    app.state.templates = environment()
    # Outside of everything, so that also the answer to an error of ours bears the headers.
    return Shield(app, desk.hosts)


class _LetIn:
    """Puts the session at `request.state.session`; whoever has none gets the page that says how to come in."""

    def __init__(self, app: Any, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        if scope["type"] != "http" or any(request.url.path.startswith(prefix) for prefix in _PUBLIC):
            await self._app(scope, receive, send)
            return
        cookie = request.cookies.get(_cookie_name(request))
        if self._access.is_by_header:
            client = request.client.host if request.client else None
            session = self._access.by_header(client, request.headers.getlist(self._access.header), cookie)
        else:
            session = self._access.by_cookie(cookie)
        if session is None:
            await _outside(request)(scope, receive, send)
            return
        scope.setdefault("state", {})["session"] = session
        # The proxy named somebody whom the cookie, if there is one, does not stand for (any more).
        value = None if self._access.by_cookie(cookie) is session else self._access.cookie_of(session)

        async def send_with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start" and value is not None:
                _keep(message, value, request)
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def _keep(message: Any, value: str, request: Request) -> None:
    holder = Response()
    _set_cookie(holder, value, request)
    message["headers"] = [*message["headers"], *[h for h in holder.raw_headers if h[0] == b"set-cookie"]]


def _set_cookie(answer: Response, value: str, request: Request) -> None:
    # Lax, not strict: a link in an alert opens its page.
    answer.set_cookie(_cookie_name(request), value, httponly=True, samesite="lax", secure=_is_secure(request))


def _cookie_name(request: Request) -> str:
    """With the port: browsers do not tell by it whose cookie one is, and this machine may serve two installations."""
    return f"{COOKIE}_{request.scope['server'][1]}"


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"


def _page(handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_said, request, lambda: handler(request))

    return answer


def _guarded_form(handler: Callable[[Request, Form], Response]) -> Callable[[Request], Any]:
    """A form is taken only from a page of ours made for this session."""

    async def answer(request: Request) -> Response:
        body, size = b"", 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= _LARGEST_FORM:
                body += chunk
            elif size > _NEVER_ENDING:
                break
        # What is too large is read to its end all the same: a browser that still sends does not hear the answer.
        if size > _LARGEST_FORM:
            return await run_in_threadpool(
                told, request, 413, "This form is too large.", "Choose fewer entries at once."
            )
        form = Form(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        session: Session = request.state.session
        if not _is_own_page(request) or not is_same_token(form.get("csrf"), session):
            return await run_in_threadpool(
                told,
                request,
                403,
                "This form was not made by this page, or the session has changed since.",
                "Nothing was done. Load the page again and repeat it.",
            )
        return await run_in_threadpool(_said, request, lambda: handler(request, form))

    return answer


def _is_own_page(request: Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _said(request: Request, work: Callable[[], Response]) -> Response:
    """The answer, or the error as a page with its mend."""
    try:
        return work()
    except O365EtlError as error:
        status = 503
        if isinstance(error, NotFoundError):
            status = 404
        elif isinstance(error, ConflictError):
            status = 409
        elif isinstance(error, ConfigError):
            status = 400
        return told(request, status, error.message, error.remedy)


def _outside(request: Request) -> Response:
    access: Access = request.app.state.access
    text = request.app.state.templates.get_template("outside.html").render(has_proxy=access.is_by_header)
    return HTMLResponse(text, 401)


def _sign_in(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    access: Access = request.app.state.access
    token = request.query_params.get("token")
    if access.is_by_header or not token:
        return _outside(request)
    session = access.sign_in(token, desk.who)
    if session is None:
        return _outside(request)
    desk.signed_in(access.token)
    answer = RedirectResponse("/", 303)
    _set_cookie(answer, access.cookie_of(session), request)
    return answer


def _sign_out(request: Request, _: Form) -> Response:
    request.app.state.access.sign_out(request.state.session)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(_cookie_name(request))
    return answer


async def _not_there(request: Request, error: Exception) -> Response:
    if not hasattr(request.state, "session"):
        return _outside(request)
    if isinstance(error, HTTPException) and error.status_code == 405:
        answer = await run_in_threadpool(told, request, 405, "This address cannot be asked in this way.", None)
        answer.headers.update(error.headers or {})
        return answer
    return await run_in_threadpool(told, request, 404, "There is no such page.", None)


async def _broken(request: Request, _: Exception) -> Response:
    # Starlette raises it again for the server's log; the browser gets no trace.
    return HTMLResponse(_BROKEN, 500)
