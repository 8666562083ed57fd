"""The pages before log-in: the first run, logging in and out, joining by invitation, a new password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from tracker.access import first_run, invitations, login, people, resets, sessions
from tracker.access.limits import TooOften
from tracker.access.permissions import PUBLIC, SIGNED_IN
from tracker.api.auth import gate_of
from tracker.api.sessions import ended_cookie, session_cookie
from tracker.dashboard.address import address
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services

AnyRequest = Request[Any, Any, Any]
SHOWN = ("email", "password", "name", "team")


@get("/login", permission=PUBLIC, include_in_schema=False)
async def login_page(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """The log-in form; who is in already goes on, and before the first run it says where to begin."""
    if await gate_of(request).session(request) is not None:
        return Redirect(_inside(address(request).get("next")), status_code=303)
    if await first_run.needed(services.pool):
        return page(request, "door/first.html", title="Welcome")
    notice = "Your password is set. Log in with it." if address(request).get("reset") else ""
    return page(
        request, "door/login.html", title="Log in", form=Form({"next": [address(request).get("next")]}), notice=notice
    )


@post("/login", permission=PUBLIC, from_browser=True, include_in_schema=False)
async def log_in(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """Let a person in, and on to where they were going."""
    form = await read_form(request)
    gate = gate_of(request)
    try:
        made = await login.attempt(
            services, gate.limiter, form.get("email"), _raw(form, "password"), gate.address(request), _agent(request)
        )
    except Refused as error:
        amiss = form.amiss({"": [_words(error)]}, ("",))
        return _answered(
            page(request, "door/login.html", title="Log in", status=error.status, form=amiss, notice=""), error
        )
    return await _in(request, services, made.token, _inside(form.get("next")))


@post("/logout", permission=SIGNED_IN, include_in_schema=False)
async def log_out(request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """End the session."""
    token = request.cookies.get(sessions.cookie_name(services.settings))
    if token:
        await sessions.close(services.pool, services.secrets, token)
    return Redirect("/login", status_code=303, cookies=[ended_cookie(services.settings)])


@get("/setup", permission=PUBLIC, include_in_schema=False)
async def setup_page(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """The first person's form, for who has the address the server printed."""
    if not await first_run.needed(services.pool):
        return Redirect("/login", status_code=303)
    token = address(request).get("token")
    if not first_run.token_matches(services.secrets, token):
        if token:
            await gate_of(request).count_failure(request)
        return page(request, "door/first.html", title="Welcome", status=403 if token else 200)
    return page(request, "door/setup.html", title="Set up", form=Form({"token": [token]}))


