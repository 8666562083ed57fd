"""Worlds in PostgreSQL: their links and destinations, their facts as they arrive, and what the tables say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tests.reference import model
from tests.reference.worlds import World, click_id
from tracker.accounts.facts import Fact, record
from tracker.attribution.facts import Click, FanEvent, LinkSubscriber, MessageSeen, Subscribed, TransactionSeen
from tracker.attribution.identity import conversion_id
from tracker.providers.events import PlatformEvent
from tracker.recorder.plan import WAKE_MARGIN_MS, Writes
from tracker.recorder.writer import wake_fans
from tracker.stores.postgres import Connection, Pool

ALL_TYPES = (
    "new_subscriber",
    "new_transaction",
    "transaction_status",
    "message_received",
    "fan_sent_1_message",
    "fan_sent_3_messages",
)


@dataclass(frozen=True)
class Arrival:
    """One thing that becomes known: a platform event of a fan, a click (`visit` 0) or a later visit of one."""

    account_id: str
    fan_id: str = ""
    event: FanEvent | None = None
    click: Click | None = None
    visit: int = 0


def moment(at: int) -> datetime:
    """Unix milliseconds as UTC."""
    return datetime.fromtimestamp(at / 1000, UTC)


def milliseconds(at: datetime) -> int:
    """UTC as Unix milliseconds."""
    return round(at.timestamp() * 1000)


def renamed(world: World, number: int) -> World:
    """The same world under names no other world in the database has; what sorts before what stays."""

    def account(name: str) -> str:
        return f"{name}_{number}"

    def link(inventory_link_id: int | None) -> int | None:
        return None if inventory_link_id is None else inventory_link_id + 100 * number

    def click(old: Click) -> Click:
        visits = tuple(replace(visit, inventory_link_id=link(visit.inventory_link_id)) for visit in old.visits)
        name, ad = old.click_id[:13] + f"{number:013d}", account(old.smart_link_id)
        return replace(old, click_id=name, smart_link_id=ad, visits=visits)

    def event(old: FanEvent) -> FanEvent:
        if isinstance(old, LinkSubscriber):
            return replace(old, inventory_link_id=old.inventory_link_id + 100 * number)
        return old

    return World(
        tuple(
            replace(ad, smart_link_id=account(ad.smart_link_id), account_id=account(ad.account_id))
            for ad in world.smart_links
        ),
        tuple(
            replace(one, inventory_link_id=one.inventory_link_id + 100 * number, account_id=account(one.account_id))
            for one in world.platform_links
        ),
        frozenset(account(name) for name in world.free_pages),
        {account(name): tuple(click(one) for one in clicks) for name, clicks in world.clicks.items()},
        {(account(name), fan): tuple(event(one) for one in events) for (name, fan), events in world.events.items()},
    )


def arrivals(world: World) -> list[Arrival]:
    """Everything that will become known of a world."""
    found = [Arrival(account, fan, event) for (account, fan), events in world.events.items() for event in events]
    for account, clicks in world.clicks.items():
        found += [Arrival(account, click=click, visit=index) for click in clicks for index in range(len(click.visits))]
    return found


async def open_world(connection: Connection, world: World, team_id: str) -> None:
    """A team with the world's accounts and links, a destination for everything and one for the tips of one ad."""
    await connection.execute("INSERT INTO teams (team_id, name) VALUES ($1, 'team')", team_id)
    for shard, account_id in enumerate(world.clicks):
        await connection.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, subscribe_price_cents, shard)"
            " VALUES ($1, $2, 'onlyfansapi', $1, $3, $4)",
            account_id, team_id, 0 if account_id in world.free_pages else 500, shard,
        )  # fmt: skip
    for ad in world.smart_links:
        await connection.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, window_seconds)"
            " VALUES ($1, $2, $3, 'ad', 'tracking_link', 'tracking', $4)",
            ad.smart_link_id, team_id, ad.account_id, ad.window // 1000,
        )  # fmt: skip
    for link in world.platform_links:
        await connection.execute(
            "INSERT INTO inventory_links (inventory_link_id, account_id, offer, kind, role, state, provider_link_id)"
            " OVERRIDING SYSTEM VALUE VALUES ($1::bigint, $2, 'tracking', $3, $4, 'ready', ($1::bigint)::text)",
            link.inventory_link_id, link.account_id, "free_trial" if link.free else "tracking_link",
            "pool" if link.ours else "external",
        )  # fmt: skip
    await add_destination(connection, team_id, f"{team_id}-all", ALL_TYPES)
    await add_destination(
        connection, team_id, f"{team_id}-some", ("new_transaction",), world.smart_links[0].smart_link_id
    )


async def add_destination(
    connection: Connection, team_id: str, destination_id: str, types: Sequence[str], smart_link_id: str = ""
) -> None:
    """An active destination of some conversion types, for one smart link when it is named."""
    await connection.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, scope, event_types)"
        " VALUES ($1, $2, 'postback', '{}', $3, $4)",
        destination_id, team_id, "campaign_specific" if smart_link_id else "global", list(types),
    )  # fmt: skip
    if smart_link_id:
        await connection.execute("INSERT INTO destination_links VALUES ($1, $2)", destination_id, smart_link_id)


async def arrive(pool: Pool, batch: Iterable[Arrival]) -> None:
    """Store a batch the way recorder and inbox do, each with its wake-ups. What is known already changes nothing."""
    facts, writes = [], Writes()
    async with pool.acquire() as connection:
        for one in batch:
            if one.event is not None:
                facts.append(Fact(one.account_id, platform_event(one.fan_id, one.event), "poll"))
            elif one.click is not None:
                await _store_visit(connection, one.account_id, one.click, one.visit, writes)
        await wake_fans(pool, writes)
        async with connection.transaction():
            await record(connection, facts)


