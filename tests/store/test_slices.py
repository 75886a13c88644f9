"""A user is in the same slice wherever that is asked."""

from __future__ import annotations

import uuid

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.slices import SLICES, slice_in_sql, slice_of

SQL = f"SELECT {slice_in_sql('?::VARCHAR')}"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(str.lower))
def test_python_and_sql_agree(user_id: str) -> None:
    row = duckdb.connect().execute(SQL, [user_id, user_id]).fetchone()
    assert row == (slice_of(user_id),)


def test_who_has_no_id_is_in_no_slice() -> None:
    assert duckdb.connect().execute(SQL, [None, None]).fetchone() == (None,)
    with pytest.raises(IndexError):
        slice_of("")


def test_object_ids_fill_most_slices() -> None:
    found = {slice_of(str(uuid.UUID(int=number * 0x9E3779B97F4A7C15 % 2**128))) for number in range(10_000)}
    assert len(found) > SLICES // 2
    assert found <= set(range(SLICES))
