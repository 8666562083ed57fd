"""Random worlds arrive in PostgreSQL in any order; in the end the tables say what the reference model says.

Nothing is folded that the product's own wake-ups did not ask for. `CLICKBIND_STORED_WORLDS=1000` for a large run.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from postbacks.outbox import enqueue
from tests.integration.attribution.books import (
    Arrival,
    arrivals,
    arrive,
    as_stored,
    ids,
    nameless,
    open_world,
    renamed,
    snapshot,
    stored_ids,
)
from tests.reference import model
from tests.reference.worlds import World, worlds
from tracker.attribution.worker import fold_due
from tracker.stores.postgres import Pool

WORLDS = int(os.environ.get("CLICKBIND_STORED_WORLDS", "25"))
_numbers = itertools.count(1)


class Crash(Exception):
    """The process ends here."""


async def crash(pool: Pool, random: Random) -> None:
    """Fold, and die before the deliveries are written, or after them and before the commit."""
    early = random.random() < 0.5

    async def dying(*arguments: Any) -> int:
        if not early:
            await enqueue(*arguments)
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tracker.attribution.credits.enqueue", dying)
        try:
            await fold_due(pool, price_wait=0)
        except Crash:
            pass


async def happen(pool: Pool, random: Random) -> None:
    """Something a running system does between two arrivals: nothing, a fold, four at once, a fold that dies."""
    match random.choice(("nothing", "fold", "fold", "four", "waiting", "crash")):
        case "fold":
            await fold_due(pool, price_wait=0)
        case "four":
            await asyncio.gather(*(fold_due(pool, price_wait=0, batch=1) for _ in range(4)))
        case "waiting":
            await fold_due(pool, price_wait=1e9)
        case "crash":
            await crash(pool, random)


def in_batches(world: World, random: Random) -> list[list[Arrival]]:
    """All arrivals, many of them twice, shuffled and cut anywhere; only a click's later visits follow the click."""
    once = arrivals(world)
    order = [*once, *random.sample(once, len(once) // 3)]
    random.shuffle(order)
    seen: set[str] = set()
    ready: list[Arrival] = []
    late: list[Arrival] = []
    for one in order:
        if one.click is not None and one.visit > 0 and one.click.click_id not in seen:
            late.append(one)
            continue
        if one.click is not None:
            seen.add(one.click.click_id)
        ready.append(one)
    ready += late
    cuts = sorted(random.sample(range(len(ready) + 1), min(len(ready), random.randrange(6))))
    return [ready[start:end] for start, end in itertools.pairwise([0, *cuts, len(ready)])]


@settings(
    max_examples=WORLDS,
    deadline=None,
    derandomize="CLICKBIND_STORED_WORLDS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    phases=(Phase.generate,),
)
@given(drawn=worlds(), random=st.randoms(use_true_random=False))
async def test_the_tables_say_what_the_model_says(pool: Pool, drawn: World, random: Random) -> None:
    number = next(_numbers)
    world = renamed(drawn, number)
    account_ids = sorted(world.clicks)
    team_id = f"team-{number}"
    async with pool.acquire() as connection, connection.transaction():
        await open_world(connection, world, team_id)
    told: dict[str, str] = {}
    for batch in in_batches(world, random):
        await arrive(pool, batch)
        await happen(pool, random)
        for conversion_id, body in (await snapshot(pool, account_ids)).items():
            told.setdefault(conversion_id, body)
    await pool.execute("UPDATE fan_queue SET due_at = now()")
    # A lease after the subscription changes nobody's credit and wakes nobody; the reason follows at the fan's next fold.
    await pool.execute(
        "INSERT INTO fan_queue SELECT account_id, fan_id FROM fans WHERE unattributed_reason = 'never_leased'"
        " ON CONFLICT DO NOTHING"
    )
    while (await fold_due(pool, price_wait=0))[0]:
        pass
    await compare(pool, world)
    await check_history(pool, account_ids, told)
    await check_deliveries(pool, account_ids, team_id)


async def compare(pool: Pool, world: World) -> None:
    """Every fan's rows are the model's, and so are the ids."""
    for (account_id, fan_id), events in world.events.items():
        if not events:
            continue
        expected = model.outcome(events, world.clicks[account_id], free_page=account_id in world.free_pages)
        assert await as_stored(pool, account_id, fan_id) == nameless(expected)
        found = await stored_ids(pool, account_id, fan_id, subscribers=False)
        assert found == ids(account_id, fan_id, expected, subscribers=False)


async def check_history(pool: Pool, account_ids: Sequence[str], told: dict[str, str]) -> None:
    """Nothing that was told disappears, and what is told differently now says so."""
    now = await snapshot(pool, account_ids)
    assert told.keys() <= now.keys()
    corrected = {
        row["conversion_id"]
        for row in await pool.fetch(
            "SELECT conversion_id FROM conversions WHERE account_id = ANY($1::text[]) AND corrected_at IS NOT NULL",
            list(account_ids),
        )
    }
    assert {conversion_id for conversion_id, body in told.items() if now[conversion_id] != body} <= corrected


async def check_deliveries(pool: Pool, account_ids: Sequence[str], team_id: str) -> None:
    """Each conversion is delivered exactly once to whoever wants it, as it was when it was new."""
    everything = [
        row["event_id"]
        for row in await pool.fetch("SELECT event_id FROM deliveries WHERE destination_id = $1", f"{team_id}-all")
    ]
    conversions = await pool.fetch(
        "SELECT conversion_id FROM conversions WHERE account_id = ANY($1::text[])", list(account_ids)
    )
    assert sorted(everything) == sorted(row["conversion_id"] for row in conversions)
    some = await pool.fetch("SELECT event_id FROM deliveries WHERE destination_id = $1", f"{team_id}-some")
    wanted = await pool.fetch(
        "SELECT DISTINCT e.event_id FROM delivery_events e JOIN deliveries d USING (event_id, day)"
        " JOIN destination_links l ON l.smart_link_id = e.facts->>'smart_link_id'"
        " WHERE d.destination_id = $1 AND l.destination_id = $2 AND e.event_type = 'new_transaction'",
        f"{team_id}-all", f"{team_id}-some",
    )  # fmt: skip
    assert sorted(row["event_id"] for row in some) == sorted(row["event_id"] for row in wanted)
