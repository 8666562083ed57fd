"""A TCP proxy before a store: resets connections, delays what passes, or lets nothing pass."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from pathlib import Path

CHUNK = 65536


class Proxy:
    """Listens on a free port of 127.0.0.1 and passes everything to a unix socket.

    `delay`: (least, most) seconds added per chunk. `hanging`: chunks wait until it is over. Neither loses a byte.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.delay = (0.0, 0.0)
        self.port = 0
        self.resets = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang(self, hanging: bool) -> None:
        """Hold everything back, or let it pass again."""
        if hanging:
            self._passing.clear()
        else:
            self._passing.set()

    def reset(self) -> None:
        """Reset every connection, both ways (RST, not an orderly end)."""
        for writer in list(self._writers):
            _abort(writer)
        self.resets += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            try:
                there, back = await asyncio.open_unix_connection(str(self._target))
            except OSError:
                _abort(writer)  # the store is away: so is its port
                return
            self._writers.add(back)
            try:
                ways = {asyncio.create_task(self._pass(reader, back)), asyncio.create_task(self._pass(there, writer))}
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            finally:
                self._writers.discard(back)
                back.close()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._passing.wait()
                if self.delay[1]:
                    await asyncio.sleep(random.uniform(*self.delay))
                writer.write(data)
                await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None and sock.family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
