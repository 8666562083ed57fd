"""The link map: what links share is held once, what is asked is bounded, a snapshot is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from tracker.clicklog import EdgeLink
from tracker.edge.links import LOOKUPS_LIMIT, SNAPSHOT_NAME, LinkMap

LINK = "01K5AAAAAAAAAAAAAAAAAAAAAA"
LAST_RESORT = b"https://onlyfans.com"


def raw(link_id: str = LINK, **changes: object) -> bytes:
    """A stored link."""
    record = EdgeLink(link_id, "a", 0, "tracking", 1000, "active", "https://onlyfans.com/c", "9|https://onlyfans.com/r")
    return msgspec.msgpack.encode(msgspec.structs.replace(record, **changes))


def new_map(folder: Path) -> LinkMap:
    """An empty map."""
    return LinkMap(folder, LAST_RESORT)


def test_a_link_is_what_was_last_heard_of_it(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, raw())
    link = links.get(LINK)
    assert link is not None
    assert (link.keys.profile, link.keys.reserve_url, link.fallback) == (
        b"https://onlyfans.com/c", b"https://onlyfans.com/r", None,
    )  # fmt: skip
    assert links.get(LINK) is link
    links.put(LINK, raw())
    assert links.get(LINK) is link
    links.put(LINK, raw(state="paused"))
    changed = links.get(LINK)
    assert changed is not None
    assert changed.record.state == "paused"
    assert link.is_active
    assert not changed.is_active


def test_missing_pieces_fall_back_towards_the_platform(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, raw(profile_url="", reserve=""))
    link = links.get(LINK)
    assert link is not None
    assert (link.keys.profile, link.keys.reserve_url) == (LAST_RESORT, LAST_RESORT)


def test_links_of_a_pool_share_what_they_have_in_common(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    ids = [f"01K5{n:022d}" for n in range(10)]
    for link_id in ids:
        links.put(link_id, raw(link_id))
    links.put(LINK, raw(account_id="b"))
    found = [link for link_id in ids if (link := links.get(link_id)) is not None]
    assert [link.record.smart_link_id for link in found] == ids
    assert len({id(link.keys) for link in found}) == 1
    assert len({id(link.record.profile_url) for link in found}) == 1
    other = links.get(LINK)
    assert other is not None
    assert (other.keys.pool, other.record.account_id) == ("{s0}:pool:b:tracking", "b")
    for link_id in ids:
        links.put(link_id, raw(link_id, reserve="10|https://onlyfans.com/s"))
    changed = links.get(ids[0])
    assert changed is not None
    assert (changed.keys.reserve, found[0].keys.reserve) == ("10|https://onlyfans.com/s", "9|https://onlyfans.com/r")


def test_an_unreadable_link_is_no_link(tmp_path: Path) -> None:
    links = new_map(tmp_path)
    links.put(LINK, raw())
    links.put(LINK, b"\xc1nonsense")
    assert links.get(LINK) is None
    links.put(LINK, b"\xc1nonsense")
    assert len(links) == 0


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
