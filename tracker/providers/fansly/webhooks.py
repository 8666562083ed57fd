"""What Fansly's webhooks through OnlyFansAPI say, normalised (upstream spec 5). Pure.

The envelope and signature are OnlyFansAPI's. The fields of the payloads are not documented and are read leniently. The wallet's
feed does not name the fan, so here tips and purchases are believed too; they join the wallet's row by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tracker.providers import fields
from tracker.providers.events import message_event, subscribed_event
from tracker.providers.fansly import rows
from tracker.providers.onlyfansapi.webhooks import SESSION_EVENTS, OnlyFansApiWebhooks
from tracker.providers.readings import Reading, SessionChange, Unintelligible, Wake
from tracker.providers.transport import json_body

_LOOK_SOON = Wake("reconcile", debounce=True)
_MONEY_SOON = Wake("transactions", debounce=True)
_ALIVE = tuple(Wake(job, urgent=True) for job in ("session", "pools", "reconcile", "transactions"))


class FanslyWebhooks(OnlyFansApiWebhooks):
    """`WebhookReader` of Fansly through OnlyFansAPI."""

    def read(self, body: bytes, creator_id: str) -> Reading:
        """Understand a stored body. Raises Unintelligible."""
        outer = json_body(body)
        event, payload = fields.id_text(outer.get("event")), fields.mapping(outer.get("payload"))
        name = event.removeprefix("fansly.")
        if name in SESSION_EVENTS and name != event:
            state, message = SESSION_EVENTS[name]
            return Reading(session=SessionChange(state, message), wakes=_ALIVE if state == "ok" else ())
        reader = _READERS.get(event)
        return reader(payload, creator_id) if reader else Reading(note=f"not used: {event or 'no event name'}")


def _subscribed(payload: dict[str, Any], creator_id: str) -> Reading:
    fan, at = fields.fan_id(payload.get("subscriberId")), rows.moment(payload.get("createdAt"))
    if not fan or at is None or fan == creator_id:
        return Reading(wakes=(_LOOK_SOON, _MONEY_SOON), rejected=True, note="cannot be used without fan and time")
    price = rows.cents(payload.get("price"))
    username, name = fields.text(payload.get("username"), 200), fields.text(payload.get("displayName"), 200)
    event = subscribed_event(fan, at, price_cents=price, username=username, name=name)
    return Reading(events=(event,), wakes=(_LOOK_SOON,) if price == 0 else (_LOOK_SOON, _MONEY_SOON))


def _transaction(payload: dict[str, Any], creator_id: str) -> Reading:
    found = rows.read_transaction(payload)
    if found is None:
        return Reading(wakes=(_MONEY_SOON,), rejected=True, note="cannot be used without id, time and amount")
    if not found.fan_id or found.fan_id == creator_id:
        return Reading(wakes=(_MONEY_SOON,), note="does not name the fan; a tip or purchase may")
    return Reading(events=(found.event(),))


def _paid(kind: str) -> Callable[[dict[str, Any], str], Reading]:
    def read(payload: dict[str, Any], creator_id: str) -> Reading:
        found = rows.read_transaction({**payload, "transactionId": payload.get("correlationId"), "type": None})
        if found is None or not found.fan_id or found.fan_id == creator_id:
            return Reading(wakes=(_MONEY_SOON,), note="cannot be joined with the wallet's row")
        # Pending until the wallet says so itself, which is an observation of its own.
        return Reading(
            events=(msgspec.structs.replace(found, type=kind, status="loading").event(),), wakes=(_MONEY_SOON,)
        )

    return read


def _message(payload: dict[str, Any], creator_id: str) -> Reading:
    fan, number = fields.fan_id(payload.get("senderId")), fields.id_text(payload.get("id"))
    at = rows.moment(payload.get("createdAt"))
    if fan and fan == creator_id:
        return Reading(note="written by the creator")
    if not fan or not number or at is None:
        raise Unintelligible("a message cannot be used without fan, id and time")
    return Reading(events=(message_event(number, fan, at),))


_READERS: dict[str, Callable[[dict[str, Any], str], Reading]] = {
    "fansly.subscriptions.new": _subscribed,
    "fansly.subscriptions.renewed": _subscribed,
    "fansly.transactions.new": _transaction,
    "fansly.tips.received": _paid("tip"),
    "fansly.media.purchased": _paid("message"),
    "fansly.stories.purchased": _paid("post"),
    "fansly.messages.received": _message,
}
