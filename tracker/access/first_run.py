"""First run: no default password, ever. The log prints a set-up address with a token; who opens it becomes the first owner.

The token is derived from the installation's hash key, so every api process prints the same one, nothing is stored, and it is worth
nothing once there is a person.
"""

from __future__ import annotations

import hmac
import secrets as random

from tracker.access import passwords, people
from tracker.access.audit import record
from tracker.access.caller import Caller
from tracker.access.people import SQL
from tracker.management.errors import Refused
from tracker.management.services import Services
from tracker.secrets import Secrets
from tracker.settings import Settings
from tracker.stores.postgres import Connection, Pool


async def needed(db: Connection | Pool) -> bool:
    """Whether nobody is here yet."""
    return not await db.fetchval(SQL["anybody"])


def token(secrets: Secrets) -> str:
    """The set-up token, 40 hex digits."""
    return secrets.key_hash("first run").hex()[:40]


def url(settings: Settings, secrets: Secrets) -> str:
    """The address of the set-up page."""
    return f"{settings.api_base_url}/setup?token={token(secrets)}"


def token_matches(secrets: Secrets, given: str) -> bool:
    """Compared in constant time."""
    return given.isascii() and hmac.compare_digest(token(secrets), given)


async def complete(
    services: Services, given: str, email: str, password: str, name: str = "", team_name: str = "", address: str = ""
) -> tuple[str, str]:
    """Make the first person the owner of a team: the one `clickbind bootstrap` made, or a new one. Returns (user_id, team_id).

    Raises Refused: 403 for a wrong token, 409 when somebody is here already; Invalid.
    """
    if not token_matches(services.secrets, given):
        raise Refused(403, "WRONG_TOKEN", "This set-up token is wrong; `clickbind setup-url` prints the right address.")
    if not await needed(services.pool):
        raise Refused(409, "SET_UP_ALREADY", "Clickbind is set up already; log in.")
    email = people.email_address(email)
    name = people.shown_name(name)
    team_name = people.shown_name(team_name, "team")
    passwords.check(password, email)
    stored = await passwords.hashed(password)
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_first_run"])
        if not await needed(connection):
            raise Refused(409, "SET_UP_ALREADY", "Clickbind is set up already; log in.")
        user_id = await people.make(connection, email, name, stored)
        team = await connection.fetchrow(SQL["ownerless_team"])
        team_id: str = team["team_id"] if team else "team_" + random.token_hex(10)
        if team is None:
            await connection.execute(SQL["insert_team"], team_id, team_name or "My team")
        elif team_name:
            await connection.execute(SQL["rename_team"], team_id, team_name)
        await connection.fetchval(SQL["insert_member"], team_id, user_id, "owner", [])
        caller = Caller(team_id, None, user_id, actor=email, address=address)
        await record(connection, caller, "team.set_up", "team", team_id, {"adopted": team is not None})
    return user_id, team_id
