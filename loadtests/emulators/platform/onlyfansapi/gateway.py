"""What every OnlyFansAPI call passes: bearer, credits, limit per minute, the envelope (upstream spec 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from .. import gateway
from ..records import Account
from .call import ApiError, Call, Endpoint, Reply, invalid

if TYPE_CHECKING:
    from ..webhooks import Webhooks
    from ..world import World


class Gateway(gateway.Gateway):
    """The front of `/api`, Fansly's paths included."""

    host = "app.onlyfansapi.com"
    root = "/api"
    charges = True

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        super().__init__(world, webhooks)
        self._window = 0
        self._in_window: dict[str, int] = {}

    def unknown(self, request: web.Request) -> ApiError:
        """404 as the framework writes it."""
        message = f"The route {request.path.lstrip('/')} could not be found."
        return ApiError(404, {"message": message}, violation="unknown_path")

    async def admit(self, endpoint: Endpoint, request: web.Request) -> tuple[Reply, Account | None]:
        """Bearer, limit, faults, query, body, account, session, latency; then the handler."""
        key = self._authorize(request)
        self._limit(key, request)
        self.upstream_faults(request)
        self._check_query(request)
        body = await self.body(request, invalid)
        account = self._account(request, fansly=endpoint.path.startswith("/api/fansly/"))
        if endpoint.live and account is not None:
            _check_session(account)
        await self.delay(endpoint)
        reply = await endpoint.handler(Call(request, self._world, self._webhooks, account, body))
        return reply, account

    def _authorize(self, request: web.Request) -> str:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key.strip() not in self._world.settings.api_keys:
            kind = "missing_bearer" if not key else "wrong_bearer"
            text = "Unauthorized. Go to https://app.onlyfansapi.com/api-keys to get your API key."
            raise ApiError(401, {"error": text}, violation=kind)
        return key.strip()

    def _limit(self, key: str, request: web.Request) -> None:
        limit = self._world.settings.rate_limit_minute
        now = self._world.clock.now().timestamp()
        window = int(now // 60)
        if window != self._window:
            self._window, self._in_window = window, {}
        self._in_window[key] = self._in_window.get(key, 0) + 1
        over = limit is not None and self._in_window[key] > limit
        if over or self._world.faults.take("rate_limited", request.path):
            headers = {"Retry-After": str(60 - int(now % 60))}
            raise ApiError(429, {"error": "TOO_MANY_REQUESTS", "message": "Too Many Attempts."}, headers=headers)

    def _remaining(self) -> int | None:
        limit = self._world.settings.rate_limit_minute
        return None if limit is None else max(0, limit - max(self._in_window.values(), default=0))

    def _check_query(self, request: web.Request) -> None:
        for name in request.query:
            if name.startswith("filter.") or (name.startswith("filter") and "." in name.partition("[")[0]):
                raise invalid(name, f"The {name} parameter must use brackets, like filter[tags][].", "dot_filter")

    def _account(self, request: web.Request, *, fansly: bool) -> Account | None:
        account_id = request.match_info.get("account")
        if account_id is None:
            return None
        if not account_id.startswith("fansly_acct_" if fansly else "acct_"):
            raise ApiError(404, {"error": "account_not_found"}, violation="bad_account_prefix")
        account = self._world.accounts.get(account_id)
        if account is None or "onlyfansapi" not in account.vendors:
            raise ApiError(404, {"error": "account_not_found"})
        return account

    def answer(self, request: web.Request, reply: Reply, credits: int) -> web.Response:
        """The reply in its envelope."""
        if reply.status == 204:
            return web.Response(status=204, headers=self._headers(credits))
        body = reply.data
        if not reply.bare:
            body = {"data": reply.data}
            if reply.next_page is not ...:
                body["_pagination"] = {"next_page": _next_url(request, reply.next_page)}
            body["_meta"] = self._meta(credits)
        headers = self._headers(credits) | reply.headers
        return web.json_response(body, status=reply.status, headers=headers)

    def error(self, request: web.Request, error: ApiError) -> web.Response:
        """An error with the envelope's `_meta` where the vendor adds it."""
        body: Any = error.body
        if error.status in (400, 404, 409, 422):
            body = {**body, "_meta": self._meta(error.credits)}
        return web.json_response(body, status=error.status, headers=self._headers(error.credits) | error.headers)

    def _meta(self, credits: int) -> dict[str, Any]:
        ledger, settings = self._world.ledger, self._world.settings
        return {
            "_credits": {"used": credits, "balance": ledger.balance, "note": "Always" if credits else "Free"},
            "_cache": {"is_cached": False, "note": "Cache disabled for this endpoint"},
            "_rate_limits": {
                "limit_minute": settings.rate_limit_minute,
                "limit_day": None,
                "remaining_minute": self._remaining(),
                "remaining_day": None,
            },
        }

    def _headers(self, credits: int) -> dict[str, str]:
        headers = {
            "x-ofapi-credits-balance": str(self._world.ledger.balance),
            "x-ofapi-credits-used": str(credits),
            "x-ofapi-is-cached": "false",
        }
        if self._world.settings.rate_limit_minute is not None:
            headers["x-rate-limit-limit-minute"] = str(self._world.settings.rate_limit_minute)
            headers["x-rate-limit-remaining-minute"] = str(self._remaining())
        return headers


def _check_session(account: Account) -> None:
    if account.session_state == "reauthenticating":
        text = "The account is being re-authenticated. Try again later."
        raise ApiError(503, {"error": "ACCOUNT_REAUTHENTICATING", "message": text}, headers={"Retry-After": "30"})
    if account.session_state != "active":
        text = "OnlyFans account connection has expired, and we couldn't automatically re-connect it."
        raise ApiError(401, {"error": "ONLYFANS_SESSION_EXPIRED", "message": text})


def _next_url(request: web.Request, changes: dict[str, Any] | None) -> str | None:
    if changes is None:
        return None
    return str(request.url.update_query({name: str(value) for name, value in changes.items()}))
