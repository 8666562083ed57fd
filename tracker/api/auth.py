"""The gate in front of every handler: who is calling, may they, how often, and is a browser's request its own page's.

Each handler names its permission in its decorator: `permission="smart-links.view"`, "signed-in" for every key and session, "public" for
everybody. A handler that names none is closed. A caller is a bearer key or, without an Authorization header, a session cookie; a
mutation by cookie must carry the session's CSRF token. After `guard` has run, dependency `caller` gives handlers the Caller.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Scope

from tracker.access import keys, sessions
from tracker.access.caller import Caller
from tracker.access.limits import Limiter, Rate, TooOften
from tracker.access.permissions import PUBLIC, SIGNED_IN
from tracker.access.sessions import Session
from tracker.edge.client import ClientAddresses
from tracker.management.errors import Refused
from tracker.management.services import Services

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FAILURES = Rate(capacity=60, per_second=0.5)  # wrong keys and cookies one address may show
_KEY_LIMIT = 200
_CALLER, _SESSION, _HEADERS, _PRIVATE = (f"clickbind.{name}" for name in ("caller", "session", "headers", "private"))

Connection = ASGIConnection[Any, Any, Any, Any]


class Gate:
    """Authentication, permissions and limits of one api process."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.limiter = Limiter(services.redis)
        self._addresses = ClientAddresses(services.settings.trusted_proxies)
        self._rate = Rate(services.settings.rate_limit_minute, services.settings.rate_limit_minute / 60)

    async def guard(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let a request pass to its handler. Raises Refused: 401 nobody, 403 not allowed, 429 too often."""
        if connection.scope.get("method") == "OPTIONS":
            return
        permission = handler.opt.get("permission")
        if permission == PUBLIC:
            if handler.opt.get("from_browser") and connection.scope.get("method") not in SAFE_METHODS:
                self.require_same_origin(connection)
                connection.scope["state"][_PRIVATE] = True
            return
        connection.scope["state"][_PRIVATE] = True
        caller = await self._authenticate(connection)
        await self._limit(connection, caller)
        if permission != SIGNED_IN and not (permission and caller.may(permission)):
            named = f"the permission {permission}" if permission else "a permission that nobody has"
            raise Refused(403, "FORBIDDEN", f"This needs {named}; ask your team's owner for it.")

    async def session(self, connection: Connection) -> Session | None:
        """The session of a request's cookie, for pages that show themselves to everybody; None without one."""
        token = connection.cookies.get(sessions.cookie_name(self.services.settings), "")
        if not token:
            return None
        return await sessions.find(
            self.services.pool, self.services.secrets, self.services.settings, token, self.address(connection)
        )

    def address(self, connection: Connection) -> str:
        """The caller's IP address, behind trusted proxies the one they forward; '' when there is none."""
        client = self._addresses.peer(connection.scope.get("client"))
        if client.trusted:
            forwarded = ",".join(connection.headers.getall("x-forwarded-for", []))
            client = self._addresses.behind(client, forwarded.encode("latin-1", "replace") or None)
        return client.ip

    async def count_failure(self, connection: Connection) -> None:
        """Count a wrong key, token or cookie of an address. Raises TooOften when it shows too many; valid ones always pass."""
        taken = await self.limiter.take(f"failures:{self.address(connection)}", FAILURES)
        if taken is not None and not taken.ok:
            raise TooOften(taken.wait_seconds)

    def require_same_origin(self, connection: Connection) -> None:
        """Raises Refused (403) for a browser's request that another site's page made. Other clients send neither header."""
        headers = connection.headers
        site = headers.get("sec-fetch-site")
        if site is not None:
            ours = site in ("same-origin", "none")
        else:
            origin = headers.get("origin")
            hosts = {headers.get("host", "").lower(), urlsplit(self.services.settings.api_base_url).netloc.lower()}
            ours = origin is None or urlsplit(origin).netloc.lower() in hosts - {""}
        if not ours:
            raise Refused(403, "CROSS_SITE", "This request was made by another site's page.")

    async def _authenticate(self, connection: Connection) -> Caller:
        state = connection.scope["state"]
        authorization = connection.headers.getall("authorization", [])
        found: Caller | None = None
        if authorization:
            found = await self._by_key(connection, authorization)
        else:
            session = await self.session(connection)
            if session is not None:
                await self._check_csrf(connection, session)
                state[_SESSION] = session
                found = session.caller
            elif not connection.cookies.get(sessions.cookie_name(self.services.settings)):
                raise Refused(
                    401, "UNAUTHORIZED", "Send your API key as 'Authorization: Bearer <key>'; `clickbind bootstrap` makes one."
                )  # fmt: skip
        if found is None:
            await self.count_failure(connection)
            what = "API key is not known, expired or revoked" if authorization else "session is over; log in again"
            raise Refused(401, "UNAUTHORIZED", f"This {what}.")
        state[_CALLER] = found
        return found

    async def _by_key(self, connection: Connection, authorization: list[str]) -> Caller | None:
        scheme, _, key = authorization[0].partition(" ")
        key = key.strip()
        if len(authorization) > 1 or scheme.lower() != "bearer" or not key:
            raise Refused(401, "UNAUTHORIZED", "Send your API key once, as 'Authorization: Bearer <key>'.")
        if len(key) > _KEY_LIMIT or not key.isascii():
            return None
        services = self.services
        return await keys.find(services.pool, services.secrets.key_hash, key, self.address(connection))

    async def _check_csrf(self, connection: Connection, session: Session) -> None:
        if connection.scope.get("method") in SAFE_METHODS:
            return
        self.require_same_origin(connection)
        given = connection.headers.get("x-csrf-token")
        if given is None and isinstance(connection, Request):
            field = (await connection.form()).get("csrf")
            given = field if isinstance(field, str) else None
        if given is None or not sessions.csrf_matches(session, given):
            raise Refused(
                403,
                "CSRF",
                "The form is out of date: reload the page and try again (header X-CSRF-Token or field csrf).",
            )

    async def _limit(self, connection: Connection, caller: Caller) -> None:
        if not self._rate.capacity:
            return
        taken = await self.limiter.take_one(f"caller:{caller.api_key_id or caller.session_id}", self._rate)
        if taken is None:
            return
        headers = _headers(connection.scope)
        headers["x-rate-limit-limit-minute"] = str(int(self._rate.capacity))
        headers["x-rate-limit-remaining-minute"] = str(taken.left)
        if not taken.ok:
            raise TooOften(taken.wait_seconds)


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = scope.setdefault("state", {}).setdefault(_HEADERS, {})
    return headers


async def add_headers(message: Message, scope: Scope) -> None:
    """Hook before an answer leaves: the limit's headers, on errors too; what is a caller's own is kept by no cache."""
    if message["type"] == "http.response.start":
        state = scope.get("state", {})
        headers = MutableScopeHeaders.from_message(message)
        for name, value in state.get(_HEADERS, {}).items():
            headers[name] = value
        if _PRIVATE in state:
            headers.setdefault("cache-control", "no-store")


def gate_of(connection: Connection) -> Gate:
    """The gate of the app a request came to."""
    gate: Gate = connection.app.state.gate
    return gate


def session_of(connection: Connection) -> Session | None:
    """The session the guard let pass; None for a caller with a key."""
    session: Session | None = connection.scope["state"].get(_SESSION)
    return session


async def caller(request: Request[Any, Any, Any]) -> Caller:
    """Dependency: the caller the guard let pass. Raises Refused (401) where there is none, as in a public handler."""
    found: Caller | None = request.scope["state"].get(_CALLER)
    if found is None:
        raise Refused(401, "UNAUTHORIZED", "Send your API key as 'Authorization: Bearer <key>'.")
    return found
