"""The worlds: what is built from a block equals what is built from objects, and the demo has every case."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.simulator import Estate, SimContact, SimTenant, Simulator, SimUser
from o365_etl.simulator.rows import BLOCK_MARKER, TENANT_MARKER, BlockRows, BlockTemplate, ListRows
from tests.simulator.caller import Caller

SELECT = "id,userPrincipalName,displayName,proxyAddresses,assignedLicenses,signInActivity"


@given(
    block=st.integers(1, 7),
    total=st.integers(0, 30),
    start=st.integers(0, 35),
    size=st.integers(0, 35),
)
def test_rows_of_a_block_are_the_rows_of_objects(block: int, total: int, start: int, size: int) -> None:
    """For any size of block and any cut, the block gives what a list of real objects would give."""
    template = BlockTemplate([f'{{"{TENANT_MARKER}":"{number}-{BLOCK_MARKER}"}}' for number in range(block)])
    objects = [f'{{"abc":"{number % block}-{number // block:04d}"}}' for number in range(total)]
    render: Callable[[str], bytes] = str.encode

    expected = ListRows(objects).cut("kind", render, start, start + size)
    assert BlockRows(template, total, {TENANT_MARKER: "abc"}).cut("kind", render, start, start + size) == expected


def served_users(estate: Estate, folder: Path) -> list[dict[str, object]]:
    """What Graph serves of the second tenant's users."""
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        pages = caller.pages(estate.tenants[1], f"/v1.0/users?$select={SELECT}&$top=500")
        caller.session.close()
    return [row for page in pages for row in page["value"]]


def served_contacts(estate: Estate, folder: Path, **params: str) -> list[dict[str, object]]:
    """All contacts that IT Glue serves."""
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        found: list[dict[str, object]] = []
        number: int | None = 1
        while number:
            page = {"page[number]": str(number), "page[size]": "700", "sort": "id"}
            answer = caller.itglue("/contacts", **page, **params).json()
            found += answer["data"]
            number = answer["meta"]["next-page"]
        caller.session.close()
    return found


def test_a_sized_estate_serves_the_same_when_somebody_looked_into_it(folder: Path) -> None:
    """Looking makes real objects; what is served does not change by that, before and after a touch."""
    untouched, looked = (Estate.sized(2, 1203, seed=4) for _ in range(2))
    looked.now = untouched.now
    assert isinstance(looked.tenants[1].users[0], SimUser)
    assert isinstance(looked.contacts[0], SimContact)
    looked.touch()

    users = served_users(untouched, folder)
    assert len({row["id"] for row in users}) == 1203
    assert [_without_times(row) for row in served_users(looked, folder)] == [_without_times(row) for row in users]
    assert served_contacts(looked, folder) == served_contacts(untouched, folder)
    organization = str(untouched.organizations[1].organization_id)
    assert served_contacts(untouched, folder, **{"filter[organization_id]": "none such"}) == []
    filtered = {"filter[organization_id]": organization, "include": "adapters_resources"}
    assert served_contacts(looked, folder, **filtered) == served_contacts(untouched, folder, **filtered)


def _without_times(row: dict[str, object]) -> dict[str, object]:
    # Sign-in times are counted from the moment the estate was made
    return {name: value for name, value in row.items() if name != "signInActivity"}


def test_changes_show_after_a_touch(folder: Path) -> None:
    """Users of a sized estate can be changed like any others."""
    estate = Estate.sized(2, 20)
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        tenant = estate.tenants[1]
        path = "/v1.0/users?$select=displayName&$top=999"
        before = caller.graph(tenant, path).json()["value"]
        tenant.users[3].display_name = "Changed"
        tenant.users.pop()  # type: ignore[attr-defined]  # a mutable sequence here
        estate.touch(tenant.tenant_id)
        after = caller.graph(tenant, path).json()["value"]
        caller.session.close()

    assert (len(before), len(after)) == (20, 19)
    assert after[3]["displayName"] == "Changed"


