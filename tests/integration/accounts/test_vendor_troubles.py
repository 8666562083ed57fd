"""Outages, limits, dead sessions and gaps at the other vendors: shown, waited out, nothing lost; guesses say they are guesses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.accounts.harness import SECRETS
from tests.integration.accounts.vendors import Vendors, vendors
from tracker.accounts.jobs import JOBS, run_due, seed
from tracker.accounts.messages import allowance
from tracker.providers import transport
from tracker.providers.base import ChatMessage, ProviderError
from tracker.providers.onlyfansapi import chats
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between the tries of a read."""
    monkeypatch.setattr(transport, "READ_RETRY_PAUSES", (0.0, 0.0))


async def subscribed(b: Vendors, vendor: str, place: int, fan_id: int, *, ago: float = 60) -> dict[str, str]:
    """A click and a subscription through its link, `ago` seconds back."""
    _, url = await b.click(vendor, place)
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    done: dict[str, str] = await b.act("fans/subscribe", link_url=url, fan_id=fan_id, at=at)
    return done


async def _bound_fans(b: Vendors, count: int) -> None:
    """Fans with a credit on OnlyFansAPI, numbered from 9000, seen a moment ago."""
    seat = b.seats["onlyfansapi"]
    fans = [str(9000 + number) for number in range(count)]
    for fan in fans:
        await b.act("fans/subscribe", account_id=seat.creator.id, fan_id=int(fan))
    b.platform.engines["onlyfansapi"].clear()
    for query in (
        "INSERT INTO fans (account_id, fan_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
        "INSERT INTO bindings (account_id, fan_id, valid_from, click_id, smart_link_id, rule, lease, confidence,"
        " competing_clicks, event_keys) SELECT $1, unnest($2::text[]), now(), 'c', 's', 'subscribed', 'exclusive', 1, 0, '{}'",
        "INSERT INTO platform_events (account_id, fan_id, event_key, kind, at, source, detail)"
        " SELECT $1, f, 'sub:' || f, 'subscribed', now(), 'poll', '{}' FROM unnest($2::text[]) AS f ON CONFLICT DO NOTHING",
    ):
        await b.pool.execute(query, seat.account_id, fans)


async def _read_fans(b: Vendors) -> set[str]:
    """Fans whose chat was read."""
    return {row["fan_id"] for row in await b.pool.fetch("SELECT fan_id FROM fans WHERE messages_read_at IS NOT NULL")}


@pytest.mark.parametrize(
    ("vendor", "fault", "kind"),
    [
        ("onlymonster", {"rate_limited": 1}, "throttled"),
        ("onlymonster", {"bad_gateway": 3}, "transient"),
        ("onlymonster", {"origin_timeout": 3}, "transient"),
        ("ofauth", {"rate_limited": 1}, "throttled"),
        ("ofauth", {"cloudflare_429": 1}, "throttled"),
        ("ofauth", {"bad_gateway": 3}, "transient"),
        ("fansly", {"bad_gateway": 3}, "transient"),
    ],
)
async def test_a_vendors_trouble_is_named_and_costs_no_fan(
    pool: Pool, redis: Client, vendor: str, fault: dict[str, int], kind: str
) -> None:
    async with vendors(pool, redis, [vendor]) as b:
        done = await subscribed(b, vendor, 1, 3001)
        fan = done["fansly_fan_id"] if vendor == "fansly" else "3001"
        await b.act("fans/tip", account_id=b.seats[vendor].creator.id, fan_id=3001, amount=7)
        for job in ("reconcile", "transactions"):
            await b.act("faults", **fault)
            with pytest.raises(ProviderError) as failed:
                await b.run(vendor, job)
            assert failed.value.kind == kind
            assert "<" not in failed.value.message
        await b.catch_up()
        assert [row[:2] for row in await b.bindings(vendor)] == [(fan, "visitor-1")]
        assert (fan, "new_transaction", 700) in {(row[0], row[1], row[3]) for row in await b.credits(vendor)}


