"""One timer for many deadlines: who is cancelled when, and what becomes of it."""

from __future__ import annotations

import asyncio

import pytest

from postbacks.deadline import Deadlines


async def test_what_takes_too_long_is_a_timeout() -> None:
    deadlines = Deadlines(0.01)
    with pytest.raises(TimeoutError), deadlines.start():
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left to be cancelled by
    deadlines.close()


async def test_what_is_in_time_goes_on_and_is_no_longer_watched() -> None:
    deadlines = Deadlines(0.01)
    with deadlines.start():
        pass
    assert not deadlines.running
    await asyncio.sleep(0.05)
    deadlines.close()


async def test_a_later_one_ends_after_the_timer_of_the_first() -> None:
    deadlines = Deadlines(0.05)

    async def late() -> str:
        try:
            with deadlines.start():
                await asyncio.Event().wait()
        except TimeoutError:
            return "timeout"
        return ""

    tasks = [asyncio.create_task(late())]
    await asyncio.sleep(0.02)
    tasks += [asyncio.create_task(late()) for _ in range(3)]
    assert await asyncio.gather(*tasks) == ["timeout"] * 4
    assert not deadlines.running
    deadlines.close()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines(60)

    async def waits() -> None:
        with deadlines.start():
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not deadlines.running
    deadlines.close()


async def test_other_errors_pass_through() -> None:
    deadlines = Deadlines(60)
    with pytest.raises(ValueError, match="own"), deadlines.start():
        raise ValueError("own")
    deadlines.close()
