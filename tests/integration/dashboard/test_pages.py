"""Pages over HTTP: headers, static files, errors in words, what another team and a weaker role may see."""

from __future__ import annotations

import gzip
import re

import httpx

from tests.integration.dashboard.conftest import OWNER, SECRETS
from tracker.access import people
from tracker.access.people import SQL as PEOPLE
from tracker.access.sessions import cookie_name
from tracker.access.sessions import open as open_session
from tracker.dashboard.site import ROUTES
from tracker.inventory.offers import offer_name
from tracker.management.services import Services
from tracker.stores.postgres import Pool

LINK = "01KE2JN9RBPAZNYSXKMYHR4JP2"


async def plant(
    pool: Pool, team_id: str, account_id: str = "acct_1", link_id: str = LINK, name: str = "Meta / A"
) -> None:
    """An account with a smart link."""
    await pool.execute(
        "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, shard)"
        " VALUES ($1, $2, 'onlyfansapi', $1, 'madison', 0)",
        account_id, team_id,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer) VALUES ($1, $2, $3, $4, 'tracking_link', $5)",
        link_id, team_id, account_id, name, offer_name("tracking_link", None),
    )  # fmt: skip


async def team_of(pool: Pool) -> str:
    found: str = await pool.fetchval("SELECT team_id FROM members")
    return found


