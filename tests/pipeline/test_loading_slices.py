"""Of a tenant those slices of its users are loaded again that say something new; it comes out as if all were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o365_etl.pipeline.workspace import Workspace
from o365_etl.slices import slice_of
from o365_etl.store.warehouse import Db
from tests.pipeline.landed_tenant import (
    E3,
    EXCHANGE,
    FLOW_FREE,
    Edit,
    Landed,
    installation,
    loaded,
    loaded_anew,
    name,
    of_someone,
    person,
    report_row,
)


def _promote(landed: Landed, number: int) -> None:
    of_someone(landed, number)["jobTitle"] = f"Head of {number}"


def _rename(landed: Landed, number: int) -> None:
    """Also to the name that somebody else has, and to one that stands in the report and was nobody's."""
    of_someone(landed, number)["userPrincipalName"] = (
        "Person99@X.example" if number % 3 == 0 else name(number // 12 if number % 3 == 1 else number + 100)
    )


def _swap_names(landed: Landed, number: int) -> None:
    one, two = of_someone(landed, number), of_someone(landed, number // 7 + 1)
    one["userPrincipalName"], two["userPrincipalName"] = two.get("userPrincipalName"), one.get("userPrincipalName")


def _unname(landed: Landed, number: int) -> None:
    of_someone(landed, number)["userPrincipalName"] = None if number % 2 else ""


def _hire(landed: Landed, number: int) -> None:
    landed.users.insert(number % (len(landed.users) + 1), person(200 + number))


def _fire(landed: Landed, number: int) -> None:
    if landed.users:
        landed.users.pop(number % len(landed.users))


def _double(landed: Landed, number: int) -> None:
    """The same user again, in capitals, with another title."""
    user = of_someone(landed, number)
    landed.users.append({**user, "id": str(user.get("id", "")).upper(), "jobTitle": f"Twin {number}"})


def _forget_id(landed: Landed, number: int) -> None:
    of_someone(landed, number)["id"] = None


def _reorder(landed: Landed, number: int) -> None:
    landed.users.reverse()


def _sign_in(landed: Landed, number: int) -> None:
    user_id = of_someone(landed, number).get("id") or "x"
    landed.sign_ins[user_id if number % 2 else user_id.upper()] = f"2026-02-{number % 27 + 1:02}T03:04:05Z"


def _share(landed: Landed, number: int) -> None:
    user_id = of_someone(landed, number).get("id") or "x"
    landed.types[user_id] = {"type": ("user", "shared", "room", 7)[number % 4], "source": "report"}


def _plan(landed: Landed, number: int) -> None:
    plan = {"service": "exchange", "capabilityStatus": "Enabled", "servicePlanId": EXCHANGE}
    of_someone(landed, number)["assignedPlans"] = [plan] if number % 2 else []


def _license(landed: Landed, number: int) -> None:
    of_someone(landed, number)["assignedLicenses"] = [[], [{"skuId": FLOW_FREE}], None][number % 3]


def _report(landed: Landed, number: int) -> None:
    landed.report.append(report_row(name(number % 15), ("A", 'Berg, "Anna"', "a\nb", "c\u2028d")[number % 4]))


def _unreport(landed: Landed, number: int) -> None:
    if landed.report:
        landed.report.pop(number % len(landed.report))


def _conceal(landed: Landed, number: int) -> None:
    if number % 2:
        landed.reason = None if landed.reason else "concealed"
    else:
        landed.report = [report_row(f"{row:032X}") for row in range(9)]


def _buy(landed: Landed, number: int) -> None:
    landed.sku["consumedUnits"] = number


def _rebrand(landed: Landed, number: int) -> None:
    landed.sku["skuPartNumber"] = ("ENTERPRISEPACK", "ENTERPRISEPACK_FREE", None)[number % 3]
    landed.sku["skuId"] = (E3, "dddddddd-0000-4000-8000-000000000001")[number % 2]


def _add_domain(landed: Landed, number: int) -> None:
    landed.domains.append(f"d{number}.example")


def _odd(landed: Landed, number: int) -> None:
    """A field of the wrong type, half of a surrogate pair, a user that is none, an id that is none, a foreign mark."""
    if number % 5 == 3:
        landed.users.append(None if number % 2 else 7)
    elif number % 5 == 4:
        landed.mark = "" if landed.mark else "\ufeff"
    else:
        odd = ({"jobTitle": 7}, {"department": "\ud800"}, {"id": 9})[number % 5]
        of_someone(landed, number).update(odd)


def _change(landed: Landed, number: int) -> None:
    """Told of since the last full read: of somebody, of somebody new, of somebody gone."""
    user_id = str(of_someone(landed, number).get("id") or "x")
    told = (
        {"jobTitle": f"Told {number}"},
        {"userPrincipalName": name(number)},
        {"@removed": {}},
        {"assignedLicenses": []},
    )
    landed.changed.append({"id": user_id.upper() if number % 2 else user_id, **told[number % 4]})
    if number % 5 == 0:
        landed.changed.append(person(300 + number))


def _begin_anew(landed: Landed, number: int) -> None:
    landed.changed = []


EDITS: tuple[Edit, ...] = (
    *(_promote, _rename, _swap_names, _unname, _hire, _fire, _double, _forget_id, _reorder, _sign_in, _share, _plan),
    *(_license, _report, _unreport, _conceal, _buy, _rebrand, _add_domain, _odd, _change, _begin_anew),
)
ROUNDS = st.lists(
    st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 999)), min_size=1, max_size=3), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Db]]:
    """An installation with its tables open."""
    workspace = installation(tmp_path_factory.mktemp("slices"))
    with workspace.tables() as db:
        yield workspace, db


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rounds=ROUNDS)
@example(rounds=[[(_rename, 0)], [(_rename, 1)], [(_rename, 3)]])
@example(rounds=[[(_swap_names, 21)], [(_fire, 0)], [(_hire, 0), (_rename, 0)]])
@example(rounds=[[(_odd, 0)], [(_promote, 3)], [(_odd, 1)]])
@example(rounds=[[(_change, 5)], [(_change, 2), (_promote, 1)], [(_begin_anew, 0)]])
@example(rounds=[[(_report, 1)], [(_promote, 1)], [(_report, 3)], [(_rename, 3)]])
def test_it_comes_out_as_if_everything_were_loaded(
    place: tuple[Workspace, Db], rounds: list[list[tuple[Edit, int]]]
) -> None:
    """Whatever is edited between two loads: the tables are those of a first load."""
    workspace, db = place
    landed = Landed()
    loaded(workspace, db, landed.land(workspace))
    for edits in rounds:
        for edit, number in edits:
            edit(landed, number)
        result = landed.land(workspace)
        anew = loaded_anew(workspace, db, result)
        assert loaded(workspace, db, result) == anew


