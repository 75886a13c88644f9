"""The landing zone: what was read, as received, one file per source and stream, each with its receipt.

    {root}/{source}/{stream}.{read_id}.jsonl.zst    the answers: JSON Lines, zstd, one answer a line
    {root}/{source}/{stream}.receipt.json           certifies the last complete read and names its file
    {root}/{source}/{stream}.failed.json            the last attempt, if it was not complete

A line is `{"part":"users","body":{…}}` for a JSON answer and `{"part":"usage_csv","text":"…"}` for a text. Answers go
to a temporary file first; the certified read of before stays in force until the receipt of the new one is written, so
a crash at any point leaves either the old pair or the new one.

What does not live here: what the answers mean (`o365_etl.transform`) and how they are got (`graph`, `itglue`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from o365_etl.errors import LocalError, NotFoundError, ProtocolError
from o365_etl.receipts import Receipt
from o365_etl.store.compressed import CompressedFile, HashingFile
from o365_etl.store.disk import is_abandoned, local_errors, make_folder, replace_file, unique_name

DATA_SUFFIX = ".jsonl.zst"

# These become parts of paths. A stream has no dot, so that `users.` is the prefix of no other stream's files.
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_SAFE_STREAM = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_READ_SIZE = 1 << 18
# What a line begins with, and what stands between the part of a line and its body.
_FRAME, _BODY, _TEXT = b'{"part":"', b'","body":', b'","text":'
# Where a page says how to get the next one, and what it is a page of: never the same twice, and no content. Servers
# put them first or last.
_PAGING = re.compile(rb'"@odata\.(?:nextLink|deltaLink|context)" *: *"[^"]*"')
_PAGING_WITHIN = 4096
_ReceiptType = TypeVar("_ReceiptType", bound=Receipt)


class _Stored(Receipt, frozen=True, kw_only=True, omit_defaults=True):
    """The receipt as it stands on disk, with the size of the compressed file."""

    file_bytes: int = 0


class LandingZone:
    """Keeps the last certified read of every stream of every source. Implements `o365_etl.receipts.Landing`.

    Streams may be written and read by several threads at once; within a process one stream has one writer at a time.
    Should processes, on one machine or on several, read the same stream at once (a step that was thought lost), each
    read is whole and the last to end counts.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def writer(self, source: str, stream: str, read_id: str) -> LandingWriter:
        """A writer for a new attempt; what a dead attempt left of this stream is removed.

        Raises `ProtocolError` if a name cannot be part of a path, `LocalError` if the disk refuses.
        """
        folder = self.root / _checked(source, _SAFE)
        return LandingWriter(folder, source, _checked(stream, _SAFE_STREAM), _checked(read_id, _SAFE))

    def receipt(self, source: str, stream: str) -> Receipt | None:
        """The receipt of the last certified read, or None if there never was one."""
        return _load(self._base(source, stream, ".receipt.json"), Receipt)

    def last_attempt(self, source: str, stream: str) -> Receipt | None:
        """The receipt of the last attempt, certified or not; None if there never was one."""
        failed = _load(self._base(source, stream, ".failed.json"), Receipt)
        certified = self.receipt(source, stream)
        if failed is None or certified is None:
            return failed or certified
        # Both exist for a moment only, or after a crash in it.
        return max(failed, certified, key=lambda receipt: receipt.ended_at)

    def is_intact(self, source: str, stream: str) -> bool:
        """True if there is a certified read and its file is, byte for byte, what was written."""
        try:
            stored = _load(self._base(source, stream, ".receipt.json"), _Stored)
            if stored is None:
                return False
            with self._file_of(source, stream, stored).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
        except (OSError, LocalError):
            return False

    def parts(self, source: str, stream: str, part: str) -> list[bytes]:
        """The bodies of one part of the last certified read, in order; empty if there is none."""
        stored = _load(self._base(source, stream, ".receipt.json"), _Stored)
        if stored is None:
            return []
        return [body for _, body in _read_answers(self._file_of(source, stream, stored), stored, part)]

    def read(self, source: str, stream: str) -> Iterator[tuple[str, bytes]]:
        """Every answer of the last certified read, in order, as (part, body); a text comes as UTF-8.

        Streams: one answer is in memory at a time. The size of the file is checked before the first answer, its
        checksum after the last, so use the rows only once the iteration has ended. Raises `NotFoundError` if there is
        no certified read (which is not the same as an empty one), `LocalError` with code `damaged` if the file is
        not what was written.
        """
        stored = _load(self._base(source, stream, ".receipt.json"), _Stored)
        if stored is None:
            raise NotFoundError(
                f"the stream {stream} of {source} was never read completely", remedy="Run a sync for it."
            )
        return _read_answers(self._file_of(source, stream, stored), stored)

    def sources(self) -> list[str]:
        """Every source with a folder here, in order."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and _SAFE.fullmatch(entry.name))

    def forget(self, source: str) -> None:
        """Delete everything of one source; nothing happens if there is nothing."""
        folder = self.root / _checked(source, _SAFE)
        with local_errors(f"delete {folder}"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def discard(self, source: str, stream: str) -> None:
        """Delete what is kept of one stream; nothing happens if there is nothing."""
        receipt = self._base(source, stream, ".receipt.json")
        with local_errors(f"delete {receipt}"):
            # The receipt first: without it the answers are nobody's.
            for path in (receipt, self._base(source, stream, ".failed.json")):
                path.unlink(missing_ok=True)
            for path in receipt.parent.glob(f"{stream}.*{DATA_SUFFIX}"):
                path.unlink(missing_ok=True)

    def _base(self, source: str, stream: str, suffix: str) -> Path:
        return self.root / _checked(source, _SAFE) / f"{_checked(stream, _SAFE_STREAM)}{suffix}"

    def _file_of(self, source: str, stream: str, stored: _Stored) -> Path:
        path = self._base(source, stream, DATA_SUFFIX)
        # The receipt is a file that anyone with the folder could edit: its word for a file name is checked too.
        name = stored.file or ""
        if not (name.startswith(f"{stream}.") and name.endswith(DATA_SUFFIX) and "/" not in name):
            raise _damaged(path.with_name(f"{stream}.receipt.json"), "the receipt names no file of this stream")
        return path.with_name(name)


class LandingWriter:
    """Takes the answers of one stream, in order, and ends with exactly one of `commit` or `abandon`.

    Implements `o365_etl.receipts.StreamWriter`. Raises `LocalError` if the disk is full or refuses.
    """

    def __init__(self, folder: Path, source: str, stream: str, read_id: str) -> None:
        self._folder, self._source, self._stream, self._read_id = folder, source, stream, read_id
        self._temporary = folder / f".{stream}.{read_id}.{unique_name()}.tmp"
        self._prefixes: dict[str, bytes] = {}
        self._content = hashlib.sha256()
        self._sink: CompressedFile | None = None
        with self._on_disk():
            names = _names_in(folder)
            for name in names:
                if name.startswith(f".{stream}.") and name.endswith(".tmp") and is_abandoned(folder / name):
                    (folder / name).unlink(missing_ok=True)
            # What the reads before have left; listed once, for a sync writes thousands of streams.
            self._before = [name for name in names if name.startswith(f"{stream}.")]
            self._sink = CompressedFile(self._temporary)

    def write(self, part: str, body: bytes, *, counts: bool = True) -> None:
        """Append one JSON answer, as received, under the name of the part of the stream it belongs to.

        One that only tells how something else was found out does not count: it has no part in the digest.
        """
        # In valid JSON a raw line break can only be white space between tokens.
        if b"\n" in body:
            body = body.replace(b"\n", b" ")
        if b"\r" in body:
            body = body.replace(b"\r", b" ")
        prefix = self._prefixes.get(part)
        if prefix is None:
            prefix = self._prefixes[part] = b'{"part":"%b","body":' % _checked(part, _SAFE).encode()
        with self._on_disk():
            self._open_sink().write(b"".join((prefix, body, b"}\n")), len(body))
        if counts:
            _digest(self._content, prefix, body)

    def write_text(self, part: str, text: str) -> None:
        """Append one answer that is text (a CSV report)."""
        line = b'{"part":"%b","text":%b}\n' % (_checked(part, _SAFE).encode(), json.dumps(text).encode())
        with self._on_disk():
            self._open_sink().write(line, len(text.encode("utf-8", "surrogatepass")))
        self._content.update(line)

    def restart(self) -> None:
        """Forget what was written: the stream starts over."""
        with self._on_disk():
            self._drop()
            self._sink = CompressedFile(self._temporary)
        self._content = hashlib.sha256()

    def commit(self, receipt: Receipt) -> Receipt:
        """Make the answers the certified ones (if the receipt certifies them) and keep the receipt.

        Returns the receipt as kept: file, checksum, digest and, where the reader left it at 0, bytes are filled in.
        """
        if (receipt.source, receipt.stream, receipt.read_id) != (self._source, self._stream, self._read_id):
            self.abandon()
            raise ProtocolError("a receipt was handed to the writer of another read")
        with self._on_disk():
            return self._keep(receipt) if receipt.certified else self._reject(receipt)

    def abandon(self) -> None:
        """Leave no trace of the attempt, not even a receipt."""
        with self._on_disk():
            self._drop()

    def _keep(self, receipt: Receipt) -> Receipt:
        sink = self._open_sink()
        sink.finish()
        name = self._name()
        stored = msgspec.structs.replace(
            _stored(receipt),
            file=name,
            sha256=sink.sha256,
            digest=self._content.hexdigest(),
            bytes=receipt.bytes or sink.received,
            file_bytes=sink.size,
        )
        self._sink = None
        replace_file(self._folder / f"{self._stream}.receipt.json", msgspec.json.encode(stored))
        # From here on the new read is in force; what follows only tidies.
        for old in self._before:
            of_another_read = old.endswith(DATA_SUFFIX) and not old.startswith(f"{self._stream}.{self._read_id}.")
            if of_another_read or old == f"{self._stream}.failed.json":
                (self._folder / old).unlink(missing_ok=True)
        return _plain(stored)

    def _name(self) -> str:
        """Give the answers a file name that is this writer's alone, and return it: another one of the same read may
        end at the same moment, and the receipt that is written last has to find its own answers.
        """
        name = f"{self._stream}.{self._read_id}{DATA_SUFFIX}"
        try:
            os.link(self._temporary, self._folder / name)
        except OSError:  # the name is taken, or this file system knows no links
            name = f"{self._stream}.{self._read_id}.{unique_name()}{DATA_SUFFIX}"
            self._temporary.replace(self._folder / name)
        else:
            self._temporary.unlink()
        return name

    def _reject(self, receipt: Receipt) -> Receipt:
        self._drop()
        replace_file(self._folder / f"{self._stream}.failed.json", msgspec.json.encode(receipt))
        return receipt

    def _open_sink(self) -> CompressedFile:
        if self._sink is None:
            raise LocalError(f"the writer of {self._stream} was used after its end")
        return self._sink

    def _drop(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()
        self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _on_disk(self) -> Iterator[None]:
        """A failed write ends the attempt: half a line on disk must never be certified."""
        try:
            with local_errors(f"write the landing zone ({self._folder})"):
                yield
        except LocalError:
            with contextlib.suppress(OSError):
                self._drop()
            raise


def _names_in(folder: Path) -> list[str]:
    """What is in a folder, which is made if it is not there."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        make_folder(folder)
        return []


