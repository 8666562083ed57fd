"""One's own page: name, password, time zone, teams, and where one is logged in."""

from __future__ import annotations

import asyncio
from typing import Any

import user_agents
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access import login, people, sessions
from tracker.access.caller import Caller
from tracker.access.limits import TooOften
from tracker.access.permissions import SIGNED_IN
from tracker.api.auth import gate_of
from tracker.api.sessions import ended_cookie, session_cookie, user_agent
from tracker.dashboard.address import address
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.period import ZONES, known_zone, person_zone
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services

SHOWN = ("name", "current", "password", "again")
DONE = {
    "name": "Your name is saved.",
    "password": "Your password is changed. Everywhere else you are logged out.",
    "session": "That session is over.",
    "zone": "Times are shown in this time zone from now on.",
}


@get("/profile", permission=SIGNED_IN, include_in_schema=False)
async def show_profile(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Oneself."""
    return await _show(request, caller, services, Form())


@post("/profile/name", permission=SIGNED_IN, include_in_schema=False)
async def rename(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Another name."""
    _person(caller)
    form = await read_form(request)
    try:
        await people.rename(services.pool, caller, form.get("name"))
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, SHOWN), 422)
    return Redirect("/profile?done=name", status_code=303)


@post("/profile/password", permission=SIGNED_IN, include_in_schema=False)
async def change_password(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Another password; every other session ends, this one goes on under a new token."""
    _person(caller)
    form = await read_form(request)
    current, new, again = (_raw(form, name) for name in ("current", "password", "again"))
    try:
        if new != again:
            raise Invalid({"again": ["The two passwords differ."]})
        made = await login.change_password(
            services, gate_of(request).limiter, caller, current, new, user_agent(request)
        )
    except Invalid as error:
        wrong = {"password" if name == "new_password" else name: said for name, said in error.errors.items()}
        return await _show(request, caller, services, form.amiss(wrong, SHOWN), 422)
    except TooOften as error:
        words = f"Too many tries. Wait {error.wait_seconds} seconds, then try again."
        answer = await _show(request, caller, services, form.amiss({"current": [words]}, SHOWN), 429)
        answer.headers["Retry-After"] = str(error.wait_seconds)
        return answer
    except Refused as error:
        if error.status != 401:
            raise
        wrong = {"current": ["This is not the password you log in with."]}
        return await _show(request, caller, services, form.amiss(wrong, SHOWN), 422)
    return Redirect("/profile?done=password", status_code=303, cookies=[session_cookie(services.settings, made.token)])


@post("/profile/team", permission=SIGNED_IN, include_in_schema=False)
async def switch_team(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Redirect:
    """Look at another of one's teams."""
    _person(caller)
    await sessions.switch(services.pool, caller, (await read_form(request)).get("team_id"))
    return Redirect("/profile", status_code=303)


@post("/profile/sessions/{session_id:str}/end", permission=SIGNED_IN, include_in_schema=False)
async def end_session(
    session_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Redirect:
    """End one of one's sessions."""
    await sessions.close_one(services.pool, _person(caller), session_id)
    return Redirect("/profile?done=session", status_code=303)


@post("/profile/log-out-everywhere", permission=SIGNED_IN, include_in_schema=False)
async def log_out_everywhere(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> Redirect:
    """End every session of one's own, this one too."""
    await sessions.close_all(services.pool, _person(caller))
    return Redirect("/login", status_code=303, cookies=[ended_cookie(services.settings)])


async def _show(
    request: Request[Any, Any, Any], caller: Caller, services: Services, form: Form, status: int = 200
) -> Response[str]:
    user_id = _person(caller)
    person, rows, teams = await asyncio.gather(
        people.by_id(services.pool, user_id),
        sessions.listed(services.pool, services.settings, user_id),
        people.teams_of(services.pool, user_id),
    )
    if "name" not in form.values:
        form = Form({**form.values, "name": [person["name"]]}, form.wrong)
    where = address(request)
    zone = known_zone(where.get("zone"), str(person_zone(request)))
    done = "zone" if where.get("zone") == zone else where.get("done")
    return page(
        request, "profile/page.html", title="Your profile", status=status, caller=caller, services=services, form=form,
        person=person, browser=browser, rows=rows, teams=teams, chosen=zone, zones=ZONES, zone=person_zone(request), notice=DONE.get(done, ""),
    )  # fmt: skip


def browser(agent: str) -> str:
    """'Firefox on Windows' of what a browser calls itself."""
    found = user_agents.parse(agent)
    families = [family for family in (found.browser.family, found.os.family) if family != "Other"]
    return " on ".join(families) or agent[:40] or "unknown"


def _person(caller: Caller) -> str:
    if caller.user_id is None or caller.session_id is None:
        raise Refused(403, "FORBIDDEN", "This is the page of a person who is logged in, not of an API key.")
    return caller.user_id


def _raw(form: Form, name: str) -> str:
    """A password as typed: its spaces belong to it."""
    values = form.values.get(name) or [""]
    return values[0]


HANDLERS = (show_profile, rename, change_password, switch_team, end_session, log_out_everywhere)
