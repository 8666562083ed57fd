"""How a creator's account fares, in words with a tone: its login at the provider, and its periodic work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tracker.management.accounts import Account

JOBS = {
    "session": "Looking whether the login lives",
    "pools": "Keeping the pools filled",
    "reconcile": "Finding new subscribers' links",
    "transactions": "Reading payments",
    "messages": "Reading messages",
}
FAILING = 3  # failures in a row before a person is told, as `Account.needs_attention` has it


@dataclass(frozen=True)
class Fare:
    """`tone`: good, warn, bad or quiet. `short`: two words; `words`: a sentence without its full stop."""

    tone: str
    short: str
    words: str


def fare(account: Account, zone: ZoneInfo, now: datetime) -> Fare:
    """What a person should know of an account, the worst first."""
    since = moment(account.session_changed_at, zone, now)
    why = f": {account.session_message}" if account.session_message else ""
    failing = [job for job in account.jobs if job.failures >= FAILING]
    if account.session_state == "dead":
        return Fare("bad", "needs a log-in", f"needs a new log-in at the provider since {since}{why}")
    if failing:
        job = max(failing, key=lambda one: one.failures)
        words = f"{JOBS.get(job.job, job.job).lower()} has failed {job.failures} times in a row"
        return Fare("bad", "failing", words + (f": {job.last_error}" if job.last_error else ""))
    if account.session_state == "reconnecting":
        return Fare("warn", "logging in", f"the provider is logging it in again since {since}{why}")
    told = [job for job in account.jobs if job.failures and job.last_error]
    if told:
        return Fare(
            "warn", "with trouble", f"works; {JOBS.get(told[0].job, told[0].job).lower()}: {told[0].last_error}"
        )
    if account.session_state == "unknown":
        return Fare("quiet", "not looked at yet", "nobody has looked at its login yet")
    return Fare("good", "well", f"logged in since {since}")


def title(account: Account) -> str:
    """What to call it."""
    return account.display_name or account.username or account.provider_account_id


def moment(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """'14:02' of today, '2026-11-20 14:02' before."""
    local = at.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M}"


def offer_words(offer: str) -> str:
    """A pool's name for people: 'tracking links', '7-day trials'."""
    return "tracking links" if offer == "tracking" else f"{offer.removeprefix('trial-')}-day trials"
