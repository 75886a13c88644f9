"""Gives memory that is no longer used back to the system between the stages of a sync.

Reading leaves hundreds of megabytes with the allocators of thirty threads, which DuckDB cannot use for the joins that
follow; without this a sync of a million users peaks above a gibibyte although no stage needs it.
"""

from __future__ import annotations

import contextlib
import ctypes

import pyarrow as pa

# glibc's name for the size from which a block is mapped by itself, and the size: less than a page of users.
_M_MMAP_THRESHOLD = -3
_LARGE = 256 * 1024


def give_back() -> None:
    """Return what Arrow's and the C library's allocators hold without need; does nothing where it cannot."""
    pa.default_memory_pool().release_unused()
    # malloc_trim is glibc's own; other C libraries do without it.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def give_back_large() -> None:
    """From now on return a large block as soon as it is freed; does nothing where it cannot.

    glibc does so at first, until a large block was freed: then it keeps all that are not larger. Loading a tenant of
    100,000 users peaked a hundred mebibytes higher for it.
    """
    # mallopt as well is the C library's own.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
