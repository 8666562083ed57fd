"""Logging in and out, first run, joining by invitation, passwords: what the dashboard's pages do, as JSON.

Handlers that give out a session answer with its cookie (HttpOnly, SameSite=Lax, Secure by https) and its CSRF token.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tracker.access import first_run, invitations, login, people, resets, sessions
from tracker.access.caller import Caller
from tracker.access.login import Login
from tracker.access.permissions import PUBLIC, SIGNED_IN
from tracker.api.auth import gate_of, session_of
from tracker.api.envelope import envelope
from tracker.management.errors import Refused
from tracker.management.services import Services
from tracker.settings import Settings

AnyRequest = Request[Any, Any, Any]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """Who logs in. `team_id`: the team to look at first."""

    email: str
    password: str
    team_id: str | None = None


class TeamChoice(msgspec.Struct, forbid_unknown_fields=True):
    """The team to look at."""

    team_id: str


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The password so far and the new one."""

    current_password: str
    new_password: str


class SetUp(msgspec.Struct, forbid_unknown_fields=True):
    """The first person. `token` comes with the address printed at the start; `team` names the team."""

    token: str
    email: str
    password: str
    name: str = ""
    team: str = ""


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """The invitation's token; a password to choose, or the one that somebody known has."""

    token: str
    password: str
    name: str = ""


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The link's token and the password to set."""

    token: str
    password: str


def session_cookie(settings: Settings, token: str) -> Cookie:
    """The cookie of a session."""
    return Cookie(
        key=sessions.cookie_name(settings), value=token, path="/", max_age=int(settings.session_seconds), httponly=True,
        samesite="lax", secure=sessions.is_secure(settings),
    )  # fmt: skip


def ended_cookie(settings: Settings) -> Cookie:
    """The cookie taken back."""
    return Cookie(
        key=sessions.cookie_name(settings), value="", path="/", max_age=0, httponly=True, samesite="lax",
        secure=sessions.is_secure(settings),
    )  # fmt: skip


def user_agent(request: AnyRequest) -> str:
    """What the browser calls itself, for the list of sessions."""
    return request.headers.get("user-agent", "")


@post("/api/session", status_code=201, permission=PUBLIC, from_browser=True)
async def log_in(
    request: AnyRequest, data: JSONBody[Credentials], services: NamedDependency[Services]
) -> Response[dict[str, Any]]:
    """Log in. 401 in the same words whether the address or the password is wrong; 429 after too many tries."""
    gate = gate_of(request)
    made = await login.attempt(
        services, gate.limiter, data.email, data.password, gate.address(request), user_agent(request), data.team_id
    )
    await _end_old_session(request, services)
    return _let_in(services, made, 201)


