"""What waits in the whole product, from the stores, for the worker's `/metrics`.

Every worker tells the same figures: take the maximum over workers, not the sum. Asking costs the stores little by construction:
counts are capped, and the answer is kept for `KEEP_SECONDS`, or for `REST` times as long as asking took, whichever is longer.
A store that is away leaves its figures out, and `clickbind_store_up` says so.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tracker.clicklog import pool_key
from tracker.stores.postgres import AWAY, Pool
from tracker.stores.queries import load_queries
from tracker.stores.valkey import Client, RedisError

log = structlog.get_logger()

SQL = load_queries("tracker.metrics", "backlog.sql")
COUNT_CAP = 10_000  # longest a queue is counted (per destination, for deliveries)
KEEP_SECONDS = 10.0
REST = 200  # asking takes one part in so many of a connection's time at most
LONGEST_ASK = 5.0
STATES = ("ok", "reconnecting", "dead", "unknown")

Rows = dict[str, list[Any]]
PoolSizes = list[tuple[str, str, int, int]]  # account_id, offer, free, leased


class Backlog(Collector):
    """A collector whose figures `refresh` brings up to date."""

    def __init__(self, pool: Pool, redis: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._redis = redis
        self._clock = clock
        self._next_at = float("-inf")
        self._asking = asyncio.Lock()
        self._rows: Rows | None = None
        self._pools: PoolSizes | None = None

    async def refresh(self) -> None:
        """Ask the stores again if it is time. Never raises for a store that is away."""
        async with self._asking:
            if self._clock() < self._next_at:
                return
            started = self._clock()
            self._rows = await self._ask_postgres()
            self._pools = None if self._rows is None else await self._ask_valkey(self._rows["pools"])
            ended = self._clock()
            self._next_at = ended + max(KEEP_SECONDS, REST * (ended - started))

    async def _ask_postgres(self) -> Rows | None:
        try:
            async with asyncio.timeout(LONGEST_ASK), self._pool.acquire() as connection:
                return {
                    name: await connection.fetch(query, *([COUNT_CAP] if "$1" in query else []))
                    for name, query in SQL.items()
                }
        except AWAY as error:
            log.debug("metrics.postgres_away", error=type(error).__name__)
            return None

    async def _ask_valkey(self, pools: list[Any]) -> PoolSizes | None:
        shards: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for row in pools:
            shards[row["shard"]].append((row["account_id"], row["offer"]))
        sizes: PoolSizes = []
        now_ms = int(time.time() * 1000)
        try:
            async with asyncio.timeout(LONGEST_ASK):
                for shard, names in shards.items():
                    batch = self._redis.pipeline(transaction=False)
                    for account_id, offer in names:
                        key = pool_key(shard, account_id, offer)
                        batch.zcard(key)
                        batch.zcount(key, now_ms, "+inf")
                    counts = await batch.execute()
                    for (account_id, offer), size, leased in zip(names, counts[::2], counts[1::2], strict=True):
                        sizes.append((account_id, offer, size - leased, leased))
                if not shards:
                    await self._redis.ping()
        except (OSError, TimeoutError, RedisError) as error:
            log.debug("metrics.valkey_away", error=type(error).__name__)
            return None
        return sizes

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        up = GaugeMetricFamily("clickbind_store_up", "1 while the store answers this process.", labels=["store"])
        up.add_metric(["postgres"], float(self._rows is not None))
        if self._rows is not None:
            up.add_metric(["valkey"], float(self._pools is not None))
        yield up
        if self._rows is not None:
            yield from _queues(self._rows)
            yield from _accounts(self._rows)
            yield from _deliveries(self._rows)
        if self._pools is not None:
            family = GaugeMetricFamily(
                "clickbind_pool_links", "Pooled links by account, offer and whether a click holds them.",
                labels=["account", "offer", "state"],
            )  # fmt: skip
            for account_id, offer, free, leased in self._pools:
                family.add_metric([account_id, offer, "free"], free)
                family.add_metric([account_id, offer, "leased"], leased)
            yield family


def _queues(rows: Rows) -> Iterator[Metric]:
    for name, of, what in (
        ("inbox", "webhooks", "Webhooks received and not processed yet"),
        ("fan_queue", "fans", "Fans whose attribution is due"),
    ):
        row = rows[of][0]
        yield GaugeMetricFamily(f"clickbind_{name}_waiting", f"{what}, counted up to {COUNT_CAP}.", row["waiting"])
        yield GaugeMetricFamily(
            f"clickbind_{name}_lag_seconds", f"{what}: how long the first waits.", row["seconds"] or 0
        )


def _accounts(rows: Rows) -> Iterator[Metric]:
    late = GaugeMetricFamily("clickbind_account_jobs_lag_seconds", "How late the most overdue job is.", labels=["job"])
    failing = GaugeMetricFamily("clickbind_account_jobs_failing", "Jobs whose last run failed.", labels=["job"])
    for row in rows["jobs"]:
        late.add_metric([row["job"]], row["seconds"])
        failing.add_metric([row["job"]], row["failing"])
    counts = {row["state"]: row["accounts"] for row in rows["sessions"]}
    accounts = GaugeMetricFamily("clickbind_accounts", "Accounts by the state of their session.", labels=["session"])
    for state in dict.fromkeys((*STATES, *counts)):
        accounts.add_metric([state], counts.get(state, 0))
    yield from (late, failing, accounts)


def _deliveries(rows: Rows) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily(
        "clickbind_deliveries",
        f"Deliveries not done, up to {COUNT_CAP} per destination and state.",
        labels=["kind", "state"],
    )
    overdue = GaugeMetricFamily(
        "clickbind_deliveries_overdue_seconds",
        "How long after its time the most overdue delivery waits.",
        labels=["kind"],
    )
    for row in rows["deliveries"]:
        deliveries.add_metric([row["kind"], "waiting"], row["waiting"])
        deliveries.add_metric([row["kind"], "dead"], row["dead"])
        overdue.add_metric([row["kind"]], row["seconds"])
    destinations = GaugeMetricFamily("clickbind_destinations", "Destinations by state.", labels=["kind", "state"])
    opened = GaugeMetricFamily(
        "clickbind_destinations_breaker_open", "Destinations given a rest after failures.", labels=["kind"]
    )
    failing = GaugeMetricFamily(
        "clickbind_destinations_failing", "Destinations whose last attempt failed.", labels=["kind"]
    )
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows["destinations"]:
        destinations.add_metric([row["kind"], row["state"]], row["destinations"])
        sums[row["kind"]][0] += row["open"]
        sums[row["kind"]][1] += row["failing"]
    for kind, (open_count, failing_count) in sums.items():
        opened.add_metric([kind], open_count)
        failing.add_metric([kind], failing_count)
    yield from (deliveries, overdue, destinations, opened, failing)
