"""Validating a destination's configuration: msgspec structs, errors that name the field and say the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

_PATH = re.compile(r" - at `\$\.?([^`]*)`\Z")
_FIELD = re.compile(r"unknown field `([^`]+)`|missing required field `([^`]+)`")
Config = TypeVar("Config", bound=msgspec.Struct)


class ConfigError(Exception):
    """A configuration is refused. `field` as the caller wrote it (`headers.X-Id`); `position` when inside a template."""

    def __init__(self, field: str, message: str, position: int | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message
        self.position = position


def convert(values: Mapping[str, Any], kind: type[Config]) -> Config:
    """The configuration as a struct. Raises ConfigError naming the field. Types are not coerced; nothing is ignored."""
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        text = str(error)
        path = _PATH.search(text)
        field = path.group(1) if path else ""
        named = _FIELD.search(text)
        if named:
            field = ".".join(filter(None, (field, named.group(1) or named.group(2))))
        raise ConfigError(field, _PATH.sub("", text)) from error
