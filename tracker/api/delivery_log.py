"""The delivery log: what was told to whom, attempt by attempt, and sending it again."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tracker.access.caller import Caller
from tracker.api.envelope import Limit, Offset, envelope, next_page, page
from tracker.api.moments import span
from tracker.lists import deliveries
from tracker.lists.deliveries import Delivery, State, Wanted
from tracker.management import connections, destinations, postbacks
from tracker.management.destinations import Replay
from tracker.management.errors import not_found
from tracker.management.services import Services

DeliveryState = Annotated[State | None, QueryParameter(name="state")]


@get("/api/smart-link-postbacks/{postback_id:str}/deliveries", permission="deliveries.view")
async def list_deliveries(
    request: Request[Any, Any, Any],
    postback_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    delivery_state: DeliveryState = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A postback's deliveries, newest first, each with its attempts: what was sent, what came back, the verdict in words."""
    found = await postbacks.get(services, caller, postback_id)
    return await _of(request, services, caller, found.destination_id, delivery_state, limit, offset)


@get("/api/connections/{connection_id:str}/deliveries", permission="deliveries.view")
async def list_connection_deliveries(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    delivery_state: DeliveryState = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> dict[str, Any]:
    """A connection's deliveries, newest first, with the platform's answers."""
    found = await connections.get(services, caller, connection_id)
    return await _of(request, services, caller, found.destination_id, delivery_state, limit, offset)


@post("/api/smart-link-postbacks/{postback_id:str}/replay", status_code=200, permission="deliveries.manage")
async def replay_deliveries(
    postback_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send dead deliveries again: one, some, a range, or all of this postback."""
    count = await destinations.replay(services, caller, postbacks.KINDS, postback_id, data, postbacks.WHAT)
    return envelope({"replayed": count})


@post("/api/connections/{connection_id:str}/replay", status_code=200, permission="deliveries.manage")
async def replay_connection(
    connection_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send dead deliveries again, under their own event ids: one, some, a range, or all."""
    count = await destinations.replay(services, caller, connections.KINDS, connection_id, data, connections.WHAT)
    return envelope({"replayed": count})


@get("/api/deliveries", permission="deliveries.view")
async def list_all_deliveries(
    request: Request[Any, Any, Any],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    destination_id: FromQuery[str | None] = None,
    delivery_state: DeliveryState = None,
    date_start: FromQuery[str | None] = None,
    date_end: FromQuery[str | None] = None,
    event_id: FromQuery[str | None] = None,
    after: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """The team's deliveries, newest first, by destination, state and when they were written; `after` is the cursor of the last
    row of the page before. One delivery with its attempts: `/api/deliveries/{event_id}`."""
    since, until = span(date_start, date_end)
    ids = None
    if destination_id is not None:
        kinds = destinations.ALL_KINDS
        ids = [(await destinations.get(services, caller, kinds, destination_id, "This destination")).destination_id]
    wanted = Wanted(
        destination_ids=ids,
        states=None if delivery_state is None else [delivery_state],
        since=since,
        until=until,
        event_id=event_id,
    )
    rows = await deliveries.page(services.pool, caller.team_id, wanted, limit=limit + 1, after=after)
    shown = rows[:limit]
    following = next_page(request, after=shown[-1].cursor) if len(rows) > limit else None
    return {**envelope([delivery_row(row) for row in shown]), "_pagination": {"next_page": following}}


@get("/api/deliveries/{event_id:str}", permission="deliveries.view")
async def get_delivery(
    event_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    destination_id: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """The deliveries of one event (a conversion's or a click's id) to each destination, with their attempts."""
    rows = await deliveries.one(services.pool, caller.team_id, event_id, destination_id)
    if not rows:
        raise not_found("This delivery")
    return envelope([delivery_row(row) for row in rows])


@post("/api/destinations/{destination_id:str}/replay", status_code=200, permission="deliveries.manage")
async def replay_destination(
    destination_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """Send the dead deliveries of any destination again: one, some, a range, or all."""
    kinds = destinations.ALL_KINDS
    count = await destinations.replay(services, caller, kinds, destination_id, data, "This destination")
    return envelope({"replayed": count})


@post("/api/destinations/{destination_id:str}/replay-forecast", status_code=200, permission="deliveries.view")
async def forecast_replay(
    destination_id: FromPath[str],
    data: JSONBody[Replay],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """What a replay of a range would send now, and how much of it is too old for the platforms to recognise as a repeat."""
    found = await destinations.forecast(services, caller, destination_id, data)
    return envelope({"dead": found.dead, "beyond_dedup": found.beyond_dedup})


async def _of(
    request: Request[Any, Any, Any],
    services: Services,
    caller: Caller,
    destination_id: str,
    state: str | None,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    wanted = Wanted(destination_ids=[destination_id], states=None if state is None else [state])
    rows = await deliveries.page(
        services.pool, caller.team_id, wanted, limit=limit + 1, offset=offset, with_attempts=True
    )
    return page(request, [delivery_row(row) for row in rows], limit, offset)


def delivery_row(row: Delivery) -> dict[str, Any]:
    """A delivery as the API shows it. Match keys (a fan's address among them) are not facts a template could have sent."""
    return {
        "event_id": row.event_id,
        "destination_id": row.destination_id,
        "destination_kind": row.kind,
        "destination_name": row.destination_name,
        "conversion_type": row.event_type,
        "state": row.state,
        "verdict": row.verdict,
        "attempts_count": row.attempts,
        "attempts": [
            {
                "attempt": each.attempt,
                "started_at": each.started_at.isoformat(),
                "duration_ms": each.duration_ms,
                "request": each.request,
                "status_code": each.status_code,
                "answer": each.answer,
                "outcome": each.outcome,
                "verdict": each.verdict,
            }
            for each in row.tries
        ],
        "next_attempt_at": row.due_at.isoformat() if row.state == "waiting" else None,
        "created_at": row.created_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "facts": row.facts,
    }
