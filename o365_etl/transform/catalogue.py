"""What Microsoft's products are called, and which of them cost something.

The facts are in `sku_catalogue.csv`: name, part number, id, kind. `paid` is a product people work with (the
educational A1 suites too, which cost a school nothing), `free` comes with a tenant or belongs to a device or a
feature, `viral` is what a user gave himself, `trial` ends by itself. Products are looked up by id alone: names and
part numbers are not unique, and part numbers mislead.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import msgspec

Kind = Literal["paid", "free", "viral", "trial"]

# Words of a part number that no paid product carries.
_UNPAID_PART_NUMBER = re.compile(r"(?:^|[_\W])(?:FREE|VIRAL|V?TRIAL|ADHOC|EXPLORATORY)(?:$|[_\W])", re.IGNORECASE)


class Product(msgspec.Struct, frozen=True):
    """One product of the catalogue."""

    sku_id: str
    name: str
    part_number: str
    kind: Kind


@cache
def catalogue() -> Mapping[str, Product]:
    """Every known product by its id (lower case)."""
    text = files("o365_etl.transform").joinpath("sku_catalogue.csv").read_text(encoding="utf-8")
    products: dict[str, Product] = {}
    for row in csv.DictReader(text.splitlines()):
        kind = next(kind for kind in get_args(Kind) if kind == row["kind"])
        products[row["sku_id"]] = Product(row["sku_id"], row["product_name"], row["sku_part_number"], kind)
    return products


def product_name(sku_id: str, part_number: str | None) -> str:
    """The product's name; the part number, then the id, where the catalogue does not know it."""
    product = catalogue().get(sku_id)
    return product.name if product else part_number or sku_id


def is_unpaid(sku_id: str, part_number: str | None) -> bool:
    """True for a free, viral or trial product, by catalogue or by the words of its part number."""
    product = catalogue().get(sku_id)
    if product is not None:
        return product.kind != "paid"
    return part_number is not None and _UNPAID_PART_NUMBER.search(part_number) is not None
