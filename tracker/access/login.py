"""Logging in: throttled per account and per address, and telling nobody who exists.

An address from which a person logged in before has a bucket of its own for that account, so that a stranger who tries passwords
elsewhere does not lock the person out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import asyncpg
import structlog

from tracker.access import passwords, people, sessions
from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.access.limits import Limiter, Rate, TooOften
from tracker.access.people import SQL
from tracker.management.errors import Refused
from tracker.management.services import Services

ACCOUNT = Rate(capacity=10, per_second=1 / 60)  # wrong passwords of one account
ADDRESS = Rate(capacity=30, per_second=1 / 20)  # wrong passwords from one address
KNOWN_SECONDS = 30 * 86400

log = structlog.get_logger()


@dataclass(frozen=True)
class Login:
    """A person let in: the token for their cookie, and what their pages need."""

    token: str
    csrf: str
    user_id: str
    team_id: str


async def attempt(
    services: Services, limiter: Limiter, email: str, password: str, address: str, user_agent: str = "",
    team_id: str | None = None,
) -> Login:  # fmt: skip
    """Let a person in, to `team_id` or their oldest team, under a new token. Raises Refused: 401, 403 without a team; TooOften."""
    user = await verify(services, limiter, email, password, address)
    teams = await people.teams_of(services.pool, user["user_id"])
    if not teams:
        raise Refused(403, "NO_TEAM", "You belong to no team any more; ask for an invitation.")
    team = next((team for team in teams if team.id == team_id), teams[0])
    return await let_in(services, user["user_id"], user["email"], team.id, address, user_agent)


async def let_in(
    services: Services, user_id: str, email: str, team_id: str, address: str, user_agent: str
) -> Login:  # fmt: skip
    """A session for a person who has proved who they are."""
    async with services.pool.acquire() as connection, connection.transaction():
        token = await sessions.open(
            connection, services.secrets, services.settings, user_id, team_id, address, user_agent
        )
        await connection.execute(SQL["logged_in"], user_id)
        caller = Caller(team_id, None, user_id, actor=email, address=address)
        await record(connection, caller, "session.opened", "user", user_id)
    return Login(token, sessions.csrf_token(services.secrets, token), user_id, team_id)


async def verify(services: Services, limiter: Limiter, email: str, password: str, address: str) -> asyncpg.Record:
    """The person whose password this is. Raises Refused (401) in the same words and time for a wrong password and for nobody; TooOften."""
    email = email.strip().lower()
    account = hashlib.sha256(email.encode("utf-8", "replace")).hexdigest()[:32]
    known = f"login:{account}:{address}"
    if await limiter.remembers(known):
        names = [
            (known, ACCOUNT)
        ]  # neither strangers elsewhere nor neighbours behind the same address lock the person out
    else:
        names = [(f"login:{account}", ACCOUNT), (f"login-from:{address}", ADDRESS)]
    for name, rate in names:
        taken = await limiter.take(name, rate, always=True)
        if taken is not None and not taken.ok:
            raise TooOften(taken.wait_seconds)
    storable = "\0" not in email and email.isprintable()
    user = await people.by_email(services.pool, email) if storable else None
    if not await passwords.matches(password, user["password_hash"] if user else None) or user is None:
        log.warning("login refused", user_id=user["user_id"] if user else None, address=address)
        raise Refused(401, "INVALID_CREDENTIALS", "The e-mail address or the password is wrong.")
    for name, rate in names:
        await limiter.take(name, rate, cost=-1.0, always=True)
    await limiter.remember(known, KNOWN_SECONDS)
    return user


async def change_password(
    services: Services, limiter: Limiter, caller: Caller, current: str, new: str, user_agent: str
) -> Login:
    """Another password: every session ends, and the caller's begins anew. Raises Refused (403 without a person; wrong: 401), Invalid."""
    if caller.session_id is None or caller.user_id is None:
        raise Refused(403, "FORBIDDEN", "A password is changed by its person, logged in, not with an API key.")
    user = await people.by_id(services.pool, caller.user_id)
    await verify(services, limiter, user["email"], current, caller.address)
    passwords.check(new, user["email"], "new_password")
    stored = await passwords.hashed(new)
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["set_password"], caller.user_id, stored)
        await sessions.close_all(connection, caller.user_id)
        await record(connection, caller, "password.changed", "user", caller.user_id)
    return await let_in(services, caller.user_id, user["email"], caller.team_id, caller.address, user_agent)
