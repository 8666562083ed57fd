"""The live view's feed: no row missed, none that is another team's, whatever order rows are written in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import ulid

from tests.integration.dashboard.conftest import SECRETS
from tests.integration.dashboard.test_pages import LINK, plant, team_of
from tracker.access import people
from tracker.access.people import SQL as PEOPLE
from tracker.access.sessions import cookie_name
from tracker.access.sessions import open as open_session
from tracker.lists import cursors, happenings
from tracker.management.services import Services
from tracker.stores.postgres import Pool

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"
OTHER = "01KE2JN9RBPAZNYSXKMYHR4JQ9"


def now() -> datetime:
    return datetime.now(UTC)


async def click(pool: Pool, at: datetime, account: str = "acct_1", link: str = LINK, **more: Any) -> str:
    """A click of that time, recorded just now."""
    click_id = str(ulid.from_timestamp(at)).lower()
    row = {"is_bot": False, "ecid": None, "user_agent": "x", **more}
    await pool.execute(
        "INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by, lease, is_bot, ecid,"
        " user_agent) VALUES ($1, $2, $3, $4, $4, 'v', 'new', 'exclusive', $5, $6, $7)",
        click_id, link, account, at, row["is_bot"], row["ecid"], row["user_agent"],
    )  # fmt: skip
    return click_id


async def recorded(pool: Pool, shard: int, at: datetime) -> None:
    """The recorder has come that far in a shard's log."""
    await pool.execute(
        "INSERT INTO stream_positions (shard, replication_id, entry_id) VALUES ($1, 'x', $2)"
        " ON CONFLICT (shard) DO UPDATE SET entry_id = $2",
        shard, f"{int(at.timestamp() * 1000)}-0",
    )  # fmt: skip


async def conversion(pool: Pool, team: str, name: str, click_id: str, at: datetime, **more: Any) -> None:
    await pool.execute(
        "INSERT INTO fans (account_id, fan_id, name) VALUES ('acct_1', '7', $1) ON CONFLICT DO NOTHING", HOSTILE
    )
    await pool.execute(
        "INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type, conversion_at,"
        " created_at, event_keys, amount_gross_cents) VALUES ($1, $2, 'acct_1', $3, $4, '7', $5, $6, $7, '{e}', $8)",
        name, team, LINK, click_id, more.get("kind", "new_subscriber"), more.get("happened", at), at, more.get("cents"),
    )  # fmt: skip


class Viewer:
    """What the page's script does: asks, drops what it has, goes on."""

    def __init__(self, client: httpx.AsyncClient, query: str = "") -> None:
        self._client, self._query, self.cursor, self.seen = client, query, "", list[str]()

    async def ask(self) -> list[dict[str, Any]]:
        after = f"&after={self.cursor}" if self.cursor else ""
        answer = await self._client.get(f"/live/feed?{self._query}{after}")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        self.cursor = told["cursor"]
        fresh = [row for row in told["rows"] if row["key"] not in self.seen]
        self.seen += [row["key"] for row in fresh]
        return fresh


async def test_everything_comes_once_and_in_order(owner: httpx.AsyncClient, pool: Pool) -> None:
    team = await team_of(pool)
    await plant(pool, team)
    start = now()
    await recorded(pool, 0, start)
    old = await click(pool, start - timedelta(minutes=5), ecid="earlier")
    await click(pool, start - timedelta(hours=2))  # too long ago for a first look
    viewer = Viewer(owner)
    first = await viewer.ask()
    assert [row["key"] for row in first] == [f"c:{old}"]
    assert "ecid earlier" in first[0]["more"]
    assert await viewer.ask() == []
    new = await click(pool, now())
    await conversion(pool, team, "conv-1", new, now(), kind="new_transaction", cents=2500)
    await pool.execute(
        "INSERT INTO visits (visit_id, click_id, account_id, visited_at, visitor_by) VALUES ($1, $2, 'acct_1', now(), 'cookie')",
        str(ulid.from_timestamp(now())).lower(), new,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types)"
        " VALUES ('D1', $1, 'postback', 'Tracker', '{}', '{new_subscriber}')", team,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, status_code, outcome, verdict)"
        " VALUES (current_date, 'conv-1', 'D1', 2, now() - interval '20 seconds', 20000, '', 500, 'transient', $1)", HOSTILE,
    )  # fmt: skip
    told = await viewer.ask()
    assert {(row["kind"], row["label"]) for row in told} == {
        ("click", "Click"), ("click", "Again"), ("conversion", "Payment"), ("delivery", "Refused"),
    }  # fmt: skip
    payment = next(row for row in told if row["kind"] == "conversion")
    assert payment["words"] == f"$25.00 · {HOSTILE}"
    assert payment["href"] == "/explain/conversion/conv-1"
    refused = next(row for row in told if row["kind"] == "delivery")
    assert "attempt 2" in refused["more"]
    assert [row["at"] for row in told] == sorted(row["at"] for row in told)
    assert await viewer.ask() == []
    assert len(viewer.seen) == len(set(viewer.seen)) == 5


