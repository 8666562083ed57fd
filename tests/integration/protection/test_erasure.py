"""A fan and a visitor are erased: nothing anywhere names them, the money stays, and nothing late brings them back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.exports.scene import KEY, api, furnish, services
from tracker.accounts.facts import Fact, record
from tracker.attribution.worker import fold_due
from tracker.clicklog import Visit
from tracker.edge.claim import Entry
from tracker.edge.spill import Spill, read_entries
from tracker.protection import tombstones
from tracker.protection.erasure import sweep_due
from tracker.providers.events import PlatformEvent
from tracker.recorder import ulids
from tracker.reports.rollups import settle_all
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

VISITOR = "01kay0vvvvvvvvvvvvvvvvvvvv"
OTHER_VISITOR = "01kay0wwwwwwwwwwwwwwwwwwww"
AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


def click_id(at: datetime) -> str:
    """A click's id of that time."""
    return ulids.prefix(int(at.timestamp() * 1000)) + "a" * 16


CLICK, OTHER_CLICK = click_id(AT), click_id(AT + timedelta(minutes=70))
FAN, FAN_NAME, FAN_TITLE = "4711081501", "sugar_daddy_77", "Karl-Heinz Mustermann"
# Everything that says who the person was: whatever is erased, none of these may be found anywhere.
OF_THE_FAN = [FAN, FAN_NAME, FAN_TITLE, "Tip from Karl", "tx-9000001"]
OF_THE_VISITOR = [
    VISITOR, "203.0.113.77", "Mozilla/5.0 (Nokia 3310)", "fbclid-of-karl", "fb.1.1795300000.karl", "https://karl.example/home",
    "ecid-of-karl", "tl-KA-Latn", "https://go.example.com/go/x?karl=1", "karl.example", "sub-of-karl", "second-of-karl",
]  # fmt: skip

SCENE = """
INSERT INTO inventory_links (account_id, offer, kind, state, provider_link_id) OVERRIDING SYSTEM VALUE VALUES ('a1', 'tracking', 'tracking_link', 'ready', 'l1');
INSERT INTO fans (account_id, fan_id, username, name, first_subscribed_at) VALUES
  ('a1', '4711081501', 'sugar_daddy_77', 'Karl-Heinz Mustermann', '2026-11-01 10:00Z'), ('a1', '99', 'another_fan', 'Another', '2026-11-01 10:00Z'),
  ('a2', '4711081501', 'of_another_team', 'Another team', '2026-11-01 10:00Z');
INSERT INTO platform_events (account_id, event_key, kind, fan_id, at, inventory_link_id, detail, source) VALUES
  ('a1', 'link:1:4711081501:1', 'link_subscriber', '4711081501', '2026-11-01 10:00Z', 1, '{"username": "sugar_daddy_77", "name": "Karl-Heinz Mustermann"}', 'poll'),
  ('a1', 'tx:tx-9000001:done', 'transaction', '4711081501', '2026-11-01 11:00Z', NULL,
   '{"transaction_id": "tx-9000001", "type": "tip", "status": "done", "gross_cents": 5000, "net_cents": 4000, "description": "Tip from Karl"}', 'webhook'),
  ('a1', 'link:1:99:1', 'link_subscriber', '99', '2026-11-01 10:30Z', 1, '{}', 'poll');
"""


async def click(pool: Pool, visitor: str, at: datetime) -> None:
    """A click on the one pooled link; the visitor's own has everything that tells who they are."""
    mine = visitor == VISITOR
    await pool.execute(
        """INSERT INTO clicks (click_id, smart_link_id, account_id, clicked_at, last_visit_at, visitor, visitor_by,
             inventory_link_id, lease, ip, country, user_agent, referrer, accept_language, landing_url, ecid, fbclid, fbp, utm_source, aff_s1, aff_s2)
           VALUES ($1, '01KAY0SMARTLINK00000000000', 'a1', $2, $2, $3, 'cookie', 1, 'exclusive', $4, 'DE', $5, $6, $7, $8, $9, $10, $11, 'meta', $12, $13)""",
        click_id(at), at, visitor,
        "203.0.113.77" if mine else "192.0.2.1", OF_THE_VISITOR[2] if mine else "UA", OF_THE_VISITOR[5] if mine else "R",
        OF_THE_VISITOR[7] if mine else "en", OF_THE_VISITOR[8] if mine else "L", OF_THE_VISITOR[6] if mine else "E",
        OF_THE_VISITOR[3] if mine else "F", OF_THE_VISITOR[4] if mine else "P",
        OF_THE_VISITOR[10] if mine else "shared", OF_THE_VISITOR[11] if mine else "shared",
    )  # fmt: skip
    await pool.execute("INSERT INTO report_notes (click_ids) VALUES ($1)", click_id(at))


