"""The dashboard: server-rendered pages over the same functions as the management API. Issue: a media buyer sees what makes money.

`ROUTES` is all the application needs. Pages are independent modules in `pages/`; nothing here computes a number of its own.
"""

from __future__ import annotations

from tracker.dashboard.site import ROUTES

__all__ = ["ROUTES"]
