"""Active integrations: each connection, its tenants, when it was synced and will be; a sync started by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from o365_etl.pipeline import reporting
from o365_etl.review.answering import back, desk_of, page, workspace_of
from o365_etl.review.forms import Form


def show(request: Request) -> Response:
    """The integrations."""
    found = reporting.status(workspace_of(request))
    return page(request, "integrations.html", found)


def activity(request: Request) -> Response:
    """What goes on, for the line at the top of every page."""
    return JSONResponse(asdict(desk_of(request).activity()))


def sync(request: Request, form: Form) -> Response:
    """Start a sync."""
    desk_of(request).worker.ask("sync")
    return back(request, form, "/", "The sync was started.")


PAGES: Mapping[str, Callable[[Request], Response]] = {"/": show, "/activity": activity}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {"/sync": sync}
