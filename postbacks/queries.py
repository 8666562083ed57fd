"""Named SQL of this package: `-- name: <name>`, one comment line on what it is for, the statement."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load_queries(file: str) -> dict[str, str]:
    """The queries of `postbacks/<file>` by name. Raises ValueError on a name given twice."""
    parts = _NAME.split(files("postbacks").joinpath(file).read_text())
    queries: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in queries:
            raise ValueError(f"postbacks/{file}: query {name} is defined twice")
        queries[name] = body.strip()
    return queries
