"""How long a PostgreSQL server is waited for, and what its refusals mean.

Only the connecting is tried again: nothing was sent yet that could be done twice. A statement that fails is an error of
its own. What does not live here: who connects (`state_engine`, `lake`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A server that is started anew, or fails over, is back by then.
WAIT_SECONDS = 15.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

_SIGN_IN = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role .* does not exist|not permitted to log in", re.I
)
_NO_USE = re.compile(r"does not exist|permission denied", re.I)


def patiently(connect: Callable[[], T], refusal: type[Exception]) -> T:
    """What `connect` returns. While it raises `refusal` and the server may come back, it is called again, for
    `WAIT_SECONDS`; then the last refusal is raised.
    """
    ends, pause = time.monotonic() + WAIT_SECONDS, _FIRST_PAUSE
    while True:
        try:
            return connect()
        except refusal as error:
            text = str(error)
            if is_sign_in(text) or _NO_USE.search(text) or time.monotonic() + pause > ends:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_sign_in(text: str) -> bool:
    """Whether the server answered and does not let this user in."""
    return _SIGN_IN.search(text) is not None


def first_line(error: BaseException) -> str:
    """What an error says first; a driver's further lines repeat it or guess."""
    return str(error).strip().partition("\n")[0]