@get("/api/session", permission=SIGNED_IN)
async def get_session(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Who is calling: the person or the key, the team, the permissions; for a session its CSRF token and the person's teams."""
    session = session_of(request)
    found: dict[str, Any] = {
        "team_id": caller.team_id, "user_id": caller.user_id, "api_key_id": caller.api_key_id,
        "permissions": sorted(caller.permissions),
    }  # fmt: skip
    if session is not None and caller.user_id is not None:
        teams = await people.teams_of(services.pool, caller.user_id)
        found |= {
            "session_id": caller.session_id, "email": session.email, "name": session.name, "role": session.role,
            "csrf_token": session.csrf, "teams": [msgspec.to_builtins(team) for team in teams],
        }  # fmt: skip
    return envelope(found)


@patch("/api/session", permission=SIGNED_IN)
async def switch_team(
    data: JSONBody[TeamChoice], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Look at another of one's teams."""
    _person(caller)
    await sessions.switch(services.pool, caller, data.team_id)
    return envelope({"team_id": data.team_id})


@delete("/api/session", status_code=200, permission=SIGNED_IN)
async def log_out(
    request: AnyRequest, caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[dict[str, Any]]:
    """Log out."""
    _person(caller)
    await _end_old_session(request, services)
    return Response(envelope({"success": True}), cookies=[ended_cookie(services.settings)])


@get("/api/sessions", permission=SIGNED_IN)
async def list_sessions(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """One's own sessions, the latest used first."""
    rows = await sessions.listed(services.pool, services.settings, _person(caller))
    return envelope([msgspec.to_builtins(row) | {"is_this": row.id == caller.session_id} for row in rows])


@delete("/api/sessions", status_code=200, permission=SIGNED_IN)
async def log_out_everywhere(
    caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[dict[str, Any]]:
    """End every session of one's own, this one too."""
    await sessions.close_all(services.pool, _person(caller))
    return Response(envelope({"success": True}), cookies=[ended_cookie(services.settings)])


@delete("/api/sessions/{session_id:str}", status_code=200, permission=SIGNED_IN)
async def end_session(
    session_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """End one session of one's own."""
    await sessions.close_one(services.pool, _person(caller), session_id)
    return envelope({"success": True})


@post("/api/session/password", status_code=200, permission=SIGNED_IN)
async def change_password(
    request: AnyRequest,
    data: JSONBody[PasswordChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[dict[str, Any]]:
    """Change one's password. Every other session ends; this one goes on under a new token."""
    made = await login.change_password(
        services, gate_of(request).limiter, caller, data.current_password, data.new_password, user_agent(request)
    )
    return _let_in(services, made, 200)


@get("/api/setup", permission=PUBLIC)
async def set_up_state(services: NamedDependency[Services]) -> dict[str, Any]:
    """Whether nobody is here yet."""
    return envelope({"needed": await first_run.needed(services.pool)})


@post("/api/setup", status_code=201, permission=PUBLIC, from_browser=True)
async def set_up(
    request: AnyRequest, data: JSONBody[SetUp], services: NamedDependency[Services]
) -> Response[dict[str, Any]]:
    """First run: make the owner, with the token of the address that the log printed. 409 once somebody is here."""
    gate = gate_of(request)
    address = gate.address(request)
    if not first_run.token_matches(services.secrets, data.token):
        await gate.count_failure(request)
    user_id, team_id = await first_run.complete(
        services, data.token, data.email, data.password, data.name, data.team, address
    )
    return await _begin(request, services, user_id, team_id, address)


@post("/api/invitations/accept", status_code=201, permission=PUBLIC, from_browser=True)
async def accept_invitation(
    request: AnyRequest, data: JSONBody[Acceptance], services: NamedDependency[Services]
) -> Response[dict[str, Any]]:
    """Join a team by the token of an invitation's link."""
    gate = gate_of(request)
    address = gate.address(request)
    if await invitations.find(services.pool, services.secrets, data.token) is None:
        await gate.count_failure(request)
    user_id, team_id = await invitations.accept(services, gate.limiter, data.token, data.password, data.name, address)
    return await _begin(request, services, user_id, team_id, address)


@post("/api/password-resets/complete", status_code=200, permission=PUBLIC, from_browser=True)
async def complete_reset(
    request: AnyRequest, data: JSONBody[NewPassword], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Set a password by the token of a link. Every session of the person ends."""
    gate = gate_of(request)
    if await resets.find(services.pool, services.secrets, data.token) is None:
        await gate.count_failure(request)
    await resets.complete(services, data.token, data.password, gate.address(request))
    return envelope({"success": True})


async def _begin(
    request: AnyRequest, services: Services, user_id: str, team_id: str, address: str
) -> Response[dict[str, Any]]:
    await _end_old_session(request, services)
    user = await people.by_id(services.pool, user_id)
    made = await login.let_in(services, user_id, user["email"], team_id, address, user_agent(request))
    return _let_in(services, made, 201)


async def _end_old_session(request: AnyRequest, services: Services) -> None:
    """A token that came with the request is worth nothing after a login: a planted one neither."""
    old = request.cookies.get(sessions.cookie_name(services.settings))
    if old:
        await sessions.close(services.pool, services.secrets, old)


def _let_in(services: Services, made: Login, status: int) -> Response[dict[str, Any]]:
    body = envelope({"user_id": made.user_id, "team_id": made.team_id, "csrf_token": made.csrf})
    return Response(body, status_code=status, cookies=[session_cookie(services.settings, made.token)])


def _person(caller: Caller) -> str:
    if caller.session_id is None or caller.user_id is None:
        raise Refused(403, "FORBIDDEN", "This is for people who are logged in, not for API keys.")
    return caller.user_id


ROUTES = (
    log_in,
    get_session,
    switch_team,
    log_out,
    list_sessions,
    log_out_everywhere,
    end_session,
    change_password,
    set_up_state,
    set_up,
    accept_invitation,
    complete_reset,
)
