"""Connecting and disconnecting below the command line: what is kept when something fails in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from o365_etl.config import load_settings
from o365_etl.config_file import ConfigFile
from o365_etl.errors import ConfigError, ConflictError, LocalError, O365EtlError, SignInError
from o365_etl.pipeline import connecting, disconnecting
from o365_etl.pipeline.connecting import Connected, Given, Wanted
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import Estate, Fault, FaultPlan, Simulator, stable_id

UTC_NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Place:
    """A folder without a configuration, and the partner to connect."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.config = folder / "o365_etl.toml"

    def wanted(self, **changed: object) -> Wanted:
        simulator = self.simulator
        values: dict[str, object] = {
            "name": "partner",
            "kind": "partner",
            "tenant_id": simulator.partner.tenant_id,
            "client_id": simulator.partner.client_id,
            "client_secret": Given(typed=simulator.partner.client_secret),
            "login_url": simulator.login_url,
            "graph_url": simulator.graph_url,
            "itglue_url": simulator.itglue_url,
            "itglue_key": Given(typed=simulator.itglue_api_key),
            "ca_bundle": str(simulator.ca_bundle),
        }
        return Wanted(**(values | changed))  # type: ignore[arg-type]

    def connect(self, **changed: object) -> Connected:
        return connecting.connect(ConfigFile.open(self.config), self.wanted(**changed), who="me")

    def files(self) -> set[str]:
        """Everything in the folder but the data."""
        return {
            path.relative_to(self.config.parent).as_posix()
            for path in self.config.parent.rglob("*")
            if path.is_file() and "data" not in path.relative_to(self.config.parent).parts
        }

    @property
    def workspace(self) -> Workspace:
        return Workspace.of(load_settings(self.config))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all simulators: keys take long to make."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture
def place(tmp_path: Path, certificates: Path, contoso: Estate) -> Iterator[Place]:
    folder = tmp_path / "home"
    folder.mkdir()
    with Simulator(contoso, faults=FaultPlan(), folder=certificates) as simulator:
        yield Place(simulator, folder)


def test_a_typed_secret_is_gone_if_microsoft_refuses(place: Place) -> None:
    """Neither the secret nor the key that was typed stays behind."""
    with pytest.raises(SignInError) as caught:
        place.connect(client_secret=Given(typed="wrong~"))

    assert caught.value.code == "secret_wrong"
    assert place.files() == set()


def test_a_typed_secret_is_gone_if_the_file_was_changed_meanwhile(place: Place) -> None:
    """Somebody else's configuration that came while Microsoft was asked is kept, and nothing of ours with it."""
    file = ConfigFile.open(place.config)
    place.config.write_text("# mine\n")

    with pytest.raises(ConflictError):
        connecting.connect(file, place.wanted(), who="me")
    assert place.config.read_text() == "# mine\n"
    assert place.files() == {"o365_etl.toml"}


def test_a_data_folder_that_cannot_be_is_named_before_anything_is_saved(place: Place) -> None:
    """No configuration that would fail at its first use."""
    (place.config.parent / "taken").write_text("")
    with pytest.raises(LocalError, match="data_dir"):
        place.connect(data_dir="taken/data")

    assert place.files() == {"taken"}


def test_a_name_cannot_lead_out_of_the_folder(place: Place) -> None:
    """A name becomes part of a file's name: it is checked before that file is written."""
    with pytest.raises(ConfigError, match="name"):
        place.connect(name="../escaped")

    assert place.files() == set()
    assert not (place.config.parent.parent / "escaped.secret").exists()


def test_secrets_are_not_in_what_a_traceback_shows(place: Place) -> None:
    """The representation of what was typed does not contain it."""
    assert place.simulator.partner.client_secret not in repr(place.wanted())


def test_the_first_sync_is_queued_until_there_was_one(place: Place) -> None:
    """Whoever connects again before anything was synced still gets a first sync; later an update queues none."""
    place.connect()
    workspace = place.workspace
    (request,) = workspace.state.requests.open()
    assert workspace.state.requests.cancel(request["request_id"], datetime.now(UTC))

    assert not place.connect().created
    (again,) = workspace.state.requests.open()
    workspace.state.requests.cancel(again["request_id"], datetime.now(UTC))
    workspace.state.start_run("run", "queue", datetime.now(UTC))
    assert place.connect().first_sync_at is None
    assert workspace.state.requests.open() == []


