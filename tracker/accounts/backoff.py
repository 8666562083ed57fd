"""How long an account job waits after a failure. Pure."""

from __future__ import annotations

from tracker.providers.base import ErrorKind

STEPS: dict[ErrorKind, tuple[float, ...]] = {
    "transient": (5, 15, 30, 60, 120, 300),
    "throttled": (30, 60, 120),  # what a block of unknown length wants (upstream spec 1.1)
    "session": (30, 60, 120, 300),  # a webhook or the session job tells when it is back
    "auth": (60, 300, 1800),
    "permanent": (300, 900, 3600),
    "ours": (60, 300, 3600),
}
LONGEST_TOLD = 600.0


def backoff(kind: ErrorKind, failures: int, retry_after: float | None = None, jitter: float = 0.5) -> float:
    """Seconds until the next try. `failures` counts earlier ones in a row; `jitter` in [0, 1) spreads by up to 20 %.

    A told `retry_after` is believed when the provider throttles or its session is down, up to ten minutes.
    """
    steps = STEPS[kind]
    step = steps[min(failures, len(steps) - 1)]
    if retry_after is not None and kind in ("throttled", "session", "transient"):
        step = min(max(retry_after, 1.0), LONGEST_TOLD)
    return step * (1 + 0.2 * jitter)
