"""What the control API can make fans and creators do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .clock import parse_moment
from .money import DESCRIPTIONS
from .payloads import usd
from .records import VENDORS, Account, Fan, Link, Subscription, Transaction
from .world import NotFound

if TYPE_CHECKING:
    from .world import World

Body = dict[str, Any]
Act = Callable[[Body], Awaitable[Any]]


class Acts:
    """Scripted acts. Amounts are USD numbers, times ISO 8601 or Unix seconds (`at`, default now)."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def add_account(self, body: Body) -> Any:
        """`{username, name?, subscribe_price?, id?, onlyfans_id?, platform?: onlyfans|fansly, vendors?}`; an existing
        id is changed, not doubled."""
        username = str(body["username"])
        known = self._world.accounts.get(str(body.get("id", "")))
        if known is not None:
            known.username, known.name = username, str(body.get("name") or known.name)
            if "vendors" in body:
                known.vendors = tuple(str(vendor) for vendor in body["vendors"])
            if "subscribe_price" in body:
                known.subscribe_price = _cents(body["subscribe_price"])
            return account_row(known)
        account = self._world.add_account(
            username,
            body.get("name"),
            id=body.get("id"),
            subscribe_price=_cents(body.get("subscribe_price", 9.99)),
            onlyfans_id=None if body.get("onlyfans_id") is None else int(body["onlyfans_id"]),
            platform="fansly" if body.get("platform") == "fansly" else "onlyfans",
            vendors=[str(vendor) for vendor in body.get("vendors", VENDORS)],
        )
        return account_row(account)

    async def list_accounts(self, body: Body) -> Any:
        """All accounts."""
        return [account_row(account) for account in self._world.accounts.values()]

    async def subscribe(self, body: Body) -> Any:
        """`{link_url | link_id + kind | neither, account_id?, fan_id?, name?, at?, click?}`."""
        link = self._link(body)
        if link is None and "account_id" not in body:
            raise ValueError("account_id is required for an organic subscription")
        account = self._world.find(body["account_id"] if link is None else link.account_id)
        fan = self._fan(body)
        outcome = self._world.fans.subscribe(account, fan, link, self._at(body), click=bool(body.get("click", True)))
        return {
            "fan_id": fan.id,
            "fansly_fan_id": str(fan.fansly_id),
            "account_id": account.id,
            "subscribed": outcome.subscription is not None,
            "link": None if outcome.link is None else self._link_row(outcome.link),
            "link_fate": outcome.fate,
            **_subscription(outcome.subscription),
        }

    async def renew(self, body: Body) -> Any:
        """`{account_id, fan_id, price?, at?}`."""
        account, fan = self._pair(body)
        price = None if body.get("price") is None else _cents(body["price"])
        done = self._world.fans.renew(account, fan, self._at(body), price)
        return {"fan_id": fan.id, "account_id": account.id, **_subscription(done)}

    async def expire(self, body: Body) -> Any:
        """`{account_id, fan_id, at?}`."""
        account, fan = self._pair(body)
        done = self._world.fans.expire(account, fan, self._at(body))
        return {"fan_id": fan.id, "account_id": account.id, "expired": done is not None}

    async def tip(self, body: Body) -> Any:
        """`{account_id, fan_id, amount, source?: profile|chat|post_all|stream|story, at?}`."""
        account, fan = self._pair(body)
        source = str(body.get("source", "profile"))
        return self._payment(self._world.money.tip(account, fan, _cents(body["amount"]), self._at(body), source))

    async def ppv(self, body: Body) -> Any:
        """`{account_id, fan_id, amount, at?}`."""
        account, fan = self._pair(body)
        return self._payment(self._world.money.unlock(account, fan, _cents(body["amount"]), self._at(body)))

    async def pay(self, body: Body) -> Any:
        """`{account_id, fan_id, type: post|stream|other|..., amount, at?}`: a payment only the money feed tells."""
        account, fan = self._pair(body)
        kind = str(body["type"])
        if kind not in DESCRIPTIONS:
            raise ValueError(f"unknown transaction type {kind!r}")
        at = self._at(body) or self._world.clock.now()
        return self._payment(self._world.money.charge(account, fan, kind, _cents(body["amount"]), at))

    async def message(self, body: Body) -> Any:
        """`{account_id, fan_id, text?, at?}`."""
        account, fan = self._pair(body)
        sent = self._world.fans.message(account, fan, str(body.get("text", "hey")), self._at(body))
        return {"message_id": sent.id, "fan_id": fan.id, "account_id": account.id, "at": sent.at.isoformat()}

    async def chargeback(self, body: Body) -> Any:
        """`{transaction_id, at?, pending_seconds?}`."""
        transaction = self._world.money.get(str(body["transaction_id"]))
        if transaction is None:
            raise NotFound(f"transaction {body['transaction_id']}")
        done = self._world.money.charge_back(transaction, self._at(body), float(body.get("pending_seconds", 0)))
        return {"chargeback_id": done.id, **self._payment(transaction)}

    async def session(self, body: Body) -> Any:
        """`{account_id, state: active|expired|reauthenticating|failed, notify?}`."""
        account = self._world.find(body["account_id"])
        state = body["state"]
        if state not in ("active", "expired", "reauthenticating", "failed"):
            raise ValueError(f"unknown session state {state!r}")
        self._world.sessions.move(account, state, notify=bool(body.get("notify", True)))
        return account_row(account)

    async def follow(self, body: Body) -> Any:
        """`{link_url | link_id | neither, account_id?, fan_id?, at?}`: a free follow on Fansly."""
        link = self._link(body)
        account = self._world.find(body["account_id"] if link is None else link.account_id)
        if account.platform != "fansly":
            raise ValueError("only Fansly has followers")
        fan = self._fan(body)
        counted = self._world.fans.follow(account, fan, link, self._at(body))
        return {"fan_id": fan.id, "fansly_fan_id": str(fan.fansly_id), "account_id": account.id, "counted": counted}

    async def add_link(self, body: Body) -> Any:
        """`{account_id, name?, kind?: tracking|trial, days?, offer_limit?, expires_days?}`: a link the creator makes
        on the platform itself, as an account of Onlymonster needs."""
        account, name = self._world.find(body["account_id"]), str(body.get("name", "made by hand"))
        links = self._world.links
        if account.platform == "fansly":
            made = links.create_fansly(account, name, "")
        elif body.get("kind", "tracking") == "trial":
            days, limit = int(body.get("days", 7)), int(body.get("offer_limit", 0))
            made = links.create_trial(account, name, [], days, limit, int(body.get("expires_days", 0)))
        else:
            made = links.create_tracking(account, name, [])
        return self._link_row(made)

    async def everywhere(self, body: Body) -> Any:
        """`{act: subscribe|tip|ppv|..., targets: [{account_id | link_url | ..., ...}], ...}`: one act on several
        accounts, by the same fan at the same moment. What is not in a target comes from the body around it."""
        acts: dict[str, Act] = {
            "subscribe": self.subscribe, "tip": self.tip, "ppv": self.ppv, "pay": self.pay, "message": self.message,
            "renew": self.renew, "expire": self.expire, "chargeback": self.chargeback, "session": self.session,
            "follow": self.follow, "links": self.add_link,
        }  # fmt: skip
        name = str(body["act"])
        if name not in acts:
            raise ValueError(f"unknown act {name!r}")
        shared = {key: value for key, value in body.items() if key not in ("act", "targets")}
        shared.setdefault("at", self._world.clock.now().isoformat())
        if name in ("subscribe", "follow") and shared.get("fan_id") is None:
            shared["fan_id"] = self._world.fans.person().id
        return [await acts[name]({**shared, **target}) for target in body["targets"]]

    def _link(self, body: Body) -> Link | None:
        if body.get("link_url"):
            link = self._world.links.by_url(str(body["link_url"]))
        elif body.get("link_id") is not None:
            link = self._world.links.get(body.get("kind", "tracking"), int(body["link_id"]))
        else:
            return None
        if link is None:
            raise NotFound(f"link {body.get('link_url') or body.get('link_id')}")
        return link

    def _link_row(self, link: Link) -> Body:
        return {"id": link.id, "kind": link.kind, "name": link.name, "url": self._world.links.url(link)}

    def _pair(self, body: Body) -> tuple[Account, Fan]:
        return self._world.find(body["account_id"]), self._world.fans.person(int(body["fan_id"]))

    def _fan(self, body: Body) -> Fan:
        fan_id = None if body.get("fan_id") is None else int(body["fan_id"])
        return self._world.fans.person(fan_id, body.get("name"))

    def _at(self, body: Body) -> datetime | None:
        return None if body.get("at") is None else parse_moment(body["at"], self._world.clock.now())

    def _payment(self, payment: Transaction) -> Body:
        return {
            "transaction_id": payment.id,
            "fan_id": payment.fan_id,
            "account_id": payment.account_id,
            "type": payment.type,
            "amount": usd(payment.amount),
            "net": usd(payment.net),
            "status": payment.status(self._world.clock.now()),
            "at": payment.at.isoformat(),
        }


def account_row(account: Account) -> Body:
    """An account as the control API answers it."""
    return {
        "id": account.id,
        "onlyfans_id": account.onlyfans_id,
        "username": account.username,
        "name": account.name,
        "platform": account.platform,
        "vendors": list(account.vendors),
        "connection_id": account.connection_id,
        "onlymonster_id": account.onlymonster_id,
        "fansly_id": str(account.fansly_id),
        "subscribe_price": usd(account.subscribe_price),
        "session_state": account.session_state,
    }


def _subscription(done: Subscription | None) -> Body:
    return {
        "subscription_id": None if done is None else done.id,
        "subscribed_at": None if done is None else done.at.isoformat(),
        "expires_at": None if done is None else done.expires_at.isoformat(),
        "price": None if done is None else usd(done.price),
        "type": None if done is None else done.type,
        "returning": None if done is None else done.returning,
        "transaction_id": None if done is None else done.transaction_id,
    }


def _cents(dollars: Any) -> int:
    return round(float(dollars) * 100)
