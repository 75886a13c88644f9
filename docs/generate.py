"""Writes `docs/tables.md` from the table contract, or with `--check` says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from o365_etl.tables import TABLES, Table

PAGE = Path(__file__).with_name("tables.md")
INTRODUCTION = """# Tables

Every table of `o365.duckdb`, generated from `o365_etl/tables.py` by `make docs`. Names and columns are a public
contract: they may be added to, never renamed. Identifiers are text; times are UTC with their zone; NULL means *not
known* or *empty*, and where the two could be confused a reason stands beside it. Tables marked *personal data* hold
people's names or addresses. `docs/query.md` has examples.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "| table | key | meaning |", "| --- | --- | --- |"]
    parts += [
        f"| [`{name}`](#{name.replace('.', '')}) | {', '.join(table.key)} | {table.description} |"
        for name, table in TABLES.items()
    ]
    return "\n".join(parts) + "\n" + "".join(_section(table) for table in TABLES.values())


def _section(table: Table) -> str:
    lines = [f"\n## {table.full_name}\n", table.description + (" *Personal data.*" if table.personal else ""), ""]
    lines += ["| column | type | meaning |", "| --- | --- | --- |"]
    for column in table.columns:
        words = f" One of: {', '.join(f'`{word}`' for word in column.values)}." if column.values else ""
        key = " **Key.**" if column.name in table.key else ""
        lines.append(f"| `{column.name}` | {column.type} | {column.description}{words}{key} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    if "--check" not in arguments:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write("docs/tables.md is not what the table contract says: run `make docs`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