def test_the_delay_of_the_first_sync_is_the_configured_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment overrides it; the file does not learn of that."""
    monkeypatch.setenv("O365_ETL_SCHEDULE__FIRST_SYNC_DELAY_MINUTES", "5")
    before = datetime.now(UTC)
    due_at = place.connect().first_sync_at

    assert due_at is not None
    assert due_at - timedelta(minutes=5) >= before
    assert "5" not in place.config.read_text().partition("[itglue]")[0]
    assert "schedule" not in place.config.read_text()


def test_a_certificate_takes_the_place_of_a_secret(place: Place) -> None:
    """One credential at a time: the other key goes, whichever way it is changed."""
    place.connect()
    place.connect(client_secret=None, certificate=str(place.simulator.partner.certificate_pem))
    assert {"certificate"} == set(ConfigFile.open(place.config).connection("partner")) & {
        "certificate",
        "client_secret",
    }

    place.connect()
    connection = ConfigFile.open(place.config).connection("partner")
    assert connection["client_secret"] == {"file": "secrets/partner.secret"}
    assert "certificate" not in connection


def test_a_region_wins_over_an_address_from_before(place: Place) -> None:
    """Choosing a region ends an address of one's own, which would win otherwise."""
    place.connect()
    file = ConfigFile.open(place.config)
    place.simulator.reset_log()
    with pytest.raises(O365EtlError):
        connecting.connect(file, place.wanted(itglue_url=None, itglue_region="eu", ca_bundle=None), who="me")

    assert "base_url" not in file.raw()["itglue"]
    assert place.simulator.count("itglue") == 0


def test_itglue_is_asked_for_one_organization_only(place: Place) -> None:
    """The key is proved with the smallest question there is, and not at all if it is not new."""
    place.connect()
    requests = [record for record in place.simulator.requests if record.service == "itglue"]
    assert [(each.method, each.path, each.query) for each in requests] == [
        ("GET", "/organizations", "page%5Bsize%5D=1")
    ]

    place.simulator.reset_log()
    place.connect(itglue_key=None, itglue_url=None)
    assert place.simulator.count("itglue") == 0


def test_a_secret_that_another_connection_uses_stays(place: Place) -> None:
    """Removing one of two connections with the same stored secret keeps the file for the other."""
    place.connect()
    place.connect(name="other", client_secret=Given(reference={"file": "secrets/partner.secret"}))
    stored = place.config.parent / "secrets" / "partner.secret"

    assert disconnecting.remove(ConfigFile.open(place.config), "partner", delete_data=False).secret_file is None
    assert stored.exists()
    assert disconnecting.remove(ConfigFile.open(place.config), "other", delete_data=False).secret_file == stored
    assert not stored.exists()


def test_a_removed_connection_waits_for_nothing(place: Place) -> None:
    """Its tenants are no longer in quarantine; those of others are."""
    place.connect()
    row = {"error_code": "secret_expired", "remedy": None, "failing_since": UTC_NOW, "next_try_at": UTC_NOW}
    rows = [
        {**row, "tenant_id": stable_id(name), "connection": name, "failures": 3, "credential": "x"}
        for name in ("partner", "other")
    ]
    place.workspace.state.quarantine.note(rows)
    disconnecting.remove(ConfigFile.open(place.config), "partner", delete_data=False)

    assert [each["connection"] for each in place.workspace.state.quarantine.rows()] == ["other"]


def test_a_direct_tenant_that_was_never_read_is_named(place: Place) -> None:
    """Its consent stays as well: the tenant of the connection is where it is."""
    place.connect()
    file = ConfigFile.open(place.config)
    file.add_connection(file.connection("partner") | {"name": "one", "kind": "direct"})
    file.save()
    removed = disconnecting.remove(ConfigFile.open(place.config), "one", delete_data=True)

    assert [consent.tenant_id for consent in removed.consents] == [place.simulator.partner.tenant_id]
    assert removed.deleted_tenants == 0


def test_two_that_connect_at_the_same_time(place: Place) -> None:
    """One of two wins; the file holds a whole connection, and its secret is the winner's."""
    outcomes: list[str] = []

    def begin(name: str, file: ConfigFile) -> Callable[[], None]:
        def do() -> None:
            try:
                connecting.connect(file, place.wanted(name=name), who="me")
                outcomes.append(name)
            except ConflictError:
                outcomes.append("conflict")

        return do

    files = [ConfigFile.open(place.config) for _ in range(2)]
    threads = [threading.Thread(target=begin(f"n{number}", file)) for number, file in enumerate(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (winner,) = [each for each in outcomes if each != "conflict"]
    assert [each.name for each in load_settings(place.config).connections] == [winner]
    assert place.files() == {"o365_etl.toml", f"secrets/{winner}.secret", "secrets/itglue.key"}


def test_trouble_that_passes_is_waited_out(place: Place) -> None:
    """A throttled or broken answer while connecting is tried again like any other."""
    place.simulator.faults.add(Fault("login", "throttle", calls=(1,), retry_after="0.1"))
    place.simulator.faults.add(Fault("graph", "reset", path="contracts", calls=(1,)))

    found = place.connect().customers
    assert found is not None
    assert found.total == 2
