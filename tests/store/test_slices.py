"""A user is in the same slice wherever that is asked."""

from __future__ import annotations

import uuid
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.slices import SLICES, slice_in_sql, slice_of
from o365_etl.store.marks import SliceBasis, unconcluded_slices
from o365_etl.store.warehouse import Db, Warehouse

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


BASIS = SliceBasis(users=("m365.users",))


def _due(db: Db) -> set[tuple[str, int]]:
    """The slices to conclude about, and it is done."""
    with unconcluded_slices(db, "versions", ["t"], BASIS) as due:
        return set(db.rows(f"SELECT tenant_id, slice FROM {due}"))


def _be(db: Db, *users: str) -> None:
    db.execute("DELETE FROM m365.users")
    for user in users:
        db.execute("INSERT INTO m365.users (tenant_id, user_id) VALUES ('t', ?)", [user])


def test_slices_are_due_when_something_of_them_changed(tmp_path: Path) -> None:
    """The first time all of them, for something may be left of a time that nobody remembers."""
    with Warehouse(tmp_path).connect() as db:
        _be(db, "u1", "u2")
        assert _due(db) == {("t", number) for number in range(SLICES)}
        assert _due(db) == set()
        _be(db, "u1", "u3")
        assert _due(db) == {("t", slice_of("u2")), ("t", slice_of("u3"))}


def test_what_broke_off_is_due_again_though_nobody_is_left(tmp_path: Path) -> None:
    """What was concluded about a user before it broke off must go with him."""
    with Warehouse(tmp_path).connect() as db:
        _be(db, "u1")
        _due(db)
        _be(db, "u1", "u2")
        with pytest.raises(ValueError, match="broken"), unconcluded_slices(db, "versions", ["t"], BASIS):
            raise ValueError("broken")
        _be(db, "u1")
        assert _due(db) == {("t", slice_of("u2"))}
