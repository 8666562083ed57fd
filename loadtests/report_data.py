"""A made-up year of business for `loadtests.reports`: teams, accounts, smart links that run for some weeks, clicks, fans who pay.

Everything of a day follows from the seed and the day alone, so that generating can stop anywhere and go on later.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tracker.recorder import rows, ulids

TEAMS, ACCOUNTS, SMART_LINKS = 4, 60, 600
DAYS = 365
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
    "https://l.instagram.com/",
    "https://l.facebook.com/l.php?u=x",
    "https://www.tiktok.com/",
    "https://t.co/x",
    "",
    "",
    "https://www.google.com/",
)
AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram"
    " 334.0.4.32.98 (iPhone14,5; iOS 17_5_1; en_US; en; scale=3.00; 1170x2532; 6097754{:02d})"
)
CONVERSION_COLUMNS = (
    "conversion_id", "team_id", "account_id", "smart_link_id", "click_id", "fan_id", "conversion_type", "conversion_at", "amount_gross_cents",
    "amount_net_cents", "transaction_id", "transaction_type", "transaction_status", "previously_subscribed", "purchase", "event_keys",
)  # fmt: skip
BINDING_COLUMNS = (
    "account_id", "fan_id", "valid_from", "click_id", "smart_link_id", "rule", "lease", "confidence", "competing_clicks", "event_keys",
)  # fmt: skip


@dataclass(frozen=True)
class Link:
    """A smart link: who owns it, when it runs, how much of the traffic it draws."""

    smart_link_id: str
    account: int
    first: int
    last: int
    weight: float
    unique_ecids: bool

    @property
    def account_id(self) -> str:
        """Its account."""
        return f"acct_{self.account:04d}"

    @property
    def team_id(self) -> str:
        """Its team: the first has 60 of 100 accounts."""
        return f"01KAY0TEAM000000000000000{team_of(self.account)}"


def team_of(account: int) -> int:
    """The number of an account's team."""
    return 0 if account % 10 < 6 else 1 + account % (TEAMS - 1)


@dataclass
class Day:
    """COPY text of one day, per table, and the ids for the recorder's notes."""

    clicks: list[str] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)
    fans: list[str] = field(default_factory=list)
    bindings: list[str] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)
    click_ids: list[str] = field(default_factory=list)
    visit_ids: list[str] = field(default_factory=list)

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], io.BytesIO]]:
        """(table, columns, rows), in the order of their references."""
        for table, columns, lines in (
            ("clicks", rows.CLICK_COLUMNS, self.clicks),
            ("visits", rows.VISIT_COLUMNS, self.visits),
            ("fans", ("account_id", "fan_id", "username", "name", "first_subscribed_at"), self.fans),
            ("bindings", BINDING_COLUMNS, self.bindings),
            ("conversions", CONVERSION_COLUMNS, self.conversions),
        ):
            yield table, columns, io.BytesIO("".join(lines).encode())


