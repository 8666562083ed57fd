"""Keeps rewrites of Valkey's append-only file out of the clicks' way.

The rewrite is done by a child of Valkey's, which would take slices of milliseconds from whoever handles clicks: it gets only
what nobody else wants. And when the file is written anew the old one is deleted: a file system frees hundreds of megabytes in one go,
and whoever syncs meanwhile waits for that, every click for a tenth of a second and more. A file that somebody has open is not
freed when it is deleted: this holds them open, and then makes them shorter step by step.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

LOOK_SECONDS = 0.05  # a rewrite of 128 MB takes a few tenths of a second
STEP_SECONDS, STEP_BYTES = 0.02, 1 << 20  # between two steps of what is given back: 50 MB a second


class Rewrites:
    """Watches one folder of append-only files and its server in a thread of its own, from `start` to `stop`.

    `server`: the process id of the server that writes them now.
    """

    def __init__(self, folder: Path, server: int) -> None:
        self.server = server
        self._folder = folder
        self._children: list[str] = []
        self._held: dict[int, int] = {}  # inode -> descriptor
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rewrites", daemon=True)

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
            with contextlib.suppress(OSError):  # children come and go while one looks
                self.step_back()
            with contextlib.suppress(OSError):  # so do files
                pause = STEP_SECONDS if self.look() else LOOK_SECONDS

    def step_back(self) -> None:
        """Let children of the server run only while nothing else wants to (Linux). Raises OSError when they are gone already."""
        if not hasattr(os, "SCHED_IDLE"):
            return
        known, self._children = (
            self._children,
            Path(f"/proc/{self.server}/task/{self.server}/children").read_text().split(),
        )
        for child in self._children:
            if child not in known:
                # A niceness would not do: a process that was let on stays for its slice, however low it stands.
                os.sched_setscheduler(int(child), os.SCHED_IDLE, os.sched_param(0))

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
