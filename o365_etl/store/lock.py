"""The lock that lets one sync write at a time, and the name plate that says who holds it.

The lock is the operating system's, on `{data_dir}/sync.lock`: it ends with its process, however that ends. The plate,
`sync.lock.json` beside it, is only for people; without a held lock it means nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from o365_etl.errors import BusyError
from o365_etl.store.disk import local_errors, make_folder, replace_file

_POLL_SECONDS = 0.5


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock. `since` is UTC; an empty run id: somebody who has not put up the plate yet."""

    run_id: str = ""
    trigger: str = ""
    pid: int = 0
    host: str = ""
    since: datetime | None = None

    @property
    def may_live(self) -> bool:
        """Whether its process may still be there; of another machine's nobody here knows."""
        # On Windows signal 0 is no question, it ends the process.
        if self.host != socket.gethostname() or os.name != "posix":
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # somebody else's, so it is there
        return True

    @property
    def sentence(self) -> str:
        """Who holds the lock since when, as a clause for a person."""
        if not self.run_id or self.since is None:
            return "another sync holds the lock"
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"the sync {self.run_id} ({self.trigger}, process {self.pid} on {self.host}) holds the lock since {since}"
        )


class SyncLock:
    """The right to write below `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "sync.lock"
        self._plate = data_dir / "sync.lock.json"

    @contextlib.contextmanager
    def hold(
        self,
        run_id: str,
        trigger: str,
        wait_seconds: float,
        on_wait: Callable[[Holder], None] | None = None,
    ) -> Iterator[None]:
        """Hold the lock for the block, after waiting at most `wait_seconds` for it.

        `on_wait` is called once, before waiting, with the holder. Raises `BusyError`, whose message names the
        holder, if the lock is not free in time.
        """
        make_folder(self._path.parent)
        lock = FileLock(self._path, mode=0o600)
        with local_errors(f"lock {self._path}"):
            self._acquire(lock, wait_seconds, on_wait)
        try:
            with local_errors(f"write {self._plate}"):
                replace_file(self._plate, msgspec.json.encode(_me(run_id, trigger)))
            yield
        finally:
            # The plate goes first: after the release it may already be somebody else's.
            with contextlib.suppress(OSError):
                self._plate.unlink(missing_ok=True)
            lock.release()

    def holder(self) -> Holder | None:
        """Who holds the lock now; None if nobody does."""
        try:
            with FileLock(self._path, mode=0o600, blocking=False):
                return None
        except Timeout:
            return self.plate()
        except OSError:
            return None  # no such folder yet: nobody can hold it

    def _acquire(self, lock: FileLock, wait_seconds: float, on_wait: Callable[[Holder], None] | None) -> None:
        deadline = time.monotonic() + wait_seconds
        try:
            lock.acquire(blocking=False)
            return
        except Timeout:
            if on_wait is not None and wait_seconds > 0:
                on_wait(self.plate())
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=_POLL_SECONDS)
        except Timeout as error:
            raise BusyError(f"{self.plate().sentence} ({self._path})") from error

    def plate(self) -> Holder:
        """What the name plate says, without touching the lock, so that nobody is kept from it for a moment."""
        try:
            return msgspec.json.decode(self._plate.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return Holder()  # a plate is a courtesy: not there, half of it, or of another version


def _me(run_id: str, trigger: str) -> Holder:
    return Holder(run_id, trigger, os.getpid(), socket.gethostname(), datetime.now(UTC))
