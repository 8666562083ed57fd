"""What a person should know of how things go, in sentences, the worst first. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tracker.dashboard import account_fare, numbers
from tracker.dashboard.account_fare import offer_words, title
from tracker.dashboard.fare import Fare
from tracker.inventory.pools import PoolReport
from tracker.management.accounts import Account
from tracker.metrics.pulse import Look

BEHIND = 30.0  # seconds after which waiting is told
ORDER = {"bad": 0, "warn": 1, "good": 2}
MOST_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """`tone`: bad, warn or good. `href`: where to look or mend; ''."""

    tone: str
    words: str
    href: str = ""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order a person should read them."""
    return sorted(findings, key=lambda one: ORDER[one.tone])


def of_installation(look: Look | None) -> list[Finding]:
    """Stores, roles and queues."""
    if look is None:
        return [Finding("warn", "How the servers do is not known yet: they are being asked.")]
    found = []
    if look.postgres is False:
        found.append(
            Finding("bad", "PostgreSQL does not answer: clicks are redirected and kept, and counted when it is back.")
        )
    if look.valkey is False:
        found.append(
            Finding(
                "bad", "Valkey does not answer: clicks are redirected to reserve links and kept on the edges' disks."
            )
        )
    silent = {
        "edge": "redirects fail unless another edge takes them",
        "recorder": "clicks are kept in the log, and not counted until one runs",
        "worker": "nothing is credited or delivered until one runs",
    }
    for role, consequence in silent.items():
        asked = [one for one in look.roles if one.role == role]
        dead = [one for one in asked if not one.alive]
        name = f"The {role}" if len(asked) == 1 else f"{len(dead)} of {len(asked)} {role}s"
        verb = "do" if len(dead) > 1 else "does"
        if dead and len(dead) == len(asked):
            found.append(Finding("bad", f"{name} {verb} not answer: {consequence}."))
        elif dead:
            found.append(Finding("warn", f"{name} {verb} not answer."))
        if any(one.alive and one.trouble for one in asked) and look.postgres is not False and look.valkey is not False:
            found.append(Finding("warn", f"The {role} answers, but says that it cannot work now."))
    if look.breaker_open:
        found.append(
            Finding("warn", "An edge gives out reserve links and keeps clicks on its disk: Valkey is too slow or away.")
        )
    elif look.spill_bytes:
        found.append(Finding("warn", "Clicks kept on an edge's disk are being brought in."))
    for seconds, words in (
        (look.recorder_lag, "Clicks are recorded late: the oldest has waited {}."),
        (
            look.backlog.get("clickbind_inbox_lag_seconds"),
            "Providers' webhooks are processed late: the first has waited {}.",
        ),
        (look.backlog.get("clickbind_fan_queue_lag_seconds"), "Fans are credited late: the first has waited {}."),
    ):
        if seconds is not None and seconds > BEHIND:
            found.append(Finding("warn", words.format(numbers.duration(seconds))))
    return found  # fmt: skip


def of_destinations(fares: Iterable[Fare], zone: ZoneInfo, now: datetime) -> list[Finding]:
    """Who is not told what happened, and why: those that fail alike in one sentence."""
    found = []
    alike: dict[tuple[str, str], list[Fare]] = defaultdict(list)
    for one in fares:
        health = one.health
        what = "postback" if health.kind == "postback" else "webhook" if health.kind == "webhook" else "ad platform"
        if health.state == "disabled":
            since = f" since {_moment(health.failing_since, zone, now)}" if health.failing_since else ""
            words = f"{what.capitalize()} {_name(health.name, health.url)} is switched off{since}: {_short(health.state_reason)}."
            found.append(Finding("bad", words, _home(what, health.destination_id)))
        elif health.state == "active" and health.since() is not None:
            alike[what, _short(health.last_failure or "no answer was good")].append(one)
        elif one.tone in ("bad", "warn") and health.state == "active":
            words = f"{what.capitalize()} {_name(health.name, health.url)} is {one.words}."
            found.append(
                Finding("warn", words.replace(" is delivering", " delivers"), _home(what, health.destination_id))
            )
    for (what, reason), members in alike.items():
        first = min(one.health.since() or now for one in members)
        waiting = sum(one.health.backlog for one in members)
        tail = f"{_moment(first, zone, now)}: {reason}" + (f"; {numbers.count(waiting)} wait" if waiting else "")
        if len(members) == 1:
            health = members[0].health
            words = f"{what.capitalize()} {_name(health.name, health.url)} has been failing since {tail}."
            found.append(Finding("bad", words, _home(what, health.destination_id)))
        else:
            where = {"postback": "/postbacks", "ad platform": "/platforms"}.get(what, "")
            found.append(Finding("bad", f"{len(members)} {what}s have been failing since {tail}.", where))
    return found


def of_accounts(accounts: Iterable[Account], zone: ZoneInfo, now: datetime) -> list[Finding]:
    """Creators' accounts that need somebody."""
    found = []
    for account in accounts:
        fare = account_fare.fare(account, zone, now)
        if fare.tone in ("bad", "warn"):
            words = f"Account {title(account)}" + (": " if fare.tone == "bad" and fare.short == "failing" else " ")
            found.append(Finding(fare.tone, f"{words}{fare.words.rstrip('.')}.", f"/accounts/{account.account_id}"))
    return found


def of_pools(pools: Sequence[PoolReport]) -> list[Finding]:
    """Pools too small for their clicks."""
    short = [pool for pool in pools if pool.short]
    found = [
        Finding(
            "warn",
            f"{pool.username or pool.account_id}, {offer_words(pool.offer)}: {pool.sentence}",
            f"/accounts/{pool.account_id}",
        )
        for pool in short[:MOST_NAMED]
    ]
    if len(short) > MOST_NAMED:
        found.append(
            Finding("warn", f"{len(short) - MOST_NAMED} more pools have too few links for their clicks.", "/accounts")
        )
    return found  # fmt: skip


def _home(what: str, destination_id: str) -> str:
    prefix = {"postback": "/postbacks/", "ad platform": "/platforms/"}.get(what)
    return prefix + destination_id if prefix else ""


def _name(name: str, url: str | None) -> str:
    return name or numbers.host(url) or "without a name"


def _short(reason: str) -> str:
    return (reason if len(reason) <= 160 else reason[:159] + "…").rstrip(". ") or "no reason is known"


def _moment(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    return account_fare.moment(at, zone, now)
