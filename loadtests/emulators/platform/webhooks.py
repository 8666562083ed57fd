"""The delivery engine of every vendor: delays, retries, duplicates, pauses, the log (upstream spec 1.8, 6.3)."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from .clock import iso
from .deliveries import Attempt, Delivery, Outgoing, Webhook, Wire
from .settings import Span

if TYPE_CHECKING:
    from .world import Notification, World

LOG_KEPT = timedelta(days=7)
MAX_LOG = 100_000


class Webhooks:
    """All endpoints a team has at one vendor and the engine that feeds them over one client session."""

    def __init__(self, world: World, wire: Wire) -> None:
        self._world = world
        self._wire = wire
        self._lines: dict[tuple[int, str, str], deque[Delivery]] = defaultdict(deque)
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(world.settings.webhook_concurrency)
        self.endpoints: dict[str, Webhook] = {}
        self.log: deque[Attempt] = deque(maxlen=MAX_LOG)
        world.listeners.append(self.emit)

    def clear(self) -> None:
        """Forget endpoints and the log."""
        self._lines.clear()
        self.endpoints.clear()
        self.log.clear()

    async def close(self) -> None:
        """Close the client session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def register(
        self,
        url: str,
        events: list[str],
        *,
        secret: str | None = None,
        scope: Any = "global",
        accounts: Any = (),
        scheme: str = "",
        wait: float = 0.0,
    ) -> Webhook:
        """Add an endpoint. The vendor begins to send `wait` virtual seconds from now."""
        number = self._world.sequence("webhook")
        now = self._world.clock.now()
        webhook = Webhook(
            id=f"wh_{self._world.rng('webhook', self._world.epoch, number).getrandbits(48):012x}",
            url=url,
            secret=secret,
            events=list(events),
            scope=scope,
            account_ids=list(accounts),
            created_at=now,
            scheme=scheme,
            active_from=now + timedelta(seconds=wait),
        )
        self.endpoints[webhook.id] = webhook
        return webhook

    def emit(self, notification: Notification) -> None:
        """Schedule a notification for every endpoint that wants it."""
        world = self._world
        for outgoing in self._wire.compose(notification):
            number = world.sequence(f"{self._wire.name}-emitted")
            if world.faults.take("lost_webhook", outgoing.event):
                continue
            due = world.later(notification.at, self._delay(outgoing.event), self._wire.name, "webhook", number)
            if world.chance(world.settings.shuffle_rate, self._wire.name, "shuffle", number):
                due += timedelta(seconds=world.draw(world.settings.shuffle_extra, "shuffle-extra", number))
            for webhook in list(self.endpoints.values()):
                if notification.forced or webhook.wants(outgoing.event, outgoing.account_id):
                    self._emit_to(webhook, outgoing, number, due, ephemeral=notification.ephemeral)

    def _emit_to(self, webhook: Webhook, outgoing: Outgoing, number: int, due: datetime, *, ephemeral: bool) -> None:
        world = self._world
        if webhook.active_from is not None and world.clock.now() < webhook.active_from:
            webhook.dropped += 1
            return
        key = None if ephemeral else self._key(webhook.id, number)
        if self._wire.charges:
            world.ledger.count_webhook_event()
        world.scheduler.at(due, self._first(self._delivery(webhook.id, outgoing, key)))
        if world.chance(world.settings.duplicate_new_key_rate, "new-key", number):
            other = self._delivery(webhook.id, outgoing, self._key(webhook.id, number, "again"))
            later = due + timedelta(seconds=world.draw(world.settings.duplicate_delay, "new-key-delay", number))
            world.scheduler.at(later, self._first(other))

    def redeliver(self, webhook: Webhook, attempt: Attempt) -> Delivery:
        """Send an old delivery again at once, under its original key."""
        old = attempt.delivery
        delivery = self._delivery(webhook.id, Outgoing(old.event, old.account_id, old.body), old.key)
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
        return delays.get(event) or delays.get(event.split(".", 1)[0]) or delays.get(self._wire.name) or (0.0, 0.0)

    def _key(self, webhook_id: str, number: int, again: str = "") -> str:
        name = f"{self._world.seed}:{self._world.epoch}:{webhook_id}:{number}:{again}"
        return "evt_" + hashlib.sha1(name.encode()).hexdigest()

    def _delivery(self, webhook_id: str, outgoing: Outgoing, key: str | None) -> Delivery:
        number = self._world.sequence("delivery")
        made_up = uuid.UUID(int=self._world.rng("delivery", number).getrandbits(128), version=4)
        return Delivery(str(made_up), webhook_id, outgoing.event, outgoing.account_id, key, outgoing.body)

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
            if self._wire.ordered:
                line = self._line(delivery)
                line.append(delivery)
                if len(line) > 1:
                    return
            await self._try(delivery, 1, probe=probe)

        return start

    def _line(self, delivery: Delivery) -> deque[Delivery]:
        # By epoch: what waited when the world was reset will never be sent and must hold up nothing.
        return self._lines[(self._world.epoch, delivery.webhook_id, delivery.account_id)]

    def _finished(self, delivery: Delivery) -> None:
        """The next delivery of the account may go."""
        line = self._line(delivery)
        if line and line[0] is delivery:
            line.popleft()
            if line:
                following = line[0]
                self._world.scheduler.at(self._world.clock.now(), lambda: self._try(following, 1))

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
            self._finished(delivery)
        elif number <= len(self._wire.retry_delays) and not probe:
            self._schedule(delivery, number + 1, self._wire.retry_delays[number - 1], duplicate)
        else:
            if not duplicate:
                self._lost(webhook, probe=probe)
            self._finished(delivery)

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
        paused = webhook.paused_until is not None
        if not self._wire.pauses or (not probe and (paused or webhook.lost_in_row < settings.pause_after_lost)):
            return
        doubled = webhook.pause_seconds * 2 or settings.pause_first
        webhook.pause_seconds = min(doubled, settings.pause_longest)
        webhook.paused_until = self._world.clock.now() + timedelta(seconds=webhook.pause_seconds)

    async def _send(self, webhook: Webhook, delivery: Delivery, number: int) -> Attempt:
        world = self._world
        attempt = Attempt(
            id=918_000 + world.sequence(f"{self._wire.name}-attempt-row"),
            delivery=delivery,
            number=number,
            succeeded=False,
            status_code=None,
            error=None,
            url=webhook.url,
            created_at=world.clock.now(),
        )
        body, headers = self._sign(webhook, delivery, number, attempt)
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

    def _sign(
        self, webhook: Webhook, delivery: Delivery, number: int, attempt: Attempt
    ) -> tuple[bytes, dict[str, str]]:
        """The bytes to send and their headers, an armed fault of the signature included."""
        wire, faults, event = self._wire, self._world.faults, delivery.event
        body = wire.encode(webhook, delivery.body)
        signed = body
        missing: tuple[str, ...] = ()
        if faults.take("missing_key", event):
            missing = (wire.key_header,)
        if webhook.secret:
            if faults.take("missing_signature", event):
                attempt.signature_fault = "missing_signature"
                missing = (*missing, *wire.signature_headers)
            elif faults.take("wrong_signature", event):
                attempt.signature_fault = "wrong_signature"
                signed = body + b"?"
            elif faults.take("altered_body", event):
                attempt.signature_fault = "altered_body"
                body += b" "
        headers = wire.headers(webhook, delivery, number, signed)
        kept = {name: value for name, value in headers.items() if name not in missing}
        return body, {"Content-Type": "application/json", **kept}

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._world.settings
            timeout = aiohttp.ClientTimeout(
                total=settings.webhook_total_timeout, sock_connect=settings.webhook_connect_timeout
            )
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        return self._session
