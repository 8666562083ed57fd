"""API keys: shown once, stored hashed, never beyond their maker, ended at once; limits of keys, addresses and logins."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from litestar import get

from tests.integration.access.conftest import PASSWORD, SECRETS, Browser
from tests.integration.access.people import join, set_up, signed_in
from tracker.access import passwords
from tracker.access.keys import make_key
from tracker.access.permissions import GRANTABLE
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores import valkey
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


async def made(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api/api-keys", json={"name": "test"} | body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def test_a_key_is_shown_once_and_known_by_its_prefix(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    key = await made(owner, name="Reports", permissions=["reports.view"])
    assert key["api_key"].startswith(key["prefix"])
    listed = await owner.get("/api/api-keys")
    assert key["api_key"] not in listed.text
    assert (listed.json()["data"][0]["made_by_email"], listed.json()["data"][0]["last_used_at"]) == (
        "owner@example.com",
        None,
    )
    for table in ("api_keys", "audit_log", "sessions"):
        assert key["api_key"] not in str(await pool.fetch(f"SELECT * FROM {table}"))
    machine = browser(Authorization=f"Bearer {key['api_key']}")
    assert (await machine.get("/api/session")).json()["data"]["permissions"] == ["reports.view"]
    assert (await machine.get("/api/api-keys")).status_code == 403
    first = (await owner.get(f"/api/api-keys/{key['id'].lower()}")).json()["data"]["last_used_at"]
    assert first is not None
    await machine.get("/api/session")
    assert (await owner.get(f"/api/api-keys/{key['id']}")).json()["data"]["last_used_at"] == first, "once a minute"
    renamed = await owner.patch(f"/api/api-keys/{key['id']}", json={"name": "Figures"})
    assert renamed.json()["data"]["name"] == "Figures"
    assert (await owner.patch(f"/api/api-keys/{key['id']}", json={"name": " "})).status_code == 422


async def test_a_key_ends_when_revoked_or_over(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    key = await made(owner)
    machine = browser(Authorization=f"Bearer {key['api_key']}")
    assert (await machine.get("/api/team")).status_code == 200
    assert (await owner.delete(f"/api/api-keys/{key['id']}")).json()["data"] == {"revoked": [key["id"]]}
    assert (await machine.get("/api/team")).status_code == 401
    assert (await owner.delete(f"/api/api-keys/{key['id']}")).json()["data"] == {"revoked": []}
    ending = await made(owner, expires_at="2999-01-01T00:00:00")
    assert ending["expires_at"].startswith("2999-01-01T00:00:00")
    machine = browser(Authorization=f"Bearer {ending['api_key']}")
    assert (await machine.get("/api/team")).status_code == 200
    await pool.execute("UPDATE api_keys SET expires_at = now()")
    assert (await machine.get("/api/team")).status_code == 401
    states = [row["state"] for row in (await owner.get("/api/api-keys")).json()["data"]]
    assert states == ["expired", "revoked"]


async def test_a_key_follows_its_maker(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    admin, admin_id = await join(browser, owner, "admin@example.com", "admin")
    key = await made(admin)
    machine = browser(Authorization=f"Bearer {key['api_key']}")
    child = await made(machine, permissions=["team.manage", "api-keys.manage"])
    grandchild = await made(browser(Authorization=f"Bearer {child['api_key']}"))
    assert grandchild["permissions"] == child["permissions"], "a key made by a key has its limits"
    last = browser(Authorization=f"Bearer {grandchild['api_key']}")
    assert (await machine.patch("/api/team", json={"name": "A"})).status_code == 200
    assert (await last.patch("/api/team", json={"name": "B"})).status_code == 200
    assert (await owner.patch(f"/api/team/members/{admin_id}", json={"role": "viewer"})).status_code == 200
    assert (await machine.patch("/api/team", json={"name": "C"})).status_code == 403
    assert (await last.patch("/api/team", json={"name": "D"})).status_code == 403
    assert (await machine.get("/api/team")).status_code == 200
    assert (await owner.delete(f"/api/team/members/{admin_id}")).status_code == 200
    for client in (machine, last):
        assert (await client.get("/api/team")).status_code == 401


async def test_keys_of_somebody_who_left_stay_dead_when_they_return(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    admin, admin_id = await join(browser, owner, "admin@example.com", "admin")
    key = await made(admin)
    await owner.delete(f"/api/team/members/{admin_id}")
    await join(browser, owner, "admin@example.com", "admin")
    assert (await browser(Authorization=f"Bearer {key['api_key']}").get("/api/team")).status_code == 401


async def test_a_leaked_key_takes_the_keys_it_made_with_it(browser: Browser, pool: Pool) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One')")
    _, secret = await make_key(pool, SECRETS.key_hash, "t1", "bootstrap")
    headless = browser(Authorization=f"Bearer {secret}")
    leaked = await made(headless)
    thief = browser(Authorization=f"Bearer {leaked['api_key']}")
    hidden = await made(thief, name="hidden")
    assert set(hidden["permissions"]) >= GRANTABLE
    assert len((await headless.delete(f"/api/api-keys/{leaked['id']}")).json()["data"]["revoked"]) == 2
    assert (await browser(Authorization=f"Bearer {hidden['api_key']}").get("/api/team")).status_code == 401
    successor = await made(headless)
    own = next(row["id"] for row in (await headless.get("/api/api-keys")).json()["data"] if row["name"] == "bootstrap")
    new = browser(Authorization=f"Bearer {successor['api_key']}")
    assert (await new.delete(f"/api/api-keys/{own}?keep_made=true")).json()["data"] == {"revoked": [own]}
    assert (await new.get("/api/team")).status_code == 200, "a key replaced by one it made"


async def test_a_lesser_key_cannot_revoke_a_greater_one(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    great = await made(owner)
    small = await made(owner, permissions=["api-keys.manage"])
    clerk = browser(Authorization=f"Bearer {small['api_key']}")
    assert (await clerk.delete(f"/api/api-keys/{great['id']}")).status_code == 403
    assert (await clerk.delete(f"/api/api-keys/{small['id']}")).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer  ",
        "Bearer true",
        "Bearer 0",
        "Bearer []",
        "bearer null",
        "Token x",
        "Bearer " + "x" * 5000,
    ],
)
async def test_what_is_no_key_is_refused(browser: Browser, value: str) -> None:
    answer = await browser(Authorization=value).get("/api/team")
    assert (answer.status_code, answer.json()["error"]) == (401, "UNAUTHORIZED")


async def test_a_key_is_limited_in_the_vendors_words(pool: Pool, redis: Client) -> None:
    app: Any = create_app(Services(Settings(rate_limit_minute=5), pool, redis, SECRETS))
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One')")
    _, one = await make_key(pool, SECRETS.key_hash, "t1", "one")
    _, two = await make_key(pool, SECRETS.key_hash, "t1", "two")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answers = [await client.get("/api/team", headers={"Authorization": f"Bearer {one}"}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert [answer.headers["x-rate-limit-remaining-minute"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
        assert answers[0].headers["x-rate-limit-limit-minute"] == "5"
        assert answers[-1].json() == {"error": "TOO_MANY_REQUESTS", "message": "Too Many Attempts."}
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
        other = await client.get("/api/team", headers={"Authorization": f"Bearer {two}"})
        assert other.status_code == 200
        assert (await client.get("/health/live")).status_code == 200


async def test_without_valkey_there_is_no_limit_but_logins_are_throttled_still(pool: Pool) -> None:
    away = valkey.connect("redis://127.0.0.1:1/0")
    app: Any = create_app(Services(Settings(rate_limit_minute=1), pool, away, SECRETS))
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One')")
    _, key = await make_key(pool, SECRETS.key_hash, "t1", "one")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        for _ in range(5):
            answer = await client.get("/api/team", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == 200
        tries = [
            (await client.post("/api/session", json={"email": "a@example.com", "password": "x"})).status_code
            for _ in range(12)
        ]
    assert tries == [401] * 10 + [429] * 2
    await away.aclose()


async def test_guessing_passwords_is_throttled_per_account_but_not_for_who_was_here_before(browser: Browser) -> None:
    home = browser("203.0.113.7")
    await set_up(home)
    await signed_in(home)
    wrong = {"email": "owner@example.com", "password": "wrong wrong wrong"}
    tries = [(await browser(f"198.51.100.{n}").post("/api/session", json=wrong)).status_code for n in range(12)]
    assert tries == [401] * 10 + [429] * 2, "many addresses, one account"
    right = {"email": "owner@example.com", "password": PASSWORD}
    blocked = await browser("198.51.100.99").post("/api/session", json=right)
    assert blocked.status_code == 429
    assert int(blocked.headers["retry-after"]) >= 1
    assert (await home.post("/api/session", json=right)).status_code == 201, "from an address they logged in from"


async def test_guessing_is_throttled_per_address_with_the_proxys_word(browser: Browser) -> None:
    await set_up(browser())
    proxy = browser("127.0.0.1")
    statuses = []
    for number in range(32):
        forged = f"10.0.0.{number}, 198.51.100.5"  # what the client claims, then what the proxy saw
        body = {"email": f"p{number}@example.com", "password": "x"}
        answer = await proxy.post("/api/session", json=body, headers={"X-Forwarded-For": forged})
        statuses.append(answer.status_code)
    assert statuses == [401] * 30 + [429] * 2
    body = {"email": "owner@example.com", "password": PASSWORD}
    elsewhere = await proxy.post("/api/session", json=body, headers={"X-Forwarded-For": "198.51.100.6"})
    assert elsewhere.status_code == 201
    for number in range(40):
        wrong = {"email": f"p{number}@example.com", "password": "x"}
        await proxy.post("/api/session", json=wrong, headers={"X-Forwarded-For": "198.51.100.6"})
    again = await proxy.post("/api/session", json=body, headers={"X-Forwarded-For": "198.51.100.6"})
    assert again.status_code == 201, "whoever logged in from there is not locked out by neighbours"


async def test_wrong_keys_of_an_address_are_limited_and_right_ones_pass(browser: Browser, pool: Pool) -> None:
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One')")
    _, key = await make_key(pool, SECRETS.key_hash, "t1", "one")
    client = browser("198.51.100.7")
    statuses = {
        (await client.get("/api/team", headers={"Authorization": f"Bearer cb_{n}"})).status_code for n in range(62)
    }
    assert statuses == {401, 429}
    assert (await client.get("/api/team", headers={"Authorization": f"Bearer {key}"})).status_code == 200


async def test_the_words_and_the_work_are_the_same_for_nobody(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(browser())
    costs = []
    real = passwords._scrypt

    def counted(password: str, salt: bytes, cost: passwords.Cost) -> bytes:
        costs.append(cost)
        return real(password, salt, cost)

    monkeypatch.setattr(passwords, "_scrypt", counted)
    answers = [
        await browser().post("/api/session", json={"email": email, "password": "wrong wrong wrong"})
        for email in ("owner@example.com", "nobody@example.com", "not an address", "nul\0@example.com", "x" * 9000)
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert len(costs) == 5
    assert len(set(costs)) == 1


async def test_the_audit_log_is_paged_and_filtered(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    ids = [(await made(owner, name=f"key {n}"))["id"] for n in range(3)]
    page = (await owner.get("/api/audit-log?action=api_key.created&limit=2")).json()
    assert [row["object_id"] for row in page["data"]] == [ids[2], ids[1]]
    assert page["data"][0]["actor"] == "owner@example.com"
    assert page["data"][0]["address"] == "203.0.113.1"
    following = (await owner.get(page["_pagination"]["next_page"])).json()
    assert [row["object_id"] for row in following["data"]] == [ids[0]]
    assert following["_pagination"]["next_page"] is None
    one = (await owner.get(f"/api/audit-log?object_kind=api_key&object_id={ids[1]}")).json()["data"]
    assert [row["detail"]["name"] for row in one] == ["key 1"]
    for bad in ("before=0", "before=x", "limit=0", "limit=1001", f"before={2**63}"):
        assert (await owner.get(f"/api/audit-log?{bad}")).status_code in (400, 422), bad


async def test_hostile_bodies_name_their_field(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    wanted: list[tuple[str, str, Any, str]] = [
        ("POST", "/api/api-keys", {"name": 7}, "name"),
        ("POST", "/api/api-keys", {"name": "x", "permissions": "all"}, "permissions"),
        ("POST", "/api/api-keys", {"name": "x", "permissions": ["reports.view", "x"]}, "permissions"),
        ("POST", "/api/api-keys", {"name": "x", "scope": "all"}, "scope"),
        ("POST", "/api/api-keys", {"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ("POST", "/api/api-keys", {"name": "x" * 101}, "name"),
        ("PATCH", "/api/team", {"name": ""}, "name"),
        ("PATCH", "/api/team", {"name": "a\u0000b"}, "name"),
        ("POST", "/api/team/invitations", {"email": "a@b@c.com", "role": "viewer"}, "email"),
        ("POST", "/api/team/invitations", {"email": "a@example.com\r\nBcc: x", "role": "viewer"}, "email"),
        ("POST", "/api/team/invitations", {"email": "a@example.com", "role": "god"}, "role"),
        ("POST", "/api/team/invitations", {"email": "a@example.com", "role": ["viewer"]}, "role"),
        ("PATCH", "/api/session", {"team": "x"}, "team"),
    ]
    for method, path, body, field in wanted:
        answer = await owner.request(method, path, json=body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert field in msgspec.json.encode(answer.json()["errors"]).decode(), (body, answer.text)


async def test_a_handler_that_names_no_permission_is_closed(services: Services) -> None:
    @get("/forgotten")
    async def forgotten() -> dict[str, str]:
        return {"leaked": "everything"}

    app: Any = create_app(services)
    app.register(forgotten)
    await services.pool.execute("INSERT INTO teams (team_id, name) VALUES ('t1', 'One')")
    _, key = await make_key(services.pool, SECRETS.key_hash, "t1", "one")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        assert (await client.get("/forgotten")).status_code == 401
        assert (await client.get("/forgotten", headers={"Authorization": f"Bearer {key}"})).status_code == 403
        assert (await client.options("/api/team")).status_code == 204
        assert (await client.get("/schema/openapi.json")).status_code == 200
        assert (await client.put("/api/team")).status_code == 405
        assert (await client.get("/api/nowhere")).status_code == 404
