"""The connections to Valkey that all clicks of this process share: packed commands out, replies to their waiters in order.

redis-py's client is not used on this path: it holds one connection per command in flight.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import hiredis

COMMANDS_PER_WRITE = 16

_NOTHING = object()
Reply = Any  # bytes, int, list, None or hiredis.ReplyError


class Wire(asyncio.Protocol):
    """One connection: packed commands out, replies to their waiters in order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._waiters: deque[asyncio.Future[Reply]] = deque()
        self._marks: deque[tuple[int, float, int]] = deque()  # per write: commands sent so far, when it left, its own
        self._sent = self._answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.fail(f"the connection to Valkey was lost ({exc})" if exc else "Valkey closed the connection")

    def data_received(self, data: bytes) -> None:
        reader, waiters = self._reader, self._waiters
        answered = self._answered
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                waiter = waiters.popleft()
                answered += 1
                if not waiter.done():
                    waiter.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._session.fail(f"Valkey answered something unexpected ({error!r})")
            return
        self._answered = answered
        marks = self._marks
        while marks and marks[0][0] <= answered:
            _, left_at, commands = marks.popleft()
            self._session.answered(left_at, commands)

    def send(self, commands: list[bytes], waiters: list[asyncio.Future[Reply]], now: float) -> None:
        assert self._transport is not None
        self._sent += len(commands)
        self._marks.append((self._sent, now, len(commands)))
        self._waiters.extend(waiters)
        self._transport.write(b"".join(commands))

    def oldest(self) -> float | None:
        """When the oldest unanswered write left (loop time)."""
        return self._marks[0][1] if self._marks else None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        _give_up(self._waiters)
        self._waiters.clear()
        self._marks.clear()


class Session:
    """The wires to Valkey, used and lost together.

    Valkey reads at most 16 KiB from a connection before it writes and fsyncs its log, some twenty clicks; what goes over
    several connections in one turn is committed by one fsync.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, observe: Callable[[float, int], None]) -> None:
        self._loop = loop
        self._observe = observe
        self.wires: list[Wire] = []
        self._next = 0
        self._commands: list[bytes] = []
        self._waiters: list[asyncio.Future[Reply]] = []
        self.waiting = 0
        self.lost: asyncio.Future[str] = loop.create_future()

    def ask(self, wire: Wire, command: bytes) -> asyncio.Future[Reply]:
        """Send one command over one wire, now."""
        waiter = self._loop.create_future()
        self.waiting += 1
        wire.send([command], [waiter], self._loop.time())
        return waiter

    def submit(self, command: bytes) -> asyncio.Future[Reply]:
        """Queue a command for the end of this turn of the loop. The future gets the reply, or None when it is lost."""
        waiter = self._loop.create_future()
        if not self._commands:
            self._loop.call_soon(self._flush)
        self._commands.append(command)
        self._waiters.append(waiter)
        self.waiting += 1
        return waiter

    def _flush(self) -> None:
        commands, waiters = self._commands, self._waiters
        self._commands, self._waiters = [], []
        if self.lost.done():
            _give_up(waiters)
            return
        now = self._loop.time()
        for start in range(0, len(commands), COMMANDS_PER_WRITE):
            end = start + COMMANDS_PER_WRITE
            self._next = (self._next + 1) % len(self.wires)
            self.wires[self._next].send(commands[start:end], waiters[start:end], now)

    def answered(self, left_at: float, commands: int) -> None:
        """Called by a wire when all of one write was answered."""
        self.waiting -= commands
        self._observe(self._loop.time() - left_at, commands)

    def oldest(self) -> float | None:
        """When the oldest unanswered write left (loop time)."""
        return min((at for wire in self.wires if (at := wire.oldest()) is not None), default=None)

    def fail(self, reason: str) -> None:
        """Give the connections up; whoever waits gets None."""
        if self.lost.done():
            return
        self.lost.set_result(reason)
        for wire in self.wires:
            wire.abort()
        _give_up(self._waiters)


def _give_up(waiters: Iterable[asyncio.Future[Reply]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


async def dial(options: Any, session: Session) -> Wire:
    """Add a connection to `session`; `options` as redis-py parses a URL. Raises OSError."""
    loop = asyncio.get_running_loop()
    wire: Wire
    if "path" in options:
        _, wire = await loop.create_unix_connection(lambda: Wire(session), options["path"])
    else:
        secure = _tls(options) if "connection_class" in options else None
        host, port = options.get("host", "localhost"), options.get("port", 6379)
        _, wire = await loop.create_connection(lambda: Wire(session), host, port, ssl=secure)
    session.wires.append(wire)
    return wire


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
