"""What all pages share: the installation, the worker, and what is going on at this moment.

What does not live here: anything that one page alone needs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from o365_etl.config import Settings, find_config, load_settings
from o365_etl.errors import ConfigError
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.worker import Worker

_DOES = {
    "sync": "Syncing…",
    "rematch": "Taking up decisions…",
    "apply": "Writing to IT Glue…",
    "decision": "Taking up decisions…",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on: `kind` is busy, idle or failed, `text` what a person reads, `version` changes with the data."""

    kind: str
    text: str
    version: str


class Desk:
    """One installation as the website sees it. Settings are read again when the file has changed."""

    def __init__(self, config: Path | None, *, who: str, on_sign_in: Callable[[str], None] = lambda _: None) -> None:
        self.config = find_config(config).expanduser().absolute()
        self.who = who
        self.worker = Worker(self.config)
        self.signed_in = on_sign_in
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._workspace = self._load()

    @property
    def workspace(self) -> Workspace:
        """The installation, by the configuration as it is now; a file that is wrong leaves it as it was."""
        with self._lock:
            if self._changed():
                # A file that is being mended leaves what holds as it is; the command line names what is wrong in it.
                with contextlib.suppress(ConfigError):
                    self._workspace = self._load()
            return self._workspace

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.workspace.settings

    @property
    def hosts(self) -> list[str]:
        """The names under which browsers may reach the website, besides this machine's own."""
        review = self.settings.review
        return [review.host, *review.hostnames]

    def activity(self) -> Activity:
        """What runs now, whoever started it."""
        state = self.workspace.state
        version = "-".join(str(part) for part in self.workspace.open_copy.version()) or "none"
        running, waiting, last = self.worker.state()
        runs = [run for run in state.runs(limit=3) if run["status"] == "syncing"]
        if runs:
            trigger = str(runs[0]["trigger"])
            written = state.intents.counts(runs[0]["run_id"]).get("applied", 0)
            text = _DOES.get(running.command if running else trigger, "Syncing…")
            return Activity("busy", f"{text} {written:,} changes written." if written else text, version)
        if running or waiting:
            return Activity("busy", _DOES[(running or waiting[0]).command], version)
        if last is not None and last.problem is not None:
            ended = f"-{last.ended_at:%H%M%S}" if last.ended_at else ""
            return Activity("failed", f"The last {last.command} failed: {last.problem}", version + ended)
        return Activity("idle", "", version)

    def has_pending(self) -> bool:
        """Whether something runs or waits to."""
        running, waiting, _ = self.worker.state()
        return bool(running or waiting)

    def _changed(self) -> bool:
        return self._mtime() != self._read_at

    def _mtime(self) -> int | None:
        try:
            return self.config.stat().st_mtime_ns
        except OSError:
            return None

    def _load(self) -> Workspace:
        self._read_at = self._mtime()
        made = Workspace.of(load_settings(self.config))
        return Workspace(made.settings, keeps_open=True)
