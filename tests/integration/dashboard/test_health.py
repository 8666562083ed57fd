"""The health page: words first, no other team's business, an answer whatever is away."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.integration.dashboard.conftest import OWNER, SECRETS
from tests.integration.dashboard.test_pages import plant, team_of
from tracker.access import first_run, people
from tracker.access.people import SQL as PEOPLE
from tracker.access.sessions import cookie_name
from tracker.access.sessions import open as open_session
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"
EDGE = """# TYPE clickbind_edge_requests counter
clickbind_edge_requests_total{{outcome="click"}} {clicks}
# TYPE clickbind_edge_claim_seconds histogram
clickbind_edge_claim_seconds_bucket{{le="0.002"}} {clicks}
clickbind_edge_claim_seconds_bucket{{le="+Inf"}} {clicks}
# TYPE clickbind_edge_spill_bytes gauge
clickbind_edge_spill_bytes {spill}
# TYPE clickbind_edge_breaker_open gauge
clickbind_edge_breaker_open 0
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.5
"""


class Roles:
    """What stands at the addresses of the roles."""

    def __init__(self) -> None:
        self.url = ""
        self.lag, self.clicks, self.spill, self.ready = 0.0, 0, 0, True

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/health/ready"):
            return web.Response(status=200 if self.ready else 503, text="ok")
        if request.path == "/edge/metrics":
            self.clicks += 100
            return web.Response(text=EDGE.format(clicks=self.clicks, spill=self.spill))
        return web.Response(text=f'clickbind_recorder_lag_seconds{{shard="0"}} {self.lag}\n')


@pytest.fixture
async def roles() -> AsyncIterator[Roles]:
    found = Roles()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


class Switch:
    """A store that can be taken away."""

    def __init__(self, store: Any) -> None:
        self.store, self.away = store, False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise ConnectionRefusedError("away")
        return getattr(self.store, name)


@pytest.fixture
def stores(pool: Pool, redis: Client) -> tuple[Switch, Switch]:
    return Switch(pool), Switch(redis)


@pytest.fixture
def services(stores: tuple[Switch, Switch], roles: Roles) -> Services:
    where = tuple(f"{role}={roles.url}/{role}" for role in ("edge", "recorder", "worker"))
    postgres, valkey = stores
    return Services(Settings(health_addresses=where), postgres, valkey, SECRETS)  # type: ignore[arg-type]


@pytest.fixture
async def owner(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The first person, logged in, in a running application."""
    app = create_app(services)
    async with app.state.pulse.running():
        transport = httpx.ASGITransport(app, client=("203.0.113.9", 1))  # type: ignore[arg-type]
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8401")
        await client.post("/setup", data={**OWNER, "token": first_run.token(SECRETS), "team": "Select"})
        client.app = app  # type: ignore[attr-defined]
        yield client


async def look(owner: httpx.AsyncClient) -> str:
    """The page, once everything has been looked at anew."""
    app = owner.app  # type: ignore[attr-defined]
    if app.state.pulse._looking is not None:  # a look begun earlier would answer with what was true then
        await asyncio.wait([app.state.pulse._looking])
    app.state.pulse._backlog._next_at = app.state.pulse._looked_at = float("-inf")
    app.state.kept = None
    app.state.pulse.last = None
    for _ in range(200):
        page = await owner.get("/health")
        assert page.status_code == 200, page.text
        if "Still being looked at" not in page.text and "not known yet" not in page.text:
            return re.sub(r"\s+", " ", page.text)
    raise AssertionError(page.text)


def words(page: str) -> list[str]:
    """The sentences."""
    return [
        html.unescape(re.sub(r"<[^>]+>", "", one)).strip()
        for one in re.findall(r'<li class="note[^>]*>(.*?)</li>', page)
    ]


async def test_all_is_well_and_says_so_with_figures(owner: httpx.AsyncClient, roles: Roles) -> None:
    page = await look(owner)
    assert words(page) == ["All is well."]
    assert page.count('<span class="badge good">works</span>') == 4
    assert page.count('<span class="badge good">answers</span>') == 2
    assert roles.url.removeprefix("http://") in page  # the only team: addresses are its own business
    await look(owner)
    page = await look(owner)
    assert re.search(r"Redirects a second</dt><dd class=\"value\">[\d.]+<", page)
    assert re.search(r"p50 1\.0 ms, p99 2\.0 ms", page)


