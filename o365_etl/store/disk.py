"""Files and folders of this program: private, replaced whole, and with errors a person can act on.

What does not live here: what is in the files.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from o365_etl.errors import LocalError

# A file under a temporary name: `.{what}.{machine}-{process}-{number}.tmp`. Several machines may share a folder.
_TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
# What a writer on another machine has not touched for so long is nobody's.
_ABANDONED_SECONDS = 24 * 3600.0

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


def unique_name() -> str:
    """A name that no other writer has, on any machine, and that tells whose it is."""
    return f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_abandoned(temporary: Path) -> bool:
    """Whether a file whose name ends in `.{unique_name()}.tmp` is what a writer left that is gone: this process (which
    has one writer of a file at a time) or a dead one of this machine; of another machine, if it has not been touched
    for a day. So is a file with any other temporary name, which an older version left.
    """
    found = _TEMPORARY.fullmatch(temporary.name)
    if found is None:
        return True
    if found[1] == _machine():
        pid = int(found[2])
        return pid == os.getpid() or not process_lives(pid)
    try:
        return time.time() - temporary.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False  # gone by itself


def process_lives(pid: int) -> bool:
    """Whether a process of this machine may still be there."""
    if os.name != "posix":
        return True  # on Windows signal 0 is no question, it ends the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's, so it is there
    return True


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file so that a reader, or a machine that lost power, sees the old or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{unique_name()}.tmp")
    try:
        descriptor = create_file(temporary)
        try:
            _write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of it: the system may take a part at a time."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