def csrf(page: str) -> str:
    """The token in a page's form."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def test_every_handler_names_its_permission() -> None:
    found = [handler for router in ROUTES for route in router.routes for handler in route.route_handlers]
    handlers = [handler for handler in found if handler.http_methods != {"OPTIONS"}]  # those Litestar makes itself
    assert len(handlers) > 20
    assert all(handler.opt.get("permission") for handler in handlers)
    assert not any(handler.include_in_schema for handler in handlers)


async def test_pages_carry_a_strict_policy_and_are_never_kept(owner: httpx.AsyncClient) -> None:
    for path in ("/overview", "/links", "/login", "/nowhere/else", "/links/NOPE"):
        answer = await owner.get(path)
        policy = answer.headers.get("content-security-policy", "")
        if answer.headers["content-type"].startswith("text/html"):
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cache-control"] == "no-store"
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", answer.text)


async def test_static_files_are_kept_for_ever_under_their_hash(owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/overview")).text
    urls = sorted(set(re.findall(r'"(/static/[^"]+)"', page)))
    assert len(urls) >= 5
    for url in urls:
        answer = await owner.get(url, headers={"accept-encoding": "identity"})
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    stale = re.sub(r"/static/[0-9a-f]+/", "/static/000000000000/", urls[0])
    assert (await owner.get(stale)).headers["cache-control"] == "no-cache"
    packed = await owner.get(urls[0], headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.compress(packed.content)
    for path in ("/static/x/../../site.py", "/static/x/%2e%2e/%2e%2e/site.py", "/static/x//etc/passwd", "/static/x/no"):
        assert (await owner.get(path)).status_code == 404


async def test_strangers_see_the_door_and_come_back(stranger: httpx.AsyncClient, services: Services) -> None:
    answer = await stranger.get("/links?search=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Flinks%3Fsearch%3Da")
    assert "no default password" in (await stranger.get("/login")).text
    fragment = await stranger.get("/links", headers={"hx-request": "true"})
    assert fragment.headers["hx-redirect"] == "/login"
    for path in ("/setup?token=" + "0" * 40, "/setup?token=%F0%9F%92%A9", "/setup?token="):
        refused = await stranger.get(path)
        assert refused.status_code in (200, 403)
        assert 'name="password"' not in refused.text
    assert (await stranger.post("/setup", data={**OWNER, "token": "0" * 40})).status_code == 403
    assert await services.pool.fetchval("SELECT count(*) FROM users") == 0


async def test_a_page_of_another_team_does_not_exist(owner: httpx.AsyncClient, pool: Pool) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    await plant(pool, "t2", name="Their secret link")
    for end in ("", "/clicks", "/conversions", "/fans", "/cohorts", "/pool", "/history", "/edit"):
        answer = await owner.get(f"/links/{LINK}{end}")
        assert answer.status_code == 404
        assert "Their secret" not in answer.text
    for path in ("/overview", "/links", "/links/new", "/overview?account=acct_1"):
        assert "Their secret" not in (await owner.get(path)).text
    token = csrf((await owner.get("/links/new")).text)
    answer = await owner.post(f"/links/{LINK}/state", data={"csrf": token, "state": "deleted"})
    assert answer.status_code == 404
    taken = {
        "csrf": token,
        "account_id": "acct_1",
        "name": "Mine",
        "link_type": "tracking_link",
        "window": "6",
        "unit": "hours",
    }
    answer = await owner.post("/links/new", data=taken)
    assert answer.status_code == 422
    assert "not one of your team" in answer.text
    assert await pool.fetchval("SELECT state || count(*) OVER () FROM smart_links") == "active1"


async def test_a_viewer_sees_no_buttons_and_may_not_press_them(
    owner: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    team_id = await team_of(pool)
    await plant(pool, team_id)
    user_id = await people.make(pool, "viewer@example.com", "V", None)
    await pool.fetchval(PEOPLE["insert_member"], team_id, user_id, "viewer", [])
    token = await open_session(pool, SECRETS, services.settings, user_id, team_id, "203.0.113.9", "")
    owner.cookies.clear()
    owner.cookies.set(cookie_name(services.settings), token)
    page = (await owner.get(f"/links/{LINK}")).text
    assert "Meta / A" in page
    assert f"/links/{LINK}/edit" not in page
    assert "/links/new" not in (await owner.get("/overview")).text
    data = {"csrf": csrf(page), "state": "paused"}
    assert (await owner.post(f"/links/{LINK}/state", data=data)).status_code == 403
    refused = await owner.get(f"/links/{LINK}/edit")
    assert (refused.status_code, "smart-links.manage" in refused.text) == (403, True)


async def test_a_role_without_reports_gets_the_address_and_no_numbers(
    owner: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    team_id = await team_of(pool)
    await plant(pool, team_id)
    user_id = await people.make(pool, "maker@example.com", "M", None)
    await pool.fetchval(PEOPLE["insert_member"], team_id, user_id, "custom", ["smart-links.view"])
    token = await open_session(pool, SECRETS, services.settings, user_id, team_id, "203.0.113.9", "")
    owner.cookies.clear()
    owner.cookies.set(cookie_name(services.settings), token)
    page = (await owner.get(f"/links/{LINK}?by=ecid")).text
    assert f"/go/{LINK}" in page
    assert "Your role shows no reports" in page
    assert 'id="report"' not in page
    for end in ("/clicks", "/conversions", "/fans", "/cohorts", "/history"):
        assert f"{LINK}{end}" not in page
        assert (await owner.get(f"/links/{LINK}{end}")).status_code == 403
    assert (await owner.get("/overview")).status_code == 403


NONSENSE = (
    "?page=99999999999999999999&limit=-1", "?range=../../etc&zone=%00&basis=%F0%9F%92%A9", "?from=2026-13-45", "?search=%25%27%22%3C",
    "?search=" + "a" * 4000, "?account=%00", "?after=not-a-cursor", "?after=eyJhIjoxfQ", "?by=secret&sort=drop&order=x", "?before=zz", "?tag=%ff%fe",
    "?search=%ED%A0%80",
)  # fmt: skip


async def test_nonsense_in_an_address_is_answered_in_words(owner: httpx.AsyncClient, pool: Pool) -> None:
    await plant(pool, await team_of(pool))
    home = f"/links/{LINK}"
    for query in NONSENSE:
        for path in (
            "/overview",
            "/links",
            home,
            home + "/clicks",
            home + "/conversions",
            home + "/fans",
            home + "/cohorts",
            home + "/history",
            "/explain",
        ):
            answer = await owner.get(path + query)
            assert answer.status_code < 500, (path, answer.text[:300])
            assert answer.headers["content-type"].startswith("text/html")


WRONG: tuple[dict[str, str], ...] = (
    {},
    {"name": "x" * 300},
    {"name": "a", "link_type": "free_trial", "free_trial_days": "2"},
    {"name": "a\x00b", "window": "1e400"},
    {"name": "a", "window": "-1", "unit": "years"},
    {"name": "a", "tags": ",".join(f"t{n}" for n in range(60))},
    {"name": "a", "fallback_url": "javascript:alert(1)"},
    {"name": "a", "destination_ids": "01KE2JN9RBPAZNYSXKMYHR4JP9"},
)


async def test_a_wrong_form_keeps_what_was_typed_and_changes_nothing(owner: httpx.AsyncClient, pool: Pool) -> None:
    await plant(pool, await team_of(pool))
    before = await pool.fetchrow("SELECT * FROM smart_links")
    page = (await owner.get(f"/links/{LINK}/edit")).text
    token = csrf(page)
    for data in WRONG:
        whole = {"link_type": "tracking_link", "window": "6", "unit": "hours", "csrf": token, **data}
        answer = await owner.post(f"/links/{LINK}/edit", data=whole)
        assert answer.status_code == 422, data
        assert 'class="wrong"' in answer.text or 'role="alert"' in answer.text
        assert await pool.fetchrow("SELECT * FROM smart_links") == before


async def test_zone_and_basis_are_remembered_only_when_they_exist(owner: httpx.AsyncClient) -> None:
    chosen = await owner.get("/overview?zone=Asia/Kathmandu&basis=net")
    assert "zone=Asia/Kathmandu" in chosen.headers.get_list("set-cookie")[0].replace('"', "")
    assert "Net revenue" in (await owner.get("/overview")).text
    answer = await owner.get("/overview?zone=Asia/Nowhere&basis=%0d%0aSet-Cookie:x")
    assert "set-cookie" not in answer.headers


async def test_a_form_in_a_strange_wrapping_never_breaks_the_server(
    owner: httpx.AsyncClient, services: Services
) -> None:
    token = csrf((await owner.get("/links/new")).text)
    wrappings = [
        ({"content-type": "application/json"}, b'{"name": ["a"]}'),
        ({"content-type": "application/json"}, b"["),
        ({"content-type": "text/plain"}, b"\xff\xfe"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--y\r\n\r\nbroken"),
        ({"content-type": "multipart/form-data"}, b"no boundary"),
        ({"content-type": "multipart/form-data; boundary=x"}, b'--x\r\nContent-Disposition: form-data; name="name"; filename="a"\r\n\r\nfile\r\n--x--\r\n'),
        ({"content-type": "application/x-www-form-urlencoded"}, b"name=%ff%00&name=%ED%A0%80"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"&".join(b"f%d=1" % n for n in range(20_000))),
        ({"content-type": "application/x-www-form-urlencoded"}, b"name=" + b"a" * (2 << 20)),
    ]  # fmt: skip
    for path in ("/links/new", "/login", "/setup", "/join", "/reset"):
        for headers, body in wrappings:
            answer = await owner.post(path, content=body, headers={**headers, "x-csrf-token": token})
            assert answer.status_code < 500, (path, headers, body[:40], answer.text[:200])
    assert await services.pool.fetchval("SELECT count(*) FROM smart_links") == 0
