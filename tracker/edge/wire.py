"""The connections to Valkey that all clicks of this process share: packed commands out, replies to their waiters in order.

redis-py's client is not used on this path: it holds one connection per command in flight. A waiter is any callable: a future
and the task behind it would cost more than the claim they wait for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from tracker.edge.claim import ARGUMENTS, KEYS, pack

CLAIMS_PER_CALL = 16
CLAIMS_AT_ONCE = 8  # of one turn; Valkey works on them while the edge reads on

PING = pack(("PING",))
_NOTHING = object()
Reply = Any  # bytes, int, list, None or hiredis.ReplyError
Waiter = Callable[[Reply], Any]
"""Called once with the reply, or with None when the command must be taken as lost. Must not raise."""


class _Call:
    """The waiter of a call that carries several claims: each gets its own part of the reply, or the error all share."""

    __slots__ = ("_waiters",)

    def __init__(self, waiters: list[Waiter]) -> None:
        self._waiters = waiters

    def __call__(self, reply: Reply) -> None:
        if type(reply) is list:
            for waiter, part in zip(self._waiters, reply, strict=True):
                waiter(part)
        else:
            for waiter in self._waiters:
                waiter(reply)


class Wire(asyncio.Protocol):
    """One connection: packed commands out, replies to their waiters in order."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._waiters: deque[Waiter] = deque()
        # per command: how many sent so far, when it left, its claims, whether its time is one of a claim
        self._marks: deque[tuple[int, float, int, bool]] = deque()
        self._sent = self._answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        # uvloop keeps writes for the end of the turn, unless the buffer is over its limit.
        transport.set_write_buffer_limits(high=0)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.fail(f"the connection to Valkey was lost ({exc})" if exc else "Valkey closed the connection")

    def data_received(self, data: bytes) -> None:
        reader, waiters = self._reader, self._waiters
        answered = self._answered
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                answered += 1
                waiters.popleft()(reply)
        except (hiredis.ProtocolError, IndexError, ValueError) as error:
            self._session.fail(f"Valkey answered something unexpected ({error!r})")
            return
        self._answered = answered
        marks = self._marks
        while marks and marks[0][0] <= answered:
            _, left_at, claims, observed = marks.popleft()
            self._session.answered(left_at, claims, observed)

    def send(self, command: bytes, waiter: Waiter, now: float, claims: int = 1, observed: bool = True) -> None:
        assert self._transport is not None
        if self._session.lost.done():
            waiter(None)
            return
        self._sent += 1
        self._marks.append((self._sent, now, claims, observed))
        self._waiters.append(waiter)
        try:
            self._transport.write(command)
        except RuntimeError:  # uvloop: the connection was reset, and connection_lost comes later
            self._session.fail("the connection to Valkey was lost")

    def oldest(self) -> float | None:
        """When the oldest unanswered write left (loop time)."""
        return self._marks[0][1] if self._marks else None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._marks.clear()
        _drop(self._waiters)


class Session:
    """The wires to one Valkey, used and lost together.

    The claims of one event-loop turn go as few calls of one function, each over the next wire in turn: Valkey commits with
    one fsync what it reads in one turn of its loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: str, observe: Callable[[float, int], None] = lambda s, n: None
    ) -> None:
        self._loop = loop
        self._function = function
        self._observe = observe
        self.wires: list[Wire] = []
        self._next = 0
        self._is_due = False
        self._commands: deque[tuple[bytes, Waiter]] = deque()
        self._claims: dict[str, tuple[list[str], list[str | bytes], list[Waiter]]] = {}
        self.waiting = 0
        """Commands and claims without a reply."""
        self.lost: asyncio.Future[str] = loop.create_future()

    def ask(self, wire: Wire, command: bytes) -> asyncio.Future[Reply]:
        """Send one command over one wire, now. Its time is not counted as a claim's."""
        reply = self._loop.create_future()
        self.waiting += 1
        wire.send(command, answer(reply), self._loop.time(), observed=False)
        return reply

    def ping(self) -> None:
        """Ask whether the server is there. Unanswered, it is as late as a claim."""
        self.ask(self._wire(), PING)

    def submit(self, command: bytes, waiter: Waiter) -> None:
        """Queue a packed command for the end of this turn of the loop. Its time counts as a claim's."""
        self.waiting += 1
        self._commands.append((command, waiter))
        if not self._is_due:
            self._soon()

    def claim(self, log: str, keys: tuple[str, ...], arguments: tuple[str | bytes, ...], waiter: Waiter) -> None:
        """Queue a claim: for now when Valkey has nothing to do or several have come, else for the end of this turn of the loop.
        `keys` and `arguments` as claim.lua lists them."""
        self.waiting += 1
        try:
            named, given, waiters = self._claims[log]
        except KeyError:
            named, given, waiters = self._claims[log] = ([], [], [])
        named += keys
        given += arguments
        waiters.append(waiter)
        count = len(waiters)
        if count == self.waiting or count == CLAIMS_AT_ONCE:
            self._flush()
        elif not self._is_due:
            self._soon()

    def _soon(self) -> None:
        self._is_due = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        if self.lost.done():
            self._give_up()
            return
        now = self._loop.time()
        groups, self._claims = self._claims, {}
        for log, (keys, arguments, waiters) in groups.items():
            for start in range(0, len(waiters), CLAIMS_PER_CALL):
                end = start + CLAIMS_PER_CALL
                part = keys[start * KEYS : end * KEYS]
                head = ("FCALL", self._function, str(1 + len(part)), log)
                command = pack((*head, *part, *arguments[start * ARGUMENTS : end * ARGUMENTS]))
                self._wire().send(command, _Call(waiters[start:end]), now, len(waiters[start:end]))
        while self._commands:
            command, waiter = self._commands.popleft()
            self._wire().send(command, waiter, now)

    def _wire(self) -> Wire:
        self._next = (self._next + 1) % len(self.wires)
        return self.wires[self._next]

    def answered(self, left_at: float, claims: int, observed: bool) -> None:
        """Called by a wire when a command was answered."""
        self.waiting -= claims
        if observed:
            self._observe(self._loop.time() - left_at, claims)

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
        self._give_up()

    def _give_up(self) -> None:
        groups, self._claims = self._claims, {}
        for _, _, waiters in groups.values():
            for waiter in waiters:
                waiter(None)
        while self._commands:
            self._commands.popleft()[1](None)


def answer(future: asyncio.Future[Reply]) -> Waiter:
    """A waiter that completes a future."""

    def take(reply: Reply) -> None:
        if not future.done():
            future.set_result(reply)

    return take


def _drop(waiters: deque[Waiter]) -> None:
    while waiters:
        waiters.popleft()(None)


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
