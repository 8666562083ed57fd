"""The rollups of made-up months, counted from their columns, as COPY data for the tables the rollup job keeps.

The job counts a thousand times more carefully and slower; `python -m loadtests.reports prove` has it count a small year and compares.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from loadtests.report_data import (
    ACCOUNTS,
    CAMPAIGNS,
    COUNTRIES,
    CREATIVES,
    DAY_MS,
    DEVICES,
    ECIDS,
    MESSAGE,
    PAYMENT,
    QUARTER_MS,
    REFERRERS,
    SMART_LINKS,
    STATUS,
    SUBSCRIBER,
    TEAM_OF,
    TEAMS,
    Column,
    Month,
    Year,
    ms_of,
    team_id,
)
from loadtests.report_rows import parts, stamps
from tracker.reports.rollups import LISTED_VALUES

DIMENSIONS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    11,
    16,
    17,
)  # those that made-up clicks have, as numbered in breakdowns.DIMENSIONS
ECID = 16
EPOCH_MS = 946_684_800_000  # PostgreSQL's: 2000-01-01
SIGNATURE, END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
ENTRY = ((23, np.dtype([("size", ">i4"), ("value", ">i4")]), 4), (20, np.dtype([("size", ">i4"), ("value", ">i8")]), 8))


class Facts(NamedTuple):
    """What counts, one entry each: link, when, which counter, how much, and the number of the click's value per dimension."""

    link: Column
    at: Column
    counter: Column
    amount: Column
    values: Column

    def only(self, chosen: Column) -> Facts:
        """Those that are chosen."""
        return Facts(*(column[chosen] for column in self))


