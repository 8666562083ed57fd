"""Deleted append-only files are given back step by step, a rewriting child steps back, and nothing else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tracker.stores.rewrites import STEP_BYTES, Rewrites


def sparse(path: Path, size: int) -> int:
    """A file of that size, and a descriptor of it that stays open."""
    path.touch()
    os.truncate(path, size)
    return os.open(path, os.O_RDONLY)


def test_what_was_deleted_shrinks_and_what_stays_stays(tmp_path: Path) -> None:
    stays, goes = (
        sparse(tmp_path / "a.1.incr.aof", 3 * STEP_BYTES),
        sparse(tmp_path / "a.1.base.rdb", 2 * STEP_BYTES + 1),
    )
    other = sparse(tmp_path / "a.manifest", 100)
    rewrites = Rewrites(tmp_path, os.getpid())
    rewrites.look()
    (tmp_path / "a.1.base.rdb").unlink()
    (tmp_path / "a.manifest").unlink()
    sizes = []
    for _ in range(4):
        rewrites.look()
        sizes.append(os.fstat(goes).st_size)
    assert sizes == [STEP_BYTES + 1, 1, 0, 0]
    assert os.fstat(stays).st_size == 3 * STEP_BYTES
    assert os.fstat(other).st_size == 100
    rewrites.start()
    rewrites.stop()
    assert (tmp_path / "a.1.incr.aof").stat().st_size == 3 * STEP_BYTES
    for descriptor in (stays, goes, other):
        os.close(descriptor)


def test_a_folder_that_is_not_there_yet_is_looked_at_again(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    rewrites = Rewrites(folder, os.getpid())
    rewrites.start()
    rewrites.stop()
    folder.mkdir()
    file = sparse(folder / "a.aof", 10)
    rewrites.look()
    (folder / "a.aof").unlink()
    rewrites.look()
    assert os.fstat(file).st_size == 0
    os.close(file)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux only")
def test_a_child_of_the_server_steps_back_and_the_server_does_not(tmp_path: Path) -> None:
    server = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert server.stdout is not None
        child = int(server.stdout.readline())
        rewrites = Rewrites(tmp_path, server.pid)
        rewrites.step_back()
        assert os.sched_getscheduler(child) == os.SCHED_IDLE
        assert os.sched_getscheduler(server.pid) == os.SCHED_OTHER
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_server_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    file = sparse(tmp_path / "a.aof", 10)
    rewrites = Rewrites(tmp_path, gone.pid)
    rewrites.look()
    (tmp_path / "a.aof").unlink()
    rewrites.start()
    deadline = time.monotonic() + 30
    while os.fstat(file).st_size and time.monotonic() < deadline:
        time.sleep(0.01)
    rewrites.stop()
    assert os.fstat(file).st_size == 0
    os.close(file)
