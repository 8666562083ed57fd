"""`/__admin`: the scripted world behind the fake platform. JSON in, JSON out, no auth, loopback use."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .acts import Act, Acts, Body
from .clock import iso, parse_moment
from .world import NotFound

if TYPE_CHECKING:
    from .webhooks import Webhooks
    from .world import World


class Admin:
    """Handlers of the control API; what fans and creators do is in `Acts`."""

    def __init__(self, world: World, engines: Mapping[str, Webhooks]) -> None:
        self._world = world
        self._engines = engines
        self._acts = Acts(world)

    def add(self, app: web.Application) -> None:
        """Route the control API."""
        posts: dict[str, Act] = {
            "accounts": self._acts.add_account,
            "fans/subscribe": self._acts.subscribe,
            "fans/tip": self._acts.tip,
            "fans/ppv": self._acts.ppv,
            "fans/pay": self._acts.pay,
            "fans/message": self._acts.message,
            "fans/renew": self._acts.renew,
            "fans/expire": self._acts.expire,
            "fans/chargeback": self._acts.chargeback,
            "fans/follow": self._acts.follow,
            "everywhere": self._acts.everywhere,
            "links": self._acts.add_link,
            "webhooks": self.webhook,
            "session": self._acts.session,
            "faults": self.faults,
            "settings": self.settings,
            "clock/advance": self.advance,
            "clock/present": self.present,
            "settle": self.settle,
            "notify": self.notify,
            "reset": self.reset,
        }
        for path, act in posts.items():
            app.router.add_post(f"/__admin/{path}", _guarded(act))
        gets: dict[str, Act] = {
            "accounts": self._acts.list_accounts,
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

    async def present(self, body: Body) -> Any:
        """Back to real time."""
        return {"now": self._world.clock.to_present().isoformat()}

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
        now = self._world.clock.now()
        at = now if body.get("at") is None else parse_moment(body["at"], now)
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
        self._world.reset(None if body.get("seed") is None else int(body["seed"]))
        if not body.get("keep_webhooks", False):
            for engine in self._engines.values():
                engine.clear()
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

    async def webhook(self, body: Body) -> Any:
        """`{vendor, url, secret?, events?, account_ids?, scheme?: ofauth|svix}`: what is set up in a dashboard.
        Answers the secret, made up when not given."""
        vendor, scheme = str(body["vendor"]), str(body.get("scheme", "ofauth"))
        if vendor not in self._engines or scheme not in ("ofauth", "svix"):
            raise ValueError(f"unknown vendor {vendor!r} or scheme {scheme!r}")
        accounts = [self._world.find(account_id).id for account_id in body.get("account_ids", [])]
        noise = self._world.rng("secret", self._world.sequence("secret")).randbytes(24)
        secret = str(body.get("secret") or "whsec_" + base64.b64encode(noise).decode())
        hook = self._engines[vendor].register(
            str(body["url"]),
            [str(event) for event in body.get("events", ["*"])],
            secret=secret,
            scope="inclusive" if accounts else "global",
            accounts=accounts,
            scheme=scheme if vendor == "ofauth" else "",
            wait=self._world.settings.onlymonster_webhook_wait if vendor == "onlymonster" else 0.0,
        )
        return {"id": hook.id, "vendor": vendor, "url": hook.url, "secret": secret}

    async def deliveries(self, body: Body) -> Any:
        """Endpoint health and every webhook attempt of every vendor, oldest first."""
        webhooks = [
            {
                "id": hook.id,
                "vendor": vendor,
                "url": hook.url,
                "lost_in_row": hook.lost_in_row,
                "paused": engine.is_paused(hook),
                "dropped": hook.dropped,
            }
            for vendor, engine in self._engines.items()
            for hook in engine.endpoints.values()
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
            for a in sorted(chain.from_iterable(e.log for e in self._engines.values()), key=lambda a: a.created_at)
        ]
        return {"webhooks": webhooks, "attempts": attempts, "pending": self._world.scheduler.pending()}


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
