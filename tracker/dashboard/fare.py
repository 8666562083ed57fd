"""How destinations fare, as the delivery health tells it, for the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tracker.access.caller import Caller
from tracker.management.delivery_health import Health, listed, sentence
from tracker.management.services import Services

MOST = 1000


@dataclass(frozen=True)
class Fare:
    """`tone`: good, warn, bad or quiet, as colours say it; `words`: the same in a sentence."""

    health: Health
    tone: str
    words: str

    @property
    def success(self) -> float | None:
        """Share of the last day's attempts that were taken, 0 to 1."""
        tries = self.health.delivered_day + self.health.failed_day
        return self.health.delivered_day / tries if tries else None


async def fares(services: Services, caller: Caller) -> dict[str, Fare]:
    """Of every destination of the team, by its id; of none for who may not see deliveries."""
    if not caller.may("deliveries.view"):
        return {}
    now = datetime.now(UTC)
    return {health.destination_id: _fare(health, now) for health in await listed(services, caller, MOST)}


async def fare_of(services: Services, caller: Caller, destination_id: str) -> Fare | None:
    """Of one destination; None when it is gone."""
    return (await fares(services, caller)).get(destination_id)


def _fare(health: Health, now: datetime) -> Fare:
    words = sentence(health, now)
    start = words.split(":")[0].split(" ")[0]
    tone = {"well": "good", "quiet": "quiet", "failing": "bad", "disabled": "bad"}.get(start, "warn")
    return Fare(health, tone, words)
