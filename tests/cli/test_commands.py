"""The command line as people use it: output, JSON, exit codes, and mistakes that end in one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from o365_etl.cli import main
from o365_etl.simulator import Estate, Fault
from tests.conftest import World, contoso_estate, world_of

Start = Callable[..., World]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module", autouse=True)
def no_dagster_home() -> Iterator[None]:
    """What runs is remembered beside the configuration, whatever the environment of the tests says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        yield


def sync(world: World) -> World:
    """The world, synced by the command."""
    result = run("sync", "--config", str(world.config))
    assert result.exit_code == 0, result.output
    return world


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A synced world; its tests look, or sync it once more, and change nothing else."""
    with world_of(contoso_estate(), tmp_path_factory.mktemp("synced")) as world:
        yield sync(world)


def test_sync_prints_what_it_found(synced: World) -> None:
    """A person reads tenants, users, matches, suggestions, differences and the plan."""
    result = run("sync", "--config", str(synced.config))

    for words in ("Tenants: ok 2", "users 4", "link 2", "Fabrikam GmbH", "Differences", "blocked update contact 1"):
        assert words in result.stdout


def test_sync_ends_with_3_if_a_tenant_fails(start: Start, contoso: Estate) -> None:
    """Scripts learn from the exit code that some tenants were not read; a narrowed sync speaks of its own alone."""
    world = sync(start(contoso))
    world.add_fault(Fault("graph", "status", tenant_id=contoso.tenants[0].tenant_id, path=r"/users\?", status=403))
    world.add_fault(Fault("graph", "throttle", contoso.tenants[0].tenant_id, "subscribedSkus", retry_after="0"))
    result = run("sync", "--config", str(world.config))

    assert result.exit_code == 3
    assert "Contoso" in result.stdout
    assert run("sync", "--tenant", "Fabrikam Ltd", "--config", str(world.config)).exit_code == 0


LISTINGS = (
    ("status",),
    ("logs",),
    ("match", "list"),
    ("match", "users", "Contoso"),
    ("match", "audit", "Contoso"),
    ("match", "accept", "Fabrikam Ltd"),
    ("plan",),
    ("plan", "approve"),
    ("apply",),
    ("rematch",),
    ("explain", "anna.berg@contoso.example"),
    ("query", "SELECT * FROM m365.users"),
    ("sync",),
)


def test_every_listing_has_json(start: Start, contoso: Estate) -> None:
    """--json puts exactly one document on standard output."""
    world = sync(start(contoso))
    for arguments in LISTINGS:
        result = run(*arguments, "--json", "--config", str(world.config))

        assert result.exit_code == 0, (arguments, result.output)
        assert json.loads(result.stdout) is not None


def test_listings_are_readable(synced: World) -> None:
    """Without --json a person reads tables."""
    assert "partner" in run("status", "--config", str(synced.config)).stdout
    assert "Fabrikam GmbH" in run("match", "list", "--status", "suggested", "--config", str(synced.config)).stdout
    explained = run("explain", "cy.eek@contoso.example", "--config", str(synced.config)).stdout
    assert re.search(r"4 contact +create", explained)


def test_query_only_reads(synced: World, tmp_path: Path) -> None:
    """A statement that writes, or reaches for other files, is refused with one line."""
    for sql in ("DELETE FROM m365.users", f"COPY m365.users TO '{tmp_path}/x.csv'", "SELEC 1"):
        result = run("query", sql, "--config", str(synced.config))
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "x.csv").exists()


def test_without_a_configuration_the_mend_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an empty folder every command ends with 2 and one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("O365_ETL_CONFIG", raising=False)
    for arguments in (("sync",), ("status",), ("logs",), ("match", "list"), ("explain", "x"), ("query", "x")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "o365_etl.toml" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_before_the_first_sync_asking_says_so(start: Start, contoso: Estate) -> None:
    """Nothing published yet is a plain sentence, not a traceback."""
    world = start(contoso)
    result = run("match", "list", "--config", str(world.config))

    assert result.exit_code == 1
    assert "o365-etl sync" in result.stderr
    assert run("status", "--config", str(world.config)).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("https://localhost", "https://nowhere.invalid", 1, "nowhere.invalid"),
        ('mode = "plan"', 'mode = "plann"', 2, "itglue.mode"),
        ("ca_bundle", "ca_bundel", 2, "ca_bundel"),
        ("/itglue_api_key", "/no_such_file", 2, "itglue.api_key"),
    ],
)
def test_a_wrong_configuration_is_one_line(
    start: Start, contoso: Estate, old: str, new: str, code: int, words: str
) -> None:
    """An unreachable host, a bad value, an unknown key, a missing secret: one line with the mend."""
    world = start(contoso)
    text = world.config.read_text(encoding="utf-8")
    assert old in text
    world.config.write_text(text.replace(old, new), encoding="utf-8")
    result = run("sync", "--config", str(world.config))

    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_it_glue_key_says_so(start: Start, contoso: Estate) -> None:
    """A key that IT Glue refuses ends the sync with its remedy."""
    world = start(contoso)
    (world.folder / "simulator" / "itglue_api_key").write_text("ITG.wrong", encoding="utf-8")
    result = run("sync", "--config", str(world.config))

    assert result.exit_code == 1
    assert "key" in result.stderr
    assert "ITG.wrong" not in result.output


def test_a_second_sync_says_who_holds_the_lock(synced: World) -> None:
    """The command line and another writer meet: the command waits, then names the holder."""
    with synced.workspace.writing("the-other", "schedule", wait_seconds=0):
        result = run("sync", "--wait", "0.1", "--config", str(synced.config))

    assert result.exit_code == 1
    assert "the-other (schedule" in result.stderr


def test_help_loads_neither_dagster_nor_pandas() -> None:
    """Asking for help is quick."""
    code = (
        "import sys; from click.testing import CliRunner; from o365_etl.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "print([m for m in ('dagster', 'pandas', 'duckdb', 'msal', 'assets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_command_has_help_and_is_documented() -> None:
    """A command that nobody can find does not exist."""
    pages = "".join(
        (Path(__file__).parents[2] / page).read_text(encoding="utf-8") for page in ("README.md", "docs/operate.md")
    )
    for name, command in main.commands.items():
        assert command.help
        assert f"o365-etl {name}" in pages, name


def test_the_module_runs_from_any_folder(synced: World, tmp_path: Path) -> None:
    """The installed command works anywhere with nothing but the configuration file."""
    environment = {**os.environ, "O365_ETL_CONFIG": str(synced.config)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = Path(sys.executable).with_name("o365-etl")
    done = subprocess.run(
        [str(command), "query", "SELECT count(*) AS n FROM m365.users", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
        env=environment,
    )

    assert json.loads(done.stdout) == [{"n": 4}]
    assert list(elsewhere.iterdir()) == []
