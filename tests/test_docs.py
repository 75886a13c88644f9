"""What the documentation tells people to type works."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from o365_etl.cli import main
from o365_etl.config import build_settings
from o365_etl.pipeline.workspace import query
from o365_etl.simulator import Estate
from tests.conftest import World

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a reader puts in: the page's example → what stands for it in the small world of the tests.
EXAMPLES = {"someone@contoso.com": "anna.berg@contoso.example", "contoso.com": "contoso.example"}


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found += [(page.name, block) for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)]
    return found


def commands() -> list[str]:
    lines = [line for _, block in blocks("sh") for line in block.splitlines()]
    # In the order of the pages: what is approved on one line is written on the next.
    found = dict.fromkeys(line.split("  #")[0].strip() for line in lines if line.startswith("o365-etl "))
    return [line for line in found if line.split()[1] not in ("demo", "simulate")]


@pytest.fixture
def synced(start: Callable[..., World], contoso: Estate) -> World:
    world = start(contoso)
    world.sync()
    return world


def test_every_command_in_the_documentation_runs(synced: World) -> None:
    """Each `o365-etl …` line of a shell block ends well against a synced world."""
    assert len(commands()) >= 8
    for line in commands():
        for example, real in EXAMPLES.items():
            line = line.replace(example, real)
        arguments = shlex.split(line)[1:]
        result = CliRunner().invoke(main, [*arguments, "--config", str(synced.config)], catch_exceptions=False)
        assert result.exit_code == 0, (line, result.output)


def test_every_query_in_the_documentation_runs(synced: World) -> None:
    """Each statement of an SQL block is read-only SQL on the published copy."""
    found = blocks("sql")
    assert len(found) >= 8
    for _, block in found:
        query(synced.workspace, block)


def test_every_configuration_in_the_documentation_is_valid(tmp_path: Path) -> None:
    """Each TOML block is a valid configuration, alone or on top of the minimal one."""
    minimal = '[itglue]\napi_key = { env = "X" }\n'
    for page, block in blocks("toml"):
        text = block if "[itglue]" in block else minimal + block
        assert build_settings(tomllib.loads(text), tmp_path / page).itglue


def test_every_link_between_pages_leads_somewhere() -> None:
    """No page links to a file that is not there."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_make_target_named_exists() -> None:
    """`make …` in the documentation is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        for target in re.findall(r"`make ([a-z0-9-]+)", page.read_text(encoding="utf-8")):
            assert target in targets, (page.name, target)
