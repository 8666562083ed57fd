"""The page's address: what was asked for, and the same with one thing changed. Every control of a report is such a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request

LONGEST = 300


@dataclass(frozen=True)
class Address:
    """A path and its parameters, each once, empty ones left out."""

    path: str
    values: Mapping[str, str]

    def get(self, name: str, default: str = "") -> str:
        """One parameter, trimmed."""
        return self.values.get(name, default)

    def at(self, **changes: str | int | None) -> str:
        """The address with these parameters changed; None and '' remove one. A change goes back to the first page."""
        merged = {name: value for name, value in self.values.items() if name != "page"}
        for name, value in changes.items():
            if value is None or value == "":
                merged.pop(name, None)
            else:
                merged[name] = str(value)
        return self.path + ("?" + urlencode(merged) if merged else "")

    def hidden(self, *shown: str) -> list[tuple[str, str]]:
        """Parameters a form must carry along because it does not show them."""
        return [(name, value) for name, value in self.values.items() if name not in (*shown, "page")]

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`; nonsense is the default."""
        text = self.get(name)
        return min(max(int(text), 1), most) if text.isascii() and text.isdigit() and len(text) < 9 else default


def address(request: Request[Any, Any, Any]) -> Address:
    """The address of a request."""
    values = {
        name: value.strip()[:LONGEST].replace("\x00", "")
        for name, value in request.query_params.items()
        if isinstance(value, str) and value.strip()
    }
    return Address(request.url.path, values)