MARK = "left alone"
# By table: the column that gets the mark.
MARKED = {
    "m365.users": "department",
    "m365.user_addresses": "address",
    "m365.license_assignments": "state",
    "m365.mailboxes": "display_name",
}


@pytest.fixture
def marked(place: tuple[Workspace, Db]) -> tuple[Workspace, Db, Landed]:
    """A tenant that is loaded, with a mark in every row of a user."""
    workspace, db = place
    landed = Landed()
    loaded(workspace, db, landed.land(workspace))
    for table, column in MARKED.items():
        db.execute(f"UPDATE {table} SET {column} = concat({column}, '{MARK}')")
    return workspace, db, landed


def _left_alone(db: Db, table: str = "m365.users") -> set[str | None]:
    """Whose rows still have the mark."""
    return {row[0] for row in db.rows(f"SELECT user_id FROM {table} WHERE ends_with({MARKED[table]}, '{MARK}')")}


def _others(landed: Landed, *changed: str) -> set[str | None]:
    """The users of slices that none of `changed` is in."""
    slices = {slice_of(user_id) for user_id in changed}
    return {user["id"] for user in landed.users if slice_of(user["id"]) not in slices}


def _load(marked: tuple[Workspace, Db, Landed]) -> None:
    workspace, db, landed = marked
    loaded(workspace, db, landed.land(workspace))


def test_rows_of_other_slices_are_left_alone(marked: tuple[Workspace, Db, Landed]) -> None:
    """In every table, nobody's mailboxes too."""
    _, db, landed = marked
    user_id = landed.users[0]["id"]
    landed.users[0]["jobTitle"] = "Director"

    _load(marked)

    assert db.rows("SELECT user_id FROM m365.users WHERE job_title = 'Director'") == [(user_id,)]
    for table in MARKED:
        nobodys = {None} if table == "m365.mailboxes" else set()
        assert _left_alone(db, table) == _others(landed, user_id) | nobodys


@pytest.mark.parametrize(
    "edit",
    [_sign_in, _share, _plan, _license, _change, _unname, lambda landed, number: _rename(landed, 1000)],
    ids=["sign-in", "mailbox type", "plan", "license", "told of since", "no name", "another name"],
)
def test_what_is_said_of_one_user_is_loaded_of_his_slice(marked: tuple[Workspace, Db, Landed], edit: Edit) -> None:
    """Whatever it is that is said of him."""
    _, db, landed = marked
    edit(landed, 1)

    _load(marked)

    changed = landed.users[1000 % 12 if edit.__name__ == "<lambda>" else 1]["id"]
    assert _left_alone(db) == _others(landed, changed)


