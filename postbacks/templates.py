"""Templates with `{variables}` for URLs, bodies and headers: parsed once when saved, rendered per delivery.

One pass: a value is encoded for where it stands and never looked at again, so braces in values stay literal. In paths,
queries, form bodies and headers everything but `A-Z a-z 0-9 - . _ ~` is percent-encoded (UTF-8); in JSON a variable
inside a string is escaped, a bare one becomes a number, a string, or null when empty. An absent fact is empty text.
A path segment that a value would turn into `.` or `..` is left empty: a value must not choose another path.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from enum import Enum
from urllib.parse import quote

import msgspec

from postbacks.facts import SAMPLE, VARIABLES

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch
# What quote() does to ASCII text, several times faster.
_PERCENT = {code: quoted for code in range(128) if (quoted := quote(chr(code), safe="")) != chr(code)}
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.?\Z")
_IPV6_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]\Z")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2[eE]){1,2}(?=/|\Z)")
_LEGAL_LITERAL = "!$&'()*+,-./:;=?@_~%[]"
MAX_LENGTH = 8192


class TemplateError(Exception):
    """A template is refused. `position` is the 0-based character index; the message says what is wrong and the fix."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class Place(Enum):
    """Where a variable stands, which decides how its value is encoded."""

    PERCENT = "percent"  # path, query, form body, header
    JSON_TEXT = "json_text"  # inside a JSON string
    JSON_VALUE = "json_value"  # a JSON value of its own


class Slot(msgspec.Struct, frozen=True):
    """A variable in a template."""

    name: str
    place: Place


class Template(msgspec.Struct, frozen=True):
    """A parsed template: literal text and slots in order. `guards_path`: a slot stands in a URL's path."""

    source: str
    parts: tuple[str | Slot, ...]
    guards_path: bool = False

    def variables(self) -> set[str]:
        """The names of those that stand in it."""
        return {part.name for part in self.parts if isinstance(part, Slot)}


def render(template: Template, facts: Mapping[str, str]) -> str:
    """The template with every variable replaced, in one pass. Never fails: what is absent is empty."""
    text = "".join([part if isinstance(part, str) else _encode(part, facts) for part in template.parts])
    if template.guards_path:
        path, mark, query = text.partition("?")
        text = _DOT_SEGMENT.sub("/", path) + mark + query
    return text


def preview(template: Template) -> str:
    """The template rendered for the sample conversion, as the editor shows it."""
    return render(template, SAMPLE)


def parse_url(source: str) -> Template:
    """Parse an http(s) URL template. Raises TemplateError; variables may stand in path and query only."""
    _check_text(source, spaces="write %20")
    scheme, separator, rest = source.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        position = 0
        if "{" in scheme:
            raise TemplateError("a variable cannot choose the scheme: start with https://", source.index("{"))
        raise TemplateError("the URL must start with https:// or http://", position)
    start = len(scheme) + 3
    length = next((index for index, char in enumerate(rest) if char in "/?#"), len(rest))
    authority = _parse_authority(rest[:length], start)
    tail_start = start + length
    if "#" in source:
        raise TemplateError("a fragment (#...) is never sent: remove it, or write %23", source.index("#"))
    path, mark, query = source[tail_start:].partition("?")
    dots = _DOT_SEGMENT.search(path)
    if dots:
        raise TemplateError("'.' and '..' path segments are refused: write the final path", tail_start + dots.start())
    path_parts = _split(path or "/", tail_start)
    query_parts = _split(query, tail_start + len(path) + 1) if mark else []
    parts = [f"{scheme.lower()}://{authority}", *map(_quote_literal, path_parts)]
    if mark:
        parts += ["?", *map(_quote_literal, query_parts)]
    return Template(source, _merge(parts), guards_path=any(isinstance(part, Slot) for part in path_parts))


def parse_header(source: str) -> Template:
    """Parse a header value. Raises TemplateError; literals are printable ASCII."""
    check_header(source)
    return Template(source, _merge(_split(source, 0)))


def check_header(text: str) -> Template:
    """A header value that is no template, braces and all. Raises TemplateError unless it is printable ASCII."""
    _check_text(text, spaces="")
    for position, char in enumerate(text):
        if ord(char) > 126:
            raise TemplateError("a header holds ASCII only: percent-encode this character", position)
    return Template(text, (text,))


def parse_form(source: str) -> Template:
    """Parse a form body, `name={variable}&...`. Raises TemplateError."""
    _check_text(source, spaces="write + or %20")
    return Template(source, _merge([_quote_literal(part) for part in _split(source, 0)]))


