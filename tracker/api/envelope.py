"""The vendor's envelope `{data, _pagination, _meta}` (upstream 1.1, "Envelope"). Our calls cost no credits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Request

META = {
    "_credits": {"used": 0, "balance": 0, "note": "Always free: this is your own server."},
    "_cache": {"is_cached": False, "note": "Cache disabled for this endpoint"},
}


def envelope(data: Any) -> dict[str, Any]:
    """A single answer."""
    return {"data": data, "_meta": META}


def page(request: Request[Any, Any, Any], rows: list[Any], limit: int, offset: int) -> dict[str, Any]:
    """A page of rows. `rows` holds one more than `limit` when there is a next page."""
    more = len(rows) > limit
    following = None
    if more:
        query = [(key, value) for key, value in request.query_params.multi_items() if key not in ("limit", "offset")]
        base = str(request.url).split("?", 1)[0]
        following = f"{base}?{urlencode([*query, ('limit', limit), ('offset', offset + limit)])}"
    return {"data": rows[:limit], "_pagination": {"next_page": following}, "_meta": META}
