"""The configuration: what is wrong is one line that names the key and the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o365_etl.config import CLOUDS, SecretRef, Settings, build_settings, dagster_home, load_settings
from o365_etl.errors import ConfigError

GUID = "11111111-2222-3333-4444-555555555555"
GOOD = f"""
data_dir = "data"
[itglue]
api_key = {{ env = "TEST_ITGLUE_KEY" }}
[[connections]]
name = "partner"
kind = "partner"
tenant_id = "{GUID}"
client_id = "{GUID}"
client_secret = {{ file = "secret" }}
"""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("O365_ETL_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, text: str = GOOD) -> Path:
    file = folder / "o365_etl.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(folder, text))
    assert "\n" not in caught.value.line
    return caught.value.line


def load(folder: Path, text: str = GOOD) -> Settings:
    return load_settings(write(folder, text))


def test_defaults_and_relative_paths(tmp_path: Path) -> None:
    """Paths are relative to the file, and everything not named has its documented default."""
    settings = load(tmp_path)

    assert settings.data_dir == tmp_path / "data"
    assert settings.itglue.url == "https://api.itglue.com"
    assert settings.itglue.mode == "plan"
    assert settings.connections[0].authority == CLOUDS["global"][0]
    assert settings.limits.threads == 32
    assert settings.limits.shard_size == 250
    assert settings.schedule.cron == "0 * * * *"
    assert dagster_home(settings) == tmp_path / "data" / "dagster"


def test_the_file_is_found_by_option_variable_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` wins over the variable, the variable over the folder."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    write(here)
    write(there)
    monkeypatch.chdir(here)

    assert load_settings().data_dir == here / "data"
    monkeypatch.setenv("O365_ETL_CONFIG", str(there / "o365_etl.toml"))
    assert load_settings().data_dir == there / "data"
    assert load_settings(here / "o365_etl.toml").data_dir == here / "data"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('data_dir = "data"', 'data_dri = "data"', ["data_dri", "unknown key"]),
        ('kind = "partner"', 'kind = "csp"', ["connections[0].kind"]),
        (f'tenant_id = "{GUID}"', 'tenant_id = "../../etc"', ["connections[0].tenant_id", "GUID"]),
        (f'client_id = "{GUID}"', 'client_id = "my app"', ["connections[0].client_id", "GUID"]),
        ('{ file = "secret" }', '"hunter2"', ["connections[0].client_secret", "reference"]),
        ('{ file = "secret" }', '{ file = "a", env = "B" }', ["connections[0].client_secret", "exactly one"]),
        ('client_secret = { file = "secret" }', "", ["client_secret", "certificate"]),
        ('{ env = "TEST_ITGLUE_KEY" }', '{ env = "TEST_ITGLUE_KEY" }\nregion = "mars"', ["itglue.region"]),
        ('{ env = "TEST_ITGLUE_KEY" }', '{ env = "X" }\nbase_url = "http://x"', ["itglue.base_url", "https"]),
        ("[itglue]", "[limits]\nthreads = 0\n[itglue]", ["limits.threads"]),
        ("[itglue]", '[schedule]\ncron = "hourly"\n[itglue]', ["schedule.cron", "five fields"]),
        ("[itglue]", '[schedule]\ncron = "0 25 * * *"\n[itglue]', ["schedule.cron"]),
        ("[itglue]", '[schedule]\ncron = "0 0 25 * * *"\n[itglue]', ["schedule.cron", "five fields"]),
        ("[itglue]", '[schedule]\ncron = "0 0 31 2 *"\n[itglue]', ["schedule.cron"]),
        ("[itglue]", '[schedule]\ntimezone = "Mars/Olympus"\n[itglue]', ["schedule.timezone", "Mars/Olympus"]),
        ("[itglue]", '[catalogue.names]\nSPB = "x"\n[itglue]', ["catalogue.names", "SPB", "GUID"]),
        ("[itglue]", "[itglue", ["not valid TOML"]),
        ('api_key = { env = "TEST_ITGLUE_KEY" }', "", ["itglue.api_key", "missing"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    """Unknown keys and bad values are refused in one line that names the key, and never echo a secret."""
    assert old in GOOD
    line = refused(tmp_path, GOOD.replace(old, new))

    for word in words:
        assert word in line
    assert "hunter2" not in line


def test_a_name_may_stand_once(tmp_path: Path) -> None:
    """Two connections of one name are refused."""
    connection = GOOD[GOOD.index("[[connections]]") :]

    assert "used twice" in refused(tmp_path, GOOD + connection)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """Without a file the message names the path and the ways out."""
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "nothing.toml")

    assert "nothing.toml" in caught.value.line
    assert "demo" in caught.value.line


def test_the_environment_overrides_any_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scalars, lists, nested tables and entries of lists can be overridden; TOML values keep their type."""
    monkeypatch.setenv("O365_ETL_DATA_DIR", "elsewhere")
    monkeypatch.setenv("O365_ETL_ITGLUE__MODE", "off")
    monkeypatch.setenv("O365_ETL_LIMITS__THREADS", "7")
    monkeypatch.setenv("O365_ETL_SELECTION__SKUS", '["SPB"]')
    monkeypatch.setenv("O365_ETL_CONNECTIONS__0__CLOUD", "usgov")
    settings = load(tmp_path)

    assert settings.data_dir == tmp_path / "elsewhere"
    assert settings.itglue.mode == "off"
    assert settings.limits.threads == 7
    assert settings.selection.skus == ("SPB",)
    assert settings.connections[0].graph == "https://graph.microsoft.us"


