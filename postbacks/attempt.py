"""One try at sending: render, send, judge, and put into words what a person will read about it. No secrets in them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import structlog

from postbacks.chunk import Claimed, Keys
from postbacks.destinations.base import Destination, Item
from postbacks.egress import Answer, Egress, Request, SendFailure
from postbacks.queue import Finished, Taken
from postbacks.redaction import MASK, is_secret_header, redact, redact_all, storable
from postbacks.retry import RetryDecision, RetryPolicy, decide
from postbacks.verdicts import Verdict

log = structlog.get_logger()

URL_CAP = 2048
BODY_CAP = 1024
EVENT_CAP = 8 * BODY_CAP  # of what is masked of one event; less of it is kept
ANSWER_CAP = 2048
WORDS_CAP = 300


class Tried(msgspec.Struct, frozen=True):
    """An attempt as it went: a verdict per event, in order, and the texts for the log (`answer` is at most 2 KiB).

    `requests`: of a batch, what was sent of each event; `request` then is what they share. Of a batch that was taken whole
    there are `head` and `events` instead: what goes before each event, and the events, a JSON array.
    """

    verdicts: list[Verdict]
    started_at: datetime
    duration_ms: int
    request: str
    status_code: int | None
    answer: str
    requests: tuple[str, ...] = ()
    head: str = ""
    events: bytes | memoryview = b""


async def try_once(
    destination: Destination, items: Sequence[Item], egress: Egress, following: Request | None = None
) -> Tried:
    """Send these events once, in as many requests as the destination wants for it; `following` is the first, if made already.

    Never raises: what goes wrong inside us is a verdict `ours`.
    """
    started_at, begun = datetime.now(UTC), time.perf_counter()
    request: Request | None = None
    answer: Answer | None = None
    try:
        if following is None:
            following = destination.render(items)
        answers: list[Answer] = []
        while following is not None:
            request = following
            answer = await egress.send(request)
            answers.append(answer)
            following = destination.follow_up(items, answers)
        assert answer is not None
        verdicts = destination.judge(items, answer)
        if len(verdicts) != len(items):
            raise ValueError(f"{len(verdicts)} verdicts for {len(items)} events")
    except SendFailure as failure:
        answer = None
        verdict = Verdict(failure.outcome, failure.words, overloaded=failure.overloaded, ambiguous=failure.ambiguous)
        verdicts = [verdict] * len(items)
    except Exception as error:
        log.exception("dispatcher: an attempt failed inside", event_ids=[item.event_id for item in items[:10]])
        verdicts = [internal(error)] * len(items)
    secrets, head = destination.secrets, ""
    events: bytes | memoryview = b""
    requests: tuple[str, ...] = ()
    if len(verdicts) == 1 or verdicts.count(verdicts[0]) == len(verdicts):
        verdicts = [_presentable(verdicts[0], secrets)] * len(verdicts)
    else:
        verdicts = [_presentable(verdict, secrets) for verdict in verdicts]
    if request is not None and request.events and len(items) > 1:
        head = describe(Request(request.method, request.url, request.headers), secrets) + "\n\n"
        events = _masked(request, secrets)
        if verdicts[0].outcome != "delivered" or verdicts.count(verdicts[0]) < len(verdicts):
            requests, events = tuple(_each(head, texts(events))), b""
    return Tried(
        verdicts,
        started_at,
        round((time.perf_counter() - begun) * 1000),
        describe(request, secrets) if request and not head else "",
        answer.status if answer else None,
        _excerpt(answer, secrets) if answer else "",
        requests,
        head,
        events,
    )


def internal(error: Exception) -> Verdict:
    """The verdict on what a defect of ours met: it must neither lose a delivery nor use up its attempts."""
    return Verdict("ours", f"internal error ({type(error).__name__}); see the log")


def describe(request: Request, secrets: Sequence[str]) -> str:
    """The request for the log: method, URL, headers, the start of the body; secrets masked."""
    url = redact(request.url, secrets)
    lines = [f"{request.method} {url if len(url) <= URL_CAP else url[:URL_CAP] + '...'}"]
    for name, value in request.headers.items():
        lines.append(f"{name}: {MASK if is_secret_header(name) else redact(value, secrets)}")
    if request.body is not None:
        body = redact(request.body[: 4 * BODY_CAP].decode("utf-8", "replace"), secrets)
        lines += ["", body if len(body) <= BODY_CAP else body[:BODY_CAP] + "..."]
    return storable("\n".join(lines), URL_CAP + 8 * BODY_CAP)


def texts(events: bytes | memoryview) -> list[str]:
    """What is said of each event, of a JSON array of it."""
    each = [bytes(one) for one in msgspec.json.decode(events, type=list[msgspec.Raw])] if events else []
    return [msgspec.json.decode(one, type=str) if one.startswith(b'"') else one.decode() for one in each]


def _masked(request: Request, secrets: Sequence[str]) -> bytes | memoryview:
    """What a batch says of each event: a log that showed every event the batch's beginning would show the wrong one."""
    events = request.events
    if request.harmless:
        return events
    return msgspec.json.encode([storable(text, EVENT_CAP) for text in redact_all(texts(events), secrets)])


