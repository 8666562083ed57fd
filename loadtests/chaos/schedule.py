"""Which fault strikes when: a pure plan from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One kind of fault. `seconds`: shortest and longest stay in a long run. `words`: what is done, for the report."""

    name: str
    action: str  # a method of `injector.Injector`
    target: str
    seconds: tuple[float, float]
    words: str


class Strike(NamedTuple):
    """One fault of a schedule: begins `at` seconds after the load, stays for `seconds`."""

    at: float
    seconds: float
    fault: Fault


ROLES = ("edge", "recorder", "worker", "api")
_DEATH = (1.0, 3.0)
_LONG = (15.0, 45.0)


def _faults() -> Iterable[Fault]:
    for role in (*ROLES, "valkey", "postgres"):
        yield Fault(f"kill-{role}", "kill", role, _DEATH, "kill -9, back at once")
        yield Fault(f"stop-{role}", "stop", role, (4.0, 20.0), "SIGSTOP, then SIGCONT")
    for role in ROLES:
        yield Fault(f"term-{role}", "term", role, _DEATH, "SIGTERM under load")
    for store in ("valkey", "postgres"):
        yield Fault(f"away-{store}", "away", store, _LONG, "kill -9, back after a while")
        yield Fault(f"reset-{store}", "reset", store, (3.0, 8.0), "every connection reset, again and again")
        yield Fault(f"delay-{store}", "delay", store, (5.0, 15.0), "20 to 300 ms on every packet")
        yield Fault(f"hang-{store}", "hang", store, (4.0, 12.0), "connections stay, nothing passes")
        yield Fault(f"slow-{store}", "slow", store, (5.0, 15.0), "stalls of 50 to 400 ms, as a slow fsync makes")
    yield Fault("full-log", "full_log", "valkey", (5.0, 15.0), "the click log cannot grow: its disk is full")
    yield Fault("full-spill", "full_spill", "edge", (5.0, 15.0), "Valkey away and the spill's disk full")
    yield Fault("clock-back", "clock_back", "roles", (5.0, 15.0), "the roles' clock steps back, then forward again")
    yield Fault(
        "clock-forward", "clock_forward", "roles", (5.0, 15.0), "the roles' clock steps forward, then back again"
    )


FAULTS = {fault.name: fault for fault in _faults()}
WARM_UP = 1.5  # seconds of load before the first fault
GAP = (0.5, 3.0)
SHORTEST = 0.6
OVERLAP = 0.2  # share of faults that strike while the one before still stays


def parse(text: str) -> list[Fault]:
    """'all', 'none', or names with commas. Raises ValueError naming what is unknown."""
    if text in ("all", "none"):
        return list(FAULTS.values()) if text == "all" else []
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}: use all, none, or some of {', '.join(FAULTS)}")
    return [FAULTS[name] for name in names]


def schedule(seed: int, seconds: float, faults: Sequence[Fault]) -> list[Strike]:
    """Strikes within `seconds` of load. Every fault comes once before any comes again; a short run shortens their stays."""
    if not faults:
        return []
    rng = random.Random(f"chaos {seed}")
    whole = WARM_UP + sum(sum(fault.seconds) / 2 + sum(GAP) / 2 for fault in faults)
    scale = min(1.0, seconds / whole)
    strikes: list[Strike] = []
    at = WARM_UP
    while True:
        bag = list(faults)
        rng.shuffle(bag)
        for fault in bag:
            stay = max(SHORTEST, rng.uniform(*fault.seconds) * scale)
            overlaps = rng.random() < OVERLAP
            gap = rng.uniform(*GAP) * scale
            if at + stay > seconds and len(strikes) >= len(faults):
                return strikes
            strikes.append(Strike(round(at, 2), round(stay, 2), fault))
            at += stay / 2 if overlaps else stay + gap
