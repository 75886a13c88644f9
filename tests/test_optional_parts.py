"""What an extra brings is asked for by whoever uses it only: without it everything else is there."""

from __future__ import annotations

import subprocess
import sys

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