async def _store_visit(connection: Connection, account_id: str, click: Click, index: int, writes: Writes) -> None:
    visit = click.visits[index]
    visitor_by = "cookie" if visit.by_cookie else "fingerprint"
    if index == 0:
        await connection.execute(
            "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,"
            " inventory_link_id, lease, ecid) VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            click.click_id, click.smart_link_id, account_id, moment(visit.at), click.visitor, visitor_by,
            visit.inventory_link_id, click.lease, click.ecid or None,
        )  # fmt: skip
    else:
        await connection.execute(
            "INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by, inventory_link_id)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            click_id(visit.at, click.click_id[10:13] + str(index) + click.click_id[14:]), click.click_id, account_id, moment(visit.at),
            visitor_by, visit.inventory_link_id,
        )  # fmt: skip
    if visit.by_cookie:
        writes.woken_visitors.add((account_id, click.visitor))
    if visit.inventory_link_id is not None:
        since = visit.at - WAKE_MARGIN_MS
        writes.woken_links[visit.inventory_link_id] = min(since, writes.woken_links.get(visit.inventory_link_id, since))


def platform_event(fan_id: str, event: FanEvent) -> PlatformEvent:
    """A fact of the fold as a provider hands it in."""
    kind, precision, link, detail = "message", 0, None, {}
    if isinstance(event, Subscribed):
        kind, precision = "subscribed", event.precision
        detail = {
            "price_cents": event.price_cents,
            "sub_type": "returning_subscriber" if event.returning else "new_subscriber",
        }
    elif isinstance(event, LinkSubscriber):
        kind, precision, link = "link_subscriber", event.precision, event.inventory_link_id
        detail = {"inferred": event.inferred}
    elif isinstance(event, TransactionSeen):
        kind = "transaction"
        names = ("transaction_id", "type", "status", "gross_cents", "net_cents", "description")
        detail = {name: getattr(event, name) for name in names}
    else:
        assert isinstance(event, MessageSeen)
    return PlatformEvent(
        event_key=event.event_key,
        kind=kind,  # type: ignore[arg-type]
        fan_id=fan_id,
        at=moment(event.at),
        precision_seconds=precision,
        detail=detail,
        inventory_link_id=link,
    )


async def as_stored(pool: Pool, account_id: str, fan_id: str) -> model.Outcome:
    """What the tables believe of a fan, in the model's words; conversions without their identity."""
    bindings = await pool.fetch(
        "SELECT * FROM bindings WHERE account_id = $1 AND fan_id = $2 AND retracted_at IS NULL ORDER BY valid_from",
        account_id, fan_id,
    )  # fmt: skip
    conversions = await pool.fetch(
        "SELECT * FROM conversions WHERE account_id = $1 AND fan_id = $2 AND retracted_at IS NULL", account_id, fan_id
    )
    fan = await pool.fetchrow("SELECT * FROM fans WHERE account_id = $1 AND fan_id = $2", account_id, fan_id)
    assert fan is not None
    first = fan["first_subscribed_at"]
    found = [
        model.Fired(
            type=row["conversion_type"],
            identity="",
            at=milliseconds(row["conversion_at"]),
            click_id=row["click_id"],
            keys=frozenset(row["event_keys"]),
            gross=row["amount_gross_cents"],
            net=row["amount_net_cents"],
            transaction_id=row["transaction_id"],
            transaction_type=row["transaction_type"],
            transaction_status=row["transaction_status"],
            previously_subscribed=row["previously_subscribed"],
            purchase=row["purchase"],
        )
        for row in conversions
    ]
    assert len(found) == len(set(found))
    return model.Outcome(
        bindings=tuple(
            model.Bound(
                milliseconds(row["valid_from"]),
                row["click_id"],
                row["rule"],
                row["competing_clicks"],
                frozenset(row["event_keys"]),
            )
            for row in bindings
        ),
        conversions=frozenset(found),
        unattributed_reason=fan["unattributed_reason"],
        first_subscribed_at=None if first is None else milliseconds(first),
    )


def nameless(outcome: model.Outcome) -> model.Outcome:
    """An outcome as `as_stored` gives it: all prices have had their time, identities are compared as ids."""
    return replace(
        outcome,
        conversions=frozenset(replace(fired, identity="", hold_until=None) for fired in outcome.conversions),
    )


def ids(account_id: str, fan_id: str, outcome: model.Outcome, *, subscribers: bool = True) -> set[str]:
    """The conversion ids an outcome stands for."""
    return {
        conversion_id(account_id, fan_id, fired.type, fired.identity)
        for fired in outcome.conversions
        if subscribers or fired.type != "new_subscriber"
    }


async def stored_ids(pool: Pool, account_id: str, fan_id: str, *, subscribers: bool = True) -> set[str]:
    """The conversion ids the tables believe in."""
    rows = await pool.fetch(
        "SELECT conversion_id, conversion_type FROM conversions"
        " WHERE account_id = $1 AND fan_id = $2 AND retracted_at IS NULL",
        account_id, fan_id,
    )  # fmt: skip
    return {row["conversion_id"] for row in rows if subscribers or row["conversion_type"] != "new_subscriber"}


async def snapshot(pool: Pool, account_ids: Sequence[str]) -> dict[str, str]:
    """All conversions ever stored for these accounts, by id, as text without the marks of a correction."""
    rows = await pool.fetch(
        "SELECT conversion_id, to_jsonb(c) - '{corrected_at,event_keys}'::text[] AS body FROM conversions c"
        " WHERE account_id = ANY($1::text[])",
        list(account_ids),
    )
    return {row["conversion_id"]: json.dumps(row["body"], sort_keys=True) for row in rows}
