"""What the calls of every vendor pass: faults, latency, time-outs, the call log."""

from __future__ import annotations

import asyncio
import json
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .calls import ApiError, Endpoint, Reply
from .clock import iso
from .ledger import CallRecord
from .records import Account

if TYPE_CHECKING:
    from .webhooks import Webhooks
    from .world import World

_GATEWAY_PAGE = """<!DOCTYPE html><html lang="en-US"><head><title>{host} | {code}: {title}</title></head>
<body><h1>{title} <span>Error code {code}</span></h1><p>Cloudflare</p></body></html>"""


class Gateway(ABC):
    """Wraps endpoints into aiohttp handlers. A vendor's gateway says how to admit, answer and refuse."""

    host = ""
    root = ""
    charges = False

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks

    @abstractmethod
    async def admit(self, endpoint: Endpoint, request: web.Request) -> tuple[Reply, Account | None]:
        """Check the request and run the handler. Raises ApiError."""

    def answer(self, request: web.Request, reply: Reply, credits: int) -> web.Response:
        """Write a reply."""
        return web.json_response(reply.data, status=reply.status, headers=reply.headers)

    def error(self, request: web.Request, error: ApiError) -> web.Response:
        """Write an error whose body is JSON."""
        return web.json_response(error.body, status=error.status, headers=error.headers)

    def unknown(self, request: web.Request) -> ApiError:
        """The answer to a path the vendor does not have."""
        return ApiError(404, {"message": "Not found"}, violation="unknown_path")

    def account_of(self, request: web.Request) -> Account | None:
        """The account a request is about, for the log; None if it names none."""
        return self._world.accounts.get(request.match_info.get("account", ""))

    def add(self, app: web.Application, endpoints: list[Endpoint]) -> None:
        """Route the endpoints and a loud answer for every other path under the root."""
        for endpoint in endpoints:
            app.router.add_route(endpoint.method, endpoint.path, self._wrapped(endpoint))
        app.router.add_route("*", self.root + "/{rest:.*}", self._unknown)

    def _wrapped(self, endpoint: Endpoint) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            began = time.perf_counter()
            spent = 0
            try:
                reply, account = await self.admit(endpoint, request)
                spent = endpoint.credits if self.charges else 0
                self._world.ledger.charge(spent)
                response = self.answer(request, reply, spent)
                if endpoint.latency == "create" and self._times_out(request):
                    response = await self._time_out(request)
            except ApiError as error:
                account = self.account_of(request)
                spent = error.credits if self.charges else 0
                response = self._refuse(request, error)
            self._record(request, endpoint.path, account, response.status, spent, began)
            return response

        return handle

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        response = self._refuse(request, self.unknown(request))
        self._record(request, "unknown", None, response.status, 0, time.perf_counter())
        return response

    def _refuse(self, request: web.Request, error: ApiError) -> web.Response:
        if error.violation is not None:
            now = iso(self._world.clock.now())
            self._world.ledger.violate(error.violation, request.path_qs, str(error), now)
        if isinstance(error.body, str):
            kind = "text/html" if error.body.startswith("<!DOCTYPE") else "text/plain"
            return web.Response(status=error.status, text=error.body, content_type=kind, headers=error.headers)
        if self.charges:
            self._world.ledger.charge(error.credits)
        return self.error(request, error)

    def upstream_faults(self, request: web.Request) -> None:
        """Raise an armed fault of the proxy or the machine behind it."""
        faults = self._world.faults
        if faults.take("cloudflare_429", request.path):
            # The header says 0 and the body 30: seen on Cloudflare 1015 blocks (upstream spec 1.1).
            body = {"title": "Error 1015: You are being rate limited", "status": 429, "retry_after": 30}
            raise ApiError(429, body, headers={"Retry-After": "0"})
        if faults.take("bad_gateway", request.path):
            raise ApiError(502, self._page(502, "Bad gateway"))
        if faults.take("origin_timeout", request.path):
            raise ApiError(524, self._page(524, "A timeout occurred"))
        if faults.take("server_error", request.path):
            raise ApiError(500, {"message": "Server Error"})

    def _page(self, code: int, title: str) -> str:
        return _GATEWAY_PAGE.format(host=self.host, code=code, title=title)

    async def body(self, request: web.Request, refuse: Any) -> dict[str, Any]:
        """The JSON object sent; `refuse(name, message, violation)` makes the error for anything else."""
        raw = await request.read()
        if not raw:
            return {}
        if request.content_type != "application/json":
            raise refuse("body", "The request body must be JSON.", "not_json")
        try:
            body = json.loads(raw)
        except ValueError:
            raise refuse("body", "The request body must be JSON.", "not_json") from None
        if not isinstance(body, dict):
            raise refuse("body", "The request body must be a JSON object.", "not_json")
        return body

    async def delay(self, endpoint: Endpoint) -> None:
        """Let the latency of the endpoint's class pass (upstream spec 6.3 row 1)."""
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
        return web.Response(status=504, text=self._page(504, "Gateway time-out"), content_type="text/html")

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
