"""`clickbind up`: the embedded stores and one process per role on this machine, each restarted when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import asyncpg
import structlog

from tracker.handover import LISTEN_FD, READY_FD, open_listener
from tracker.settings import Settings, as_environment
from tracker.stores import postgres
from tracker.stores.embedded import DataFolder, EmbeddedPostgres, EmbeddedValkey
from tracker.stores.errors import StoreError
from tracker.stores.processes import die_with_parent
from tracker.stores.urls import database_url

log = structlog.get_logger()

ROLES = ("edge", "recorder", "worker", "api")
STEADY_SECONDS = 10.0  # a process that ran this long is healthy again: its next restart is quick
STOP_SECONDS = 20.0
BACKLOG = 4096
READY_SECONDS = 30.0  # a successor has this long until it serves


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
    listener: socket.socket | None = None  # handed to every process of this role, and kept when one goes
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    stopping: bool = False
    delay: float = field(default=0.2)
    _started: float = 0.0

    async def supervise(self) -> None:
        """Run until told to stop; restart on every other end, waiting longer the quicker it dies."""
        while not self.stopping:
            process = self.process = await self._spawn()
            while True:
                code = await process.wait()
                if self.stopping:
                    return
                if self.process is process:
                    break
                process = self.process  # `replace` has put another in its place
            self.delay = 0.2 if time.monotonic() - self._started > STEADY_SECONDS else min(self.delay * 2, 5.0)
            self.restarts += 1
            log.warning("role.died", name=self.name, exit_code=code, restart_in_seconds=self.delay)
            await asyncio.sleep(self.delay)

    async def _spawn(self, ready: int | None = None) -> asyncio.subprocess.Process:
        """Start a process; `ready` is the end of a pipe on which it says that it serves."""
        handed = {LISTEN_FD: self.listener.fileno()} if self.listener is not None else {}
        handed |= {READY_FD: ready} if ready is not None else {}
        self._started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *self.command,
            env=dict(self.env) | {name: str(number) for name, number in handed.items()},
            pass_fds=tuple(handed.values()),
            preexec_fn=die_with_parent(signal.SIGTERM),
            stdin=asyncio.subprocess.DEVNULL,
        )
        log.info("role.started", name=self.name, pid=process.pid)
        return process

    async def replace(self) -> bool:
        """Put a new process in the place of the running one, which is told to stop once the new one serves.

        False, and the old one stays, when the new one does not come up. A role that serves nobody is just started again.
        """
        old = self.process
        if old is None or old.returncode is not None or self.stopping:
            return False
        if self.listener is None:
            await _end(old, self.name)  # `supervise` starts it again; what it works on waits
            return True
        reading, writing = os.pipe()
        try:
            successor = await self._spawn(ready=writing)
        finally:
            os.close(writing)
        if not await _is_ready(reading):
            log.error("role.not_replaced", name=self.name, old=old.pid, why="the new process did not come to serve")
            await _end(successor, self.name)
            return False
        self.process = successor
        await _end(old, self.name)
        log.info("role.replaced", name=self.name, old=old.pid, new=successor.pid)
        return True

    async def stop(self) -> None:
        """Ask it to finish, then insist."""
        self.stopping = True
        if self.process is not None:
            await _end(self.process, self.name)


async def _end(process: asyncio.subprocess.Process, name: str) -> None:
    if process.returncode is not None:
        return
    try:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        log.warning("role.killed", name=name)
        process.kill()
        await process.wait()
    except ProcessLookupError:
        return


async def _is_ready(reading: int) -> bool:
    """Wait for the word on a pipe, and close it. An end without a word, or READY_SECONDS without either: no."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[bool] = loop.create_future()

    def read() -> None:
        loop.remove_reader(reading)
        told.set_result(bool(os.read(reading, 1)))

    loop.add_reader(reading, read)
    try:
        return await asyncio.wait_for(told, READY_SECONDS)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(reading)
        os.close(reading)


class Supervisor:
    """Everything `clickbind up` runs. `await start()`, then `await run()` until `stop()`."""

    def __init__(self, settings: Settings, roles: tuple[str, ...] = ROLES) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data_path)
        self.stores: list[tuple[str, EmbeddedPostgres | EmbeddedValkey]] = []
        self.role_names = roles
        self.roles: list[Role] = []
        self._listener: socket.socket | None = None
        self._replacing = asyncio.Lock()
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
                listener = self._listen() if name == "edge" else None
                role = Role(name, [sys.executable, "-m", "tracker.cli.main", name], env, listener)
                self.roles.append(role)
                self._tasks.append(asyncio.create_task(role.supervise()))
        self._tasks.append(asyncio.create_task(self._watch_stores()))

    def _listen(self) -> socket.socket:
        # One queue for all edges: whichever is free takes the next connection, and none is lost with the one that dies.
        if self._listener is None:
            self._listener = open_listener(self.settings.edge_host, self.settings.edge_port, "CLICKBIND_EDGE")
            self._listener.listen(BACKLOG)
        return self._listener

    async def replace(self, names: tuple[str, ...] = ROLES) -> bool:
        """A rolling restart: every process of these roles anew, one after the other. False when one could not be."""
        async with self._replacing:
            done = [await role.replace() for role in self.roles if role.name in names]
        return all(done)

    def request_replace(self) -> None:
        """Begin a rolling restart of every role; for a signal handler."""
        self._tasks.append(asyncio.create_task(self._replace_all()))

    async def _replace_all(self) -> None:
        await self.replace()

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
        if self._listener is not None:
            self._listener.close()
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
