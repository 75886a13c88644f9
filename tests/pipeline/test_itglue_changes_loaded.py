"""From landed changes to tables: what is replaced, what stays, what is not loaded twice, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from o365_etl.config import Settings, load_settings
from o365_etl.errors import O365EtlError, ProtocolError
from o365_etl.pipeline import crawling, documentation
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import Estate, Fault, SimAdapter, SimContact, SimEmail, SimOrganization, SimPhone
from o365_etl.simulator.certificates import Certificates, prepare
from o365_etl.simulator.transport import HttpsServer, Request, Response
from tests.conftest import World, world_of

OLD = datetime(2024, 1, 1, tzinfo=UTC)
HEAD = "[itglue]\nincremental_from = 20\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two organizations and forty contacts, read by what changed from twenty on."""
    contacts = [
        SimContact(
            101, "First", f"Last {each}", 500 + each, emails=[SimEmail(f"c{each}@contoso.example", primary=True)]
        )
        for each in range(40)
    ]
    for contact in contacts:
        contact.updated_at = OLD
    estate = Estate.build(
        organizations=[SimOrganization("Contoso", 101), SimOrganization("Fabrikam", 102)], contacts=contacts
    )
    with world_of(estate, tmp_path_factory.mktemp("changes")) as world:
        world.config.write_text(world.config.read_text().replace("[itglue]\n", HEAD), encoding="utf-8")
        yield world


def read(world: World, *, full: bool = False) -> dict[str, Any]:
    """One crawl, loaded; its receipts by stream."""
    receipts = documentation.read_it_glue(world.workspace, "run", full=full)
    documentation.load_it_glue(world.workspace, receipts)
    return {receipt.stream: receipt for receipt in receipts}


def rows(world: World, sql: str) -> list[tuple[Any, ...]]:
    with world.workspace.tables() as db:
        return db.rows(sql)


def touch(contact: SimContact, **changes: object) -> None:
    for name, value in {"updated_at": datetime.now(UTC), **changes}.items():
        setattr(contact, name, value)


def said(world: World) -> str:
    return str([each for each in world.workspace.state.entries() if each["stream"] == "itglue"][-1]["message"])


def test_changes_are_laid_over_the_base(world: World) -> None:
    """Moved, renamed, owned, new: every row of a changed contact is replaced; a deletion waits for the full crawl."""
    estate = world.simulator.estate
    read(world, full=True)
    assert (
        said(world)
        == "organizations: full crawl of 2 records, 1 request; contacts: full crawl of 40 records, 3 requests"
    )

    touch(
        estate.contact(501),
        organization_id=102,
        emails=[SimEmail("new@fabrikam.example", primary=True)],
        phones=[SimPhone("4155552156", primary=True)],
    )
    touch(estate.contact(502), adapters=[SimAdapter("Autotask")])
    estate.add_itglue("contacts", SimContact(102, "New", contact_id=0, updated_at=datetime.now(UTC)))
    estate.remove_contact(503)
    receipts = read(world)

    # All forty of the base are within the margin of its last change, so more than half would have to be read.
    assert receipts["contacts"].message == "more than half has changed"
    touch(estate.contact(504), last_name="Later")
    receipts = read(world)
    assert "contacts_changes" in receipts
    assert rows(world, "SELECT last_name FROM itglue.contacts WHERE contact_id = '504'") == [("Later",)]
    assert said(world).startswith("organizations: full crawl of 2 records, 1 request; contacts: ")
    assert "changed since the full crawl of " in said(world)
    assert said(world).endswith(" UTC, 1 request")

    touch(estate.contact(505), organization_id=102, emails=[SimEmail("c505@fabrikam.example")], phones=[SimPhone("42")])
    touch(estate.contact(506), adapters=[SimAdapter("Autotask")])
    new = SimContact(102, "Newer", updated_at=datetime.now(UTC))
    estate.add_itglue("contacts", new)
    estate.remove_contact(507)
    read(world)
    of_505 = "FROM itglue.contact_emails WHERE contact_id = '505'"
    assert rows(world, f"SELECT address, organization_id {of_505}") == [("c505@fabrikam.example", "102")]
    assert rows(world, "SELECT number FROM itglue.contact_phones WHERE contact_id = '505'") == [("42",)]
    assert rows(world, "SELECT sync_owner FROM itglue.contacts WHERE contact_id = '506'") == [("Autotask",)]
    assert rows(world, f"SELECT first_name FROM itglue.contacts WHERE contact_id = '{new.contact_id}'") == [("Newer",)]
    assert rows(world, "SELECT count(*) FROM itglue.contacts WHERE contact_id = '507'") == [(1,)]
    assert rows(world, "SELECT count(*) FROM itglue.contact_emails WHERE contact_id = '507'") == [(1,)]

    read(world, full=True)
    assert "contacts: full crawl (asked for) of 40 records" in said(world)
    assert rows(world, "SELECT count(*) FROM itglue.contact_emails WHERE contact_id = '507'") == [(0,)]
    assert rows(world, "SELECT count(*), count(DISTINCT contact_id) FROM itglue.contacts") == [(40, 40)]


