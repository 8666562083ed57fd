"""HTTP to a provider: one bounded connection pool, total deadlines, decoded answers, every failure a ProviderError.

Reads are retried briefly. Writes are sent once: creating a link is not idempotent, and one that timed out may have succeeded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import httpx
import msgspec
import structlog

from tracker.providers.base import ProviderError
from tracker.providers.readings import Unintelligible

log = structlog.get_logger()

CONNECTIONS = 64
READ_RETRY_PAUSES = (0.5, 2.0)
LONGEST_ANSWER = 32 * 1024 * 1024

decoder = msgspec.json.Decoder(float_hook=Decimal)

Params = Mapping[str, str | int]


@cache
def _tls() -> ssl.SSLContext:
    # Loading the certificates once for all providers saves some megabytes for each.
    return httpx.create_ssl_context(trust_env=False)


class Transport:
    """The process's connections to one provider's base URL.

    Requests wait at our own gate, never inside httpx's pool: there a cancelled waiter leaks its slot, and idle
    connections above `max_keepalive_connections` are closed early.
    """

    def __init__(self, vendor: str, base_url: str, timeout: float) -> None:
        self.vendor = vendor
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            limits=limits,
            timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)),
            follow_redirects=False,
            trust_env=False,
            verify=_tls(),
            headers={"Accept": "application/json", "User-Agent": "clickbind"},
        )
        self._gate = asyncio.Semaphore(CONNECTIONS - 4)
        self._timeout = timeout

    async def exchange(
        self, method: str, path: str, headers: Mapping[str, str], params: Params | None, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        """One request within the total deadline. Raises ProviderError when there is no answer."""
        if not all(value and value.isascii() and value.isprintable() for value in headers.values()):
            text = f"The {self.vendor} key or account id is empty or holds characters none has; enter it again."
            raise ProviderError("auth", text)
        async with self._gate:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._http.request(method, path, params=params, json=body, headers=dict(headers))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise ProviderError(
                    "transient", f"{self.vendor} cannot be reached ({type(error).__name__})."
                ) from error
            except (TimeoutError, httpx.TimeoutException) as error:
                raise ProviderError(
                    "transient", f"{self.vendor} did not answer within {self._timeout:g} s.", uncertain=True
                ) from error
            except httpx.TransportError as error:
                text = f"The connection to {self.vendor} broke ({type(error).__name__})."
                raise ProviderError("transient", text, uncertain=True) from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
                raise ProviderError("ours", f"A request could not be made ({type(error).__name__}).") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


async def retried(ask: Callable[[], Awaitable[Any]], **about: str) -> Any:
    """The result of a read, tried again twice when its failure is transient. `about` is for the log."""
    for pause in (*READ_RETRY_PAUSES, None):
        try:
            return await ask()
        except ProviderError as error:
            if pause is None or error.kind != "transient":
                raise
            log.debug("provider read retried", reason=error.message, **about)
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


def decoded(vendor: str, response: httpx.Response) -> Any:
    """The JSON of a good answer; numbers with a fraction are Decimal. Raises ProviderError."""
    if len(response.content) > LONGEST_ANSWER:
        raise ProviderError("permanent", f"{vendor} sent an answer of unreasonable size.", uncertain=True)
    try:
        return decoder.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError) as error:
        text = f"{vendor} answered {response.status_code} with something that is not JSON."
        raise ProviderError("transient", text, uncertain=True, status=response.status_code) from error


def json_object(content: bytes) -> dict[str, Any]:
    """A body as a JSON object, empty when it is none."""
    try:
        body = decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError):
        return {}
    return body if isinstance(body, dict) else {}


def json_body(body: bytes) -> dict[str, Any]:
    """A webhook's body as a JSON object. Raises Unintelligible."""
    try:
        outer = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise Unintelligible("the body is not JSON") from error
    if not isinstance(outer, dict):
        raise Unintelligible("the body is not a JSON object")
    return outer


def seconds_told(*values: Any) -> float | None:
    """The first usable wait of several; 0 means "unknown" (upstream spec 1.1)."""
    for told in values:
        try:
            seconds = float(str(told))
        except ValueError:
            continue
        if 0 < seconds < 86_400:
            return seconds
    return None