def test_who_comes_and_goes_leaves_others_alone(marked: tuple[Workspace, Db, Landed]) -> None:
    """The row of who is gone goes; nobody's mailbox may be somebody's now."""
    _, db, landed = marked
    gone = landed.users.pop(0)["id"]
    new = person(500) | {"userPrincipalName": name(99)}
    landed.users.append(new)

    _load(marked)

    assert _left_alone(db) == _others(landed, gone, new["id"])
    assert dict(
        db.rows(
            "SELECT user_principal_name, user_id FROM m365.mailboxes WHERE user_principal_name IN (?, ?)",
            [name(0), name(99)],
        )
    ) == {name(0): None, name(99): new["id"]}


def test_figures_of_licenses_are_nothing_to_users(marked: tuple[Workspace, Db, Landed]) -> None:
    """Nor is a domain: the small tables are replaced, no row of a user is."""
    _, db, landed = marked
    landed.sku["consumedUnits"] = 9
    landed.domains.append("new.example")

    _load(marked)

    assert db.rows("SELECT consumed FROM m365.licenses") == [(9,)]
    assert len(db.rows("SELECT domain FROM m365.domains")) == 2
    assert _left_alone(db) == _others(landed)
    assert None in _left_alone(db, "m365.mailboxes")


@pytest.mark.parametrize(
    "edit",
    [
        lambda landed: landed.sku.update(skuPartNumber="SOMETHING_FREE"),
        lambda landed: landed.sku.update(servicePlans=[]),
        lambda landed: landed.report.append(report_row(name(5))),
        lambda landed: setattr(landed, "reason", "concealed"),
        lambda landed: landed.users[1].update(userPrincipalName=name(0).upper()),
        lambda landed: landed.users[1].update(userPrincipalName=7),
        lambda landed: landed.users.append(None),
    ],
    ids=["product", "plans of a product", "report", "reason", "a name that two have", "odd name", "odd user"],
)
def test_what_may_concern_everybody_is_loaded_of_everybody(
    marked: tuple[Workspace, Db, Landed], edit: Callable[[Landed], None]
) -> None:
    """So is what is read next, where the answers could not be dealt out."""
    workspace, db, landed = marked
    edit(landed)

    _load(marked)

    assert _left_alone(db) == set()
    result = landed.land(workspace)
    assert loaded(workspace, db, result) == loaded_anew(workspace, db, result)


def test_another_selection_loads_everybody(marked: tuple[Workspace, Db, Landed], tmp_path: Path) -> None:
    """It decides about every row; settings are those of the new load."""
    workspace, db, landed = marked
    landed.users[0]["jobTitle"] = "Director"
    wider = installation(tmp_path, f'data_dir = "{workspace.data_dir}"', '[selection]\nusers = "all"\n')

    _load((wider, db, landed))

    assert _left_alone(db) == set()


def test_rows_and_what_is_remembered_of_them_are_written_at_once(marked: tuple[Workspace, Db, Landed]) -> None:
    """Where the last table cannot be written nothing is, and the next load does it all."""
    _, db, landed = marked
    landed.users[0]["jobTitle"] = "Director"
    remembered = db.rows("SELECT * FROM work.loaded_tenants")
    db.execute("ALTER TABLE m365.mailboxes RENAME TO elsewhere")
    try:
        with pytest.raises(duckdb.Error):
            _load(marked)
    finally:
        db.execute("ALTER TABLE m365.elsewhere RENAME TO mailboxes")

    assert db.rows("SELECT * FROM work.loaded_tenants") == remembered
    assert db.rows("SELECT count(*) FROM m365.users WHERE job_title = 'Director'") == [(0,)]
    _load(marked)
    assert db.rows("SELECT count(*) FROM m365.users WHERE job_title = 'Director'") == [(1,)]


def test_where_most_slices_differ_everybody_is_loaded(place: tuple[Workspace, Db]) -> None:
    """And where half of them do, those: it comes out the same."""
    workspace, db = place
    landed = Landed(300)
    loaded(workspace, db, landed.land(workspace))
    for share in (1, 20):
        for user in landed.users[::share]:
            user["jobTitle"] = f"Every {share}"
        result = landed.land(workspace)
        anew = loaded_anew(workspace, db, result)
        assert loaded(workspace, db, result) == anew
