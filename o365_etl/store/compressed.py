"""A zstd file that is hashed and counted while it is written or read.

What does not live here: what is in it (`landing`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from o365_etl.store.disk import create_file


class CompressedFile:
    """A new compressed file; every method raises OSError if the disk refuses. `received` counts what came in."""

    def __init__(self, path: Path) -> None:
        self._raw = os.fdopen(create_file(path), "wb", buffering=0)
        self._hashing = HashingFile(self._raw)
        # Arrow takes level 1, the fastest that still makes a tenth of such answers.
        self._stream = pa.CompressedOutputStream(pa.PythonFile(self._hashing, mode="w"), "zstd")
        self.received = 0

    def write(self, line: bytes, received: int) -> None:
        """Append a line in which `received` bytes are not ours."""
        self._stream.write(line)
        self.received += received

    def finish(self) -> None:
        """Write what is buffered and wait until the disk has it."""
        self._stream.close()
        os.fsync(self._raw.fileno())
        self._raw.close()

    def abort(self) -> None:
        """Close without writing what is buffered."""
        self._hashing.muted = True
        with contextlib.suppress(OSError):
            self._stream.close()
        self._raw.close()

    @property
    def sha256(self) -> str:
        """The checksum of the compressed bytes so far."""
        return self._hashing.digest.hexdigest()

    @property
    def size(self) -> int:
        """The number of compressed bytes so far."""
        return self._hashing.size


class HashingFile(io.RawIOBase):
    """The file object that Arrow writes to or reads from; closing it leaves the file itself open."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.digest = hashlib.sha256()
        self.size = 0
        self.muted = False

    def writable(self) -> bool:
        """Arrow asks."""
        return True

    def readable(self) -> bool:
        """Arrow asks."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data)
        if self.muted:
            return len(view)
        self.digest.update(view)
        self.size += len(view)
        written = 0
        while written < len(view):  # an unbuffered file may take a part only
            written += self._raw.write(view[written:])
        return written

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; empty at the end."""
        data = self._raw.read(size)
        self.digest.update(data)
        return data
