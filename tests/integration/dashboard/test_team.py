"""Team, member, profile and audit pages over HTTP: each rule of access holds there, and is explained where it refuses."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

from tests.integration.dashboard.conftest import OWNER
from tests.integration.dashboard.people import person, readable, with_token
from tracker.access.permissions import ASSIGNABLE, GRANTABLE
from tracker.management.services import Services
from tracker.stores.postgres import Pool


def link_in(page: str, place: str) -> str:
    """A link that is shown once."""
    found = re.search(rf'<code id="{place}">([^<]+)</code>', page)
    assert found is not None, readable(page)[:500]
    return html.unescape(found[1])


async def role_of(pool: Pool, user_id: str) -> tuple[str, list[str]] | None:
    row = await pool.fetchrow("SELECT role, permissions FROM members WHERE user_id = $1", user_id)
    return None if row is None else (row["role"], row["permissions"])


async def test_somebody_is_invited_joins_and_the_link_is_shown_once(
    owner: httpx.AsyncClient, stranger: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    await with_token(owner)
    wish = {"email": "  Kim@Example.com", "role": "developer", "permissions": ["postbacks.manage", "team.view"]}
    made = await owner.post("/team/invitations", data=wish)
    assert made.status_code == 200
    link = link_in(made.text, "invitation-link")
    assert "kim@example.com is invited" in readable(made.text)
    again = await owner.get("/team")
    assert "kim@example.com" in again.text
    assert "and 2 permissions" in again.text
    assert link.partition("token=")[2] not in again.text
    stranger.cookies.clear()
    path = "/join" + link.partition("/join")[2]
    assert "Join Select" in readable((await stranger.get(path)).text)
    joined = await stranger.post(
        "/join", data={"token": path.partition("token=")[2], "password": "a long new one", "again": "a long new one"}
    )
    assert (joined.status_code, joined.headers["location"]) == (303, "/overview")
    user_id = await pool.fetchval("SELECT user_id FROM users WHERE email = 'kim@example.com'")
    assert await role_of(pool, user_id) == ("developer", ["postbacks.manage", "team.view"])
    assert (await stranger.get("/postbacks/new")).status_code == 200
    assert (await stranger.get("/links/new")).status_code == 403
    assert (await stranger.get(path)).status_code == 404  # used
    assert "Invited, not joined" not in (await stranger.get("/team")).text


async def test_an_invitation_is_taken_back(owner: httpx.AsyncClient, pool: Pool) -> None:
    await with_token(owner)
    link = link_in(
        (await owner.post("/team/invitations", data={"email": "a@example.com", "role": "viewer"})).text,
        "invitation-link",
    )
    invitation_id = await pool.fetchval("SELECT invitation_id FROM invitations")
    done = await owner.post(f"/team/invitations/{invitation_id}/revoke")
    assert done.headers["location"] == "/team?done=revoked"
    assert "taken back" in readable((await owner.get(done.headers["location"])).text)
    assert (await owner.get("/join" + link.partition("/join")[2])).status_code == 404
    assert (await owner.post(f"/team/invitations/{invitation_id}/revoke")).status_code == 404


MISTAKES: tuple[tuple[Any, ...], ...] = (
    ({"email": "nobody", "role": "viewer"}, "email", "must be an e-mail address"),
    ({"email": "a@example.com"}, "role", "The role must be one of"),
    ({"email": "a@example.com", "role": "custom"}, "permissions", "tick at least one"),
    ({"email": "a@example.com", "role": "owner"}, "role", "The role must be one of"),
    ({"email": "a@example.com", "role": "viewer", "permissions": "team.own"}, "permissions", "no permission"),
    ({"email": OWNER["email"], "role": "viewer"}, "", "member already"),
)


async def test_a_wrong_invitation_says_why_and_keeps_what_was_typed(owner: httpx.AsyncClient, pool: Pool) -> None:
    for wish, field, words in MISTAKES:
        await with_token(owner)
        answer = await owner.post("/team/invitations", data=wish)
        assert answer.status_code in (409, 422)
        assert words in html.unescape(readable(answer.text))
        if field:
            assert f'id="{field}-wrong"' in answer.text
        assert f'value="{wish["email"]}"' in answer.text
        assert await pool.fetchval("SELECT count(*) FROM invitations") == 0


async def test_nobody_gives_or_touches_more_than_they_are(
    owner: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    clerk, _ = await person(services, "clerk@example.com", "viewer", ["team.manage"])
    _, admin_id = await person(services, "admin@example.com", "admin")
    _, viewer_id = await person(services, "viewer@example.com", "viewer")
    owner_id = await pool.fetchval("SELECT user_id FROM users WHERE email = $1", OWNER["email"])
    page = (await clerk.get("/team")).text
    for role in ASSIGNABLE:
        disabled = re.search(rf'value="{role}"[^>]*disabled', page) is not None
        assert disabled is (role in ("admin", "member", "developer")), role
    assert re.search(r'value="postbacks.manage"[^>]*disabled', page)
    assert not re.search(r'value="postbacks.view"[^>]*disabled', page)

    refused = await clerk.post("/team/invitations", data={"email": "x@example.com", "role": "admin"})
    assert (refused.status_code, "what you may not do yourself" in refused.text) == (403, True)
    refused = await clerk.post(f"/team/members/{viewer_id}", data={"role": "viewer", "permissions": "exports.manage"})
    assert (refused.status_code, "what you may not do yourself" in refused.text) == (403, True)
    for path in (f"/team/members/{admin_id}", f"/team/members/{admin_id}/remove"):
        refused = await clerk.post(path, data={"role": "viewer"})
        assert (refused.status_code, "what you may not do yourself" in refused.text) == (403, True)
    assert "may more than you" in readable((await clerk.get(f"/team/members/{admin_id}")).text)
    for path in (f"/team/members/{owner_id}", f"/team/members/{owner_id}/remove"):
        refused = await clerk.post(path, data={"role": "viewer"})
        assert (refused.status_code, "never without one" in refused.text) in ((409, True), (403, False))
    for path in (f"/team/members/{viewer_id}/owner", f"/team/members/{viewer_id}/password-reset"):
        assert (await clerk.post(path)).status_code == 403
    assert await role_of(pool, admin_id) == ("admin", [])
    assert await role_of(pool, viewer_id) == ("viewer", [])
    assert await role_of(pool, owner_id) == ("owner", [])
    assert await pool.fetchval("SELECT count(*) FROM invitations") == 0


async def test_the_owner_changes_removes_resets_and_hands_over(
    owner: httpx.AsyncClient, services: Services, pool: Pool
) -> None:
    await with_token(owner)
    owner_id = await pool.fetchval("SELECT user_id FROM users")
    kim, kim_id = await person(services, "kim@example.com", "viewer")
    for path in (f"/team/members/{owner_id}", f"/team/members/{owner_id}/remove"):
        refused = await owner.post(path, data={"role": "viewer"})
        assert (refused.status_code, "never without one" in refused.text) == (409, True)
    assert (await kim.get("/links/new")).status_code == 403
    saved = await owner.post(f"/team/members/{kim_id}", data={"role": "member", "permissions": "team.view"})
    assert "Saved" in (await owner.get(saved.headers["location"])).text
    assert (await kim.get("/links/new")).status_code == 200
    offered = await owner.post(f"/team/members/{kim_id}/password-reset")
    link = link_in(offered.text, "password-link")
    assert link.partition("token=")[2] not in (await owner.get(f"/team/members/{kim_id}")).text
    assert "kim@example.com" in (await kim.get("/reset" + link.partition("/reset")[2])).text

    handed = await owner.post(f"/team/members/{kim_id}/owner")
    assert "you are an admin" in (await owner.get(handed.headers["location"])).text
    assert await role_of(pool, kim_id) == ("owner", [])
    assert await role_of(pool, owner_id) == ("admin", [])
    assert (await owner.post(f"/team/members/{kim_id}/owner")).status_code == 403
    removed = await kim.post(f"/team/members/{owner_id}/remove")
    assert removed.headers["location"] == "/team?done=removed"
    assert (await owner.get("/team")).headers["location"].startswith("/login")
    log = readable((await kim.get("/audit-log")).text)
    for words in ("Role changed", "Password link made", "Team handed over", "Person removed"):
        assert words in log


async def test_the_team_gets_another_name(owner: httpx.AsyncClient, pool: Pool) -> None:
    await with_token(owner)
    for wrong in ("", "x" * 101, "a\nb"):
        answer = await owner.post("/team/name", data={"team": wrong})
        assert (answer.status_code, 'id="team-wrong"' in answer.text) == (422, True)
    assert (await owner.post("/team/name", data={"team": " Nine & Co "})).status_code == 303
    assert "<h1>Nine &amp; Co</h1>" in (await owner.get("/team")).text


async def test_another_teams_people_do_not_exist(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    await pool.execute("INSERT INTO teams (team_id, name) VALUES ('t2', 'Others')")
    _, theirs = await person(services, "secret@example.com", "viewer", team_id="t2")
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("POST", "/remove"),
        ("POST", "/owner"),
        ("POST", "/password-reset"),
    ):
        answer = await owner.request(method, f"/team/members/{theirs}{path}", data={"role": "admin"})
        assert (answer.status_code, "secret@example.com" in answer.text) == (404, False), path
    assert "secret@example.com" not in (await owner.get("/team")).text + (await owner.get("/audit-log")).text


async def test_a_member_of_the_team_who_may_not_see_it(owner: httpx.AsyncClient, services: Services) -> None:
    member, _ = await person(services, "m@example.com", "member")
    assert (await member.get("/team")).status_code == 403
    page = (await member.get("/audit-log")).text
    assert 'href="/team"' not in page.partition("<main")[0]
    assert 'name="person"' not in page
    viewer, viewer_id = await person(services, "v@example.com", "viewer")
    page = (await viewer.get("/team")).text
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    assert "needs the permission team.manage" in page
    assert (
        "<form"
        not in (await viewer.get(f"/team/members/{viewer_id}")).text.partition("<main")[2].partition("</main>")[0]
    )
    assert (await viewer.post("/team/invitations", data={"email": "a@b.com", "role": "viewer"})).status_code == 403


async def test_ones_own_page(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    assert (await owner.post("/profile/name", data={"name": "Robin <b>"})).status_code == 303
    page = (await owner.get("/profile?done=name")).text
    assert 'value="Robin &lt;b&gt;"' in page
    assert "Your name is saved" in page
    assert (await owner.post("/profile/name", data={"name": "x" * 200})).status_code == 422
    chosen = await owner.get("/profile?zone=Asia/Tokyo")
    assert "Asia/Tokyo" in chosen.headers["set-cookie"]
    assert "Times are shown" in chosen.text
    kim, kim_id = await person(services, "kim@example.com", "viewer")
    foreign = await pool.fetchval("SELECT session_id FROM sessions WHERE user_id = $1", kim_id)
    assert (await owner.post(f"/profile/sessions/{foreign}/end")).status_code == 404
    assert (await kim.get("/profile")).status_code == 200
    assert (await owner.post("/profile/team", data={"team_id": "elsewhere"})).status_code == 404


async def test_a_password_is_changed_by_who_knows_it(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    old = dict(owner.cookies)
    now, new = OWNER["password"], "another long one"
    for wish, field, words in (
        ({"current": "wrong wrong", "password": new, "again": new}, "current", "not the password you log in with"),
        ({"current": now, "password": "short", "again": "short"}, "password", "at least"),
        ({"current": now, "password": new, "again": new + "x"}, "again", "differ"),
    ):
        answer = await owner.post("/profile/password", data=wish)
        assert (answer.status_code, f'id="{field}-wrong"' in answer.text, words in answer.text) == (422, True, True)
        assert not any(f'value="{text}"' in answer.text for text in wish.values())
    done = await owner.post("/profile/password", data={"current": now, "password": new, "again": new})
    assert (done.status_code, done.headers["location"]) == (303, "/profile?done=password")
    assert "Your password is changed" in (await owner.get("/profile?done=password")).text
    owner.cookies.clear()
    for name, value in old.items():
        owner.cookies.set(name, value)
    assert (await owner.get("/profile")).status_code == 303  # the old token is worth nothing
    owner.cookies.clear()
    entered = await owner.post("/login", data={"email": OWNER["email"], "password": new})
    assert entered.headers["location"] == "/overview"
    await with_token(owner)
    everywhere = await owner.post("/profile/log-out-everywhere")
    assert everywhere.headers["location"] == "/login"
    assert await pool.fetchval("SELECT count(*) FROM sessions") == 0


async def test_wrong_passwords_are_counted_there_too(owner: httpx.AsyncClient) -> None:
    await with_token(owner)
    wish = {"current": "wrong wrong", "password": "another long one", "again": "another long one"}
    answers = [await owner.post("/profile/password", data=wish) for _ in range(12)]
    assert answers[0].status_code == 422
    assert answers[-1].status_code == 429
    assert "Too many tries. Wait" in answers[-1].text
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_the_audit_log_filters_and_goes_on(owner: httpx.AsyncClient, services: Services, pool: Pool) -> None:
    await with_token(owner)
    for number in range(55):
        await owner.post("/team/name", data={"team": f"Name {number}"})
    first = (await owner.get("/audit-log?action=team.renamed")).text
    assert first.count("<time ") == 50
    assert "Team renamed" in readable(first)
    assert "Logged in" not in readable(first.partition('id="report"')[2])
    older = html.unescape(re.findall(r'rel="next" href="([^"]+)"', first)[0])
    second = (await owner.get(older)).text
    assert second.count("<time ") == 5
    assert "Name 54" in first
    assert "Name 54" not in second
    owner_id = await pool.fetchval("SELECT user_id FROM users")
    assert "Logged in" in readable((await owner.get(f"/audit-log?person={owner_id}&action=session.opened")).text)
    assert "Nothing fits these filters" in (await owner.get("/audit-log?person=nobody")).text
    assert "Nothing fits these filters" in (await owner.get("/audit-log?key=nothing")).text
    for nonsense in (
        "before=x",
        "before=-1",
        "before=" + "9" * 19,
        "before=" + "9" * 40,
        "thing=%00%ff",
        "action=%ED%A0%80",
    ):
        assert (await owner.get("/audit-log?" + nonsense)).status_code == 200
    assert len(GRANTABLE) == 24
