"""To come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.review.forms import Form

PAGES: Mapping[str, Callable[[Request], Response]] = {}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {}
