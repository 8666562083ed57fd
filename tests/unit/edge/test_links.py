"""The link map: lazily decoded, bounded in what it asks, kept in a snapshot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tracker.clicklog import EdgeLink
from tracker.edge import links as links_module
from tracker.edge.links import LOOKUPS_LIMIT, SNAPSHOT_NAME, Link, LinkMap

LINK = "01K5AAAAAAAAAAAAAAAAAAAAAA"
LAST_RESORT = b"https://onlyfans.com"


def raw(link_id: str = LINK, **changes: object) -> bytes:
    """A stored link."""
    record = EdgeLink(link_id, "a", 0, "tracking", 1000, "active", "https://onlyfans.com/c", "9|https://onlyfans.com/r")
    return msgspec.msgpack.encode(msgspec.structs.replace(record, **changes))


def new_map(folder: Path) -> LinkMap:
    """An empty map."""
    return LinkMap(folder, "https://go.example.com", LAST_RESORT)


def test_a_link_is_prepared_on_first_use(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, raw())
    link = links.get(LINK)
    assert link is not None
    assert (link.profile, link.reserve_url, link.fallback) == (
        b"https://onlyfans.com/c", b"https://onlyfans.com/r", None,
    )  # fmt: skip
    assert links.get(LINK) is link
    links.put(LINK, raw())
    assert links.get(LINK) is link
    links.put(LINK, raw(state="paused"))
    changed = links.get(LINK)
    assert changed is not None
    assert changed.record.state == "paused"


def test_missing_pieces_fall_back_towards_the_platform(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, raw(profile_url="", reserve=""))
    link = links.get(LINK)
    assert link is not None
    assert (link.profile, link.reserve_url) == (LAST_RESORT, LAST_RESORT)


def test_only_so_many_links_stay_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "OPEN_LIMIT", 3)
    links = new_map(tmp_path)
    ids = [f"01K5{n:022d}" for n in range(10)]
    for link_id in ids:
        links.put(link_id, raw(link_id))
        assert links.get(link_id) is not None
    assert sum(isinstance(held, Link) for held in links._links.values()) <= 3
    assert all((link := links.get(link_id)) is not None and link.record.smart_link_id == link_id for link_id in ids)


def test_an_unreadable_link_is_no_link(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, b"\xc1nonsense")
    assert links.get(LINK) is None


async def test_a_snapshot_is_read_back(tmp_path: Path) -> None:
    links = new_map(tmp_path / "spill")
    links.put(LINK, raw())
    await links.save()
    again = new_map(tmp_path / "spill")
    assert not again.loaded
    assert again.load_snapshot()
    assert again.loaded
    assert again.get(LINK) is not None
    (tmp_path / "spill" / SNAPSHOT_NAME).write_bytes(b"torn")
    assert not new_map(tmp_path / "spill").load_snapshot()
    assert not new_map(tmp_path / "nowhere").load_snapshot()


async def test_unknown_ids_are_asked_for_once_and_strangers_cannot_flood(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.loaded = True
    asked: list[str] = []
    gate = asyncio.Event()

    async def fetch(link_id: str) -> bytes | None:
        asked.append(link_id)
        await gate.wait()
        return None

    ids = [f"01K5{n:022d}" for n in range(LOOKUPS_LIMIT + 20)]
    tasks = [asyncio.create_task(links.find(link_id, fetch)) for link_id in ids + ids[:5]]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*tasks) == [None] * len(tasks)
    assert len(asked) == LOOKUPS_LIMIT
    assert await links.find(ids[0], fetch) is None
    assert await links.find("not an id", fetch) is None
    assert len(asked) == LOOKUPS_LIMIT


async def test_an_id_that_could_not_be_asked_for_is_asked_again(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    answers: list[bytes | None] = [None, raw()]

    async def fetch(link_id: str) -> bytes | None:
        answer = answers.pop(0)
        if answer is None:
            raise LookupError("Valkey is away")
        return answer

    assert await links.find(LINK, fetch) is None
    assert await links.find(LINK, fetch) is not None
