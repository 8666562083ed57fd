"""Who did what."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tracker.access import audit
from tracker.access.audit import MAX_ID, Wanted
from tracker.access.caller import Caller
from tracker.api.envelope import META, Limit, next_page
from tracker.management.services import Services

Text = Annotated[str | None, QueryParameter(max_length=200)]


@get("/api/audit-log", permission="audit-log.view")
async def list_audit_log(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    object_kind: Text = None,
    object_id: Text = None,
    action: Text = None,
    user_id: Text = None,
    api_key_id: Text = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=MAX_ID)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What people and keys changed, newest first. `before`: the last `audit_id` of the page before."""
    wanted = Wanted(object_kind=object_kind, object_id=object_id, action=action, user_id=user_id, api_key_id=api_key_id)
    rows = await audit.entries(services.pool, caller.team_id, wanted, before, limit + 1)
    following = next_page(request, before=rows[limit - 1].audit_id, limit=limit) if len(rows) > limit else None
    return {"data": msgspec.to_builtins(rows[:limit]), "_pagination": {"next_page": following}, "_meta": META}


ROUTES = (list_audit_log,)
