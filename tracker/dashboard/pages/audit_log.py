"""Who did what: every change in the team, newest first."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency

from tracker.access import audit, keys, members
from tracker.access.audit import Entry, Wanted
from tracker.access.caller import Caller
from tracker.dashboard.address import address
from tracker.dashboard.navigation import Place
from tracker.dashboard.period import person_zone
from tracker.dashboard.rendering import page
from tracker.management.services import Services

PLACE = Place("/audit-log", "Audit log", "log", "u", "audit-log.view")
PAGE_SIZE = 50
MOST_KEYS = 200
ACTIONS = {
    "account.connected": "Account connected",
    "account.changed": "Account changed",
    "account.reconnect_asked": "Account looked at again",
    "account.disconnected": "Account disconnected",
    "smart_link.created": "Smart link made",
    "smart_link.changed": "Smart link changed",
    "smart_link.tagged": "Smart link tagged",
    "smart_link.deleted": "Smart link deleted",
    "link.created": "Tracking or trial link made",
    "link.tagged": "Tracking or trial link tagged",
    "link.deleted": "Tracking or trial link deleted",
    "postback.created": "Postback made",
    "postback.changed": "Postback changed",
    "connection.created": "Ad platform connected",
    "connection.changed": "Ad platform changed",
    "webhook.created": "Webhook made",
    "webhook.changed": "Webhook changed",
    "webhook.redelivered": "Webhook events sent again",
    "destination.replayed": "Deliveries sent again",
    "destination.deleted": "Postback, ad platform or webhook deleted",
    "member.invited": "Person invited",
    "member.uninvited": "Invitation taken back",
    "member.joined": "Person joined",
    "member.changed": "Role changed",
    "member.removed": "Person removed",
    "person.renamed": "Own name changed",
    "session.opened": "Logged in",
    "password.changed": "Password changed",
    "password.reset_offered": "Password link made",
    "password.reset": "Password set by link",
    "api_key.created": "API key made",
    "api_key.renamed": "API key renamed",
    "api_key.revoked": "API key revoked",
    "team.set_up": "Team set up",
    "team.created": "Team made",
    "team.renamed": "Team renamed",
    "team.handed_over": "Team handed over",
    "erasure.requested": "Erasure asked for",
}


@get("/audit-log", permission="audit-log.view", include_in_schema=False)
async def show_log(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[str]:
    """Acts, newest first, of one kind, person, key or thing."""
    where = address(request)
    before = where.get("before")
    wanted = Wanted(
        action=where.get("action") or None,
        object_id=where.get("thing") or None,
        user_id=where.get("person") or None,
        api_key_id=where.get("key") or None,
    )
    start = min(int(before), audit.MAX_ID) if before.isascii() and before.isdigit() and len(before) < 20 else None
    entries, people, made = await asyncio.gather(
        audit.entries(services.pool, caller.team_id, wanted, start, PAGE_SIZE + 1),
        _people(services, caller),
        _keys(services, caller),
    )
    return page(
        request, "audit/page.html", title="Audit log", caller=caller, services=services, where=where, zone=person_zone(request),
        entries=entries[:PAGE_SIZE], more=len(entries) > PAGE_SIZE, actions=ACTIONS, people=people, made=made, place_of=place_of,
    )  # fmt: skip


async def _people(services: Services, caller: Caller) -> list[members.Member]:
    return await members.listed(services.pool, caller.team_id) if caller.may("team.view") else []


async def _keys(services: Services, caller: Caller) -> list[keys.Key]:
    return await keys.listed(services.pool, caller.team_id, MOST_KEYS) if caller.may("api-keys.view") else []


def place_of(entry: Entry) -> str:
    """The page of the thing an entry is about; '' without one."""
    kind = entry.object_kind
    if kind == "smart_link":
        return f"/links/{entry.object_id}"
    if kind == "destination" and entry.action.startswith(("postback.", "connection.")):
        return f"/{'postbacks' if entry.action.startswith('postback.') else 'platforms'}/{entry.object_id}"
    if kind == "user":
        return f"/team/members/{entry.object_id}"
    return {"api_key": "/keys", "invitation": "/team", "team": "/team"}.get(kind, "")


HANDLERS = (show_log,)
