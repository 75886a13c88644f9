"""The peers of `make bench`, as far as they are installed, do the whole job they are measured at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.linking import found_by
from benchmarks.measure import PEERS, Simulated, facts_file, peer, side, simulated

pytestmark = pytest.mark.skipif(not PEERS.exists(), reason="the peers' environment is not there: `make bench` makes it")
TENANTS, USERS = 2, 15


@pytest.fixture(scope="module")
def served() -> Iterator[Simulated]:
    with simulated(TENANTS, USERS) as simulator:
        yield simulator


@pytest.mark.parametrize(("name", "requests"), [("requests_pandas", 12), ("dlt_duckdb", 12), ("msgraph_sdk", 14)])
def test_a_peer_reads_everybody(served: Simulated, name: str, requests: int) -> None:
    """Sign-in, organization, domains, users, licenses, mailbox usage of each tenant, and no request uncounted."""
    result = peer(name, str(facts_file(served)))

    assert result["users"] == TENANTS * USERS
    assert result["requests"] == requests
    assert result["cpu_seconds"] > 0


def test_the_floor_asks_no_less_than_the_peers(served: Simulated) -> None:
    result = side(
        "benchmarks.extraction", "floor", str(facts_file(served)), environment={"O365_ETL_LIMITS__THREADS": "4"}
    )

    assert result["requests"] >= 14


def people(folder: Path, count: int = 200) -> None:
    """Users and contacts of one organization: even ones share an e-mail, odd ones only a name, spelt a little
    differently every fifth time; a contact nobody is, and a user nobody knows.
    """
    names = [f"{given} {surname}" for given in ("Anna", "Bruno", "Carla", "David", "Elena") for surname in surnames()]
    users = [("t", f"u{n}", "o", f"u{n}@a.example", *name.split()) for n, name in enumerate(names[:count])]
    contacts = [
        (f"c{n}", "o", name.split()[0], name.split()[1] + ("e" if n % 5 == 4 else ""))
        for n, name in enumerate(names[:count])
    ]
    emails = [(f"c{n}", "o", f"u{n}@a.example" if n % 2 == 0 else f"p{n}@home.example") for n in range(count)]
    users.append(("t", "stranger", "o", "stranger@a.example", "Xenia", "Quill"))
    contacts.append(("nobody", "o", "Otto", "Zwirn"))
    tables = {
        "users": (users, ("tenant_id", "user_id", "organization_id", "mail", "given_name", "surname")),
        "addresses": ([(u[0], u[1], u[3]) for u in users], ("tenant_id", "user_id", "address")),
        "contacts": (contacts, ("contact_id", "organization_id", "first_name", "last_name")),
        "emails": (emails, ("contact_id", "organization_id", "address")),
    }
    for name, (rows, columns) in tables.items():
        data = {column: [str(each[place]) for each in rows] for place, column in enumerate(columns)}
        pq.write_table(pa.table(data), folder / f"{name}.parquet")


def surnames() -> list[str]:
    """Forty names, none like another."""
    first = ("Bark", "Dolm", "Fenz", "Gruv", "Hask", "Jopp", "Kyll", "Lurm")
    return [start + end for start in first for end in ("anow", "heim", "ström", "quist", "vedra")]


@pytest.mark.parametrize("name", ["plain_loop", "splink_link"])
def test_a_peer_matches_by_email_and_by_name(tmp_path: Path, name: str) -> None:
    """Everybody by one or the other, and nobody to the stranger."""
    people(tmp_path)

    result = peer(name, str(tmp_path))

    found = found_by(tmp_path)
    assert {user: contact for (_, user), contact in found.items()} == {f"u{n}": f"c{n}" for n in range(200)}
    assert result["pairs"] == 200


def test_the_facts_say_which_fields_a_user_has(served: Simulated) -> None:
    """So that the peers ask for the same as this program does."""
    from o365_etl.graph.streams import USER_FIELDS

    assert json.loads(facts_file(served).read_text(encoding="utf-8"))["user_fields"] == USER_FIELDS
