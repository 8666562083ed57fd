"""HTTP to Onlymonster, within its three limits: per token, per endpoint, per slow endpoint (upstream spec 3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from tracker.providers import fields, transport
from tracker.providers.base import ProviderError
from tracker.providers.pace import Pace

VENDOR = "Onlymonster"
# Spaced evenly and a little below what is allowed (25, 15 and 1 a second): the network closes gaps up.
TOKEN_RATE, ENDPOINT_RATE, SLOW_RATE = 22.0, 13.0, 0.9
MOST_PAGES = 10_000

Params = transport.Params


class Transport(transport.Transport):
    """The process's connections to Onlymonster, with everybody's turns and what is known of account ids."""

    def __init__(self, base_url: str, timeout: float) -> None:
        super().__init__(VENDOR, base_url, timeout)
        self.identities: dict[tuple[str, str], tuple[str, str]] = {}
        self._tokens: defaultdict[str, Pace] = defaultdict(lambda: Pace(TOKEN_RATE))
        self._endpoints: dict[tuple[str, str], Pace] = {}

    async def send(self, endpoint: str, path: str, token: str, params: Params | None, rate: float) -> httpx.Response:
        """One read, when it is its turn. `endpoint` names what shares a limit."""
        pace = self._endpoints.setdefault((token, endpoint), Pace(rate))
        await pace.turn()
        await self._tokens[token].turn()
        return await self.exchange("GET", path, {"x-om-auth-token": token}, params, None)


class Client:
    """Onlymonster as one token sees it. `calls` counts the requests sent, retries included."""

    def __init__(self, transport: Transport, token: str) -> None:
        self.transport = transport
        self.token = token
        self.calls = 0

    async def get(
        self, endpoint: str, path: str, params: Params | None = None, *, rate: float = ENDPOINT_RATE
    ) -> dict[str, Any]:
        """The answer of a read, always an object. Retries what is transient, twice."""
        answer: Any = await transport.retried(lambda: self._ask(endpoint, path, params, rate), path=path)
        if not isinstance(answer, dict):
            raise ProviderError("transient", f"{VENDOR} answered with something that is not an object.")
        return answer

    async def pages(self, endpoint: str, path: str, params: Params) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages of `items`, by cursor; one without a cursor is the last, however many rows it has."""
        cursor = ""
        for _ in range(MOST_PAGES):
            answer = await self.get(endpoint, path, {**params, "cursor": cursor} if cursor else params)
            yield rows_of(answer, "items")
            following = fields.text(answer.get("cursor"), 4000)
            if not following:
                return
            if following == cursor:
                break
            cursor = following
        raise ProviderError("transient", f"{VENDOR}'s list does not end.")

    async def _ask(self, endpoint: str, path: str, params: Params | None, rate: float) -> Any:
        self.calls += 1
        response = await self.transport.send(endpoint, path, self.token, params, rate)
        if not response.is_success:
            raise classify(response.status_code, response.headers, response.content)
        return transport.decoded(VENDOR, response)


def rows_of(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The rows of a list answer. Raises ProviderError when there is no list."""
    rows = answer.get(name)
    if not isinstance(rows, list):
        raise ProviderError("transient", f"{VENDOR} answered a list call without a list.")
    return [row for row in rows if isinstance(row, dict)]


def classify(status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
    """What a refusal means; bodies are text, an object with `message`, or a gateway's page."""
    body = transport.json_object(content)
    text = fields.text(body.get("message"), 300)
    said = f" ({text})" if text else ""
    if status == 429:
        wait = transport.seconds_told(headers.get("retry-after"), body.get("retry_after"))
        return ProviderError("throttled", f"{VENDOR} asks us to slow down.", retry_after=wait, status=status)
    if status in (401, 403):
        return ProviderError("auth", f"{VENDOR} refused the token ({status}). Enter it again.", status=status)
    if status == 402:
        return ProviderError("auth", f"{VENDOR} wants payment (402){said}.", status=status)
    if status == 408 or status >= 500:
        return ProviderError("transient", f"{VENDOR} answered {status}{said}.", uncertain=True, status=status)
    if 300 <= status < 400:
        text = f"{VENDOR} answered a redirect ({status}); check CLICKBIND_ONLYMONSTER_URL."
        return ProviderError("permanent", text, status=status)
    return ProviderError("permanent", f"{VENDOR} refused the request: {status}{said}.", status=status)
