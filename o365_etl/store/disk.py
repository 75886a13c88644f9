"""Files and folders of this program: private, replaced whole, and with errors a person can act on.

What does not live here: what is in the files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from o365_etl.errors import LocalError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def local_errors(doing: str) -> Iterator[None]:
    """Turn an `OSError` into a `LocalError`: "cannot {doing}: {why}". Code `disk_full` if there is no room."""
    try:
        yield
    except OSError as error:
        # Arrow raises OSError without errno for damaged streams; its text names no content.
        reason = error.strerror or str(error).splitlines()[0]
        if error.errno in _FULL:
            raise LocalError(
                f"cannot {doing}: {reason}", code="disk_full", remedy="Free disk space, then run again."
            ) from error
        raise LocalError(f"cannot {doing}: {reason}") from error


def make_folder(path: Path) -> Path:
    """Create a folder that only this user may enter, with its parents; an existing one stays as it is."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)  # mkdir(parents=True) would give the parents the mode of the umask
        with local_errors(f"create the folder {path}"):
            path.mkdir(exist_ok=True, mode=0o700)
    return path


def create_file(path: Path) -> int:
    """A descriptor for writing to a new file that only this user may read; OSError if the file is there already."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that a reader, or a machine that lost power, sees the old or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with os.fdopen(create_file(temporary), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
