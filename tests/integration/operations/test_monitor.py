"""A role's health and metrics port, and what it tells of the stores."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from tracker.clicklog import pool_key
from tracker.metrics.backlog import COUNT_CAP, KEEP_SECONDS, Backlog
from tracker.metrics.common import PoolUse, new_registry
from tracker.metrics.monitor import Monitor, listening
from tracker.metrics.readiness import store_problems
from tracker.metrics.requests import RequestTimes
from tracker.stores import postgres, valkey


def figures(text: str) -> dict[str, float]:
    """Samples by name and labels, as they stand in the text."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@asynccontextmanager
async def monitored(monitor: Monitor, port: int = 0) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async with listening(monitor, "test", "127.0.0.1", port) as found, aiohttp.ClientSession() as session:
        yield session, f"http://127.0.0.1:{found}"


async def nothing_wrong() -> list[str]:
    return []


async def test_readiness_says_why_in_words() -> None:
    problems: list[str] = []

    async def check() -> list[str]:
        return problems

    async with monitored(Monitor(CollectorRegistry(), check)) as (session, url):
        async with session.get(f"{url}/health/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "problems": []})
        problems.append("PostgreSQL does not answer (TimeoutError).")
        async with session.get(f"{url}/health/ready") as answer:
            assert (answer.status, await answer.json()) == (503, {"ready": False, "problems": problems})
        async with session.get(f"{url}/health/live") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/other") as answer:
            assert answer.status == 404
        async with session.post(f"{url}/metrics") as answer:
            assert answer.status == 405


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "CF-Connecting-IP"])
async def test_a_proxy_gets_no_figures(header: str) -> None:
    async with monitored(Monitor(new_registry("test"), nothing_wrong)) as (session, url):
        async with session.get(f"{url}/metrics", headers={header: "203.0.113.9"}) as answer:
            assert answer.status == 404
        async with session.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            said = figures(await answer.text())
    assert said["process_resident_memory_bytes"] > 1e6
    assert any(name.startswith("clickbind_info{role=test") for name in said)


async def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        registry = CollectorRegistry()
        Gauge("clickbind_test", "t", registry=registry).set(7)
        async with monitored(Monitor(registry, nothing_wrong), port) as (session, url):
            assert not url.endswith(f":{port}")
            async with session.get(f"{url}/metrics") as answer:
                assert figures(await answer.text())["clickbind_test"] == 7


async def test_what_waits_is_told(pool: postgres.Pool, redis: valkey.Client) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t', 't')")
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, shard, session_state)"
        " VALUES ('a1', 't', 'onlyfansapi', 'p1', 2, 'dead')"
    )
    await pool.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer)"
        " VALUES ('L', 't', 'a1', 'n', 'tracking_link', 'tracking')"
    )
    await pool.execute(
        "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body, received_at)"
        " SELECT 'a1', 'onlyfansapi', n::text, 'x', '', now() - make_interval(secs => 100 - n) FROM generate_series(1, 3) n"
    )
    await pool.execute(
        "INSERT INTO fan_queue VALUES ('a1', 'f1', now() - interval '50 s'), ('a1', 'f2', now() + interval '1 h')"
    )
    await pool.execute(
        "INSERT INTO account_jobs (account_id, job, due_at, failures) VALUES ('a1', 'pools', now() - interval '9 s', 2)"
    )
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, config, event_types, failing_since, breaker_until)"
        " VALUES ('d1', 't', 'postback', '{}', '{}', now(), now() + interval '1 min'), ('d2', 't', 'meta', '{}', '{}', NULL, NULL)"
    )
    await pool.execute(
        "INSERT INTO deliveries (event_id, destination_id, day, state, due_at)"
        " SELECT n::text, 'd1', current_date, CASE WHEN n % 5 = 0 THEN 'dead' ELSE 'waiting' END, now() - make_interval(secs => n)"
        f" FROM generate_series(1, {COUNT_CAP + 5000}) n"
    )
    await redis.zadd(pool_key(2, "a1", "tracking"), {"1|u": 0, "2|u": 0, "3|u": 9e15})
    now = [0.0]
    registry, backlog = CollectorRegistry(), Backlog(pool, redis, clock=lambda: now[0])
    registry.register(backlog)
    registry.register(PoolUse(pool))
    async with monitored(Monitor(registry, nothing_wrong, backlog.refresh)) as (session, url):
        async with session.get(f"{url}/metrics") as answer:
            said = figures(await answer.text())
        assert said["clickbind_inbox_waiting"] == 3
        assert 98 < said["clickbind_inbox_lag_seconds"] < 200
        assert said["clickbind_fan_queue_waiting"] == 1
        assert 49 < said["clickbind_fan_queue_lag_seconds"] < 150
        assert said["clickbind_account_jobs_failing{job=pools}"] == 1
        assert 8 < said["clickbind_account_jobs_lag_seconds{job=pools}"] < 100
        assert said["clickbind_accounts{session=dead}"] == 1
        assert said["clickbind_accounts{session=ok}"] == 0
        assert said["clickbind_deliveries{kind=postback,state=waiting}"] == COUNT_CAP
        assert said["clickbind_deliveries{kind=postback,state=dead}"] == (COUNT_CAP + 5000) / 5
        assert said["clickbind_deliveries{kind=meta,state=waiting}"] == 0
        assert said["clickbind_deliveries_overdue_seconds{kind=postback}"] > COUNT_CAP
        assert said["clickbind_destinations_breaker_open{kind=postback}"] == 1
        assert said["clickbind_destinations_failing{kind=meta}"] == 0
        assert said["clickbind_pool_links{account=a1,offer=tracking,state=free}"] == 2
        assert said["clickbind_pool_links{account=a1,offer=tracking,state=leased}"] == 1
        assert said["clickbind_postgres_connections_limit"] == 8
        # Kept for a while: a second scrape does not ask again.
        await pool.execute("UPDATE webhooks SET processed_at = now()")
        async with session.get(f"{url}/metrics") as answer:
            assert figures(await answer.text())["clickbind_inbox_waiting"] == 3
        now[0] += KEEP_SECONDS
        async with session.get(f"{url}/metrics") as answer:
            assert figures(await answer.text())["clickbind_inbox_waiting"] == 0


