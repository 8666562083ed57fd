"""Command line: serve the fake platform and print its address as one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal

from .app import running_platform


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.emulators.platform", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", choices=("real", "fast", "none"), default="fast")
    parser.add_argument("--api-key", action="append", help="accepted bearer, repeatable; default test-key")
    parser.add_argument("--landing-base", help="base of public link URLs; default: own /onlyfans")
    parser.add_argument("--account", action="append", default=[], help="username to connect, repeatable")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    changes = {"api_keys": tuple(options.api_key)} if options.api_key else {}
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running_platform(
        seed=options.seed,
        speed=options.speed,
        host=options.host,
        port=options.port,
        landing_base=options.landing_base,
        accounts=options.account,
        **changes,
    ) as platform:
        print(json.dumps({"url": platform.url}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
