"""How long the api takes to answer, by route: the route's template, never a path with ids in it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

log = structlog.get_logger()

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds; 150 ms is a page's budget
UNROUTED = "none"  # 404 and 405: whatever a stranger asked for
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class RequestTimes:
    """An ASGI application around another that times it. Litestar leaves the route it chose in the request's scope."""

    def __init__(self, app: App, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "clickbind_http_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._answers = Counter(
            "clickbind_http_responses", "Answers by route and class of status.", ["route", "status"], registry=registry
        )

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Pass on, and note how long it took and how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = scope.get("path_template") or UNROUTED
            if status in (404, 405) and not scope.get("path_params"):
                route = UNROUTED
            method = scope["method"] if scope["method"] in METHODS else "other"
            seconds = time.perf_counter() - started
            self._seconds.labels(method, route).observe(seconds)
            self._answers.labels(route, f"{status // 100}xx").inc()
            log.debug("api.request", method=method, route=route, status=status, seconds=round(seconds, 4))
