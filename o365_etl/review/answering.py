"""What a page answers with: a template, or the way back after a form with a sentence about what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.access import Session
from o365_etl.review.desk import Desk
from o365_etl.review.forms import Form


def page(request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A page of ours; what every page shows is added here."""
    session, desk = session_of(request), desk_of(request)
    text = request.app.state.templates.get_template(template).render(
        session=session,
        csrf=session.csrf,
        here=request.url.path,
        this=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        notes=session.take_notes(),
        activity=desk.activity(),
        has_proxy=request.app.state.access.is_by_header,
        **context,
    )
    return HTMLResponse(text, status)


def told(request: Request, status: int, message: str, remedy: str | None) -> HTMLResponse:
    """What went wrong, and the mend."""
    return page(request, "problem.html", {"message": message, "remedy": remedy}, status=status)


def back(
    request: Request, form: Form, otherwise: str, text: str = "", kind: Literal["done", "told", "wrong"] = "done"
) -> RedirectResponse:
    """To the page of this site that the form names in `back`, else to `otherwise`; with a sentence."""
    if text:
        session_of(request).note(kind, text)
    return RedirectResponse(way_back(form, otherwise), 303)


def way_back(form: Form, otherwise: str) -> str:
    """The page of this site that the form names in `back`, else `otherwise`."""
    wanted = form.get("back")
    return wanted if _is_ours(wanted) else otherwise


def _is_ours(address: str) -> bool:
    """A path of this site. Browsers read `//name` as another site, `\\` as `/`, and drop tabs and line ends."""
    return address.startswith("/") and address[1:2] not in ("/", "\\") and address.isprintable()


def session_of(request: Request) -> Session:
    """Who asks."""
    session: Session = request.state.session
    return session


def desk_of(request: Request) -> Desk:
    """What all pages share."""
    desk: Desk = request.app.state.desk
    return desk


def workspace_of(request: Request) -> Workspace:
    """The installation."""
    return desk_of(request).workspace
