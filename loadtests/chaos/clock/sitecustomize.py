"""Put before a role's import path, it steps that role's wall clock by what the file named in CHAOS_CLOCK says (seconds).

No library that fakes time comes as a wheel, and a container may not set the machine's clock. Only roles are stepped, and
of their clocks `time.time` and `time.time_ns`, by which clicks are dated; PostgreSQL's, Valkey's and monotonic clocks go on.
"""

from __future__ import annotations

import os
import sys
import time

_LOOK_NS = 50_000_000
_path = os.environ.get("CHAOS_CLOCK", "")
_time_ns, _monotonic_ns = time.time_ns, time.monotonic_ns
_offset_ns, _looked_ns = 0, 0


def _offset() -> int:
    global _offset_ns, _looked_ns
    now = _monotonic_ns()
    if now - _looked_ns > _LOOK_NS:
        _looked_ns = now
        try:
            with open(_path) as file:  # noqa: PTH123 - run at every interpreter's start: as little as can be
                _offset_ns = int(float(file.read() or 0) * 1e9)
        except (OSError, ValueError):
            _offset_ns = 0
    return _offset_ns


def _stepped_ns() -> int:
    return _time_ns() + _offset()


def _stepped() -> float:
    return _stepped_ns() / 1e9


if _path and "tracker.cli.main" in sys.orig_argv:
    time.time_ns, time.time = _stepped_ns, _stepped