class Counts:
    """Counts month after month; what a month's clicks bring later waits for its month."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.values: list[tuple[int, int, str]] = []  # (value_id, dimension, value)
        self.next_id = 100
        self.own = np.zeros(SMART_LINKS, int)  # per link, how many ecids of their own are listed
        self.later: list[Facts] = []
        self.listed: set[int] = set()
        links = range(SMART_LINKS)
        kinds = [*DEVICES, *(("bot", *device[1:]) for device in DEVICES)]
        self.country = self._number(1, list(COUNTRIES))
        self.device, self.browser, self.os = (
            self._number(n, [kind[at] for kind in kinds]) for n, at in ((2, 0), (3, 1), (4, 3))
        )
        self.referrer = self._number(5, [host for _, host in REFERRERS])
        self.source = self._number(6, [("ig", "fb", "tt")[n % 3] for n in links])
        self.medium = self._number(7, ["paid"])
        self.campaign = self._number(8, [f"campaign-{n}-{c}" for n in links for c in range(CAMPAIGNS)])
        self.creative = self._number(10, [f"creative-{n}" for n in range(CREATIVES)])
        self.sub = self._number(11, [("", f"s{n % 7}")[n % 2] for n in links])
        self.ecid = self._number(ECID, [f"12020{n:04d}{e:03d}" for n in links for e in range(ECIDS)])
        self.lease = self._number(17, ["exclusive", "shared", "none"])
        self.owners = (
            (np.arange(SMART_LINKS), [link.smart_link_id for link in year.links]),
            (np.array([link.account for link in year.links]), [f"acct_{n:04d}" for n in range(ACCOUNTS)]),
            (np.array([TEAM_OF[link.account] for link in year.links]), [team_id(n) for n in range(TEAMS)]),
        )  # fmt: skip

    def _number(self, dimension: int, values: list[str]) -> Column:
        known: dict[str, int] = {"": 0}
        for value in values:
            if value not in known:
                known[value] = self.next_id
                self.values.append((self.next_id, dimension, value))
                self.next_id += 1
        found: Column = np.array([known[value] for value in values])
        return found

    def _own_ecids(self, month: Month, click_ids: list[bytes]) -> Column:
        ecid: Column = self.ecid[month.link * ECIDS + month.ecid]
        for link in np.unique(month.link[month.ecid < 0]).tolist():
            of = np.flatnonzero((month.link == link) & (month.ecid < 0))
            fresh = of[: max(0, LISTED_VALUES - int(self.own[link]))]
            self.own[link] += fresh.size
            ecid[of] = ECID
            ecid[fresh] = np.arange(self.next_id, self.next_id + fresh.size)
            self.values += [
                (self.next_id + n, ECID, "e" + click_ids[each].decode()) for n, each in enumerate(fresh.tolist())
            ]
            self.next_id += fresh.size
        return ecid

    def facts(self, month: Month, click_ids: list[bytes]) -> Facts:
        """What counts in this month, of its clicks and of earlier ones."""
        device = np.where(month.is_bot, month.device + len(DEVICES), month.device)
        lease = np.where(month.is_bot, 2, month.shared.astype(int))
        values = np.column_stack((
            self.country[month.country], self.device[device], self.browser[device], self.os[device], self.referrer[month.referrer],
            self.source[month.link], np.full(month.link.size, self.medium[0]), self.campaign[month.link * CAMPAIGNS + month.campaign],
            self.creative[month.creative], self.sub[month.link], self._own_ecids(month, click_ids), self.lease[lease],
        )).astype(np.int32)  # fmt: skip
        of = month.fan_of[month.sale_of]
        kind, taken = month.sale_kind, set(month.sale_number[month.sale_kind == STATUS].tolist())
        worth = (kind == PAYMENT) & ~np.isin(month.sale_number, list(taken))
        pieces: list[tuple[Any, Any, Any, Any]] = [
            (np.arange(month.link.size), month.at, np.where(month.is_bot, 2, 0), 1),
            (month.visit_of, month.visit_at, 1, 1),
            *((of[chosen], month.sale_at[chosen], counter, 1) for counter, chosen in (
                (4, kind == SUBSCRIBER), (5, (kind == SUBSCRIBER) | (kind == PAYMENT) | (kind == MESSAGE)))),
            (of[worth], month.sale_at[worth], 6, month.sale_cents[worth]),
            (of[worth], month.sale_at[worth], 7, month.sale_cents[worth] * 4 // 5),
        ]  # fmt: skip
        made = [
            Facts(month.link[click], at, np.broadcast_to(counter, at.shape), np.broadcast_to(amount, at.shape), values[click])
            for click, at, counter, amount in pieces
        ]  # fmt: skip
        joined = Facts(*(np.concatenate(columns) for columns in zip(*made, *self.later, strict=True)))
        now = joined.at < ms_of(month.following)
        self.later = [joined.only(~now)]
        return joined.only(now)

    def totals(self, first: date, following: date, facts: Facts) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(table, lines) of report_quarters and report_days."""
        start = ms_of(first)
        quarters = (ms_of(following) - start) // QUARTER_MS
        cells = (facts.link * quarters + (facts.at - start) // QUARTER_MS) * 8 + facts.counter
        cube = (
            np.bincount(cells, facts.amount, SMART_LINKS * quarters * 8)
            .astype(np.int64)
            .reshape(SMART_LINKS, quarters, 8)
        )
        for owner, names in self.owners:
            summed = np.zeros((len(names), quarters, 8), np.int64)
            np.add.at(summed, owner, cube)
            yield "report_quarters", self._lines(names, start, QUARTER_MS, summed)
            yield "report_days", self._lines(names, start, DAY_MS, summed.reshape(len(names), -1, 96, 8).sum(axis=2))

    def _lines(self, names: list[str], start: int, step: int, cube: Any) -> Iterator[bytes]:
        of, when = np.nonzero(cube.any(axis=2))
        amounts, encoded = cube[of, when], [name.encode() for name in names]
        for part in parts(of.size):
            yield b"".join([
                b"%b\t%b\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n" % (encoded[n], at, *row)
                for n, at, row in zip(of[part].tolist(), stamps(start + when[part] * step), amounts[part].tolist(), strict=True)
            ])  # fmt: skip

    def breakdowns(self, first: date, following: date, facts: Facts) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(table, binary COPY data) of breakdown_hours and breakdown_days."""
        start = ms_of(first)
        hours = (ms_of(following) - start) // 3_600_000
        cell = (facts.link * hours + (facts.at - start) // 3_600_000) << 32 | facts.counter
        plain = facts.counter < 6
        unit, money, worth = [], [], []
        for column in facts.values.T:
            keys, told = cell + column.astype(np.int64) * 8, column > 0
            unit.append(keys[told & plain])
            money.append(keys[told & ~plain])
            worth.append(facts.amount[told & ~plain])
        counted, counts = np.unique(np.concatenate(unit), return_counts=True)
        key, amount = grouped(np.concatenate((counted, *money)), np.concatenate((counts, *worth)).astype(np.int64))
        dimension_of = np.zeros(self.next_id, np.int64)
        dimension_of[:18] = np.arange(18)
        for value_id, dimension, _ in self.values:
            dimension_of[value_id] = dimension
        dimension = dimension_of[(key & 0xFFFFFFFF) >> 3]
        self.listed |= set(((key >> 32) // hours << 32 | (key & 0xFFFFFFFF) >> 3).tolist())
        for owner, names in self.owners:
            of, hour = owner[(key >> 32) // hours], (key >> 32) % hours
            by_hour, sums = grouped((of * hours + hour) << 32 | key & 0xFFFFFFFF, amount)
            yield "breakdown_hours", _packed(by_hour, sums, lambda cell, n=names, h=hours: (
                n[cell // h], None, start + cell % h * 3_600_000))  # fmt: skip
            by_day, sums = grouped(((of * 32 + hour // 24) * 18 + dimension) << 32 | key & 0xFFFFFFFF, amount)
            yield "breakdown_days", _packed(by_day, sums, lambda cell, n=names: (
                n[cell // 576], cell % 18, start + cell // 18 % 32 * DAY_MS))  # fmt: skip

    def named(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(table, lines) of report_values and report_listed, at the end."""
        yield "report_values", iter([f"{n}\t{dimension}\t{value}\n".encode() for n, dimension, value in self.values])
        of = {n: dimension for n, dimension, _ in self.values}
        yield "report_listed", iter([
            f"{self.year.links[pair >> 32].smart_link_id}\t{of[pair & 0xFFFFFFFF]}\t{pair & 0xFFFFFFFF}\n".encode()
            for pair in sorted(self.listed) if pair & 0xFFFFFFFF in of
        ])  # fmt: skip


def grouped(keys: Column, amounts: Column) -> tuple[Column, Column]:
    """The different keys in order, and their amounts added up."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if keys.size else order
    return keys[first], np.add.reduceat(amounts[order], first) if keys.size else amounts


def _packed(keys: Column, amounts: Column, told: Any) -> Iterator[bytes]:
    """Binary rows: one per upper half of the keys, with arrays of the lower halves and the amounts."""
    cell, buffers = keys >> 32, []
    for (_, dtype, size), column in zip(ENTRY, (keys & 0xFFFFFFFF, amounts), strict=True):
        entries = np.empty(keys.size, dtype)
        entries["size"], entries["value"] = size, column
        buffers.append(entries.tobytes())
    first = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]]) if keys.size else cell
    ends = np.r_[first[1:], keys.size].tolist()
    yield SIGNATURE
    batch = []
    for since, until in zip(first.tolist(), ends, strict=True):
        name, dimension, at_ms = told(int(cell[since]))
        number = b"" if dimension is None else struct.pack(">ih", 2, dimension)
        row = [
            struct.pack(">hi", 4 if dimension is None else 5, len(name)), name.encode(), number,
            struct.pack(">iq", 8, (at_ms - EPOCH_MS) * 1000),
        ]  # fmt: skip
        for (oid, _, size), buffer in zip(ENTRY, buffers, strict=True):
            width = size + 4
            row.append(struct.pack(">iiiiii", 20 + (until - since) * width, 1, 0, oid, until - since, 1))
            row.append(buffer[since * width : until * width])
        batch.append(b"".join(row))
        if len(batch) >= 2000:
            yield b"".join(batch)
            batch = []
    yield b"".join(batch) + END
