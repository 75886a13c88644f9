"""Waits between looks and after a 429 are seconds to a minute: here they are fractions of a second."""

from __future__ import annotations

import pytest

from o365_etl.itglue import client
from o365_etl.sync import sending


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_LOOK_AFTER", (0.0, 0.05, 0.1))
    monkeypatch.setattr(client, "_THROTTLE_SECONDS", 0.1)
