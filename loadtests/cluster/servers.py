"""A Valkey Cluster on this machine, from the same wheel's server: masters, replicas, failover, moving slots."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from tracker.stores import valkey
from tracker.stores.embedded import DataFolder, EmbeddedValkey

SLOTS = 16384
NODE_TIMEOUT_MS = 2000
READY_SECONDS = 30.0


class Server:
    """One node."""

    def __init__(self, folder: Path, number: int, thread: ThreadPoolExecutor) -> None:
        self.number = number
        self.port = _free_port()
        self._thread = thread
        self.valkey = EmbeddedValkey(
            DataFolder(folder / f"n{number}"),
            (
                "--port", str(self.port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", str(_free_port()),
                "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-require-full-coverage", "no",
                "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
            ),
        )  # fmt: skip
        self.client = valkey.connect(f"redis://127.0.0.1:{self.port}", socket_timeout=20.0)

    async def start(self) -> None:
        """Up, and answering."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.valkey.start)

    async def stop(self) -> None:
        """Down."""
        await self.client.aclose()
        await asyncio.get_running_loop().run_in_executor(self._thread, self.valkey.stop)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.valkey.process is not None
        self.valkey.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        assert self.valkey.process is not None
        self.signal(signal.SIGKILL)
        self.valkey.process.wait()

    async def ask(self, *command: Any) -> Any:
        """One command to this node."""
        return await self.client.execute_command(*command)  # type: ignore[no-untyped-call, unused-ignore]

    async def node_id(self) -> str:
        """Its name in the cluster."""
        return bytes(await self.ask("CLUSTER", "MYID")).decode()

    async def info(self, section: str) -> dict[str, Any]:
        """INFO."""
        return dict(await self.client.info(section))


class ValkeyCluster:
    """`masters` masters, each with one replica. Server n + masters is first the replica of server n."""

    def __init__(self, folder: Path, masters: int = 3) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cluster")
        self.masters = masters
        self.servers = [Server(folder, number, self._thread) for number in range(2 * masters)]

    @property
    def url(self) -> str:
        """REDIS_URL of the cluster."""
        return "redis-cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    async def start(self) -> None:
        """All up, slots shared out, replicas in step."""
        await asyncio.gather(*(server.start() for server in self.servers))
        masters, replicas = self.servers[: self.masters], self.servers[self.masters :]
        for number, server in enumerate(masters):
            first, last = number * SLOTS // self.masters, (number + 1) * SLOTS // self.masters - 1
            await server.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            await server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.servers[1:]:
            bus = server.valkey.extra[server.valkey.extra.index("--cluster-port") + 1]
            await self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        everyone = len(self.servers)
        await self._until(lambda: self._all_know(everyone), "the nodes to meet")
        for master, replica in zip(masters, replicas, strict=True):
            await replica.ask("CLUSTER", "REPLICATE", await master.node_id())
        await self._until(self.is_whole, "replicas in step")

    async def stop(self) -> None:
        """All down."""
        for server in self.servers:  # told together, waited for one by one
            if server.valkey.process is not None and server.valkey.process.poll() is None:
                server.signal(signal.SIGTERM)
        for server in self.servers:
            with contextlib.suppress(valkey.RedisError, OSError):
                await server.stop()
        self._thread.shutdown()

    async def is_whole(self) -> bool:
        """Every slot has a living master, and every master a replica that is in step."""
        masters = 0
        for server in self.servers:
            if (await self._state(server)) != "ok":
                return False
            replication = await server.info("replication")
            if replication["role"] == "master":
                masters += 1
                if not replication["connected_slaves"] or replication["slave0"]["state"] != "online":
                    return False
            elif replication["master_link_status"] != "up":
                return False
        return masters == self.masters

    async def master_of(self, key: str) -> Server:
        """Who has a key now, by the view of the living."""
        slot = key_slot(key.encode())
        for server in self.servers:
            if server.valkey.process is None or server.valkey.process.poll() is not None:
                continue
            for first, last, master, *_ in await server.ask("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    port = int(master[1])
                    return next(each for each in self.servers if each.port == port)
        raise RuntimeError(f"nobody has {key}")

    async def replica_of(self, master: Server) -> Server:
        """The replica of a master."""
        for server in self.servers:
            replication = await server.info("replication")
            if replication["role"] == "slave" and int(replication["master_port"]) == master.port:
                return server
        raise RuntimeError(f"no replica of {master.port}")

    async def fail_over(self, key: str, lag: float = 0.0) -> tuple[Server, float]:
        """kill -9 the master of `key`; returns it and the seconds until another is master in its place.

        `lag`: seconds its replica is stopped before, so that what the master takes meanwhile is on no other machine.
        """
        dead = await self.master_of(key)
        replica = await self.replica_of(dead)
        if lag:
            replica.signal(signal.SIGSTOP)
            await asyncio.sleep(lag)
        began = time.monotonic()
        dead.kill()
        if lag:
            # What the dead machine had sent must not arrive after all: its replica starts anew from its own disk.
            replica.kill()
            await replica.start()

        async def taken_over() -> bool:
            now = await self.master_of(key)
            return (
                now is not dead
                and (await now.info("replication"))["role"] == "master"
                and await self._state(now) == "ok"
            )

        await self._until(taken_over, "the failover")
        return dead, time.monotonic() - began

    async def move(self, keys: list[str], target: Server) -> int:
        """Move the slots of `keys` to the master `target`, each at once with all it holds (Valkey 9). Returns how many."""
        slots = sorted({key_slot(key.encode()) for key in keys})
        moved = 0
        for slot, key in sorted((key_slot(key.encode()), key) for key in keys):
            source = await self.master_of(key)
            if source is target or slot not in slots:
                continue
            slots.remove(slot)
            await source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", await target.node_id())

            async def arrived(key: str = key) -> bool:
                return await self.master_of(key) is target

            await self._until(arrived, f"slot {slot} to move")
            moved += 1
        return moved

    async def whole(self) -> None:
        """Wait until `is_whole`."""
        await self._until(self.is_whole, "the cluster to be whole again")

    async def _all_know(self, count: int) -> bool:
        return all(
            [
                len((await server.ask("CLUSTER", "NODES")).splitlines()) == count and await self._state(server) == "ok"
                for server in self.servers
            ]
        )

    async def _state(self, server: Server) -> str:
        lines = bytes(await server.ask("CLUSTER", "INFO")).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)["cluster_state"]

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(valkey.RedisError, OSError):
                if await holds():
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {READY_SECONDS:.0f} s for {what}")
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
