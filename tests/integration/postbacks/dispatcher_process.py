"""A dispatcher in a process of its own, to be killed: `python -m ...dispatcher_process DATABASE_URL`."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from postbacks.dispatcher import run_dispatcher
from tests.integration.postbacks.scene import FAST
from tracker.stores.postgres import open_pool


async def main(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=4)
    config = msgspec.structs.replace(FAST, timeout=0.4, lease_margin=0.4)
    await run_dispatcher(pool, config=config, wake=asyncio.Event(), stop=asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
