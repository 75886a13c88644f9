"""What products are called: the traps of the published list, who wins, and what is never believed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from landed import E3, FLOW_FREE

from o365_etl.errors import ProtocolError
from o365_etl.simulator.product_list import COPILOT_STUDIO_ID, GCC_PHONE_ID, ProductList
from o365_etl.tables import TABLES
from o365_etl.transform.catalogue import Listed, combined, product_table, read_list, shipped

HEADER = [
    "Product_Display_Name",
    "String_Id",
    "GUID",
    "Service_Plan_Name",
    "Service_Plan_Id",
    "Service_Plans_Included_Friendly_Names",
]
NEW = "d0000000-0000-4000-8000-000000000001"
FILLER = ["Filler", "FILLER", "e0000000-0000-4000-8000-000000000001", "P", "p", "Plan"]


def listing(*rows: list[str], header: list[str] = HEADER, filler: int = 3000, mark: bool = True) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([header, *[FILLER] * filler, *rows])
    return text.getvalue().encode("utf-8-sig" if mark else "utf-8")


def names(content: bytes) -> dict[str, tuple[str, str | None]]:
    return {row.sku_id: (row.name, row.part_number) for row in read_list(content)}


def test_the_shipped_table_is_well_formed() -> None:
    """Every product has a lower-case id, a name, a part number and one of the four kinds."""
    products = list(shipped())
    assert len(products) >= 89
    assert len({product.sku_id for product in products}) == len(products)
    for known in products:
        assert known.sku_id == known.sku_id.lower()
        assert known.name
        assert known.part_number
        assert known.kind in ("paid", "free", "viral", "trial")


def test_the_list_as_it_is_published() -> None:
    """A byte order mark, rows per plan, odd blanks, capitals, and an old name above the new one."""
    found = names(ProductList().edition()[0])

    assert len(found) > 500
    assert found[COPILOT_STUDIO_ID] == ("Microsoft Copilot Studio User License", "VIRTUAL_AGENT_USL")
    assert found[GCC_PHONE_ID] == ("Audio Conferencing GCC", "MCOCAP_ GCC")


@pytest.mark.parametrize("mark", [True, False])
def test_each_product_once_by_its_id(mark: bool) -> None:
    """With or without a mark; ids in any case; the last name counts; no part number is none, not an empty text."""
    rows = [["Old", "X", NEW.upper(), "", "", ""], [" New\u00a0 name\t", " ", f" {NEW} ", "", "", ""]]
    assert names(listing(*rows, mark=mark))[NEW] == ("New name", None)


def test_columns_are_found_by_name() -> None:
    """In another order, and with one more."""
    order = [2, 0, 1, 3, 4, 5]
    rows = [[*(FILLER[at] for at in order), "x"]] * 3000 + [[NEW, "Name", "PART", "", "", "", "x"]]
    content = listing(*rows, header=[*(HEADER[at] for at in order), "More"], filler=0)
    assert names(content)[NEW] == ("Name", "PART")


def test_what_cannot_be_printed_is_no_part_of_a_name() -> None:
    """A name ends up on terminals and in IT Glue."""
    assert names(listing(["A\x1b[31mB\u200b", "P\x00", NEW, "", "", ""]))[NEW] == ("A[31mB", "P")


def test_a_few_odd_rows_are_left_out() -> None:
    """A row without an id, without a name or cut short names nothing, and spoils nothing."""
    odd = [["Name", "P", "no id", "", "", ""], ["", "P", NEW, "", "", ""], ["Name", "P", NEW], ["N" * 256, "P", NEW]]
    assert NEW not in names(listing(*odd))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column Product_Display_Name"),
        (b"<!DOCTYPE html><html><body>Sign in to the proxy</body></html>", "no column"),
        (listing(header=["Product_Display_Name", "String_Id", "Guid", *HEADER[3:]]), "no column GUID"),
        (listing(filler=2999), "2999 rows"),
        (listing(["N", "P", "x", "", "", ""], filler=0), "1 rows"),
        (listing(*[["", "P", NEW, "", "", ""]] * 40), "40 rows without"),
        (listing() + b'"never closed', "no CSV"),
        (listing(mark=False).replace(b"Filler", b"F\xffller"), "no CSV"),
        ("Product_Display_Name".encode("utf-16"), "no CSV"),
        (b"x" * (33 * 1024 * 1024), "too large"),
    ],
    ids=["empty", "web page", "renamed column", "part", "tiny", "blank names", "cut", "not UTF-8", "UTF-16", "huge"],
)
def test_what_is_not_the_list_is_refused(content: bytes, words: str) -> None:
    """Another file, another layout, or a part of it: nothing of it is believed."""
    with pytest.raises(ProtocolError, match=words):
        read_list(content)


def test_who_wins() -> None:
    """Configuration, then Microsoft's list, then the shipped table, then the tenant's part number, then the id."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    listed = [Listed(E3, "Renamed E3", "SPE_E3"), Listed(NEW, "Brand new", "NEW")]
    assert shipped().name(E3, "PART") == "Microsoft 365 E3"
    assert combined(listed, {}, at).name(E3, "PART") == "Renamed E3"
    own = combined(listed, {E3: "Our E3"}, at)
    assert own.name(E3, "PART") == "Our E3"
    assert (own.name(NEW, None), own.knows(NEW), shipped().knows(NEW)) == ("Brand new", True, False)
    assert (shipped().name(NEW, "PART"), shipped().name(NEW, None)) == ("PART", NEW)


