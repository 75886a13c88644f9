"""Which page of a list a reader asks for; whatever is no number counts as not asked."""

from __future__ import annotations

from starlette.requests import Request

# Longer is no page that anybody turned to.
_DIGITS = 8


def asked_page(request: Request) -> int:
    """The page that the address names in `page`, from 1."""
    text = request.query_params.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 1


def page_of(request: Request, rows: int, size: int) -> tuple[int, int]:
    """That page within those that there are of so many rows, and how many there are."""
    pages = max(1, -(-rows // size))
    return min(asked_page(request), pages), pages
