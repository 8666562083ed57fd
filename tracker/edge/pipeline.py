"""One connection to Valkey that all clicks of this process share, and the breaker around it.

Commands queued in one turn of the event loop leave in one write; with `appendfsync always` Valkey answers them after one
fsync, so clicks commit in groups. Nothing is retried: a command that is not answered within its budget is the caller's to
spill. A timeout, a lost connection, or several refusals in a row open the breaker; it closes when a fresh connection takes a
write within the budget. redis-py's client is not used here: it holds one connection per command in flight.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
import structlog
from redis.asyncio.connection import parse_url

from tracker.edge.claim import pack

log = structlog.get_logger()

CONNECT_SECONDS = 1.0
RETRY_SECONDS = (0.02, 0.5)  # first and longest pause between attempts to connect
REFUSALS_TO_OPEN = 5
MAX_WAITING = 20_000  # commands in flight: beyond it Valkey is not keeping up, whatever the clock says
PROBE_KEY = "cb:edge:probe"

_NOTHING = object()
Reply = Any  # bytes, int, list, None or hiredis.ReplyError


class Unavailable(Exception):
    """Valkey cannot be used. The message says why, in words for the readiness answer."""


class _Session(asyncio.Protocol):
    """One connection: packed commands out, replies to their waiters in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, observe: Callable[[float, int], None]) -> None:
        self._loop = loop
        self._observe = observe
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._waiters: deque[asyncio.Future[Reply]] = deque()
        self._marks: deque[tuple[int, float, int]] = deque()  # per write: commands sent so far, when it left, its own
        self._sent = self._answered = 0
        self.lost: asyncio.Future[str] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(f"the connection to Valkey was lost ({exc})" if exc else "Valkey closed the connection")

    def data_received(self, data: bytes) -> None:
        reader, waiters = self._reader, self._waiters
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                waiter = waiters.popleft()
                self._answered += 1
                if not waiter.done():
                    waiter.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.fail(f"Valkey answered something unexpected ({error!r})")
            return
        marks, answered = self._marks, self._answered
        if marks and marks[0][0] <= answered:
            now = self._loop.time()
            while marks and marks[0][0] <= answered:
                _, left_at, commands = marks.popleft()
                self._observe(now - left_at, commands)

    def submit(self, command: bytes) -> asyncio.Future[Reply]:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(command)
        return waiter

    def _flush(self) -> None:
        if self.lost.done() or self._transport is None:
            return
        self._sent += len(self._outgoing)
        self._marks.append((self._sent, self._loop.time(), len(self._outgoing)))
        self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def oldest(self) -> float | None:
        """When the oldest unanswered write left (loop time)."""
        return self._marks[0][1] if self._marks else None

    def fail(self, reason: str) -> None:
        """Give the connection up; whoever waits gets None."""
        if not self.lost.done():
            self.lost.set_result(reason)
        if self._transport is not None:
            self._transport.abort()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
        self._marks.clear()


