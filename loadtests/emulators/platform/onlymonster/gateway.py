"""What every Onlymonster call passes: the token and its three limits (upstream spec 3, 6.3 row 4)."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from aiohttp import web

from .. import gateway
from ..calls import ApiError, Endpoint, Reply
from ..records import Account
from .call import Call, invalid, not_found

if TYPE_CHECKING:
    from ..webhooks import Webhooks
    from ..world import World


class Gateway(gateway.Gateway):
    """The front of `/onlymonster`."""

    host = "omapi.onlymonster.ai"
    root = "/onlymonster"

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        super().__init__(world, webhooks)
        self._recent: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def unknown(self, request: web.Request) -> ApiError:
        """404 as the framework writes it."""
        error = not_found(f"Route {request.method}:{request.path.removeprefix(self.root)} not found")
        error.violation = "unknown_path"
        return error

    def account_of(self, request: web.Request) -> Account | None:
        """By Onlymonster's own id or, on `platforms` paths, by the platform's."""
        own, theirs = request.match_info.get("account_id"), request.match_info.get("platform_account_id")
        for account in self._world.connected("onlymonster"):
            if (own is not None and own == str(account.onlymonster_id)) or theirs == str(account.onlyfans_id):
                return account
        return None

    async def admit(self, endpoint: Endpoint, request: web.Request) -> tuple[Reply, Account | None]:
        """Token, limits, faults, account, body, latency; then the handler."""
        token = self._authorize(request)
        self._limit(token, endpoint, request)
        self.upstream_faults(request)
        if request.match_info.get("platform", "onlyfans") != "onlyfans":
            raise invalid("platform", "must be equal to one of the allowed values", "bad_parameter")
        account = self.account_of(request)
        if account is None and ("account_id" in request.match_info or "platform_account_id" in request.match_info):
            text = request.match_info.get("account_id", "0")
            if not (text.isascii() and text.isdigit()):
                raise invalid("account_id", "must match pattern", "bad_account_id")
            raise not_found("Account not found")
        body = await self.body(request, invalid)
        await self.delay(endpoint)
        return await endpoint.handler(Call(request, self._world, self._webhooks, account, body)), account

    def _authorize(self, request: web.Request) -> str:
        token = request.headers.get("x-om-auth-token", "")
        if token not in self._world.settings.onlymonster_tokens:
            kind = "wrong_token" if token else "missing_token"
            raise ApiError(401, {"statusCode": 401, "error": "Unauthorized", "message": kind}, violation=kind)
        return token

    def _limit(self, token: str, endpoint: Endpoint, request: web.Request) -> None:
        settings = self._world.settings
        per_endpoint = settings.onlymonster_endpoint_rate
        if endpoint.per_second is not None:
            per_endpoint = settings.onlymonster_slow_rate
        allowed = not self._world.faults.take("rate_limited", request.path)
        now = self._world.clock.now().timestamp()
        spans = [
            (self._recent[(token, "")], settings.onlymonster_token_rate),
            (self._recent[(token, f"{endpoint.method} {endpoint.path}")], per_endpoint),
        ]
        for recent, limit in spans:
            while recent and recent[0] <= now - 1:
                recent.popleft()
            allowed = allowed and (limit is None or len(recent) < limit)
        if not allowed:
            text = "Rate limit exceeded"
            raise ApiError(429, text if settings.onlymonster_429 == "text" else {"message": text})
        for recent, _ in spans:
            recent.append(now)
