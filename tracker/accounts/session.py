"""The creator's login at the platform: what the account's page says, and who the creator is."""

from __future__ import annotations

import structlog

from tracker.accounts.work import SQL, Account, Run, wake
from tracker.inventory.publish import publish_account
from tracker.providers.base import AccountInfo, ProviderError, SessionState
from tracker.stores.postgres import Connection, Pool

log = structlog.get_logger()

# A live session is checked this many times less often: other calls and webhooks tell when it dies.
RELAXED = 10


async def check(run: Run) -> float:
    """The 'session' job: ask the provider, keep what it says; a login that came back wakes the other jobs."""
    info = await run.client.info()
    if await describe(run.pool, run.account, info, run.platform_url):
        await publish_account(run.pool, run.redis, run.account.account_id, run.platform_url)
    await set_state(run.pool, run.account.account_id, info.session, info.session_message)
    if info.session == "ok" and run.account.session_state in ("reconnecting", "dead"):
        await resume(run.pool, run.account.account_id)
    interval = run.settings.keep_alive_accounts
    return interval * RELAXED if info.session == "ok" else interval


async def describe(connection: Connection | Pool, account: Account, info: AccountInfo, platform_url: str) -> bool:
    """Keep who the creator is. A profile URL that an operator set stays. True when something changed."""
    return bool(
        await connection.fetchval(
            SQL["describe"],
            account.account_id,
            info.platform_user_id,
            info.username,
            info.display_name,
            info.subscribe_price_cents,
            platform_url.rstrip("/") + "/",
        )
    )


async def set_state(connection: Connection | Pool, account_id: str, state: SessionState, message: str) -> None:
    """Show a login state with its words on the account."""
    await connection.execute(SQL["session"], account_id, state, message)


async def show_failure(connection: Connection | Pool, account: Account, error: ProviderError) -> None:
    """Show on the account what a failed call says of its login or key; other failures leave it alone."""
    state: SessionState
    if error.kind == "session":
        # What a webhook said of a login that needs a person is truer than "it is down".
        state = "dead" if account.session_state == "dead" else "reconnecting"
        if state == "dead":
            return
    elif error.kind == "auth":
        state = "dead"
    else:
        return
    log.warning("account session", account_id=account.account_id, state=state, reason=error.message)
    await set_state(connection, account.account_id, state, error.message)


async def prove(connection: Connection | Pool, account: Account) -> None:
    """A call that needs the login succeeded: it is alive, whatever was believed."""
    if account.session_state not in ("unknown", "reconnecting"):
        return
    revived = await connection.fetchval(SQL["session_proved"], account.account_id)
    if revived is not None and account.session_state == "reconnecting":
        await resume(connection, account.account_id)


async def resume(connection: Connection | Pool, account_id: str) -> None:
    """The login is back: what backed off because of it runs now."""
    for job in ("pools", "reconcile", "transactions", "messages"):
        await wake(connection, account_id, job, urgent=True)
