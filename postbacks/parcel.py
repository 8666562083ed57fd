"""A batch as it is sent: written chunk by chunk, of which nothing is kept but the bytes; what is needed again is decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import compress
from typing import overload

import msgspec

from postbacks.batches import beyond_dedup
from postbacks.chunk import Chunk, Claimed, Columns, Keys
from postbacks.destinations.base import Batching, Item, sealed
from postbacks.egress import Request
from postbacks.verdicts import Verdict

_ENCODER = msgspec.json.Encoder()


class Parcel(Sequence[Item]):
    """The events of some chunks that one request tells, in its order. `keys` are theirs."""

    def __init__(
        self, chunks: Sequence[Chunk], refused: dict[tuple[int, int], Verdict], request: Request, keys: Keys
    ) -> None:
        self.request = request
        self.keys = keys
        self._chunks = chunks
        self._refused = refused

    def __len__(self) -> int:
        return sum(map(len, self._chunks)) - len(self._refused)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        return [claimed.item for claimed in self.claims() if claimed.item is not None][place]

    def claims(self) -> list[Claimed]:
        """The deliveries of these events."""
        return [claimed for claimed, verdict in self._judged() if verdict is None]

    def refused(self) -> list[tuple[Claimed, Verdict]]:
        """The deliveries that are not to be sent, with why."""
        if not self._refused:
            return []
        return [(claimed, verdict) for claimed, verdict in self._judged() if verdict is not None]

    def _judged(self) -> list[tuple[Claimed, Verdict | None]]:
        return [
            (claimed, self._refused.get((number, place)))
            for number, chunk in enumerate(self._chunks)
            for place, claimed in enumerate(chunk.claims())
        ]


def pack(destination: Batching, chunks: Sequence[Chunk], now: datetime) -> Parcel:
    """Write what is to be sent of these chunks."""
    envelope = destination.envelope()
    body = bytearray((envelope.body or b"") + b"[]")
    keys = Keys()
    refused: dict[tuple[int, int], Verdict] = {}
    harmless = True
    seconds = now.timestamp()
    for number, chunk in enumerate(chunks):
        columns = chunk.columns()
        told = chunk.told(columns)
        not_sent = _beyond_dedup(destination, columns, now)
        written = destination.write(told, seconds, not_sent)
        harmless = harmless and destination.harmless(told)
        event_ids, attempts = columns.event_ids, [before + 1 for before in columns.attempts]
        if not_sent:
            refused |= {(number, place): verdict for place, verdict in not_sent.items()}
            sent = [place not in not_sent for place in range(len(event_ids))]
            event_ids, attempts = [*compress(event_ids, sent)], [*compress(attempts, sent)]
        keys.add(chunk.day, chunk.lease_token, event_ids, attempts)
        _append(body, written)
    return Parcel(chunks, refused, sealed(envelope, body, harmless=harmless), keys)


def _beyond_dedup(destination: Batching, columns: Columns, now: datetime) -> dict[int, Verdict]:
    found: dict[int, Verdict] = {}
    if any(columns.ambiguous):
        for place, at in enumerate(columns.ambiguous):
            verdict = None if at is None else beyond_dedup(destination, datetime.fromtimestamp(at, now.tzinfo), now)
            if verdict is not None:
                found[place] = verdict
    return found


def _append(text: bytearray, values: Sequence[object]) -> None:
    """Add values to the JSON array that a text ends with."""
    if values:
        end = len(text) - 1
        if text[end - 1] == ord("["):
            _ENCODER.encode_into(values, text, end - 1)
        else:
            _ENCODER.encode_into(values, text, end)
            text[end] = ord(",")