async def test_a_dead_session_at_ofauth_is_shown_and_ends_by_itself(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["ofauth"]) as b:
        seat = b.seats["ofauth"]
        await seed(pool)

        async def state() -> tuple[str, bool]:
            row = await pool.fetchrow(
                "SELECT session_state, session_message FROM accounts WHERE account_id = $1", seat.account_id
            )
            assert row is not None
            return row["session_state"], bool(row["session_message"])

        await b.act("session", account_id=seat.creator.id, state="expired")
        assert await b.platform.settled()
        with pytest.raises(ProviderError) as failed:
            await b.run("ofauth", "reconcile")
        assert failed.value.kind == "session"
        await b.catch_up([])
        assert await state() == ("dead", True)
        await subscribed(b, "ofauth", 0, 3001)
        await b.act("session", account_id=seat.creator.id, state="active")
        await b.catch_up([])
        assert await state() == ("ok", False)
        ran = await run_due(pool, redis, b.settings, SECRETS, b.providers)
        assert ran == len(JOBS), "the login's return wakes every job"
        await b.fold()
        assert [row[0] for row in await b.bindings("ofauth")] == ["3001"]


@pytest.mark.parametrize("scheme", ["ofauth", "svix"])
async def test_ofauths_two_signatures_are_taken_and_messages_told_once(pool: Pool, redis: Client, scheme: str) -> None:
    async with vendors(pool, redis, ["ofauth"], ofauth_realtime=True) as b:
        seat = b.seats["ofauth"]
        b.platform.engines["ofauth"].clear()
        secret = "whsec_c2VjcmV0IG9mIHRoZSB3ZWJob29rcw=="
        await b.act("webhooks", vendor="ofauth", url=f"{b.hook}/ofauth/{seat.account_id}", secret=secret, scheme=scheme)
        await subscribed(b, "ofauth", 0, 3001)
        await b.act("fans/message", account_id=seat.creator.id, fan_id=3001)
        await b.catch_up()
        assert await pool.fetchval("SELECT count(*) FROM webhooks WHERE outcome = 'used'") == 1
        assert await pool.fetchval("SELECT array_agg(source) FROM platform_events WHERE kind = 'message'") == [
            "webhook"
        ]
        await b.act("fans/message", account_id=seat.creator.id, fan_id=3001)
        b.platform.engines["ofauth"].clear()
        await b.catch_up()
        assert await pool.fetchval("SELECT count(*) FROM conversions WHERE conversion_type = 'message_received'") == 2


@pytest.mark.parametrize("generation", ["current", "legacy"])
async def test_trials_are_made_in_either_generation_of_ofauth(pool: Pool, redis: Client, generation: str) -> None:
    async with vendors(pool, redis, ["ofauth"], ofauth_trial_body=generation, ofauth_list_answer="array") as b:
        await pool.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, free_trial_days, offer)"
            " VALUES ('01JD0000000000000000000B01', 'team', 'acct_0', 'trial', 'free_trial', 7, 'trial-7')"
        )
        await b.run("ofauth", "pools")
        rows = await pool.fetch("SELECT * FROM inventory_links WHERE offer = 'trial-7' AND state = 'ready'")
        assert len(rows) == 5
        assert len(b.platform.world.links.of_account(b.seats["ofauth"].creator.id, "trial")) == 5
        assert {row["claim_limit"] for row in rows} == {10, 100}
        link = b.platform.world.links.get("trial", int(rows[0]["provider_link_id"]))
        assert link is not None
        fans = b.platform.world.fans
        assert fans.subscribe(b.seats["ofauth"].creator, fans.person(3001), link).subscription is not None
        await b.run("ofauth", "reconcile")
        event = await pool.fetchrow("SELECT * FROM platform_events WHERE kind = 'link_subscriber'")
        assert event is not None
        assert (event["inventory_link_id"], event["precision_seconds"]) == (rows[0]["inventory_link_id"], 0)


