"""Command line: serve the fake ad platforms and print their addresses as one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal

from . import creatortraffic
from .app import PLATFORMS, running_adplatforms


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.emulators.adplatforms", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--seed", type=int, default=1, help="of the dice behind `rate`")
    parser.add_argument("--creatortraffic-path", default=creatortraffic.PATH)
    parser.add_argument("--count-only", action="store_true", help="keep no raw requests (for benchmarks)")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running_adplatforms(
        host=options.host,
        port=options.port,
        creatortraffic_path=options.creatortraffic_path,
        seed=options.seed,
        count_only=options.count_only,
    ) as ads:
        print(json.dumps({"url": ads.url, **{name: ads.url_of(name) for name in PLATFORMS}}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