def test_what_is_loaded_is_not_loaded_again(world: World) -> None:
    """The same answers leave the tables alone, base and changes alike; other answers do not."""
    spoil = "UPDATE itglue.contacts SET title = 'spoilt'"
    spoilt = "SELECT count(*) FROM itglue.contacts WHERE title = 'spoilt'"
    estate = world.simulator.estate
    read(world, full=True)
    rows(world, spoil)
    ((all_of_them,),) = rows(world, spoilt)
    read(world, full=True)
    assert rows(world, spoilt) == [(all_of_them,)]

    touch(estate.contact(510), title="CEO")
    assert read(world)["contacts_changes"].rows < 20
    assert 0 < rows(world, spoilt)[0][0] < all_of_them
    assert rows(world, "SELECT title FROM itglue.contacts WHERE contact_id = '510'") == [("CEO",)]
    rows(world, spoil)
    read(world)
    assert rows(world, spoilt) == [(all_of_them,)]

    # Over the same base as before, but the tables hold changes that are void now.
    touch(estate.contact(510), title=None)
    read(world, full=True)
    assert rows(world, spoilt) == [(0,)]


def test_a_new_warehouse_takes_the_base_first(world: World) -> None:
    """Base and changes are enough to fill an empty warehouse, without a request for what the base holds."""
    read(world, full=True)
    touch(world.simulator.estate.contact(511), title="CFO")
    read(world)
    everything = "SELECT * FROM itglue.contacts ORDER BY contact_id"
    before = rows(world, everything)
    world.workspace.warehouse.path.unlink()
    world.simulator.reset_log()
    assert "contacts_changes" in read(world)

    assert rows(world, everything) == before
    assert rows(world, "SELECT count(*) FROM itglue.contacts WHERE title = 'CFO'") == [(1,)]
    assert world.simulator.count("itglue", path_prefix="/contacts") == 1


def test_changes_of_another_base_are_refused(world: World) -> None:
    """What was landed in one read belongs together."""
    read(world, full=True)
    changes = documentation.read_it_glue(world.workspace, "run-2")
    documentation.read_it_glue(world.workspace, "run-3", full=True)

    with pytest.raises(ProtocolError):
        documentation.load_it_glue(world.workspace, changes)


def test_changes_that_cannot_be_read_fail_the_sync(world: World) -> None:
    """They are as needed as the base: the error says what could not be read, and the rows stay."""
    read(world, full=True)
    count = rows(world, "SELECT count(*) FROM itglue.contacts")
    world.add_fault(Fault("itglue", "status", path="/contacts", status=403))
    with pytest.raises(O365EtlError) as failed:
        read(world)
    world.heal()

    assert failed.value.code == "itglue_key"
    assert world.workspace.state.entries(level="error")[-1]["stream"] == "itglue.contacts_changes"
    assert rows(world, "SELECT count(*) FROM itglue.contacts") == count


Edit = tuple[str, int]


