"""How IT Glue says no: JSON:API errors of its own, and the plain message of the gateway before it."""

from __future__ import annotations

from o365_etl.simulator.itglue_objects import Json

UNPROCESSABLE = "Unprocessable Entity"


class ApiError(Exception):
    """IT Glue answers with JSON:API errors."""

    def __init__(self, status: int, title: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = [_entry(status, title, detail, pointer)]


class GatewayError(Exception):
    """The gateway answers with a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Problems:
    """What is wrong with a body, collected so that one answer names everything.

    In a bulk request it does not say which item is meant: nobody has published that IT Glue does.
    """

    def __init__(self) -> None:
        self._errors: list[Json] = []

    def add(self, name: str, detail: str, title: str = UNPROCESSABLE, pointer: str | None = None) -> None:
        """The attribute with this snake_case name is not acceptable."""
        pointer = pointer or f"/data/attributes/{name.replace('_', '-')}"
        self._errors.append(_entry(422, title, detail, pointer))

    def check(self) -> None:
        """Raise an `ApiError` with all problems so far, if there are any."""
        if self._errors:
            error = ApiError(422, UNPROCESSABLE, "")
            error.errors = self._errors
            raise error


def _entry(status: int, title: str, detail: str, pointer: str | None) -> Json:
    entry: Json = {"status": status, "title": title, "detail": detail}
    if pointer is not None:
        entry["source"] = {"pointer": pointer}
    return entry
