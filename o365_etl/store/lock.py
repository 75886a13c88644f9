"""The lock that lets one sync write at a time, and the name plate that says who holds it.

The lock is the operating system's, on `{data_dir}/sync.lock`: it ends with its process, however that ends. The plate,
`sync.lock.json` beside it, is only for people; without a held lock it means nothing. Where several machines share the
state store, its lease (`state_lease`) is part of the lock: who holds the lock holds both.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from filelock import FileLock, Timeout

from o365_etl.errors import BusyError, UnreachableError
from o365_etl.store.disk import local_errors, make_folder, process_lives, replace_file

if TYPE_CHECKING:
    from o365_etl.store.state_lease import Lease

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
        return self.host != socket.gethostname() or process_lives(self.pid)

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
    """The right to write below `data_dir`; with a `lease` also on every other machine that shares the state store."""

    def __init__(self, data_dir: Path, lease: Lease | None = None) -> None:
        self._path = data_dir / "sync.lock"
        self._plate = data_dir / "sync.lock.json"
        self._lease = lease

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
        holder, if the lock is not free in time, or if the lease was lost to another run.
        """
        make_folder(self._path.parent)
        lock = FileLock(self._path, mode=0o600)
        deadline = time.monotonic() + wait_seconds
        say = _once(on_wait)
        with local_errors(f"lock {self._path}"):
            self._acquire(lock, deadline, say)
        try:
            with self._leased(_me(run_id, trigger), deadline, say):
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
                pass
        except Timeout:
            return self._read_plate()
        except OSError:
            pass  # no such folder yet: nobody can hold it
        return self._lease.holder() if self._lease is not None else None

    def plate(self) -> Holder:
        """Who says to hold the lock, without touching it, so that nobody is kept from it for a moment."""
        if self._lease is not None:
            return self._lease.holder() or Holder()
        return self._read_plate()

    def _acquire(self, lock: FileLock, deadline: float, on_wait: Callable[[Holder], None]) -> None:
        try:
            lock.acquire(blocking=False)
            return
        except Timeout:
            if deadline > time.monotonic():
                on_wait(self._read_plate())
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()), poll_interval=_POLL_SECONDS)
        except Timeout as error:
            raise BusyError(f"{self._read_plate().sentence} ({self._path})") from error

    @contextlib.contextmanager
    def _leased(self, wanted: Holder, deadline: float, on_wait: Callable[[Holder], None]) -> Iterator[None]:
        if self._lease is None:
            yield
            return
        while (other := self._lease.take(wanted)) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusyError(other.sentence)
            on_wait(other)
            time.sleep(min(left, _POLL_SECONDS))
        try:
            with self._lease.keep(wanted.run_id):
                yield
        finally:
            # A server that is away does not hide how the block ended: the lease runs out by itself.
            with contextlib.suppress(UnreachableError):
                self._lease.give_back(wanted.run_id)

    def _read_plate(self) -> Holder:
        try:
            return msgspec.json.decode(self._plate.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return Holder()  # a plate is a courtesy: not there, half of it, or of another version


def _once(on_wait: Callable[[Holder], None] | None) -> Callable[[Holder], None]:
    said = False

    def say(holder: Holder) -> None:
        nonlocal said
        if on_wait is not None and not said:
            said = True
            on_wait(holder)

    return say


def _me(run_id: str, trigger: str) -> Holder:
    return Holder(run_id, trigger, os.getpid(), socket.gethostname(), datetime.now(UTC))
