"""Batches: what is not to be sent is taken out first, and a batch refused whole is sent again in parts.

Ad platforms refuse a batch of a thousand events for one that is wrong (capi spec 1.8). The wrong one is found by sending
the events the answer points at alone, or, when it points at none, by halving.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import msgspec
import structlog

from postbacks.attempt import Tried, internal, try_once
from postbacks.chunk import Claimed
from postbacks.destinations.base import Destination
from postbacks.egress import Egress
from postbacks.verdicts import Verdict

log = structlog.get_logger()


def screen(
    destination: Destination, batch: Sequence[Claimed], now: datetime
) -> tuple[list[Claimed], list[tuple[Claimed, Verdict]]]:
    """The deliveries to send, and those not to be sent, with why. Never raises: a defect of ours is the verdict `ours` on one."""
    sendable: list[Claimed] = []
    refused: list[tuple[Claimed, Verdict]] = []
    for claimed in batch:
        assert claimed.item is not None
        repeat = None if claimed.ambiguous_at is None else beyond_dedup(destination, claimed.ambiguous_at, now)
        try:
            verdict = repeat or destination.screen(claimed.item, now)
        except Exception as error:
            log.exception("dispatcher: an event could not be screened", event_id=claimed.event_id)
            verdict = internal(error)
        if verdict is None:
            sendable.append(claimed)
        else:
            refused.append((claimed, verdict))
    return sendable, refused


def beyond_dedup(destination: Destination, ambiguous_at: datetime, now: datetime) -> Verdict | None:
    """The verdict on what may have been taken so long ago that the platform would not know it again."""
    limit = destination.dedup_seconds
    if limit is None or (now - ambiguous_at).total_seconds() < limit:
        return None
    words = f"the attempt of {ambiguous_at:%Y-%m-%d %H:%M} UTC may have been counted; a repeat now could count twice"
    return Verdict("permanent", words)


async def send_split(
    destination: Destination,
    batch: list[Claimed],
    egress: Egress,
    split_until: float,
    first: tuple[Tried, float] | None = None,
) -> AsyncGenerator[tuple[list[Claimed], Tried, float]]:
    """Send a batch, in parts where the whole is refused. Yields deliveries, their attempt, and when it began (monotonic).

    `first`: how sending the whole went, and when that began, if it has been tried. No further part is begun after `split_until` (monotonic): what was not
    yielded by then is the caller's to give back.
    """
    parts = deque([batch] if batch else [])
    begun = time.monotonic()
    while parts:
        part = parts.popleft()
        if first is None:
            tried = await try_once(destination, [claimed.item for claimed in part if claimed.item is not None], egress)
        else:
            (tried, begun), first = first, None
        if tried.events:  # taken whole
            yield part, tried, begun
            begun = time.monotonic()
            continue
        again = [at for at, verdict in enumerate(tried.verdicts) if verdict.split] if len(part) > 1 else []
        unsure = set(again)
        final = [at for at in range(len(part)) if at not in unsure]
        if final:
            yield [part[at] for at in final], _only(tried, final), begun
        parts.extend([part[at] for at in group] for group in _groups(tried.verdicts, again, bool(final)))
        begun = time.monotonic()
        if begun > split_until:
            return


def _groups(verdicts: Sequence[Verdict], again: list[int], others_final: bool) -> list[list[int]]:
    """How to send again what was refused: the rest without the suspects, then each suspect alone; else by halves."""
    if not again:
        return []
    suspects = [at for at in again if verdicts[at].suspect]
    if suspects:
        rest = [at for at in again if not verdicts[at].suspect]
        return [group for group in (rest, *([at] for at in suspects)) if group]
    if others_final:
        return [again]
    middle = len(again) // 2
    return [again[:middle], again[middle:]]


def _only(tried: Tried, final: list[int]) -> Tried:
    if len(final) == len(tried.verdicts):
        return tried
    return msgspec.structs.replace(
        tried,
        verdicts=[tried.verdicts[at] for at in final],
        requests=tuple(tried.requests[at] for at in final) if tried.requests else (),
    )
