"""Of a tenant those slices of its users are loaded again that say something new; it comes out as if all were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from o365_etl.pipeline.workspace import Workspace
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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
