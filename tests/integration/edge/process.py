"""An edge as a process of its own, and requests for it as bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from tests.integration.edge.conftest import LINK, PHONE, SECRET

RUN = "from tracker.edge.server import run; from tracker.settings import load; run(load())"
GO = b"/go/" + LINK.encode()


class Process:
    """A running edge."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    async def ask(self, request: bytes) -> bytes:
        """Send raw bytes on a fresh connection; everything that comes back until the other end closes or is quiet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        answer = b""
        try:
            while b"\r\n\r\n" not in answer:
                part = await asyncio.wait_for(reader.read(65536), 10)
                if not part:
                    break
                answer += part
        finally:
            writer.close()
        return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(path: bytes, *headers: bytes) -> bytes:
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: x", b"User-Agent: " + PHONE.encode(), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@asynccontextmanager
async def running(
    redis_url: str, folder: Path, port: int = 0, options: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Process]:
    """Starts the edge and waits until it listens; kills it at the end."""
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN,
        env=os.environ | {
            "REDIS_URL": redis_url, "CLICKBIND_DATA_DIR": str(folder), "CLICKBIND_EDGE_PORT": str(port),
            "CLICKBIND_SECRET_KEY": SECRET, "CLICKBIND_CLAIM_TIMEOUT_MS": "2000",
        } | dict(options),
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield Process(process, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
