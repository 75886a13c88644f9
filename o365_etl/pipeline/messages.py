"""How a message reaches a target: apprise addresses out of the configuration, each tried for itself.

An address holds a password or a token: it is named by its place in the configuration and its scheme, in logs as well as
in errors. What does not live here: what is told, and to whom it was told (`alerting`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from o365_etl.config import Settings
from o365_etl.errors import ConfigError

# A target that has not answered by then is tried again later.
TIMEOUT_SECONDS = 10.0
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,19})://")
_HTTP_STATUS = re.compile(r"\berror=(\d{3})\b")

# Set where a message is being sent.
_statuses: ContextVar[list[str] | None] = ContextVar("statuses", default=None)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Message:
    """What a target gets; `severity` is info, success, warning or failure."""

    title: str
    body: str
    severity: str


@dataclass(frozen=True)
class Target:
    """One entry of `alerts.targets`; `problem` if its address cannot be read."""

    position: int
    scheme: str
    address: str = field(default="", repr=False)
    problem: str | None = None
    ca_bundle: Path | None = None

    @property
    def name(self) -> str:
        """How it is called without its address."""
        return f"target {self.position} ({self.scheme})"


def targets(settings: Settings) -> list[Target]:
    """The configured targets, in order, also those whose address cannot be read."""
    found = []
    for index, reference in enumerate(settings.alerts.targets):
        try:
            address = reference.read(f"alerts.targets[{index}]")
        except ConfigError as error:
            found.append(Target(index + 1, "unread", problem=error.line))
            continue
        scheme = _SCHEME.match(address.lower())
        found.append(Target(index + 1, scheme[1] if scheme else "no address", address, ca_bundle=settings.ca_bundle))
    return found


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results of sending to several targets at the same time."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(work, items))


def send(target: Target, message: Message) -> str | None:
    """Send one message; None if the target took it, else why not. Never raises because of the target."""
    if target.problem is not None:
        return target.problem
    with _unheard() as statuses:
        return _send(target, message, statuses)


def _send(target: Target, message: Message, statuses: Sequence[str]) -> str | None:
    import apprise

    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="o365_etl", app_desc="o365_etl", app_url=""))
    try:
        if not sender.add(target.address):
            return "this is no address that apprise knows"
        for service in sender:
            _prepare(service, target.ca_bundle)
        result = sender.notify(
            title=message.title,
            body=message.body,
            notify_type=message.severity,
            body_format=apprise.NotifyFormat.TEXT,
            timeout=TIMEOUT_SECONDS,
        )
    except Exception as error:  # a plugin's own defect; its text may hold the address
        return f"sending failed with {type(error).__name__}"
    if result:
        return None
    if result.status.name == "TIMEOUT":
        return f"it did not answer within {TIMEOUT_SECONDS:.0f} seconds"
    return f"it answered HTTP {statuses[-1]}" if statuses else "it cannot be reached, or does not take messages"


def _prepare(service: Any, ca_bundle: Path | None) -> None:
    import apprise

    if ca_bundle is not None and service.verify_certificate is True:
        service.verify_certificate = str(ca_bundle)  # passed on to requests
    if service.overflow_mode == apprise.OverflowMode.UPSTREAM:
        # Longer than the target allows: in parts, rather than refused for ever.
        service.overflow_mode = apprise.OverflowMode.SPLIT


@contextmanager
def _unheard() -> Iterator[list[str]]:
    """What apprise and its HTTP client say while the block sends reaches no log, for it names addresses; of what they
    say, the HTTP statuses are returned.
    """
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(_is_of_others)  # one more time changes nothing
    statuses: list[str] = []
    # Apprise's threads inherit the context, also one that goes on after its time was up.
    before = _statuses.set(statuses)
    try:
        yield statuses
    finally:
        _statuses.reset(before)


def _is_of_others(record: logging.LogRecord) -> bool:
    statuses = _statuses.get()
    if statuses is None:
        return True
    if found := _HTTP_STATUS.search(record.getMessage()):
        statuses.append(found[1])
    return False