def test_the_truth_of_a_sized_estate_names_what_is_served(folder: Path) -> None:
    """Every served user has a verdict, every served contact belongs to one user."""
    estate = Estate.sized(2, 1100)
    tenant = estate.tenants[1]

    users = {str(row["id"]) for row in served_users(estate, folder)}
    contacts = {str(row["id"]) for row in served_contacts(estate, folder)}
    assert {user for owner, user in estate.truth.contacts if owner == tenant.tenant_id} == users
    assert {contact for contact in estate.truth.contacts.values() if contact} == contacts
    assert set(estate.truth.organizations.values()) == {str(each.organization_id) for each in estate.organizations}


def test_a_user_of_a_sized_estate_is_found_without_making_all(folder: Path) -> None:
    """By id and by name, and the million others stay unmade."""
    estate = Estate.sized(1, 1_000_000)
    tenant = estate.tenants[0]
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        row = caller.graph(tenant, "/v1.0/users?$top=1&$select=id,userPrincipalName").json()["value"][0]
        for key in row.values():
            assert caller.graph(tenant, f"/v1.0/users/{key}").json()["id"] == row["id"]
        assert caller.graph(tenant, "/v1.0/users/ffffffff-9999-4999-8000-000000000000").status_code == 404
        caller.session.close()
    assert tenant.users.is_pristine  # type: ignore[attr-defined]  # a lazy list here


def test_a_sized_report_has_a_row_per_user(folder: Path) -> None:
    """The report is cut from the same block."""
    estate = Estate.sized(2, 1500)
    with Simulator(estate, folder=folder) as simulator:
        caller = Caller(simulator)
        link = caller.graph(estate.tenants[1], "/v1.0/reports/getMailboxUsageDetail(period='D7')").headers["Location"]
        text = caller.session.get(link, timeout=10).content.decode("utf-8-sig")
        users = {row["userPrincipalName"] for row in served_users(estate, folder)}
        caller.session.close()

    assert {row["User Principal Name"] for row in csv.DictReader(io.StringIO(text, newline=""))} == users


@pytest.fixture(scope="module")
def demo() -> Estate:
    """The demo's world."""
    return Estate.demo()


def test_the_demo_is_the_same_for_the_same_seed(demo: Estate) -> None:
    """Ids, names and truth come from the seed alone."""
    again, other = Estate.demo(1), Estate.demo(2)

    assert [tenant.tenant_id for tenant in again.tenants] == [tenant.tenant_id for tenant in demo.tenants]
    assert [user.user_id for user in again.tenants[3].users] == [user.user_id for user in demo.tenants[3].users]
    assert again.truth == demo.truth
    assert {tenant.tenant_id for tenant in other.tenants}.isdisjoint(tenant.tenant_id for tenant in demo.tenants)


def test_the_demo_is_a_whole_msp(demo: Estate) -> None:
    """Enough tenants, users, organizations and contacts, one tenant of thousands."""
    sizes = [len(tenant.users) for tenant in demo.tenants]

    assert len(sizes) >= 24
    assert max(sizes) >= 3000
    assert sum(sizes) >= 4500
    assert len(demo.organizations) >= 38


CASES: dict[str, Callable[[SimTenant], bool]] = {
    "not consented": lambda tenant: not tenant.consented,
    "expired secret": lambda tenant: tenant.direct and tenant.secret_state == "expired",
    "concealed": lambda tenant: tenant.concealed,
    "no reports": lambda tenant: "Reports.Read.All" not in tenant.roles,
    "no premium": lambda tenant: not tenant.has_premium(),
    "contracts only": lambda tenant: tenant.listed_in == "contracts",
    "gdap only": lambda tenant: tenant.listed_in == "gdap",
    "access ends": lambda tenant: tenant.gdap_ends_at is not None,
    "mailboxes blocked": lambda tenant: tenant.mailbox_policy == "blocked",
    "15 columns": lambda tenant: tenant.report_columns == 15,
    "16 columns": lambda tenant: tenant.report_columns == 16,
    "suspended product": lambda tenant: any(sku.status == "Suspended" for sku in tenant.skus),
    "unknown product": lambda tenant: any(sku.part_number.startswith("CONTOSO_AI") for sku in tenant.skus),
    "markup in names": lambda tenant: any("<b>" in (user.display_name or "") for user in tenant.users),
    "formula in names": lambda tenant: any((user.display_name or "").startswith("=") for user in tenant.users),
    "long names": lambda tenant: any(len(user.display_name or "") >= 400 for user in tenant.users),
    "no names": lambda tenant: any(user.display_name is None for user in tenant.users),
    "external member": lambda tenant: any(
        "#EXT#" in user.user_principal_name and user.user_type == "Member" for user in tenant.users
    ),
    "guests": lambda tenant: any(user.user_type == "Guest" for user in tenant.users),
    "assignment error": lambda tenant: any(held.state == "Error" for user in tenant.users for held in user.licenses),
}


