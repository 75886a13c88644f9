"""Connecting and disconnecting as people do it: from an empty folder, with every mistake they make on the way."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.config import load_settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import BusyError
from o365_etl.pipeline import deciding, disconnecting
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import Estate, Fault, FaultPlan, SimTenant, Simulator, SimUser
from o365_etl.store.lock import SyncLock
from tests.conftest import World

GUID = "3d4e5f60-1111-4222-8333-444455556666"


class Desk:
    """An empty folder, and a simulator to connect to."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.config = folder / "o365_etl.toml"
        self.secret = self.keep("given.secret", simulator.partner.client_secret)
        self.key = self.keep("given.key", simulator.itglue_api_key)

    def keep(self, name: str, value: str) -> Path:
        path = self.folder / name
        path.write_text(value)
        path.chmod(0o600)
        return path

    def places(self) -> list[str]:
        simulator = self.simulator
        return [
            *("--login-url", simulator.login_url, "--graph-url", simulator.graph_url),
            *("--ca-bundle", str(simulator.ca_bundle)),
        ]

    def itglue(self) -> list[str]:
        return ["--itglue-url", self.simulator.itglue_url, "--itglue-key-file", str(self.key)]

    def partner(self, **changed: str | None) -> list[str]:
        """The arguments that connect the partner; an option of None is left out."""
        values: dict[str, str | None] = {
            "name": "partner",
            "kind": "partner",
            "tenant-id": self.simulator.partner.tenant_id,
            "client-id": self.simulator.partner.client_id,
            "secret-file": str(self.secret),
        }
        values |= {name.replace("_", "-"): value for name, value in changed.items()}
        return [part for name, value in values.items() if value is not None for part in (f"--{name}", value)]

    def connect(self, *arguments: str) -> Result:
        return run("connect", *arguments, *self.places(), *self.itglue(), "--config", str(self.config))

    @property
    def raw(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text(encoding="utf-8"))

    @property
    def workspace(self) -> Workspace:
        return Workspace.of(load_settings(self.config))


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False, **options)


def direct(tenant: SimTenant, desk: Desk) -> list[str]:
    """The arguments that connect a tenant by itself."""
    secret = desk.keep("direct.secret", _secret_of(desk, tenant))
    simulator = desk.simulator
    return [
        *("--name", "contoso", "--kind", "direct", "--tenant-id", tenant.tenant_id),
        *("--client-id", simulator.client_id(tenant), "--secret-file", str(secret)),
    ]


def _secret_of(desk: Desk, tenant: SimTenant) -> str:
    raw = tomllib.loads(desk.simulator.settings_toml(data_dir="data"))
    entry = next(each for each in raw["connections"] if each["tenant_id"] == tenant.tenant_id)
    return Path(entry["client_secret"]["file"]).read_text()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all simulators: keys take long to make."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture
def open_desk(tmp_path: Path, certificates: Path) -> Iterator[Callable[[Estate], Desk]]:
    """Starts a simulator on an estate, with an empty folder beside it."""
    with ExitStack() as stack:

        def begin(estate: Estate) -> Desk:
            folder = tmp_path / "empty"
            folder.mkdir()
            simulator = Simulator(estate, faults=FaultPlan(), folder=certificates)
            return Desk(stack.enter_context(simulator), folder)

        yield begin


@pytest.fixture
def desk(open_desk: Callable[[Estate], Desk], contoso: Estate) -> Desk:
    return open_desk(contoso)


@pytest.fixture
def direct_desk(open_desk: Callable[[Estate], Desk]) -> Desk:
    users = [SimUser.person("Anna", "Berg", "contoso.example")]
    return open_desk(Estate.build(tenants=[SimTenant("Contoso", users=users, direct=True)]))


