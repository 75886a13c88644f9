"""What all pages share: the installation, the worker, and what is going on at this moment.

What does not live here: anything that one page alone needs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from o365_etl.config import Settings, find_config, load_settings
from o365_etl.errors import ConfigError, NotFoundError
from o365_etl.pipeline import planned
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.worker import Job, Worker

# What a run does, by what started it; everything else is a sync.
_JOBS = {"decision": "rematch", "rematch": "rematch", "apply": "apply", "disconnect": "disconnect"}
_DOES = {
    "sync": "Syncing",
    "rematch": "Taking up decisions",
    "apply": "Writing to IT Glue",
    "disconnect": "Removing a connection",
}
_THEN = {"sync": "a sync", "rematch": "the decisions made since", "apply": "the approved plan is written"}
# How the runs of the worker's own commands are marked.
_TRIGGERS = {"sync": "manual", "rematch": "rematch", "apply": "apply"}
# Counting what a run has written takes a while once that is a lot: it may cost this share of the time at most.
_COUNTING_SHARE = 0.05
_COUNTING_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on: `kind` is busy, idle or failed, `text` what a person reads, `version` changes with the data.

    While something is written: `done` changes of `total`; None where that is not known.
    """

    kind: str
    text: str
    version: str
    done: int | None = None
    total: int | None = None


class Desk:
    """One installation as the website sees it. Settings are read again when the file has changed."""

    def __init__(self, config: Path | None, *, who: str, on_sign_in: Callable[[str], None] = lambda _: None) -> None:
        self.config = find_config(config).expanduser().absolute()
        self.who = who
        self.worker = Worker(self.config)
        self.signed_in = on_sign_in
        self._lock = threading.Lock()
        self._read_at: int | None = None
        self._dismissed: datetime | None = None
        self._counted: tuple[str, dict[str, int], float] = ("", {}, 0.0)
        self._approved: tuple[str, int | None] = ("", None)
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
        """What runs now, whoever started it; else what went wrong last, until something goes well or it is read."""
        state = self.workspace.state
        version = "-".join(str(part) for part in self.workspace.open_copy.version()) or "none"
        running, waiting, last = self.worker.state()
        runs = [run for run in state.runs(limit=3) if run["status"] != "queued"]
        current = next((run for run in runs if run["status"] == "syncing"), None)
        is_lost = current is not None and self._is_lost(current)
        if current is not None and not is_lost:
            # A command of the worker that is not this run waits for its end.
            own = [running] if running and _TRIGGERS[running.command] != current["trigger"] else []
            text, done, total = self._words(current)
            return Activity("busy", text + _then([*own, *waiting]), version, done, total)
        if running or waiting:
            first, *others = [*([running] if running else []), *waiting]
            return Activity("busy", f"{_DOES[first.command]}…{_then(others)}", version)
        if last is not None and last.problem is not None and last.ended_at != self._dismissed:
            went_well = any(run["status"] in ("ok", "blocked") and run["started_at"] >= last.ended_at for run in runs)
            if not went_well:
                return Activity("failed", f"{_DOES[last.command]} failed: {last.problem}", f"{version}-{last.ended_at}")
        if current is not None:
            began = f"{current['started_at']:%Y-%m-%d %H:%M} UTC"
            text = f"The run that began {began} was ended from outside before it was done."
            return Activity("failed", text, f"{version}-{current['run_id']}")
        return Activity("idle", "", version)

    def dismiss(self) -> None:
        """Somebody has read what the worker's last command said when it failed."""
        _, _, last = self.worker.state()
        self._dismissed = last.ended_at if last is not None else None

    def _words(self, run: dict[str, Any]) -> tuple[str, int | None, int | None]:
        """What a run does at the moment; how many changes it has written, and of how many."""
        job = _JOBS.get(run["trigger"], "sync")
        counts = self._counts(run["run_id"])
        done = sum(counts.get(state, 0) for state in ("applied", "failed", "skipped"))
        if counts or job == "apply":
            total = self._total(run["run_id"]) if job == "apply" else None
            total = total if total and total >= done else None
            of_total = f" of {total:,}" if total else ""
            failed = f", {counts['failed']:,} failed" if counts.get("failed") else ""
            return f"{_DOES['apply']}: {done:,}{of_total} changes{failed}…", done, total
        since = f"{run['started_at']:%H:%M} UTC"
        if job != "sync":
            return f"{_DOES[job]}…", None, None
        if run["tenants_ok"] is None:
            return f"Syncing since {since}: Microsoft 365 and IT Glue are read…", None, None
        read = f"{run['tenants_ok']:,} of {run['tenants_ok'] + (run['tenants_failed'] or 0):,} tenants are read"
        return f"Syncing since {since}: {read}, now they are matched and compared…", None, None

    def _counts(self, run_id: str) -> dict[str, int]:
        """What became of a run's changes so far, counted now and then: everybody who looks asks every two seconds."""
        with self._lock:
            known, counts, again_at = self._counted
        started = time.monotonic()
        if known == run_id and started < again_at:
            return counts
        counts = self.workspace.state.intents.counts(run_id)
        ended = time.monotonic()
        pause = max(_COUNTING_SECONDS, (ended - started) / _COUNTING_SHARE)
        with self._lock:
            self._counted = (run_id, counts, ended + pause)
        return counts

    def _total(self, run_id: str) -> int | None:
        """How many changes a run is to write, by the plan as it was when the run was first seen here."""
        with self._lock:
            known, total = self._approved
        if known != run_id:
            try:
                workspace = self.workspace
                rows = planned.to_write(workspace, planned.by_tenant(workspace))
                total = sum(row["changes"] for row in rows)
            except NotFoundError:
                total = None
            with self._lock:
                self._approved = (run_id, total)
        return total

    def _is_lost(self, run: dict[str, Any]) -> bool:
        """Whether nobody works on a run that looks as if it ran. Only the name plate of the lock is read: whoever takes
        the lock, for a moment only, may be in the way of a sync.
        """
        holder = self.workspace.lock.plate()
        if holder.run_id == run["run_id"] and holder.may_live:
            return False
        # It may have ended between the two looks.
        runs = self.workspace.state.runs(limit=3)
        return any(each["run_id"] == run["run_id"] and each["status"] == "syncing" for each in runs)

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


def _then(jobs: Iterable[Job]) -> str:
    """What waits for the end of what runs."""
    following = list(dict.fromkeys(_THEN[job.command] for job in jobs))
    return f" Then: {', '.join(following)}." if following else ""
