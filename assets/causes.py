"""Why a run failed, in one line without anybody's data: our own words, and of foreign errors the type alone."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from o365_etl import errors

# What `assets.failures` raises, and what is raised outside of a step.
_OURS = frozenset({"Failure", *(name for name, each in vars(errors).items() if isinstance(each, type))})


def cause_of(context: dg.RunFailureSensorContext) -> str:
    """The first line of the cause. What a library says may quote the data it stumbled over: it is not repeated."""
    event = context.failure_event
    for step in context.get_step_failure_events():
        failure = step.step_failure_data
        if failure.user_failure_data is not None and failure.user_failure_data.description:
            return _first_line(failure.user_failure_data.description)
        if text := _named(failure.error):
            return text
    # Whoever reports a run as failed from outside says so in the event's message, and adds no data.
    error = getattr(event.event_specific_data, "error", None)
    return _named(error) or _first_line(event.message or "Dagster names no cause")


def _named(error: object) -> str | None:
    """Our own error's words if there is one in the chain, else the type of the innermost."""
    chain = list(_chain(error))
    for name, message in chain:
        if name in _OURS:
            return _first_line(message.partition(": ")[2] or message)
    return f"{chain[-1][0]} (the run's log in Dagster has the whole trace)" if chain else None


def _chain(error: object) -> Iterator[tuple[str, str]]:
    """Type and message of an error as Dagster keeps it, and of those behind it."""
    while error is not None:
        yield str(getattr(error, "cls_name", None) or "an error"), str(getattr(error, "message", ""))
        error = getattr(error, "cause", None) or getattr(error, "context", None)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason given")
