"""`clickbind up`: the embedded stores and one process per role on this machine, each restarted when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import asyncpg
import structlog

from tracker.settings import Settings, as_environment
from tracker.stores import postgres
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey, die_with_parent
from tracker.stores.errors import StoreError
from tracker.stores.urls import database_url

log = structlog.get_logger()

ROLES = ("edge", "recorder", "worker", "api")
STEADY_SECONDS = 10.0  # a process that ran this long is healthy again: its next restart is quick
STOP_SECONDS = 20.0


class Store(Protocol):
    """An embedded store."""

    process: object

    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Role:
    """One supervised process."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    stopping: bool = False
    delay: float = field(default=0.2)

    async def supervise(self) -> None:
        """Run until told to stop; restart on every other end, waiting longer the quicker it dies."""
        while not self.stopping:
            started = time.monotonic()
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env=self.env,
                preexec_fn=die_with_parent(signal.SIGTERM),
                stdin=asyncio.subprocess.DEVNULL,
            )
            log.info("role.started", name=self.name, pid=self.process.pid)
            code = await self.process.wait()
            if self.stopping:
                return
            self.delay = 0.2 if time.monotonic() - started > STEADY_SECONDS else min(self.delay * 2, 5.0)
            self.restarts += 1
            log.warning("role.died", name=self.name, exit_code=code, restart_in_seconds=self.delay)
            await asyncio.sleep(self.delay)

    async def stop(self) -> None:
        """Ask it to finish, then insist."""
        self.stopping = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        try:
            process.terminate()
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            log.warning("role.killed", name=self.name)
            process.kill()
            await process.wait()
        except ProcessLookupError:
            return


class Supervisor:
    """Everything `clickbind up` runs. `await start()`, then `await run()` until `stop()`."""

    def __init__(self, settings: Settings, roles: tuple[str, ...] = ROLES) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data_path)
        self.stores: list[tuple[str, EmbeddedPostgres | EmbeddedValkey]] = []
        self.role_names = roles
        self.roles: list[Role] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def start(self, progress: Callable[[str], None] = lambda text: None) -> None:
        """Take the data folder, start stores, migrate, start roles. Raises StoreError with what to do."""
        self.folder.hold()
        if not self.settings.database_url:
            progress("Starting PostgreSQL")
            self._start_store("postgres", EmbeddedPostgres(self.folder))
        if not self.settings.redis_url:
            progress("Starting Valkey")
            self._start_store("valkey", EmbeddedValkey(self.folder))
        progress("Checking the database schema")
        await migrate(self.settings)
        from tracker.secrets import installation_key

        installation_key(self.settings)  # made once here, so that the roles do not race for it
        progress("Starting " + ", ".join(self.role_names))
        env = dict(os.environ) | as_environment(self.settings) | {"CLICKBIND_DATA_DIR": str(self.settings.data_path)}
        env.pop("CLICKBIND_CONFIG", None)  # its values are in the settings already
        for name in self.role_names:
            for _ in range(self.settings.edge_workers if name == "edge" else 1):
                role = Role(name, [sys.executable, "-m", "tracker.cli.main", name], env)
                self.roles.append(role)
                self._tasks.append(asyncio.create_task(role.supervise()))
        self._tasks.append(asyncio.create_task(self._watch_stores()))

    def _start_store(self, name: str, store: EmbeddedPostgres | EmbeddedValkey) -> None:
        store.start()
        self.stores.append((name, store))

    async def _watch_stores(self) -> None:
        while not self._stopping.is_set():
            for name, store in self.stores:
                if store.process is not None and store.process.poll() is not None:
                    log.error("store.died", name=name, exit_code=store.process.returncode)
                    try:
                        # In this thread on purpose: the death signal of a child is tied to the thread that made it.
                        store.start()
                    except StoreError as error:
                        log.error("store.restart_failed", name=name, error=str(error))
                    else:
                        log.warning("store.restarted", name=name)
            await asyncio.sleep(0.25)

    async def run(self) -> None:
        """Wait for `request_stop`."""
        await self._stopping.wait()

    def request_stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def stop(self) -> None:
        """Edge first (it drains), then the others, then the stores."""
        self._stopping.set()
        for group in (("edge",), ("api", "worker", "recorder")):
            await asyncio.gather(*(role.stop() for role in self.roles if role.name in group))
        for task in self._tasks:
            task.cancel()
        for _, store in reversed(self.stores):
            store.stop()
        self.folder.release()


async def migrate(settings: Settings) -> list[str]:
    """Bring the schema up to date. Returns the names of the migrations applied."""
    try:
        connection = await asyncpg.connect(database_url(settings), timeout=15)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise StoreError(f"PostgreSQL does not answer: {error}. Is it running where DATABASE_URL points?") from error
    try:
        return await postgres.migrate(connection)
    finally:
        await connection.close()
