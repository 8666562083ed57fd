"""Where clicks are kept while Valkey is away: append-only files, on disk before the fan is answered.

A file is a row of records: length and CRC-32 of the payload (little endian, 4 bytes each), then the payload, msgpack of
`claim.Entry`. Its writer holds an flock on it; a file nobody holds (sealed, or left by a dead process) is for the replayer.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec
import structlog

from tracker.edge.claim import Entry

log = structlog.get_logger()

SUFFIX = ".spill"
DAMAGED_SUFFIX = ".damaged"
HEAD = struct.Struct("<II")
MAX_RECORD = 1 << 20
FAILURE_PAUSE_SECONDS = 0.1  # a full disk is not asked again for each click
SLOW_DISK_SECONDS = 2.0  # longest a fan waits for the disk

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Damaged(Exception):
    """A spill file holds something that was never written by us, before its end."""


def frame(entry: Entry) -> bytes:
    """An entry as a record."""
    payload = _encode(entry)
    return HEAD.pack(len(payload), crc32(payload)) + payload


def read_entries(file: BinaryIO) -> Iterator[Entry]:
    """The entries of a spill file. A torn last record is left out: its click was never answered. Raises Damaged."""
    size = os.fstat(file.fileno()).st_size
    while True:
        start = file.tell()
        head = file.read(HEAD.size)
        if len(head) < HEAD.size:
            return
        length, checksum = HEAD.unpack(head)
        payload = file.read(min(length, MAX_RECORD))
        if len(payload) < length and file.tell() == size:
            return
        if length > MAX_RECORD or crc32(payload) != checksum:
            if file.tell() == size:
                return
            raise Damaged(f"record at byte {start}")
        try:
            yield _decode(payload)
        except msgspec.DecodeError as error:
            raise Damaged(f"record at byte {start}: {error}") from error


class Spill:
    """Appends entries with group fsync: what waits while one fsync runs goes out with the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failing = ""
        """Why the last append failed, in words; '' while appends succeed."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spill")
        self._waiting: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._file = -1
        self._path: Path | None = None
        self._size = 0
        self._pause_until = 0.0
        self.shards: set[int] = set()
        """Whose entries the file being written, or about to be, may hold."""

    @property
    def active_bytes(self) -> int:
        """Size of the file being written."""
        return self._size

    @property
    def writing(self) -> bool:
        """Whether entries are on their way to the disk."""
        return bool(self._waiting) or (self._writer is not None and not self._writer.done())

    async def append(self, entry: Entry) -> bool:
        """Put an entry on disk. Returns False when that failed or took too long; then the click is not recorded."""
        loop = asyncio.get_running_loop()
        if self.failing and loop.time() < self._pause_until:
            return False
        stored: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((frame(entry), stored))
        self.shards.add(entry.shard)
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._drain())
        done, _ = await asyncio.wait([stored], timeout=SLOW_DISK_SECONDS)
        return bool(done) and stored.result()

    async def seal(self) -> None:
        """Close the file being written, so that it can be replayed. The next append begins another."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        if not self.writing:
            self.shards.clear()

    async def stop(self) -> None:
        """Finish what is being written and close."""
        if self._writer is not None:
            await self._writer
        await self.seal()
        self._thread.shutdown(wait=False)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._thread, self._write, b"".join([record for record, _ in batch]))
            except OSError as error:
                if not self.failing:
                    log.error("edge.spill_failing", error=str(error), folder=str(self.folder))
                self.failing = f"the spill cannot be written: {error.strerror or error}"
                self._pause_until = loop.time() + FAILURE_PAUSE_SECONDS
                # What came meanwhile may repeat a click that is lost with this batch: it must not be kept without it.
                batch += self._waiting
                self._waiting = []
            else:
                if self.failing:
                    log.info("edge.spill_works_again")
                self.failing = ""
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(not self.failing)

    def _write(self, records: bytes) -> None:
        if self._file < 0:
            self._open()
        try:
            view = memoryview(records)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self._take_back()
            raise
        self._size += len(records)

    def _take_back(self) -> None:
        # Half a record in the middle would make the rest unreadable: cut it off, or leave this file for good.
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._close()

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
        # Locked under another name first: a replayer must never see it unheld.
        staged = path.with_suffix(".new")
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            staged.rename(path)
            sync_folder(self.folder)
        except OSError:
            os.close(file)
            raise
        self._file, self._path, self._size = file, path, 0

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            if self._size == 0 and self._path is not None:
                self._path.unlink(missing_ok=True)
            self._file, self._path, self._size = -1, None, 0


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
