"""Memory between and during the stages of a sync: given back when it is no longer used, and not fussed over while a
million rows pass.

Reading leaves hundreds of megabytes with the allocators of thirty threads, which DuckDB cannot use for the joins that
follow; without giving them back a sync of a million users peaks above a gibibyte although no stage needs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

import pyarrow as pa

_USUAL = gc.get_threshold()
# Answers are plain data without cycles: looking for some every 700 objects finds nothing.
_BULK = (50_000, 20, 100)
# The largest block that glibc keeps for itself.
_BLOCK_BYTES = (32 << 20) - (64 << 10)
# glibc's name for the size from which a block is mapped by itself, and the size: less than a page of users.
_M_MMAP_THRESHOLD = -3
_LARGE = 256 * 1024
# glibc's name for the most arenas: heaps among which it shares out threads.
_M_ARENA_MAX = -8


@contextlib.contextmanager
def bulk_work() -> Iterator[None]:
    """Within, Python seldom looks for cycles, and never among what is there already; pages of answers are decoded into
    blocks that the process keeps. Of works that overlap the first to end ends it for all.
    """
    _keep_blocks()
    _share_one_heap()
    gc.freeze()
    gc.set_threshold(*_BULK)
    try:
        yield
    finally:
        gc.set_threshold(*_USUAL)
        gc.unfreeze()


def give_back() -> None:
    """Return what Arrow's and the C library's allocators hold without need; does nothing where it cannot."""
    pa.default_memory_pool().release_unused()
    # malloc_trim is glibc's own; other C libraries do without it.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _keep_blocks() -> None:
    """glibc gives every freed block back to the system that is larger than all freed before, and pays for each of its
    pages when it asks for it again. It learns from one that is freed untouched.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
        library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
        library.free(library.malloc(_BLOCK_BYTES))


def _share_one_heap() -> None:
    """Threads that start from now on get no heaps of their own from glibc: what thirty of them held for a moment lies
    scattered over as many heaps, none of which shrinks. They seldom wait for each other, for Python's lock is held by
    whoever asks for memory.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back_large() -> None:
    """From now on return a large block as soon as it is freed, the opposite of what `bulk_work` asks for; does nothing
    where it cannot. Loading a tenant of 100,000 users peaks a hundred mebibytes lower for it.
    """
    # mallopt as well is the C library's own.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