@pytest.fixture
async def scene(pool: Pool, redis: Client, tmp_path: Path) -> Settings:
    """A fan who clicked, subscribed and paid; told to a destination, once and once not yet; traces everywhere."""
    await furnish(pool)
    await pool.execute(SCENE)
    await click(pool, VISITOR, AT)
    await click(pool, VISITOR, AT + timedelta(hours=5))
    await click(pool, OTHER_VISITOR, AT + timedelta(minutes=70))
    await pool.execute("INSERT INTO fan_queue (account_id, fan_id) VALUES ('a1', '4711081501'), ('a1', '99')")
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, event_types) VALUES"
        " ('01KAYDEST', 't1', 'postback', '{\"url\": \"https://tracker.example/\"}', '{new_subscriber,new_transaction}')"
    )
    taken, new = await fold_due(pool, price_wait=0)
    assert taken == 2
    assert len(new) >= 2
    await settle_all(pool)
    sale = await pool.fetchval("SELECT conversion_id FROM conversions WHERE transaction_id = 'tx-9000001'")
    day = datetime.now(UTC).date()
    await pool.execute(
        "UPDATE deliveries SET state = 'delivered', verdict = 'said 200 for 4711081501' WHERE event_id = $1", sale
    )
    await pool.execute(
        "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, answer, outcome, verdict)"
        " VALUES ($1, $2, '01KAYDEST', 1, now(), 5, 'GET https://tracker.example/?fan=4711081501&ip=203.0.113.77', 'hello Karl-Heinz Mustermann',"
        " 'delivered', 'ok')",
        day, sale,
    )  # fmt: skip
    for body in (
        b'{"event": "transactions.new", "user": {"id": 4711081501, "username": "sugar_daddy_77"}, "description": "Tip from Karl"}',
        b'{"event": "tips.received", "text": "<a href=https://onlyfans.com/sugar_daddy_77>Karl-Heinz Mustermann</a>"}',
        b'{"event": "transactions.new", "user": {"id": 99}}',
    ):
        await pool.execute(
            "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body, processed_at)"
            " VALUES ('a1', 'onlyfansapi', md5($1::bytea), 'x', $1::bytea, now())",
            body,
        )
    await pool.execute(
        "INSERT INTO log_rejects (shard, entry_id, reason, body) VALUES (0, '1-1', 'odd', $1), (0, '1-2', 'odd', 'else')",
        f"v={VISITOR} ip=203.0.113.77".encode(),
    )
    record = f"{CLICK}{VISITOR}e{1795300000000:013d}{'--------' * 4}1|https://x"
    other = record.replace(VISITOR, OTHER_VISITOR)
    await redis.set(f"{{s0}}:v:01KAY0SMARTLINK00000000000:{VISITOR}:ecid-of-karl", record, px=3_600_000)
    await redis.set("{s0}:f:01KAY0SMARTLINK00000000000:00112233445566778899aabb:ecid-of-karl", record, px=3_600_000)
    await redis.set("{s0}:f:01KAY0SMARTLINK00000000000:ffffffffffffffffffffffff:other", other, px=3_600_000)
    spill = Spill(tmp_path / "spill")
    for visitor in (VISITOR, OTHER_VISITOR):
        visit = Visit(CLICK, 1_795_300_000_000, "01KAY0SMARTLINK00000000000", "a1", ip="203.0.113.77" if visitor == VISITOR else "192.0.2.1",
                      user_agent="Mozilla/5.0 (Nokia 3310)" if visitor == VISITOR else "UA", ecid="ecid-of-karl" if visitor == VISITOR else "E")  # fmt: skip
        await spill.append(
            Entry(
                0,
                msgspec.msgpack.encode(visit),
                "click",
                CLICK,
                visitor,
                "cookie",
                "1|https://x",
                "exclusive",
                "k1",
                "k2",
                "--------" * 4,
                1000,
                "p",
                1,
            )
        )
    await spill.stop()
    (tmp_path / "spill" / "1-1.damaged").write_bytes(b"..." + VISITOR.encode())
    tombstones.adopt((await services(pool, redis)).secrets.hash_key)
    return Settings(data_dir=str(tmp_path))


