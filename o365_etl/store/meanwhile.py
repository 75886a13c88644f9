"""Something that is done again and again while something else is done: what keeps a right from running out.

What does not live here: what is renewed, and what follows when it is lost.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def meanwhile(name: str, seconds: float, work: Callable[[], bool]) -> Iterator[None]:
    """Call `work` every so many seconds, in a thread of this name, until the block ends or `work` returns False."""
    ended = threading.Event()

    def again() -> None:
        while not ended.wait(seconds) and work():
            pass

    thread = threading.Thread(target=again, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
