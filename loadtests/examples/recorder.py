"""Makes the calls and keeps each one's body and answer under its operation."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

FILE_LINES = 3


class Recorder:
    """Calls by a key, by a logged-in person, or by nobody. `records`: `METHOD /path` → {'body': …, status: answer}."""

    def __init__(self, base: str, key: str) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.keyed = httpx.AsyncClient(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self.nobody = httpx.AsyncClient(base_url=base, timeout=30)
        self.person = httpx.AsyncClient(base_url=base, timeout=30)
        self._base = base

    async def close(self) -> None:
        """No more calls."""
        for client in (self.keyed, self.nobody, self.person):
            await client.aclose()

    async def call(
        self,
        operation: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        by: httpx.AsyncClient | None = None,
        headers: dict[str, str] | None = None,
        **names: Any,
    ) -> Any:
        """Make the call of an operation (`GET /api/smart-links/{smart_link_id}`) and keep it; returns the answer's `data`.

        Raises RuntimeError for an answer that is no success.
        """
        method, _, template = operation.partition(" ")
        path = re.sub(r"{(\w+)}", lambda found: str(names[found[1]]), template)
        client = by or self.keyed
        answer = await client.request(method, path, json=body, params=query, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"{operation}: {answer.status_code} {answer.text[:500]}")
        kept: dict[str, Any] = {} if body is None else {"body": body}
        told: Any = None
        if "json" in answer.headers.get("content-type", ""):
            told = json.loads(answer.text)
            kept[str(answer.status_code)] = told
        elif answer.content:
            kept[str(answer.status_code)] = "\n".join(answer.text.splitlines()[:FILE_LINES]) + "\n"
        self.records.setdefault(operation, kept)
        return told.get("data", told) if isinstance(told, dict) else told

    async def let_in(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call that begins a session: from now on `person` has it."""
        self.person.cookies.clear()
        origin = {"Origin": self._base}
        told: dict[str, Any] = await self.call(operation, body, by=self.person, headers=origin)
        self.person.headers.update(origin | {"X-CSRF-Token": told["csrf_token"]})
        return told