def _each(head: str, events: Sequence[str]) -> Iterator[str]:
    """The text of each event's own request, as the statement that settles a batch taken whole makes it."""
    for number, own in enumerate(events, 1):
        body = own if len(own) <= BODY_CAP else own[:BODY_CAP] + "..."
        yield storable(f"{head}event {number} of {len(events)}: {body}", URL_CAP + 8 * BODY_CAP)


def taken(tried: Tried, destination_id: str, keys: Keys) -> Taken:
    """What an attempt means for a batch it found taken whole."""
    verdict = tried.verdicts[0]
    return Taken(
        destination_id, len(tried.verdicts), msgspec.json.encode(keys), verdict.outcome, verdict.words, tried.started_at, tried.duration_ms,
        tried.head, tried.events, BODY_CAP, tried.status_code, tried.answer,
    )  # fmt: skip


def keys(claims: Sequence[Claimed]) -> Keys:
    """The keys of deliveries, in their order."""
    found = Keys()
    for one in claims:
        found.add(one.day, one.lease_token, [one.event_id], [one.attempts + 1])
    return found


def apart(batch: Taken) -> list[Finished]:
    """The same, delivery by delivery."""
    decision = RetryDecision("delivered", 0.0, True, batch.words)
    claims = [
        Claimed(event_id, batch.destination_id, day, attempt - 1, 0, lease_token, 0.0, None)
        for event_id, attempt, day, lease_token in msgspec.json.decode(batch.keys, type=Keys).each()
    ]
    return [
        Finished(
            claimed,
            decision,
            batch.outcome,
            batch.words,
            batch.started_at,
            batch.duration_ms,
            request,
            batch.status_code,
            batch.answer,
        )
        for claimed, request in zip(claims, _each(batch.head, texts(batch.events)), strict=True)
    ]


def settle(policy: RetryPolicy, tried: Tried, claimed: Claimed, at: int, roll: float) -> Finished:
    """What an attempt means for one of its deliveries, the one at index `at`; `roll` in [-1, 1] is the jitter."""
    verdict = tried.verdicts[at]
    charged_before = claimed.attempts - claimed.uncharged
    decision = decide(policy, verdict, charged_before=charged_before, age=claimed.age, roll=roll)
    return Finished(
        claimed,
        decision,
        verdict.outcome,
        verdict.words,
        tried.started_at,
        tried.duration_ms,
        tried.requests[at] if tried.requests else tried.request,
        tried.status_code,
        tried.answer,
        verdict.ambiguous,
    )


def unsent(policy: RetryPolicy, claimed: Claimed, verdict: Verdict) -> Finished:
    """A delivery settled without sending it: `verdict` is a skip or a refusal of our own."""
    decision = decide(policy, verdict, charged_before=claimed.attempts - claimed.uncharged, age=claimed.age, roll=0.0)
    return Finished(claimed, decision, verdict.outcome, storable(verdict.words, WORDS_CAP), datetime.now(UTC), 0)


def dead_letter(claimed: Claimed, words: str) -> Finished:
    """A delivery that cannot even be tried."""
    decision = RetryDecision("dead", 0.0, charged=True, words=words)
    return Finished(claimed, decision, "permanent", words, datetime.now(UTC), 0)


@lru_cache(maxsize=256)  # a receiver says the same again and again
def _presentable(verdict: Verdict, secrets: Sequence[str]) -> Verdict:
    # Part of the words (a reason phrase, a parser's complaint) is the receiver's own.
    words = storable(redact(verdict.words, secrets), WORDS_CAP)
    return verdict if words == verdict.words else msgspec.structs.replace(verdict, words=words)


def _excerpt(answer: Answer, secrets: Sequence[str]) -> str:
    if not answer.body:
        return ""
    text = answer.body.decode("utf-8", "replace")
    return storable(redact(text[: 2 * ANSWER_CAP], secrets), ANSWER_CAP)
