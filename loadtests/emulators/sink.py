"""A receiver for benchmarks of senders, quicker than they are: what is measured must not be how long its answers queue.

`GET /p/{name}` is a postback and answered `ok`; `POST /{version}/{pixel}/events` is a batch for Meta, of which the events are counted;
`GET /__admin/counts` tells how many of each came, by name or pixel. Anything else is answered 404, and what is not HTTP 400.
`python -m loadtests.emulators.sink [--delay-ms 5]` prints one JSON line with its url. `--delay-ms`: as from so far away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from functools import partial
from typing import cast

import httptools
import uvloop

_HEAD = "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nServer: sink\r\n\r\n{}"


def _answer(status: str, body: str, content_type: str = "text/plain; charset=utf-8") -> bytes:
    return _HEAD.format(status, content_type, len(body), body).encode()


_OK, _LOST, _NO_HTTP = _answer("200 OK", "ok"), _answer("404 Not Found", "no such path"), _answer("400 Bad Request", "")


class Sink(asyncio.Protocol):
    """One connection; `counts` is everybody's. `delay`: seconds before an answer goes out."""

    def __init__(self, counts: Counter[str], delay: float) -> None:
        self._counts = counts
        self._delay = delay
        self._url = b""
        self._body = bytearray()
        self._answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody called."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass of it
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_NO_HTTP)
            self._transport.close()
            return
        if self._answers:
            answers = b"".join(self._answers)
            self._answers.clear()
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, answers)
            else:
                self._transport.write(answers)

    def on_url(self, url: bytes) -> None:
        """Of a request that begins."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Some of it."""
        self._body += body

    def on_message_complete(self) -> None:
        """Count it."""
        path = self._url.partition(b"?")[0].decode("latin-1").split("/")
        match self._parser.get_method(), path:
            case b"GET", ["", "p", name]:
                self._counts[name] += 1
                answer = _OK
            case b"POST", ["", _, pixel, "events"]:
                events = self._body.count(b'{"event_name":')
                self._counts[pixel] += events
                answer = _answer("200 OK", json.dumps({"events_received": events}), "application/json")
            case b"GET", ["", "__admin", "counts"]:
                answer = _answer("200 OK", json.dumps(self._counts), "application/json")
            case _:
                answer = _LOST
        self._answers.append(answer)
        self._url = b""
        self._body.clear()


async def listen(port: int, delay: float) -> asyncio.Server:
    """A sink on this port of the loopback interface; 0: any."""
    return await asyncio.get_running_loop().create_server(
        partial(Sink, Counter(), delay), "127.0.0.1", port, backlog=1024
    )


async def _serve(port: int, delay: float) -> None:
    server = await listen(port, delay)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(description="A quick receiver for benchmarks.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of every answer")
    options = parser.parse_args()
    try:
        uvloop.run(_serve(options.port, options.delay_ms / 1000))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