def test_an_unknown_variable_is_an_unknown_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt override is refused like a misspelt key, but a variable that a secret refers to is not an override."""
    monkeypatch.setenv("O365_ETL_PARTNER_SECRET", "s")
    load(tmp_path, GOOD.replace('{ file = "secret" }', '{ env = "O365_ETL_PARTNER_SECRET" }'))
    monkeypatch.setenv("O365_ETL_DATADIR", "x")

    with pytest.raises(ConfigError, match="datadir"):
        load(tmp_path)


def test_secrets_are_read_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing variable, file or content is one line that names the key; a present secret is stripped."""
    settings = load(tmp_path)
    with pytest.raises(ConfigError, match=r"itglue\.api_key.*TEST_ITGLUE_KEY"):
        settings.check_secrets()
    monkeypatch.setenv("TEST_ITGLUE_KEY", "k")
    with pytest.raises(ConfigError, match=r"connections\[0\]\.client_secret.*secret"):
        settings.check_secrets()
    (tmp_path / "secret").write_text(" \n")
    with pytest.raises(ConfigError, match="is empty"):
        settings.check_secrets()
    (tmp_path / "secret").write_text("value\n")
    settings.check_secrets()

    secret = settings.connections[0].client_secret
    assert secret is not None
    assert secret.read("x") == "value"


def test_a_connection_may_override_the_selection(tmp_path: Path) -> None:
    """A connection's own selection keys win, the others stay general."""
    text = GOOD + '[connections.selection]\nguests = true\n[selection]\nusers = "all"\n'
    selection = load(tmp_path, text).selection_for("partner")

    assert selection.guests is True
    assert selection.users == "all"


def test_a_missing_ca_bundle_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA bundle that does not exist stops the program before anything is asked."""
    monkeypatch.setenv("TEST_ITGLUE_KEY", "k")
    (tmp_path / "secret").write_text("value")
    settings = load(tmp_path, GOOD + '[tls]\nca_bundle = "no.pem"\n')

    with pytest.raises(ConfigError, match=r"tls\.ca_bundle.*no\.pem"):
        settings.check_secrets()


def test_a_paused_connection_needs_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be paused because its secret is gone, and must not keep the others from being read."""
    monkeypatch.setenv("TEST_ITGLUE_KEY", "k")
    settings = load_settings(write(tmp_path, GOOD))
    with pytest.raises(ConfigError, match="client_secret"):
        settings.check_secrets()
    load_settings(write(tmp_path, GOOD.replace('kind = "partner"', 'kind = "partner"\npaused = true'))).check_secrets()


def test_a_secret_in_the_keyring_is_read_by_its_service(tmp_path: Path) -> None:
    """`{ keyring = "SERVICE" }` is the entry of the user `o365_etl`; a missing one is named with the command to run."""
    keyring = pytest.importorskip("keyring", reason="the extra `keyring` is not installed")
    backend = pytest.importorskip("keyring.backend")
    kept: dict[tuple[str, str], str] = {}

    class InMemory(backend.KeyringBackend):  # type: ignore[misc]
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        keyring.set_password("msp-secret", "o365_etl", " value\n")
        assert SecretRef(keyring="msp-secret").read("connections[0].client_secret") == "value"
        with pytest.raises(ConfigError, match="other") as caught:
            SecretRef(keyring="other").read("connections[0].client_secret")
        assert "keyring set other o365_etl" in caught.value.remedy
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize("key", ["state.url", "warehouse.catalog", "workers.broker"])
def test_what_is_elsewhere_is_looked_for_before_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """The address of a database or a broker is a secret like the others: a missing one is said, by its key."""
    places = {"state.url": "STATE", "warehouse.catalog": "CATALOG", "workers.broker": "BROKER"}
    raw: dict[str, Any] = {"itglue": {"api_key": {"env": "GLUE"}}}
    monkeypatch.setenv("GLUE", "key")
    for place, variable in places.items():
        section, name = place.split(".")
        raw[section] = {name: {"env": variable}}
        monkeypatch.setenv(variable, "address")
    settings = build_settings(raw, tmp_path / "o365_etl.toml")
    settings.check_secrets()
    monkeypatch.delenv(places[key])
    with pytest.raises(ConfigError, match=rf"{key}.*{places[key]}"):
        settings.check_secrets()
