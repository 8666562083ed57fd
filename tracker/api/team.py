"""The team and the roles there are."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from tracker.access import members
from tracker.access.caller import Caller
from tracker.access.permissions import ASSIGNABLE, CATEGORIES, GRANTABLE, OWN, ROLES, SIGNED_IN
from tracker.api.envelope import envelope
from tracker.management.services import Services


class TeamName(msgspec.Struct, forbid_unknown_fields=True):
    """The team's new name."""

    name: str


class NewOwner(msgspec.Struct, forbid_unknown_fields=True):
    """The member who becomes the owner."""

    user_id: str


@get("/api/team", permission="team.view")
async def get_team(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> dict[str, Any]:
    """The team."""
    return envelope(msgspec.to_builtins(await members.team(services.pool, caller.team_id)))


@patch("/api/team", permission="team.manage")
async def rename_team(
    data: JSONBody[TeamName], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Rename the team."""
    return envelope(msgspec.to_builtins(await members.rename_team(services.pool, caller, data.name)))


@get("/api/team/roles", permission=SIGNED_IN)
async def list_roles() -> dict[str, Any]:
    """The roles with their permissions, and every permission by category."""
    roles = [
        {"name": name, "is_assignable": name in ASSIGNABLE, "permissions": sorted(held)} for name, held in ROLES.items()
    ]
    categories = [
        {"name": name, "title": title, "permissions": sorted(one for one in GRANTABLE if one.startswith(f"{name}."))}
        for name, title in CATEGORIES.items()
    ]
    return envelope({"roles": roles, "categories": categories})


@post("/api/team/ownership", status_code=200, permission=OWN)
async def hand_over_team(
    data: JSONBody[NewOwner], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Hand the team to another member; the owner so far becomes an admin."""
    return envelope(msgspec.to_builtins(await members.hand_over(services.pool, caller, data.user_id)))


ROUTES = (
    get_team,
    rename_team,
    list_roles,
    hand_over_team,
)