async def test_what_is_wrong_is_told_first(owner: httpx.AsyncClient, roles: Roles, pool: Pool) -> None:
    team = await team_of(pool)
    await plant(pool, team)
    await pool.execute(
        "UPDATE accounts SET session_state = 'dead', session_message = $1, display_name = 'Madison'", HOSTILE
    )
    for number in (1, 2):
        await pool.execute(
            "INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types)"
            " VALUES ($1, $2, 'postback', '', '{\"url\": \"https://sink.example/\"}', '{new_subscriber}')",
            f"D{number}", team,
        )  # fmt: skip
        await pool.execute(
            "INSERT INTO attempts (day, event_id, destination_id, attempt, started_at, duration_ms, request, outcome, verdict)"
            " SELECT current_date, 'e' || n, $1, 1, now() - make_interval(secs => n), 2, '', 'transient', 'connection refused'"
            " FROM generate_series(1, 4) n", f"D{number}",
        )  # fmt: skip
    await pool.execute(
        "INSERT INTO webhooks (account_id, provider, dedup_key, event_type, body, received_at)"
        " VALUES ('acct_1', 'x', 'x', 'x', '', now() - interval '3 minutes')"
    )
    roles.lag, roles.spill, roles.ready = 90.0, 2048, False
    page = await look(owner)
    found = words(page)
    assert found[0].startswith("Account Madison needs a new log-in at the provider since")
    assert re.fullmatch(r"2 postbacks have been failing since [\d: -]+: connection refused\.", found[1])
    assert "Clicks are recorded late: the oldest has waited 1 min 30 s." in found
    assert any(one.startswith("Providers' webhooks are processed late: the first has waited 3 min") for one in found)
    assert "Clicks kept on an edge's disk are being brought in." in found
    assert any("cannot work now" in one for one in found)
    assert "<img src=x" not in page
    assert 'href="/accounts/acct_1"' in page


async def test_roles_that_are_silent(owner: httpx.AsyncClient, services: Services) -> None:
    app = owner.app  # type: ignore[attr-defined]
    app.state.pulse._addresses = [("edge", "http://127.0.0.1:9"), ("recorder", "http://127.0.0.1:9")]
    found = words(await look(owner))
    assert [one.split(":")[0] for one in found] == ["The edge does not answer", "The recorder does not answer"]


async def test_a_store_that_is_away_is_told_and_the_page_stays(
    owner: httpx.AsyncClient, stores: tuple[Switch, Switch]
) -> None:
    postgres, valkey = stores
    valkey.away = True
    assert words(await look(owner)) == [
        "Valkey does not answer: clicks are redirected to reserve links and kept on the edges' disks."
    ]
    postgres.away = True
    page = await owner.get("/health")
    assert page.status_code == 200
    assert "PostgreSQL does not answer" in page.text
    assert 'id="health"' in page.text  # what the page's script puts in its place
    assert "Your team" not in page.text
    assert "default-src" in page.headers["content-security-policy"]
    assert (await owner.get("/overview")).status_code == 503
    postgres.away = valkey.away = False
    assert words(await look(owner)) == ["All is well."]


async def test_another_team_is_nobodys_business(owner: httpx.AsyncClient, pool: Pool, roles: Roles) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    await plant(pool, "t2", name="Their link")
    await pool.execute("UPDATE accounts SET session_state = 'dead', display_name = 'Their creator'")
    await pool.execute(
        "INSERT INTO destinations (destination_id, team_id, kind, name, config, event_types, state, state_reason)"
        " VALUES ('D1', 't2', 'postback', 'Their tracker', '{}', '{x}', 'disabled', 'gone')"
    )
    page = await look(owner)
    assert words(page) == ["All is well."]
    for secret in ("Their", "Redirects a second", roles.url.removeprefix("http://"), "waiting</dd>"):
        assert secret not in page
    assert "Recorder behind by" in page


async def test_a_narrow_role_sees_only_what_it_may(owner: httpx.AsyncClient, pool: Pool, services: Services) -> None:
    team = await team_of(pool)
    await plant(pool, team)
    await pool.execute("UPDATE accounts SET session_state = 'dead', display_name = 'Madison'")
    for role, grants, expected in (("custom", ["reports.view"], False), ("viewer", [], True)):
        user_id = await people.make(pool, f"{role}@example.com", "N", None)
        await pool.fetchval(PEOPLE["insert_member"], team, user_id, role, grants)
        token = await open_session(pool, SECRETS, services.settings, user_id, team, "203.0.113.9", "")
        owner.cookies.clear()
        owner.cookies.set(cookie_name(services.settings), token)
        page = await look(owner)
        assert ("Madison" in page) is expected
        assert ("Deliveries waiting" in page) is expected
