"""A made-up year of business for `loadtests.reports`: teams, accounts, smart links that run for some weeks, clicks, fans who pay.

Made a month at a time, as columns; `report_rows.py` writes them down, `report_counts.py` counts them. Everything follows from the
seed and the month, so that generating can stop anywhere and go on later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]

TEAMS, ACCOUNTS, SMART_LINKS = 3, 20, 200
TEAM_OF = (0,) * 12 + (1,) * 5 + (2,) * 3  # of each account
DAYS, DAY_MS, QUARTER_MS = 365, 86_400_000, 900_000
COUNTRIES = (
    "US", "GB", "DE", "CA", "AU", "FR", "IT", "ES", "NL", "BR", "MX", "PL", "SE", "AT", "CH", "JP", "BE", "IE", "NZ", "NO",
    "DK", "FI", "PT", "CZ", "RO", "HU", "GR", "ZA", "IN", "PH", "TR", "AR", "CO", "CL", "ID", "MY", "TH", "VN", "KE", "NG",
)  # fmt: skip
DEVICES = (
    ("mobile", "Instagram", "334", "iOS"), ("mobile", "Mobile Safari", "17.5", "iOS"), ("mobile", "Facebook", "460", "iOS"),
    ("mobile", "Chrome Mobile", "126", "Android"), ("mobile", "Instagram", "333", "Android"), ("mobile", "TikTok", "35", "Android"),
    ("desktop", "Chrome", "126", "Windows"), ("desktop", "Safari", "17.4", "Mac OS X"), ("tablet", "Mobile Safari", "17.5", "iOS"),
)  # fmt: skip
REFERRERS = (
    ("https://l.instagram.com/", "l.instagram.com"), ("https://l.facebook.com/l.php?u=x", "l.facebook.com"),
    ("https://www.tiktok.com/", "www.tiktok.com"), ("https://t.co/x", "t.co"), ("", ""), ("", ""),
    ("https://www.google.com/", "www.google.com"),
)  # fmt: skip
HOURS = np.array((5, 4, 3, 2, 2, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 7, 8, 8, 9, 10, 11, 11, 9, 7))
ECIDS, CAMPAIGNS, CREATIVES = 40, 4, 12  # per link, but for the links whose every click has an ecid of its own
BOTS, REPEATED, SUBSCRIBING, SPENDING, TAKEN_BACK = 0.05, 0.15, 0.03, 0.16, 0.01
PRICES = np.array((499, 999, 1500, 2000, 5000))
SUBSCRIBER, PAYMENT, MESSAGE, STATUS = range(4)
KINDS = ("new_subscriber", "new_transaction", "message_received", "transaction_status")


@dataclass
class Link:
    """A smart link: who owns it, on which days of the year it runs, how much of the traffic it draws."""

    number: int
    account: int
    first: int
    last: int
    weight: float

    @property
    def smart_link_id(self) -> str:
        """Its id."""
        return f"01KAY0SMARTLINK0000000{self.number:04d}"

    @property
    def account_id(self) -> str:
        """Its account's id."""
        return f"acct_{self.account:04d}"

    @property
    def team_id(self) -> str:
        """Its team's id."""
        return team_id(TEAM_OF[self.account])

    @property
    def unique_ecids(self) -> bool:
        """Every click has an ecid of its own."""
        return self.number % 25 == 7


def team_id(number: int) -> str:
    """The id of a team."""
    return f"01KAY0TEAM000000000000000{number}"


@dataclass
class Month:
    """Columns, one entry per click, later visit or conversion. Times are Unix milliseconds; `of` numbers a click of the month."""

    first: date
    following: date
    link: Column  # clicks, in order of time
    at: Column
    last_at: Column
    is_bot: Column
    shared: Column
    country: Column
    device: Column
    referrer: Column
    ecid: Column  # -1: one of its own
    campaign: Column
    creative: Column
    repeats: Column
    visit_of: Column
    visit_at: Column
    fan_of: Column
    fan_at: Column
    sale_of: Column  # conversions: the fan's number in the month
    sale_kind: Column
    sale_at: Column
    sale_cents: Column
    sale_number: Column  # of the payment that a status is about


