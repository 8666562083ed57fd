"""Forms: what was typed stays, and each mistake stands at its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar import Request

LONGEST = 20_000


@dataclass(frozen=True)
class Form:
    """What a form holds, as text, and what is wrong with it: field → messages. '' is the form as a whole."""

    values: Mapping[str, list[str]] = field(default_factory=dict)
    wrong: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """One field's text, trimmed."""
        found = self.values.get(name)
        return found[0].strip() if found else default

    def all(self, name: str) -> list[str]:
        """All values of a field, such as ticked boxes."""
        return [value.strip() for value in self.values.get(name, []) if value.strip()]

    def words(self, name: str) -> str:
        """What is wrong with a field; '' for nothing."""
        return " ".join(self.wrong.get(name, ()))

    def amiss(self, wrong: Mapping[str, Sequence[str]], shown: Sequence[str]) -> Form:
        """The same form with its mistakes. One inside a field, like headers.X-Id, stands at the field; others above the form."""
        sorted_in: dict[str, list[str]] = {}
        for name, messages in wrong.items():
            place = name
            while place and place not in shown:
                place = place.rpartition(".")[0]
            rest = name[len(place) :].lstrip(".")
            sorted_in.setdefault(place, []).extend(f"{rest}: {text}" if rest else text for text in messages)
        return Form(self.values, sorted_in)


async def read_form(request: Request[Any, Any, Any]) -> Form:
    """A posted form. Files and over-long texts are cut, never an error."""
    given = await request.form()
    values: dict[str, list[str]] = {}
    for name, value in given.multi_items():
        if isinstance(value, str):
            values.setdefault(name, []).append(value.replace("\x00", "")[:LONGEST])
    return Form(values)
