"""The webhook inbox: `POST /webhooks/{provider}/{account_id}`. Verified, stored raw, answered at once; work happens later."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tracker.clicklog import WAKE_CHANNEL
from tracker.inbox.keeper import Keeper
from tracker.inbox.receive import receive
from tracker.management.services import Services
from tracker.stores.valkey import RedisError

BODY_LIMIT = 1 << 20


@post(
    "/webhooks/{provider:str}/{account_id:str}", status_code=200, request_max_body_size=BODY_LIMIT, permission="public"
)
async def receive_webhook(
    request: Request[Any, Any, Any],
    provider: FromPath[str],
    account_id: FromPath[str],
    services: NamedDependency[Services],
    keeper: NamedDependency[Keeper],
) -> Response[Any]:
    """Take one provider event. 401 wrong signature, 404 unknown account, 400 not JSON, 413 too large, each with its reason."""
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    receipt = await receive(keeper, account_id, provider, headers, body, services.secrets)
    if receipt.status >= 400:
        return Response({"error": receipt.code.upper(), "message": receipt.message}, status_code=receipt.status)
    if not receipt.duplicate:
        try:
            await services.redis.publish(WAKE_CHANNEL, b"webhooks")
        except (RedisError, OSError):
            pass  # stored already; the worker finds it at its next look
    return Response({"received": True, "duplicate": receipt.duplicate}, status_code=200)
