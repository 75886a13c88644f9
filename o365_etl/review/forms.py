"""What a person sent with a form."""

from __future__ import annotations

from collections.abc import Iterable

from o365_etl.errors import ConfigError

# What the tables can hold.
_LARGEST = 2**63 - 1


class Form:
    """The fields of a form, each with any number of values."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """The last value of a field, trimmed."""
        return self._values.get(name, [default])[-1].strip()

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return list(self._values.get(name, []))

    def number(self, name: str) -> int | None:
        """A whole number; None if the field is absent or empty. Raises `ConfigError` for anything else."""
        text = self.get(name)
        if not text:
            return None
        try:
            number = int(text)
        except ValueError as error:
            raise ConfigError(f"{name}: {text[:40]!r} is no number", remedy="Go back and correct it.") from error
        if abs(number) > _LARGEST:
            raise ConfigError(f"{name}: the number is too large", remedy="Go back and correct it.")
        return number
