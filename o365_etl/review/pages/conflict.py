"""What two people at once come to: somebody decided first, and the second is asked whether he wants it still.

What does not live here: what either of them wanted, which the pages say (`matching`, `ambiguous`).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.review.answering import page, way_back
from o365_etl.review.forms import Form

LONGEST_REASON = 500


def conflict(request: Request, form: Form, **shown: Any) -> Response:
    """The page that asks; what the person typed stays in its form."""
    why = form.get("why")[:LONGEST_REASON]
    fields = {**shown.pop("fields"), "why": why or None}
    kept_back = way_back(form, shown["leave"])
    return page(request, "conflict.html", {**shown, "fields": fields, "why": why, "kept_back": kept_back}, status=409)
