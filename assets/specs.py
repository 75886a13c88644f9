"""What Dagster shows of a table, taken from its contract: description, columns, group, kinds, owners.

Metadata stays in Dagster's event log for ever, so it carries counts and aggregates, never a row of personal data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from o365_etl.tables import TABLES, Table

OWNERS = ["team:data-engineering"]
KINDS: Mapping[str, set[str]] = {
    "m365": {"python", "duckdb", "azure"},
    "itglue": {"python", "duckdb"},
    "match": {"python", "duckdb"},
    "compare": {"sql", "duckdb"},
    "history": {"sql", "duckdb"},
    "sync": {"python", "duckdb"},
}


def key(table: str) -> dg.AssetKey:
    """`schema.table` as an asset key."""
    return dg.AssetKey(table.split("."))


def tables_of(*schemas: str) -> tuple[str, ...]:
    """The full names of all tables of these schemas."""
    return tuple(name for name, table in TABLES.items() if table.schema in schemas)


def _attributes(table: Table) -> dict[str, Any]:
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            column.description,
            constraints=dg.TableColumnConstraints(nullable=column.name not in table.key),
        )
        for column in table.columns
    ]
    return {
        "description": table.description,
        "group_name": table.schema,
        "kinds": KINDS[table.schema],
        "owners": OWNERS,
        "metadata": {
            "dagster/column_schema": dg.TableSchema(columns),
            "dagster/table_name": table.full_name,
            "key": ", ".join(table.key),
            "personal data": table.personal,
        },
    }


def spec(table: str, deps: Sequence[str] = ()) -> dg.AssetSpec:
    """The asset of one table; `deps` are other tables."""
    return dg.AssetSpec(key(table), deps=[key(dep) for dep in deps], **_attributes(TABLES[table]))


def out(table: str) -> dg.AssetOut:
    """The same, as an output of a graph of ops."""
    return dg.AssetOut(key=key(table), dagster_type=dg.Nothing, **_attributes(TABLES[table]))


def counted(counts: Mapping[str, int], title: str) -> dg.MetadataValue:
    """Aggregates as a small table, largest first."""
    lines = [f"| {title} | number |", "| --- | ---: |"]
    lines += [f"| {name} | {count:,} |" for name, count in sorted(counts.items(), key=lambda item: -item[1])]
    return dg.MetadataValue.md("\n".join(lines))
