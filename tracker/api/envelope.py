"""The vendor's envelope `{data, _pagination, _meta}` (upstream 1.1, "Envelope"). Our calls cost no credits."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request
from litestar.params import QueryParameter

Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0, le=2**31 - 1)]

META = {
    "_credits": {"used": 0, "balance": 0, "note": "Always free: this is your own server."},
    "_cache": {"is_cached": False, "note": "Cache disabled for this endpoint"},
}


def envelope(data: Any) -> dict[str, Any]:
    """A single answer."""
    return {"data": data, "_meta": META}


def page(request: Request[Any, Any, Any], rows: list[Any], limit: int, offset: int) -> dict[str, Any]:
    """A page of rows. `rows` holds one more than `limit` when there is a next page."""
    following = next_page(request, limit=limit, offset=offset + limit) if len(rows) > limit else None
    return {"data": rows[:limit], "_pagination": {"next_page": following}, "_meta": META}


def next_page(request: Request[Any, Any, Any], **changes: Any) -> str:
    """The address of this request with other parameters."""
    query = [(key, value) for key, value in request.query_params.multi_items() if key not in changes]
    base = str(request.url).split("?", 1)[0]
    return f"{base}?{urlencode([*query, *changes.items()])}"


def csv(text: str | None) -> list[str] | None:
    """The parts of a comma-separated parameter; None when there are none."""
    parts = [part.strip() for part in (text or "").split(",")]
    return [part for part in parts if part] or None
