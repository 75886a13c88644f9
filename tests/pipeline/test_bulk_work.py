"""What is switched off while much passes is on again afterwards, also after an error."""

from __future__ import annotations

import contextlib
import gc

from o365_etl.pipeline.memory import bulk_work


def test_the_collector_is_as_before() -> None:
    """Its thresholds, and what was set aside."""
    usual = gc.get_threshold()
    with contextlib.suppress(ValueError), bulk_work():
        assert gc.get_threshold() > usual
        raise ValueError("broken")
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, 0)
