"""What every OFAuth call passes: key, connection, permission, token bucket (upstream spec 2, 6.3 row 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .. import gateway
from ..calls import ApiError, Endpoint, Reply
from ..records import Account
from .call import Call, invalid, refused

if TYPE_CHECKING:
    from ..webhooks import Webhooks
    from ..world import World

_CODES = {"UNAUTHORIZED": "AUTH_INVALID_KEY", "BAD_REQUEST": "VALIDATION_ERROR"}


@dataclass(slots=True)
class _Bucket:
    """Tokens at virtual Unix time `at`."""

    tokens: float
    at: float


class Gateway(gateway.Gateway):
    """The front of `/ofauth`."""

    host = "api.ofauth.com"
    root = "/ofauth"

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        super().__init__(world, webhooks)
        self._buckets: dict[tuple[int, str], _Bucket] = {}

    def unknown(self, request: web.Request) -> ApiError:
        """404."""
        return refused("ROUTE_NOT_FOUND", "Route not found", "unknown_path")

    def account_of(self, request: web.Request) -> Account | None:
        """By the header on access paths, by the path on connection paths."""
        wanted = request.match_info.get("connection") or request.headers.get("x-connection-id", "")
        return next((a for a in self._world.connected("ofauth") if a.connection_id == wanted), None)

    async def admit(self, endpoint: Endpoint, request: web.Request) -> tuple[Reply, Account | None]:
        """Key, connection, bucket, faults, permission, session, body, latency; then the handler."""
        key = request.headers.get("apiKey", "")
        if key not in self._world.settings.ofauth_api_keys:
            raise refused("UNAUTHORIZED", "Invalid API key", "wrong_api_key" if key else "missing_api_key")
        account = self.account_of(request)
        if request.path.startswith("/ofauth/v2/access/"):
            self._admit_connection(endpoint, request, account)
        elif account is None and "connection" in request.match_info:
            raise refused("RESOURCE_NOT_FOUND", "Connection not found")
        self.upstream_faults(request)
        for name in request.query:
            if name == "filter" or name.startswith("filter."):
                raise invalid(name, "Filters are written filter[name]", "bad_filter")
        if endpoint.permission and endpoint.permission not in self._world.settings.ofauth_permissions:
            raise refused("FORBIDDEN", f"Missing permission {endpoint.permission}")
        if endpoint.live and account is not None and account.session_state != "active":
            raise refused("SESSION_EXPIRED", "The session of this connection has expired")
        body = await self.body(request, invalid)
        await self.delay(endpoint)
        return await endpoint.handler(Call(request, self._world, self._webhooks, account, body)), account

    def _admit_connection(self, endpoint: Endpoint, request: web.Request, account: Account | None) -> None:
        if "x-connection-id" not in request.headers:
            raise refused("SESSION_NOT_PROVIDED", "The x-connection-id header is required", "missing_connection")
        if account is None:
            raise refused("RESOURCE_NOT_FOUND", "Connection not found")
        if not self._take(account.connection_id) or self._world.faults.take("rate_limited", request.path):
            raise refused("RATE_LIMIT_EXCEEDED", "Rate limit exceeded")

    def _take(self, connection_id: str) -> bool:
        settings = self._world.settings
        if settings.ofauth_rate_minute is None:
            return True
        now = self._world.clock.now().timestamp()
        bucket = self._buckets.setdefault((self._world.epoch, connection_id), _Bucket(settings.ofauth_burst, now))
        earned = max(0.0, now - bucket.at) * settings.ofauth_rate_minute / 60
        bucket.tokens, bucket.at = min(settings.ofauth_burst, bucket.tokens + earned), now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _limits(self, request: web.Request) -> dict[str, str]:
        """`X-RateLimit-*`. Reset is the Unix second at which a token is there again (its unit is a guess)."""
        settings = self._world.settings
        bucket = self._buckets.get((self._world.epoch, request.headers.get("x-connection-id", "")))
        if bucket is None or settings.ofauth_rate_minute is None:
            return {}
        missing = max(0.0, 1 - bucket.tokens) * 60 / settings.ofauth_rate_minute
        return {
            "X-RateLimit-Limit": str(settings.ofauth_rate_minute),
            "X-RateLimit-Remaining": str(int(bucket.tokens)),
            "X-RateLimit-Reset": str(math.ceil(bucket.at + missing)),
        }

    def answer(self, request: web.Request, reply: Reply, credits: int) -> web.Response:
        """The data itself, without an envelope."""
        return web.json_response(reply.data, status=reply.status, headers=self._limits(request))

    def error(self, request: web.Request, error: ApiError) -> web.Response:
        """The error in the words of one of the generations."""
        told: Any = error.body
        if "type" not in told:
            return web.json_response(told, status=error.status, headers=error.headers)
        world = self._world
        number = world.sequence("ofauth-error")
        generation = world.settings.ofauth_errors
        if generation == "mixed":
            generation = "code" if world.chance(0.5, "ofauth-error", number) else "type"
        if generation == "code":
            code = _CODES.get(told["type"], told["type"])
            body = {"error": told["message"], "code": code, "details": told["details"]}
        else:
            body = {"error": told["message"], "type": told["type"], "requestId": f"req_{number:08d}"}
            if told["type"] == "SESSION_EXPIRED":
                body["actionRequired"] = "refresh_session"
        return web.json_response(body, status=error.status, headers=self._limits(request) | error.headers)
