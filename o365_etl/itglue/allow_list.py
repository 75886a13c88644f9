"""The only requests that are ever sent to IT Glue.

An IT Glue key cannot be narrowed to endpoints: whoever holds it may read every password. So the program narrows
itself, in this one table; anything else is refused before a byte is sent. Nothing is ever deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from o365_etl.errors import PermanentError

_READABLE = (
    "contact_types",
    "contacts",
    "countries",
    "flexible_asset_types",
    "flexible_assets",
    "locations",
    "organization_statuses",
    "organization_types",
    "organizations",
    "regions",
)
# Made and changed, alone or many at once. A type is only made: what people changed about it since is theirs.
_WRITABLE = ("contacts", "flexible_assets", "locations", "organizations")
_MADE = (*_WRITABLE, "flexible_asset_types")
_OF_AN_ORGANIZATION = ("contacts", "flexible_assets", "locations")


def _any_of(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


_ALLOWED = {
    "GET": re.compile(rf"/{_any_of(_READABLE)}(/[0-9]+)?", re.ASCII),
    "POST": re.compile(
        rf"/{_any_of(_MADE)}|/organizations/[0-9]+/relationships/{_any_of(_OF_AN_ORGANIZATION)}", re.ASCII
    ),
    "PATCH": re.compile(rf"/{_any_of(_WRITABLE)}(/[0-9]+)?", re.ASCII),
}

# `include` reaches into other endpoints: include=passwords would bring what the paths keep out.
_INCLUDES = frozenset({"adapters_resources"})


def check_allowed(method: str, path: str, params: Mapping[str, str]) -> None:
    """Return if the request is on the list; else raise `PermanentError` with code `not_allowed`.

    A write takes no parameters at all.
    """
    pattern = _ALLOWED.get(method)
    includes = frozenset(filter(None, params.get("include", "").split(",")))
    if (
        pattern is None
        or pattern.fullmatch(path) is None
        or not includes <= _INCLUDES
        or (method != "GET" and len(params) > 0)
    ):
        raise PermanentError(
            f"{method} {path[:60]!r} is not on the list of requests that may be sent to IT Glue",
            code="not_allowed",
            remedy="This is a mistake in the program, not in the configuration: report it.",
        )
