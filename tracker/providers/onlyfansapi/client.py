"""HTTP to OnlyFansAPI: one bounded connection pool, total deadlines, every failure classified (upstream spec 1.1).

Reads are retried briefly. Writes are sent once: creating a link is not idempotent, and one that timed out may have succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tracker.providers import transport
from tracker.providers.base import ErrorKind, ProviderError
from tracker.providers.transport import Params, decoder

__all__ = ["Client", "Transport", "classify", "decoder", "next_offset", "rows_of"]

SESSION_WORDS = (
    "session_expired",
    "session expired",
    "re-authenticat",
    "reauthenticat",
    "account connection has expired",
)
_SESSION_TEXT = "The creator's OnlyFans session is down; OnlyFansAPI has to log in again."


class Transport(transport.Transport):
    """The process's connections to one OnlyFansAPI base URL."""

    def __init__(self, base_url: str, timeout: float) -> None:
        super().__init__("OnlyFansAPI", base_url, timeout)

    async def send(
        self, method: str, path: str, api_key: str, params: Params | None, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        """One request within the total deadline. Raises ProviderError when there is no answer."""
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            raise ProviderError("auth", "The OnlyFansAPI key is empty or holds characters no key has; enter it again.")
        return await self.exchange(method, path, {"Authorization": f"Bearer {api_key}"}, params, body)


class Client:
    """OnlyFansAPI as one API key and one account see it. `calls` counts the requests sent, retries included."""

    def __init__(self, transport: Transport, api_key: str, account: str) -> None:
        self._transport = transport
        self._api_key = api_key
        self.account = account
        self.calls = 0

    async def get(self, path: str, params: Params | None = None) -> Any:
        """The decoded answer of a read; numbers with a fraction are Decimal. Retries what is transient, twice."""
        return await transport.retried(lambda: self._ask("GET", path, params, None), account=self.account, path=path)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The decoded answer of a write, sent exactly once."""
        return await self._ask("POST", path, None, body)

    async def delete(self, path: str) -> Any:
        """Take something away; the decoded answer. Raises ProviderError."""
        return await self._ask("DELETE", path, None, None)

    async def _ask(self, method: str, path: str, params: Params | None, body: Mapping[str, Any] | None) -> Any:
        self.calls += 1
        response = await self._transport.send(method, path, self._api_key, params, body)
        if not response.is_success:
            raise classify(response.status_code, response.headers, response.content)
        return transport.decoded("OnlyFansAPI", response)


def classify(status: int, headers: Mapping[str, str], content: bytes) -> ProviderError:
    """What a refusal means. Knows the vendor's envelope, its OnlyFans wrapper, Laravel's and Cloudflare's pages."""
    body = transport.json_object(content)
    code, text = _code_and_text(body)
    about_session = any(word in f"{code} {text}".lower() for word in SESSION_WORDS)
    wrapped = body.get("onlyfans_response")
    inner = wrapped.get("status") if isinstance(wrapped, dict) else None

    def error(kind: ErrorKind, message: str, *, uncertain: bool = False, wait: float | None = None) -> ProviderError:
        return ProviderError(kind, message, retry_after=wait, uncertain=uncertain, status=status)

    if status == 429 or inner == 429 or code == "ONLYFANS_COM_RATE_LIMIT_ERROR":
        return error("throttled", "OnlyFansAPI asks us to slow down.", wait=_retry_after(headers, body))
    # While the vendor logs an account in again, its calls answer 503 (upstream spec 1.1); a page is the gateway's own 503.
    reauthenticating = status == 503 and bool(body) and text.lower() != "service unavailable"
    if reauthenticating or (about_session and status < 500):
        return error("session", _SESSION_TEXT, wait=_retry_after(headers, body))
    if inner == 401:
        return error("session", _SESSION_TEXT)
    if status in (401, 403) and not isinstance(wrapped, dict):
        return error("auth", f"OnlyFansAPI refused the API key ({status}). Check it in the account's settings.")
    if status == 402:
        return error("auth", f"OnlyFansAPI wants payment (402): {text or 'out of credits'}.")
    if status == 408 or status >= 500:
        return error("transient", f"OnlyFansAPI answered {status}{_said(code, text)}.", uncertain=True)
    if isinstance(inner, int) and inner >= 500:
        return error("transient", f"OnlyFans answered {inner} through OnlyFansAPI{_said('', text)}.", uncertain=True)
    if status == 404 and code == "account_not_found":
        return error("permanent", "OnlyFansAPI does not know this account. Is it still connected there?")
    if 300 <= status < 400:
        return error("permanent", f"OnlyFansAPI answered a redirect ({status}); check CLICKBIND_ONLYFANSAPI_URL.")
    return error("permanent", f"OnlyFansAPI refused the request: {status}{_said(code, text)}.")


def next_offset(answer: Any, offset: int, limit: int) -> int | None:
    """Where the next page begins, None after the last. A short page is not the last page (upstream spec 1.1)."""
    data = answer.get("data") if isinstance(answer, dict) else None
    next_page = (answer.get("_pagination") or {}).get("next_page") if isinstance(answer, dict) else None
    if isinstance(next_page, str) and next_page:
        told = parse_qs(urlsplit(next_page).query).get("offset", [""])[0]
        return int(told) if told.isdigit() and int(told) > offset else offset + limit
    if isinstance(data, dict) and data.get("hasMore") is True:
        return offset + limit
    return None


def rows_of(answer: Any, name: str = "list") -> list[dict[str, Any]]:
    """The rows of a list answer, wrapped (under `name`) or bare. Raises ProviderError when there is no list."""
    data = answer.get("data", answer) if isinstance(answer, dict) else answer
    rows = data.get(name, data.get("list")) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise ProviderError("transient", "OnlyFansAPI answered a list call without a list.")
    return [row for row in rows if isinstance(row, dict)]


def _code_and_text(body: dict[str, Any]) -> tuple[str, str]:
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("code") or ""), str(error.get("message") or body.get("message") or "")[:300]
    text = str(body.get("message") or body.get("title") or "")[:300]
    error = str(error or "")
    return (error, text) if " " not in error else ("", text or error[:300])


def _said(code: str, text: str) -> str:
    said = " ".join(part for part in (code, text) if part)
    return f" ({said})" if said else ""


def _retry_after(headers: Mapping[str, str], body: dict[str, Any]) -> float | None:
    # A Cloudflare block says 0 in the header and the truth in the body; 0 means "unknown" (upstream spec 1.1).
    return transport.seconds_told(headers.get("retry-after"), body.get("retry_after"))
