"""What every API call passes: auth, limits, faults, latency, the envelope, the ledger (upstream spec 1.1)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..clock import iso
from ..ledger import CallRecord
from ..records import Account
from .call import ApiError, Call, Endpoint, Reply, invalid

if TYPE_CHECKING:
    from ..webhooks import Webhooks
    from ..world import World

_GATEWAY_PAGE = """<!DOCTYPE html><html lang="en-US"><head><title>app.onlyfansapi.com | {code}: {title}</title></head>
<body><h1>{title} <span>Error code {code}</span></h1><p>Cloudflare</p></body></html>"""


class Gateway:
    """Wraps endpoints into aiohttp handlers."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks
        self._window = 0
        self._in_window: dict[str, int] = {}

    def add(self, app: web.Application, endpoints: list[Endpoint]) -> None:
        """Route the endpoints and a loud answer for every other `/api` path."""
        for endpoint in endpoints:
            app.router.add_route(endpoint.method, endpoint.path, self._wrapped(endpoint))
        app.router.add_route("*", "/api/{rest:.*}", self._unknown)

    def _wrapped(self, endpoint: Endpoint) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            began = time.perf_counter()
            spent = 0
            try:
                reply, account = await self._run(endpoint, request)
                spent = endpoint.credits
                self._world.ledger.charge(spent)
                response = self._answer(request, reply, spent)
                if endpoint.latency == "create" and self._times_out(request):
                    response = await self._time_out(request)
            except ApiError as error:
                account = self._world.accounts.get(request.match_info.get("account", ""))
                spent = error.credits
                response = self._refuse(request, error)
            self._record(request, endpoint.path, account, response.status, spent, began)
            return response

        return handle

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        error = ApiError(
            404, {"message": f"The route {request.path.lstrip('/')} could not be found."}, violation="unknown_path"
        )
        response = self._refuse(request, error)
        self._record(request, "unknown", None, response.status, 0, time.perf_counter())
        return response

    async def _run(self, endpoint: Endpoint, request: web.Request) -> tuple[Reply, Account | None]:
        key = self._authorize(request)
        self._limit(key)
        self._upstream_faults(request)
        self._check_query(request)
        body = await self._body(request)
        account = self._account(request)
        if endpoint.live and account is not None:
            _check_session(account)
        await self._delay(endpoint)
        reply = await endpoint.handler(Call(request, self._world, self._webhooks, account, body))
        return reply, account

    def _authorize(self, request: web.Request) -> str:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key.strip() not in self._world.settings.api_keys:
            kind = "missing_bearer" if not key else "wrong_bearer"
            text = "Unauthorized. Go to https://app.onlyfansapi.com/api-keys to get your API key."
            raise ApiError(401, {"error": text}, violation=kind)
        return key.strip()

    def _limit(self, key: str) -> None:
        limit = self._world.settings.rate_limit_minute
        now = self._world.clock.now().timestamp()
        window = int(now // 60)
        if window != self._window:
            self._window, self._in_window = window, {}
        self._in_window[key] = self._in_window.get(key, 0) + 1
        if (limit is not None and self._in_window[key] > limit) or self._world.faults.take("rate_limited"):
            headers = {"Retry-After": str(60 - int(now % 60))}
            raise ApiError(429, {"error": "TOO_MANY_REQUESTS", "message": "Too Many Attempts."}, headers=headers)

    def _remaining(self) -> int | None:
        limit = self._world.settings.rate_limit_minute
        return None if limit is None else max(0, limit - max(self._in_window.values(), default=0))

    def _upstream_faults(self, request: web.Request) -> None:
        faults = self._world.faults
        if faults.take("cloudflare_429", request.path):
            # The header says 0 and the body 30: seen on Cloudflare 1015 blocks (upstream spec 1.1).
            body = {"title": "Error 1015: You are being rate limited", "status": 429, "retry_after": 30}
            raise ApiError(429, body, headers={"Retry-After": "0"})
        if faults.take("bad_gateway", request.path):
            raise ApiError(502, _GATEWAY_PAGE.format(code=502, title="Bad gateway"))
        if faults.take("origin_timeout", request.path):
            raise ApiError(524, _GATEWAY_PAGE.format(code=524, title="A timeout occurred"))
        if faults.take("server_error", request.path):
            raise ApiError(500, {"message": "Server Error"})

    def _check_query(self, request: web.Request) -> None:
        for name in request.query:
            if name.startswith("filter.") or (name.startswith("filter") and "." in name.partition("[")[0]):
                raise invalid(name, f"The {name} parameter must use brackets, like filter[tags][].", "dot_filter")

    async def _body(self, request: web.Request) -> dict[str, Any]:
        raw = await request.read()
        if not raw:
            return {}
        if request.content_type != "application/json":
            raise invalid("body", "The request body must be JSON.", "not_json")
        try:
            body = json.loads(raw)
        except ValueError:
            raise invalid("body", "The request body must be JSON.", "not_json") from None
        if not isinstance(body, dict):
            raise invalid("body", "The request body must be a JSON object.", "not_json")
        return body

    def _account(self, request: web.Request) -> Account | None:
        account_id = request.match_info.get("account")
        if account_id is None:
            return None
        if not account_id.startswith("acct_"):
            raise ApiError(404, {"error": "account_not_found"}, violation="bad_account_prefix")
        account = self._world.accounts.get(account_id)
        if account is None:
            raise ApiError(404, {"error": "account_not_found"})
        return account

    async def _delay(self, endpoint: Endpoint) -> None:
        settings = self._world.settings
        number = self._world.sequence("latency")
        spans = {
            "create": settings.latency_create,
            "list": settings.latency_list,
            "read": settings.latency_read,
            "cached": settings.latency_cached,
        }
        span = spans[endpoint.latency]
        if endpoint.latency == "read" and self._world.chance(settings.slow_read_rate, "slow-read", number):
            span = settings.latency_slow_read
        seconds = self._world.draw(span, "latency", number)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _times_out(self, request: web.Request) -> bool:
        world = self._world
        if world.faults.take("create_timeout", request.path):
            return True
        return world.chance(world.settings.create_timeout_rate, "create-timeout", world.sequence("create"))

    async def _time_out(self, request: web.Request) -> web.Response:
        """The link exists by now; the client must not learn of it (upstream spec 6.3 row 7)."""
        mode = self._world.settings.create_timeout_mode
        if mode == "mixed":
            mode = "504" if self._world.chance(0.5, "timeout-mode", self._world.sequence("timeout-mode")) else "hang"
        if mode == "hang":
            await asyncio.sleep(self._world.settings.create_hang)
            if request.transport is not None:
                request.transport.abort()
        page = _GATEWAY_PAGE.format(code=504, title="Gateway time-out")
        return web.Response(status=504, text=page, content_type="text/html")

    def _answer(self, request: web.Request, reply: Reply, credits: int) -> web.Response:
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

    def _refuse(self, request: web.Request, error: ApiError) -> web.Response:
        if error.violation is not None:
            now = iso(self._world.clock.now())
            self._world.ledger.violate(error.violation, request.path_qs, str(error), now)
        self._world.ledger.charge(error.credits)
        if isinstance(error.body, str):
            return web.Response(status=error.status, text=error.body, content_type="text/html", headers=error.headers)
        body = error.body
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

    def _record(
        self, request: web.Request, route: str, account: Account | None, status: int, credits: int, began: float
    ) -> None:
        self._world.ledger.record(
            CallRecord(
                at=iso(self._world.clock.now()),
                method=request.method,
                path=request.path,
                query=request.query_string,
                route=route,
                account_id=None if account is None else account.id,
                status=status,
                credits=credits,
                ms=round((time.perf_counter() - began) * 1000, 2),
            )
        )


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
