"""Stores, servers and rounds of the redirect benchmark."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import redis

from loadtests.redirect_driver import link_id
from loadtests.redirect_servers import LATENCY_NAME, cpu_seconds, free_port, wait_for_port
from tracker.clicklog import LINKS_KEY, EdgeLink, log_key, pool_key, pool_member
from tracker.stores.embedded import DataFolder, EmbeddedValkey

EDGES = ("edge", "timed")
ACCOUNT, SHARD, OFFER = "acct_load", 0, "tracking"


class Bench:
    """Stores, servers and rounds."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.data = DataFolder(folder)
        self.valkey = EmbeddedValkey(self.data)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self.first = 0

    def start(self) -> None:
        self.data.hold()
        self.valkey.start()
        assert self.valkey.process is not None
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(self.valkey.process.pid, {cores[1]})
        self.client = redis.Redis(unix_socket_path=str(self.valkey.socket))
        self.fill()
        kinds = [*self.options.servers, "timed"] if "edge" in self.options.servers else self.options.servers
        for kind in kinds:
            self.ports[kind] = free_port()
            command = [
                sys.executable,
                "-m",
                "loadtests.redirect_servers",
                kind,
                str(self.ports[kind]),
                str(self.folder),
            ]
            self.processes[kind] = subprocess.Popen(command)
        for kind in kinds:
            wait_for_port(self.ports[kind], self.processes[kind])

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
        self.valkey.stop()
        self.data.release()

    def fill(self) -> None:
        """An empty log, a pool of never-leased links, the smart links."""
        profile, reserve = "https://onlyfans.com/creator", pool_member(1, "https://onlyfans.com/creator/c1")
        for start in range(0, self.options.members, 5000):
            members = range(start + 10, min(start + 5010, self.options.members + 10))
            self.client.zadd(
                pool_key(SHARD, ACCOUNT, OFFER),
                {pool_member(number, f"https://onlyfans.com/creator/c{number}"): 0 for number in members},
            )
        links: dict[Any, Any] = {}
        for number in range(self.options.links):
            link = EdgeLink(link_id(number), ACCOUNT, SHARD, OFFER, 21_600_000, "active", profile, reserve)
            links[link.smart_link_id] = msgspec.msgpack.encode(link)
        self.client.hset(LINKS_KEY, mapping=links)

    def round(self, kind: str, seconds: float, rate: float = 0.0) -> dict[str, Any]:
        """Drive one server; for the edge, hold the answers against the log."""
        options = self.options
        command = [self.ports[kind], options.connections, seconds, rate]
        command += [options.links, self.first, options.agents, options.query]
        before, stored = cpu_seconds(self.processes[kind].pid), self.store_seconds()
        within, claims = self.claims(kind)
        done = subprocess.run(
            [sys.executable, "-m", "loadtests.redirect_driver", *map(str, command)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
        result: dict[str, Any] = json.loads(done.stdout)
        result["cpu_us"] = (cpu_seconds(self.processes[kind].pid) - before) / result["answered"] * 1e6
        result["store_us"] = (self.store_seconds() - stored) / result["answered"] * 1e6 if kind in EDGES else 0.0
        now_within, now_claims = self.claims(kind)
        result["in_5_ms"] = (now_within - within) / (now_claims - claims) * 100 if now_claims > claims else 0.0
        self.first += result["answered"] + options.connections
        if result["failures"]:
            raise SystemExit(f"{kind}: {result['failures']} of {result['answered']} requests were not answered rightly")
        if kind in EDGES:
            self.check(result["answered"])
        result["server_p99_ms"] = self.server_p99() if kind == "timed" else 0.0
        return result

    def server_p99(self) -> float:
        """Milliseconds from the last byte of a request read to the first of its answer written, 99 % at most, by the edge's clock."""
        told = self.folder / LATENCY_NAME
        self.processes["timed"].send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while not told.exists():
            if time.monotonic() > deadline:
                raise SystemExit("the edge did not tell its latencies")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.processes["timed"].wait(0.02)
        times = sorted(json.loads(told.read_text()))
        told.unlink()
        return float(times[int(len(times) * 0.99)]) * 1000

    def floor(self) -> tuple[float, float]:
        """What the machine itself takes now, p99 in ms: an fdatasync of some clicks, and waking up from a sleep of 1 ms."""
        syncs, wakes = [], []
        path = self.folder / "floor"
        with path.open("wb", buffering=0) as file:
            for _ in range(200):
                file.write(b"x" * 20_000)
                started = time.perf_counter()
                os.fdatasync(file.fileno())
                synced = time.perf_counter()
                time.sleep(0.001)
                syncs.append(synced - started)
                wakes.append(time.perf_counter() - synced - 0.001)
        path.unlink()
        return sorted(syncs)[198] * 1000, sorted(wakes)[198] * 1000

    def store_seconds(self) -> float:
        """Processor time Valkey has used."""
        assert self.valkey.process is not None
        return cpu_seconds(self.valkey.process.pid)

    def claims(self, kind: str) -> tuple[float, float]:
        """(claims the edge saw answered within 5 ms, claims answered), from its metrics."""
        if kind not in EDGES:
            return 0.0, 0.0
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[kind]}/metrics", timeout=10) as answer:
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        name = "clickbind_edge_claim_seconds"
        return float(lines[f'{name}_bucket{{le="0.005"}}']), float(lines[f"{name}_count"])

    def check(self, answered: int) -> None:
        """Every answered click is in the log, each a click with a lease of its own or shared."""
        key = log_key(SHARD)
        logged = self.client.xlen(key)
        if logged != answered:
            raise SystemExit(f"edge: {answered} clicks answered, {logged} logged")
        latest: Any = self.client.xrevrange(key, count=1000)
        spilled = [entry for _, entry in latest if b"s" in entry or entry[b"o"][:1] != b"c"]
        if spilled:
            raise SystemExit("edge: it was degraded during the measurement")
        self.empty()

    def empty(self) -> None:
        """As it was before the first round."""
        self.client.flushdb()
        self.fill()
