"""uvicorn's HTTP protocol with the limits it lacks: how long and how large a request's head may be."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
HEAD_BYTES = 128 * 1024  # the longest query we must redirect is 64 KiB
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ncache-control: no-store\r\n"
    b"connection: close\r\n\r\n"
)


class EdgeProtocol(HttpToolsProtocol):
    """Closes connections that send nothing, drip a head for longer than 10 s, or send one of more than 128 KiB."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = 0
        self._head_deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._close_at(self.loop.time() + HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            if not self._head_bytes:
                self._head_deadline = self.loop.time() + HEAD_SECONDS
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            else:
                self._close_at(self._head_deadline)
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            # A body that is dripped after its answer, or garbage between requests: the idle clock goes on.
            self._close_at(self.loop.time() + HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _close_at(self, when: float) -> None:
        if not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_at(when, self.timeout_keep_alive_handler)
