"""The spill: framed records, torn ends, damage, a disk that fails."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from pathlib import Path

import pytest

from tracker.edge.claim import Entry
from tracker.edge.spill import HEAD, Damaged, Spill, frame, read_entries


def entry(number: int) -> Entry:
    """A spilled click."""
    return Entry(0, b"request %d" % number, "click", f"{number:026d}", "v", "new", "9|https://r", "reserve")


def written(path: Path, content: bytes) -> list[Entry]:
    """What is read back from a file of `content`."""
    path.write_bytes(content)
    with path.open("rb") as file:
        return list(read_entries(file))


def test_entries_come_back(tmp_path: Path) -> None:
    entries = [entry(n) for n in range(3)]
    assert written(tmp_path / "f", b"".join(map(frame, entries))) == entries


def test_a_torn_end_is_left_out_wherever_it_was_cut(tmp_path: Path) -> None:
    whole, last = frame(entry(1)), frame(entry(2))
    for cut in range(len(last)):
        assert written(tmp_path / "f", whole + last[:cut]) == [entry(1)]
    assert written(tmp_path / "f", whole + last[:-1] + bytes([last[-1] ^ 1])) == [entry(1)]


def test_damage_before_the_end_is_reported(tmp_path: Path) -> None:
    damaged = bytearray(frame(entry(1)))
    damaged[HEAD.size + 3] ^= 255
    with pytest.raises(Damaged):
        written(tmp_path / "f", bytes(damaged) + frame(entry(2)))


async def test_appends_are_on_disk_when_they_return_and_the_file_is_held(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "spill")
    assert all(await asyncio.gather(*[spill.append(entry(n)) for n in range(40)]))
    (path,) = (tmp_path / "spill").iterdir()
    with path.open("rb") as file:
        assert {found.click_id for found in read_entries(file)} == {entry(n).click_id for n in range(40)}
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await spill.seal()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert await spill.append(entry(99))
    assert len(list((tmp_path / "spill").iterdir())) == 2
    await spill.stop()


async def test_what_waits_during_an_fsync_goes_out_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = Spill(tmp_path)
    syncs = 0
    real = os.fdatasync

    def counting(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counting)
    await asyncio.gather(*[spill.append(entry(n)) for n in range(200)])
    assert syncs <= 3
    await spill.stop()


async def test_a_full_disk_fails_the_append_and_leaves_a_readable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = Spill(tmp_path)
    assert await spill.append(entry(1))
    real = os.write
    full = True

    def half(descriptor: int, data: memoryview) -> int:
        if not full:
            return real(descriptor, data)
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    assert not await spill.append(entry(2))
    assert "No space left" in spill.failing
    full = False
    spill._pause_until = 0.0
    assert await spill.append(entry(3))
    assert spill.failing == ""
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        assert list(read_entries(file)) == [entry(1), entry(3)]
    await spill.stop()


async def test_a_folder_that_cannot_be_used_is_a_failed_append(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spill = Spill(tmp_path / "file" / "spill")
    assert not await spill.append(entry(1))
    assert spill.failing
    await spill.stop()


async def test_what_came_behind_a_failed_write_fails_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = Spill(tmp_path)
    loop = asyncio.get_running_loop()
    behind: list[asyncio.Future[bool]] = []
    queued = threading.Event()

    def queue() -> None:
        behind.append(asyncio.ensure_future(spill.append(entry(2))))
        loop.call_soon(queued.set)

    def full(descriptor: int, data: memoryview) -> int:
        loop.call_soon_threadsafe(queue)
        assert queued.wait(20)
        monkeypatch.undo()  # there is room again at once
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not await spill.append(entry(1))
    assert not await behind[0], "it may repeat the click that was lost"
    spill._pause_until = 0.0
    assert await spill.append(entry(3))
    (path,) = tmp_path.iterdir()
    with path.open("rb") as file:
        assert list(read_entries(file)) == [entry(3)]
    await spill.stop()
