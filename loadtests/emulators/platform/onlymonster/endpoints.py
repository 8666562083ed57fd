"""Accounts, links and their users, payments, chats (upstream spec 3)."""

from __future__ import annotations

import uuid
from typing import Any

from ..calls import ApiError, Endpoint, Handler, Reply
from ..records import LinkKind
from . import rows
from .call import Call
from .cursors import Place, opened, paged, seal

_OWN = "/onlymonster/api/v0/accounts"
_PLATFORM = "/onlymonster/api/v0/platforms/{platform}/accounts/{platform_account_id}"


async def accounts(call: Call) -> Reply:
    """All accounts, by id."""
    limit = call.number("limit", 100, 1, 1000)
    call.choice("withExpiredSubscriptions", ("true", "false"), "false")
    cursor = call.request.query.get("cursor")
    after = 0 if cursor is None else int(opened(call, cursor)[0])
    found = [a for a in call.world.connected("onlymonster") if a.onlymonster_id > after]
    answer: dict[str, Any] = {"accounts": [rows.account(account) for account in found[:limit]]}
    if len(found) > limit:
        answer["nextCursor"] = seal(call, (found[limit - 1].onlymonster_id, ""))
    return Reply(answer)


async def account(call: Call) -> Reply:
    """One account."""
    return Reply({"account": rows.account(call.account)})


async def fans(call: Call) -> Reply:
    """Ids of fans by recent chat activity."""
    limit = call.number("limit", 10_000, 1, 10_000)
    return Reply({"fan_ids": [str(fan_id) for fan_id, _ in call.world.fans.chats(call.account.id)[:limit]]})


async def messages(call: Call) -> Reply:
    """A chat; `message_id` is the last id of the page before."""
    fan = call.fan("chat_id")
    limit = call.number("limit", 100, 1, 100)
    newest_first = call.choice("order", ("asc", "desc"), "desc") == "desc"
    after = call.number("message_id", 0)
    found = sorted(call.world.fans.messages(call.account.id, fan.id), key=lambda m: m.id, reverse=newest_first)
    if after:
        found = [m for m in found if (m.id < after if newest_first else m.id > after)]
    return Reply({"items": [rows.message(call.account, m) for m in found[:limit]], "has_more": len(found) > limit})


async def send(call: Call) -> Reply:
    """Queue a message: 202 and an id that a webhook names when it is sent, or is not."""
    fan = call.fan("chat_id")
    text = call.text("text", 5000)
    price = call.body.get("price") or 0
    if isinstance(price, bool) or not isinstance(price, int | float) or not (price == 0 or 3 <= price <= 200):
        raise call.invalid("price", "must be 0 or between 3 and 200")
    if price and call.body.get("locked_text") is not True:
        raise call.invalid("price", "a paid message must carry a paid item")
    words = [word for word in call.world.settings.onlymonster_restricted_words if word.lower() in text.lower()]
    if words:
        details = {"words": words, "topics": []}
        body = {"message": "Restricted words detected", "code": "RESTRICTED_WORDS_DETECTED", "details": details}
        raise ApiError(400, body)
    number = call.world.sequence("onlymonster-send")
    send_id = str(uuid.UUID(int=call.world.rng("send", number).getrandbits(128), version=4))
    call.world.fans.write_to(call.account, fan, text, price=round(price * 100), send_id=send_id)
    return Reply({"send_id": send_id}, status=202)


def _links(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        start, end = call.range()
        found = [x for x in call.world.links.of_account(call.account.id, kind) if start <= x.created_at <= end]
        return Reply(
            paged(
                call,
                found,
                lambda x: (x.created_at.timestamp(), f"{x.id:020d}"),
                lambda x: rows.link(call.world, call.account, x),
                least=10,
                most=1000,
            )
        )

    return handle


def _users(kind: LinkKind) -> Handler:
    async def handle(call: Call) -> Reply:
        since, until = call.zulu("collected_from"), call.zulu("collected_to")
        link_id = call.request.query.get("link_id")
        found = []
        for subscription in call.world.fans.of_account(call.account.id):
            if subscription.link_kind != kind or (link_id is not None and str(subscription.link_id) != link_id):
                continue
            at = rows.subscription_collected(call.world, call.account, subscription)
            if at is None or at > call.now or (since and at < since) or (until and at > until):
                continue
            found.append((at, subscription))

        def place(item: Any) -> Place:
            return item[0].timestamp(), f"{item[1].id:020d}"

        return Reply(
            paged(call, found, place, lambda item: rows.link_user(call.world, item[1], item[0]), least=1, most=750)
        )

    return handle


async def transactions(call: Call) -> Reply:
    """Payments collected by now, of the asked time range."""
    start, end = call.range()
    found = []
    for payment in call.world.money.visible(call.account.id):
        at = rows.payment_collected(call.world, call.account, payment)
        if at is not None and at <= call.now and start <= payment.at <= end:
            found.append(payment)
    return Reply(
        paged(
            call,
            found,
            lambda t: (t.at.timestamp(), t.id),
            lambda t: rows.transaction(call.world, t),
            least=10,
            most=1000,
        )
    )


async def chargebacks(call: Call) -> Reply:
    """Chargebacks of the asked time range."""
    start, end = call.range()
    found = [c for c in call.world.money.chargebacks(call.account.id) if start <= c.at <= end]
    return Reply(
        paged(
            call,
            found,
            lambda c: (c.at.timestamp(), f"{c.id:020d}"),
            lambda c: rows.chargeback(call.world, c),
            least=10,
            most=1000,
        )
    )


_CHAT = f"{_OWN}/{{account_id}}/chats/{{chat_id}}/messages"

ENDPOINTS = [
    Endpoint("GET", _OWN, accounts),
    Endpoint("GET", f"{_OWN}/{{account_id}}", account),
    Endpoint("GET", f"{_OWN}/{{account_id}}/fans", fans, latency="read", per_second=1),
    Endpoint("GET", _CHAT, messages, latency="read", per_second=1),
    Endpoint("POST", _CHAT, send, latency="read", per_second=1),
    Endpoint("GET", f"{_PLATFORM}/tracking-links", _links("tracking")),
    Endpoint("GET", f"{_PLATFORM}/tracking-link-users", _users("tracking")),
    Endpoint("GET", f"{_PLATFORM}/trial-links", _links("trial")),
    Endpoint("GET", f"{_PLATFORM}/trial-link-users", _users("trial")),
    Endpoint("GET", f"{_PLATFORM}/transactions", transactions),
    Endpoint("GET", f"{_PLATFORM}/chargebacks", chargebacks),
]
