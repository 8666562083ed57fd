"""Data protection over HTTP: forgetting a fan or a visitor, and what was forgotten."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, page
from tracker.management.errors import Invalid, not_found
from tracker.management.services import Services
from tracker.protection.erasure import Erased, erase_fan, erase_visitor, erasures

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewErasure(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom to forget. A fan: `fan_id`, on one account with `account_id`. A visitor: `visitor`, the value of the cookie, or a `click_id`."""

    kind: Literal["fan", "visitor"]
    fan_id: Text | None = None
    account_id: Text | None = None
    visitor: Text | None = None
    click_id: Text | None = None


@post("/api/erasures", status_code=201, permission="data-protection.manage")
async def create_erasure(
    data: JSONBody[NewErasure], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """Erase a fan or a visitor everywhere, for good. Counts and money stay, nameless; it is repeated for what comes late.

    `fans` names the fans credited to an erased visitor's clicks: they are people of their own to erase, or not.
    """
    if data.kind == "fan":
        if not data.fan_id or data.visitor or data.click_id:
            raise Invalid({"fan_id": ["An erasure of a fan takes fan_id, and account_id to keep to one account."]})
        done = await erase_fan(services, caller, data.fan_id, data.account_id)
    else:
        if data.fan_id or data.account_id:
            raise Invalid({"visitor": ["An erasure of a visitor takes visitor or click_id."]})
        done = await erase_visitor(services, caller, data.visitor or "", data.click_id or "")
    return envelope(report(done))


def report(done: Erased) -> dict[str, Any]:
    """What an erasure did."""
    return {
        "id": done.erasure_id,
        "kind": done.kind,
        "erased": done.counts,
        "fans": [{"account_id": account_id, "fan_id": fan_id} for account_id, fan_id in done.fans],
        "pending": done.pending,
    }


@get("/api/erasures", permission="data-protection.view")
async def list_erasures(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """The team's erasures, latest first: when, and how much was erased where; not of whom."""
    return page(request, await erasures(services, caller.team_id, None, limit + 1, offset), limit, offset)


@get("/api/erasures/{erasure_id:str}", permission="data-protection.view")
async def get_erasure(
    erasure_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> dict[str, Any]:
    """One erasure."""
    found = await erasures(services, caller.team_id, erasure_id.upper())
    if not found:
        raise not_found("The erasure")
    return envelope(found[0])
