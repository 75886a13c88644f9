"""What one installation consists of: its settings and the four places that keep its data.

Opening a workspace creates the folder and nothing else; no connection is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from o365_etl.config import Settings, load_settings
from o365_etl.errors import LocalError, NotFoundError
from o365_etl.normalise import normalise
from o365_etl.store import published
from o365_etl.store.lake import Lake
from o365_etl.store.landing import LandingZone
from o365_etl.store.lock import Holder, SyncLock
from o365_etl.store.published import OpenCopy
from o365_etl.store.state import StateStore
from o365_etl.store.warehouse import Db, Warehouse

PUBLISHED = "o365.duckdb"


@dataclass(frozen=True)
class Workspace:
    """The settings and the stores below `data_dir`."""

    settings: Settings
    # For a program that asks many small questions for hours: the published copy stays open between them.
    keeps_open: bool = False

    @classmethod
    def open(cls, config: Path | None = None) -> Workspace:
        """The workspace of a configuration file. Raises `ConfigError`, `LocalError`."""
        return cls.of(load_settings(config))

    @classmethod
    def of(cls, settings: Settings) -> Workspace:
        """The workspace of settings; makes `data_dir`, readable by this user alone."""
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LocalError(f"data_dir: the folder {settings.data_dir} cannot be made ({error.strerror})") from error
        return cls(settings)

    @property
    def data_dir(self) -> Path:
        """The folder of everything."""
        return self.settings.data_dir

    @property
    def published(self) -> Path:
        """The copy that analysts open."""
        return self.data_dir / PUBLISHED

    @cached_property
    def open_copy(self) -> OpenCopy:
        """The same, kept open."""
        return OpenCopy(self.published)

    @cached_property
    def landing(self) -> LandingZone:
        """Raw answers with their receipts."""
        return LandingZone(self.data_dir / "landing")

    @cached_property
    def warehouse(self) -> Warehouse:
        """The working tables: in a file for one process at a time, or in the lake that all machines share."""
        place = self.settings.warehouse
        if place.catalog is None:
            return Warehouse(self.data_dir)
        return Lake(self.data_dir, place.catalog.read("warehouse.catalog"), place.data_path)

    @cached_property
    def state(self) -> StateStore:
        """What cannot be computed again."""
        url = self.settings.state.url
        return StateStore(self.data_dir if url is None else url.read("state.url"))

    @cached_property
    def lock(self) -> SyncLock:
        """The right to write; a state store that other machines may share says who has it among them."""
        return SyncLock(self.data_dir, None if self.settings.state.url is None else self.state.lease)

    @contextmanager
    def tables(self) -> Iterator[Db]:
        """The warehouse, open for as long as the block runs.

        Within `writing` a small one stays open from one block to the next: opening it takes longer than what is done
        with it, and it holds little memory.
        """
        kept = self._kept
        with ExitStack() as stack:
            if kept.tables is None:
                db = stack.enter_context(self.warehouse.connect(functions={"normalise": normalise}))
            else:
                db, opened = kept.tables
                kept.tables = None
                stack.enter_context(opened)
            yield db
            # After an error it is closed: what that left behind goes with it.
            if kept.is_wanted and kept.tables is None and self.warehouse.is_small:
                kept.tables = db, stack.pop_all()

    @cached_property
    def _kept(self) -> _Kept:
        return _Kept()

    @contextmanager
    def writing(
        self,
        run_id: str,
        trigger: str,
        *,
        wait_seconds: float,
        on_wait: Callable[[Holder | None], None] | None = None,
    ) -> Iterator[None]:
        """The one sync that writes: takes the lock, opens the run in the sync log, closes it however it ends.

        Raises `BusyError` if another sync holds the lock for longer than `wait_seconds`.
        """
        with self.lock.hold(run_id, trigger, wait_seconds, on_wait=on_wait):
            self.state.close_abandoned("the process ended before the sync did")
            self.state.start_run(run_id, trigger, now())
            try:
                with self._kept.wanted():
                    yield
            finally:
                # publish() closes a run that went well; whatever is still open here did not.
                self.state.close_abandoned("the sync stopped before its end")

    @contextmanager
    def taking_part(self, run_id: str) -> Iterator[None]:
        """A step of the sync that writes, in a process of its own: it opens and closes nothing, and keeps the lease
        alive as long as it works.

        Raises `BusyError` if that sync has no right to write any more.
        """
        with self.state.lease.keep(run_id):
            yield


class _Kept:
    """The warehouse that stays open between two blocks."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.tables: tuple[Db, ExitStack] | None = None

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """For the block a warehouse may be kept; at its end it is closed."""
        self.is_wanted = True
        try:
            yield
        finally:
            self.is_wanted = False
            kept, self.tables = self.tables, None
            if kept is not None:
                kept[1].close()


def now() -> datetime:
    """The time, with its zone; the one clock of the pipeline."""
    return datetime.now(UTC)


NOT_SYNCED = "Run `o365-etl sync` first (or `o365-etl demo` to look around)."


def query(
    workspace: Workspace, sql: str, parameters: Sequence[object] = (), *, remember: bool = False
) -> list[dict[str, Any]]:
    """Rows of a read-only statement on the published copy, as dicts; with `remember` a workspace that keeps it open
    keeps the answer as well, until the next sync.

    Raises `NotFoundError` if nothing was published yet, and the statement's own error as a `PermanentError`.
    """
    if not workspace.published.is_file():
        raise NotFoundError(f"nothing has been published yet in {workspace.data_dir}", remedy=NOT_SYNCED)
    if workspace.keeps_open:
        answer = workspace.open_copy.query(sql, parameters, remember=remember)
    else:
        answer = published.query(workspace.published, sql, parameters)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
