"""National clouds: their own addresses and links, and what they lack stays unknown with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from o365_etl.config import Cloud, Connection, SecretRef
from o365_etl.pipeline.doctor import examine
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import READER_ROLES, Estate, SimOrganization, SimTenant, Simulator, SimUser
from o365_etl.transform.portal import relationship_link, tenant_link, user_links
from tests.conftest import World

Begin = Callable[[Cloud, Estate], World]
TENANT = "11111111-2222-4333-8444-555555555555"
ADDRESSES: dict[Cloud, tuple[str, str, str]] = {
    "global": ("login.microsoftonline.com", "graph.microsoft.com", "entra.microsoft.com"),
    "usgov": ("login.microsoftonline.us", "graph.microsoft.us", "entra.microsoft.us"),
    "usgovdod": ("login.microsoftonline.us", "dod-graph.microsoft.us", "entra.microsoft.us"),
    "china": (
        "login.partner.microsoftonline.cn",
        "microsoftgraph.chinacloudapi.cn",
        "entra.microsoftonline.cn",
    ),
}
NATIONAL: tuple[Cloud, ...] = ("usgov", "usgovdod", "china")
LACKING = ("Reports.Read.All", "ReportSettings.Read.All")


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """A world whose partner is in a cloud; the servers are the simulator's all the same."""
    with ExitStack() as stack:

        def start(cloud: Cloud, estate: Estate) -> World:
            simulator = stack.enter_context(Simulator(estate, folder=tmp_path / "simulator"))
            world = World(simulator, tmp_path)
            world.configure(f'cloud = "{cloud}"')
            return world

        yield start


def national() -> Estate:
    """A tenant with all that a national cloud can grant, and one that only the GDAP list names."""
    roles = tuple(role for role in READER_ROLES if role not in LACKING)
    user = SimUser.person("Anna", "Berg", "contoso.example")
    tenants = [SimTenant("Contoso", users=[user], roles=roles), SimTenant("Unseen", listed_in="gdap")]
    partner = SimTenant("The MSP", roles=("Directory.Read.All",), listed_in="none")
    return Estate.build(tenants=tenants, partner=partner, organizations=[SimOrganization("Contoso")])


@pytest.mark.parametrize("cloud", ADDRESSES)
def test_each_cloud_has_its_own_addresses(cloud: Cloud) -> None:
    """Authority, Graph and the links to the portal; a configured address wins."""
    login, graph, portal = ADDRESSES[cloud]
    connection = Connection(
        name="c", kind="direct", tenant_id=TENANT, client_id=TENANT, client_secret=SecretRef(env="X"), cloud=cloud
    )

    assert (connection.authority, connection.graph) == (f"https://{login}", f"https://{graph}")
    assert tenant_link(cloud, TENANT) == f"https://{portal}/{TENANT}"
    [link] = user_links(cloud, TENANT, [TENANT])
    assert link is not None
    assert link.startswith(f"https://{portal}/{TENANT}/#view/")
    own = connection.model_copy(update={"login_url": "https://own.example", "graph_url": "https://own.example"})
    assert (own.authority, own.graph) == ("https://own.example", "https://own.example")


def test_a_relationship_has_a_page_where_there_are_relationships() -> None:
    """In the global cloud, by two ids that are ids; whatever else is sent makes no link."""
    relationship = f"{TENANT}-{TENANT}"

    assert relationship_link("global", TENANT, relationship) == (
        f"https://partner.microsoft.com/en-us/dashboard/commerce2/customers/{TENANT}/adminrelationships/{relationship}"
    )
    assert relationship_link("usgov", TENANT, relationship) is None
    assert relationship_link("global", TENANT, TENANT) is None
    assert relationship_link("global", f"{TENANT}/../x", relationship) is None


@pytest.mark.parametrize("cloud", NATIONAL)
def test_a_sync_in_a_national_cloud(begin: Begin, cloud: Cloud) -> None:
    """Users, licenses and mailbox types are read; reports and GDAP are not asked for; the tenant is ok."""
    world = begin(cloud, national())
    world.sync()
    rows = world.rows("SELECT display_name, status, streams, missing_permissions, listed_in FROM sync.tenants")

    [(name, status, streams, missing, listed_in)] = rows
    assert (name, status, json.loads(missing), json.loads(listed_in)) == ("Contoso", "ok", [], ["contracts"])
    mailboxes = json.loads(streams)["mailboxes"]
    assert (mailboxes["state"], mailboxes["reason"]) == ("degraded", "not_in_cloud")
    assert world.rows("SELECT storage_used_bytes, mailbox_type, unknown_reason FROM m365.mailboxes") == [
        (None, "user", "not_in_cloud")
    ]
    asked = [record.path for record in world.simulator.requests]
    assert not [path for path in asked if "eport" in path or "delegatedAdmin" in path]
    assert world.rows("SELECT manage_url FROM m365.tenants")[0][0].startswith(f"https://{ADDRESSES[cloud][2]}/")


def test_the_doctor_in_a_national_cloud(begin: Begin) -> None:
    """One note what the cloud lacks, and no permission missing for it."""
    world = begin("china", national())
    found = examine(Workspace(world.settings))

    assert [finding.code for finding in found if finding.level in ("error", "warning")] == []
    [note] = [finding for finding in found if finding.code == "not_in_cloud"]
    assert note.kind == "connection"
    assert "usage reports and no GDAP" in note.what


def test_a_partner_whose_only_list_is_refused(begin: Begin) -> None:
    """Without GDAP nothing makes up for the contracts: that is an error, and no empty list of customers."""
    estate = national()
    estate.partner.roles = ("DelegatedAdminRelationship.Read.All",)
    world = begin("usgov", estate)
    found = examine(Workspace(world.settings))

    errors = {(finding.kind, finding.code) for finding in found if finding.level == "error"}
    assert errors == {("connection", "missing_permission")}