async def traces(pool: Pool, redis: Client, folder: Path, words: list[str]) -> list[str]:
    """Where any of these words can still be found: every column of every table, every key of Valkey, every file."""
    found = []
    for (table,) in await pool.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace"
    ):
        for row in await pool.fetch(f'SELECT t::text AS text FROM "{table}" t'):
            # bytea shows as hex in a row's text.
            found += [
                f"{table}: {word}"
                for word in words
                if (word in row["text"] or word.encode().hex() in row["text"]) and "Another team" not in row["text"]
            ]
    for key in await redis.keys("*"):
        told = await redis.type(key)
        kind = told.decode() if isinstance(told, bytes) else told
        value: Any = (
            await redis.get(key) if kind == "string" else (await redis.xrange(key) if kind == "stream" else b"")
        )
        found += [f"Valkey {key!r}: {word}" for word in words if word in f"{key!r}{value!r}"]
    found += [
        f"{path.name}: {word}"
        for path in folder.rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes()
    ]
    return found


async def erase(pool: Pool, redis: Client, settings: Settings, **body: Any) -> dict[str, Any]:
    async with await api(pool, redis, settings) as client:
        answer = await client.post("/api/erasures", json=body)
        assert answer.status_code == 201, answer.text
        done: dict[str, Any] = answer.json()["data"]
        return done


async def test_a_fan_is_nowhere_and_the_money_stays(pool: Pool, redis: Client, scene: Settings, tmp_path: Path) -> None:
    before = await traces(pool, redis, tmp_path, OF_THE_FAN + OF_THE_VISITOR)
    assert {entry.split(": ")[0] for entry in before} > {
        "fans",
        "conversions",
        "platform_events",
        "webhooks",
        "attempts",
    }
    money = await pool.fetchrow(
        "SELECT count(*), sum(gross_cents), sum(net_cents), count(DISTINCT fan_id) FROM revenue"
    )
    done = await erase(pool, redis, scene, kind="fan", fan_id=FAN)
    assert done["pending"] == []
    assert done["erased"]["fans"] == done["erased"]["bindings"] == 1
    assert done["erased"]["platform_events"] == 2
    assert done["erased"]["webhooks"] == 2
    assert done["erased"]["clicks"] == 2, "what the fan's visitor clicked besides"
    assert done["erased"]["spilled_clicks"] == 2
    assert await traces(pool, redis, tmp_path, OF_THE_FAN + OF_THE_VISITOR) == []
    assert (
        await pool.fetchrow("SELECT count(*), sum(gross_cents), sum(net_cents), count(DISTINCT fan_id) FROM revenue")
        == money
    )
    assert (
        await pool.fetchval(
            "SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'dead') AND event_id IN (SELECT conversion_id FROM conversions WHERE fan_id LIKE 'erased:%')"
        )
        == 0
    )
    assert await pool.fetchval("SELECT count(*) FROM clicks WHERE country = 'DE' AND utm_source = 'meta'") == 3, (
        "counts and campaigns stay"
    )
    assert await pool.fetchval("SELECT username FROM fans WHERE account_id = 'a1' AND fan_id = '99'") == "another_fan"
    assert await pool.fetchval("SELECT username FROM fans WHERE account_id = 'a2'") == "of_another_team"
    assert len(await redis.keys("*:f:*")) == 1
    assert b"99" in await pool.fetchval("SELECT body FROM webhooks WHERE body <> '\\x'")


async def test_the_credit_stands_whatever_wakes(pool: Pool, redis: Client, scene: Settings) -> None:
    await erase(pool, redis, scene, kind="fan", fan_id=FAN)
    stood = await pool.fetch("SELECT * FROM conversions ORDER BY conversion_id")
    # What the recorder does when a visitor of a bound click is back.
    await pool.execute(
        "INSERT INTO fan_queue (account_id, fan_id) SELECT DISTINCT account_id, fan_id FROM bindings"
        " ON CONFLICT (account_id, fan_id) DO UPDATE SET generation = fan_queue.generation + 1"
    )
    await fold_due(pool, price_wait=0)
    assert await pool.fetch("SELECT * FROM conversions ORDER BY conversion_id") == stood
    assert await pool.fetchval("SELECT count(*) FROM bindings WHERE retracted_at IS NOT NULL") == 0


