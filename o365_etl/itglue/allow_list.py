"""The only requests that are ever sent to IT Glue.

An IT Glue key cannot be narrowed to endpoints: whoever holds it may read every password. So the program narrows
itself, in this one table; anything else is refused before a byte is sent.
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
_ALLOWED = {"GET": re.compile(rf"/({'|'.join(_READABLE)})(/[0-9]+)?", re.ASCII)}

# `include` reaches into other endpoints: include=passwords would bring what the paths keep out.
_INCLUDES = frozenset({"adapters_resources"})


def check_allowed(method: str, path: str, params: Mapping[str, str]) -> None:
    """Return if the request is on the list; else raise `PermanentError` with code `not_allowed`."""
    pattern = _ALLOWED.get(method)
    includes = frozenset(filter(None, params.get("include", "").split(",")))
    if pattern is None or pattern.fullmatch(path) is None or not includes <= _INCLUDES:
        raise PermanentError(
            f"{method} {path[:60]!r} is not on the list of requests that may be sent to IT Glue",
            code="not_allowed",
            remedy="This is a mistake in the program, not in the configuration: report it.",
        )
