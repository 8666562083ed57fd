"""Chat messages: reading and sending (upstream spec 1.5)."""

from __future__ import annotations

import json

from ..payloads import message_row
from .call import ApiError, Call, Endpoint, Reply, invalid, onlyfans_error


async def messages(call: Call) -> Reply:
    """Newest first unless `order=asc`. The cursor row itself is in the next page: a client must dedup by id."""
    fan = call.fan("fan")
    limit = call.number("limit", 10, 1, 100)
    ascending = call.choice("order", ("desc", "asc"), "desc") == "asc"
    found = call.world.fans.messages(call.account.id, fan.id)
    found.sort(key=lambda m: (m.at, m.id), reverse=not ascending)
    cursor_name = "last_id" if ascending else "first_id"
    cursor = call.number(cursor_name, 0)
    if cursor:
        places = [place for place, message in enumerate(found) if message.id == cursor]
        found = found[places[0] :] if places else []
    shown = found[:limit]
    # With one row per page an inclusive cursor would never move on.
    more = len(found) > limit and limit > 1
    following = {cursor_name: shown[-1].id} if more else None
    return Reply([message_row(m, fan, call.account) for m in shown], following)


async def send(call: Call) -> Reply:
    """Send a message; `Idempotency-Key` replays the first answer, another body under it is a 409."""
    fan = call.fan("fan")
    text = call.text("text")
    price = call.body.get("price", 0)
    if isinstance(price, bool) or not isinstance(price, int | float) or not (price == 0 or 3 <= price <= 200):
        raise invalid("price", "The price field must be 0 or between 3 and 200.")
    key = call.request.headers.get("Idempotency-Key")
    spoken = json.dumps([fan.id, call.body], sort_keys=True)
    if key is not None and (call.account.id, key) in call.world.sent_messages:
        before, row = call.world.sent_messages[(call.account.id, key)]
        if before != spoken:
            message = "This idempotency key was used with another request."
            body = {"error": "IDEMPOTENCY_CONFLICT", "message": message, "description": message}
            raise ApiError(409, body)
        return Reply(row, headers={"Idempotent-Replayed": "true"})
    sent = call.world.fans.write_to(call.account, fan, text, price=round(price * 100))
    if sent is None:
        raise onlyfans_error(400, "The session has expired.")
    row = message_row(sent, fan, call.account)
    if key is not None:
        call.world.sent_messages[(call.account.id, key)] = (spoken, row)
    return Reply(row)


ENDPOINTS = [
    Endpoint("GET", "/api/{account}/chats/{fan}/messages", messages, latency="read"),
    Endpoint("POST", "/api/{account}/chats/{fan}/messages", send, latency="read"),
]
