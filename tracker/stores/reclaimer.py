"""Gives the space of replaced append-only files back a little at a time.

When Valkey has written its append-only file anew it deletes the old one. A file system frees hundreds of megabytes in one go, and
whoever syncs meanwhile waits for that: every click for a tenth of a second and more. A file that somebody has open is not freed when
it is deleted: this holds them open, and then makes them shorter step by step.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

LOOK_SECONDS = 0.2
STEP_SECONDS, STEP_BYTES = 0.02, 1 << 20  # between two steps of what is given back: 50 MB a second


class Reclaimer:
    """Watches one folder of append-only files in a thread of its own, from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, int] = {}  # inode -> descriptor
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reclaimer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is held is freed at once."""
        self._stopped.set()
        self._thread.join()
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._stopped.wait(pause):
            with contextlib.suppress(OSError):  # files come and go while one looks
                pause = STEP_SECONDS if self.look() else LOOK_SECONDS

    def look(self) -> bool:
        """Hold what is new; make what was deleted one step shorter, and say whether there was any. Raises OSError."""
        gone = False
        for inode, descriptor in list(self._held.items()):
            status = os.fstat(descriptor)
            if status.st_nlink:
                continue
            gone = True
            left = max(0, status.st_size - STEP_BYTES)
            os.ftruncate(descriptor, left)
            if not left:
                os.close(descriptor)
                del self._held[inode]
        for entry in os.scandir(self._folder):
            if entry.name.endswith((".aof", ".rdb")) and entry.inode() not in self._held:
                descriptor = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC)
                self._held[os.fstat(descriptor).st_ino] = descriptor
        return gone