def parse_json(source: str) -> Template:
    """Parse a JSON body. Raises TemplateError, also when the result would not be JSON whatever the values are."""
    if len(source) > MAX_LENGTH:
        raise TemplateError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    parts: list[str | Slot] = []
    quoted, position, literal_from = False, 0, 0
    while position < len(source):
        char = source[position]
        if char == "{":
            match = _VARIABLE.match(source, position)
            if match:
                parts.append(source[literal_from:position])
                place = Place.JSON_TEXT if quoted else Place.JSON_VALUE
                parts.append(Slot(_known(match.group(1), position), place))
                position = literal_from = match.end()
                continue
            if quoted:
                raise TemplateError("this brace opens no variable: write \\u007b for a literal brace", position)
        elif quoted and char == "\\":
            position += 1
        elif char == '"':
            quoted = not quoted
        position += 1
    parts.append(source[literal_from:])
    template = Template(source, _merge(parts))
    for facts in ({}, SAMPLE):
        try:
            json.loads(render(template, facts), parse_constant=_refuse_constant)
        except ValueError as error:
            at = getattr(error, "pos", 0)
            message = f"not valid JSON once rendered: {getattr(error, 'msg', error)}"
            raise TemplateError(message, _source_position(template, facts, at)) from error
    return template


def _encode(slot: Slot, facts: Mapping[str, str]) -> str:
    value = facts.get(slot.name, "")
    if slot.place is Place.PERCENT:
        # Most values are ids: checking is several times faster than quoting.
        if _UNRESERVED(value):
            return value
        return value.translate(_PERCENT) if value.isascii() else quote(value, safe="", errors="replace")
    if slot.place is Place.JSON_TEXT:
        return json.dumps(value)[1:-1]
    if not value:
        return "null"
    return value if _JSON_NUMBER.match(value) else json.dumps(value)


def _parse_authority(authority: str, start: int) -> str:
    if "{" in authority or "}" in authority:
        position = next(index for index, char in enumerate(authority) if char in "{}")
        where = "the user info" if "@" in authority[position:] else "the host or port"
        raise TemplateError(f"a variable cannot stand in {where}: use it in the path or query", start + position)
    if "@" in authority:
        raise TemplateError("user:password@ is refused: send an Authorization header instead", start)
    host, colon, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    if not colon:
        host = authority
    elif not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise TemplateError("the port must be a number from 1 to 65535", start + len(host) + 1)
    if not host:
        raise TemplateError("the URL has no host", start)
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise TemplateError(f"not a host name: {error}", start) from error
    if not (_HOST.match(host) or _IPV6_HOST.match(host)) or len(host) > 253:
        raise TemplateError("not a host name", start)
    return host + (f":{port}" if colon else "")


def _check_text(source: str, *, spaces: str) -> None:
    if not source:
        raise TemplateError("empty", 0)
    if len(source) > MAX_LENGTH:
        raise TemplateError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    for position, char in enumerate(source):
        if ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 or char in "\u2028\u2029":
            raise TemplateError(f"control character U+{ord(char):04X}: remove it", position)
        if spaces and char.isspace():
            raise TemplateError(f"a space: {spaces}", position)
        if spaces and char == "\\":
            raise TemplateError("a backslash: write / or %5C", position)
    if source != source.strip():
        raise TemplateError("starts or ends with a space: remove it", 0 if source[0].isspace() else len(source) - 1)


def _split(text: str, offset: int) -> list[str | Slot]:
    parts: list[str | Slot] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.append(_literal(text[end : match.start()], offset + end))
        parts.append(Slot(_known(match.group(1), offset + match.start()), Place.PERCENT))
        end = match.end()
    parts.append(_literal(text[end:], offset + end))
    return parts


def _literal(text: str, offset: int) -> str:
    for index, char in enumerate(text):
        if char in "{}":
            message = "unbalanced brace: a variable is {name}; for a literal brace write %7B or %7D"
            raise TemplateError(message, offset + index)
    return text


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON value")


def _known(name: str, position: int) -> str:
    if name in VARIABLES:
        return name
    close = difflib.get_close_matches(name.lower(), VARIABLES, n=1)
    hint = f"did you mean {{{close[0]}}}?" if close else "see the list of variables"
    raise TemplateError(f"unknown variable {{{name}}}: {hint}", position)


def _quote_literal(part: str | Slot) -> str | Slot:
    return quote(part, safe=_LEGAL_LITERAL) if isinstance(part, str) else part


def _merge(parts: list[str | Slot]) -> tuple[str | Slot, ...]:
    merged: list[str | Slot] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return tuple(merged)


def _source_position(template: Template, facts: Mapping[str, str], rendered_at: int) -> int:
    source_at = rendered = 0
    for part in template.parts:
        text = part if isinstance(part, str) else _encode(part, facts)
        length = len(part) if isinstance(part, str) else len(part.name) + 2
        if rendered + len(text) > rendered_at:
            return source_at + (rendered_at - rendered if isinstance(part, str) else 0)
        rendered += len(text)
        source_at += length
    return min(source_at, len(template.source))