async def test_late_news_does_not_bring_a_fan_back(pool: Pool, redis: Client, scene: Settings, tmp_path: Path) -> None:
    await erase(pool, redis, scene, kind="fan", fan_id=FAN)
    late = PlatformEvent(
        event_key="tx:tx-9000001:done", kind="transaction", fan_id=FAN, at=datetime(2026, 11, 1, 11, tzinfo=UTC), precision_seconds=0,
        username=FAN_NAME, name=FAN_TITLE, detail={"transaction_id": "tx-9000001"},
    )  # fmt: skip
    somebody = msgspec.structs.replace(late, event_key="tx:1:done", fan_id="100", username="x", name="y", detail={})
    async with pool.acquire() as connection, connection.transaction():
        new = await record(
            connection, [Fact("a1", late, "poll"), Fact("a1", somebody, "poll"), Fact("a2", late, "poll")]
        )
    assert new == {("a1", "tx:1:done"), ("a2", "tx:tx-9000001:done")}, "another team's fan is another team's affair"
    await pool.execute("DELETE FROM platform_events WHERE account_id = 'a2'")
    await pool.execute("DELETE FROM fan_queue WHERE account_id = 'a2'")
    await pool.execute("UPDATE fans SET name = 'Another team' WHERE account_id = 'a2'")
    assert await traces(pool, redis, tmp_path, OF_THE_FAN) == []


async def test_a_visitor_is_nowhere_and_the_fan_stays(
    pool: Pool, redis: Client, scene: Settings, tmp_path: Path
) -> None:
    believed = await pool.fetch("SELECT click_id, confidence FROM bindings WHERE retracted_at IS NULL ORDER BY fan_id")
    done = await erase(pool, redis, scene, kind="visitor", click_id=CLICK)
    assert done["fans"] == [{"account_id": "a1", "fan_id": FAN}], "said, for a person to decide"
    assert done["erased"]["clicks"] == 2
    assert await traces(pool, redis, tmp_path, OF_THE_VISITOR) == []
    await pool.execute(
        "INSERT INTO fan_queue (account_id, fan_id) SELECT account_id, fan_id FROM fans ON CONFLICT DO NOTHING"
    )
    await fold_due(pool, price_wait=0)
    assert (
        await pool.fetch("SELECT click_id, confidence FROM bindings WHERE retracted_at IS NULL ORDER BY fan_id")
        == believed
    )
    assert await pool.fetchval("SELECT host(ip) FROM clicks WHERE click_id = $1", OTHER_CLICK) == "192.0.2.1"
    with next(tmp_path.glob("spill/*.spill")).open("rb") as file:
        entries = list(read_entries(file))
    assert [entry.visitor.startswith("erased:") for entry in entries] == [True, False], "a spilled click still counts"


async def test_what_comes_late_is_erased_too_and_then_the_name_is_forgotten(
    pool: Pool, redis: Client, scene: Settings, tmp_path: Path
) -> None:
    await erase(pool, redis, scene, kind="visitor", visitor=VISITOR.upper())
    made = await services(pool, redis, scene)
    await pool.execute("UPDATE erasures SET swept_at = now() - interval '2 hours'")
    early, again = datetime(2026, 11, 1, 9, 30, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
    await click(pool, VISITOR, early)
    await click(pool, VISITOR, again)
    assert await sweep_due(made) == 1
    assert await sweep_due(made) == 0, "not at every look"
    visitors = {row["click_id"]: row["visitor"] for row in await pool.fetch("SELECT click_id, visitor FROM clicks")}
    assert visitors[click_id(early)].startswith("erased:"), "replayed from a spill"
    assert visitors[click_id(again)] == VISITOR, "somebody who came back by themselves"
    await pool.execute("UPDATE erasures SET settles_at = now()")
    assert await sweep_due(made) == 1
    row = await pool.fetchrow("SELECT subject_sealed, settled_at, subject_hash, erased FROM erasures")
    assert row is not None
    assert row["subject_sealed"] is None
    assert row["settled_at"] is not None
    assert row["erased"]["clicks"] == 3


async def test_a_delivery_on_its_way_is_caught_afterwards(
    pool: Pool, redis: Client, scene: Settings, tmp_path: Path
) -> None:
    await pool.execute(
        "UPDATE deliveries SET state = 'waiting', lease_until = now() + interval '1 minute', lease_token = 't'"
    )
    await erase(pool, redis, scene, kind="fan", fan_id=FAN)
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE lease_token = 't'") >= 2, (
        "whoever sends it holds it"
    )
    # The dispatcher comes back, and logs what it sent.
    await pool.execute(
        "UPDATE deliveries SET state = 'delivered', lease_until = NULL, lease_token = NULL, verdict = 'ok 4711081501'"
    )
    await pool.execute(
        "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
        " SELECT day, event_id, destination_id, 2, now(), 5, 'GET ?fan=4711081501', 'delivered', 'ok' FROM deliveries"
    )
    await pool.execute("UPDATE erasures SET swept_at = now() - interval '2 minutes'")
    await sweep_due(await services(pool, redis, scene))
    left = await traces(pool, redis, tmp_path, OF_THE_FAN)
    others = await pool.fetchval(
        "SELECT count(*) FROM deliveries JOIN conversions ON conversion_id = event_id WHERE fan_id = '99'"
    )
    assert len(left) == 2 * others, left


