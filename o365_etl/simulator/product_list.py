"""The list of products as Microsoft publishes it for download, with its traps.

A byte order mark; one row for each product and plan; a product under two names; two products under one name; blanks,
tabs and no-break spaces in part numbers; ids in capitals. Most products are made up, so that the list has the size of
the real one. `publish` makes a new edition with one more product, under a new ETag.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from uuid import NAMESPACE_URL, uuid5

from o365_etl.simulator.products import PRODUCTS
from o365_etl.simulator.transport import Request, Response

PRODUCT_LIST_PATH = "/download/products/Product%20names%20and%20service%20plan%20identifiers%20for%20licensing.csv"
_COLUMNS = (
    "Product_Display_Name",
    "String_Id",
    "GUID",
    "Service_Plan_Name",
    "Service_Plan_Id",
    "Service_Plans_Included_Friendly_Names",
)
_MADE_UP_PRODUCTS, _PLANS_OF_EACH = 520, 6
COPILOT_STUDIO_ID = "4b74a65c-8b4a-4fc8-9f6b-5177ed11ddfa"
GCC_PHONE_ID = "985fcb26-7b94-475b-b512-89356697be71"


class ProductList:
    """The list, and the answers to those who download it."""

    def __init__(self) -> None:
        self._published: list[tuple[str, str, str]] = []
        self._edition: tuple[bytes, str] | None = None

    def publish(self, name: str, part_number: str, sku_id: str) -> None:
        """A new edition that has this product too."""
        self._published.append((name, part_number, sku_id))
        self._edition = None

    def respond(self, request: Request) -> Response:
        """The list, or 304 to who has it already."""
        if request.raw_path != PRODUCT_LIST_PATH or request.method != "GET":
            return Response(404, b"There is no such file.", {"Content-Type": "text/plain"})
        content, etag = self.edition()
        headers = {"ETag": etag, "Content-Type": "application/octet-stream"}
        if request.headers.get("if-none-match") == etag:
            return Response(304, b"", headers)
        return Response(200, content, headers)

    def edition(self) -> tuple[bytes, str]:
        """The file as it is now, and its ETag."""
        if self._edition is None:
            self._edition = self._render()
        return self._edition

    def _render(self) -> tuple[bytes, str]:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(_COLUMNS)
        writer.writerows(self._rows())
        content = text.getvalue().encode("utf-8-sig")
        return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'

    def _rows(self) -> Iterable[tuple[str, ...]]:
        for product in PRODUCTS.values():
            for each in product.plans if product.name else ():
                yield product.name, product.part_number, product.sku_id, each.name, each.plan_id, each.name.title()
        for number in range(_MADE_UP_PRODUCTS):
            sku_id = str(uuid5(NAMESPACE_URL, f"o365_etl/listed/{number}"))
            for plan in range(_PLANS_OF_EACH):
                plan_id = str(uuid5(NAMESPACE_URL, f"o365_etl/listed/{number % 90}/{plan}"))
                yield f"Made-up Product {number}", f"MADE_UP_{number}", sku_id, f"PLAN_{plan}", plan_id, f"Plan {plan}"
        plan_row = ("EXCHANGE_S_FOUNDATION PBI_PREMIUM_EM1_ADDON", "113feb6c-3fe4-4440-bddc-54d774bf0318", "Exchange")
        # The old name stands above the new one
        yield "Power Virtual Agents User License", "VIRTUAL_AGENT_USL", COPILOT_STUDIO_ID, *plan_row
        yield "Microsoft Copilot Studio User License", "VIRTUAL_AGENT_USL", COPILOT_STUDIO_ID, *plan_row
        yield "Audio\u00a0Conferencing \tGCC ", "MCOCAP_\u00a0GCC\t", GCC_PHONE_ID.upper(), *plan_row
        for name, part_number, sku_id in self._published:
            yield name, part_number, sku_id, *plan_row
