"""The example files of docs/scale are valid, and name the keys and versions that the scale test uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from o365_etl.cli import main

ROOT = Path(__file__).parents[1]
SCALE = ROOT / "docs" / "scale"
# What docs/scale.md and tests/scale refer to in the environment.
NAMES = {"O365_STATE_URL", "O365_CATALOG", "O365_DAGSTER_URL", "O365_BROKER"}


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pinned(package: str) -> str:
    found = re.search(rf"^{package}==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert found is not None
    return found[1]


def test_the_instance_is_the_project_s_with_another_storage() -> None:
    """Nothing else differs, so that a change of one is not forgotten in the other."""
    shared = loaded(SCALE / "dagster.yaml")
    assert shared.pop("storage") == {"postgres": {"postgres_url": {"env": "O365_DAGSTER_URL"}}}
    assert shared == loaded(ROOT / "dagster.yaml")


def test_the_instance_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster finds the storage's class and takes the key; it connects to nothing yet."""
    pytest.importorskip("dagster_postgres")
    from dagster._core.instance.config import dagster_instance_config

    config, _ = dagster_instance_config(str(SCALE))
    assert config["storage"]["postgres"]["postgres_url"] == {"env": "O365_DAGSTER_URL"}


def test_the_containers_are_the_processes_of_the_program() -> None:
    """Every variable is set for all of them, every command exists, and the servers are of the tested versions."""
    services = loaded(SCALE / "compose.yaml")["services"]
    programs = {name: each for name, each in services.items() if name not in ("postgres", "redis")}
    assert set(programs) == {"worker", "webserver", "daemon"}
    for each in programs.values():
        assert set(each["environment"]) >= NAMES | {"O365_ETL_CONFIG", "DAGSTER_HOME"}
    assert isinstance(main, click.Group)
    assert programs["worker"]["command"] == ["o365-etl", "worker"]
    assert "worker" in main.commands
    # Debian 12's, which `make scale-test` starts.
    assert (services["postgres"]["image"], services["redis"]["image"]) == ("postgres:15", "redis:7")
    assert "noeviction" in services["redis"]["command"]


def test_the_chart_is_of_the_pinned_dagster() -> None:
    """And its workers are the program's own, with all that a step needs."""
    text = (SCALE / "values.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"1\.\d+\.\d+", text)) == {pinned("dagster")}
    values = loaded(SCALE / "values.yaml")
    (worker,) = (each for each in values["extraManifests"] if each["kind"] == "Deployment")
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["o365-etl", "worker"]
    assert {each["name"] for each in container["env"]} == {"O365_ETL_CONFIG", "DAGSTER_HOME", "DAGSTER_PG_PASSWORD"}
    (code,) = values["dagster-user-deployments"]["deployments"]
    assert code["image"]["repository"] + ":" + code["image"]["tag"] == container["image"]
    assert code["volumes"] == worker["spec"]["template"]["spec"]["volumes"]
    for name in NAMES - {"O365_DAGSTER_URL"}:
        assert name in text


def test_the_page_names_what_the_files_and_the_test_use() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    scale_test = (ROOT / "tests" / "scale" / "scale_sync.py").read_text(encoding="utf-8")
    for name in NAMES:
        assert name in page
        assert name in scale_test
    for name in ("compose.yaml", "values.yaml", "dagster.yaml"):
        assert f"scale/{name}" in page