class Year:
    """The year that ends with `last`, with that many clicks and bots."""

    def __init__(self, clicks: int, last: date, seed: int = 1) -> None:
        self.seed, self.last = seed, last
        self.first = last - timedelta(days=DAYS - 1)
        rng = np.random.default_rng(seed)
        self.links = [self._link(rng, number) for number in range(SMART_LINKS)]
        drawn = np.zeros((DAYS, SMART_LINKS))
        for link in self.links:
            drawn[link.first : link.last + 1, link.number] = link.weight
        drawn /= np.sqrt(drawn.sum(axis=1, keepdims=True))
        self.drawn = rng.multinomial(clicks, (drawn / drawn.sum()).ravel()).reshape(DAYS, SMART_LINKS)

    def _link(self, rng: Any, number: int) -> Link:
        runs = min(DAYS, int(rng.exponential(75)) + 5) if number % 10 else DAYS
        first = int(rng.integers(DAYS - runs + 1))
        return Link(number, number % ACCOUNTS, first, first + runs - 1, 1 / (1 + number % 37) ** 0.8)

    @property
    def months(self) -> list[date]:
        """The first days of the calendar months the year touches."""
        found = [self.first.replace(day=1)]
        while (following := (found[-1] + timedelta(days=32)).replace(day=1)) <= self.last:
            found.append(following)
        return found

    def make(self, month: date) -> Month:
        """The clicks of a calendar month, and all that comes of them."""
        following = (month + timedelta(days=32)).replace(day=1)
        begins, ends = max(month, self.first), min(following, self.last + timedelta(days=1))
        rng = np.random.default_rng((self.seed, month.year, month.month))
        first = (begins - self.first).days
        counts = self.drawn[first : first + (ends - begins).days]
        cells = np.repeat(np.arange(counts.size), counts.ravel())
        hour = rng.choice(24, cells.size, p=HOURS / HOURS.sum())
        at = ms_of(begins) + cells // SMART_LINKS * DAY_MS + hour * 3_600_000 + rng.integers(0, 3_600_000, cells.size)
        order = np.argsort(at)
        at, link, count = at[order], (cells % SMART_LINKS)[order], cells.size
        is_bot = rng.random(count) < BOTS
        repeats = np.where(~is_bot & (rng.random(count) < REPEATED), rng.geometric(0.75, count), 0)
        # The last of the visits of a click never lies in the next month: a partition is loaded whole.
        visit_of = np.repeat(np.arange(count), repeats)
        visit_at = np.minimum(at[visit_of] + rng.integers(1000, 5_400_000, visit_of.size), ms_of(ends) - 1)
        last_at = at.copy()
        np.maximum.at(last_at, visit_of, visit_at)
        fan_of = np.flatnonzero(~is_bot & (rng.random(count) < SUBSCRIBING))
        fan_at = last_at[fan_of] + rng.integers(20_000, 1_200_000, fan_of.size)
        unique = np.array([each.unique_ecids for each in self.links])[link]
        return Month(
            month, following, link, at, last_at, is_bot, rng.random(count) < 0.1,
            (len(COUNTRIES) * rng.random(count) ** 2.5).astype(int), (len(DEVICES) * rng.random(count) ** 1.5).astype(int),
            rng.integers(0, len(REFERRERS), count), np.where(unique, -1, (ECIDS * rng.random(count) ** 2).astype(int)),
            rng.integers(0, CAMPAIGNS, count), rng.integers(0, CREATIVES, count), repeats, visit_of, visit_at, fan_of, fan_at,
            *self._sales(rng, fan_at),
        )  # fmt: skip

    def _sales(self, rng: Any, fan_at: Column) -> tuple[Column, ...]:
        fans = np.arange(fan_at.size)
        paying = np.repeat(fans, np.where(rng.random(fans.size) < SPENDING, rng.geometric(1 / 6, fans.size), 0))
        waits = rng.exponential(6 * DAY_MS, paying.size)
        waits[np.r_[True, paying[1:] != paying[:-1]][: paying.size]] = 0
        summed = np.cumsum(waits)
        before = np.maximum.accumulate(np.where(waits == 0, summed, 0)) if paying.size else summed
        paid_at = fan_at[paying] + (summed - before).astype(np.int64) + rng.integers(0, 60_000, paying.size)
        cents, number = rng.choice(PRICES, paying.size), np.arange(paying.size)
        back = rng.random(paying.size) < TAKEN_BACK
        writing = np.repeat(fans, np.where(rng.random(fans.size) < 0.4, rng.integers(0, 6, fans.size), 0))
        wrote_at = fan_at[writing] + rng.integers(0, 10 * DAY_MS, writing.size)
        of = np.concatenate((fans, paying, writing, paying[back]))
        kind = np.repeat(np.arange(4), (fans.size, paying.size, writing.size, int(back.sum())))
        at = np.concatenate((fan_at, paid_at, wrote_at, paid_at[back] + DAY_MS))
        nothing = np.zeros(fans.size, int), np.zeros(writing.size, int)
        money = np.concatenate((nothing[0], cents, nothing[1], cents[back]))
        told = np.concatenate((nothing[0], number, nothing[1], number[back]))
        kept = at < ms_of(self.last + timedelta(days=1))
        return of[kept], kind[kept], at[kept], money[kept], told[kept]


def ms_of(day: date) -> int:
    """Unix milliseconds of a day's midnight, UTC."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
