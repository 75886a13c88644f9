"""What Microsoft's products are called, and which of them cost something.

Three sources, the first that knows a product wins: the names of the configuration, Microsoft's published list, and the
small table `sku_catalogue.csv` that comes with the program. The table also says the kind: `paid` is a product people
work with (the educational A1 suites too, which cost a school nothing), `free` comes with a tenant or belongs to a
device or a feature, `viral` is what a user gave himself, `trial` ends by itself. Products are looked up by id alone:
names and part numbers are not unique, and part numbers mislead.

What does not live here: the download of the list (`graph`) and its last good copy (`store`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import msgspec
import pyarrow as pa

from o365_etl.config import is_guid
from o365_etl.errors import ProtocolError
from o365_etl.tables import TABLES

Kind = Literal["paid", "free", "viral", "trial"]
Source = Literal["shipped", "microsoft", "configuration"]

# Words of a part number that no paid product carries.
_UNPAID_WORDS: Mapping[str, Kind] = {
    "FREE": "free",
    "VIRAL": "viral",
    "ADHOC": "viral",
    "EXPLORATORY": "viral",
    "TRIAL": "trial",
    "VTRIAL": "trial",
}
_UNPAID_PART_NUMBER = re.compile(rf"(?:^|[_\W])({'|'.join(_UNPAID_WORDS)})(?:$|[_\W])", re.IGNORECASE)

# The published list: one row for each product and plan, 5,990 of them in 2026 (1.1 MB). Anything much smaller or
# larger, or with other columns, is another file under the same address.
_COLUMNS = (
    "Product_Display_Name",
    "String_Id",
    "GUID",
    "Service_Plan_Name",
    "Service_Plan_Id",
    "Service_Plans_Included_Friendly_Names",
)
_FEWEST_ROWS = 3_000
_MOST_BYTES = 32 * 1024 * 1024
_UNREADABLE_SHARE = 0.01
_LONGEST_NAME = 255


class Product(msgspec.Struct, frozen=True):
    """One product of the catalogue; `kind` is None where neither the shipped table nor its part number tells it."""

    sku_id: str
    name: str
    part_number: str | None
    kind: Kind | None
    source: Source
    fetched_at: datetime | None = None


class Listed(msgspec.Struct, frozen=True):
    """One product of Microsoft's list."""

    sku_id: str
    name: str
    part_number: str | None


class Catalogue:
    """The products that have a name, by their id (lower case)."""

    def __init__(self, products: Mapping[str, Product]) -> None:
        self._products = products

    def __len__(self) -> int:
        return len(self._products)

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def get(self, sku_id: str) -> Product | None:
        """The product; None if nobody knows a name for it."""
        return self._products.get(sku_id)

    def knows(self, sku_id: str) -> bool:
        """True if the product has a name."""
        return sku_id in self._products

    def name(self, sku_id: str, part_number: str | None) -> str:
        """The product's name; the tenant's part number, then the id, where nobody knows one."""
        product = self._products.get(sku_id)
        return product.name if product else part_number or sku_id

    def kind(self, sku_id: str, part_number: str | None) -> Kind | None:
        """What kind of product it is; None if nothing tells. `part_number` is the tenant's word for it."""
        product = self._products.get(sku_id)
        if product is not None and product.kind is not None:
            return product.kind
        return _kind_by_words(part_number) or ("paid" if product else None)

    def is_unpaid(self, sku_id: str, part_number: str | None) -> bool:
        """True for a free, viral or trial product. What is not known to be one of these is none."""
        return self.kind(sku_id, part_number) not in ("paid", None)


@cache
def shipped() -> Catalogue:
    """The products of the table that comes with the program."""
    text = files("o365_etl.transform").joinpath("sku_catalogue.csv").read_text(encoding="utf-8")
    products: dict[str, Product] = {}
    for row in csv.DictReader(text.splitlines()):
        kind = next(kind for kind in get_args(Kind) if kind == row["kind"])
        products[row["sku_id"]] = Product(row["sku_id"], row["product_name"], row["sku_part_number"], kind, "shipped")
    return Catalogue(products)


def combined(listed: Sequence[Listed], names: Mapping[str, str], fetched_at: datetime | None = None) -> Catalogue:
    """The shipped table, over it Microsoft's list (of `fetched_at`), over both the configuration's own names."""
    products = {product.sku_id: product for product in shipped()}
    for row in listed:
        known = products.get(row.sku_id)
        kind = known.kind if known else _kind_by_words(row.part_number)
        part_number = row.part_number or (known.part_number if known else None)
        products[row.sku_id] = Product(row.sku_id, row.name, part_number, kind, "microsoft", fetched_at)
    for sku_id, name in names.items():
        known = products.get(sku_id)
        part_number, kind = (known.part_number, known.kind) if known else (None, None)
        products[sku_id] = Product(sku_id, name, part_number, kind, "configuration")
    return Catalogue(products)


def read_list(content: bytes) -> list[Listed]:
    """The products of Microsoft's published list, each once: where it stands there with two names, the last counts.

    Raises `ProtocolError` if this is not that list, or only a part of it.
    """
    if len(content) > _MOST_BYTES:
        raise _not_the_list("is far too large")
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _not_the_list("is no CSV file") from error
    names = [name.strip() for name in rows[0]] if rows else []
    if missing := [name for name in _COLUMNS if name not in names]:
        raise _not_the_list(f"has no column {missing[0]}")
    if len(rows) - 1 < _FEWEST_ROWS:
        raise _not_the_list(f"has {len(rows) - 1} rows, fewer than {_FEWEST_ROWS}")
    name_at, part_number_at, id_at = (names.index(name) for name in _COLUMNS[:3])
    products: dict[str, Listed] = {}
    unreadable = 0
    for row in rows[1:]:
        full = len(row) == len(names)
        sku_id = row[id_at].strip().lower() if full else ""
        name = _folded(row[name_at]) if full else ""
        if not is_guid(sku_id) or not 0 < len(name) <= _LONGEST_NAME:
            unreadable += 1
            continue
        products[sku_id] = Listed(sku_id, name, _folded(row[part_number_at]) or None)
    if unreadable > _UNREADABLE_SHARE * len(rows):
        raise _not_the_list(f"has {unreadable} rows without a product's id and name")
    return list(products.values())


def product_table(catalogue: Catalogue) -> pa.Table:
    """`m365.products`."""
    rows = [
        {
            "sku_id": product.sku_id,
            "product_name": product.name,
            "sku_part_number": product.part_number,
            "kind": product.kind or ("paid" if product.part_number else None),
            "source": product.source,
            "fetched_at": product.fetched_at,
        }
        for product in catalogue
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["m365.products"].arrow_schema())


def _kind_by_words(part_number: str | None) -> Kind | None:
    found = _UNPAID_PART_NUMBER.search(part_number) if part_number else None
    return _UNPAID_WORDS[found[1].upper()] if found else None


def _folded(text: str) -> str:
    # The list has blanks, tabs and no-break spaces where none belong; what cannot be printed never reaches a terminal.
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def _not_the_list(what: str) -> ProtocolError:
    return ProtocolError(
        f"the published list of products {what}",
        code="product_list",
        remedy="Look at what `catalogue.url` leads to; until then the names of the last good list hold.",
    )
