"""From a request to the `Visit` that is logged: everything it says, capped, and who sent it."""

from __future__ import annotations

from typing import Any, NamedTuple

from tracker.clicklog import Visit
from tracker.edge.classify import bot_reason
from tracker.edge.client import ClientAddresses, cdn_country
from tracker.edge.links import Link
from tracker.edge.request import (
    LANDING_CAP,
    LANGUAGE_CAP,
    REFERRER_CAP,
    USER_AGENT_CAP,
    Headers,
    clean,
    header_text,
    is_clean,
    parse_cookies,
    parse_query,
)

_KNOWN_AGENTS = 20_000


class Reading(NamedTuple):
    """What a request says."""

    visit: Visit
    visitor: str  # from the cookie, '' without a valid one
    network: bytes  # the caller's address as it enters the fingerprint


class VisitReader:
    """Reads requests. Remembers user agents: a campaign's clicks share few, and judging one takes a tenth of a millisecond."""

    def __init__(self, clients: ClientAddresses, cookie_name: str, base_url: str) -> None:
        self._clients = clients
        self._cookie_name = cookie_name.encode("ascii")
        self._is_secure = base_url.startswith("https://")
        self._agents: dict[bytes, tuple[str, str, bool]] = {}

    def is_secure(self, peer: Any, headers: Headers) -> bool:
        """Whether the fan's connection is https."""
        if self._is_secure or not self._clients.peer(peer).trusted:
            return self._is_secure
        return headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https"

    def read(self, peer: Any, query_string: bytes, headers: Headers, link: Link, visit_id: str, now_ms: int) -> Reading:
        """The visit of a request to `link`. `peer`: the other end of the connection, as ASGI's `client`."""
        truncated: list[str] = []
        client = self._clients.peer(peer)
        country = ""
        if client.trusted:
            country = cdn_country(headers)
            client = self._clients.behind(client, headers.get(b"x-forwarded-for"))
        landing = link.address
        query: str = query_string.decode("utf-8", "replace")
        needs_cleaning = not is_clean(query_string)
        values, other = parse_query(query, truncated, needs_cleaning)
        if query:
            shown = query[:LANDING_CAP]
            landing = f"{landing}?{clean(shown) if needs_cleaning else shown}"
            if len(landing) > LANDING_CAP or len(query) > LANDING_CAP:
                landing = landing[:LANDING_CAP]
                truncated.append("landing_url")
        visitor, platform_cookies = parse_cookies(headers.get(b"cookie"), self._cookie_name, truncated)
        user_agent, reason, is_cut = self._agent(headers.get(b"user-agent", b""))
        if is_cut:
            truncated.append("user_agent")
        record = link.record
        visit = Visit(  # type: ignore[call-arg]  # by position: 34 names cost more than the encoding
            visit_id,
            now_ms,
            record.smart_link_id,
            record.account_id,
            client.ip,
            user_agent,
            header_text(headers.get(b"referer"), REFERRER_CAP, "referrer", truncated),
            header_text(headers.get(b"accept-language"), LANGUAGE_CAP, "accept_language", truncated),
            landing,
            *values,  # type: ignore[arg-type]
            other,
            *platform_cookies,
            country,
            reason,
            tuple(truncated),
        )
        return Reading(visit, visitor, client.network)

    def _agent(self, raw: bytes) -> tuple[str, str, bool]:
        """(text, bot reason or '', whether it was cut) of a User-Agent header."""
        known = self._agents.get(raw)
        if known is None:
            cut: list[str] = []
            text = header_text(raw, USER_AGENT_CAP, "user_agent", cut)
            known = (text, bot_reason(text), bool(cut))
            if len(raw) <= 4 * USER_AGENT_CAP:
                if len(self._agents) >= _KNOWN_AGENTS:
                    self._agents.clear()
                self._agents[raw] = known
        return known