async def test_without_its_stores_a_role_still_answers(database_url: str) -> None:
    pool = await postgres.open_pool(database_url, max_size=1)
    redis = valkey.connect("unix:///nonexistent/valkey.sock")
    registry, backlog = CollectorRegistry(), Backlog(pool, redis)
    registry.register(backlog)
    await pool.close()
    async with monitored(Monitor(registry, lambda: store_problems(pool, redis), backlog.refresh)) as (session, url):
        async with session.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            said = figures(await answer.text())
        async with session.get(f"{url}/health/ready") as answer:
            assert answer.status == 503
            problems = (await answer.json())["problems"]
    assert said == {"clickbind_store_up{store=postgres}": 0}
    assert [problem.split()[0] for problem in problems] == ["PostgreSQL", "Valkey"]
    await redis.aclose()


async def test_a_pool_all_taken_is_not_ready(database_url: str, redis: valkey.Client) -> None:
    pool = await postgres.open_pool(database_url, max_size=1)
    async with pool.acquire():
        problems = await store_problems(pool, redis)
    assert problems == ["PostgreSQL does not answer (TimeoutError)."]
    assert await store_problems(pool, redis) == []
    await pool.close()


async def test_requests_are_told_by_route_and_never_by_path() -> None:
    registry = CollectorRegistry()

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["path"] == "/fail":
            raise RuntimeError
        if str(scope["path"]).startswith("/things/"):
            scope["path_template"], scope["path_params"] = "/things/{id}", {"id": "7"}
        status = 200 if "path_template" in scope else 404
        await send({"type": "http.response.start", "status": status})  # type: ignore[operator]

    async def send(message: object) -> None:
        return

    times = RequestTimes(app, registry)
    for path, method in (("/things/7", "GET"), ("/things/8", "GET"), ("/secret-guess", "BREW")):
        await times({"type": "http", "path": path, "method": method}, None, send)
    with pytest.raises(RuntimeError):
        await times({"type": "http", "path": "/fail", "method": "GET"}, None, send)
    from prometheus_client import generate_latest

    text = generate_latest(registry).decode()
    said = figures(text)
    assert said["clickbind_http_request_seconds_count{method=GET,route=/things/{id}}"] == 2
    assert said["clickbind_http_request_seconds_count{method=other,route=none}"] == 1
    assert said["clickbind_http_responses_total{route=none,status=4xx}"] == 1
    assert said["clickbind_http_responses_total{route=none,status=5xx}"] == 1
    assert "secret-guess" not in text
    assert "BREW" not in text
