"""The delivery engine: delays, retries, duplicates, pauses, the delivery log (upstream spec 1.8, 6.3)."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from .clock import iso
from .deliveries import Attempt, Delivery, Webhook, encode, sign
from .settings import Span

if TYPE_CHECKING:
    from .world import Notification, World

LOG_KEPT = timedelta(days=7)
MAX_LOG = 100_000
_USER_AGENT = "OnlyFansAPI.com/Webhook-Client"


class Webhooks:
    """All endpoints of the team and the engine that feeds them over one client session."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(world.settings.webhook_concurrency)
        self.endpoints: dict[str, Webhook] = {}
        self.log: deque[Attempt] = deque(maxlen=MAX_LOG)
        world.notify = self.emit

    def clear(self) -> None:
        """Forget endpoints and the log."""
        self.endpoints.clear()
        self.log.clear()

    async def close(self) -> None:
        """Close the client session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def register(
        self, url: str, events: list[str], *, secret: str | None = None, scope: Any = "global", accounts: Any = ()
    ) -> Webhook:
        """Add an endpoint."""
        number = self._world.sequence("webhook")
        webhook = Webhook(
            id=f"wh_{self._world.rng('webhook', self._world.epoch, number).getrandbits(48):012x}",
            url=url,
            secret=secret,
            events=list(events),
            scope=scope,
            account_ids=list(accounts),
            created_at=self._world.clock.now(),
        )
        self.endpoints[webhook.id] = webhook
        return webhook

    def emit(self, notification: Notification) -> None:
        """Schedule a notification for every endpoint that wants it."""
        world = self._world
        number = world.sequence("emitted")
        if world.faults.take("lost_webhook", notification.event):
            return
        delay = self._delay(notification.event)
        body = {
            "event": notification.event,
            "account_id": notification.account_id,
            "payload": notification.payload,
        }
        for webhook in list(self.endpoints.values()):
            if not notification.forced and not webhook.wants(notification.event, notification.account_id):
                continue
            key = None if notification.ephemeral else self._key(webhook.id, number)
            delivery = self._delivery(webhook.id, notification.event, notification.account_id, key, body)
            due = world.later(notification.at, delay, "webhook", number)
            if world.chance(world.settings.shuffle_rate, "shuffle", number):
                due += timedelta(seconds=world.draw(world.settings.shuffle_extra, "shuffle-extra", number))
            world.ledger.count_webhook_event()
            world.scheduler.at(due, self._first(delivery))
            if world.chance(world.settings.duplicate_new_key_rate, "new-key", number):
                other = self._delivery(
                    webhook.id,
                    notification.event,
                    notification.account_id,
                    self._key(webhook.id, number, "again"),
                    body,
                )
                later = due + timedelta(seconds=world.draw(world.settings.duplicate_delay, "new-key-delay", number))
                world.scheduler.at(later, self._first(other))

    def redeliver(self, webhook: Webhook, attempt: Attempt) -> Delivery:
        """Send an old delivery again at once, under its original key."""
        old = attempt.delivery
        delivery = self._delivery(webhook.id, old.event, old.account_id, old.key, old.body)
        delivery.redelivery_of = attempt.id
        self._world.scheduler.at(self._world.clock.now(), lambda: self._try(delivery, 1, duplicate=True))
        return delivery

    def is_paused(self, webhook: Webhook) -> bool:
        """Whether the endpoint is cooling down now."""
        return webhook.paused_until is not None and self._world.clock.now() < webhook.paused_until

    def attempts_of(self, webhook_id: str) -> list[Attempt]:
        """The last seven days of an endpoint's log, newest first."""
        oldest = self._world.clock.now() - LOG_KEPT
        return [a for a in reversed(self.log) if a.delivery.webhook_id == webhook_id and a.created_at >= oldest]

    def _delay(self, event: str) -> Span:
        delays = self._world.settings.webhook_delay
        return delays.get(event) or delays.get(event.split(".", 1)[0]) or (0.0, 0.0)

    def _key(self, webhook_id: str, number: int, again: str = "") -> str:
        name = f"{self._world.seed}:{self._world.epoch}:{webhook_id}:{number}:{again}"
        return "evt_" + hashlib.sha1(name.encode()).hexdigest()

    def _delivery(self, webhook_id: str, event: str, account_id: str, key: str | None, body: Any) -> Delivery:
        number = self._world.sequence("delivery")
        made_up = uuid.UUID(int=self._world.rng("delivery", number).getrandbits(128), version=4)
        return Delivery(str(made_up), webhook_id, event, account_id, key, body)

    def _first(self, delivery: Delivery) -> Callable[[], Awaitable[None]]:
        async def start() -> None:
            webhook = self.endpoints.get(delivery.webhook_id)
            if webhook is None or not webhook.enabled:
                return
            probe = webhook.paused_until is not None
            if probe and (webhook.probing or self.is_paused(webhook)):
                # Events during a pause are never queued and leave no row in the log.
                webhook.dropped += 1
                return
            webhook.probing = probe
            await self._try(delivery, 1, probe=probe)

        return start

    async def _try(self, delivery: Delivery, number: int, *, duplicate: bool = False, probe: bool = False) -> None:
        webhook = self.endpoints.get(delivery.webhook_id)
        if webhook is None:
            return
        if webhook.paused_until is not None and not probe and not duplicate:
            webhook.dropped += 1
            return
        async with self._slots:
            attempt = await self._send(webhook, delivery, number)
        self.log.append(attempt)
        if probe:
            webhook.probing = False
        if attempt.succeeded:
            self._delivered(webhook, delivery, probe=probe, duplicate=duplicate)
        elif number <= len(self._world.settings.retry_delays) and not probe:
            self._schedule(delivery, number + 1, self._world.settings.retry_delays[number - 1], duplicate)
        elif not duplicate:
            self._lost(webhook, probe=probe)

    def _delivered(self, webhook: Webhook, delivery: Delivery, *, probe: bool, duplicate: bool) -> None:
        world = self._world
        if probe:
            webhook.pause_seconds, webhook.paused_until = 0.0, None
        if webhook.paused_until is None:
            webhook.lost_in_row = 0
        if not duplicate and world.chance(world.settings.duplicate_rate, "duplicate", delivery.uuid):
            delay = world.draw(world.settings.duplicate_delay, "duplicate-delay", delivery.uuid)
            self._schedule(delivery, 1, delay, True)

    def _schedule(self, delivery: Delivery, number: int, seconds: float, duplicate: bool) -> None:
        due = self._world.clock.now() + timedelta(seconds=seconds)
        self._world.scheduler.at(due, lambda: self._try(delivery, number, duplicate=duplicate))

    def _lost(self, webhook: Webhook, *, probe: bool) -> None:
        settings = self._world.settings
        webhook.lost_in_row += 1
        # Deliveries still in flight when the pause began must not lengthen it; only a failed probe does.
        if not probe and (webhook.paused_until is not None or webhook.lost_in_row < settings.pause_after_lost):
            return
        doubled = webhook.pause_seconds * 2 or settings.pause_first
        webhook.pause_seconds = min(doubled, settings.pause_longest)
        webhook.paused_until = self._world.clock.now() + timedelta(seconds=webhook.pause_seconds)

    async def _send(self, webhook: Webhook, delivery: Delivery, number: int) -> Attempt:
        world = self._world
        attempt = Attempt(
            id=918_000 + world.sequence("attempt-row"),
            delivery=delivery,
            number=number,
            succeeded=False,
            status_code=None,
            error=None,
            url=webhook.url,
            created_at=world.clock.now(),
        )
        body = encode(delivery.body)
        headers = {"Content-Type": "application/json", "User-Agent": _USER_AGENT}
        if delivery.key is not None and not world.faults.take("missing_key", delivery.event):
            headers["X-OFAPI-Idempotency-Key"] = delivery.key
        if delivery.redelivery_of is not None:
            headers["X-OFAPI-Redelivery-Of"] = str(delivery.redelivery_of)
        if webhook.secret:
            body = self._sign(webhook.secret, body, headers, attempt)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._client().post(webhook.url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                attempt.status_code = answer.status
                attempt.succeeded = 200 <= answer.status < 300
                if not attempt.succeeded:
                    attempt.error = f"HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as problem:
            attempt.error = f"{type(problem).__name__}: {problem}"
        took = loop.time() - began
        if took > world.settings.webhook_slow:
            world.ledger.violate(
                "slow_webhook_handler", webhook.url, f"{delivery.event} took {took:.2f} s", iso(world.clock.now())
            )
        return attempt

    def _sign(self, secret: str, body: bytes, headers: dict[str, str], attempt: Attempt) -> bytes:
        event = attempt.delivery.event
        signature = sign(secret, body)
        faults = self._world.faults
        if faults.take("missing_signature", event):
            attempt.signature_fault = "missing_signature"
            return body
        if faults.take("wrong_signature", event):
            attempt.signature_fault = "wrong_signature"
            signature = sign(secret + "x", body)
        elif faults.take("altered_body", event):
            attempt.signature_fault = "altered_body"
            body += b" "
        headers["Signature"] = signature
        return body

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._world.settings
            timeout = aiohttp.ClientTimeout(
                total=settings.webhook_total_timeout, sock_connect=settings.webhook_connect_timeout
            )
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        return self._session
