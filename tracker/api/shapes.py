"""What an answer looks like, told from an example of it: the schema the documentation gives. Pure.

Answers are made by hand, field by field, in the vendor's shapes; the recorded examples are what they are known to be. A schema made
from one claims no more than every answer keeps: the kinds of values by field, that a value may be null, and that an answer has the
fields at its top. The fuzzer holds all answers against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Objects whose fields are names of things, not of fields: any name may come.
BY_NAME = {
    "pooled_links",
    "counts",
    "erased",
    "detail",
    "facts",
    "payload",
    "config",
    "evidence",
    "event_counts",
    "values",
}


def shape(example: Any) -> dict[str, Any]:
    """The JSON schema of answers like this one."""
    told = _shape(example)
    if isinstance(example, Mapping):
        told["type"] = "object"
        told["required"] = sorted(name for name in example if name in ("data", "_meta", "_pagination"))
        if not told["required"]:
            del told["required"]
    return told


def _shape(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"type": ["object", "null"], "properties": {name: _field(name, each) for name, each in value.items()}}
    if isinstance(value, str):
        return {"type": ["string", "null"]}
    if isinstance(value, bool):
        return {"type": ["boolean", "null"]}
    if isinstance(value, int | float):
        return {"type": ["number", "null"]}
    if isinstance(value, Sequence):
        return {"type": ["array", "null"], "items": _either([_shape(each) for each in value])}
    return {}  # null in the example: what else it may be is not known


def _field(name: str, value: Any) -> dict[str, Any]:
    return {"type": ["object", "null"]} if name in BY_NAME and isinstance(value, Mapping) else _shape(value)


def _either(shapes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One schema for the entries of a list: fields of all of them together; anything where they are of different kinds."""
    if not shapes or any(not each for each in shapes):
        return {}
    if all(each == shapes[0] for each in shapes):
        return shapes[0]
    if len({json.dumps(each["type"]) for each in shapes}) > 1 or "properties" not in shapes[0]:
        return {}
    fields: dict[str, list[dict[str, Any]]] = {}
    for each in shapes:
        for name, field in each.get("properties", {}).items():
            fields.setdefault(name, []).append(field)
    return {"type": shapes[0]["type"], "properties": {name: _either(field) for name, field in fields.items()}}
