"""Leased deliveries, in chunks that fit a processor's cache: side by side, and not decoded before somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import msgspec

from postbacks.destinations.base import Item, Told


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A leased delivery. `attempts` and `uncharged` as of the claim; `age` in seconds; `item` None: its facts are gone.

    `ambiguous_at`: the first attempt the receiver may have acted on without saying so.
    """

    event_id: str
    destination_id: str
    day: date
    attempts: int
    uncharged: int
    lease_token: str
    age: float
    item: Item | None
    ambiguous_at: datetime | None = None


class Keys(msgspec.Struct, array_like=True):
    """Which deliveries of a destination, side by side, and the number of the attempt at each. `places`: of their leases in `leases`,
    each a day and a token.
    """

    event_ids: list[str] = []
    attempts: list[int] = []
    places: list[int] = []
    leases: list[tuple[date, str]] = []

    def add(self, day: date, lease_token: str, event_ids: list[str], attempts: list[int]) -> None:
        """Add some that were leased together."""
        if not self.leases or self.leases[-1] != (day, lease_token):
            self.leases.append((day, lease_token))
        self.event_ids += event_ids
        self.attempts += attempts
        self.places += [len(self.leases) - 1] * len(event_ids)

    def each(self) -> Iterator[tuple[str, int, date, str]]:
        """Event id, attempt, day and lease token of each."""
        for event_id, attempt, place in zip(self.event_ids, self.attempts, self.places, strict=True):
            yield event_id, attempt, *self.leases[place]


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """The deliveries of a chunk, each in the same place of every list. Times are Unix seconds.

    `read`: a list for each fact the kind reads; of a kind that reads all, there is `facts` instead.
    """

    event_ids: list[str]
    attempts: list[int]
    uncharged: list[int]
    ages: list[float]
    ambiguous: list[float | None]
    event_types: list[str]
    occurred: list[float]
    read: list[list[str]] | None
    facts: list[dict[str, str]] | None


class Lone(msgspec.Struct, frozen=True, gc=False):
    """A chunk of one: most destinations are told of one event at a time."""

    claimed: Claimed

    def __len__(self) -> int:
        return 1

    def claims(self) -> list[Claimed]:
        """The delivery."""
        return [self.claimed]


_DECODER = msgspec.json.Decoder(Columns)


class Chunk(msgspec.Struct):
    """Some deliveries of one destination that were leased at once. `text`: of the claim statement, which the place `start`
    and those after it, before `stop`, are meant of.

    `version`: of the destination's row. `reads`: the facts its kind reads, in the order of `Columns.read`. `gone`: so are
    the facts of all of these.
    """

    destination_id: str
    version: str
    day: date
    lease_token: str
    reads: tuple[str, ...]
    gone: bool
    text: bytes
    start: int
    stop: int
    decoded: Columns | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, count: int) -> Chunk:
        """Take the first so many out of it."""
        middle = self.start + count
        part = Chunk(
            self.destination_id, self.version, self.day, self.lease_token, self.reads, self.gone, b"", self.start, middle,
            self._kept(),
        )  # fmt: skip
        self.start = middle
        return part

    def pop(self) -> Lone:
        """Take the first out of it."""
        self.start += 1
        return Lone(self._claimed(self._kept(), self.start - 1))

    def _kept(self) -> Columns:
        if self.decoded is None:  # once, for all its parts
            self.decoded = _DECODER.decode(self.text)
        return self.decoded

    def _all(self) -> Columns:
        # Not kept: a whole chunk is looked at once, and its bytes are enough for another time.
        return _DECODER.decode(self.text) if self.decoded is None else self.decoded

    def columns(self) -> Columns:
        """Its deliveries side by side."""
        columns = self._all()
        if len(columns.event_ids) == len(self):
            return columns
        part = slice(self.start, self.stop)
        return Columns(
            columns.event_ids[part], columns.attempts[part], columns.uncharged[part], columns.ages[part],
            columns.ambiguous[part], columns.event_types[part], columns.occurred[part],
            None if columns.read is None else [column[part] for column in columns.read],
            None if columns.facts is None else columns.facts[part],
        )  # fmt: skip

    def told(self, columns: Columns) -> Told:
        """The events of these columns, for a destination whose kind reads some facts only."""
        facts = dict(zip(self.reads, columns.read or (), strict=False))
        return Told(columns.event_ids, columns.event_types, columns.occurred, facts)

    def claims(self) -> list[Claimed]:
        """Its deliveries one by one."""
        columns = self._all()
        return [self._claimed(columns, at) for at in range(self.start, self.stop)]

    def _claimed(self, columns: Columns, at: int) -> Claimed:
        event_id, ambiguous = columns.event_ids[at], columns.ambiguous[at]
        item = None
        if not self.gone:
            occurred_at = datetime.fromtimestamp(columns.occurred[at], UTC)
            item = Item(event_id, columns.event_types[at], occurred_at, self._facts(columns, at))
        return Claimed(
            event_id, self.destination_id, self.day, columns.attempts[at], columns.uncharged[at], self.lease_token,
            columns.ages[at], item, None if ambiguous is None else datetime.fromtimestamp(ambiguous, UTC),
        )  # fmt: skip

    def _facts(self, columns: Columns, at: int) -> dict[str, str]:
        if columns.facts is not None:
            return columns.facts[at]
        read: Sequence[list[str]] = columns.read or ()
        return {name: column[at] for name, column in zip(self.reads, read, strict=False) if column[at]}
