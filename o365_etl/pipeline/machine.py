"""What may be wrong with this machine: the data folder, the disk, the clock, the tables, and how old they are.

What does not live here: what others answer (`findings`), and who asks them (`doctor`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from o365_etl.errors import BusyError, O365EtlError
from o365_etl.pipeline.findings import Finding, Level, all_well, is_healthy
from o365_etl.pipeline.targets import KNOWN_TENANTS, Known
from o365_etl.pipeline.timetable import cron_of, next_time
from o365_etl.pipeline.workspace import Workspace, query
from o365_etl.store.warehouse import FILE_NAME

NAME = "this machine"
# Microsoft refuses a signed assertion whose time is further off than this; msal signs for ten minutes.
REFUSED_OFFSET = 300.0
ODD_OFFSET = 60.0
ROOM = 1024**3
"""Bytes that should be free beside what a sync writes anew."""
MISSED = 3
"""Scheduled syncs in a row without one that went well after which the tables are stale."""


def examine_machine(workspace: Workspace, at: datetime, offset: float | None, *, signs: bool) -> list[Finding]:
    """Everything about this machine. `offset` is by how many seconds Microsoft's clock is ahead, None if it is not
    known; `signs` says whether a connection signs assertions, which hold the time.
    """
    found = list(_clock(offset, signs=signs))
    broken = list(_folder(workspace.data_dir))
    found += broken
    if not broken:
        found += [*_disk(workspace), *_tables(workspace), *_state(workspace, at)]
    if is_healthy(found):
        found.append(all_well("machine", NAME, "data folder, disk and clock are in order"))
    return found


def _finding(level: Level, code: str, what: str, why: str, mend: str) -> Finding:
    return Finding("machine", NAME, level, code, what, why, mend)


def _clock(offset: float | None, *, signs: bool) -> Iterator[Finding]:
    if offset is None or abs(offset) < ODD_OFFSET:
        return
    far = abs(offset) >= REFUSED_OFFSET
    slow = "behind" if offset > 0 else "ahead of"
    yield _finding(
        "error" if far and signs else "warning",
        "clock",
        f"its clock is {_minutes(abs(offset))} {slow} Microsoft's",
        "Microsoft refuses to sign in with a certificate if the clocks are five minutes apart; times are wrong anyhow.",
        "Set the clock, and have it kept by NTP (`timedatectl set-ntp true`).",
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _folder(data_dir: Path) -> Iterator[Finding]:
    """Trying is the only test that holds: permissions, quotas and read-only mounts have no one place to look at."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=data_dir, prefix=".doctor-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield _finding(
            "error",
            "data_dir",
            f"data_dir: nothing can be written in {data_dir} ({error.strerror})",
            "Nothing can be read without a place to keep it.",
            "Correct the permissions of the folder, or name another one in `data_dir`.",
        )


def _disk(workspace: Workspace) -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(workspace.data_dir).free
    except OSError:
        return
    needed = _size(workspace.published) + _size(workspace.data_dir / FILE_NAME) // 4
    if free >= needed + ROOM:
        return
    yield _finding(
        "error" if free < needed else "warning",
        "disk",
        f"the disk of {workspace.data_dir} is nearly full: {_gib(free)} free, a sync needs {_gib(needed)} and more",
        "A sync writes the published copy anew beside the old one; without room it ends, and the old one stays.",
        "Free disk space, or move `data_dir` to a larger disk.",
    )


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"


def _tables(workspace: Workspace) -> Iterator[Finding]:
    """The working tables and the published copy can be opened; nothing is made that is not there."""
    try:
        if workspace.warehouse.exists:
            # Under the lock, for an open file would stop a sync; while one is running, it has just opened it itself.
            with workspace.lock.hold("doctor", "doctor", wait_seconds=0), workspace.tables() as db:
                db.rows("SELECT count(*) FROM sync.tenants")
    except BusyError:
        pass
    except O365EtlError as error:
        why = "No sync can go on from here; the published copy stays as it is."
        yield _finding("error", f"warehouse_{error.code}", error.message, why, error.remedy)
    if workspace.published.is_file():
        try:
            query(workspace, "SELECT count(*) FROM sync.tenants")
        except O365EtlError as error:
            why = "Analysts, the status and this command cannot read what was found so far."
            mend = "Run `o365-etl sync`: it writes the copy anew."
            yield _finding("error", f"published_{error.code}", error.message, why, mend)


def _state(workspace: Workspace, at: datetime) -> Iterator[Finding]:
    try:
        runs = [run for run in workspace.state.runs(limit=1000) if run["started_at"] is not None]
    except O365EtlError as error:
        why = "Decisions, links and approvals are kept there: no sync goes on without them."
        mend = f"{error.remedy.rstrip('.')}. If the file is damaged, bring it back from a backup."
        yield _finding("error", f"state_{error.code}", error.message, why, mend)
        return
    read = [run for run in runs if run["status"] in ("ok", "blocked") and run["tenants_ok"] is not None]
    if not runs:
        yield _finding("note", "never_synced", "nothing was synced yet", "There are no tables.", "Run `o365-etl sync`.")
        return
    last = max((run["ended_at"] or run["started_at"] for run in read), default=None)
    missed = _third_time_after(workspace, last or min(run["started_at"] for run in runs))
    if missed is not None and missed <= at:
        since = f"is of {last.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if last else "was never written"
        yield _finding(
            "error",
            "stale",
            f"the published copy {since}: the last {MISSED} scheduled syncs did not end well",
            "Whoever reads it takes old figures for new ones.",
            "See `o365-etl logs --level error`, and that the Dagster daemon runs (docs/operate.md).",
        )


def _third_time_after(workspace: Workspace, moment: datetime) -> datetime | None:
    schedule = workspace.settings.schedule
    cron = cron_of(workspace.settings)
    time: datetime | None = moment
    for _ in range(MISSED):
        time = next_time(cron, schedule.timezone, time) if time is not None else None
    return time


def known_tenants(workspace: Workspace) -> dict[str, Known]:
    """What the published copy says of every tenant seen so far, by id; empty if there is none, or it is damaged."""
    try:
        rows = query(workspace, KNOWN_TENANTS)
    except O365EtlError:
        return {}  # not there yet, or damaged: `examine_machine` says so
    return {row["tenant_id"]: row for row in rows}
