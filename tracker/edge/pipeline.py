"""The way to Valkey that all clicks of this process share, and the breaker around it.

Commands queued in one turn of the event loop leave in one write; with `appendfsync always` Valkey answers them after one
fsync, so clicks commit in groups. Nothing is retried: a command that is not answered within its budget is the caller's to
spill. A timeout, a lost connection, or several refusals in a row open the breaker; it closes when a fresh connection takes a
write within the budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import hiredis
import structlog

from tracker.edge.claim import Library, pack
from tracker.edge.wire import Reply, Session, Waiter, Wire, answer, dial

log = structlog.get_logger()

CONNECT_SECONDS = 1.0
RETRY_SECONDS = (0.02, 0.5)  # first and longest pause between attempts to connect
REFUSALS_TO_OPEN = 5
MAX_WAITING = 20_000  # claims in flight: beyond it Valkey is not keeping up, whatever the clock says
WIRES = 4
IDLE_SECONDS = 0.5
PROBE_KEY = "cb:edge:probe"


class Unavailable(Exception):
    """Valkey cannot be used. The message says why, in words for the readiness answer."""


class Pipeline:
    """The shared connections to one server, with their breaker. `start()` it in the loop it serves; call it from there only.

    `options`: of the connection, as redis-py parses a URL. `probe`: names the key that is written to see whether the server
    takes writes. The `key` that some methods want is for `cluster.ClusterPipeline`, which looks alike.
    """

    def __init__(
        self,
        options: dict[str, Any],
        timeout_ms: int,
        library: Library,
        *,
        observe: Callable[[float, int], None] = lambda seconds, commands: None,
        on_up: Callable[[], None] = lambda: None,
        probe: Callable[[], str] = lambda: PROBE_KEY,
    ) -> None:
        self._options = options
        self._probe = probe
        self._budget = timeout_ms / 1000
        self._tick = self._budget / 10
        self._library = library
        self._observe = observe
        self._on_up = on_up
        self._session: Session | None = None
        self._watching = False
        self._refusals = 0
        self._loading: asyncio.Future[Reply] | None = None
        self._loaded_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.trouble = "Valkey has not been reached yet"
        self.opened = 0

    @property
    def up(self) -> bool:
        """Whether claims are being sent; False while the breaker is open."""
        return self._session is not None

    def reaches(self, key: str) -> bool:
        """Whether commands for `key` are being sent."""
        return self.up

    async def start(self, wait_seconds: float) -> bool:
        """Begin connecting; wait up to `wait_seconds` for the first connection. Returns whether it stands."""
        self._loop = asyncio.get_running_loop()
        first = self._loop.create_future()
        self._task = self._loop.create_task(self._keep_connected(first))
        await asyncio.wait([first], timeout=wait_seconds)
        return self.up

    async def stop(self) -> None:
        """Disconnect. Call it when no request is under way any more: what still waits gets None."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            session.fail("the edge stopped")

    async def leave(self, seconds: float) -> None:
        """Stop once all that was asked is answered, at the latest after `seconds`."""
        session = self._session
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while session is not None and session is self._session and session.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(self._tick)
        await self.stop()

    def claim(self, log: str, keys: tuple[str, ...], arguments: tuple[str | bytes, ...], waiter: Waiter) -> bool:
        """Queue a claim; the waiter gets its part of the reply, a ReplyError, or None when it was not answered in time.

        Returns False, and calls nobody, while the breaker is open.
        """
        session = self._session
        if session is None or session.waiting >= MAX_WAITING:
            return False
        if not self._watching:
            self._watch_soon()
        session.claim(log, keys, arguments, waiter)
        return True

    def submit(self, command: bytes, key: str) -> asyncio.Future[Reply] | None:
        """Queue a packed command. The future gets the reply, a ReplyError, or None when it was not answered in time.

        Returns None at once while the breaker is open.
        """
        session = self._ready()
        if session is None:
            return None
        reply = self._loop.create_future()
        session.submit(command, answer(reply))
        return reply

    def _ready(self) -> Session | None:
        session = self._session
        if session is None or session.waiting >= MAX_WAITING:
            return None
        if not self._watching:
            self._watch_soon()
        return session

    def _watch_soon(self) -> None:
        self._watching = True
        self._loop.call_later(self._tick, self._watch)

    async def refused(self, error: hiredis.ReplyError, key: str) -> bool:
        """Note an error reply. Returns True when the command may be sent once more: it only missed its function."""
        text = str(error)
        if "unction not found" in text and self._session is not None:
            if self._loading is None or self._loop.time() - self._loaded_at > self._budget:
                self._loading, self._loaded_at = self.submit(self._library.load_command, key), self._loop.time()
            if self._loading is not None:
                await asyncio.wait([self._loading])
            return True
        self._refusals += 1
        if self._refusals >= REFUSALS_TO_OPEN:
            self._open(f"Valkey refuses clicks: {text[:120]}")
        return False

    def accepted(self, key: str) -> None:
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

    def _judge(self, session: Session, oldest: float) -> None:
        if session is self._session and session.oldest() == oldest:
            self._open("Valkey did not answer within the claim budget")

    async def _keep_connected(self, first: asyncio.Future[None]) -> None:
        pause, longest = RETRY_SECONDS
        while True:
            try:
                session = await self._connect()
            except (Unavailable, OSError, TimeoutError, RuntimeError) as error:
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
            while not session.lost.done():
                await asyncio.wait([session.lost], timeout=IDLE_SECONDS)
                if not session.waiting and self._ready() is session:
                    session.ping()  # a server that hangs while nobody clicks shall not surprise the first who does
            self._open(session.lost.result())

    async def _connect(self) -> Session:
        session = Session(self._loop, self._library.function, self._observe)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for _ in range(WIRES):
                    wire = await greet(session, self._options)
                await must(session, wire, self._library.load_command)
            # Only a write shows that Valkey is neither full, read-only nor loading; only a prompt one that it keeps up.
            async with asyncio.timeout(self._budget):
                await must(session, wire, pack(("SET", self._probe(), "1", "PX", "60000")))
        except BaseException:
            session.fail("not usable")
            raise
        return session


async def greet(session: Session, options: dict[str, Any]) -> Wire:
    """Add a connection to `session` and sign in. Raises Unavailable and OSError."""
    wire = await dial(options, session)
    if options.get("password"):
        user = (options["username"],) if options.get("username") else ()
        await must(session, wire, pack(("AUTH", *user, options["password"])))
    if options.get("db"):
        await must(session, wire, pack(("SELECT", str(options["db"]))))
    return wire


async def must(session: Session, wire: Wire, command: bytes) -> Reply:
    """The reply to a command. Raises Unavailable when it is refused or lost."""
    reply = await session.ask(wire, command)
    if isinstance(reply, hiredis.ReplyError):
        raise Unavailable(f"Valkey refuses us: {str(reply)[:120]}")
    if reply is None and session.lost.done():
        raise Unavailable(session.lost.result())
    return reply
