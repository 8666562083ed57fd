"""How sure a credit is: the chance that the chosen click, of all that may have led to the subscription, really did.

Each click's weight is the density of the delay from a visit to a subscription. Most fans subscribe within minutes, some
come back within hours; two exponentials describe that well enough, and loadtests/attribution.py measures how well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

QUICK_SHARE, QUICK_MEAN = 0.8, 4 * 60_000.0  # milliseconds
SLOW_MEAN = 90 * 60_000.0


def delay_density(delay: float) -> float:
    """Relative likelihood that a subscription follows a visit after `delay` milliseconds (negative counts as 0)."""
    delay = max(delay, 0.0)
    quick = QUICK_SHARE / QUICK_MEAN * math.exp(-delay / QUICK_MEAN)
    slow = (1 - QUICK_SHARE) / SLOW_MEAN * math.exp(-delay / SLOW_MEAN)
    return quick + slow


def confidence(winner_delay: float, other_delays: Sequence[float]) -> float:
    """Probability in (0, 1] of the winner, given its delay and the delays of the clicks it competes with."""
    weight = delay_density(winner_delay)
    return weight / (weight + sum(delay_density(delay) for delay in other_delays))
