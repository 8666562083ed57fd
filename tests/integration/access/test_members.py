"""Roles, invitations and the owner: nobody gains, gives or takes more than they have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.access.conftest import PASSWORD, Browser
from tests.integration.access.people import enter, join, set_up, signed_in
from tracker.access import passwords
from tracker.access.permissions import GRANTABLE, ROLES
from tracker.api.bootstrap import bootstrap
from tracker.cli.access import reset_password, setup_url
from tracker.settings import Settings
from tracker.stores.errors import StoreError
from tracker.stores.postgres import Pool


async def test_members_may_what_their_roles_say(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    for role in ("admin", "member", "developer", "viewer", "custom"):
        client, user_id = await join(browser, owner, f"{role}@example.com", role)
        me = (await client.get("/api/session")).json()["data"]
        assert set(me["permissions"]) == ROLES[role]
        for path, permission in (("/api/team", "team.view"), ("/api/api-keys", "api-keys.view")):
            assert (await client.get(path)).status_code == (200 if permission in ROLES[role] else 403)
        status = (await client.patch("/api/team", json={"name": role})).status_code
        assert status == (200 if role == "admin" else 403)
        granted = await owner.patch(f"/api/team/members/{user_id}", json={"permissions": ["team.manage"]})
        assert granted.json()["data"]["granted"] == ["team.manage"]
        assert (await client.patch("/api/team", json={"name": role})).status_code == 200, (
            "at once, in a running session"
        )
    listed = (await owner.get("/api/team/members")).json()["data"]
    assert listed[0]["role"] == "owner"
    assert len(listed) == 6


async def test_nobody_grants_what_they_lack(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    owner_id = (await owner.get("/api/session")).json()["data"]["user_id"]
    admin, admin_id = await join(browser, owner, "admin@example.com", "admin")
    clerk, clerk_id = await join(browser, owner, "clerk@example.com", "custom", ["team.manage", "api-keys.manage"])
    before = await pool.fetch("SELECT * FROM members ORDER BY user_id")
    attempts: list[tuple[Any, str, str, dict[str, Any], int]] = [
        (clerk, "PATCH", f"/api/team/members/{clerk_id}", {"role": "admin"}, 403),
        (clerk, "PATCH", f"/api/team/members/{clerk_id}", {"permissions": ["smart-links.view"]}, 403),
        (clerk, "PATCH", f"/api/team/members/{admin_id}", {"role": "viewer"}, 403),
        (clerk, "PATCH", f"/api/team/members/{admin_id}", {"role": "custom", "permissions": []}, 403),
        (clerk, "DELETE", f"/api/team/members/{admin_id}", {}, 403),
        (clerk, "POST", "/api/team/invitations", {"email": "x@example.com", "role": "viewer"}, 403),
        (clerk, "POST", "/api/api-keys", {"name": "x", "permissions": ["smart-links.view"]}, 403),
        (clerk, "POST", "/api/team/ownership", {"user_id": clerk_id}, 403),
        (clerk, "POST", f"/api/team/members/{owner_id}/password-reset", {}, 403),
        (admin, "POST", "/api/team/ownership", {"user_id": admin_id}, 403),
        (admin, "POST", f"/api/team/members/{owner_id}/password-reset", {}, 403),
        (admin, "PATCH", f"/api/team/members/{owner_id}", {"role": "viewer"}, 409),
        (admin, "DELETE", f"/api/team/members/{owner_id}", {}, 409),
        (owner, "DELETE", f"/api/team/members/{owner_id}", {}, 409),
        (owner, "PATCH", f"/api/team/members/{owner_id}", {"role": "viewer"}, 409),
        (owner, "PATCH", f"/api/team/members/{admin_id}", {"role": "owner"}, 422),
        (owner, "PATCH", f"/api/team/members/{admin_id}", {"permissions": ["team.own"]}, 422),
        (owner, "PATCH", f"/api/team/members/{admin_id}", {"permissions": ["everything"]}, 422),
        (owner, "POST", "/api/team/invitations", {"email": "x@example.com", "role": "owner"}, 422),
        (owner, "POST", "/api/team/invitations", {"email": "not an address", "role": "viewer"}, 422),
        (owner, "POST", "/api/team/invitations", {"email": "admin@example.com", "role": "viewer"}, 409),
        (owner, "POST", "/api/api-keys", {"name": "x", "permissions": ["team.own"]}, 422),
        (owner, "POST", "/api/api-keys", {"name": "x", "permissions": []}, 422),
        (owner, "POST", "/api/api-keys", {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        (owner, "POST", "/api/team/ownership", {"user_id": "user_of_another_team"}, 404),
    ]
    for client, method, path, body, status in attempts:
        answer = await client.request(method, path, json=body or None)
        assert answer.status_code == status, (method, path, body, answer.text)
    assert await pool.fetch("SELECT * FROM members ORDER BY user_id") == before
    assert await pool.fetchval("SELECT count(*) FROM api_keys") == 0


async def test_the_team_changes_hands(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    admin, admin_id = await join(browser, owner, "admin@example.com", "admin")
    assert (await owner.post("/api/team/ownership", json={"user_id": admin_id})).json()["data"]["role"] == "owner"
    roles = {row["email"]: row["role"] for row in (await admin.get("/api/team/members")).json()["data"]}
    assert roles == {"admin@example.com": "owner", "owner@example.com": "admin"}
    assert (await owner.post("/api/team/ownership", json={"user_id": admin_id})).status_code == 403


async def test_an_invitation_works_once_and_ends(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)

    async def invited(email: str) -> tuple[str, str]:
        made = (await owner.post("/api/team/invitations", json={"email": email, "role": "viewer"})).json()["data"]
        return made["id"], made["url"].partition("token=")[2]

    async def accepted(token: str, password: str = PASSWORD) -> int:
        answer = await browser().post("/api/invitations/accept", json={"token": token, "password": password})
        return answer.status_code

    _, token = await invited("new@example.com")
    assert token not in str(await pool.fetch("SELECT * FROM invitations"))
    assert await accepted(token, "short") == 422
    assert await accepted(token) == 201
    assert await accepted(token) == 404
    _, first = await invited("twice@example.com")
    _, second = await invited("twice@example.com")
    assert await accepted(first) == 404, "a later one replaces it"
    revoked, third = await invited("revoked@example.com")
    assert (await owner.delete(f"/api/team/invitations/{revoked}")).status_code == 200
    assert (await owner.delete(f"/api/team/invitations/{revoked}")).status_code == 404
    assert await accepted(third) == 404
    await pool.execute("UPDATE invitations SET expires_at = now() WHERE accepted_at IS NULL")
    assert await accepted(second) == 404
    assert (await owner.get("/api/team/invitations")).json()["data"] == []


async def test_an_invitation_is_worth_no_more_than_its_maker(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    admin, admin_id = await join(browser, owner, "admin@example.com", "admin")
    made = await admin.post("/api/team/invitations", json={"email": "friend@example.com", "role": "admin"})
    token = made.json()["data"]["url"].partition("token=")[2]
    made = await admin.post("/api/team/invitations", json={"email": "late@example.com", "role": "viewer"})
    later = made.json()["data"]["url"].partition("token=")[2]
    body = {"role": "viewer", "permissions": ["team.manage"]}
    assert (await owner.patch(f"/api/team/members/{admin_id}", json=body)).status_code == 200
    refused = await browser().post("/api/invitations/accept", json={"token": token, "password": PASSWORD})
    assert refused.status_code == 404, "an admin who is no longer one makes no admins"
    assert (await owner.delete(f"/api/team/members/{admin_id}")).status_code == 200
    refused = await browser().post("/api/invitations/accept", json={"token": later, "password": PASSWORD})
    assert refused.status_code == 404
    assert (await admin.get("/api/session")).status_code == 401, "whoever is removed is out at once"


async def test_somebody_known_joins_another_team_with_their_own_password(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Second')")
    await pool.execute("INSERT INTO users (user_id, email) VALUES ('u2', 'second@example.com')")
    await pool.execute("INSERT INTO members (team_id, user_id, role) VALUES ('t2', 'u2', 'owner')")
    await pool.execute("UPDATE users SET password_hash = $1 WHERE user_id = 'u2'", await passwords.hashed(PASSWORD))
    second = await signed_in(browser(), "second@example.com")
    made = await second.post("/api/team/invitations", json={"email": "owner@example.com", "role": "viewer"})
    token = made.json()["data"]["url"].partition("token=")[2]
    wrong = await browser().post("/api/invitations/accept", json={"token": token, "password": "not the password"})
    assert wrong.status_code == 401, "an invitation is not a way to set somebody's password"
    joined = await browser().post("/api/invitations/accept", json={"token": token, "password": PASSWORD})
    assert joined.status_code == 201
    csrf = await enter(owner)
    teams = (await owner.get("/api/session")).json()["data"]["teams"]
    assert [team["role"] for team in teams] == ["owner", "viewer"]
    switched = await owner.patch("/api/session", json={"team_id": "t2"}, headers={"X-CSRF-Token": csrf})
    assert switched.status_code == 200
    me = (await owner.get("/api/session")).json()["data"]
    assert me["team_id"] == "t2"
    assert set(me["permissions"]) == ROLES["viewer"]
    reset = await second.post(f"/api/team/members/{me['user_id']}/password-reset")
    assert (reset.status_code, reset.json()["error"]) == (409, "OTHER_TEAMS"), "or one team could take over another"
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t3', 'Third')")
    foreign = await owner.patch("/api/session", json={"team_id": "t3"}, headers={"X-CSRF-Token": csrf})
    assert foreign.status_code == 404


async def test_a_password_reset_works_once_and_ends_sessions(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    client, user_id = await join(browser, owner, "viewer@example.com", "viewer")
    offered = await owner.post(f"/api/team/members/{user_id}/password-reset")
    token = offered.json()["data"]["url"].partition("token=")[2]
    new = "an entirely new one"

    async def complete(token: str, password: str) -> int:
        answer = await browser().post("/api/password-resets/complete", json={"token": token, "password": password})
        return answer.status_code

    assert await complete("wrong", new) == 404
    assert await complete(token, "viewer@example.com") == 422
    assert await complete(token, new) == 200
    assert await complete(token, new) == 404
    assert (await client.get("/api/session")).status_code == 401
    entered = await client.post("/api/session", json={"email": "Viewer@Example.com ", "password": new})
    assert entered.status_code == 201
    actions = {row["action"] for row in (await owner.get("/api/audit-log")).json()["data"]}
    assert {"password.reset_offered", "password.reset", "member.joined", "member.invited"} <= actions


async def test_the_operators_commands(
    browser: Browser, database_url: str, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(secret_key="k" * 40, database_url=database_url, redis_url=redis_url)
    assert await setup_url(settings) == 0
    token = capsys.readouterr().out.strip().partition("token=")[2]
    with pytest.raises(StoreError, match="Nobody has the e-mail address"):
        await reset_password(settings, "owner@example.com")
    with pytest.raises(StoreError, match="--owner: The email must be"):
        await bootstrap(settings, "Agency", "nonsense")
    made = await bootstrap(settings, "Agency", "Owner@example.com")
    assert await setup_url(settings) == 1
    late = {"token": token, "email": "eve@example.com", "password": PASSWORD}
    assert (await browser().post("/api/setup", json=late)).status_code == 409
    nobody = await browser().post("/api/session", json={"email": "owner@example.com", "password": ""})
    assert nobody.status_code == 401, "without a password there is no way in"
    for url in (made["password_url"], None):
        if url is None:
            capsys.readouterr()
            assert await reset_password(settings, "owner@example.com") == 0
            url = capsys.readouterr().out.split()[-1]
        body = {"token": url.partition("token=")[2], "password": PASSWORD}
        assert (await browser().post("/api/password-resets/complete", json=body)).status_code == 200
    owner = await signed_in(browser())
    me = (await owner.get("/api/session")).json()["data"]
    assert (me["role"], me["teams"][0]["name"]) == ("owner", "Agency")


async def test_roles_are_listed(browser: Browser) -> None:
    owner = browser()
    await set_up(owner)
    listed = (await owner.get("/api/team/roles")).json()["data"]
    assert {row["name"]: row["is_assignable"] for row in listed["roles"]}["owner"] is False
    assert {name for row in listed["categories"] for name in row["permissions"]} == GRANTABLE


async def test_a_team_handed_over_twice_at_once_has_one_owner(browser: Browser, pool: Pool) -> None:
    owner = browser()
    await set_up(owner)
    await signed_in(owner)
    heirs = [(await join(browser, owner, f"heir{n}@example.com", "admin"))[1] for n in range(3)]
    answers = await asyncio.gather(*(owner.post("/api/team/ownership", json={"user_id": heir}) for heir in heirs))
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403]
    assert await pool.fetchval("SELECT count(*) FROM members WHERE role = 'owner'") == 1
