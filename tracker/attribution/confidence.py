"""How sure a credit is: the chance that the chosen click, of all that may have led to the subscription, really did.

Each click's weight is the density of the delay from a visit to a subscription, averaged over the time in which the
subscription may lie (a minute when the platform's time is floored). Most fans subscribe within minutes, some come back
within hours. What nobody of the clicks explains (a link passed on, a fan later than the window) has a weight of its own, so
only an exclusive lease is ever certain. loadtests/attribution.py measures how well this holds; its figures are in
docs/decisions/0005-attribution-accuracy.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_MINUTE = 60_000.0  # milliseconds, as all times here
# (share, mean delay): several scales side by side stand for not knowing the true one.
DELAYS = ((0.30, 2 * _MINUTE), (0.45, 6 * _MINUTE), (0.23, 120 * _MINUTE), (0.02, 36 * 60 * _MINUTE))
ELSEWHERE = 0.01 / (6 * 60 * _MINUTE)
"""Density of subscriptions through a link that none of its clicks led to."""


def delay_density(delay: float, spread: float = 0.0) -> float:
    """Likelihood per millisecond that a subscription follows a visit after `delay` to `delay + spread` ms.

    A delay cannot be negative: of an interval that begins before the visit only the rest counts.
    """
    first = max(delay, 0.0)
    length = max(delay + spread - first, 1.0)  # a visit in the interval's last millisecond may still have led to it
    within = sum(share * math.exp(-first / mean) * -math.expm1(-length / mean) for share, mean in DELAYS)
    return within / max(spread, 1.0)


def shares(delays: Sequence[float], spread: float = 0.0) -> tuple[float, ...]:
    """Probability of each of the competing clicks, given their delays (ms). What is missing to 1 is "none of these"."""
    weights = [delay_density(delay, spread) for delay in delays]
    total = math.fsum((*weights, ELSEWHERE))  # a plain sum's last bit depends on the order of clicks
    return tuple(weight / total for weight in weights)


def confidence(
    winner_delay: float, other_delays: Sequence[float], *, spread: float = 0.0, exclusive: bool = True
) -> float:
    """Probability in [0, 1] of the winner, given its delay and those of the clicks it competes with (ms).

    `spread`: how long the interval is in which the subscription lies. 1 for an exclusive lease without competitors, as the
    contract says (spec 11); always below 1 otherwise.
    """
    if exclusive and not other_delays:
        return 1.0
    return shares((winner_delay, *other_delays), spread)[0]
