"""Memory and start times: `python -m loadtests.footprint`.

- up: `clickbind up` on a data folder that exists: seconds until a redirect is answered; then, idle, the memory of everything
  it runs, stores included (PSS: what is shared is counted once).
- edge: one edge with many smart links in Valkey: seconds until a redirect is answered, and its own memory (RSS).
- pool: bytes of Valkey memory per idle pooled link, over pools of a thousand.

Loopback only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from loadtests.redirect import free_port, link_id
from loadtests.scratch import stores
from tracker.clicklog import LINKS_KEY, EdgeLink, log_key, pool_key, pool_member
from tracker.settings import Settings, as_environment
from tracker.stores.embedded import DataFolder, EmbeddedValkey

IDLE_SECONDS = 10.0
LONGEST_START = 60.0
PAGE = 5000
PER_POOL = 1000


def pss_mb(pid: int) -> float:
    """Proportional memory of a process and its descendants, MB (10⁶ bytes). Linux."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # gone meanwhile
        return 0.0
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own * 1024 / 1e6 + sum(pss_mb(int(child)) for child in children)


def rss_mb(pid: int) -> float:
    """Resident memory of one process, MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def redirects(port: int, link: str) -> bool:
    """Whether the edge on `port` answers the link with a redirect."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"/go/{link}?ecid=start", headers={"User-Agent": "Mozilla/5.0 (iPhone)"})
        return connection.getresponse().status == 302
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running(command: str, settings: Settings) -> Any:
    """A role as its user starts it; yields its process and the moment it was started."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker.cli.main", command],
        env=dict(os.environ) | as_environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def seconds_until(ready: Callable[[], bool], started: float) -> float:
    """Seconds from `started` until `ready`. Raises RuntimeError after a minute."""
    while not ready():
        if time.perf_counter() - started > LONGEST_START:
            raise RuntimeError("it did not start within a minute")
        time.sleep(0.01)
    return time.perf_counter() - started


def put_links(client: Any, count: int) -> None:
    """Smart links as the worker publishes them."""
    profile, reserve = "https://onlyfans.com/creator", pool_member(1, "https://onlyfans.com/creator/c1")
    for first in range(0, count, PAGE):
        links: dict[Any, Any] = {}
        for number in range(first, min(first + PAGE, count)):
            link = EdgeLink(
                link_id(number), f"acct_{number % 500}", number % 4, "tracking", 21_600_000, "active", profile, reserve
            )
            links[link.smart_link_id] = msgspec.msgpack.encode(link)
        client.hset(LINKS_KEY, mapping=links)


def measure_up(folder: Path) -> dict[str, Any]:
    """An existing data folder with one link: start it, let it rest, weigh it."""
    settings = _settings(folder)
    data = DataFolder(folder)
    link = link_id(1)
    with running("up", settings) as (_, started):  # makes the folder; put a link in
        seconds_until(lambda: _is_up(settings.edge_port), started)
        client = redis.Redis(unix_socket_path=data.redis_url.removeprefix("unix://"))
        put_links(client, 2)
        client.close()
    with running("up", settings) as (process, started):
        start = seconds_until(lambda: redirects(settings.edge_port, link), started)
        seconds_until(lambda: _is_up(settings.api_port), started)
        time.sleep(IDLE_SECONDS)
        return {"start_seconds": round(start, 2), "idle_mb": round(pss_mb(process.pid), 1)}


def measure_edge(folder: Path, links: int) -> dict[str, Any]:
    """One edge, many links."""
    with stores(folder, EmbeddedValkey) as data, redis.from_url(data.redis_url) as client:
        put_links(client, links)
        settings = _settings(folder)
        with running("edge", settings) as (process, started):
            start = seconds_until(lambda: redirects(settings.edge_port, link_id(links - 1)), started)
            time.sleep(2)
            mb = rss_mb(process.pid)
        client.delete(*(log_key(shard) for shard in range(4)))
    return {"links": links, "start_seconds": round(start, 2), "rss_mb": round(mb, 1)}


def measure_pool(folder: Path, links: int) -> dict[str, Any]:
    """Idle pooled links in Valkey."""
    with stores(folder, EmbeddedValkey) as data, redis.from_url(data.redis_url) as client:
        before = client.info("memory")["used_memory_dataset"]
        for first in range(0, links, PER_POOL):
            members = {
                pool_member(10_000_000 + number, f"https://onlyfans.com/action/trial/{number:032x}"): 0
                for number in range(first, first + PER_POOL)
            }
            client.zadd(pool_key(first // PER_POOL % 4, f"acct_{first:020d}", "trial-7"), members)
        after = client.info("memory")["used_memory_dataset"]
    return {"links": links, "bytes_per_link": round((after - before) / links, 1)}


def _settings(folder: Path) -> Settings:
    return Settings(
        data_dir=str(folder), edge_port=free_port(), api_port=free_port(), recorder_port=0, worker_port=0,
        log_level="error", secret_key="a benchmark's secret key, thirty-two characters",
    )  # fmt: skip


def _is_up(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--links", type=int, default=100_000, help="smart links of the edge")
    parser.add_argument("--pooled", type=int, default=200_000, help="pooled links weighed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "up": measure_up,
        "edge": lambda folder: measure_edge(folder, options.links),
        "pool": lambda folder: measure_pool(folder, options.pooled),
    }
    figures = {}
    for name, part in parts.items():
        with tempfile.TemporaryDirectory(prefix="cb-foot-") as folder:
            Path(folder).chmod(0o711)
            figures[name] = part(Path(folder) / "data")
    if options.json:
        print(json.dumps(figures))
    else:
        for name, found in figures.items():
            print(f"{name:6} " + "  ".join(f"{key} {value:,}" for key, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