class Year:
    """The year that ends with `last`."""

    def __init__(self, clicks: int, last: date, seed: int = 1) -> None:
        self.seed = seed
        self.first = last - timedelta(days=DAYS - 1)
        self.end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        rng = random.Random(seed)
        self.links = [self._link(rng, number) for number in range(SMART_LINKS)]
        running = [[link for link in self.links if link.first <= day <= link.last] for day in range(DAYS)]
        self.running = [links or self.links[:1] for links in running]
        drawn = [sum(link.weight for link in links) ** 0.5 for links in self.running]
        self.per_day = [round(clicks * share / sum(drawn)) for share in drawn]

    def _link(self, rng: random.Random, number: int) -> Link:
        runs = min(DAYS, int(rng.expovariate(1 / 45)) + 3) if number % 10 else DAYS
        first = rng.randrange(DAYS - runs + 1)
        weight = 1 / (1 + number % 97) ** 0.8
        return Link(
            f"01KAY0SMARTLINK0000000{number:04d}",
            rng.randrange(ACCOUNTS),
            first,
            first + runs - 1,
            weight,
            number % 25 == 7,
        )

    def make(self, day: int) -> Day:
        """All rows that clicks of that day lead to."""
        rng = random.Random(f"{self.seed}:{day}")
        made = Day()
        links, count = self.running[day], self.per_day[day]
        start_ms = round(
            datetime.combine(self.first + timedelta(days=day), datetime.min.time(), UTC).timestamp() * 1000
        )
        hours = rng.choices(
            range(24), (5, 4, 3, 2, 2, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 7, 8, 8, 9, 10, 11, 11, 9, 7), k=count
        )
        times = sorted(start_ms + hour * 3_600_000 + rng.randrange(3_600_000) for hour in hours)
        for at_ms, link in zip(times, rng.choices(links, [link.weight for link in links], k=count), strict=True):
            self._click(rng, made, at_ms, link)
        return made

    def _click(self, rng: random.Random, made: Day, at_ms: int, link: Link) -> None:
        click_id = f"{ulids.prefix(at_ms)}{rng.getrandbits(64):016x}"
        is_bot = rng.random() < 0.05
        repeats = 0 if is_bot or rng.random() > 0.07 else 1 + (rng.random() < 0.2)
        at, country = rows.timestamp(at_ms), COUNTRIES[int(len(COUNTRIES) * rng.random() ** 2.5)]
        device, browser, version, system = DEVICES[int(len(DEVICES) * rng.random() ** 1.5)]
        number = int(link.smart_link_id[-4:])
        ecid = f"e{click_id}" if link.unique_ecids else f"12020{number:04d}{int(40 * rng.random() ** 2):03d}"
        last_ms = at_ms
        for _ in range(repeats):
            last_ms += rng.randrange(1000, 1_800_000)
            visit_id = f"{ulids.prefix(last_ms)}{rng.getrandbits(64):016x}"
            made.visit_ids.append(visit_id)
            made.visits.append(
                f"{visit_id}\t{click_id}\t{link.account_id}\t{rows.timestamp(last_ms)}\tcookie\t{number + 1}\n"
            )
        made.click_ids.append(click_id)
        made.clicks.append(
            f"{1 + repeats}\t{rows.timestamp(last_ms)}\tf\t{click_id}\t{link.smart_link_id}\t{link.account_id}\t{at}\tv{click_id[4:]}\tnew"
            f"\t{'' if is_bot else number + 1}\t{'none' if is_bot else 'exclusive'}\t{'t' if is_bot else 'f'}\t{'crawler' if is_bot else ''}"
            f"\t10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}\t{country}\t{AGENT.format(rng.randrange(100))}"
            f"\t{browser}\t{version}\t{system}\t{'bot' if is_bot else device}\t{REFERRERS[rng.randrange(7)]}\ten-US,en;q=0.9"
            f"\thttps://go.example.com/go/{link.smart_link_id}?ecid={ecid}&utm_source=ig&fbclid=IwAR{click_id}"
            f"\t{ecid}\tIwAR{click_id}{click_id}\t\t\t\t\t\t{('ig', 'fb', 'tt')[number % 3]}\tpaid\tcampaign-{number}-{rng.randrange(4)}"
            f"\t\tcreative-{rng.randrange(12)}\t{('', 's' + str(number % 7))[number % 2]}\t\t\t\t\t\tfb.1.{at_ms}.{rng.getrandbits(30)}\t\t\t\t\n"
        )  # fmt: skip
        if not is_bot and rng.random() < 0.035:
            self._fan(rng, made, click_id, last_ms, link)

    def _fan(self, rng: random.Random, made: Day, click_id: str, at_ms: int, link: Link) -> None:
        at_ms += rng.randrange(20_000, 1_200_000)
        fan, at = f"{rng.getrandbits(40)}", rows.timestamp(at_ms)
        made.fans.append(f"{link.account_id}\t{fan}\tu{fan}\tSam {fan[:4]}\t{at}\n")
        made.bindings.append(
            f"{link.account_id}\t{fan}\t{at}\t{click_id}\t{link.smart_link_id}\tsubscribed\texclusive\t1\t1\t{{sub:{fan}}}\n"
        )
        told = [("new_subscriber", at_ms, "", "", "")]
        if rng.random() < 0.16:
            paid_ms: float = at_ms
            while rng.random() < 0.86:
                cents = rng.choice((499, 999, 1500, 2000, 5000))
                transaction = f"tx{rng.getrandbits(48):x}"
                told.append(("new_transaction", int(paid_ms), str(cents), transaction, "done"))
                if rng.random() < 0.01:
                    told.append(("transaction_status", int(paid_ms) + 86_400_000, str(cents), transaction, "undo"))
                paid_ms += rng.expovariate(1 / (6 * 86_400_000))
        for _ in range(rng.randrange(6) if rng.random() < 0.4 else 0):
            told.append(("message_received", at_ms + rng.randrange(864_000_000), "", "", ""))
        end_ms = self.end.timestamp() * 1000
        for kind, when, cents_text, transaction, status in told:
            if when >= end_ms:
                continue
            net = str(int(cents_text) * 4 // 5) if cents_text else ""
            made.conversions.append(
                f"cv{rng.getrandbits(80):020x}\t{link.team_id}\t{link.account_id}\t{link.smart_link_id}\t{click_id}\t{fan}\t{kind}"
                f"\t{rows.timestamp(when)}\t{cents_text}\t{net}\t{transaction}\t{'tip' if cents_text else ''}\t{status}\tf\t\t{{}}\n"
            )


async def found(connection: Any, year: Year) -> None:
    """Teams, accounts and smart links."""
    for number in range(TEAMS):
        await connection.execute(
            "INSERT INTO teams (team_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            f"01KAY0TEAM000000000000000{number}",
            f"Team {number}",
        )
    for number in range(ACCOUNTS):
        await connection.execute(
            "INSERT INTO accounts (account_id, team_id, provider, provider_account_id, username, display_name, shard)"
            " VALUES ($1, $2, 'onlyfansapi', $1, $3, $3, $4) ON CONFLICT DO NOTHING",
            f"acct_{number:04d}", f"01KAY0TEAM000000000000000{team_of(number)}", f"creator{number}", number % 4,
        )  # fmt: skip
    for number, link in enumerate(year.links):
        created = datetime.combine(year.first + timedelta(days=link.first), datetime.min.time(), UTC)
        await connection.execute(
            "INSERT INTO smart_links (smart_link_id, team_id, account_id, name, link_type, offer, created_at)"
            " VALUES ($1, $2, $3, $4, 'tracking_link', 'tracking', $5) ON CONFLICT DO NOTHING",
            link.smart_link_id, link.team_id, link.account_id, f"Meta / creator{link.account} / {number}", created,
        )  # fmt: skip
        if number % 5 == 0:
            await connection.execute(
                "INSERT INTO link_tags (team_id, kind, target_id, tag) VALUES ($1, 'smart_links', $2, 'scaling') ON CONFLICT DO NOTHING",
                link.team_id, link.smart_link_id,
            )  # fmt: skip
