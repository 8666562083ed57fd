"""Bearer keys: who is calling, for which team."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from typing import Any

import ulid
from litestar import Request
from litestar.di import NamedDependency

from tracker.api.errors import Refused
from tracker.api.services import Services
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.api", "api.sql")


@dataclass(frozen=True)
class Caller:
    """The team a key belongs to."""

    team_id: str
    api_key_id: str


async def caller(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Caller:
    """The caller of a request. Raises Refused (401) with what to do."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused(
            401, "UNAUTHORIZED", "Send your API key as 'Authorization: Bearer <key>'; `clickbind bootstrap` makes one."
        )
    row = await services.pool.fetchrow(SQL["use_key"], services.secrets.key_hash(key.strip()))
    if row is None:
        raise Refused(401, "UNAUTHORIZED", "This API key is not known, expired or revoked.")
    return Caller(row["team_id"], row["api_key_id"])


async def make_key(connection: Connection | Pool, services_key_hash: Any, team_id: str, name: str) -> tuple[str, str]:
    """A new key of a team: (its id, the key itself, which is stored only as a keyed hash)."""
    api_key_id = ulid.new().str
    key = "cb_" + random.token_urlsafe(32)
    await connection.execute(SQL["insert_key"], api_key_id, team_id, name, key[:8], services_key_hash(key))
    return api_key_id, key
