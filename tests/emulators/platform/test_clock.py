"""The virtual clock: forward, and back to the present, never elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from loadtests.emulators.platform.clock import Clock


def test_the_clock_goes_forward_and_returns_to_the_present() -> None:
    clock = Clock()
    clock.advance(3600)
    assert clock.now() - datetime.now(UTC) > timedelta(minutes=59)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    clock.to_present()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
