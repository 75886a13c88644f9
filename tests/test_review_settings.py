"""The section `review` of the configuration: an address that others reach needs somebody who says who they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from o365_etl.cli import main
from o365_etl.config import Review, load_settings
from o365_etl.errors import ConfigError

BEHIND_A_PROXY = (
    'trusted_header = "X-Remote-User"\ntrusted_proxies = ["10.0.0.5"]\nallowed_users = ["lead@example.com"]\n'
)


def write(folder: Path, review: str) -> Path:
    file = folder / "o365_etl.toml"
    file.write_text(f'[itglue]\napi_key = {{ env = "TEST_ITGLUE_KEY" }}\n[review]\n{review}', encoding="utf-8")
    return file


def load(folder: Path, review: str) -> Review:
    return load_settings(write(folder, review)).review


def refused(folder: Path, review: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, review)
    assert "\n" not in caught.value.line
    return caught.value.line


def test_by_default_it_is_for_this_machine_alone(tmp_path: Path) -> None:
    """Nothing said: loopback, and nobody is believed by a header."""
    review = load(tmp_path, "")

    assert (review.host, review.port, review.trusted_header) == ("127.0.0.1", 8365, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_addresses_of_this_machine_alone_are_taken(tmp_path: Path, host: str) -> None:
    """They need no proxy."""
    assert load(tmp_path, f'host = "{host}"').host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.1.2.3", "review.example", "localhost.example", "127.0.0.1.example"]
)
def test_another_address_without_a_proxy_is_refused(tmp_path: Path, host: str) -> None:
    """The line names the key, the address and what is missing."""
    line = refused(tmp_path, f'host = "{host}"')

    assert "review: host" in line
    assert "trusted_header" in line
    assert load(tmp_path, f'host = "{host}"\n{BEHIND_A_PROXY}').host == host


def test_the_website_does_not_open_an_address_that_is_refused(tmp_path: Path) -> None:
    """`o365-etl review` ends with 2 and one line instead of listening."""
    result = CliRunner().invoke(main, ["review", "--port", "0", "--config", str(write(tmp_path, 'host = "0.0.0.0"'))])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("o365-etl: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["trusted_proxies", "allowed_users"])
def test_a_trusted_header_needs_proxies_and_users(tmp_path: Path, missing: str) -> None:
    """A header that anybody may send, or that lets anybody in, is no sign-in."""
    kept = "".join(line for line in BEHIND_A_PROXY.splitlines(keepends=True) if not line.startswith(missing))

    assert "trusted_header needs trusted_proxies and allowed_users" in refused(tmp_path, kept)


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.0/8", "*", "10.0.0.5:443", ""])
def test_a_proxy_is_named_by_its_address(tmp_path: Path, proxy: str) -> None:
    """What could never be equal to the address of a request is a mistake."""
    line = refused(tmp_path, BEHIND_A_PROXY.replace("10.0.0.5", proxy))

    assert "review.trusted_proxies" in line
    assert repr(proxy) in line


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("port = 70000", "review.port"),
        ("session_hours = 0", "review.session_hours"),
        ("session_hours = 100000", "review.session_hours"),
        ('dagster_url = "javascript:alert(1)"', "review.dagster_url"),
        ('dagster_url = "dagster.example"', "review.dagster_url"),
        ('allow_users = ["lead"]', "review.allow_users"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, line: str, key: str) -> None:
    """A value out of range, an address that is no web address, a misspelt key."""
    assert key in refused(tmp_path, line)


def test_the_address_of_dagster_may_end_in_a_slash(tmp_path: Path) -> None:
    """Links are made by adding to it."""
    assert load(tmp_path, 'dagster_url = "https://dagster.example/"').dagster_url == "https://dagster.example"
