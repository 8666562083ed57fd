"""`clickbind explain`: the story behind a fan, a conversion or a click."""

from __future__ import annotations

import sys

import msgspec

from tracker.explain.explanation import Kind
from tracker.explain.load import Ambiguous, explain
from tracker.explain.timeline import timeline
from tracker.settings import Settings
from tracker.stores import postgres
from tracker.stores.urls import database_url


async def run(settings: Settings, kind: Kind, name: str, account_id: str | None, *, as_json: bool) -> int:
    """Print the explanation; 1 when there is no such thing, or several. Raises StoreError when PostgreSQL is not there."""
    pool = await postgres.open_pool(database_url(settings), max_size=1)
    try:
        told = await explain(pool, kind, name, team_id=None, account_id=account_id)
    except Ambiguous as several:
        accounts = ", ".join(several.account_ids)
        print(f"clickbind: several accounts know fan {name}; add --account, one of: {accounts}", file=sys.stderr)
        return 1
    finally:
        await pool.close()
    if told is None:
        print(f"clickbind: there is no {kind} {name}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(told).decode() if as_json else timeline(told), end="\n" if as_json else "")
    return 0