async def test_the_list_of_erasures_names_nobody(pool: Pool, redis: Client, scene: Settings) -> None:
    done = await erase(pool, redis, scene, kind="fan", fan_id=FAN)
    async with await api(pool, redis, scene) as client:
        listed = await client.get("/api/erasures")
        assert [one["id"] for one in listed.json()["data"]] == [done["id"]]
        assert FAN not in listed.text
        one = (await client.get(f"/api/erasures/{done['id']}")).json()["data"]
        assert one["erased"]["fans"] == 1
        assert (await client.get("/api/erasures/01KAY0SMARTLINK00000000000")).status_code == 404
        log = await client.get("/api/audit-log")
        assert "erasure.requested" in log.text
        assert FAN not in log.text
    async with await api(pool, redis, scene, team_id="t2") as stranger:
        assert (await stranger.get("/api/erasures")).json()["data"] == []
        assert (await stranger.get(f"/api/erasures/{done['id']}")).status_code == 404


async def test_what_makes_no_sense_changes_nothing(pool: Pool, redis: Client, scene: Settings) -> None:
    refused: list[tuple[dict[str, Any], int]] = [
        ({"kind": "fan"}, 422),
        ({"kind": "fan", "fan_id": "nobody"}, 404),
        ({"kind": "fan", "fan_id": FAN, "account_id": "a2"}, 422),
        ({"kind": "fan", "fan_id": FAN, "visitor": VISITOR}, 422),
        ({"kind": "fan", "fan_id": ""}, 422),
        ({"kind": "fan", "fan_id": 7}, 422),
        ({"kind": "fan", "fan_id": "a\0b"}, 400),
        ({"kind": "fan", "fan_id": "erased:x"}, 422),
        ({"kind": "visitor"}, 422),
        ({"kind": "visitor", "visitor": "%"}, 422),
        ({"kind": "visitor", "visitor": VISITOR, "click_id": CLICK}, 422),
        ({"kind": "visitor", "click_id": "unknown"}, 404),
        ({"kind": "everybody"}, 422),
        ({"kind": "fan", "fan_id": FAN, "all": True}, 422),
    ]
    async with await api(pool, redis, scene) as client:
        for body, status in refused:
            answer = await client.post("/api/erasures", json=body)
            assert answer.status_code == status or (status == 422 and answer.status_code == 400), (body, answer.text)
    assert await pool.fetchval("SELECT count(*) FROM erasures") == 0
    assert await pool.fetchval("SELECT count(*) FROM erased_fans") == 0
    assert await pool.fetchval("SELECT count(*) FROM fans WHERE fan_id = $1", FAN) == 2


async def test_another_team_cannot_erase(pool: Pool, redis: Client, scene: Settings) -> None:
    async with await api(pool, redis, scene, team_id="t2") as stranger:
        answer = await stranger.post("/api/erasures", json={"kind": "visitor", "click_id": CLICK})
        assert answer.status_code == 404
        done: httpx.Response = await stranger.post("/api/erasures", json={"kind": "visitor", "visitor": VISITOR})
        assert "clicks" not in done.json()["data"]["erased"]
    assert await pool.fetchval("SELECT count(*) FROM clicks WHERE visitor = $1", VISITOR) == 2


def test_the_hash_is_keyed() -> None:
    one, other = Secrets(KEY).hash_key, Secrets(KEY + "x").hash_key
    assert tombstones.fan_hash(one, "a1", FAN) != tombstones.fan_hash(other, "a1", FAN)
    assert tombstones.fan_hash(one, "a1", FAN) != tombstones.fan_hash(one, "a2", FAN)
