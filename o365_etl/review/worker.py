"""What takes long, one after another: each a command of its own in a process of its own, as if typed on a terminal.

What does not live here: the state of a sync (`sync.runs`), which is the same whoever started it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from o365_etl.pipeline.workspace import now

Command = Literal["sync", "rematch", "apply"]

# Decisions come in bursts: one rematch for all of them.
SETTLE_SECONDS = 1.0
_STOP_SECONDS = 30.0
# Done, done but some tenants failed, stopped by a brake: the pages show the rest.
_WENT_WELL = (0, 3, 4)


@dataclass(frozen=True, slots=True)
class Job:
    """A command that waits, runs or has ended. `problem`: what it said when it failed."""

    command: Command
    arguments: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    problem: str | None = None


class Worker:
    """Runs one command at a time; an equal one that still waits is not asked for twice."""

    def __init__(self, config: Path, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._config = config
        self._settle_seconds = settle_seconds
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._last: Job | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def ask(self, command: Command, arguments: Sequence[str] = ()) -> None:
        """Have a command run after those that wait already."""
        job = Job(command, tuple(arguments))
        with self._changed:
            # What reads everything again also matches again.
            if job not in self._waiting and not (command == "rematch" and Job("sync") in self._waiting):
                self._waiting.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def state(self) -> tuple[Job | None, list[Job], Job | None]:
        """What runs, what waits, and what ended last."""
        with self._changed:
            return self._running, list(self._waiting), self._last

    def close(self) -> None:
        """Forget what waits, ask what runs to stop, and wait for its end."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            process, thread = self._process, self._thread
            self._changed.notify_all()
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if thread is not None:
            thread.join(_STOP_SECONDS)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            problem = self._run(job)
            with self._changed:
                self._last = Job(job.command, job.arguments, job.started_at, now(), problem)
                self._running = None
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._waiting and self._waiting[0].command == "rematch":
                self._changed.wait_for(lambda: self._is_closed, self._settle_seconds)
            if self._is_closed:
                return None
            first = self._waiting.pop(0)
            self._running = Job(first.command, first.arguments, now())
            return self._running

    def _run(self, job: Job) -> str | None:
        line = [sys.executable, "-m", "o365_etl", job.command, *job.arguments, "--config", str(self._config)]
        try:
            process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        except OSError as error:
            return f"the command could not be started ({error.strerror})"
        with self._changed:
            self._process = process
            if self._is_closed:
                process.terminate()
        _, said = process.communicate()
        with self._changed:
            self._process = None
        if process.returncode in _WENT_WELL:
            return None
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.startswith("o365-etl: ")]
        return lines[-1].removeprefix("o365-etl: ") if lines else f"it ended with exit code {process.returncode}"
