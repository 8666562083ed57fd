"""What the Python of one click costs, with sockets and Valkey left out: `python -m loadtests.redirect_cost`.

Requests go through the edge's protocol class into its real parts; the connection's transport and Valkey's replies are stand-ins.
Each shape of traffic is compared with the plain one: user agents, smart links, query strings. Shapes alternate, each line is the
best of many short rounds, so a busy machine changes little. `--shape NAME --requests N` runs one shape once, for a counter of
instructions: `valgrind --tool=callgrind python -m loadtests.redirect_cost --shape plain --requests 2000`.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from uvicorn.server import ServerState

from loadtests.redirect_driver import link_id, request_stream
from tracker.clicklog import EdgeLink
from tracker.edge import server
from tracker.edge.protocol import EdgeProtocol
from tracker.edge.wire import Session
from tracker.settings import Settings

TURN = 16  # requests answered together
REPLY = b"cne01k5" + b"a" * 22 + b"01k5" + b"b" * 22 + b"12|https://onlyfans.com/creator/c12"


class Shape(NamedTuple):
    """Traffic of one kind."""

    links: int = 100
    agents: int = 3
    query: int = 0


SHAPES = {
    "plain": Shape(),
    "1,000 user agents": Shape(agents=1000),
    "10,000 user agents": Shape(agents=10_000),
    "100,000 links in turn": Shape(links=100_000),
    "1,500 bytes more of query": Shape(query=1500),
}


class StillLoop:
    """The part of an event loop the edge uses; callbacks run when `turn` says so."""

    def __init__(self) -> None:
        self._soon: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def call_soon(self, call: Callable[..., Any], *args: Any) -> None:
        """Keep for the end of the turn."""
        self._soon.append((call, args))

    def call_later(self, seconds: float, call: Callable[..., Any], *args: Any) -> Any:
        """Never: nothing is late here."""
        return self

    def time(self) -> float:
        """As uvloop's."""
        return 0.0

    def create_future(self) -> Any:
        """For a session's loss, which does not happen."""
        return self

    def done(self) -> bool:
        """Of that future: no."""
        return False

    def turn(self) -> None:
        """Run what was kept."""
        due, self._soon = self._soon, []
        for call, args in due:
            call(*args)


class Transport:
    """A connection that takes every answer."""

    answers = 0

    def get_extra_info(self, name: str) -> Any:
        """Addresses."""
        return ("203.0.113.7", 40000) if name == "peername" else None

    def is_closing(self) -> bool:
        """No."""
        return False

    def write(self, data: bytes) -> None:
        """An answer; anything but a claimed link ends the measurement."""
        if b"\r\nlocation: https://onlyfans.com/creator/c12\r\n" not in data:
            raise SystemExit(f"the edge answered {data[:40]!r}")
        Transport.answers += 1

    def pause_reading(self) -> None:
        """Nothing to pause."""

    resume_reading = pause_reading


class Wire:
    """Valkey, answering at once."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def oldest(self) -> None:
        """Nothing waits."""
        return

    def send(self, command: bytes, waiter: Any, now: float, claims: int = 1) -> None:
        """Every claim is a new click."""
        waiter([REPLY] * claims)
        self._session.answered(0.0, claims, True)


class Edge:
    """The edge's parts on the stand-ins."""

    def __init__(self, folder: Path, links: int) -> None:
        service = server.Service(Settings(data_dir=str(folder), redis_url="redis://127.0.0.1:1", secret_key="k" * 40))
        for number in range(links):
            link = EdgeLink(
                link_id(number), "acct_load", 0, "tracking", 21_600_000, "active", "https://onlyfans.com/creator"
            )
            service.links.put(link.smart_link_id, msgspec.msgpack.encode(link))
        self.loop = StillLoop()
        session = Session(cast(Any, self.loop), "f")
        session.wires.append(cast(Any, Wire(session)))
        pipeline = cast(Any, service.pipeline)
        pipeline._session, pipeline._loop, pipeline._watching = session, self.loop, True
        config = server.server_config(service.app)
        config.load()
        self._connections = [
            EdgeProtocol(config=config, server_state=ServerState(), app_state={}, _loop=cast(Any, self.loop))
            for _ in range(TURN)
        ]
        for connection in self._connections:
            connection.connection_made(cast(Any, Transport()))

    def answer(self, requests: list[bytes]) -> float:
        """Processor seconds it takes to answer them."""
        started, answered = time.process_time(), Transport.answers
        connections, turn = self._connections, self.loop.turn
        for at in range(0, len(requests), TURN):
            for connection, request in zip(connections, requests[at : at + TURN], strict=False):
                connection.data_received(request)
            turn()
        took = time.process_time() - started
        if Transport.answers - answered != len(requests):
            raise SystemExit("not every request was answered")
        return took


def stream(shape: Shape) -> Iterator[bytes]:
    """Its requests."""
    return request_stream(shape.links, 0, shape.agents, shape.query)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=2000, help="in one round")
    parser.add_argument("--shape", choices=SHAPES, help="only this one, once")
    options = parser.parse_args()
    shapes = {options.shape: SHAPES[options.shape]} if options.shape else SHAPES
    with tempfile.TemporaryDirectory(prefix="clickbind-cost-") as folder:
        edge = Edge(Path(folder), max(shape.links for shape in shapes.values()))
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        streams = {name: stream(shape) for name, shape in shapes.items()}
        best = dict.fromkeys(shapes, float("inf"))
        for _ in range(1 if options.shape else options.rounds):
            for name, requests in streams.items():
                took = edge.answer(list(itertools.islice(requests, options.requests)))
                best[name] = min(best[name], took / options.requests * 1e6)
    first = next(iter(best.values()))
    print(f"{'traffic':28} {'us a click':>10} {'to plain':>9}")
    for name, cost in best.items():
        print(f"{name:28} {cost:10.1f} {cost / first:9.2f}")


if __name__ == "__main__":
    main()
