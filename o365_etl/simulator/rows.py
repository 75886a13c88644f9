"""Rows rendered to bytes once and cut into pages for ever after.

What lives here: two sources of rows. `ListRows` renders real objects. `BlockRows` renders a block of a thousand
objects once, with markers where a tenant's id and the number of the block belong, and serves any number of tenants of
any size from it: that is how a million users cost neither memory nor time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableSequence, Sequence
from typing import Generic, Protocol, TypeVar, overload

BLOCK = 1000
# What stands in the texts of a block's objects: the number of the block (four digits), the tenant, the organization
BLOCK_MARKER, TENANT_MARKER, ORGANIZATION_MARKER, NAME_MARKER = "<<h>>", "<<t>>", "<<o>>", "<<n>>"
# In rendered rows they become control bytes, which JSON never holds: replacing one byte is many times cheaper
_MARKER_BYTES = {
    marker.encode(): bytes([number])
    for number, marker in enumerate((BLOCK_MARKER, TENANT_MARKER, ORGANIZATION_MARKER, NAME_MARKER), start=1)
}
_BLOCK_BYTE = _MARKER_BYTES[BLOCK_MARKER.encode()]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Rows(Protocol[T_co]):
    """Rendered rows of a list of objects; `kind` names one way of rendering and is the key of the cache."""

    def count(self, kind: Hashable, render: Callable[[T_co], bytes | None]) -> int:
        """How many rows there are; an object that renders to None has none."""

    def cut(
        self, kind: Hashable, render: Callable[[T_co], bytes | None], start: int, stop: int, separator: bytes = b","
    ) -> bytes:
        """The rows from `start` up to `stop`, joined."""


class _RenderCache(Generic[T]):
    """The rendered rows by kind. Rendering is done under a lock: two threads must not do the same work twice."""

    def __init__(self) -> None:
        self._items: dict[Hashable, list[bytes]] = {}
        self._lock = threading.Lock()

    def items(self, kind: Hashable, render: Callable[[T], bytes | None], objects: Sequence[T]) -> list[bytes]:
        items = self._items.get(kind)
        if items is None:
            with self._lock:
                items = self._items.get(kind)
                if items is None:
                    items = [row for each in objects if (row := render(each)) is not None]
                    self._items[kind] = items
        return items


class ListRows(Generic[T]):
    """Rows of a list of objects that exist."""

    def __init__(self, objects: Sequence[T]) -> None:
        self._objects = objects
        self._cache: _RenderCache[T] = _RenderCache()

    def count(self, kind: Hashable, render: Callable[[T], bytes | None]) -> int:
        """See `Rows`."""
        return len(self._cache.items(kind, render, self._objects))

    def cut(
        self, kind: Hashable, render: Callable[[T], bytes | None], start: int, stop: int, separator: bytes = b","
    ) -> bytes:
        """See `Rows`."""
        return separator.join(self._cache.items(kind, render, self._objects)[start:stop])


class BlockTemplate(Generic[T]):
    """One block of objects with markers in their texts, and its renderings; shared by all that look alike."""

    def __init__(self, objects: Sequence[T]) -> None:
        self.objects = objects
        self._cache: _RenderCache[T] = _RenderCache()

    def items(self, kind: Hashable, render: Callable[[T], bytes | None]) -> list[bytes]:
        """The rendered rows with their markers as single bytes. An object without a row is not supported here."""

        def render_marked(each: T) -> bytes | None:
            row = render(each)
            return None if row is None else _short_markers(row)

        return self._cache.items(kind, render_marked, self.objects)


class BlockRows(Generic[T]):
    """`total` rows: the template's block again and again, with `fill` put in place of its markers."""

    def __init__(self, template: BlockTemplate[T], total: int, fill: Mapping[str, str]) -> None:
        self._template = template
        self._total = total
        self._fill = [(_short_markers(marker.encode()), value.encode()) for marker, value in fill.items()]

    def count(self, kind: Hashable, render: Callable[[T], bytes | None]) -> int:
        """See `Rows`."""
        return self._total

    def cut(
        self, kind: Hashable, render: Callable[[T], bytes | None], start: int, stop: int, separator: bytes = b","
    ) -> bytes:
        """See `Rows`."""
        items = self._template.items(kind, render)
        size, stop = len(items), min(stop, self._total)
        parts = []
        while start < stop:
            block, first = divmod(start, size)
            last = min(size, first + stop - start)
            part = separator.join(items[first:last])
            parts.append(part.replace(_BLOCK_BYTE, b"%04d" % block))
            start += last - first
        text = separator.join(parts)
        for marker, value in self._fill:
            text = text.replace(marker, value)
        return text


def _short_markers(text: bytes) -> bytes:
    for marker, short in _MARKER_BYTES.items():
        text = text.replace(marker, short)
    return text


class LazyList(MutableSequence[T]):
    """A list that is made when somebody looks into it, under `lock` if there is one. Its length is known before."""

    def __init__(
        self, length: int | Callable[[], int], make: Callable[[], list[T]], *, lock: threading.RLock | None = None
    ) -> None:
        self._length = length
        self._make = make
        self._made: list[T] | None = None
        self._lock = lock or threading.RLock()

    @property
    def is_pristine(self) -> bool:
        """True as long as nobody looked, so that nobody can have changed anything."""
        return self._made is None

    def __len__(self) -> int:
        if self._made is not None:
            return len(self._made)
        return self._length if isinstance(self._length, int) else self._length()

    def __iter__(self) -> Iterator[T]:
        return iter(self._list())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> MutableSequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | MutableSequence[T]:
        return self._list()[index]

    def __setitem__(self, index: int | slice, value: object) -> None:
        self._list()[index] = value  # type: ignore[index,assignment]  # both forms, as a list takes them

    def __delitem__(self, index: int | slice) -> None:
        del self._list()[index]

    def insert(self, index: int, value: T) -> None:
        """Insert before `index`."""
        self._list().insert(index, value)

    def _list(self) -> list[T]:
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made
