"""From a request to the `Visit` that is logged: everything it says, capped, and who sent it."""

from __future__ import annotations

import msgspec

from tracker.clicklog import EdgeLink, Visit
from tracker.edge.classify import bot_reason
from tracker.edge.client import Client, ClientAddresses, cdn_country
from tracker.edge.request import (
    LANDING_CAP,
    LANGUAGE_CAP,
    REFERRER_CAP,
    USER_AGENT_CAP,
    Headers,
    header_text,
    parse_cookies,
)
from tracker.query import Marks, clean, is_clean, marks, marks_of, parse_query

_NO_MARKS = ("", "", "", "", "")
_encode = msgspec.msgpack.Encoder().encode
_KNOWN_AGENTS = _KNOWN_TEXTS = 20_000


Reading = tuple[bytes, Marks, str, bytes, str]
"""What a request says: the visit as the log keeps it; its marks; the visitor from the cookie, '' without a valid one; the
caller's address as it enters the fingerprint; why it is a bot's, or ''."""


class VisitReader:
    """Reads requests. Remembers user agents, referrers and languages: a campaign's clicks share few, and judging an
    agent takes a tenth of a millisecond."""

    def __init__(self, clients: ClientAddresses, cookie_name: str, base_url: str) -> None:
        self._clients = clients
        self._cookie_name = cookie_name.encode("ascii")
        self._is_secure = base_url.startswith("https://")
        self._address = f"{base_url}/go/"
        self._query_room = LANDING_CAP - len(self._address) - len("?") - 26
        self._agents: dict[bytes, tuple[str, str, bool]] = {}
        self._texts: dict[bytes | None, str] = {}
        self.peer = clients.peer

    def is_secure(self, peer: Client, headers: Headers) -> bool:
        """Whether the fan's connection is https."""
        if self._is_secure or not peer.trusted:
            return self._is_secure
        return headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https"

    def read(
        self,
        client: Client,
        query_string: bytes,
        headers: Headers,
        link: EdgeLink,
        visit_id: str,
        now_ms: int,
        is_known_clean: bool = False,
    ) -> Reading:
        """The visit of a request to `link`. `client`: the other end of the connection. `is_known_clean`: somebody has
        looked at each byte of the query before (`is_clean`)."""
        truncated: list[str] = []
        get, texts = headers.get, self._texts
        country = visitor = fbp = fbc = ttp = scid = ""
        if client.trusted:
            country = cdn_country(headers)
            client = self._clients.behind(client, get(b"x-forwarded-for"))
        if (raw := get(b"cookie")) is not None:
            visitor, (fbp, fbc, ttp, scid) = parse_cookies(raw, self._cookie_name, truncated)
        user_agent, reason, is_cut = self._agents.get(raw := get(b"user-agent", b"")) or self._agent(raw)
        if (referrer := texts.get(raw := get(b"referer"))) is None:
            referrer = self._text(raw, REFERRER_CAP, "referrer", truncated)
        if (language := texts.get(raw := get(b"accept-language"))) is None:
            language = self._text(raw, LANGUAGE_CAP, "accept_language", truncated)
        landing = self._address + link.smart_link_id
        is_whole = not (truncated or is_cut) and len(query_string) <= self._query_room
        if is_whole and (is_known_clean or is_clean(query_string)):
            if query_string:
                query = query_string.decode("ascii")
                landing = f"{landing}?{query}"
                found = marks(query)
            else:
                found = _NO_MARKS
            request = _encode(  # a `PlainVisit`; as a tuple it is made sooner
                (
                    visit_id, now_ms, link.smart_link_id, link.account_id, client.ip, user_agent, referrer, language,
                    landing, fbp, fbc, ttp, scid, country, reason,
                )
            )  # fmt: skip
            return request, found, visitor, client.network, reason
        query = query_string.decode("utf-8", "replace")
        values, other = parse_query(query, truncated, True)
        if query:
            landing = f"{landing}?{clean(query[:LANDING_CAP])}"
            if len(landing) > LANDING_CAP or len(query) > LANDING_CAP:
                landing = landing[:LANDING_CAP]
                truncated.append("landing_url")
        if is_cut:
            truncated.append("user_agent")
        visit = Visit(  # type: ignore[call-arg]  # by position: 34 names cost more than the encoding
            visit_id, now_ms, link.smart_link_id, link.account_id, client.ip, user_agent, referrer, language, landing,
            *values,  # type: ignore[arg-type]
            other, fbp, fbc, ttp, scid, country, reason, tuple(truncated),
        )  # fmt: skip
        return _encode(visit), marks_of(values), visitor, client.network, reason

    def _agent(self, raw: bytes) -> tuple[str, str, bool]:
        """(text, bot reason or '', whether it was cut) of a User-Agent header."""
        cut: list[str] = []
        text = header_text(raw, USER_AGENT_CAP, "user_agent", cut)
        known = (text, bot_reason(text), bool(cut))
        if len(raw) <= USER_AGENT_CAP:
            if len(self._agents) >= _KNOWN_AGENTS:
                self._agents.clear()
            self._agents[raw] = known
        return known

    def _text(self, raw: bytes | None, cap: int, name: str, truncated: list[str]) -> str:
        text = header_text(raw, cap, name, truncated)
        if raw is None or len(raw) <= LANGUAGE_CAP:  # none so short is cut
            if len(self._texts) >= _KNOWN_TEXTS:
                self._texts.clear()
            self._texts[raw] = text
        return text
