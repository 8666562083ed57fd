"""A connection that uvloop has closed without saying so yet: writing to it raises, and nobody may be forgotten for that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tracker.edge.wire import Reply, Session, Wire


class Closed(asyncio.Transport):
    """What uvloop's transport does between a reset and `connection_lost`."""

    def write(self, data: Any) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    def abort(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@pytest.fixture
async def session() -> Session:
    """A session whose wires are all closed."""
    made = Session(asyncio.get_running_loop(), "claims")
    for _ in range(2):
        wire = Wire(made)
        wire.connection_made(Closed())
        made.wires.append(wire)
    return made


async def test_claims_and_commands_of_one_turn_are_all_told(session: Session) -> None:
    replies: list[Reply] = []
    for log in ("one", "two", "three"):
        session.claim(log, ("pool", "v", "f", "y"), ("head", "", b"visit"), replies.append)
    session.submit(b"command", replies.append)
    async with asyncio.timeout(20):
        assert "lost" in await session.lost
    await asyncio.sleep(0)  # the first claim leaves, and fails, at once; the others at the end of this turn
    assert replies == [None] * 4


async def test_a_ping_and_a_greeting_raise_nothing(session: Session) -> None:
    session.ping()
    assert session.lost.done()
    assert await session.ask(session.wires[1], b"command") is None