async def test_a_late_recorder_and_a_slow_transaction_leave_no_gap(owner: httpx.AsyncClient, pool: Pool) -> None:
    """Two shards; one stands still while the other goes on, then brings clicks of ten minutes ago."""
    team = await team_of(pool)
    await plant(pool, team)
    await plant(pool, team, "acct_2", OTHER)
    await pool.execute("UPDATE accounts SET shard = 1 WHERE account_id = 'acct_2'")
    stuck = now() - timedelta(minutes=10)
    await recorded(pool, 0, stuck)
    await recorded(pool, 1, now())
    viewer = Viewer(owner)
    await viewer.ask()
    for _ in range(3):
        at = now()
        ahead = await click(pool, at, "acct_2", OTHER)
        await recorded(pool, 1, at)
        assert [row["key"] for row in await viewer.ask()] == [f"c:{ahead}"]
    late = {await click(pool, stuck + timedelta(minutes=minute, seconds=1)) for minute in range(9)}
    await recorded(pool, 0, now() - timedelta(seconds=2))
    assert {row["key"] for row in await viewer.ask()} == {f"c:{one}" for one in late}
    # A transaction that began before the viewer asked, and was committed after.
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO fans (account_id, fan_id) VALUES ('acct_1', '7');"
            "INSERT INTO conversions (conversion_id, team_id, account_id, smart_link_id, click_id, fan_id, conversion_type,"
            " conversion_at, event_keys) SELECT 'slow', team_id, 'acct_1', smart_link_id, 'c', '7', 'new_subscriber', now(), '{e}'"
            " FROM smart_links WHERE account_id = 'acct_1'"
        )
        assert await viewer.ask() == []
    assert [row["key"] for row in await viewer.ask()] == ["n:slow"]


async def test_filters_and_a_team_with_many_links(
    owner: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = await team_of(pool)
    await plant(pool, team)
    await plant(pool, team, "acct_2", OTHER, name=HOSTILE)
    latest = now()  # of two in one millisecond either may be the later
    mine = await click(pool, latest - timedelta(seconds=2))
    bot = await click(pool, latest - timedelta(seconds=1), is_bot=True)
    there = await click(pool, latest, "acct_2", OTHER)
    await conversion(pool, team, "conv-1", mine, latest)
    every = {f"c:{mine}", f"c:{bot}", f"c:{there}", "n:conv-1"}
    for query, keys in (
        ("", every),
        ("click=yes", every - {"n:conv-1"}),
        ("conversion=yes&people=yes", {"n:conv-1"}),
        ("click=yes&people=yes", {f"c:{mine}", f"c:{there}"}),
        (f"link={OTHER.lower()}", {f"c:{there}"}),
        ("link=nothing-like-it", set()),
    ):
        assert {row["key"] for row in await Viewer(owner, query).ask()} == keys, query
    monkeypatch.setattr(happenings, "MANY_LINKS", 1)
    assert {row["key"] for row in await Viewer(owner).ask()} == every
    monkeypatch.setattr(happenings, "MOST", 1)
    monkeypatch.setattr(happenings, "FIRST", 1)
    assert {row["key"] for row in await Viewer(owner).ask()} == {f"c:{there}", "n:conv-1"}


async def test_another_team_and_a_narrow_role_see_nothing_more(
    owner: httpx.AsyncClient, pool: Pool, services: Services
) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    await plant(pool, "t2", name="Their secret link")
    await click(pool, now())
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types)"
        " VALUES ('D1', 't2', 'postback', 'Secret', '{}', '{x}'), ('D2', $1, 'postback', 'Mine', '{}', '{x}')",
        await team_of(pool),
    )  # fmt: skip
    for one in ("D1", "D2"):
        await pool.execute(
            "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
            " VALUES (current_date, 'e', $1, 1, now(), 2, '', 'delivered', 'HTTP 200')", one,
        )  # fmt: skip
    assert [row["words"] for row in await Viewer(owner).ask()] == ["Mine"]
    assert await Viewer(owner, f"link={LINK}").ask() == []
    user_id = await people.make(pool, "narrow@example.com", "N", None)
    team_id = await pool.fetchval("SELECT team_id FROM teams WHERE team_id <> 't2'")
    await pool.fetchval(PEOPLE["insert_member"], team_id, user_id, "custom", ["reports.view"])
    token = await open_session(pool, SECRETS, services.settings, user_id, team_id, "203.0.113.9", "")
    owner.cookies.clear()
    owner.cookies.set(cookie_name(services.settings), token)
    assert await Viewer(owner).ask() == []
    assert await Viewer(owner, "delivery=yes").ask() == []
    assert "Deliveries" not in (await owner.get("/live")).text


async def test_nonsense_and_strangers(owner: httpx.AsyncClient, stranger: httpx.AsyncClient, pool: Pool) -> None:
    await plant(pool, await team_of(pool), name=HOSTILE)
    page = (await owner.get("/live?link=%00&click=%F0%9F%92%A9&after=zzz")).text
    assert "<img src=x" not in page
    assert "after=" not in page
    far = Viewer(owner)
    await far.ask()
    for cursor in ("zzz", "WzFd", far.cursor + "AA", "a" * 5000, json.dumps(["2026-01-01", "1:x"])):
        assert (await owner.get("/live/feed", params={"after": cursor})).status_code == 422, cursor
    for text in ("99999:5", "1:-5", "0:999999999999999999", "-3:5", ""):
        cursor = cursors.encode(datetime(1900, 1, 1, tzinfo=UTC), text)
        assert (await owner.get("/live/feed", params={"after": cursor})).status_code == 200, text
    assert (await owner.get("/live/feed", params={"link": "\x00" + "x" * 4000})).status_code == 200
    owner.cookies.clear()
    gone = await owner.get("/live/feed", headers={"hx-request": "true"})
    assert gone.headers["hx-redirect"] == "/login"
