"""One member of the team: what they may, another role, a link for a new password, handing the team over, removing them."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from tracker.access import members, resets
from tracker.access.caller import Caller
from tracker.access.permissions import OWN
from tracker.dashboard.address import address
from tracker.dashboard.forms import Form, read_form
from tracker.dashboard.grants import ROLE_WORDS, chosen, grid, may_touch, roles_to_give, summary
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services

SHOWN = ("role", "permissions")
OWNER_STAYS = "The owner keeps this role until they hand the team to somebody else: a team is never without one."


@get("/team/members/{user_id:str}", permission="team.view", include_in_schema=False)
async def one_member(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[str]:
    """Who they are and what they may; for who may change that, the forms."""
    one = await members.get(services.pool, caller.team_id, user_id)
    return _show(request, caller, services, one, _form_of(one))


@post("/team/members/{user_id:str}", permission="team.manage", include_in_schema=False)
async def change_member(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Another role or other permissions, or why not."""
    one = await members.get(services.pool, caller.team_id, user_id)
    form = await read_form(request)
    try:
        await members.change(services.pool, caller, user_id, *chosen(form))
    except Invalid as error:
        return _show(request, caller, services, one, form.amiss(error.errors, SHOWN), 422)
    except Refused as error:
        return _refused(request, caller, services, one, form, error)
    return Redirect(f"/team/members/{one.user_id}?saved=1", status_code=303)


@post("/team/members/{user_id:str}/remove", permission="team.manage", include_in_schema=False)
async def remove_member(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """Out of the team."""
    one = await members.get(services.pool, caller.team_id, user_id)
    try:
        await members.remove(services.pool, caller, user_id)
    except Refused as error:
        return _refused(request, caller, services, one, _form_of(one), error)
    return Redirect("/team?done=removed", status_code=303)


@post("/team/members/{user_id:str}/password-reset", permission=OWN, include_in_schema=False)
async def offer_password(
    request: Request[Any, Any, Any],
    user_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> Response[Any]:
    """A link at which they set a new password; it is on this answer only."""
    one = await members.get(services.pool, caller.team_id, user_id)
    try:
        link = await resets.make_for_member(services, caller, user_id)
    except Refused as error:
        return _refused(request, caller, services, one, _form_of(one), error)
    return _show(request, caller, services, one, _form_of(one), link=link)


@post("/team/members/{user_id:str}/owner", permission=OWN, include_in_schema=False)
async def hand_over(
    user_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Redirect:
    """Make them the owner; who was becomes an admin."""
    await members.hand_over(services.pool, caller, user_id)
    return Redirect("/team?done=handed", status_code=303)


def _refused(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    one: members.Member,
    form: Form,
    error: Refused,
) -> Response[str]:
    """Why not, above the form. Somebody who is gone meanwhile is a page of its own."""
    if error.status not in (403, 409):
        raise error
    words = OWNER_STAYS if error.code == "OWNER" else error.message
    return _show(request, caller, services, one, form.amiss({"": [words]}, ("",)), error.status)


def _show(
    request: Request[Any, Any, Any],
    caller: Caller,
    services: Services,
    one: members.Member,
    form: Form,
    status: int = 200,
    link: str = "",
) -> Response[str]:
    return page(
        request, "team/member.html", title=one.name or one.email, status=status, caller=caller, services=services, one=one, form=form,
        link=link, grid=grid(caller), roles=roles_to_give(caller), role_words=ROLE_WORDS, summary=summary(one.permissions),
        touchable=may_touch(caller, one.role, one.granted), owner_stays=OWNER_STAYS, own=caller.may(OWN), itself=one.user_id == caller.user_id,
        zone=person_zone(request), where=address(request),
    )  # fmt: skip


def _form_of(one: members.Member) -> Form:
    return Form({"role": [one.role], "permissions": one.granted})


HANDLERS = (one_member, change_member, remove_member, offer_password, hand_over)