def test_a_partner_is_connected_from_an_empty_folder(desk: Desk) -> None:
    """Sign-in, customers, a configuration for this user alone, the first sync in an hour; and that it then syncs."""
    before = datetime.now(UTC)
    result = desk.connect(*desk.partner())

    assert result.exit_code == 0, result.output
    assert "Customers: 2 (2 by contracts, 2 by GDAP)" in result.stdout
    assert "doctor" in result.stdout
    assert stat.S_IMODE(desk.config.stat().st_mode) == 0o600
    assert desk.raw["connections"][0]["client_secret"] == {"file": "given.secret"}
    assert desk.simulator.partner.client_secret not in desk.config.read_text()
    (request,) = desk.workspace.state.requests.open()
    assert request["trigger"] == "connect"
    assert before + timedelta(minutes=60) <= request["due_at"] <= datetime.now(UTC) + timedelta(minutes=60)
    assert run("sync", "--config", str(desk.config)).exit_code == 0


def test_the_answer_is_one_json_document(desk: Desk) -> None:
    """A script reads what was saved, how many customers there are, and when the first sync is due."""
    result = desk.connect(*desk.partner(), "--json")

    found = json.loads(result.stdout)
    assert (found["name"], found["created"], found["config"]) == ("partner", True, str(desk.config))
    assert found["customers"]["total"] == 2
    assert found["request_id"] == desk.workspace.state.requests.open()[0]["request_id"]
    assert datetime.fromisoformat(found["first_sync_at"]) > datetime.now(UTC)


@pytest.mark.parametrize("spelling", ["  {id}  ", "{ID}", "contoso.example", " Contoso.Example "])
def test_a_tenant_is_saved_by_its_id(direct_desk: Desk, spelling: str) -> None:
    """A domain, blanks and capitals are accepted; the id that the tenant itself gives is what is kept."""
    tenant = direct_desk.simulator.estate.tenants[0]
    typed = spelling.format(id=tenant.tenant_id, ID=tenant.tenant_id.upper())
    arguments = direct(tenant, direct_desk)
    arguments[arguments.index(tenant.tenant_id)] = typed

    result = direct_desk.connect(*arguments)

    assert result.exit_code == 0, result.output
    assert direct_desk.raw["connections"][0]["tenant_id"] == tenant.tenant_id
    assert "(Contoso)" in result.stdout


def test_a_certificate_connects(desk: Desk) -> None:
    """Certificate and key in one PEM file take the place of a secret."""
    pem = desk.simulator.partner.certificate_pem
    result = desk.connect(*desk.partner(secret_file=None, certificate=str(pem)))

    assert result.exit_code == 0, result.output
    assert desk.raw["connections"][0]["certificate"] == {"file": str(pem)}


