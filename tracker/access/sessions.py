"""Dashboard sessions: a random token in a cookie, stored hashed, ending when idle and in any case after some days.

A session's CSRF token is derived from its cookie's token, so it needs no store, differs per session, and cannot be guessed or planted.
"""

from __future__ import annotations

import hmac
import secrets as random
from dataclasses import dataclass
from datetime import datetime

import msgspec

from tracker.access.caller import Caller
from tracker.access.permissions import effective
from tracker.management.errors import not_found
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.access", "sessions.sql")
_AGENT_LIMIT = 300


@dataclass(frozen=True)
class Session:
    """A living session. `role` is the person's role in the team the caller looks at."""

    caller: Caller
    email: str
    name: str
    role: str
    csrf: str


class Listed(msgspec.Struct, frozen=True):
    """A session as its person sees it."""

    id: str
    team_id: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


def cookie_name(settings: Settings) -> str:
    """The cookie's name: with the prefix that binds it to host and https where the api is reached by https."""
    return "__Host-clickbind" if is_secure(settings) else "clickbind_session"


def is_secure(settings: Settings) -> bool:
    """Whether browsers reach the api by https."""
    return settings.api_base_url.startswith("https://")


def csrf_token(secrets: Secrets, token: str) -> str:
    """What a mutation of this session must carry, as header X-CSRF-Token or form field csrf."""
    return secrets.key_hash("csrf:" + token).hex()


def csrf_matches(session: Session, given: str) -> bool:
    """Compared in constant time; anything but text of the right shape is wrong."""
    return given.isascii() and hmac.compare_digest(session.csrf, given)


async def open(  # noqa: A001
    db: Connection | Pool, secrets: Secrets, settings: Settings, user_id: str, team_id: str, address: str, user_agent: str
) -> str:  # fmt: skip
    """A new session, always with a new token, which goes into the cookie and nowhere else."""
    token = random.token_urlsafe(32)
    await db.execute(
        SQL["open"], "ses_" + random.token_hex(10), _hash(secrets, token), user_id, team_id, settings.session_seconds,
        address, _storable(user_agent)[:_AGENT_LIMIT],
    )  # fmt: skip
    await db.execute(SQL["sweep"], settings.session_idle_seconds)
    return token


async def find(
    db: Connection | Pool, secrets: Secrets, settings: Settings, token: str, address: str = ""
) -> Session | None:
    """The session of a cookie's token; None when it is unknown, over, or the person left the team it looks at."""
    if not 20 <= len(token) <= 100:
        return None
    row = await db.fetchrow(SQL["use"], _hash(secrets, token), settings.session_idle_seconds)
    if row is None:
        return None
    caller = Caller(
        row["team_id"], None, row["user_id"], effective(row["role"], row["permissions"]), row["email"], address, row["session_id"]
    )  # fmt: skip
    return Session(caller, row["email"], row["name"], row["role"], csrf_token(secrets, token))


async def listed(db: Connection | Pool, settings: Settings, user_id: str) -> list[Listed]:
    """A person's living sessions, the latest used first."""
    return [Listed(*row) for row in await db.fetch(SQL["of_user"], user_id, settings.session_idle_seconds)]


async def close(db: Connection | Pool, secrets: Secrets, token: str) -> None:
    """Log out: the token is worth nothing from now on."""
    await db.execute(SQL["close_token"], _hash(secrets, token))


async def close_one(db: Connection | Pool, user_id: str, session_id: str) -> None:
    """End one of a person's sessions. Raises Refused (404)."""
    if await db.fetchval(SQL["close"], user_id, session_id) is None:
        raise not_found("This session")


async def close_all(db: Connection | Pool, user_id: str, but: str | None = None) -> None:
    """Log out everywhere, `but` one session."""
    await db.execute(SQL["close_all"], user_id, but)


async def close_in_team(db: Connection | Pool, user_id: str, team_id: str) -> None:
    """End a person's sessions that look at a team they no longer belong to."""
    await db.execute(SQL["close_in_team"], user_id, team_id)


async def switch(db: Connection | Pool, caller: Caller, team_id: str) -> None:
    """Look at another of one's teams. Raises Refused (404) when it is not one's own."""
    if await db.fetchval(SQL["switch"], caller.session_id, team_id) is None:
        raise not_found("This team")


def _hash(secrets: Secrets, token: str) -> bytes:
    return secrets.key_hash("session:" + token)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()
