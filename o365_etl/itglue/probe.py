"""One question to IT Glue that tells whether the key is valid, and how much it sees.

Whether a key may write cannot be asked without writing, so it is not asked; passwords are never asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from o365_etl.config import ITGLUE_REGIONS, ItGlue
from o365_etl.errors import O365EtlError
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.paging import Record


@dataclass(frozen=True)
class KeyAnswer:
    """What the key may see: `organizations` is how many (None: not told), `error` why nothing."""

    organizations: int | None = None
    error: O365EtlError | None = None


class _Meta(msgspec.Struct, rename="kebab"):
    total_count: int | None = None


class _Page(msgspec.Struct):
    data: list[Record]
    meta: _Meta = msgspec.field(default_factory=_Meta)


def ask_key(settings: ItGlue, ca_bundle: Path | None) -> KeyAnswer:
    """Ask for one organization. Never raises an `O365EtlError`: it is part of the answer."""
    try:
        with ItGlueClient(settings, ca_bundle) as client:
            page, _ = client.get("/organizations", {"page[size]": "1"}, _Page, Spent())
    except O365EtlError as error:
        return KeyAnswer(error=error)
    return KeyAnswer(len(page.data) if page.meta.total_count is None else page.meta.total_count)


def region_in_use(settings: ItGlue) -> str:
    """Which region the key is used in, and which others there are, as a sentence."""
    if settings.base_url:
        return "`itglue.base_url` is set, so no region is used."
    others = ", ".join(region for region in ITGLUE_REGIONS if region != settings.region)
    return f"The region in use is {settings.region}; the others are {others}."