MISTAKES: dict[str, tuple[dict[str, str | None], int, tuple[str, ...]]] = {
    "secret": ({"secret_file": "wrong.secret"}, 1, ("secret is wrong", "The value is needed")),
    "secret_id": ({"secret_file": "id.secret"}, 2, ("id of a client secret, not its value", "column Value")),
    "no_file": ({"secret_file": "none.secret"}, 2, ("none.secret cannot be read",)),
    "no_variable": ({"secret_file": None, "secret_env": "O365_NOT_SET"}, 2, ("O365_NOT_SET is not set",)),
    "certificate": ({"secret_file": None, "certificate": "wrong.secret"}, 2, ("one private key and its certificate",)),
    "application": ({"client_id": GUID}, 1, ("no application with this id", "client_id")),
    "no_guid": ({"client_id": "my-app"}, 2, ("client_id", "a GUID")),
    "tenant": ({"tenant_id": GUID}, 1, ("no such tenant", "cloud")),
    "no_tenant": ({"tenant_id": "contoso"}, 2, ("tenant_id", "one of its domains")),
    "name": ({"name": "../../evil"}, 2, ("name", "letters, digits")),
    "past": ({"secret_expires": "2020-01-31"}, 2, ("2020-01-31 is over",)),
    "both": ({"secret_env": "X"}, 2, ("only one of",)),
    "http": ({"login_url": "http://localhost"}, 2, ("login_url", "https://")),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_saved(desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake has its words and its exit code, and leaves neither configuration nor data behind."""
    monkeypatch.delenv("O365_NOT_SET", raising=False)
    desk.keep("wrong.secret", "not~the/secret")
    desk.keep("id.secret", GUID)
    changed, code, words = MISTAKES[name]
    inside = {"secret_file", "certificate"}
    given = {key: str(desk.folder / value) if key in inside and value else value for key, value in changed.items()}
    before = sorted(desk.folder.iterdir())

    arguments = [*desk.places(), *desk.partner(**given)]
    result = run("connect", *arguments, *desk.itglue(), "--config", str(desk.config))

    assert result.exit_code == code, result.output
    assert all(word in result.stderr for word in words), result.stderr
    assert sorted(desk.folder.iterdir()) == before
    assert "Traceback" not in result.output


def test_the_id_of_a_secret_is_never_sent(desk: Desk) -> None:
    """A GUID where the value is due is refused before Microsoft is asked."""
    desk.connect(*desk.partner(secret_file=str(desk.keep("id.secret", GUID))))

    assert desk.simulator.count("login") == 0


@pytest.mark.parametrize("refusal", [7000229, 650051])
def test_a_consent_that_is_not_in_effect_yet(direct_desk: Desk, refusal: int) -> None:
    """Minutes after the consent Microsoft still refuses: the message says to wait and to run doctor."""
    tenant = direct_desk.simulator.estate.tenants[0]
    if refusal == 7000229:
        tenant.consented = False
    else:
        tenant.refusal = refusal
    result = direct_desk.connect(*direct(tenant, direct_desk))

    assert result.exit_code == 1
    for words in ("/adminconsent?client_id=", "a few minutes", "o365-etl doctor"):
        assert words in result.stderr
    assert not direct_desk.config.exists()


def test_a_permission_without_consent_is_named(direct_desk: Desk) -> None:
    """Signed in, but nothing is granted: the permission and the page of the consent are in the message."""
    tenant = direct_desk.simulator.estate.tenants[0]
    tenant.roles = ()
    result = direct_desk.connect(*direct(tenant, direct_desk))

    assert result.exit_code == 1
    assert "Organization.Read.All" in result.stderr
    assert "adminconsent" in result.stderr


@pytest.mark.parametrize("refusal", [50194, 700016])
def test_an_application_for_one_tenant_alone_is_noticed(desk: Desk, refusal: int) -> None:
    """50194 says so and stops; 700016 of every customer may also mean that nobody consented, so it is only told."""
    for tenant in desk.simulator.estate.tenants:
        tenant.refusal = refusal
    result = desk.connect(*desk.partner())

    assert "multiple Entra ID tenants" in result.output
    assert result.exit_code == (1 if refusal == 50194 else 0)
    assert desk.config.exists() == (refusal == 700016)


def test_one_customer_that_knows_the_application_is_enough(desk: Desk) -> None:
    """Where one customer has consented the application is not for one tenant alone, whatever the others answer."""
    desk.simulator.estate.tenants[0].refusal = 700016

    assert "multiple Entra ID tenants" not in desk.connect(*desk.partner()).output


def test_relationships_that_end_soon_are_counted(desk: Desk) -> None:
    """Two months ahead the partner is told how many accesses end, and when the first does."""
    soon = datetime.now(UTC) + timedelta(days=20)
    desk.simulator.estate.tenants[0].gdap_ends_at = soon
    desk.simulator.estate.tenants[1].gdap_ends_at = soon + timedelta(days=90)
    desk.simulator.estate.touch()

    assert (
        f"ends within 60 days for 1 of them, for the first on {soon:%Y-%m-%d}" in desk.connect(*desk.partner()).stdout
    )


def test_a_list_of_customers_that_breaks_off_is_not_believed(desk: Desk) -> None:
    """Half a list is no verified connection."""
    desk.simulator.faults.add(Fault("graph", "status", path="contracts", status=405))
    desk.simulator.faults.add(Fault("graph", "status", path="delegatedAdminCustomers", status=403))
    result = desk.connect(*desk.partner())

    assert result.exit_code == 1
    assert not desk.config.exists()


def test_a_key_that_itglue_refuses_names_the_regions(desk: Desk) -> None:
    """A key works in its own region only: the one in use and the others are named, nothing is saved."""
    desk.keep("given.key", "ITG.of-another-region")
    result = desk.connect(*desk.partner())

    assert result.exit_code == 1
    for words in (desk.simulator.itglue_url, "us (https://api.itglue.com)", "eu (", "au (", "--itglue-region"):
        assert words in result.stderr
    assert not desk.config.exists()


@pytest.mark.parametrize(
    ("without", "option"),
    [
        ("name", "--name"),
        ("kind", "--kind"),
        ("tenant_id", "--tenant-id"),
        ("client_id", "--client-id"),
        ("secret_file", "--secret-env"),
    ],
)
def test_without_a_terminal_what_is_missing_is_named(desk: Desk, without: str, option: str) -> None:
    """A script that forgot something gets exit code 2 and the option's name, not a question."""
    result = desk.connect(*desk.partner(**{without: None}))

    assert result.exit_code == 2
    assert option in result.stderr
    assert not desk.config.exists()


def test_the_itglue_key_is_needed_once(desk: Desk) -> None:
    """A new configuration needs the key; a second connection does not ask again."""
    arguments = (*desk.partner(), *desk.places(), "--config", str(desk.config))
    result = run("connect", *arguments)
    assert (result.exit_code, "--itglue-key-env" in result.stderr) == (2, True)
    assert desk.connect(*desk.partner()).exit_code == 0

    assert run("connect", *arguments).exit_code == 0


def test_other_readers_of_a_secret_file_are_noticed(desk: Desk) -> None:
    """A secret that the whole machine can read is used, and said to be so."""
    desk.secret.chmod(0o644)

    assert f"chmod 600 {desk.secret}" in desk.connect(*desk.partner()).stdout


def test_a_secret_is_renewed_in_place(desk: Desk) -> None:
    """The same name again replaces the credential and its last day; comments, order and all else stay."""
    last_day = date.today() + timedelta(days=90)
    assert desk.connect(*desk.partner(secret_expires=str(last_day))).exit_code == 0
    assert desk.raw["connections"][0]["secret_expires"] == last_day
    text = desk.config.read_text().replace('client_id = "', '# the app of 2024\nclient_id = "')
    desk.config.write_text(text + "\n[limits]\nthreads = 3  # slow line\n")
    failing = {"tenant_id": GUID, "connection": "partner", "error_code": "secret_expired", "remedy": None}
    times = {"failing_since": datetime.now(UTC), "next_try_at": datetime.now(UTC) + timedelta(days=7)}
    desk.workspace.state.quarantine.note([{**failing, **times, "failures": 5, "credential": "x"}])
    desk.keep("next.secret", desk.simulator.partner.client_secret)

    config = ("--config", str(desk.config))
    result = run("connect", "--name", "PARTNER", "--secret-file", str(desk.folder / "next.secret"), *config)

    assert result.exit_code == 0, result.output
    assert "Updated in" in result.stdout
    connection = desk.raw["connections"][0]
    assert connection["client_secret"] == {"file": "next.secret"}
    assert "secret_expires" not in connection
    assert "# the app of 2024" in desk.config.read_text()
    assert "# slow line" in desk.config.read_text()
    assert not desk.workspace.state.quarantine.paused(datetime.now(UTC))


def test_a_wrong_new_secret_changes_nothing(desk: Desk) -> None:
    """An update that fails leaves the file as it was, to the byte."""
    desk.connect(*desk.partner())
    before = desk.config.read_bytes()

    result = desk.connect(*desk.partner(secret_file=str(desk.keep("wrong.secret", "wrong~"))))

    assert result.exit_code == 1
    assert desk.config.read_bytes() == before


@pytest.mark.parametrize(("when", "minutes"), [("now", 0), ("later", 60), ("never", None)])
def test_the_first_sync_is_when_it_is_wanted(desk: Desk, when: str, minutes: int | None) -> None:
    """At once, in an hour, or not at all."""
    at = datetime.now(UTC)
    desk.connect(*desk.partner(), "--first-sync", when)

    found = [row["due_at"] for row in desk.workspace.state.requests.open()]
    assert len(found) == (0 if minutes is None else 1)
    assert all(at <= due - timedelta(minutes=minutes or 0) <= datetime.now(UTC) for due in found)


# --- disconnect


@pytest.fixture
def connected(desk: Desk) -> Desk:
    assert desk.connect(*desk.partner()).exit_code == 0
    return desk


def disconnect(desk: Desk, *arguments: str) -> Result:
    return run("disconnect", *arguments, "--config", str(desk.config))


def test_a_pause_keeps_everything(connected: Desk) -> None:
    """Pausing and resuming change one key and back; saying it twice is no error."""
    before = connected.config.read_text()
    assert disconnect(connected, "partner", "--pause").exit_code == 0
    assert connected.raw["connections"][0]["paused"] is True
    assert "already" in disconnect(connected, "partner", "--pause").stdout

    assert disconnect(connected, "partner", "--resume").exit_code == 0
    assert connected.config.read_text() == before


@pytest.fixture
def synced(start: Callable[..., World], contoso: Estate) -> World:
    world = start(contoso)
    world.sync()
    return world


def test_removing_says_what_stays_in_entra(synced: World) -> None:
    """The app registration and each customer's enterprise application are named with a link; the data stays."""
    result = run("disconnect", "partner", "--remove", "--yes", "--config", str(synced.config))

    assert result.exit_code == 0, result.output
    assert f"/{synced.simulator.partner.tenant_id}/#view/Microsoft_AAD_RegisteredApps" in result.stdout
    for tenant in synced.simulator.estate.tenants:
        assert f"{tenant.display_name}: https://entra.microsoft.com/{tenant.tenant_id}/#view" in result.stdout
    assert not synced.settings.connections
    assert (synced.simulator.folder / "secret_partner").exists()
    assert synced.rows("SELECT count(*) FROM m365.users") == [(4,)]


def test_removing_with_data_deletes_it_everywhere(synced: World) -> None:
    """Landed answers, working tables and the published copy lose the tenants; decisions and links stay."""
    deciding.accept(synced.workspace, "Fabrikam Ltd", who="me")
    workspace = synced.workspace
    tables = [
        f"{schema}.{name}"
        for schema, name in synced.rows("SELECT schema, name FROM (SHOW ALL TABLES) WHERE 'tenant_id' IN column_names")
        if name != "log"
    ]
    counts = " + ".join(f"(SELECT count(*) FROM {table} WHERE tenant_id <> '')" for table in tables)
    assert len(tables) > 15
    assert synced.rows(f"SELECT {counts}")[0][0] > 50

    arguments = ("--remove", "--delete-data", "--yes", "--json", "--config", str(synced.config))
    result = run("disconnect", "partner", *arguments)

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["deleted_tenants"], len(found["consents"])) == (2, 2)
    assert synced.rows(f"SELECT {counts}") == [(0,)]
    assert workspace.landing.sources() == ["itglue"]
    assert synced.rows("SELECT count(*) FROM itglue.contacts") == [(2,)]
    assert len(workspace.state.decisions.history()) == 1
    assert workspace.state.runs(1)[0]["trigger"] == "disconnect"


def test_nothing_is_deleted_under_a_running_sync(connected: Desk) -> None:
    """While another process holds the lock the data stays, and the connection too."""
    file = ConfigFile.open(connected.config)
    with (
        SyncLock(connected.workspace.data_dir).hold("other", "manual", 0),
        pytest.raises(BusyError),
    ):
        disconnecting.remove(file, "partner", delete_data=True, wait_seconds=0.1)
    assert connected.raw["connections"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("partner",), "give one of --pause, --resume, --remove"),
        (("partner", "--pause", "--remove"), "give one of"),
        (("partner", "--pause", "--delete-data"), "--delete-data goes with --remove"),
        (("partner", "--remove"), "--yes"),
        (("nobody", "--pause"), "It has: partner"),
    ],
)
def test_a_disconnect_that_is_not_clear_does_nothing(connected: Desk, arguments: tuple[str, ...], words: str) -> None:
    """What is ambiguous, or would ask without a terminal, ends with exit code 2."""
    before = connected.config.read_bytes()
    result = disconnect(connected, *arguments)

    assert (result.exit_code, connected.config.read_bytes()) == (2, before)
    assert words in result.stderr


