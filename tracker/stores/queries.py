"""Named SQL: each `.sql` file holds queries that start with `-- name: <name>` and one comment line on what it is for."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load_queries(package: str, file: str) -> dict[str, str]:
    """The queries of `file` in `package` by name. Raises ValueError on a name given twice or text before the first name."""
    text = files(package).joinpath(file).read_text()
    parts = _NAME.split(text)
    if parts[0].strip() and not all(line.startswith("--") for line in parts[0].strip().splitlines()):
        raise ValueError(f"{package}/{file}: text before the first '-- name:'")
    queries: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{file}: query {name} is defined twice")
        queries[name] = body.strip()
    return queries
