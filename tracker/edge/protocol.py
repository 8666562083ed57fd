"""HTTP on uvicorn's parser and server, with a short way for clicks and the limits uvicorn lacks.

A plain `GET /go/…` (`head.py`) is handed to the application's `direct` without the parser's callbacks and without an ASGI
scope, task or message, which cost more than the click itself; whatever is not plain (a body, HTTP/1.0, pipelining, a head in
parts, an odd address) takes the parser's and the ASGI way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tracker.edge.head import Heads
from tracker.edge.request import Headers

HEAD_SECONDS = 10.0
HEAD_BYTES = 128 * 1024  # the longest query we must redirect is 64 KiB
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    b"connection: close\r\n\r\n"
)
_NEVER = float("inf")


class _Unheard:
    """Stands where uvicorn keeps an event for the application's `receive`; nobody receives here."""

    def set(self) -> None:
        pass


class Exchange:
    """A request answered without ASGI. To uvicorn it is the connection's cycle: pipelining, shutdown and loss work as ever."""

    __slots__ = ("_protocol", "disconnected", "keep_alive", "response_complete")
    message_event = _Unheard()

    def __init__(self, protocol: EdgeProtocol) -> None:
        self._protocol = protocol
        self.response_complete = self.disconnected = False
        self.keep_alive = True

    def answer(self, head: bytes) -> None:
        """Send a whole response: status line and headers, each ended by CRLF, without the empty line and without a body."""
        self.response_complete = True
        self._protocol.answer(head, self.keep_alive)


Direct = Callable[[Exchange, bytes, Headers, Any], bool]
"""(exchange, target as sent, headers by lower-case name, peer) → whether the application answers it, now or later."""

_heads = Heads()


class EdgeProtocol(HttpToolsProtocol):
    """Closes connections that send nothing, drip a head for longer than 10 s, or send one of more than 128 KiB.

    One lazy timer per connection looks at its deadline now and then: setting a timer per request costs more than the look.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._direct: Direct | None = getattr(self.app, "direct", None)
        self._between = True  # no message is under way in the parser
        self._in_head = False
        self._head_bytes = 0
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._deadline = self.loop.time() + HEAD_SECONDS
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if (
            self._between
            and self._direct is not None
            and (before is None or before.response_complete)
            and not self.flow.write_paused  # a client that does not read its answers waits its turn
            and len(data) <= HEAD_BYTES
            and (head := _heads.read(data)) is not None
        ):
            self.cycle = exchange = cast(Any, Exchange(self))
            self._deadline = _NEVER
            if self._direct(exchange, head[0], head[1], self.client):
                return
            self.cycle = before
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self._is_too_large():
                self._refuse_head()
            else:
                self.send_400_response("Invalid HTTP request received.")
            return
        except httptools.HttpParserUpgrade:
            pass  # nothing to upgrade to: the answer is on its way
        if self._in_head:
            if not self._head_bytes:
                self._deadline = self.loop.time() + HEAD_SECONDS
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse_head()
        elif self._deadline is not _NEVER and (self.cycle is None or self.cycle.response_complete):
            # A body that is dripped after its answer, or garbage between requests, does not count as life.
            self._deadline = min(self._deadline, self.loop.time() + HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._between = False
        self._in_head = True
        self._head_bytes = 0
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        if self._is_too_large():
            raise ValueError("the head is too large")  # to the parser, which stops; `data_received` answers
        self._in_head = False
        self._deadline = _NEVER
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the ASGI scope
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _is_too_large(self) -> bool:
        """Whether the head that has just been read is: the piece that ended it was not counted, as it may hold more than the head."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return self._in_head and size > HEAD_BYTES

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()

    def answer(self, head: bytes, keep_alive: bool) -> None:
        """Send a response without a body, and go on."""
        transport = self.transport
        if transport.is_closing():
            return
        if keep_alive:
            transport.write(head + b"\r\n")
            self._deadline = self.loop.time() + self.timeout_keep_alive
            if self.pipeline or self.flow.read_paused:
                self.on_response_complete()
        else:
            transport.write(head + b"connection: close\r\n\r\n")
            transport.close()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._deadline = self.loop.time() + self.timeout_keep_alive
        self.flow.resume_reading()
        if self.pipeline:
            self._deadline = _NEVER
            self._start_asgi_task(*self.pipeline.pop())

    def _look(self) -> None:
        if self.loop.time() >= self._deadline:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.close()
        else:
            self._timer = self.loop.call_later(HEAD_SECONDS / 8, self._look)