@post("/setup", permission=PUBLIC, from_browser=True, include_in_schema=False)
async def set_up(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """Make the owner and let them in."""
    form = await read_form(request)
    gate = gate_of(request)
    if not first_run.token_matches(services.secrets, form.get("token")):
        await gate.count_failure(request)
    try:
        _same_twice(form)
        user_id, team_id = await first_run.complete(
            services, form.get("token"), form.get("email"), _raw(form, "password"), form.get("name"), form.get("team"),
            gate.address(request),
        )  # fmt: skip
    except Invalid as error:
        return page(
            request, "door/setup.html", title="Set up", status=422, form=form.amiss(error.errors, (*SHOWN, "again"))
        )
    return await _begin(request, services, user_id, team_id)


@get("/join", permission=PUBLIC, include_in_schema=False)
async def join_page(request: AnyRequest, services: NamedDependency[Services]) -> Response[str]:
    """What an invitation's link opens. Raises Refused (404) for a link that is over."""
    token = address(request).get("token")
    return await _join(request, services, Form({"token": [token]}), token)


@post("/join", permission=PUBLIC, from_browser=True, include_in_schema=False)
async def join(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """Join the team."""
    form = await read_form(request)
    token = form.get("token")
    gate = gate_of(request)
    try:
        if "again" in form.values:
            _same_twice(form)
        user_id, team_id = await invitations.accept(
            services, gate.limiter, token, _raw(form, "password"), form.get("name"), gate.address(request)
        )
    except Invalid as error:
        return await _join(request, services, form.amiss(error.errors, (*SHOWN, "again")), token)
    except Refused as error:
        if error.status != 401:
            raise
        return await _join(
            request, services, form.amiss({"password": ["This is not the password you log in with."]}, SHOWN), token
        )
    return await _begin(request, services, user_id, team_id)


@get("/reset", permission=PUBLIC, include_in_schema=False)
async def reset_page(request: AnyRequest, services: NamedDependency[Services]) -> Response[str]:
    """What a password link opens. Raises Refused (404) for a link that is over."""
    token = address(request).get("token")
    return await _reset(request, services, Form({"token": [token]}), token)


@post("/reset", permission=PUBLIC, from_browser=True, include_in_schema=False)
async def reset(request: AnyRequest, services: NamedDependency[Services]) -> Response[Any]:
    """Set the password; every session of the person ends."""
    form = await read_form(request)
    try:
        _same_twice(form)
        await resets.complete(services, form.get("token"), _raw(form, "password"), gate_of(request).address(request))
    except Invalid as error:
        return await _reset(request, services, form.amiss(error.errors, ("password", "again")), form.get("token"))
    return Redirect("/login?reset=1", status_code=303)


async def _join(request: AnyRequest, services: Services, form: Form, token: str) -> Response[str]:
    found = await invitations.find(services.pool, services.secrets, token)
    if found is None:
        await gate_of(request).count_failure(request)
        raise Refused(404, "LINK_OVER", "This invitation is used or over; ask for another.")
    return page(request, "door/join.html", title="Join", status=422 if form.wrong else 200, form=form, found=found)


async def _reset(request: AnyRequest, services: Services, form: Form, token: str) -> Response[str]:
    email = await resets.find(services.pool, services.secrets, token)
    if email is None:
        await gate_of(request).count_failure(request)
        raise Refused(404, "LINK_OVER", "This link is used or over; ask for another.")
    return page(
        request, "door/reset.html", title="New password", status=422 if form.wrong else 200, form=form, email=email
    )


async def _begin(request: AnyRequest, services: Services, user_id: str, team_id: str) -> Redirect:
    user = await people.by_id(services.pool, user_id)
    made = await login.let_in(
        services, user_id, user["email"], team_id, gate_of(request).address(request), _agent(request)
    )
    return await _in(request, services, made.token, "/overview")


async def _in(request: AnyRequest, services: Services, token: str, where: str) -> Redirect:
    """A new session: a token that came with the request is worth nothing from now on."""
    old = request.cookies.get(sessions.cookie_name(services.settings))
    if old:
        await sessions.close(services.pool, services.secrets, old)
    return Redirect(where, status_code=303, cookies=[session_cookie(services.settings, token)])


def _inside(wish: str) -> str:
    """Where to go after logging in: a page of ours, whatever the address said."""
    parts = urlsplit(wish)
    ours = wish.startswith("/") and not wish.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return wish if ours and all(" " < character < "\x7f" and character != "\\" for character in wish) else "/overview"


def _same_twice(form: Form) -> None:
    if _raw(form, "password") != _raw(form, "again"):
        raise Invalid({"again": ["The two passwords differ."]})


def _raw(form: Form, name: str) -> str:
    """A password as typed: its spaces belong to it."""
    values: Sequence[str] = form.values.get(name) or [""]
    return values[0]


def _words(error: Refused) -> str:
    if isinstance(error, TooOften):
        return f"Too many tries. Wait {error.wait_seconds} seconds, then try again."
    return error.message


def _answered(response: Response[str], error: Refused) -> Response[str]:
    if isinstance(error, TooOften):
        response.headers["Retry-After"] = str(error.wait_seconds)
    return response


def _agent(request: AnyRequest) -> str:
    return request.headers.get("user-agent", "")


HANDLERS = (login_page, log_in, log_out, setup_page, set_up, join_page, join, reset_page, reset)
