"""`/__admin`: the scripted world behind the fake platform. JSON in, JSON out, no auth, loopback use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .clock import iso, parse_moment
from .payloads import usd
from .records import Account, Fan, Link, Subscription, Transaction
from .world import NotFound

if TYPE_CHECKING:
    from .webhooks import Webhooks
    from .world import World

Body = dict[str, Any]
Act = Callable[[Body], Awaitable[Any]]


class Admin:
    """Handlers of the control API. Amounts are USD numbers, times ISO 8601 or Unix seconds (`at`)."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks

    def add(self, app: web.Application) -> None:
        """Route the control API."""
        posts: dict[str, Act] = {
            "accounts": self.add_account,
            "fans/subscribe": self.subscribe,
            "fans/tip": self.tip,
            "fans/ppv": self.ppv,
            "fans/message": self.message,
            "fans/renew": self.renew,
            "fans/expire": self.expire,
            "fans/chargeback": self.chargeback,
            "session": self.session,
            "faults": self.faults,
            "settings": self.settings,
            "clock/advance": self.advance,
            "settle": self.settle,
            "notify": self.notify,
            "reset": self.reset,
        }
        for path, act in posts.items():
            app.router.add_post(f"/__admin/{path}", _guarded(act))
        gets: dict[str, Act] = {
            "accounts": self.list_accounts,
            "clock": self.clock,
            "credits": self.credits,
            "deliveries": self.deliveries,
            "faults": self.armed,
            "log": self.log,
            "settings": self.show_settings,
            "truth": self.truth,
            "violations": self.violations,
        }
        for path, act in gets.items():
            app.router.add_get(f"/__admin/{path}", _guarded(act))

    async def add_account(self, body: Body) -> Any:
        """`{username, name?, subscribe_price?, id?, onlyfans_id?}`; an existing id is changed, not doubled."""
        username = str(body["username"])
        known = self._world.accounts.get(str(body.get("id", "")))
        if known is not None:
            known.username, known.name = username, str(body.get("name") or known.name)
            if "subscribe_price" in body:
                known.subscribe_price = _cents(body["subscribe_price"])
            return _account(known)
        account = self._world.add_account(
            username,
            body.get("name"),
            id=body.get("id"),
            subscribe_price=_cents(body.get("subscribe_price", 9.99)),
            onlyfans_id=None if body.get("onlyfans_id") is None else int(body["onlyfans_id"]),
        )
        return _account(account)

    async def list_accounts(self, body: Body) -> Any:
        """All accounts."""
        return [_account(account) for account in self._world.accounts.values()]

    async def subscribe(self, body: Body) -> Any:
        """`{link_url | link_id + kind | neither, account_id?, fan_id?, name?, at?, click?}`."""
        link = self._link(body)
        if link is None and "account_id" not in body:
            raise ValueError("account_id is required for an organic subscription")
        account = self._world.account(body["account_id"] if link is None else link.account_id)
        fan = self._world.fans.person(_number(body.get("fan_id")), body.get("name"))
        outcome = self._world.fans.subscribe(account, fan, link, self._at(body), click=bool(body.get("click", True)))
        return {
            "fan_id": fan.id,
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
        account = self._world.account(body["account_id"])
        state = body["state"]
        if state not in ("active", "expired", "reauthenticating", "failed"):
            raise ValueError(f"unknown session state {state!r}")
        self._world.sessions.move(account, state, notify=bool(body.get("notify", True)))
        return _account(account)

    async def faults(self, body: Body) -> Any:
        """`{kind: n | {count, path}}`; `{"clear": true}` disarms first."""
        if body.pop("clear", False):
            self._world.faults.clear()
        for kind, value in body.items():
            self._world.faults.arm(kind, value)
        return self._world.faults.remaining()

    async def armed(self, body: Body) -> Any:
        """Faults still armed."""
        return self._world.faults.remaining()

    async def settings(self, body: Body) -> Any:
        """Change settings by field name."""
        self._world.settings.update(body)
        return asdict(self._world.settings)

    async def show_settings(self, body: Body) -> Any:
        """All settings."""
        return asdict(self._world.settings)

    async def advance(self, body: Body) -> Any:
        """`{seconds}`."""
        return {"now": self._world.clock.advance(float(body["seconds"])).isoformat()}

    async def clock(self, body: Body) -> Any:
        """Virtual now."""
        return {"now": self._world.clock.now().isoformat()}

    async def settle(self, body: Body) -> Any:
        """`{timeout?, within?}`: wait until webhooks due within `within` virtual seconds are delivered."""
        within = None if body.get("within") is None else float(body["within"])
        settled = await self._world.scheduler.settled(float(body.get("timeout", 10)), within)
        return {"settled": settled, "pending": self._world.scheduler.pending()}

    async def notify(self, body: Body) -> Any:
        """`{event, account_id, payload?, at?, forced?}`: any notification; `forced` also sends events nobody
        subscribed to or knows yet."""
        at = self._at(body) or self._world.clock.now()
        self._world.send(
            str(body["event"]),
            str(body["account_id"]),
            dict(body.get("payload", {})),
            at,
            forced=bool(body.get("forced")),
        )
        return {"queued": True}

    async def reset(self, body: Body) -> Any:
        """`{seed?, keep_webhooks?}`: an empty world."""
        self._world.reset(_number(body.get("seed")))
        if not body.get("keep_webhooks", False):
            self._webhooks.clear()
        return {"seed": self._world.seed}

    async def truth(self, body: Body) -> Any:
        """The whole ground truth."""
        return self._world.truth()

    async def log(self, body: Body) -> Any:
        """Every API call."""
        return self._world.ledger.log()

    async def violations(self, body: Body) -> Any:
        """Every contract violation."""
        return [asdict(violation) for violation in self._world.ledger.violations]

    async def credits(self, body: Body) -> Any:
        """Credits used, and per subscription made through a link: what a credit budget is asserted on."""
        ledger = self._world.ledger
        linked = sum(
            1
            for account_id in self._world.accounts
            for s in self._world.fans.of_account(account_id)
            if s.link_id is not None
        )
        return {
            "used": ledger.used,
            "balance": ledger.balance,
            "webhook_events": ledger.webhook_events,
            "linked_subscriptions": linked,
            "per_linked_subscription": round(ledger.used / linked, 3) if linked else None,
            "by_route": ledger.by_route(),
        }

    async def deliveries(self, body: Body) -> Any:
        """Endpoint health and every webhook attempt, oldest first."""
        webhooks = [
            {
                "id": hook.id,
                "url": hook.url,
                "lost_in_row": hook.lost_in_row,
                "paused": self._webhooks.is_paused(hook),
                "dropped": hook.dropped,
            }
            for hook in self._webhooks.endpoints.values()
        ]
        attempts = [
            {
                "id": a.id,
                "webhook_id": a.delivery.webhook_id,
                "event": a.delivery.event,
                "key": a.delivery.key,
                "attempt": a.number,
                "succeeded": a.succeeded,
                "status_code": a.status_code,
                "error": a.error,
                "fault": a.signature_fault,
                "at": iso(a.created_at),
            }
            for a in self._webhooks.log
        ]
        return {"webhooks": webhooks, "attempts": attempts, "pending": self._world.scheduler.pending()}

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
        return self._world.account(body["account_id"]), self._world.fans.person(int(body["fan_id"]))

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


def _guarded(act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.json() if request.can_read_body else {}
            return web.json_response(await act(body))
        except NotFound as missing:
            return web.json_response({"error": f"not found: {missing}"}, status=404)
        except KeyError as missing:
            return web.json_response({"error": f"missing or unknown field {missing}"}, status=422)
        except (ValueError, TypeError) as wrong:
            return web.json_response({"error": str(wrong)}, status=422)

    return handle


def _account(account: Account) -> Body:
    return {
        "id": account.id,
        "onlyfans_id": account.onlyfans_id,
        "username": account.username,
        "name": account.name,
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


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
