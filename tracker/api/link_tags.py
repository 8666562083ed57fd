"""Tags of links: the vendor's calls (upstream 1.2, 1.3)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.management import tags
from tracker.management.services import Services
from tracker.management.tags import TagKind, Tags


class TagList(msgspec.Struct, forbid_unknown_fields=True):
    """Tags to put on or take off."""

    tags: Annotated[Tags, msgspec.Meta(min_length=1)]


@get("/api/link-tags", permission="smart-links.view")
async def list_link_tags(
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    kind: Annotated[TagKind | None, QueryParameter(name="type")] = None,
) -> dict[str, Any]:
    """Every tag the team uses, on one kind of link or on all."""
    return envelope({"tags": await tags.used(services, caller, kind)})


@get("/api/smart-links/{smart_link_id:str}/tags", permission="smart-links.view")
async def list_smart_link_tags(
    smart_link_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """A smart link's tags."""
    return envelope({"tags": await tags.of_smart_link(services, caller, smart_link_id)})


@post("/api/smart-links/{smart_link_id:str}/tags", status_code=200, permission="smart-links.manage")
async def add_smart_link_tags(
    smart_link_id: FromPath[str],
    data: JSONBody[TagList],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Put tags on a smart link; those it has already stay. Answers with all of them."""
    return envelope({"tags": await tags.of_smart_link(services, caller, smart_link_id, more=data.tags)})


@delete("/api/smart-links/{smart_link_id:str}/tags", status_code=200, permission="smart-links.manage")
async def remove_smart_link_tags(
    smart_link_id: FromPath[str],
    data: JSONBody[TagList],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Take tags off a smart link. Answers with those left."""
    return envelope({"tags": await tags.of_smart_link(services, caller, smart_link_id, less=data.tags)})
