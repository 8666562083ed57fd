"""The account's login at the platform: dying, being renewed, failing for good (upstream spec 6.3 row 16)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from . import payloads
from .records import Account, SessionState

if TYPE_CHECKING:
    from .world import World

_EVENTS: dict[SessionState, str] = {
    "active": "accounts.reconnected",
    "expired": "accounts.session_expired",
    "failed": "accounts.authentication_failed",
}


class Sessions:
    """Moves accounts between session states and tells webhooks."""

    def __init__(self, world: World) -> None:
        self._world = world

    def move(self, account: Account, state: SessionState, *, notify: bool = True) -> None:
        """Put the account into `state`. An expired session is renewed after `reconnect_after`, if set."""
        world = self._world
        now = world.clock.now()
        if state != "active" and account.session_state == "active":
            account.outages.append((now, None))
        elif state == "active" and account.session_state != "active":
            account.outages[-1] = (account.outages[-1][0], now)
        account.session_state = state
        account.session_epoch += 1
        if state in ("expired", "reauthenticating"):
            account.session_started_at, account.session_completed_at = now, None
        else:
            account.session_completed_at = now
        if notify and state in _EVENTS:
            world.send(_EVENTS[state], account.id, payloads.session(account), now, subject=account)
        if state == "expired" and world.settings.reconnect_after is not None:
            epoch = account.session_epoch
            self._return_later(account, world.draw(world.settings.reconnect_after, "reconnect", account.id, epoch))

    def reauthenticate(self, account: Account) -> str:
        """Start a re-login; the id of the attempt to poll."""
        world = self._world
        attempt = f"auth_{world.rng('attempt', world.sequence('attempt')).getrandbits(64):016x}"
        world.attempts[attempt] = account.id
        self.move(account, "reauthenticating", notify=False)
        self._return_later(account, world.settings.reauthenticate_takes)
        return attempt

    def _return_later(self, account: Account, seconds: float) -> None:
        epoch = account.session_epoch

        async def back() -> None:
            # Somebody may have changed the session meanwhile; then this login attempt no longer counts.
            if account.session_epoch == epoch:
                self.move(account, "active")

        due = self._world.clock.now() + timedelta(seconds=seconds)
        self._world.scheduler.at(due, back, delivery=False)
