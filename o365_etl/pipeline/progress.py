"""How far a long verb is, told to whoever listens (the command line's progress bar), to nobody otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """`done` of `total` units of `what` are finished; `total` is None where it is not known."""

    what: str
    done: int
    total: int | None


Listener = Callable[[Step], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within the block, `listener` hears every step of this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(what: str, done: int, total: int | None = None) -> None:
    """Report a step."""
    for listener in _listeners:
        listener(Step(what, done, total))