@pytest.mark.parametrize(
    ("sku_id", "part_number", "kind"),
    [
        (E3, "SPE_E3", "paid"),
        (FLOW_FREE, "PAID_NOW", "free"),
        (NEW, "NEW_THING", None),
        (NEW, None, None),
        (NEW, "NEW_FREE", "free"),
        (NEW, "NEW_VIRAL", "viral"),
        (NEW, "TEAMS_EXPLORATORY_2", "viral"),
        (NEW, "NEW-TRIAL", "trial"),
        (NEW, "INDUSTRIAL_FREEDOM", None),
    ],
)
def test_kinds(sku_id: str, part_number: str | None, kind: str | None) -> None:
    """The shipped table says it, else words of the part number; what nobody knows has none, and counts as paid."""
    assert shipped().kind(sku_id, part_number) == kind
    assert shipped().is_unpaid(sku_id, part_number) is (kind not in ("paid", None))
    # Another name changes nobody's kind, but whoever has a name and no such word is a product people pay for.
    renamed = combined([Listed(sku_id, "Renamed", part_number)], {sku_id: "Ours"})
    assert renamed.kind(sku_id, part_number) == (kind or "paid")


def test_the_table_of_products() -> None:
    """One row a product, with where its name is from; the time of the list beside its names alone."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    table = product_table(combined([Listed(NEW, "New", "NEW_TRIAL")], {E3: "Our E3", NEW[:-1] + "2": "Ours"}, at))
    rows = {row["sku_id"]: row for row in table.to_pylist()}

    assert table.schema == TABLES["m365.products"].arrow_schema()
    assert len(rows) == table.num_rows == len(shipped()) + 2
    assert (rows[NEW]["source"], rows[NEW]["kind"], rows[NEW]["fetched_at"]) == ("microsoft", "trial", at)
    assert (rows[E3]["source"], rows[E3]["product_name"], rows[E3]["fetched_at"]) == ("configuration", "Our E3", None)
    assert (rows[E3]["kind"], rows[E3]["sku_part_number"]) == ("paid", "SPE_E3")
    assert (rows[NEW[:-1] + "2"]["kind"], rows[NEW[:-1] + "2"]["sku_part_number"]) == (None, None)
    assert rows[FLOW_FREE]["source"] == "shipped"