def _digest(content: Any, prefix: bytes, body: bytes) -> None:
    """Add an answer to the digest of what was said, without its paging links."""
    content.update(prefix)
    if len(body) <= 2 * _PAGING_WITHIN:
        content.update(_PAGING.sub(b"", body))
        return
    content.update(_PAGING.sub(b"", body[:_PAGING_WITHIN]))
    content.update(memoryview(body)[_PAGING_WITHIN:-_PAGING_WITHIN])
    content.update(_PAGING.sub(b"", body[-_PAGING_WITHIN:]))


def _read_answers(path: Path, stored: _Stored, only: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Every answer, or those of one part; of the others it is only seen that they are answers."""
    try:
        with path.open("rb", buffering=0) as raw:
            if os.fstat(raw.fileno()).st_size != stored.file_bytes:
                raise _damaged(path, "its size is not that of its receipt")
            source = HashingFile(raw)
            with pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd") as stream:
                for block, start, end in _lines(path, stream):
                    if (answer := _answer(path, block, start, end, only)) is not None:
                        yield answer
            while source.read(_READ_SIZE):  # bytes behind the last frame count as well
                pass
            if source.digest.hexdigest() != stored.sha256:
                raise _damaged(path, "its checksum is not that of its receipt")
    except OSError as error:
        raise _damaged(path, error.strerror or "it cannot be decompressed") from error


def _lines(path: Path, stream: pa.NativeFile) -> Iterator[tuple[bytes, int, int]]:
    """Every line as the bytes it stands in and where, without its line break: a page is large, and copied once."""
    parts: list[bytes] = []
    while block := stream.read(_READ_SIZE):
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            if parts:
                line = b"".join((*parts, block[start:end]))
                parts = []
                yield line, 0, len(line)
            else:
                yield block, start, end
            start = end + 1
        if start < len(block):
            parts.append(block[start:])
    if parts:
        raise _damaged(path, "its last line has no end")


def _answer(path: Path, block: bytes, start: int, end: int, only: str | None) -> tuple[str, bytes] | None:
    """Take a line apart without decoding it: the frame around the body is ours and always the same. None for a line of
    another part than `only`, whose body is not copied.
    """
    name = start + len(_FRAME)
    body = block.find(b'"', name, end)
    if block.startswith(_FRAME, start) and block.endswith(b"}", start, end) and body > 0:
        part, kind = block[name:body].decode("ascii", "replace"), block[body : body + len(_BODY)]
        if kind in (_BODY, _TEXT) and only is not None and part != only:
            return None
        if kind == _BODY:
            return part, block[body + len(_BODY) : end - 1]
        if kind == _TEXT:
            text: str = json.loads(block[body + len(_TEXT) : end - 1])
            return part, text.encode("utf-8", "surrogatepass")
    raise _damaged(path, "a line is not an answer")


def _load(path: Path, kind: type[_ReceiptType]) -> _ReceiptType | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise _damaged(path, "it is no receipt") from error


def _stored(receipt: Receipt) -> _Stored:
    return _Stored(**msgspec.structs.asdict(receipt))


def _plain(stored: _Stored) -> Receipt:
    fields = msgspec.structs.asdict(stored)
    del fields["file_bytes"]
    return Receipt(**fields)


def _checked(name: str, pattern: re.Pattern[str]) -> str:
    if pattern.fullmatch(name) is None:
        raise ProtocolError(f"{name[:40]!r} cannot be the name of a source, a stream or a read")
    return name


def _damaged(path: Path, why: str) -> LocalError:
    return LocalError(
        f"{path} is damaged: {why}",
        code="damaged",
        remedy=f"Delete the folder {path.parent}; the next sync reads its source again.",
    )
