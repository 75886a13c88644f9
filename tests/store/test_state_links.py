"""Links: upserted, kept with the date they came about, and read in batches where there may be a million."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from o365_etl.errors import LocalError
from o365_etl.store import state_schema
from o365_etl.store.state import StateStore
from o365_etl.store.state_database import ROWS_PER_BATCH

Key = tuple[str, str, str]


@pytest.fixture(scope="module")
def shared(new_place: Callable[[], str]) -> StateStore:
    """A store that all examples of a property use one after the other."""
    return StateStore(new_place())


def stored(place: str, table: sa.Table) -> list[tuple[object, ...]]:
    """The rows as they are in the database."""
    engine = sa.create_engine(place, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]


def users(state: StateStore) -> dict[Key, str]:
    rows = state.links.user_links().read_all().to_pylist()
    found = {(row["tenant_id"], row["user_id"], row["organization_id"]): row["contact_id"] for row in rows}
    assert len(found) == len(rows)
    return found


def test_tenants_are_linked(state: StateStore, place: str) -> None:
    """A link that says the same keeps its date and rule; another organization is a new link, not applied yet."""
    state.links.link_tenants([("t1", "9", "domain"), ("t2", "10", None)])
    state.links.mark_applied(["t1", "t2", "nobody"])
    (first, _) = stored(place, state_schema.links_tenant)
    state.links.link_tenants(iter([("t1", "9", "link"), ("t2", "11", "decision"), ("t3", "12", "link")]))
    again = stored(place, state_schema.links_tenant)

    assert state.links.tenant_links() == {"t1": "9", "t2": "11", "t3": "12"}
    assert again[0] == first
    assert (again[1][3], again[1][4]) == ("decision", None)
    assert again[1][2] > first[2]
    assert state.links.first_applied().keys() == {"t1"}
    state.links.unlink_tenant("t1")
    state.links.unlink_tenant("never linked")
    assert state.links.tenant_links() == {"t2": "11", "t3": "12"}
    assert state.links.first_applied() == {}


def test_the_first_application_counts(state: StateStore, place: str) -> None:
    """A tenant that was applied before keeps the time of it."""
    state.links.link_tenants([("t1", "9", "domain")])
    state.links.mark_applied(["t1"])
    before = stored(place, state_schema.links_tenant)
    state.links.mark_applied(["t1"])
    state.links.mark_applied([])

    assert before[0][4] is not None
    assert stored(place, state_schema.links_tenant) == before


def test_a_user_has_a_link_per_organization(state: StateStore, place: str) -> None:
    """One contact per user and organization; the same contact keeps its date and rule, another one replaces it."""
    state.links.link_users([("t1", "u1", "9", "71", "alias"), ("t1", "u1", "10", "72", "alias")])
    first = stored(place, state_schema.links_user)
    state.links.link_users([("t1", "u1", "9", "71", "link"), ("t1", "u1", "10", "73", "decision")])
    again = stored(place, state_schema.links_user)

    assert users(state) == {("t1", "u1", "9"): "71", ("t1", "u1", "10"): "73"}
    assert again[1] == first[1]
    assert again[0][5] == "decision"
    assert again[0][4] > first[0][4]
    state.links.unlink_users([("t1", "u1", "10"), ("t1", "u1", "none")])
    assert users(state) == {("t1", "u1", "9"): "71"}


def test_a_failure_links_nobody(state: StateStore) -> None:
    """If the rows end in an error, also after the first batch, none of them is linked."""

    def rows() -> Iterator[tuple[str, str, str, str, str | None]]:
        for number in range(ROWS_PER_BATCH + 1):
            yield "t1", f"u{number}", "9", str(number), None
        raise LocalError("the disk broke")

    with pytest.raises(LocalError, match="the disk broke"):
        state.links.link_users(rows())
    assert users(state) == {}


def test_many_links_come_in_batches(state: StateStore) -> None:
    """More links than fit into one batch are written, read and forgotten whole, and DuckDB can read them."""
    count = 2 * ROWS_PER_BATCH + 17
    state.links.link_users((f"t{n % 7}", f"u{n:07}", "9", str(n), "alias") for n in range(count))
    sizes = [batch.num_rows for batch in state.links.user_links()]
    with duckdb.connect() as db:
        db.register("found", state.links.user_links())
        sums = db.execute("SELECT count(DISTINCT user_id), sum(contact_id::BIGINT), count(*) FROM found").fetchone()

    assert sizes == [ROWS_PER_BATCH, ROWS_PER_BATCH, 17]
    assert sums == (count, count * (count - 1) // 2, count)
    state.links.unlink_users((f"t{n % 7}", f"u{n:07}", "9") for n in range(count) if n != 5)
    assert users(state) == {("t5", "u0000005", "9"): "5"}


def test_reading_blocks_nobody(state: StateStore) -> None:
    """While links are being read others write; the reader sees the moment at which it began."""
    state.links.link_users(("t1", f"u{number:07}", "9", "1", None) for number in range(ROWS_PER_BATCH + 1))
    reader = state.links.user_links()
    first = reader.read_next_batch()
    state.links.unlink_users([("t1", "u0050000", "9")])
    rest = reader.read_all()

    assert first.num_rows + rest.num_rows == ROWS_PER_BATCH + 1
    assert pa.Table.from_batches([first]).schema == state.links.user_links().schema
    assert len(users(state)) == ROWS_PER_BATCH


def test_another_thread_may_read_on(state: StateStore) -> None:
    """DuckDB asks for the next batch from whatever thread needs it."""
    state.links.link_users(("t1", f"u{number:07}", "9", "1", None) for number in range(ROWS_PER_BATCH + 1))
    reader = state.links.user_links()
    first = reader.read_next_batch()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(reader.read_all).result(timeout=60)

    assert first.num_rows + rest.num_rows == ROWS_PER_BATCH + 1


def test_a_reader_may_be_dropped(state: StateStore, place: str) -> None:
    """A reader that nobody reads to its end lets go of the database, and what goes wrong while reading is said."""
    state.links.link_users(("t1", f"u{number:07}", "9", "1", None) for number in range(ROWS_PER_BATCH + 1))
    state.links.user_links().read_next_batch()
    gc.collect()
    engine = sa.create_engine(place, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE links_user")  # waits for ever where somebody still reads

    with pytest.raises((LocalError, sa.exc.ProgrammingError)):
        state.links.user_links().read_all()


def test_places_are_remembered(state: StateStore) -> None:
    """A record that nothing else would tell is found again, also one that is about nobody in particular."""
    state.links.remember_place("t1", "location", None, "501")
    state.links.remember_place("t1", "location", None, "502")
    state.links.remember_place("t2", "location", None, "503")
    state.links.remember_place("t1", "license_asset", "sku", "504")

    assert state.links.places("location") == {("t1", None): "502", ("t2", None): "503"}
    assert state.links.places("license_asset") == {("t1", "sku"): "504"}
    assert state.links.places("contact") == {}


SMALL = st.sampled_from(["a", "b", "c"])


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.lists(st.tuples(SMALL, SMALL, SMALL, st.sampled_from(["1", "2", "'; %s ? :x"])), max_size=5),
            st.tuples(SMALL, SMALL, SMALL),
        ),
        max_size=8,
    )
)
def test_links_are_a_map(shared: StateStore, steps: list[list[tuple[str, str, str, str]] | Key]) -> None:
    """Linking and unlinking in any order, also one user twice at once, is what it would be on a dict."""
    shared.links.unlink_users(users(shared))
    expected: dict[Key, str] = {}
    for step in steps:
        if isinstance(step, list):
            shared.links.link_users((*row, None) for row in step)
            expected |= {row[:3]: row[3] for row in step}
        else:
            shared.links.unlink_users([step])
            expected.pop(step, None)
        assert users(shared) == expected
