"""People: who logs in. An e-mail address, a name, a password, and the teams they belong to."""

from __future__ import annotations

import re
import secrets as random
import unicodedata

import asyncpg
import msgspec

from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.management.errors import Invalid, Refused, not_found
from tracker.stores.postgres import Connection, Pool
from tracker.stores.queries import load_queries

SQL = load_queries("tracker.access", "people.sql")
NAME_LIMIT = 100
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}|[^@\s]{1,64}@localhost")


class Team(msgspec.Struct, frozen=True):
    """A team of a person's and their role in it."""

    id: str
    name: str
    role: str


def email_address(text: str, field: str = "email") -> str:
    """An e-mail address as it is stored: trimmed, lower case. Raises Invalid."""
    email = unicodedata.normalize("NFKC", text).strip().lower()
    if len(email) > 254 or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise Invalid({field: ["The email must be an e-mail address, like name@example.com."]})
    return email


def shown_name(text: str, field: str = "name", *, required: bool = False) -> str:
    """A name as it is stored: trimmed. Raises Invalid."""
    name = text.strip()
    if len(name) > NAME_LIMIT or not name.isprintable() or (required and not name):
        raise Invalid({field: [f"The {field} must have {1 if required else 0} to {NAME_LIMIT} printable characters."]})
    return name


async def make(db: Connection | Pool, email: str, name: str, password_hash: str | None) -> str:
    """A new person: their id. Raises Refused (409) when the address is taken."""
    user_id = "user_" + random.token_hex(10)
    if await db.fetchval(SQL["insert_user"], user_id, email, name, password_hash) is None:
        raise Refused(409, "EMAIL_TAKEN", "Somebody with this e-mail address is here already.")
    return user_id


async def by_email(db: Connection | Pool, email: str) -> asyncpg.Record | None:
    """user_id, email, name, password_hash of a person; None without one."""
    return await db.fetchrow(SQL["user_by_email"], email)


async def by_id(db: Connection | Pool, user_id: str) -> asyncpg.Record:
    """user_id, email, name, password_hash of a person. Raises Refused (404)."""
    row = await db.fetchrow(SQL["user"], user_id)
    if row is None:
        raise not_found("This person")
    return row


async def rename(pool: Pool, caller: Caller, name: str) -> None:
    """Another name for the caller's own person. Raises Refused (403) without a person, Invalid."""
    if caller.user_id is None:
        raise Refused(403, "FORBIDDEN", "Only a person has a name of their own.")
    name = shown_name(name)
    async with pool.acquire() as connection, connection.transaction():
        before = await by_id(connection, caller.user_id)
        await connection.execute(SQL["rename_user"], caller.user_id, name)
        await record(connection, caller, "person.renamed", "user", caller.user_id, {"from": before["name"], "to": name})


async def teams_of(db: Connection | Pool, user_id: str) -> list[Team]:
    """A person's teams, the oldest membership first."""
    return [Team(*row) for row in await db.fetch(SQL["teams_of"], user_id)]
