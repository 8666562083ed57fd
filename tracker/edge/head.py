"""The head of a plain click, read line by line.

A parser that calls back for every header costs a click more than all that is done with them. Lines of a head come again
with most clicks (browsers send few different ones), so each distinct line is checked and split once and looked up from
then on. Whatever is not plain is the parser's: a body, a head in parts, anything that may mean more than it says.
"""

from __future__ import annotations

import re

from tracker.edge.client import COUNTRY_HEADERS
from tracker.edge.request import SPECULATIVE, Headers
from tracker.edge.visitor import HINTS
from tracker.query import is_clean

READ = frozenset(
    {b"user-agent", b"referer", b"accept-language", b"cookie", b"x-forwarded-for", b"x-forwarded-proto", b"sec-ch-ua"}
    | {*COUNTRY_HEADERS, *HINTS}
)
"""The headers of a click that anybody here reads."""

_NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", *SPECULATIVE})
_CONNECTION = frozenset({b"connection", b"proxy-connection"})
_OF_ONE = frozenset({b"cookie", b"x-forwarded-for"})  # as good as never the same line twice
# RFC 9110: a token, and text without controls. Space at the end is taken off by some and left by others.
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)")
_METHOD, _VERSION = b"GET ", b" HTTP/1.1\r\n"
_TARGET, _PATH = len(_METHOD), len(_METHOD) + len(b"/go/")
_LINES_LIMIT = 20_000
_LINE_LIMIT = 512  # bytes of a line that is kept: 10 MB in all at most

Line = tuple[bytes, bytes]
"""Name, lower case, and value."""

_NOBODYS: Line = (b"", b"")  # a line nobody reads


class Heads:
    """Reads heads. One for all connections of a process."""

    def __init__(self) -> None:
        self._known: dict[bytes, Line] = {}

    def read(self, data: bytes) -> tuple[bytes, Headers] | None:
        """(target as sent, the headers in READ by lower-case name) of a whole plain `GET /go/…`; None of anything else.

        Plain: HTTP/1.1, nothing after the head, no header twice, kept alive, not speculative, a clean target without
        fragment or space.
        """
        end = data.find(b" ", _TARGET)  # long queries are the longest part of a head: they are gone through once, below
        after = end + len(_VERSION)
        if end < 0 or data[:_TARGET] != _METHOD or data[end:after] != _VERSION or data[_TARGET:_PATH] != b"/go/":
            return None
        target = data[_TARGET:end]
        lines = data[after:].split(b"\r\n")
        if lines.pop() or not lines or lines.pop() or b"#" in target or not is_clean(target):
            return None
        said = [*map(self._known.get, lines)]
        try:
            headers: Headers = dict(said)  # type: ignore[arg-type]
        except TypeError:  # a line that is not known
            said = [found or self._look(line) for found, line in zip(said, lines, strict=True)]
            if None in said:
                return None
            headers = dict(said)  # type: ignore[arg-type]
        nobodys = said.count(_NOBODYS)
        if nobodys:
            del headers[b""]
        return (target, headers) if len(headers) + nobodys == len(said) else None

    def _look(self, line: bytes) -> Line | None:
        """What a line says; None when the head is not plain with it."""
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        name, value = match[1].lower(), match[2]
        if name in _NOT_PLAIN or (name in _CONNECTION and value.lower() != b"keep-alive"):
            return None
        found = (name, value) if name in READ else _NOBODYS
        if len(line) <= _LINE_LIMIT and name not in _OF_ONE:
            if len(self._known) >= _LINES_LIMIT:
                self._known.clear()
            self._known[line] = found
        return found
