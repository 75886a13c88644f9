"""Whatever happens to users: after each read of changes the tables are the truth but for deletions, after a full read
they are the truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o365_etl.graph import GraphSession, read_tenants
from o365_etl.simulator import Estate, SimLicense, SimTenant, Simulator, SimUser
from o365_etl.simulator.products import PRODUCTS
from o365_etl.store.landing import LandingZone
from tests.graph.conftest import Rig, people, streams
from tests.graph.test_users_delta import frames_of

TABLES = ("m365.users", "m365.user_addresses", "m365.license_assignments")
NUMBERS = itertools.count()
Op = tuple[str, int, str | None]
TEXTS = st.sampled_from([None, "Sales", "Tax"])
OPS = st.tuples(
    st.sampled_from(["title", "department", "alias", "license", "enabled", "create", "delete", "restore", "sync"]),
    st.integers(0, 30),
    TEXTS,
)


class World:
    """One simulator for all examples, and a session that reads by changes and one that reads in full."""

    def __init__(self, rig: Rig, by_changes: GraphSession, in_full: GraphSession) -> None:
        self.rig, self.by_changes, self.in_full = rig, by_changes, in_full


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[World]:
    """A world without tenants; each example adds its own."""
    with pytest.MonkeyPatch.context() as patch, Simulator(Estate.build(), folder=certificates) as simulator:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            patch.delenv(variable, raising=False)
        rig = Rig(simulator, tmp_path_factory.mktemp("delta"))
        with rig.session(rig.configured({"users_delta": True})) as by_changes, rig.session() as in_full:
            yield World(rig, by_changes, in_full)


@settings(max_examples=12, deadline=None)
@given(ops=st.lists(OPS, max_size=12), odd=st.booleans())
def test_tables_are_the_truth(world: World, ops: Sequence[Op], odd: bool) -> None:
    """Edits, creations, deletions and restorations, with reads between them and a full one at the end."""
    number = next(NUMBERS)
    tenant = SimTenant(f"Tenant {number}", users=people(30, f"t{number}.example"), odd_paging=odd)
    installation = Installation(world, tenant)
    installation.sync()
    for op, which, text in [*ops, ("sync", 0, None)]:
        if op == "sync":
            installation.sync()
        else:
            installation.edit(op, which, text)
    installation.sync(full=True)


class Installation:
    """One tenant, read by changes into one landing zone, and in full into another that tells the truth."""

    def __init__(self, world: World, tenant: SimTenant) -> None:
        self.world, self.tenant = world, tenant
        world.rig.estate.tenants.append(tenant)
        world.rig.estate.touch()
        folder = world.rig.folder / tenant.tenant_id
        self.landing, self.truth = LandingZone(folder / "changes"), LandingZone(folder / "truth")
        self.removed: list[SimUser] = []
        self.known: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in TABLES}

    def edit(self, op: str, which: int, text: str | None) -> None:
        """One thing happens to one user."""
        users: list[SimUser] = self.tenant.users  # type: ignore[assignment]  # a list
        if op == "create":
            users.append(SimUser.person(f"New{next(NUMBERS)}", "Comer", self.tenant.default_domain))
        elif op == "restore" and self.removed:
            users.append(self.removed.pop(which % len(self.removed)))
        elif op == "delete" and len(users) > 1:
            self.removed.append(users.pop(which % len(users)))
        else:
            change(users[which % len(users)], op, text)
        self.world.rig.estate.touch(self.tenant.tenant_id)

    def sync(self, *, full: bool = False) -> None:
        """Read by changes and compare with the truth."""
        target, read_id = self.world.rig.target(self.tenant), f"read-{next(NUMBERS)}"
        (result,) = read_tenants(self.world.by_changes, [target], self.landing, read_id, full=full)
        is_whole = streams(result)["users"].reason is None
        assert result.status == "ok"
        assert is_whole or not full
        read_tenants(self.world.in_full, [target], self.truth, read_id)
        tables, truth = (frames_of(each, self.tenant.tenant_id) for each in (self.landing, self.truth))
        there = {user.user_id for user in self.tenant.users}
        for name in TABLES:
            found, wanted = by_user(tables[name].to_pylist()), by_user(truth[name].to_pylist())
            assert {key: rows for key, rows in found.items() if key in there} == wanted
            gone = {key: rows for key, rows in found.items() if key not in there}
            # Who is gone is as he was last seen, and nobody who was seen is missing
            assert gone == ({} if is_whole else {k: v for k, v in self.known[name].items() if k not in there})
            self.known[name] = found


def change(user: SimUser, op: str, text: str | None) -> None:
    """Another value of one property."""
    if op == "title":
        user.job_title = text
    elif op == "department":
        user.department = text
    elif op == "alias":
        user.proxy_addresses = [*user.proxy_addresses[:1], f"smtp:{text}@alias.example"]
    elif op == "license":
        user.licenses = [] if text is None else [SimLicense(PRODUCTS["SPE_E3" if text == "Tax" else "SPB"].sku_id)]
    else:
        user.account_enabled = text is not None


def by_user(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each user, in an order that does not matter."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: sorted((name, str(value)) for name, value in row.items())):
        found.setdefault(row["user_id"], []).append(row)
    return found