# --- on a terminal


class Terminal:
    """The program on a terminal of its own; a hidden prompt reads from there and from nowhere else."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        command = [sys.executable, "-c", "from o365_etl.cli import main; main()", *arguments]
        program = f"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._keys, self._screen = self._process.stdin, self._process.stdout
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._keys.close()
        self._screen.close()

    def answer(self, question: str, text: str) -> None:
        """Wait for the question, then type the answer."""
        self._read(question)
        time.sleep(0.2)  # the terminal drops what was typed before it stopped echoing
        self._keys.write(text.encode() + b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        self._read(None)
        return self._process.wait(30)

    def _read(self, until: str | None) -> None:
        start, deadline = len(self.seen), time.monotonic() + 60
        while until is None or until not in self.seen[start:]:
            ready, _, _ = select.select([self._screen], [], [], max(0, deadline - time.monotonic()))
            assert ready, self.seen
            chunk = os.read(self._screen.fileno(), 4096)
            if not chunk:
                assert until is None, self.seen
                return
            self.seen += chunk.decode()


def test_a_person_is_asked_for_everything(desk: Desk) -> None:
    """Typed secrets are not shown and never get into the configuration, but into files for this user alone."""
    simulator = desk.simulator
    with Terminal("connect", *desk.places(), "--itglue-url", simulator.itglue_url, folder=desk.folder) as terminal:
        terminal.answer("Kind", "")
        terminal.answer("name", "")
        terminal.answer("Directory", simulator.partner.tenant_id)
        terminal.answer("Application", simulator.partner.client_id)
        terminal.answer("Client secret", simulator.partner.client_secret)
        terminal.answer("IT Glue API key", simulator.itglue_api_key)
        assert terminal.end() == 0, terminal.seen

    for secret, name in ((simulator.partner.client_secret, "partner.secret"), (simulator.itglue_api_key, "itglue.key")):
        path = desk.folder / "secrets" / name
        assert path.read_text() == secret
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert secret not in terminal.seen
        assert secret not in desk.config.read_text()
    assert re.search(r"Sync queued for \d{4}-", terminal.seen)
    assert disconnect(desk, "partner", "--remove", "--yes").exit_code == 0
    assert not (desk.folder / "secrets" / "partner.secret").exists()


def test_a_mistyped_secret_leaves_the_old_one(desk: Desk) -> None:
    """A typed secret that Microsoft refuses is forgotten; the file of the one before is untouched."""
    desk.connect(*desk.partner())
    old = desk.folder / "secrets" / "partner.secret"
    old.parent.mkdir(mode=0o700)
    old.write_text(desk.simulator.partner.client_secret)
    with Terminal("connect", "--name", "partner", folder=desk.folder) as terminal:
        terminal.answer("Client secret", "mistyped~")
        assert terminal.end() == 1, terminal.seen

    assert old.read_text() == desk.simulator.partner.client_secret
    assert "mistyped" not in terminal.seen


def test_the_page_leads_from_an_empty_folder_to_a_sync(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of docs/connect.md, in its order, from an empty folder; only ids and addresses are put in."""
    page = (Path(__file__).parents[2] / "docs" / "connect.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.M | re.S)
    lines = [
        line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ o365-etl")
    ]
    partner = desk.simulator.partner
    monkeypatch.setenv("O365_PARTNER_SECRET", partner.client_secret)
    monkeypatch.setenv("ITGLUE_API_KEY", desk.simulator.itglue_api_key)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(desk.folder)
    names = []

    for line in lines:
        if line == "o365-etl connect":
            continue  # the one with questions
        line = line.replace("00000000-0000-0000-0000-000000000000", partner.tenant_id)
        line = line.replace("11111111-1111-1111-1111-111111111111", partner.client_id)
        line = line.replace(
            "--itglue-region us", shlex.join([*desk.places(), "--itglue-url", desk.simulator.itglue_url])
        )
        arguments = shlex.split(line)[1:]
        names.append(arguments[0])
        result = run(*arguments)
        assert result.exit_code == 0, (line, result.output)

    assert [name for number, name in enumerate(names) if name not in names[:number]] == [
        *("connect", "doctor", "select", "sync", "status", "match", "plan", "disconnect"),
    ]
