"""The team: who is in it, as what, and who is invited."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access import invitations, members
from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.grants import ROLE_WORDS, chosen, grid, may_touch, roles_to_give, summary
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services

PLACE = Place("/team", "Team", "team", "m", "team.view")
SHOWN = ("email", "role", "permissions", "team")
DONE = {
    "renamed": "The team has its new name.",
    "removed": "They are no longer in the team: logged out of it, their API keys and open invitations ended.",
    "handed": "The team has its new owner; you are an admin of it now.",
    "revoked": "The invitation is taken back; its link is worth nothing any more.",
}


@get("/team", permission="team.view", include_in_schema=False)
async def show_team(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Members, open invitations, and what each role may."""
    return await _show(request, caller, services, Form({"role": ["member"]}))


@post("/team/name", permission="team.manage", include_in_schema=False)
async def rename(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Another name for the team."""
    form = await read_form(request)
    try:
        await members.rename_team(services.pool, caller, form.get("team"))
    except Invalid as error:
        wrong = {"team": [message for messages in error.errors.values() for message in messages]}
        return await _show(request, caller, services, form.amiss(wrong, SHOWN), 422)
    return Redirect("/team?done=renamed", status_code=303)


@post("/team/invitations", permission="team.manage", include_in_schema=False)
async def invite(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[Any]:
    """Invite somebody; the link is on this answer only."""
    form = await read_form(request)
    try:
        made, link = await invitations.make(services, caller, form.get("email"), *chosen(form))
    except Invalid as error:
        return await _show(request, caller, services, form.amiss(error.errors, SHOWN), 422)
    except Refused as error:
        return await _show(request, caller, services, form.amiss({"": [error.message]}, ("",)), error.status)
    return await _show(request, caller, services, Form({"role": ["member"]}), invited=(made, link))


@post("/team/invitations/{invitation_id:str}/revoke", permission="team.manage", include_in_schema=False)
async def take_back(
    invitation_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Redirect:
    """Take an invitation back."""
    await invitations.revoke(services.pool, caller, invitation_id)
    return Redirect("/team?done=revoked", status_code=303)


async def _show(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    form: Form,
    status: int = 200,
    invited: tuple[invitations.Invitation, str] | None = None,
) -> Response[str]:
    team, people, pending = await asyncio.gather(
        members.team(services.pool, caller.team_id),
        members.listed(services.pool, caller.team_id),
        invitations.listed(services.pool, caller.team_id),
    )
    return page(
        request, "team/page.html", title="Team", status=status, caller=caller, services=services, form=form, team=team,
        people=people, pending=pending, invited=invited, grid=grid(caller), roles=roles_to_give(caller), role_words=ROLE_WORDS,
        may_touch=may_touch, summary=summary, zone=person_zone(request), notice=DONE.get(address(request).get("done"), ""),
    )  # fmt: skip


HANDLERS = (show_team, rename, invite, take_back)