class Pipeline:
    """The shared connection with its breaker. `start()` it in the loop it serves; `submit` from that loop only."""

    def __init__(
        self,
        url: str,
        timeout_ms: int,
        load_command: bytes,
        *,
        observe: Callable[[float, int], None] = lambda seconds, commands: None,
        on_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = parse_url(url)
        self._budget = timeout_ms / 1000
        self._tick = self._budget / 10
        self._load_command = load_command
        self._observe = observe
        self._on_up = on_up
        self._session: _Session | None = None
        self._watching = False
        self._refusals = 0
        self._loaded_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.trouble = "Valkey has not been reached yet"
        self.opened = 0

    @property
    def up(self) -> bool:
        """Whether claims are being sent; False while the breaker is open."""
        return self._session is not None

    async def start(self, wait_seconds: float) -> bool:
        """Begin connecting; wait up to `wait_seconds` for the first connection. Returns whether it stands."""
        self._loop = asyncio.get_running_loop()
        first = self._loop.create_future()
        self._task = self._loop.create_task(self._keep_connected(first))
        await asyncio.wait([first], timeout=wait_seconds)
        return self.up

    async def stop(self) -> None:
        """Let what was sent be answered (within the budget), then disconnect."""
        session = self._session
        if session is not None and session.waiting:
            await asyncio.wait([session.submit(pack(("PING",)))], timeout=self._budget)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if session is not None:
            self._session = None
            session.fail("the edge stopped")

    def submit(self, command: bytes) -> asyncio.Future[Reply] | None:
        """Queue a packed command. The future gets the reply, a ReplyError, or None when it was not answered in time.

        Returns None at once while the breaker is open.
        """
        session = self._session
        if session is None or session.waiting >= MAX_WAITING:
            return None
        if not self._watching:
            self._watching = True
            self._loop.call_later(self._tick, self._watch)
        return session.submit(command)

    def refused(self, error: hiredis.ReplyError) -> bool:
        """Note an error reply. Returns True when the command may be sent once more, because it only missed its function."""
        text = str(error)
        if "unction not found" in text and self._session is not None:
            if self._loop.time() - self._loaded_at > self._budget:
                self._loaded_at = self._loop.time()
                self.submit(self._load_command)
            return True
        self._refusals += 1
        if self._refusals >= REFUSALS_TO_OPEN:
            self._open(f"Valkey refuses clicks: {text[:120]}")
        return False

    def accepted(self) -> None:
        """Note that a command was carried out."""
        self._refusals = 0

    def _open(self, reason: str) -> None:
        session, self._session = self._session, None
        if session is not None:
            self.trouble = reason
            self.opened += 1
            log.warning("edge.breaker_opened", reason=reason, waiting=session.waiting)
            session.fail(reason)

    def _watch(self) -> None:
        session = self._session
        oldest = session.oldest() if session is not None else None
        if oldest is not None and self._loop.time() - oldest >= self._budget - self._tick:
            # Perhaps it is this process that was held up: read what has come before judging Valkey.
            self._soon(3, self._judge, session, oldest)
        self._watching = session is not None and session.waiting > 0
        if self._watching:
            self._loop.call_later(self._tick, self._watch)

    def _soon(self, turns: int, call: Callable[..., None], *args: Any) -> None:
        if turns:
            self._loop.call_soon(self._soon, turns - 1, call, *args)
        else:
            call(*args)

    def _judge(self, session: _Session, oldest: float) -> None:
        if session is self._session and session.oldest() == oldest:
            self._open("Valkey did not answer within the claim budget")

    async def _keep_connected(self, first: asyncio.Future[None]) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            try:
                session = await self._connect()
            except (Unavailable, OSError, TimeoutError) as error:
                self.trouble = str(error) or "connecting to Valkey timed out"
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, longest)
                continue
            pause = RETRY_SECONDS[0]
            self._refusals = 0
            self._session = session
            if self.opened:
                log.info("edge.breaker_closed")
            if not first.done():
                first.set_result(None)
            self._on_up()
            self._open(await asyncio.shield(session.lost))

    async def _connect(self) -> _Session:
        async with asyncio.timeout(CONNECT_SECONDS):
            session = await self._dial()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for command in self._greeting():
                    await self._must(session, command)
            # Only a write shows that Valkey is neither full, read-only nor loading; only a prompt one that it keeps up.
            async with asyncio.timeout(self._budget):
                await self._must(session, pack(("SET", PROBE_KEY, "1", "PX", "60000")))
        except BaseException:
            session.fail("not usable")
            raise
        return session

    def _greeting(self) -> list[bytes]:
        options = self._options
        commands = []
        if options.get("password"):
            user = (options["username"],) if options.get("username") else ()
            commands.append(pack(("AUTH", *user, options["password"])))
        if options.get("db"):
            commands.append(pack(("SELECT", str(options["db"]))))
        return [*commands, self._load_command]

    @staticmethod
    async def _must(session: _Session, command: bytes) -> None:
        reply = await session.submit(command)
        if reply is None:
            raise Unavailable(session.lost.result())
        if isinstance(reply, hiredis.ReplyError):
            raise Unavailable(f"Valkey refuses us: {str(reply)[:120]}")

    async def _dial(self) -> _Session:
        options = self._options
        loop = asyncio.get_running_loop()

        def make() -> _Session:
            return _Session(loop, self._observe)

        if "path" in options:
            _, session = await loop.create_unix_connection(make, options["path"])
            return session
        secure = _tls(options) if "connection_class" in options else None
        _, session = await loop.create_connection(
            make, options.get("host", "localhost"), options.get("port", 6379), ssl=secure
        )
        return session


def _tls(options: Any) -> ssl.SSLContext | None:
    if not options["connection_class"].__name__.startswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
