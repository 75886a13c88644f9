from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from o365_etl.store.state import StateStore

ROOT = Path(__file__).parents[2]

Child = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes the URL of an empty database; any number of them."""
    return lambda: f"sqlite:///{tmp_path_factory.mktemp('state')}/state.sqlite"


@pytest.fixture
def place(new_place: Callable[[], str]) -> str:
    return new_place()


@pytest.fixture
def state(place: str) -> StateStore:
    return StateStore(place)


@pytest.fixture
def child() -> Iterator[Child]:
    """Starts Python programs in processes of their own; stops those that are still there at the end."""
    children = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        children.append(process)
        return process

    yield start
    for process in children:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(child: Child) -> Callable[..., str]:
    """Runs a Python program in a process of its own to its end and returns what it printed; it must not fail."""

    def to_the_end(program: str, *arguments: object) -> str:
        process = child(program, *arguments)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output.strip()

    return to_the_end
