"""The team's members and invitations."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tracker.access import invitations, members, resets
from tracker.access.caller import Caller
from tracker.access.permissions import OWN
from tracker.api.envelope import envelope
from tracker.management.services import Services


class RoleChange(msgspec.Struct, forbid_unknown_fields=True):
    """A role, and permissions beyond it: left out, they stay as they are. Role `custom` has only what is granted here."""

    role: str | None = None
    permissions: list[str] | None = None


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True):
    """Who is invited, as what."""

    email: str
    role: str
    permissions: list[str] = []


@get("/api/team/members", permission="team.view")
async def list_members(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team's members, the owner first."""
    return envelope(msgspec.to_builtins(await members.listed(services.pool, caller.team_id)))


@get("/api/team/members/{user_id:str}", permission="team.view")
async def get_member(
    user_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One member."""
    return envelope(msgspec.to_builtins(await members.get(services.pool, caller.team_id, user_id)))


@patch("/api/team/members/{user_id:str}", permission="team.manage")
async def change_member(
    user_id: FromPath[str],
    data: JSONBody[RoleChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Change a member's role or grants. 403 beyond one's own permissions, 409 for the owner."""
    now = await members.get(services.pool, caller.team_id, user_id)
    role = now.role if data.role is None else data.role
    granted = now.granted if data.permissions is None else data.permissions
    return envelope(msgspec.to_builtins(await members.change(services.pool, caller, user_id, role, granted)))


@delete("/api/team/members/{user_id:str}", status_code=200, permission="team.manage")
async def remove_member(
    user_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Remove a member; their sessions here, their keys and their invitations end. 409 for the owner."""
    await members.remove(services.pool, caller, user_id)
    return envelope({"success": True})


@post("/api/team/members/{user_id:str}/password-reset", status_code=201, permission=OWN)
async def offer_password_reset(
    user_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """A link at which a member sets a new password, once, within a day. The owner's alone; hand it to that person only."""
    return envelope({"url": await resets.make_for_member(services, caller, user_id)})


@get("/api/team/invitations", permission="team.view")
async def list_invitations(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team's open invitations, newest first."""
    return envelope(msgspec.to_builtins(await invitations.listed(services.pool, caller.team_id)))


@post("/api/team/invitations", status_code=201, permission="team.manage")
async def invite(
    data: JSONBody[NewInvitation], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Invite somebody. The link is in this answer only: send it to that person; it works once, within a week."""
    made, url = await invitations.make(services, caller, data.email, data.role, data.permissions)
    return envelope(msgspec.to_builtins(made) | {"url": url})


@delete("/api/team/invitations/{invitation_id:str}", status_code=200, permission="team.manage")
async def revoke_invitation(
    invitation_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Take an invitation back."""
    await invitations.revoke(services.pool, caller, invitation_id)
    return envelope({"success": True})


ROUTES = (
    list_members,
    get_member,
    change_member,
    remove_member,
    offer_password_reset,
    list_invitations,
    invite,
    revoke_invitation,
)
