"""`/__admin`: switches and books of the ad platforms. JSON in, JSON out, no auth, loopback use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from .app import AdPlatforms

Body = dict[str, Any]


class Admin:
    """Handlers of the control API."""

    def __init__(self, ads: AdPlatforms) -> None:
        self._ads = ads

    def add(self, app: web.Application) -> None:
        """Route the control API."""
        for path, act in {
            "mode": self._mode,
            "tokens": self._tokens,
            "reset": self._reset,
            "clock/advance": self._advance,
        }.items():
            app.router.add_post(f"/__admin/{path}", _posted(act))
        for path, show in {
            "events": self._events,
            "requests": self._requests,
            "violations": self._violations,
            "counts": self._counts,
            "clock": self._clock,
        }.items():
            app.router.add_get(f"/__admin/{path}", _shown(show))

    def _mode(self, body: Body) -> Any:
        """`{platform, pixel?, mode, ...}`: the fields of `Mode`."""
        self._ads.set_mode(str(body.pop("platform")), str(body.pop("pixel", "")), body)
        return {"ok": True}

    def _tokens(self, body: Body) -> Any:
        """`{platform, token, pixel?, expires_in?}` grants; `{platform, token, revoked: true}` kills a token."""
        platform, token = str(body["platform"]), str(body["token"])
        if body.get("revoked"):
            self._ads.access.revoke(platform, token)
        else:
            expires = float(body.get("expires_in", math.inf))
            self._ads.grant(platform, token, pixel=str(body.get("pixel", "")), expires_in=expires)
        return {"ok": True}

    def _reset(self, body: Body) -> Any:
        self._ads.reset()
        return {"ok": True}

    def _advance(self, body: Body) -> Any:
        """`{seconds}`."""
        return {"now": self._ads.clock.advance(float(body["seconds"])).timestamp()}

    def _clock(self, query: Body) -> Any:
        return {"now": self._ads.now()}

    def _counts(self, query: Body) -> Any:
        return dict(self._ads.books.counts)

    def _events(self, query: Body) -> Any:
        """The unique events, the copies of them thrown away, and those counted twice because a copy came too late."""
        events = [e for e in self._ads.books.events if _wanted(e, query)]
        return {
            "unique": len(events),
            "duplicates": sum(e.duplicates for e in events),
            "again": sum(e.again for e in events),
            "events": events,
            "validated": [e for e in self._ads.books.validated if _wanted(e, query)],
        }

    def _requests(self, query: Body) -> Any:
        return [r for r in self._ads.books.requests if _wanted(r, query)]

    def _violations(self, query: Body) -> Any:
        severity = query.get("severity")
        return [v for v in self._ads.books.violations if _wanted(v, query) and severity in (None, v.severity)]


def _wanted(entry: Any, query: Body) -> bool:
    return query.get("platform") in (None, entry.platform) and query.get("pixel") in (None, entry.pixel)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _posted(act: Callable[[Body], Any]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = msgspec.json.decode(await request.read() or b"{}", type=Body)
            return _json(act(body))
        except KeyError as missing:
            return _json({"error": f"missing or unknown: {missing}"}, 422)
        except (ValueError, TypeError) as wrong:
            return _json({"error": str(wrong)}, 422)

    return handle


def _shown(show: Callable[[Body], Any]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return _json(show(dict(request.query)))

    return handle
