"""The stores' processes: children that die with us, and orphans of an earlier run."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tracker.stores.errors import StoreError

PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int) -> Callable[[], None] | None:
    """A preexec function that asks Linux to send `signal_number` when our process goes, however it goes."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def set_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal_number)

    return set_signal


def stop_orphan(pid_file: Path, signal_number: int) -> None:
    """End a store that outlived its parent (killed before the death signal was set) and so holds the folder of `pid_file`.

    Raises StoreError when it does not stop within half a minute.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if str(pid_file.parent).encode() not in command:
        return  # the number was given to another program since
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        pause(0.2)
    raise StoreError(
        f"A store of an earlier run (process {pid}) holds {pid_file.parent} and does not stop. End it by hand."
    )


def stop(process: subprocess.Popen[bytes] | None, signal_number: int) -> None:
    """Ask a child to end; after half a minute, make it."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal_number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pause(seconds: float) -> None:
    """Wait. Start-up is sequential and happens before any event loop runs."""
    time.sleep(seconds)
