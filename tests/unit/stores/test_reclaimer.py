"""Deleted append-only files are given back step by step, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

from tracker.stores.reclaimer import STEP_BYTES, Reclaimer


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
    reclaimer = Reclaimer(tmp_path)
    reclaimer.look()
    (tmp_path / "a.1.base.rdb").unlink()
    (tmp_path / "a.manifest").unlink()
    sizes = []
    for _ in range(4):
        reclaimer.look()
        sizes.append(os.fstat(goes).st_size)
    assert sizes == [STEP_BYTES + 1, 1, 0, 0]
    assert os.fstat(stays).st_size == 3 * STEP_BYTES
    assert os.fstat(other).st_size == 100
    reclaimer.start()
    reclaimer.stop()
    assert (tmp_path / "a.1.incr.aof").stat().st_size == 3 * STEP_BYTES
    for descriptor in (stays, goes, other):
        os.close(descriptor)


def test_a_folder_that_is_not_there_yet_is_looked_at_again(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    reclaimer = Reclaimer(folder)
    reclaimer.start()
    reclaimer.stop()
    folder.mkdir()
    file = sparse(folder / "a.aof", 10)
    reclaimer.look()
    (folder / "a.aof").unlink()
    reclaimer.look()
    assert os.fstat(file).st_size == 0
    os.close(file)
