"""A small simulated world, its configuration, and the way to sync it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

from o365_etl.config import Settings, load_settings
from o365_etl.pipeline import changing, documentation, microsoft, planning, publishing, relating
from o365_etl.pipeline.workspace import Workspace
from o365_etl.simulator import (
    Estate,
    Fault,
    FaultPlan,
    SimContact,
    SimEmail,
    SimOrganization,
    SimTenant,
    Simulator,
    SimUser,
    certificates,
)
from o365_etl.store.published import OpenCopy

# Folders and files that take minutes: they come first, so that no process is left alone with one at the end.
_LONG = ("tests/writing", "tests/pipeline", "tests/test_docs.py", "tests/assets", "tests/review", "tests/cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See `_LONG`; pytest-xdist keeps this order with `--no-loadscope-reorder`."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


class World:
    """A running simulator and one installation against it."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.config = folder / "o365_etl.toml"
        self.config.write_text(simulator.settings_toml(data_dir="data"), encoding="utf-8")
        self._runs = 0

    @property
    def settings(self) -> Settings:
        """The settings as they are in the file now."""
        return load_settings(self.config)

    @property
    def workspace(self) -> Workspace:
        """The installation."""
        return Workspace.of(self.settings)

    def configure(self, text: str) -> None:
        """Append to the configuration."""
        self.config.write_text(self.config.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")

    def add_fault(self, fault: Fault) -> None:
        """From now on this goes wrong."""
        self.simulator.faults.add(fault)

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.simulator.faults.clear()

    def sync(self, tenants: tuple[str, ...] = (), *, only_failed: bool = False) -> microsoft.Certified:
        """A whole sync by calling the verbs, without Dagster."""
        self._runs += 1
        run_id = f"run-{self._runs}"
        workspace = self.workspace
        with workspace.writing(run_id, "test", wait_seconds=5):
            plan = planning.plan_shards(workspace, tenants, only_failed=only_failed)
            results = [r for shard in plan.shards for r in microsoft.read_shard(workspace, shard, run_id)]
            done = microsoft.certify(workspace, run_id, plan, results)
            documentation.load_it_glue(workspace, documentation.read_it_glue(workspace, run_id))
            relating.match_organizations(workspace)
            relating.match_contacts(workspace)
            relating.compare(workspace)
            relating.remember(workspace)
            changing.plan_changes(workspace, run_id)
            publishing.publish(workspace, run_id)
        return done

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the published copy."""
        return self._copy.query(sql).rows

    @cached_property
    def _copy(self) -> OpenCopy:
        return self.workspace.open_copy


@cache
def _keys() -> Path:
    """A folder with the keys and certificates of all simulators here: one takes a tenth of a second to make."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    certificates.prepare(Path(folder.name))
    return Path(folder.name)


def simulator_folder(folder: Path) -> Path:
    """A new folder for a simulator, with keys and certificates."""
    return Path(shutil.copytree(_keys(), folder / "simulator"))


@contextmanager
def world_of(estate: Estate, folder: Path) -> Iterator[World]:
    """A running simulator of an estate and an installation of its own beside it: for a world that tests share."""
    (folder / "world").mkdir()
    with Simulator(estate, faults=FaultPlan(), folder=simulator_folder(folder)) as simulator:
        yield World(simulator, folder / "world")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Starts a simulator on an estate and makes an installation for it; any number of them."""
    with ExitStack() as stack:

        def begin(estate: Estate, **options: Any) -> World:
            folder = tmp_path / f"world-{len(list(tmp_path.glob('world-*')))}"
            folder.mkdir()
            simulator = Simulator(estate, faults=FaultPlan(), folder=simulator_folder(folder), **options)
            return World(stack.enter_context(simulator), folder)

        yield begin


@pytest.fixture
def contoso() -> Estate:
    """The estate of `contoso_estate`."""
    return contoso_estate()


def contoso_estate() -> Estate:
    """Two healthy tenants, their organizations, and contacts for some of their users."""
    contoso_users = [
        SimUser.person("Anna", "Berg", "contoso.example"),
        SimUser.person("Bo", "Dahl", "contoso.example"),
        SimUser.person("Cy", "Eek", "contoso.example"),
    ]
    return Estate.build(
        tenants=[
            SimTenant("Contoso", users=contoso_users),
            SimTenant("Fabrikam Ltd", users=[SimUser.person("Di", "Falk", "fabrikamltd.example")]),
        ],
        organizations=[SimOrganization("Contoso", 101), SimOrganization("Fabrikam GmbH", 102)],
        contacts=[
            SimContact(101, "Anna", "Berg", emails=[SimEmail("anna.berg@contoso.example", primary=True)]),
            SimContact(101, "Bo", "Dahl"),
        ],
    )
