"""The names of products: what holds now, and the list that Microsoft publishes, fetched at most once a day.

A refresh never fails a sync: whatever goes wrong keeps the last good list, stands in the sync log, and is tried again a
day later. What does not live here: which name wins (`transform.catalogue`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec
import pyarrow as pa

from o365_etl.errors import LocalError, O365EtlError, ProtocolError
from o365_etl.graph.product_list import download
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store import sku_list
from o365_etl.store.sku_list import SkuList
from o365_etl.store.warehouse import Db
from o365_etl.transform.catalogue import Catalogue, Listed, combined, product_table, read_list

REFRESH_AFTER = timedelta(hours=24)
# A list that lost this share of its products is a part of it.
_LEAST_LEFT = 0.5
_TIME = pa.timestamp("us", tz="UTC")

Outcome = Literal["off", "recent", "unchanged", "replaced", "kept"]


class Refreshed(msgspec.Struct, frozen=True):
    """What became of a refresh. `off`: the configuration wants none; `recent`: asked less than a day ago;
    `unchanged`: Microsoft has no newer list; `kept`: `problem` stood in the way, the last good list holds.
    """

    outcome: Outcome
    products: int
    fetched_at: datetime | None
    problem: str | None = None


def catalogue_of(workspace: Workspace) -> Catalogue:
    """The names that hold now: the configuration's, then Microsoft's last good list, then those shipped."""
    copy = _last_good(workspace)
    listed = [Listed(row.sku_id, row.name, row.part_number) for row in copy.products] if copy else []
    return combined(listed, workspace.settings.catalogue.names, copy.fetched_at if copy else None)


def refresh(workspace: Workspace, run_id: str | None = None) -> Refreshed:
    """Fetch Microsoft's list if a day has passed since the last attempt."""
    at = now()
    copy = _last_good(workspace)
    settings = workspace.settings.catalogue
    outcome: Outcome = "off"
    problem = copy.problem if copy else None
    if settings.refresh:
        outcome = "recent"
        if copy is None or copy.url != settings.url or not timedelta() <= at - copy.tried_at < REFRESH_AFTER:
            outcome, copy, problem = _fetch(workspace, copy, at)
            if problem is not None:
                workspace.state.log(run_id, "warning", f"names of products: {problem}")
    return Refreshed(outcome, len(copy.products) if copy else 0, copy.fetched_at if copy else None, problem)


def load_names(db: Db, catalogue: Catalogue, at: datetime) -> None:
    """`m365.products`, and `m365.unknown_skus`: what tenants or users hold and nobody knows a name for."""
    products = product_table(catalogue)
    with db.transaction(), db.registered(known_skus=products):
        db.replace("m365.products", products, None)
        found = db.arrow_file("unknown_skus")
        seen = {row[0]: row[1] for row in db.rows("SELECT sku_id, first_seen_at FROM m365.unknown_skus")}
        first = pa.array([seen.get(sku_id, at) for sku_id in found.column("sku_id").to_pylist()], _TIME)
        db.replace("m365.unknown_skus", found.append_column("first_seen_at", first), None)


def _fetch(workspace: Workspace, copy: SkuList | None, at: datetime) -> tuple[Outcome, SkuList | None, str | None]:
    """One attempt: what it came to, the copy that holds now, and what stood in the way."""
    url = workspace.settings.catalogue.url
    same = copy if copy and copy.url == url and copy.products else None
    outcome: Outcome = "kept"
    problem: str | None = None
    after = msgspec.structs.replace(copy, tried_at=at) if copy else SkuList(url, at)
    if same is None:  # what another address said about its file says nothing about this one
        after = msgspec.structs.replace(after, url=url, etag=None, last_modified=None)
    try:
        answer = download(
            url,
            workspace.settings.ca_bundle,
            etag=same.etag if same else None,
            last_modified=same.last_modified if same else None,
        )
        if answer.content is None and same is not None:
            outcome, after = "unchanged", msgspec.structs.replace(after, problem=None)
        else:
            rows = read_list(answer.content or b"")
            products = [sku_list.Entry(row.sku_id, row.name, row.part_number) for row in rows]
            if same and len(products) < _LEAST_LEFT * len(same.products):
                raise ProtocolError(
                    f"the published list has {len(products)} products where it had {len(same.products)}",
                    code="product_list",
                    remedy="Look at what `catalogue.url` leads to; until then the last good list holds.",
                )
            outcome, after = "replaced", SkuList(url, at, None, at, answer.etag, answer.last_modified, products)
    except O365EtlError as error:
        problem = error.line
        after = msgspec.structs.replace(after, problem=problem)
    try:
        sku_list.write(workspace.data_dir, after)
    except LocalError as error:
        return "kept", copy, error.line
    return outcome, after, problem


def _last_good(workspace: Workspace) -> SkuList | None:
    try:
        return sku_list.read(workspace.data_dir)
    except LocalError:
        return None  # the next attempt to write says what is wrong with the file
