"""What an extra brings is asked for by whoever uses it only: without it everything else is there."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

# What the extras bring, and the one module that is for them alone.
OPTIONAL = ("azure", "dagster_celery", "dagster_postgres", "keyring", "msgraph", "orjson", "psycopg", "psycopg2")
LOADED = """
import importlib, pkgutil, sys
for name in {missing!r}:
    sys.modules[name] = None  # importing it fails
import assets, o365_etl
for package in (assets, o365_etl):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != {left_out!r} and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def loaded(missing: tuple[str, ...]) -> str:
    """What a process complains of that loads every module but that one, where those that are missing cannot be had."""
    code = LOADED.format(missing=missing, left_out="assets.workers")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr


def test_every_module_loads_without_the_optional_parts() -> None:
    assert loaded(OPTIONAL) == ""


def test_a_part_that_is_needed_is_missed() -> None:
    assert "import of msal halted" in loaded(("msal",))


def test_types_are_checked_without_the_optional_parts() -> None:
    """`make check` is to pass where none is installed: what the package imports of them has leave to be missing."""
    root = Path(__file__).parents[1]
    overrides = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    may_be_missing = {name for each in overrides if each["ignore_missing_imports"] for name in each["module"]}
    assert {f"{name}.*" for name in imported(root / "o365_etl") if name in OPTIONAL} <= may_be_missing


def imported(package: Path) -> set[str]:
    """What the modules of a package import, by its first name."""
    names = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names
