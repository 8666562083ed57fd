"""Plays the cast against the running product: clicks as browsers click, subscribes and spends on the fake platform."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from loadtests.demo.cast import LINKS, Person

RETRIES = 100
RETRY_PAUSE = 0.1  # a person whose page did not load tries again


@dataclass
class Played:
    """What really happened: answers by click, fans by person, payments, latencies in seconds."""

    answered: Counter[str] = field(default_factory=Counter)  # by fbclid: redirects received
    attempted: Counter[str] = field(default_factory=Counter)
    bots: int = 0
    bots_attempted: int = 0
    prefetches: int = 0
    latencies: list[float] = field(default_factory=list)
    fans: dict[str, str] = field(default_factory=dict)  # fbclid → fan id
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)  # transaction id → {fan, cents, tag}
    messages: dict[str, str | None] = field(default_factory=dict)  # message id → fbclid to be credited
    wrong: list[str] = field(default_factory=list)  # answers that should not have been


class Visitors:
    """The driver. `links` maps the cast's link keys to /go/ URLs, `accounts` to the platform's account ids."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        platform_url: str,
        links: Mapping[str, str],
        link_accounts: Mapping[str, str],
        played: Played,
    ) -> None:
        self.session = session
        self.platform = platform_url
        self.links = links
        self.accounts = link_accounts
        self.played = played
        self._targets: dict[str, str] = {}

    async def play(self, person: Person, opened: float, done: Callable[[], None]) -> None:
        """One person's part, up to (not including) a late subscription."""
        await asyncio.sleep(max(0.0, opened + person.start - time.monotonic()))
        match person.kind:
            case "organic":
                await self._subscribe(person, None)
            case "bot":
                await self._crawl(person)
            case _:
                await self._visit(person)
        done()

    async def _visit(self, person: Person) -> None:
        if person.kind == "prefetched":
            await self._prefetch(person)
        jar: dict[str, str] = {}
        if person.kind == "double_tap":
            first, second = await asyncio.gather(self._click(person, {}), self._click(person, jar))
            if first != second:
                self.played.wrong.append(f"{person.fbclid}: a double tap went to two links: {first} and {second}")
            target = second
        else:
            target = await self._click(person, jar)
        for _ in range(person.repeats):
            await asyncio.sleep(0.3)
            again = await self._click(person, jar)
            if again != target:
                self.played.wrong.append(f"{person.fbclid}: a repeated click went elsewhere: {again}")
        self._targets[person.fbclid] = target
        if person.subscribes and not person.late:
            await asyncio.sleep(0.4)
            await self._subscribe(person, target)
            if person.moves_to:
                await asyncio.sleep(2.2)
                await self._click(person, jar, self.links[person.moves_to], person.moved_fbclid)
                await asyncio.sleep(1.2)
            await self._live(person)

    async def subscribe_late(self, person: Person) -> None:
        """The fan comes back to the link long after the window."""
        await self._subscribe(person, self._targets[person.fbclid])
        await self._live(person)

    async def _live(self, person: Person) -> None:
        account = self.accounts[person.link]
        fan = self.played.fans[person.fbclid]
        for spend in person.spends:
            await asyncio.sleep(0.05)
            body = {"account_id": account, "fan_id": int(fan), "amount": spend.dollars}
            paid = await self._admin(f"fans/{spend.kind}", body)
            self.played.payments[paid["transaction_id"]] = {
                "fan": fan, "cents": round(float(paid["amount"]) * 100), "click": person.credited_after
            }  # fmt: skip
        for number in range(person.messages):
            sent = await self._admin(
                "fans/message", {"account_id": account, "fan_id": int(fan), "text": f"hi {number}"}
            )
            self.played.messages[str(sent["message_id"])] = person.credited_after

    async def _subscribe(self, person: Person, target: str | None) -> None:
        account = self.accounts[person.link]
        body: dict[str, Any] = {"account_id": account, "name": f"Fan {person.fbclid[-4:]}"}
        if target is not None:
            body["link_url"] = target
            async with self.session.get(target) as page:  # the page the fan really lands on
                if page.status != 200:
                    self.played.wrong.append(f"{person.fbclid}: landed on a page that answers {page.status}")
            body["click"] = False
        subscribed = await self._admin("fans/subscribe", body)
        fan = str(subscribed["fan_id"])
        self.played.fans[person.fbclid] = fan

    async def _admin(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(f"{self.platform}/__admin/{path}", json=body) as answer:
            result: dict[str, Any] = await answer.json()
            if answer.status >= 400:
                raise RuntimeError(f"the fake platform refused {path}: {result}")
            return result

    async def _click(self, person: Person, jar: dict[str, str], url: str = "", fbclid: str = "") -> str:
        fbclid = fbclid or person.fbclid
        query = f"?ecid={person.ecid}&fbclid={fbclid}&utm_source=demo&utm_campaign={person.kind}&aff_s1={person.link}"

        async def go() -> str:
            self.played.attempted[fbclid] += 1
            headers = self._headers(person)
            if jar:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
            started = time.perf_counter()
            async with self.session.get(
                (url or self.links[person.link]) + query, headers=headers, allow_redirects=False
            ) as answer:
                self.played.latencies.append(time.perf_counter() - started)
                if answer.status != 302:
                    self.played.wrong.append(f"{fbclid}: a click was answered {answer.status}")
                    return ""
                for name, morsel in answer.cookies.items():
                    jar[name] = morsel.value
                self.played.answered[fbclid] += 1
                return answer.headers["Location"]

        return await self._persist(go)

    async def _prefetch(self, person: Person) -> None:
        headers = self._headers(person) | {"Sec-Purpose": "prefetch"}

        async def go() -> str:
            async with self.session.get(
                f"{self.links[person.link]}?ecid={person.ecid}", headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 403:
                    self.played.wrong.append(f"{person.fbclid}: a prefetch was answered {answer.status}")
                self.played.prefetches += 1
                return ""

        await self._persist(go)

    async def _crawl(self, person: Person) -> None:
        async def go() -> str:
            self.played.bots_attempted += 1
            async with self.session.get(
                f"{self.links[person.link]}?ecid={person.ecid}", headers=self._headers(person), allow_redirects=False
            ) as answer:
                location = answer.headers.get("Location", "")
                if answer.status != 302 or not location.endswith(f"/{LINKS[person.link][0]}"):
                    self.played.wrong.append(f"{person.fbclid}: a bot was sent to {answer.status} {location}")
                self.played.bots += 1
                return location

        await self._persist(go)

    async def _persist(self, go: Callable[[], Awaitable[str]]) -> str:
        for _ in range(RETRIES):
            try:
                return await go()
            except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError):
                await asyncio.sleep(RETRY_PAUSE)
        raise RuntimeError("the edge did not answer for ten seconds")

    def _headers(self, person: Person) -> dict[str, str]:
        return {"User-Agent": person.user_agent, "Accept-Language": person.language, "X-Forwarded-For": person.ip}
