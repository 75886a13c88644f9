"""A warehouse to match in, and the way to fill it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from o365_etl.normalise import normalise
from o365_etl.store.warehouse import Db, Warehouse
from o365_etl.tables import TABLES

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Db]:
    """An open warehouse, shared by the tests of a module: `fill` empties what it fills."""
    folder = tmp_path_factory.mktemp("warehouse")
    with Warehouse(folder).connect({"normalise": normalise}) as opened, opened.on_one_thread():
        yield opened


@pytest.fixture(scope="module")
def fill(db: Db) -> Callable[..., None]:
    """Sets the tables to exactly these rows, all others to none: `fill({"m365.users": [...]})`."""

    filled: set[str] = set()

    def set_tables(tables: Mapping[str, Rows]) -> None:
        with db.transaction():
            for name in filled.union(tables):
                schema = TABLES[name].arrow_schema()
                rows = [{column: row.get(column) for column in schema.names} for row in tables.get(name, ())]
                db.replace(name, pa.Table.from_pylist(rows, schema=schema), None)
        filled.update(tables)

    return set_tables