async def test_onlymonsters_links_are_imported_by_name_and_never_made(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["onlymonster"], settings={"pool_target": 10}) as b:
        made = b.platform.world.links.of_account(b.seats["onlymonster"].creator.id, "tracking")
        run = await b.run("onlymonster", "pools")
        assert "6 more links are wanted" in run.problem
        assert len(made) == 6
        roles = await pool.fetch("SELECT role, count(*) FROM inventory_links GROUP BY role ORDER BY role")
        assert [tuple(row) for row in roles] == [("external", 1), ("pool", 4), ("reserve", 1)]
        made[1].name = "ads-6"  # renamed on the platform: imported now
        made[0].deleted_at = datetime.now(UTC)
        b.states["onlymonster", "reconcile"].pop("listed_at")
        await b.run("onlymonster", "reconcile")
        names = {row["name"] for row in await b.links("onlymonster")}
        assert names == {"ads-6", "ads-2", "ads-3", "ads-4", "ads-5"}
        assert await pool.fetchval("SELECT retired_reason FROM inventory_links WHERE name = 'ads-1'") == "ended"


async def test_fanslys_links_are_guessed_only_when_nobody_else_can_be_meant(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["fansly"]) as b:
        first = await subscribed(b, "fansly", 1, 3001)
        await b.act("fans/tip", account_id=b.seats["fansly"].creator.id, fan_id=3001, amount=7.5)
        await b.catch_up(["reconcile", "transactions"])
        ((fan, visitor, rule, _, confidence),) = await b.bindings("fansly")
        assert (fan, visitor, rule, confidence) == (first["fansly_fan_id"], "visitor-1", "subscribed", 0.8)
        money = {(row[1], row[3], row[4], row[5]) for row in await b.credits("fansly")}
        assert ("new_transaction", 750, 600, "tip") in money
        assert ("new_subscriber", 999, 799, None) in money
        for place, other in ((2, 3002), (3, 3003)):
            await subscribed(b, "fansly", place, other)
        await b.catch_up(["reconcile", "transactions"])
        assert len(await b.bindings("fansly")) == 1, "two fans, two links: nobody can tell"
        assert b.platform.world.ledger.violations == []


async def test_messages_missed_while_webhooks_were_away_are_found_in_one_look(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["onlyfansapi"], settings={"messages_budget": 2}) as b:
        creator = b.seats["onlyfansapi"].creator.id
        for place in range(3):
            await subscribed(b, "onlyfansapi", place, 3001 + place)
        await b.act("fans/subscribe", account_id=creator, fan_id=3009)
        await b.catch_up(["reconcile", "transactions"])
        b.platform.engines["onlyfansapi"].clear()
        for fan in (3001, 3002, 3003, 3009):
            for _ in range(3):
                await b.act("fans/message", account_id=creator, fan_id=fan)
        assert (await b.run("onlyfansapi", "messages")).client.calls == 3, "one a fan; organic fans cost nothing"
        assert b.next_in == b.settings.messages_sweep
        await b.fold()
        rows = await pool.fetch(
            "SELECT fan_id, count(*) FROM conversions WHERE conversion_type = 'message_received' GROUP BY 1 ORDER BY 1"
        )
        assert [tuple(row) for row in rows] == [("3001", 3), ("3002", 3), ("3003", 3)]


async def test_a_sweep_for_messages_costs_ten_budgets_at_most_and_passes_nobody_over(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["onlyfansapi"], settings={"messages_budget": 1}) as b:
        await _bound_fans(b, 12)
        assert (await b.run("onlyfansapi", "messages")).client.calls == 10
        assert b.next_in == b.settings.messages_sweep, "the sweep has spent what it may"
        assert len(await _read_fans(b)) == 10
        assert (await b.run("onlyfansapi", "messages")).client.calls == 10, "a new sweep"
        assert len(await _read_fans(b)) == 12, "it begins with who was passed over"


