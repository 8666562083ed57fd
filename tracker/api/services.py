"""What the handlers of the API work with."""

from __future__ import annotations

from tracker.management.services import Services

__all__ = ["Services"]
