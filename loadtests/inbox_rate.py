"""How many webhooks a second the inbox takes in, and how many it works off: `python -m loadtests.inbox_rate [--webhooks 20000] [--json]`.

Starts an embedded PostgreSQL of its own, connects twenty accounts, and hands signed OnlyFansAPI webhooks (subscriptions,
payments, messages; one in ten comes twice) to the code behind `POST /webhooks/…`, 32 at a time over as many connections
as the API has. Then one worker makes platform events of them. Every webhook must be kept once, every fact be there once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
import uvloop

from loadtests.scratch import database, tell
from tracker.inbox.keeper import Keeper
from tracker.inbox.process import process_batch
from tracker.inbox.receive import receive, seal_secrets
from tracker.providers.onlyfansapi.webhooks import sign
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores import postgres

ACCOUNTS = 20
AT_ONCE, CONNECTIONS = 32, 10  # requests under way, and what the API's pool holds
SECRET = "whsec_of_the_benchmark"
SECRETS = Secrets("a key of the benchmark, 32 characters")


async def furnish(pool: postgres.Pool) -> None:
    """A team and its accounts, each with a webhook secret."""
    async with pool.acquire() as connection:
        await postgres.migrate(connection)
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('team', 'team')")
    for number in range(ACCOUNTS):
        name = f"acct_{number}"
        await pool.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, platform_user_id, shard,"
            " webhook_secret_sealed) VALUES ($1, 'team', 'onlyfansapi', $1, $2, 0, $3)",
            name, str(5000 + number), seal_secrets(SECRETS, name, SECRET),
        )  # fmt: skip


def webhook(number: int, rng: random.Random, start: datetime) -> tuple[str, str, bytes]:
    """(account, idempotency key, body) of one delivery, as the vendor writes it."""
    account, fan = rng.randrange(ACCOUNTS), rng.randrange(10**6, 10**7)
    at = (start + timedelta(milliseconds=50 * number)).replace(microsecond=0)
    user = {"id": fan, "name": "Sam", "username": f"u{fan}"}
    kind = rng.choice(("subscriptions.new", "transactions.new", "messages.received"))
    payload: dict[str, Any]
    if kind == "subscriptions.new":
        payload = {
            "id": str(number), "type": "subscribed", "subType": "new_subscriber", "createdAt": at.isoformat(),
            "text": "<a href='https://onlyfans.com/u1'>Sam</a> has subscribed to your profile!",
            "replacePairs": {"{PRICE}": "$0.00"}, "user_id": str(5000 + account), "user": user,
        }  # fmt: skip
    elif kind == "transactions.new":
        payload = {
            "id": f"{number:032x}", "created_at": f"{at:%Y-%m-%d %H:%M:%S}", "type": "message", "amount": 17, "vat_amount": 2.21,
            "tax_amount": 0, "net_amount": 13.6, "fee_amount": 3.4, "currency": "USD", "status": "done",
            "description": "Payment for message from <a href=\"https://onlyfans.com/u1\">Sam</a>",
            "fan": user | {"id": str(fan)},
        }  # fmt: skip
    else:
        payload = {
            "responseType": "message", "id": number, "text": "<p>hey</p>", "createdAt": at.isoformat(), "fromUser": user,
            "price": 0, "isTip": False,
        }  # fmt: skip
    body = msgspec.json.encode({"event": kind, "account_id": f"acct_{account}", "payload": payload})
    return f"acct_{account}", f"evt_{number}", body


async def take_in(pool: postgres.Pool, deliveries: list[tuple[str, str, bytes]]) -> float:
    """Seconds until all are kept."""
    waiting, keeper = iter(deliveries), Keeper(pool)

    async def caller() -> None:
        for account, key, body in waiting:
            headers = {"Signature": sign(SECRET, body), "X-OFAPI-Idempotency-Key": key}
            receipt = await receive(keeper, account, "onlyfansapi", headers, body, SECRETS)
            if receipt.status != 200:
                raise SystemExit(f"a webhook was refused: {receipt.message}")

    started = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(AT_ONCE)])
    return time.perf_counter() - started


async def work_off(pool: postgres.Pool) -> float:
    """Seconds one worker takes for all."""
    settings, started = Settings(), time.perf_counter()
    while (await process_batch(pool, settings)).webhooks:
        pass
    return time.perf_counter() - started


async def measure(url: str, count: int) -> dict[str, float]:
    """Take in, work off, compare with what was sent."""
    rng, start = random.Random(1), datetime.now(UTC) - timedelta(hours=6)
    deliveries = [webhook(number, rng, start) for number in range(count)]
    repeated = rng.sample(deliveries, count // 10)
    pool = await postgres.open_pool(url, max_size=CONNECTIONS, command_timeout=600)
    try:
        await furnish(pool)
        taking = await take_in(pool, [*deliveries, *repeated])
        working = await work_off(pool)
        kept: int = await pool.fetchval("SELECT count(*) FROM webhooks WHERE outcome = 'used'")
        told: int = await pool.fetchval("SELECT count(*) FROM platform_events")
    finally:
        await pool.close()
    if (kept, told) != (count, count):
        raise SystemExit(f"{count} webhooks were sent: {kept} are used, {told} facts are known")
    return {
        "webhooks": count,
        "received_per_second": round((count + len(repeated)) / taking),
        "processed_per_second": round(count / working),
    }


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with database() as database_url:
        figures = uvloop.run(measure(database_url, options.webhooks))
    tell(figures, options.json)


if __name__ == "__main__":
    main()
