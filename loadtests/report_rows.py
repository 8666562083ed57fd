"""The made-up months of `report_data.py` as lines of COPY text, in the columns of the recorder and of attribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.report_data import COUNTRIES, DEVICES, KINDS, REFERRERS, SMART_LINKS, STATUS, Column, Month, Year

LINES = 20_000  # at once
CROCKFORD = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", np.uint8)
AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram"
    " 334.0.4.32.98 (iPhone14,5; iOS 17_5_1; en_US; en; scale=3.00; 1170x2532; 6097754%02d)"
)
CLICK = (
    b"%d\t%b\tf\t%b\t%b\t%b\tv%b\tnew\t%b\t10.%d.%d.%d\t%b\t%b\t%b\ten-US,en;q=0.9\thttps://go.example.com/go/%b?utm_source=ig&fbclid=IwAR%b"
    b"\t%b\tIwAR%b%b\t\t\t\t\t\t%b-%d\t\tcreative-%d\t%b\t\t\t\t\t\tfb.1.%d.%d\t\t\t\t\n"
)
CONVERSION_COLUMNS = (
    "conversion_id", "team_id", "account_id", "smart_link_id", "click_id", "fan_id", "conversion_type", "conversion_at", "amount_gross_cents",
    "amount_net_cents", "transaction_id", "transaction_type", "transaction_status", "previously_subscribed", "purchase", "event_keys",
)  # fmt: skip
BINDING_COLUMNS = (
    "account_id", "fan_id", "valid_from", "click_id", "smart_link_id", "rule", "lease", "confidence", "competing_clicks", "event_keys",
)  # fmt: skip


def ulids(at: Column, rng: Any) -> list[bytes]:
    """A lower-case ULID of each millisecond."""
    digits = np.empty((at.size, 26), np.uint8)
    for place in range(10):
        digits[:, place] = (at >> (45 - 5 * place)) & 31
    digits[:, 10:] = rng.integers(0, 32, (at.size, 16), dtype=np.uint8)
    found: list[bytes] = CROCKFORD[digits].reshape(-1).view("S26").tolist()
    return found


def stamps(at: Column) -> list[bytes]:
    """Unix milliseconds as PostgreSQL reads them (UTC)."""
    found: list[bytes] = np.datetime_as_string(at.astype("datetime64[ms]")).astype("S23").tolist()
    return found


@dataclass
class Rows:
    """The lines of a month, in batches per table."""

    year: Year
    month: Month

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng((self.year.seed + 1, self.month.first.year, self.month.first.month))
        self.click_ids = ulids(self.month.at, self.rng)
        self.ids = [link.smart_link_id.encode() for link in self.year.links]
        self.accounts = [link.account_id.encode() for link in self.year.links]
        self.fan_ids = [b"%d" % number for number in self.rng.integers(2**38, 2**40, self.month.fan_of.size).tolist()]

    def clicks(self) -> Iterator[bytes]:
        """Of table clicks, in the recorder's columns."""
        month, rng, ids = self.month, self.rng, self.ids
        owners = [a + b"\t" + b for a, b in zip(ids, self.accounts, strict=True)]
        devices = [
            [f"{AGENT % n}\t{browser}\t{version}\t{system}\t{kind}".encode() for n in range(100)]
            for given in (DEVICES, [("bot", *device[1:]) for device in DEVICES])
            for kind, browser, version, system in given
        ]
        countries, referrers = [c.encode() for c in COUNTRIES], [r[0].encode() for r in REFERRERS]
        given = [
            [b"%d\texclusive\tf\t" % (n + 1), b"%d\tshared\tf\t" % (n + 1), b"\tnone\tt\tcrawler"] for n in range(SMART_LINKS)
        ]  # fmt: skip
        sources = [f"{('ig', 'fb', 'tt')[n % 3]}\tpaid\tcampaign-{n}".encode() for n in range(SMART_LINKS)]
        subs = [("", f"s{n % 7}")[n % 2].encode() for n in range(SMART_LINKS)]
        lease = np.where(month.is_bot, 2, month.shared)
        device = np.where(month.is_bot, month.device + len(DEVICES), month.device)
        for part in parts(len(self.click_ids)):
            size = min(part.stop, len(self.click_ids)) - part.start
            noise = rng.integers(0, 256, (4, size)).tolist()
            columns = [
                column[part].tolist()
                for column in (month.link, month.at, month.repeats, lease, month.country, device, month.referrer,
                               month.ecid, month.campaign, month.creative)
            ]  # fmt: skip
            yield b"".join([
                CLICK % (
                    1 + again, last, id_, owners[n], when, id_[4:], given[n][got], a, b, c, countries[country], devices[on][d % 100],
                    referrers[came], ids[n], id_, b"e" + id_ if ecid < 0 else b"12020%04d%03d" % (n, ecid), id_, id_, sources[n],
                    campaign, creative, subs[n], ms, 1_000_000 + a * b * c,
                )
                for id_, when, last, n, ms, again, got, country, on, came, ecid, campaign, creative, a, b, c, d in zip(
                    self.click_ids[part], stamps(month.at[part]), stamps(month.last_at[part]), *columns, *noise, strict=True)
            ])  # fmt: skip

    def visits(self) -> Iterator[bytes]:
        """Of table visits, in the recorder's columns."""
        month, ids = self.month, ulids(self.month.visit_at, self.rng)
        for part in parts(len(ids)):
            yield b"".join([
                b"%b\t%b\t%b\t%b\tcookie\t%d\n" % (id_, self.click_ids[of], self.accounts[n], when, n + 1)
                for id_, of, n, when in zip(ids[part], month.visit_of[part].tolist(), month.link[month.visit_of[part]].tolist(),
                                            stamps(month.visit_at[part]), strict=True)
            ])  # fmt: skip

    def fans(self) -> Iterator[bytes]:
        """Of table fans: account_id, fan_id, username, name, first_subscribed_at."""
        for fan, _, n, when in self._fans():
            yield b"%b\t%b\tu%b\tSam %b\t%b\n" % (self.accounts[n], fan, fan, fan[:4], when)

    def bindings(self) -> Iterator[bytes]:
        """Of table bindings, in BINDING_COLUMNS."""
        for fan, of, n, when in self._fans():
            yield b"%b\t%b\t%b\t%b\t%b\tsubscribed\texclusive\t1\t1\t{}\n" % (
                self.accounts[n], fan, when, self.click_ids[of], self.ids[n],
            )  # fmt: skip

    def _fans(self) -> Iterator[tuple[bytes, int, int, bytes]]:
        of = self.month.fan_of
        yield from zip(self.fan_ids, of.tolist(), self.month.link[of].tolist(), stamps(self.month.fan_at), strict=True)

    def conversions(self) -> Iterator[bytes]:
        """Of table conversions, in CONVERSION_COLUMNS."""
        month = self.month
        ids = ulids(month.sale_at, self.rng)
        teams = [link.team_id.encode() for link in self.year.links]
        kinds = [kind.encode() for kind in KINDS]
        prefix = f"tx{month.first:%y%m}".encode()
        for part in parts(len(ids)):
            of = month.fan_of[month.sale_of[part]]
            columns = (
                of,
                month.link[of],
                month.sale_of[part],
                month.sale_kind[part],
                month.sale_cents[part],
                month.sale_number[part],
            )
            lines = []
            for id_, when, click, n, fan, kind, cents, number in zip(
                ids[part], stamps(month.sale_at[part]), *(column.tolist() for column in columns), strict=True
            ):
                money = b"%d\t%d\t%b%d\ttip\t%b" % (
                    cents, cents * 4 // 5, prefix, number, b"undo" if kind == STATUS else b"done",
                ) if cents else b"\t\t\t\t"  # fmt: skip
                lines.append(
                    b"%b\t%b\t%b\t%b\t%b\t%b\t%b\t%b\t%b\tf\t\t{}\n" % (
                        id_.upper(), teams[n], self.accounts[n], self.ids[n], self.click_ids[click], self.fan_ids[fan],
                        kinds[kind], when, money,
                    )
                )  # fmt: skip
            yield b"".join(lines)


def parts(size: int) -> Iterator[slice]:
    """Slices of LINES."""
    for start in range(0, size, LINES):
        yield slice(start, start + LINES)
