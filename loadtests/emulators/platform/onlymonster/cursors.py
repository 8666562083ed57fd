"""Opaque signed cursors: a place in a feed, not an offset, so rows inserted between pages move nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .call import Call

T = TypeVar("T")
Place = tuple[float, str]
"""(Unix seconds, row id)."""

_MAC = 16


def _key(call: Call) -> bytes:
    return f"cursor:{call.world.seed}:{call.world.epoch}".encode()


def _scope(call: Call) -> str:
    return f"{call.request.path}?{call.request.query.get('link_id', '')}"


def seal(call: Call, place: Place) -> str:
    """The cursor of a place: standard base64, so a client must quote it in a URL."""
    raw = json.dumps([_scope(call), *place]).encode()
    mac = hmac.new(_key(call), raw, hashlib.sha256).digest()[:_MAC]
    return base64.b64encode(mac + raw).decode()


def opened(call: Call, cursor: str) -> Place:
    """The place of a cursor. An altered one, or one of another feed, is refused."""
    try:
        data = base64.b64decode(cursor, validate=True)
        mac, raw = data[:_MAC], data[_MAC:]
        if not hmac.compare_digest(mac, hmac.new(_key(call), raw, hashlib.sha256).digest()[:_MAC]):
            raise ValueError("signature")
        scope, moment, row_id = json.loads(raw)
        if scope != _scope(call):
            raise ValueError("scope")
    except ValueError:
        raise call.invalid("cursor", "querystring/cursor is invalid", "bad_cursor") from None
    return float(moment), str(row_id)


def paged(
    call: Call, rows: Iterable[T], place_of: Callable[[T], Place], write: Callable[[T], Any], *, least: int, most: int
) -> dict[str, Any]:
    """`{items, cursor?}`: a page of `rows` in the set order; the cursor is there only if more rows follow."""
    limit = call.number("limit", 100, least, most)
    newest_first = call.world.settings.onlymonster_order == "desc"
    ordered = sorted(rows, key=place_of, reverse=newest_first)
    cursor = call.request.query.get("cursor")
    if cursor is not None:
        after = opened(call, cursor)
        ordered = [row for row in ordered if (place_of(row) < after if newest_first else place_of(row) > after)]
    answer: dict[str, Any] = {"items": [write(row) for row in ordered[:limit]]}
    if len(ordered) > limit:
        answer["cursor"] = seal(call, place_of(ordered[limit - 1]))
    return answer
