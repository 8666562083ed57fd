"""The demo's stage with its stores behind proxies, in this program's hands instead of the supervisor's."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadtests.chaos.proxy import Proxy
from loadtests.demo.stage import Stage
from tracker.settings import Settings
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.errors import StoreError

EDGES = 2
SHIM = Path(__file__).parent / "clock"

T = TypeVar("T")


class Store:
    """An embedded store behind a proxy. It stays away as long as anybody keeps it away."""

    def __init__(self, server: EmbeddedPostgres | EmbeddedValkey, socket: Path, thread: ThreadPoolExecutor) -> None:
        self.server = server
        self.proxy = Proxy(socket)
        self.absences = 0
        self._thread = thread
        self._watching: asyncio.Task[None] | None = None
        self.starts = 0

    async def start(self) -> None:
        """Server and proxy up, and kept up."""
        await self._in_thread(self.server.start)
        await self.proxy.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Both down."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            await self.proxy.stop()
        await self._in_thread(self.server.stop)

    @property
    def pid(self) -> int | None:
        """Of the server's first process, None while it is dead."""
        process = self.server.process
        return process.pid if process is not None and process.poll() is None else None

    async def _watch(self) -> None:
        # As an operator's supervisor does: whatever dies comes back, unless its machine is gone.
        while True:
            if self.pid is None and not self.absences:
                try:
                    await self._in_thread(self.server.start)
                    self.starts += 1
                except StoreError:
                    await asyncio.sleep(0.3)
            await asyncio.sleep(0.1)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        # Always the same thread: a child's death signal is tied to the thread that made it.
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class ChaosStage(Stage):
    """Two edges, a recorder, a worker and an api under the product's supervisor; PostgreSQL and Valkey over TCP."""

    def __init__(self, base: Settings, folder: Path, pool_target: int, seed: int) -> None:
        super().__init__(base, folder / "data", people=20, seed=seed)
        self.folder = folder
        self._pool_target = pool_target
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stores")
        stores = DataFolder(folder / "stores")
        stores.hold()
        postgres, valkey = EmbeddedPostgres(stores), EmbeddedValkey(stores)
        self.stores = {
            "postgres": Store(postgres, stores.socket_dir / "pg" / ".s.PGSQL.5432", self._thread),
            "valkey": Store(valkey, valkey.socket, self._thread),
        }
        self.direct_database_url = stores.database_url
        self.clock_file = folder / "clock"

    def configure(self) -> Settings:
        """The demo's, with the stores behind proxies and every safety net that is slow by default quick."""
        postgres, valkey = (self.stores[name].proxy.port for name in ("postgres", "valkey"))
        return msgspec.structs.replace(
            super().configure(),
            database_url=f"postgresql://clickbind@127.0.0.1:{postgres}/clickbind",
            redis_url=f"redis://127.0.0.1:{valkey}/0",
            edge_workers=EDGES,
            pool_target=self._pool_target,
            delivery_timeout=3.0,  # what a killed worker had on its way is sent again after its lease: twice this and 20 s
            messages_sweep=20.0,
            messages_poll=10.0,
            messages_budget=1000,  # a sweep reads every chat at once
        )

    async def start(self, progress: Callable[[str], None]) -> None:
        """Stores, then all that the demo has."""
        progress("Starting PostgreSQL and Valkey behind proxies")
        self.clock_file.write_text("0")
        for store in self.stores.values():
            await store.start()
        before = {name: os.environ.get(name) for name in ("PYTHONPATH", "CHAOS_CLOCK")}
        paths = [str(SHIM), *filter(None, [before["PYTHONPATH"]])]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "CHAOS_CLOCK": str(self.clock_file)}
        try:
            await super().start(progress)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    async def stop(self) -> None:
        """Everything down."""
        await super().stop()
        for store in self.stores.values():
            await store.stop()
        self._thread.shutdown()

    def pids(self, role: str) -> list[int]:
        """Processes of a role that live."""
        return [
            each.process.pid
            for each in self.supervisor.roles
            if each.name == role and each.process is not None and each.process.returncode is None
        ]

    def restarts(self) -> Counter[str]:
        """How often each role was started again."""
        counts: Counter[str] = Counter()
        for role in self.supervisor.roles:
            counts[role.name] += role.restarts
        return counts

    async def metric(self, name: str) -> float:
        """A counter of the edge that answers, 0 when it has none by that name."""
        async with self.session.get(f"http://127.0.0.1:{self.settings.edge_port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    async def smart_link(self, username: str, name: str, link_type: str) -> Any:
        """Make one more smart link."""
        body = {"account_id": self.account_ids[username], "name": name, "link_type": link_type}
        return await self.api("POST", "smart-links", body)
