"""Heads read line by line say what the parser says, or are left to it."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.edge import head
from tracker.edge.head import READ, Heads

ID = b"01K5AAAAAAAAAAAAAAAAAAAAAA"
START = b"GET /go/" + ID + b"?ecid=1 HTTP/1.1\r\n"
AGENT = b"User-Agent: Mozilla/5.0 (iPhone)\r\n"


class Told:
    """What the parser tells of a stream of bytes."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.messages = 0
        self.body = b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def agreed(data: bytes) -> bool:
    """Whether a head is plain; if it is, the parser must say the same of it."""
    found = Heads().read(data)
    if found is None:
        return False
    told = Told(data)
    assert told.messages == 1
    assert told.body == b""
    assert told.parser.get_method() == b"GET"
    assert told.parser.get_http_version() == "1.1"
    assert told.parser.should_keep_alive()
    assert found[0] == told.url
    read = [(name, value) for name, value in told.headers if name in READ]
    assert list(found[1].items()) == read
    return True


def test_a_browsers_head_is_plain() -> None:
    lines = (
        b"Host: go.example.com", b"User-Agent: Mozilla/5.0 (iPhone)", b"Accept: text/html,*/*;q=0.8", b"Accept-Language:de",
        b"Referer: \t https://l.instagram.com/", b"Connection: Keep-Alive", b"Cookie: cbv=1; _fbp=\xe9", b"Sec-CH-UA: \"x\"",
        b"X-Forwarded-For: 192.0.2.1, 198.51.100.2", b"Upgrade-Insecure-Requests: 1", b"X-Empty:",
    )  # fmt: skip
    assert agreed(START + b"\r\n".join(lines) + b"\r\n\r\n")
    assert agreed(START + b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        START + AGENT,
        START + AGENT + b"\r\nhello",
        START + AGENT + b"\r\n" + START + AGENT + b"\r\n",
        START + b"Content-Length: 0\r\n\r\n",
        START + b"Transfer-Encoding: chunked\r\n\r\n",
        START + b"Expect: 100-continue\r\n\r\n",
        START + b"Connection: close\r\n\r\n",
        START + b"Proxy-Connection: close\r\n\r\n",
        START + b"Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
        START + b"Sec-Purpose: prefetch\r\n\r\n",
        START + b"X-Moz: prefetch\r\n\r\n",
        START + AGENT + AGENT + b"\r\n",
        START + b"A: b\r\n folded\r\n\r\n",
        START + b"A: b\nC: d\r\n\r\n",
        START + b"A: b\rC: d\r\n\r\n",
        START + b"A: b\x00\r\n\r\n",
        START + b"A : b\r\n\r\n",
        START + b"A: b \r\n\r\n",
        START + b"nothing\r\n\r\n",
        START + b": b\r\n\r\n",
        b"\r\n" + START + b"\r\n",
        b"HEAD /go/" + ID + b" HTTP/1.1\r\n\r\n",
        b"GET /go/" + ID + b" HTTP/1.0\r\n\r\n",
        b"GET /go/" + ID + b"?a b HTTP/1.1\r\n\r\n",
        b"GET /go/" + ID + b"?a#b HTTP/1.1\r\n\r\n",
        b"GET /go/" + ID + b"?a=\xe9 HTTP/1.1\r\n\r\n",
        b"GET /go/" + ID + b"?a\nb HTTP/1.1\r\n\r\n",
        b"GET http://x/go/" + ID + b" HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
    ],
)
def test_whatever_may_mean_more_is_the_parsers(data: bytes) -> None:
    assert Heads().read(data) is None


PART = st.one_of(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"#", b"%20", b"?", b"HTTP/1.1", b"GET /go/", b"a=b"]
    ),
    st.sampled_from(
        [AGENT, b"Cookie: a=b\r\n", b"Connection: keep-alive\r\n", b"Content-Length: 3\r\n", b"X: y\r\n", b"X:\r\n"]
    ),
    st.sampled_from(
        [b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n", b"Purpose: prefetch\r\n", b"Keep-Alive: 5\r\n"]
    ),
    st.binary(max_size=6),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8).map(str.encode),
)


@settings(max_examples=3000, deadline=None)
@given(st.lists(PART, max_size=4), st.lists(PART, max_size=6))
def test_the_parser_never_says_otherwise(target: list[bytes], headers: list[bytes]) -> None:
    agreed(b"GET /go/" + ID + b"".join(target) + b" HTTP/1.1\r\n" + b"".join(headers) + b"\r\n\r\n")
    agreed(START + b"".join(headers) + b"\r\n")


def test_lines_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_LINES_LIMIT", 10)
    heads = Heads()
    for number in range(50):
        agent = b"User-Agent: %d" % number
        found = heads.read(START + agent + b"\r\nCookie: a=%d\r\nX-Big: " % number + b"x" * 600 + b"\r\n\r\n")
        assert found is not None
        assert found[1] == {b"user-agent": b"%d" % number, b"cookie": b"a=%d" % number}
        assert heads.read(START + agent + b"\r\n\r\n") == (found[0], {b"user-agent": b"%d" % number})
        assert 0 < len(heads._known) <= 10
        assert not any(line.startswith((b"Cookie", b"X-Big")) for line in heads._known)
