"""HTTP to OFAuth, within its token bucket per connection; both generations of its errors (upstream spec 2)."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from tracker.providers import fields, transport
from tracker.providers.base import ErrorKind, ProviderError
from tracker.providers.pace import Pace

VENDOR = "OFAuth"
# 60 calls a minute and 90 at once are allowed; a little is left for others of the same connection.
RATE, BURST = 0.95, 60
SPARED = 20  # turns a write leaves to the reads: filling a pool must not hide a new subscriber
PAGE = 20
MOST_PAGES = 10_000
ACCESS = "/v2/access"

SESSION_EXPIRED = "The creator's OnlyFans session at OFAuth has expired; the creator has to connect again there."
_SESSION = ("SESSION_EXPIRED",)
_KEYS = ("UNAUTHORIZED", "AUTH_INVALID_KEY", "SESSION_NOT_PROVIDED")

Params = transport.Params


class Transport(transport.Transport):
    """The process's connections to OFAuth, with every connection's bucket."""

    def __init__(self, base_url: str, timeout: float) -> None:
        super().__init__(VENDOR, base_url, timeout)
        self.buckets: defaultdict[str, Pace] = defaultdict(lambda: Pace(RATE, BURST))


class Client:
    """OFAuth as one API key and one connection see it. `calls` counts the requests sent, retries included."""

    def __init__(self, transport: Transport, api_key: str, connection: str) -> None:
        self._transport = transport
        self._headers = {"apiKey": api_key, "x-connection-id": connection}
        self.connection = connection
        self.calls = 0

    async def get(self, path: str, params: Params | None = None) -> Any:
        """The decoded answer of a read. Retries what is transient, twice."""
        return await transport.retried(
            lambda: self._ask("GET", path, params, None), connection=self.connection, path=path
        )

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The decoded answer of a write, sent exactly once."""
        return await self._ask("POST", path, None, body)

    async def pages(
        self, path: str, params: Params | None = None, *, limit: int = PAGE
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages by offset. A short page is not the last; a bare array tells no more than its length."""
        offset = 0
        for _ in range(MOST_PAGES):
            answer = await self.get(path, {**(params or {}), "limit": limit, "offset": offset})
            rows = rows_of(answer)
            yield rows
            if isinstance(answer, list):
                # No word of what follows: until a page brings nothing, more may.
                if not rows:
                    return
                offset += limit
                continue
            if answer.get("hasMore") is not True:
                return
            told = answer.get("nextOffset")
            offset = told if isinstance(told, int) and told > offset else offset + limit
        raise ProviderError("transient", f"{VENDOR}'s list does not end.")

    async def _ask(self, method: str, path: str, params: Params | None, body: Mapping[str, Any] | None) -> Any:
        bucket = self._transport.buckets[self.connection]
        if path.startswith(ACCESS):
            await bucket.turn(0 if method == "GET" else SPARED)
        self.calls += 1
        response = await self._transport.exchange(method, path, self._headers, params, body)
        left = response.headers.get("x-ratelimit-remaining", "")
        if path.startswith(ACCESS) and left.isascii() and left.isdigit() and len(left) < 6:
            bucket.told(int(left))
        if not response.is_success:
            raise classify(response, time.time())
        return transport.decoded(VENDOR, response)


def rows_of(answer: Any) -> list[dict[str, Any]]:
    """The rows of a list answer, under `list` or bare. Raises ProviderError when there is no list."""
    rows = answer.get("list") if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise ProviderError("transient", f"{VENDOR} answered a list call without a list.")
    return [row for row in rows if isinstance(row, dict)]


def classify(response: httpx.Response, now: float) -> ProviderError:
    """What a refusal means: `{error, code, details}`, `{error, type, requestId}` or a gateway's page. `now`: Unix seconds."""
    status, headers = response.status_code, response.headers
    body = transport.json_object(response.content)
    code = (fields.text(body.get("type"), 64) or fields.text(body.get("code"), 64)).upper()
    text = fields.text(body.get("error"), 300) or fields.text(body.get("message"), 300)
    said = f" ({' '.join(part for part in (code, text) if part)})" if code or text else ""

    def error(kind: ErrorKind, message: str, *, uncertain: bool = False, wait: float | None = None) -> ProviderError:
        return ProviderError(kind, message, retry_after=wait, uncertain=uncertain, status=status)

    if status == 429 or code == "RATE_LIMIT_EXCEEDED":
        return error("throttled", f"{VENDOR} asks us to slow down.", wait=_wait(headers, now))
    if code in _SESSION or fields.text(body.get("actionRequired")) == "refresh_session":
        return error("session", SESSION_EXPIRED)
    if code == "RULES_OUTDATED":
        return error("transient", f"{VENDOR} is updating its rules{said}.")
    if status == 401 or code in _KEYS:
        return error("auth", f"{VENDOR} refused the API key ({status}){said}.")
    if status == 402:
        return error("auth", f"{VENDOR} wants payment (402){said}.")
    if status == 408 or status >= 500:
        return error("transient", f"{VENDOR} answered {status}{said}.", uncertain=True)
    if 300 <= status < 400:
        return error("permanent", f"{VENDOR} answered a redirect ({status}); check CLICKBIND_OFAUTH_URL.")
    return error("permanent", f"{VENDOR} refused the request: {status}{said}.")


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    told = transport.seconds_told(headers.get("retry-after"))
    if told is not None:
        return told
    try:
        reset = float(headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    # A moment or a span: which, is not documented.
    return transport.seconds_told(max(1.0, reset - now) if reset > 1_000_000_000 else reset)
