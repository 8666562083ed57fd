"""The load: people and crawlers who click, each with an ecid of their own, and fans among them who subscribe and spend.

Whoever gets no answer tries again, as people do. What was tried, answered and done on the platform is kept per ecid.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from loadtests.demo.cast import BOTS, LANGUAGES, PHONES

PATIENCE = 60.0  # seconds until a person without an answer gives up
ANSWER_SECONDS = 4.0
PAUSE = 0.2
SLOW = 0.5
GONE = (TimeoutError, aiohttp.ClientError, OSError)


@dataclass
class Person:
    """One visitor and what became of them. Times are seconds since the epoch, money is cents."""

    ecid: str
    kind: str  # 'click' | 'repeat' | 'double_tap' | 'bot' | 'fan'
    link: str
    ip: str
    user_agent: str
    language: str
    visits: int = 1
    tips: list[int] = field(default_factory=list)
    messages: int = 0
    attempted: int = 0
    answered: int = 0
    began: float = 0.0
    ended: float = 0.0
    target: str = ""
    fan_id: str = ""
    payments: dict[str, int] = field(default_factory=dict)  # transaction id -> cents
    sent: list[str] = field(default_factory=list)  # message ids


def person(rng: random.Random, number: int, links: list[str]) -> Person:
    """The `number`th visitor."""
    kind = rng.choices(("click", "repeat", "double_tap", "bot", "fan"), (50, 18, 8, 9, 15))[0]
    made = Person(
        ecid=f"c{number:07d}",
        kind=kind,
        link=rng.choice(links),
        ip=f"100.{64 + number // 65025 % 64}.{number // 255 % 255}.{number % 255}",
        user_agent=rng.choice(BOTS if kind == "bot" else PHONES),
        language=rng.choice(LANGUAGES),
    )
    if kind == "repeat":
        made.visits = rng.randint(2, 4)
    elif kind == "fan":
        made.tips = [rng.randint(300, 20000) for _ in range(rng.choice((0, 1, 1, 2)))]
        made.messages = rng.choice((0, 0, 1, 2))
    return made


class Load:
    """Drives persons at `rate` a second. `links`: link key -> /go/ URL; `accounts`: link key -> the platform's account id."""

    def __init__(
        self, seed: int, rate: float, platform: str, links: Mapping[str, str], accounts: Mapping[str, str]
    ) -> None:
        self._rng = random.Random(f"load {seed}")
        self._rate = rate
        self._platform = platform
        self._links = links
        self._accounts = accounts
        self.people: list[Person] = []
        self.latencies: list[float] = []
        self.slow: list[tuple[float, float]] = []  # (seconds after the start, latency) of answers slower than SLOW
        self.wrong: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.unanswered: Counter[str] = Counter()

    async def run(self, seconds: float, say: Callable[[str], None]) -> None:
        """Send people for `seconds`, then wait for the last of them."""
        opened = self._opened = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        # Every visitor is another phone: no connection is used twice.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as self._clicks,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as self._platform_calls,
            asyncio.TaskGroup() as group,
        ):
            number = 0
            due = 0.0
            told = opened
            while due < seconds:
                await asyncio.sleep(max(0.0, opened + due - time.monotonic()))
                each = person(self._rng, number, sorted(self._links))
                self.people.append(each)
                group.create_task(self._play(each, self._rng.random()))
                number += 1
                due += self._rng.expovariate(self._rate)
                if time.monotonic() - told > 15:
                    told = time.monotonic()
                    say(f"{told - opened:7.1f} s  {number} people, {sum(p.answered for p in self.people)} answers")

    async def _play(self, each: Person, mood: float) -> None:
        each.began = time.time()
        jar: dict[str, str] = {}
        if each.kind == "double_tap":
            await asyncio.gather(self._click(each, {}), self._click(each, jar))
        else:
            for visit in range(each.visits):
                if visit:
                    await asyncio.sleep(0.2 + mood)
                each.target = await self._click(each, jar) or each.target
        each.ended = time.time()
        if each.kind == "fan" and each.target:
            await asyncio.sleep(0.2 + mood)
            await self._subscribe(each)

    async def _subscribe(self, each: Person) -> None:
        account = self._accounts[each.link]
        body = {"account_id": account, "name": f"Fan {each.ecid}", "link_url": each.target, "click": True}
        each.fan_id = str((await self._act("subscribe", body))["fan_id"])
        fan = {"account_id": account, "fan_id": int(each.fan_id)}
        for cents in each.tips:
            await asyncio.sleep(0.1)
            paid = await self._act("tip", fan | {"amount": cents / 100})
            each.payments[str(paid["transaction_id"])] = round(float(paid["amount"]) * 100)
        for number in range(each.messages):
            sent = await self._act("message", fan | {"text": f"hi {number}"})
            each.sent.append(str(sent["message_id"]))

    async def _act(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._platform_calls.post(f"{self._platform}/__admin/fans/{what}", json=body) as answer:
            result: dict[str, Any] = await answer.json()
            if answer.status >= 400:
                raise RuntimeError(f"the fake platform refused {what}: {result}")
            return result

    async def _click(self, each: Person, jar: dict[str, str]) -> str:
        """One visit, repeated until it is answered. Returns where it was sent, '' when the person gave up."""
        headers = {"User-Agent": each.user_agent, "Accept-Language": each.language, "X-Forwarded-For": each.ip}
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            each.attempted += 1
            if jar:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
            began = time.perf_counter()
            try:
                async with self._clicks.get(
                    f"{self._links[each.link]}?ecid={each.ecid}&utm_source=chaos&utm_campaign={each.kind}",
                    headers=headers,
                    allow_redirects=False,
                ) as answer:
                    took = time.perf_counter() - began
                    self.latencies.append(took)
                    if took > SLOW:
                        self.slow.append((round(time.monotonic() - self._opened - took, 1), round(took, 2)))
                    self.statuses[answer.status] += 1
                    if answer.status != 302:
                        self.wrong.append(f"{each.ecid}: answered {answer.status}")
                        return ""
                    each.answered += 1
                    jar |= {name: morsel.value for name, morsel in answer.cookies.items()}
                    return answer.headers["Location"]
            except GONE as error:
                self.unanswered[type(error).__name__] += 1
                await asyncio.sleep(PAUSE)
        return ""
