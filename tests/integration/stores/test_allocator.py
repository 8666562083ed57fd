"""The embedded Valkey runs on the allocator that is installed for it."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tracker.stores import embedded, valkey
from tracker.stores.embedded import DataFolder, allocator


@pytest.mark.skipif("LD_PRELOAD" in os.environ or sys.platform != "linux", reason="this machine brings its own")
async def test_the_running_server_has_it(store_folder: DataFolder) -> None:
    client = valkey.connect(store_folder.redis_url)
    info = await client.info("server")
    await client.aclose()
    is_loaded = "libmimalloc" in Path(f"/proc/{info['process_id']}/maps").read_text()
    assert is_loaded is ("LD_PRELOAD" in allocator())


def test_without_it_glibc_is_tuned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Installed:
        def locate_file(self, name: str) -> Path:
            return folder / name

    for folder in (tmp_path, tmp_path / "with space", tmp_path / "here"):
        (folder / "cmeel.prefix/lib").mkdir(parents=True)
        monkeypatch.setattr(embedded, "distribution", lambda _: Installed())
        assert "GLIBC_TUNABLES" in allocator()  # the package is there, its library is not
        (folder / embedded.MIMALLOC).touch()
        assert ("LD_PRELOAD" in allocator()) is (" " not in str(folder))

    def missing(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(embedded, "distribution", missing)
    assert list(allocator()) == ["GLIBC_TUNABLES"]