class Model:
    """An account of contacts whose pages hold three, and that is edited between any two requests."""

    def __init__(self, count: int) -> None:
        self.now = OLD
        self.contacts: dict[int, dict[str, Any]] = {}
        self.deleted: set[int] = set()
        self.edits: list[list[Edit]] = []
        for _ in range(count):
            self.edit(("new", 0))

    def edit(self, edit: Edit) -> None:
        """Carry out one edit on the n-th contact."""
        what, number = edit
        # Longer than the margin, so that the past stays past.
        self.now += timedelta(minutes=10)
        if what == "new" or not self.contacts:
            identity = len(self.contacts) + len(self.deleted) + 1
            self.contacts[identity] = {"organization": 1, "version": 0}
        else:
            identity = sorted(self.contacts)[number % len(self.contacts)]
        if what == "delete":
            del self.contacts[identity]
            self.deleted.add(identity)
            return
        contact = self.contacts[identity]
        contact["version"] += 1
        contact["at"] = self.now
        if what == "move":
            contact["organization"] += 1

    def respond(self, request: Request) -> Response:
        """Answer one request; before a page of contacts the next edits happen."""
        rows = []
        if request.path == "/contacts":
            for edit in self.edits.pop(0) if self.edits else ():
                self.edit(edit)
            order = sorted(self.contacts)
            if request.query["sort"] == "-updated_at":
                order.sort(key=lambda each: self.contacts[each]["at"], reverse=True)
            rows = [self._row(each) for each in order]
        size, number = min(3, int(request.query["page[size]"])), int(request.query["page[number]"])
        pages = max(1, -(-len(rows) // size))
        meta = {"total-count": len(rows), "total-pages": pages, "next-page": number + 1 if number < pages else None}
        body = {"data": rows[(number - 1) * size : number * size], "meta": meta}
        return Response(200, json.dumps(body).encode(), {"Content-Type": "application/vnd.api+json"})

    def _row(self, identity: int) -> dict[str, Any]:
        contact = self.contacts[identity]
        attributes = {
            "organization-id": contact["organization"],
            "first-name": f"v{contact['version']}",
            "updated-at": contact["at"].isoformat(),
            "contact-emails": [{"value": f"{identity}.{contact['version']}@x.example", "primary": True}],
            "contact-phones": [{"value": str(n)} for n in range(contact["version"] % 3)],
        }
        return {"id": str(identity), "type": "contacts", "attributes": attributes}

    def expected(self) -> dict[str, tuple[Any, ...]]:
        """Every contact as the tables should have it."""
        return {
            str(identity): (
                str(each["organization"]),
                f"v{each['version']}",
                [f"{identity}.{each['version']}@x.example"],
                each["version"] % 3,
            )
            for identity, each in self.contacts.items()
        }


def tables(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    """Every contact as the tables have it, with its addresses and the number of its phones."""
    with workspace.tables() as db:
        found = db.rows(
            "SELECT contact_id, organization_id, first_name,"
            " (SELECT list(address) FROM itglue.contact_emails e"
            "   WHERE e.contact_id = c.contact_id AND e.organization_id = c.organization_id),"
            " (SELECT count(*) FROM itglue.contact_phones p WHERE p.contact_id = c.contact_id) FROM itglue.contacts c"
        )
    assert len(found) == len({row[0] for row in found})
    return {row[0]: row[1:] for row in found}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return prepare(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def plain(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Settings]:
    """Makes settings for a server, each with a folder of its own."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "key").write_text("ITG.test")

    def make(url: str) -> Settings:
        home = folder / str(len(list(folder.iterdir())))
        home.mkdir()
        (home / "o365_etl.toml").write_text(
            f'data_dir = "data"\n[itglue]\nbase_url = "{url}"\napi_key = {{ file = "{folder / "key"}" }}\n'
            f'incremental_from = 5\n[tls]\nca_bundle = "{certificates.ca}"\n'
        )
        return load_settings(home / "o365_etl.toml")

    return make


EDITS = st.lists(st.tuples(st.sampled_from(["edit", "edit", "move", "new", "delete"]), st.integers(0, 40)), max_size=4)
GROWTH = st.lists(st.tuples(st.sampled_from(["edit", "move", "new"]), st.integers(0, 40)), max_size=2)


@given(while_base=st.lists(GROWTH, max_size=8), reads=st.lists(st.lists(EDITS, max_size=6), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None, phases=[Phase.reuse, Phase.generate])
def test_base_and_changes_are_the_account(
    plain: Callable[[str], Settings],
    certificates: Certificates,
    while_base: list[list[Edit]],
    reads: list[list[list[Edit]]],
) -> None:
    """However an account is edited between two pages, the tables are the account after each read of what changed, but
    for what was deleted; that is gone after the next full crawl. A new warehouse comes to the same.
    """
    model = Model(30)
    server = HttpsServer(certificates.server_context())
    server.start(model.respond)
    try:
        workspace = Workspace.of(plain(server.url))
        model.edits = [*while_base]
        documentation.load_it_glue(workspace, crawling.crawl(workspace, "base", full=False))
        for number, edits in enumerate(reads):
            model.edits = [*edits]
            receipts = crawling.crawl(workspace, f"read-{number}", full=False)
            documentation.load_it_glue(workspace, receipts)
            found = tables(workspace)
            if any(receipt.stream == "contacts_changes" for receipt in receipts):
                assert {each: row for each, row in found.items() if int(each) in model.contacts} == model.expected()
            assert {int(each) for each in found} <= model.contacts.keys() | model.deleted
        model.edits = []
        receipts = crawling.crawl(workspace, "quiet", full=False)
        workspace.warehouse.path.unlink()
        documentation.load_it_glue(workspace, receipts)
        found = tables(workspace)
        assert {each: row for each, row in found.items() if int(each) in model.contacts} == model.expected()
        documentation.load_it_glue(workspace, crawling.crawl(workspace, "full", full=True))
        assert tables(workspace) == model.expected()
    finally:
        server.stop()
