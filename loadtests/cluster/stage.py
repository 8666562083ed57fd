"""The demo's stage on a Valkey Cluster: roles on two supervisors, as on two machines, one PostgreSQL, several masters."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import msgspec

from loadtests.chaos.stage import Store
from loadtests.cluster.servers import ValkeyCluster
from loadtests.demo.stage import Stage
from tracker.settings import Settings
from tracker.stores.embedded import DataFolder, EmbeddedPostgres
from tracker.supervisor import Supervisor

SHARDS = 12
SECRET = "a key that all machines of this cluster share"
SECOND = ("edge", "recorder", "worker")  # what the second machine runs


class ClusterStage(Stage):
    """Two machines: every role on the first, those of SECOND on the other too, sharing one port as behind a balancer."""

    def __init__(self, base: Settings, folder: Path, masters: int, seed: int) -> None:
        super().__init__(base, folder / "one", people=20, seed=seed)
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stores")
        stores = DataFolder(folder / "stores")
        stores.hold()
        self.postgres = Store(EmbeddedPostgres(stores), stores.socket_dir / "pg" / ".s.PGSQL.5432", self._thread)
        self.database_url = stores.database_url
        self.cluster = ValkeyCluster(folder / "cluster", masters)
        self.second: Supervisor | None = None

    def configure(self) -> Settings:
        """The demo's, on the cluster."""
        return msgspec.structs.replace(
            super().configure(),
            database_url=self.database_url,
            redis_url=self.cluster.url,
            secret_key=SECRET,
            shards=SHARDS,
            pool_target=40,
            messages_sweep=20.0,
            messages_poll=10.0,
            messages_budget=1000,  # a sweep reads every chat at once
        )

    async def start(self, progress: Callable[[str], None]) -> None:
        """Stores, the first machine and all that the demo has, the second machine."""
        progress("Starting PostgreSQL and a Valkey Cluster")
        await self.postgres.start()
        await self.cluster.start()
        await super().start(progress)
        progress("Starting the second machine")
        two = msgspec.structs.replace(self.settings, data_dir=str(self._folder / "two"))
        self.second = Supervisor(two, SECOND)
        await self.second.start(progress)
        await self._wait_for_both()

    async def _wait_for_both(self) -> None:
        # Both listen on one port and the kernel deals connections out: once all of many are answered, both serve.
        url = f"http://127.0.0.1:{self.settings.edge_port}/health/ready"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            for _ in range(40):
                async with session.get(url) as answer:
                    await answer.read()

    async def stop(self) -> None:
        """Everything down."""
        if self.second is not None:
            await self.second.stop()
        await super().stop()
        await self.cluster.stop()
        await self.postgres.stop()
        self._thread.shutdown()