@pytest.mark.parametrize("case", CASES)
def test_the_demo_has_every_case(demo: Estate, case: str) -> None:
    """A case that disappears from the demo is missed by everything that is shown on it."""
    assert any(CASES[case](tenant) for tenant in demo.tenants)


def test_names_and_addresses_in_the_demo_are_unique_per_tenant(demo: Estate) -> None:
    """User principal names, ids and proxy addresses, as a directory enforces it."""
    for tenant in demo.tenants:
        names = [user.user_principal_name.lower() for user in tenant.users]
        addresses = [
            address.lower()
            for user in tenant.users
            for address in {address[5:].lower() for address in user.proxy_addresses if address[:5].lower() == "smtp:"}
        ]
        assert len(set(names)) == len(names)
        assert len(set(addresses)) == len(addresses)
        assert len({user.user_id for user in tenant.users}) == len(tenant.users)


def test_two_tenants_of_the_demo_share_a_name(demo: Estate) -> None:
    """And nobody may guess which is which: the truth is silent about both."""
    names = [tenant.display_name for tenant in demo.tenants]
    twins = [tenant for tenant in demo.tenants if names.count(tenant.display_name) == 2]

    assert len(twins) == 2
    assert not {tenant.tenant_id for tenant in twins} & set(demo.truth.organizations)


def test_every_contact_of_the_truth_exists(demo: Estate) -> None:
    """The truth names contacts of the tenant's own organization, each for one user."""
    owner = {str(contact.contact_id): str(contact.organization_id) for contact in demo.contacts}
    pairs = {key: contact for key, contact in demo.truth.contacts.items() if contact}

    assert len(set(pairs.values())) == len(pairs)
    for (tenant_id, _), contact in pairs.items():
        assert owner[contact] == demo.truth.organizations[tenant_id]


def test_the_demo_is_served_whole(folder: Path, demo: Estate) -> None:
    """Every tenant that consented gives all its users, whatever is in their names."""
    with Simulator(demo, folder=folder) as simulator:
        caller = Caller(simulator)
        for tenant in demo.tenants:
            if tenant.consented and not tenant.direct:
                pages = caller.pages(tenant, "/v1.0/users?$select=id,displayName,givenName&$top=999")
                served = {row["id"]: row["displayName"] for page in pages for row in page["value"]}
                assert served == {user.user_id: user.display_name for user in tenant.users}
        caller.session.close()


def test_the_configuration_names_all_connections_and_holds_no_secret(folder: Path, demo: Estate) -> None:
    """Secrets are files that only their owner can read."""
    with Simulator(demo, folder=folder) as simulator:
        text = simulator.settings_toml("data", mode="off")
        secret = simulator.partner.client_secret

    settings = tomllib.loads(text)
    kinds = [connection["kind"] for connection in settings["connections"]]
    assert secret not in text
    assert kinds.count("partner") == 1
    assert kinds.count("direct") == sum(tenant.direct for tenant in demo.tenants)
    for connection in settings["connections"]:
        file = Path(connection["client_secret"]["file"])
        assert file.stat().st_mode & 0o777 == 0o600
    assert settings["itglue"]["mode"] == "off"
