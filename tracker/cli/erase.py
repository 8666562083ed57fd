"""`clickbind erase`: forget a fan or a visitor, from the machine Clickbind runs on."""

from __future__ import annotations

import json
import sys
from typing import Literal

from tracker.access.caller import system
from tracker.api.protection import report
from tracker.cli.team import the_team
from tracker.management.errors import Invalid, Refused
from tracker.management.services import Services
from tracker.protection.erasure import erase_fan, erase_visitor
from tracker.secrets import installation_secrets
from tracker.settings import Settings
from tracker.stores import postgres, valkey
from tracker.stores.urls import database_url, redis_url


async def run(
    settings: Settings,
    kind: Literal["fan", "visitor"],
    name: str,
    account_id: str | None,
    team_id: str | None,
    *,
    as_json: bool,
) -> int:
    """Erase and report; 1 when there is nobody of that name. Raises StoreError when PostgreSQL is not there."""
    pool = await postgres.open_pool(database_url(settings), max_size=4)
    redis = valkey.connect(redis_url(settings))
    services = Services(settings, pool, redis, installation_secrets(settings))
    try:
        caller = system(await the_team(pool, team_id), "clickbind erase")
        if kind == "fan":
            done = await erase_fan(services, caller, name, account_id)
        else:
            done = await erase_visitor(services, caller, visitor=name)
    except (Refused, Invalid) as error:
        message = error.message if isinstance(error, Refused) else next(iter(error.errors.values()))[0]
        print(f"clickbind: {message}", file=sys.stderr)
        return 1
    finally:
        await redis.aclose()
        await pool.close()
    told = report(done)
    if as_json:
        print(json.dumps(told))
        return 0
    print(f"Erased the {kind}, as erasure {told['id']}:")
    print(
        "\n".join(f"  {name.replace('_', ' ')}: {count}" for name, count in sorted(done.counts.items()))
        or "  nothing was stored"
    )
    for account_id, fan_id in done.fans:
        print(f"Fan {fan_id} of account {account_id} is credited to this visitor's clicks, and was not erased.")
    for place in done.pending:
        print(f"Not reached yet: {place}.")
    print(f"It is repeated for {settings.erasure_days:g} days, for what comes late.")
    return 0