async def test_a_throttle_in_a_look_for_messages_keeps_what_was_read(
    pool: Pool, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chats.messages
    allowed = 0

    def limited(client: Any, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        nonlocal allowed
        if not allowed:
            raise ProviderError("throttled", "Slow down.", retry_after=90.0, status=429)
        allowed -= 1
        return real(client, fan_id)

    async with vendors(pool, redis, ["onlyfansapi"], settings={"messages_budget": 2}) as b:
        await _bound_fans(b, 4)
        monkeypatch.setattr(chats, "messages", limited)
        with pytest.raises(ProviderError) as failed:
            await b.run("onlyfansapi", "messages")
        assert failed.value.kind == "throttled", "nothing was read: the job's own pauses apply"
        allowed = 3
        assert (await b.run("onlyfansapi", "messages")).client.calls == len(await _read_fans(b)) == 3
        assert b.next_in == 90.0
        assert b.states["onlyfansapi", "messages"]["calls_left"] == 20 - 3
        allowed = 4
        assert (await b.run("onlyfansapi", "messages")).client.calls == 1, "the sweep goes on where it was"
        assert b.next_in == b.settings.messages_sweep


async def test_a_chat_that_is_refused_for_good_keeps_no_other_unread(
    pool: Pool, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chats.messages

    def refusing(client: Any, fan_id: str) -> AsyncIterator[list[ChatMessage]]:
        if fan_id == "9000":
            raise ProviderError("permanent", "No such chat.", status=404)
        return real(client, fan_id)

    async with vendors(pool, redis, ["onlyfansapi"]) as b:
        await _bound_fans(b, 3)
        monkeypatch.setattr(chats, "messages", refusing)
        run = await b.run("onlyfansapi", "messages")
        assert run.problem == "A chat could not be read: No such chat."
        assert (run.client.calls, len(await _read_fans(b))) == (2, 3)


@pytest.mark.parametrize(
    ("budget", "waiting", "left", "calls"),
    [(30, 0, None, 30), (30, 31, None, 31), (30, 299, None, 299), (30, 5000, None, 300), (30, 5000, 120, 120),
     (30, 10, 7, 7), (2, 500, 20, 20), (1, 1, 500, 1)],
)  # fmt: skip
def test_a_looks_allowance_grows_with_who_waits_and_is_bounded(
    budget: int, waiting: int, left: int | None, calls: int
) -> None:
    assert allowance(budget, waiting, left) == calls


async def test_a_payment_no_webhook_told_wakes_the_message_sweep(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["onlyfansapi"]) as b:
        creator = b.seats["onlyfansapi"].creator.id
        await b.run("onlyfansapi", "transactions")
        assert await pool.fetchval("SELECT count(*) FROM account_jobs WHERE job = 'messages'") == 0
        b.platform.engines["onlyfansapi"].clear()
        at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        await b.act("fans/subscribe", account_id=creator, fan_id=3001, at=at)
        await b.run("onlyfansapi", "transactions")
        assert await pool.fetchval("SELECT count(*) FROM account_jobs WHERE job = 'messages'") == 1


async def test_a_discovered_subscriber_costs_few_credits(pool: Pool, redis: Client) -> None:
    async with vendors(pool, redis, ["onlyfansapi", "ofauth", "onlymonster", "fansly"]) as b:
        await b.catch_up(["reconcile"])
        ledger = b.platform.world.ledger
        before = {route: int(totals["calls"]) for route, totals in ledger.by_route().items()}
        spent = ledger.used
        for place in range(3):
            for vendor in ("onlyfansapi", "ofauth", "onlymonster"):
                await subscribed(b, vendor, place, 3001 + place)
        await b.catch_up(["reconcile"])
        for vendor in ("onlyfansapi", "ofauth", "onlymonster"):
            assert len(await b.bindings(vendor)) == 3
        # OnlyFansAPI: one page of counters and one list per fan; Fansly: one page of counters. The others are free.
        assert ledger.used - spent <= 1 + 3 + 1
        calls = {route: int(totals["calls"]) - before.get(route, 0) for route, totals in ledger.by_route().items()}
        assert sum(count for route, count in calls.items() if "/ofauth/" in route) <= 1 + 1 + 3
        assert sum(count for route, count in calls.items() if "/onlymonster/" in route) <= 2
