"""Sending a test: a sample conversion really sent to a destination as configured, and what came of it, in words."""

from __future__ import annotations

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from postbacks.attempt import Tried
from tracker.access.caller import Caller
from tracker.api.envelope import envelope
from tracker.management import connections, postbacks, trials
from tracker.management.services import Services
from tracker.management.trials import Trial


@post("/api/connections/{destination_id:str}/test-event", status_code=200, permission="connections.manage")
async def send_test_event(
    destination_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    data: JSONBody[Trial | None] = None,
) -> dict[str, Any]:
    """Send a test event. Meta processes test events like real ones, so they are sent with value 0; Snapchat's go to its
    validate URL. Answers with the verdict, and the request and answer, masked."""
    return envelope(outcome(await trials.send(services, caller, connections.KINDS, destination_id, data or Trial())))


@post(
    [
        "/api/smart-link-postbacks/{destination_id:str}/test-event",
        "/api/smart-link-postbacks/{destination_id:str}/test",
    ],
    status_code=200,
    permission="postbacks.manage",
)
async def send_test_postback(
    destination_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    data: JSONBody[Trial | None] = None,
) -> dict[str, Any]:
    """Send a sample conversion to a postback. Answers with the verdict, and the request and answer, masked."""
    return envelope(outcome(await trials.send(services, caller, postbacks.KINDS, destination_id, data or Trial())))


def outcome(tried: Tried) -> dict[str, Any]:
    """An attempt as it is shown; request and answer are masked already."""
    verdict = tried.verdicts[0]
    return {
        "succeeded": verdict.outcome == "delivered",
        "outcome": verdict.outcome,
        "message": verdict.words,
        "status_code": tried.status_code,
        "duration_ms": tried.duration_ms,
        "request": tried.request,
        "answer": tried.answer,
    }
