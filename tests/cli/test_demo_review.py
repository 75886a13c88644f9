"""`o365-etl demo --review`: the website on the demo's folder, with the simulator behind it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from o365_etl.cli import main
from o365_etl.config import load_settings


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The sign-in link that the command prints, and its configuration."""
    environment = {**os.environ, "O365_ETL_REVIEW__PORT": "0"}
    command = [sys.executable, "-m", "o365_etl", "demo", "--review", "--folder", "data"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            link = next((line.strip() for line in process.stdout if "/sign-in?token=" in line), None)
            assert link, "it ended without a link"
            yield link, tmp_path / "data" / "demo.toml"
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()


def test_the_website_of_the_demo_answers_and_the_simulator_too(opened: tuple[str, Path]) -> None:
    """Whoever follows the link is signed in, and a sync started there would find what it reads."""
    link, config = opened
    session = requests.Session()
    assert session.get(link, timeout=30).status_code == 200
    base = link.partition("/sign-in")[0]
    assert session.get(f"{base}/activity", timeout=30).json()["kind"] == "idle"
    assert requests.get(f"{base}/activity", timeout=30).status_code == 401
    settings = load_settings(config)
    answer = requests.get(f"{settings.itglue.base_url}/organizations", verify=str(settings.ca_bundle), timeout=30)
    assert answer.status_code in (401, 403)  # IT Glue is there, and wants its key


def test_one_of_both_is_opened(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--review", "--dagster", "--folder", str(tmp_path)])
    assert result.exit_code == 2
    assert re.search(r"choose one", result.output)
    assert list(tmp_path.iterdir()) == []
