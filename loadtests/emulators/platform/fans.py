"""Fans and what they do that is not a payment: subscribing, renewing, leaving, writing."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import payloads
from .clock import iso
from .records import Account, Fan, Link, Message, Subscription

if TYPE_CHECKING:
    from .links import LinkFate
    from .world import World

PERIOD = timedelta(days=30)
_NAMES = ("Sam", "Zoë", "Łukasz", "Max 🔥", "O'Neil", "Ana & Bo", "J", "Mia <3", "Владимир", "Chris")


@dataclass(frozen=True, slots=True)
class SubscribeOutcome:
    """What came of a subscribe act. `subscription` is None when the fan was subscribed already (no event);
    `fate` says why a given link was not used."""

    fan: Fan
    subscription: Subscription | None
    link: Link | None
    fate: LinkFate | None


class Fans:
    """Subscriptions and messages of every fan, indexed by account, link and fan."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._of_account: dict[str, list[Subscription]] = defaultdict(list)
        self._of_link: dict[tuple[str, int], list[Subscription]] = defaultdict(list)
        self._of_fan: dict[tuple[str, int], list[Subscription]] = defaultdict(list)
        self._messages: dict[tuple[str, int], list[Message]] = defaultdict(list)

    def person(self, fan_id: int | None = None, name: str | None = None) -> Fan:
        """The fan of this id, made up if new; a new id when None."""
        world = self._world
        if fan_id is None:
            number = world.sequence("fan")
            fan_id = 310_000_000 + 97 * number + world.rng("fan", number).randrange(97)
        if fan_id not in world.people:
            world.people[fan_id] = Fan(
                id=fan_id,
                username=f"u{fan_id}",
                name=name or world.rng("name", fan_id).choice(_NAMES),
                pays_vat=world.chance(world.settings.vat_rate, "vat", fan_id),
            )
        return world.people[fan_id]

    def current(self, account_id: str, fan_id: int, at: datetime) -> Subscription | None:
        """The subscription running at `at`."""
        running = [s for s in self._of_fan[(account_id, fan_id)] if s.at <= at < s.expires_at]
        return running[-1] if running else None

    def subscribe(
        self, account: Account, fan: Fan, link: Link | None = None, at: datetime | None = None, *, click: bool = True
    ) -> SubscribeOutcome:
        """Subscribe through `link`, or organically. A dead link means the normal page: full price, no link."""
        world = self._world
        at = at or world.clock.now()
        fate: LinkFate | None = None
        if link is not None:
            if click:
                world.links.click(link, at)
            fate = world.links.fate(link, at)
        used = link if fate == "open" else None
        if self.current(account.id, fan.id, at) is not None:
            return SubscribeOutcome(fan, None, None, fate)
        trial = used is not None and used.kind == "trial"
        returning = bool(self._of_fan[(account.id, fan.id)])
        subscription = self._start(
            account,
            fan,
            at,
            price=0 if trial else account.subscribe_price,
            length=timedelta(days=used.days) if used is not None and trial else PERIOD,
            type="trial" if trial else "regular",
            returning=returning,
            link=used,
        )
        if used is not None:
            used.claims += 1
        if subscription.price:
            transaction = world.money.charge(account, fan, "new_subscription", subscription.price, at)
            subscription.transaction_id = transaction.id
        event = world.settings.returning_event if returning else "subscriptions.new"
        self._notify_subscription(account, fan, subscription, event)
        return SubscribeOutcome(fan, subscription, used, fate)

    def renew(self, account: Account, fan: Fan, at: datetime | None = None, price: int | None = None) -> Subscription:
        """The fan's subscription renews: `subscriptions.renewed` and a `recurring_subscription` payment."""
        at = at or self._world.clock.now()
        cost = account.subscribe_price if price is None else price
        subscription = self._start(
            account, fan, at, price=cost, length=PERIOD, type="auto", returning=True, renewal=True
        )
        if cost:
            transaction = self._world.money.charge(account, fan, "recurring_subscription", cost, at)
            subscription.transaction_id = transaction.id
        self._notify_subscription(account, fan, subscription, "subscriptions.renewed")
        return subscription

    def expire(self, account: Account, fan: Fan, at: datetime | None = None) -> Subscription | None:
        """End the running subscription: `subscriptions.expired`. None if there is none."""
        at = at or self._world.clock.now()
        subscription = self.current(account.id, fan.id, at)
        if subscription is None:
            return None
        subscription.expires_at = at
        payload = payloads.expired(fan, at)
        self._world.send("subscriptions.expired", account.id, payload, at, subject=subscription)
        return subscription

    def message(self, account: Account, fan: Fan, text: str, at: datetime | None = None, tip: int = 0) -> Message:
        """The fan writes; a tip in chat arrives as a message too (`tip` in cents)."""
        at = at or self._world.clock.now()
        message = self._message(account, fan, text, at, from_fan=True, tip=tip)
        self._messages[(account.id, fan.id)].append(message)
        payload = payloads.received(message, fan, payloads.fan_data(self._world, account, fan))
        self._world.send("messages.received", account.id, payload, at, subject=message)
        return message

    def write_to(
        self, account: Account, fan: Fan, text: str, price: int = 0, send_id: str | None = None
    ) -> Message | None:
        """The creator writes to the fan: `messages.sent`. `price` in cents; `send_id` is Onlymonster's name for it.
        None if the creator's session is dead: then `messages.failed`, which only Onlymonster tells anybody."""
        now = self._world.clock.now()
        message = self._message(account, fan, text, now, from_fan=False, price=price)
        message.send_id = send_id
        payload = payloads.sent(message, fan, account)
        if account.session_state != "active":
            self._world.send("messages.failed", account.id, payload, now, subject=message)
            return None
        self._messages[(account.id, fan.id)].append(message)
        self._world.send("messages.sent", account.id, payload, now, subject=message)
        return message

    def follow(self, account: Account, fan: Fan, link: Link | None, at: datetime | None = None) -> bool:
        """The fan follows for free, on Fansly: counted on the link, no subscription. False if the link is dead."""
        world = self._world
        at = at or world.clock.now()
        used = link is not None and world.links.fate(link, at) == "open"
        if link is not None:
            world.links.click(link, at)
            if used:
                insort(link.follows, world.later(at, world.settings.counter_delay, "follow", link.id, fan.id))
        payload = {"id": str(fan.fansly_id), "followerId": str(fan.fansly_id), "createdAt": int(at.timestamp())}
        world.send("followers.new", account.id, payload, at)
        return used

    def chats(self, account_id: str) -> list[tuple[int, datetime]]:
        """Fans with a visible chat and the time of its last message, most recent first."""
        found = [
            (fan_id, messages[-1].at)
            for owner, fan_id in list(self._messages)
            if owner == account_id and (messages := self.messages(owner, fan_id))
        ]
        return sorted(found, key=lambda chat: chat[1], reverse=True)

    def of_account(self, account_id: str) -> list[Subscription]:
        """Subscriptions by time."""
        return self._of_account[account_id]

    def of_link(self, link: Link) -> list[Subscription]:
        """Subscriptions made through a link, in order."""
        return self._of_link[(link.kind, link.id)]

    def of_fan(self, account_id: str, fan_id: int) -> list[Subscription]:
        """A fan's subscriptions to one account, in order."""
        return self._of_fan[(account_id, fan_id)]

    def messages(self, account_id: str, fan_id: int) -> list[Message]:
        """The chat visible now, oldest first."""
        now = self._world.clock.now()
        return [m for m in self._messages[(account_id, fan_id)] if m.visible_at <= now]

    def truth(self) -> list[dict[str, Any]]:
        """Per account and fan: the link really used (null = organic), subscriptions, payments, messages."""
        pairs = set(self._of_fan) | set(self._messages) | self._world.money.payers()
        rows = []
        for account_id, fan_id in sorted(pair for pair in pairs):
            subscriptions = [
                {
                    "id": s.id,
                    "at": s.at.isoformat(),
                    "link": None if s.link_id is None else {"kind": s.link_kind, "id": s.link_id},
                    "price": s.price / 100,
                    "type": s.type,
                    "returning": s.returning,
                    "renewal": s.renewal,
                    "transaction_id": s.transaction_id,
                    "notification_id": s.notification_id,
                }
                for s in self._of_fan[(account_id, fan_id)]
            ]
            rows.append(
                {
                    "account_id": account_id,
                    "fan_id": fan_id,
                    "link": next((s["link"] for s in reversed(subscriptions) if s["link"]), None),
                    "subscriptions": subscriptions,
                    "transactions": self._world.money.truth(account_id, fan_id),
                    "messages": [
                        {"id": m.id, "from_fan": m.from_fan, "at": iso(m.at)}
                        for m in self._messages[(account_id, fan_id)]
                    ],
                }
            )
        return rows

    def _start(
        self,
        account: Account,
        fan: Fan,
        at: datetime,
        *,
        price: int,
        length: timedelta,
        type: Any,
        returning: bool,
        renewal: bool = False,
        link: Link | None = None,
    ) -> Subscription:
        world = self._world
        number = world.sequence("subscription")
        subscription = Subscription(
            id=880_000_000 + number,
            account_id=account.id,
            fan_id=fan.id,
            link_id=None if link is None else link.id,
            link_kind=None if link is None else link.kind,
            at=at,
            expires_at=at + length,
            price=price,
            type=type,
            counted_at=world.later(at, world.settings.counter_delay, "counted", number),
            listed_at=world.later(at, world.settings.listing_delay, "listed", number),
            returning=returning,
            renewal=renewal,
        )
        insort(self._of_account[account.id], subscription, key=lambda s: s.at)
        self._of_fan[(account.id, fan.id)].append(subscription)
        if link is not None:
            self._of_link[(link.kind, link.id)].append(subscription)
        return subscription

    def _notify_subscription(self, account: Account, fan: Fan, subscription: Subscription, event: str) -> None:
        number = str(115_200_000_000 + 31 * self._world.sequence("notification"))
        subscription.notification_id = number
        data = payloads.fan_data(self._world, account, fan)
        payload = payloads.subscribed(number, account, fan, subscription, data, renewed=event.endswith("renewed"))
        self._world.send(event, account.id, payload, subscription.at, subject=subscription)

    def _message(
        self, account: Account, fan: Fan, text: str, at: datetime, *, from_fan: bool, tip: int = 0, price: int = 0
    ) -> Message:
        world = self._world
        number = world.sequence("message")
        return Message(
            id=7_412_345_000_000 + 13 * number,
            account_id=account.id,
            fan_id=fan.id,
            from_fan=from_fan,
            text=text,
            at=at,
            visible_at=world.later(at, world.settings.message_delay, "message", number),
            tip=tip,
            price=price,
        )
