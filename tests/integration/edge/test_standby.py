"""While Valkey is away a repeated click stays the same click, and a new one gets a link of its own (while loans last)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.integration.edge.conftest import RESERVE, World
from tests.integration.edge.test_degraded import edge, entries, is_ready, is_replayed, until
from tests.integration.edge.test_degraded import server as server
from tracker.edge.standby import STASH
from tracker.stores.embedded import EmbeddedValkey

HOUR = 3_600_000


async def _fill(world: World) -> None:
    await world.service.standby.fill(world.clock.ms)


async def _freeze(server: EmbeddedValkey, world: World) -> None:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    await world.request(query=b"ecid=breaks")
    assert not world.service.pipeline.up


async def _thaw(server: EmbeddedValkey, world: World) -> None:
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGCONT)
    await until(lambda: is_ready(world))
    await until(lambda: is_replayed(world))


async def test_an_edge_borrows_an_eighth_of_what_is_free_and_gives_it_back(
    server: EmbeddedValkey, tmp_path: Path
) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(81)
        await world.request(query=b"ecid=1")  # the pool is in use from now on
        await _fill(world)
        assert world.service.standby.lent == 10
        held = [score for score in (await world.pool()).values() if score > world.clock.ms]
        assert len(held) == 11
        await world.fill_pool(400, first=100)
        await _fill(world)
        assert world.service.standby.lent == STASH
        world.clock.ms += HOUR
        await _fill(world)  # nobody came for an hour
        assert world.service.standby.lent == 0


async def test_new_clicks_get_links_of_their_own_and_repeats_stay_one(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(100)
        before = await world.request(query=b"ecid=before")
        await _fill(world)
        lent = world.service.standby.lent
        await _freeze(server, world)

        again = await world.request(query=b"ecid=before", cookie=f"cbv={before.visitor}")
        assert again.location == before.location, "a click of before is the same click"
        first = await world.request(query=b"ecid=new")
        second = await world.request(query=b"ecid=new", cookie=f"cbv={first.visitor}")
        third = await world.request(query=b"ecid=new")  # the cookie did not come back in time
        assert first.location == second.location == third.location != before.location
        assert first.visitor == third.visitor
        others = [await world.request(query=b"ecid=o%d" % number) for number in range(lent)]
        assert others[-1].location == RESERVE.partition("|")[2], "loans run out"
        targets = {answer.location for answer in others[:-3]}
        assert len(targets) == len(others) - 3, "until then each has a link of its own"

        await _thaw(server, world)
        logged = [entry for entry in await entries(world) if entry.visit.ecid == "new"]
        assert [entry.kind for entry in logged] == ["click", "duplicate", "duplicate"]
        assert len({entry.click for entry in logged}) == 1
        assert {(entry.lease, entry.spilled) for entry in logged} == {("exclusive", True)}
        pool = await world.pool()
        assert pool[logged[0].member] == logged[-1].visit.at_ms + 21_600_000 + 60_000, "its lease is the click's now"

        after = await world.request(query=b"ecid=new", cookie=f"cbv={first.visitor}")
        assert after.location == first.location, "and Valkey knows the click"
        logged = [entry for entry in await entries(world) if entry.visit.ecid == "new"]
        assert (logged[-1].kind, logged[-1].click, logged[-1].spilled) == ("duplicate", logged[0].click, False)


async def test_two_people_with_one_fingerprint_stay_two(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(100)
        first = await world.request(query=b"ecid=a&fbclid=one")
        await _fill(world)
        await _freeze(server, world)
        world.clock.ms += 31_000
        same = await world.request(query=b"ecid=a")
        assert same.location == first.location
        world.clock.ms += 31_000
        other = await world.request(query=b"ecid=a&fbclid=two")
        assert other.location != first.location
        assert other.visitor != first.visitor
        await _thaw(server, world)


async def test_a_remembered_click_is_forgotten_after_its_window(server: EmbeddedValkey, tmp_path: Path) -> None:
    async with edge(server, tmp_path) as world:
        await world.put_link(window_ms=60_000)
        await world.fill_pool(100)
        first = await world.request(query=b"ecid=w")
        await _fill(world)
        await _freeze(server, world)
        world.clock.ms += 60_001
        later = await world.request(query=b"ecid=w", cookie=f"cbv={first.visitor}")
        assert later.location != first.location
        await _thaw(server, world)
        assert [entry.kind for entry in await entries(world) if entry.visit.ecid == "w"] == ["click", "click"]


async def test_a_click_the_spill_could_not_keep_is_not_repeated(server: EmbeddedValkey, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with edge(server, tmp_path) as world:
        await world.put_link()
        await world.fill_pool(100)
        before = await world.request(query=b"ecid=before")
        await _freeze(server, world)
        service = world.service
        await service.spill.seal()
        usable, service.spill.folder = service.spill.folder, tmp_path / "file" / "below"
        lost = await world.request(query=b"ecid=lost")
        await world.request(query=b"ecid=before", cookie=f"cbv={before.visitor}")
        assert service.metrics.unrecorded == 2
        service.spill.folder = usable
        service.spill._pause_until = 0.0

        again = await world.request(query=b"ecid=lost", cookie=f"cbv={lost.visitor}")
        await world.request(query=b"ecid=lost")  # the cookie did not come back in time
        await world.request(query=b"ecid=before", cookie=f"cbv={before.visitor}")
        assert again.status == 302
        await _thaw(server, world)
        logged = await entries(world)
        kinds = {ecid: [e.kind for e in logged if e.visit.ecid == ecid] for ecid in ("lost", "before")}
        assert kinds == {"lost": ["click", "duplicate"], "before": ["click", "duplicate"]}
        clicks = {entry.click for entry in logged if entry.kind == "click"}
        assert {entry.click for entry in logged} == clicks, "no visit is without its click"
