"""The schema and its page: every route with every answer, nothing from another host."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.exports.scene import api, furnish
from tracker.api.docs import METHODS, _examples
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client


@pytest.fixture
async def client(pool: Pool, redis: Client) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a key."""
    await furnish(pool)
    async with await api(pool, redis) as opened:
        del opened.headers["Authorization"]
        yield opened


async def operations(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """`METHOD /path` -> operation."""
    schema = (await client.get("/schema/openapi.json")).json()
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in schema["paths"].items()
        for method in METHODS
        if method in item
    }


async def test_every_route_tells_its_answers_its_key_and_its_group(client: httpx.AsyncClient) -> None:
    found = await operations(client)
    assert len(found) > 100
    for name, operation in found.items():
        assert operation["tags"], name
        assert operation["description"], f"{name} says what it does"
        wanted = {"400", "429", "503"} | ({"401", "403"} if operation["security"] else set())
        assert wanted <= operation["responses"].keys(), name
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert answer["content"]["application/json"]["example"]["message"], (name, status)
    keyed = found["GET /api/smart-links"]
    assert keyed["security"] == [{"key": []}]
    assert "smart-links.view" in keyed["responses"]["403"]["content"]["application/json"]["example"]["message"]
    assert found["GET /health/live"]["security"] == []


async def test_examples_are_of_routes_there_are(client: httpx.AsyncClient) -> None:
    found = await operations(client)
    for name, examples in _examples().items():
        assert name in found
        for status, example in examples.items():
            place = found[name]["requestBody"] if status == "body" else found[name]["responses"][status]
            assert next(iter(place["content"].values()))["example"] == example


async def test_the_page_needs_no_other_host_and_no_script(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in page.text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert addresses
    assert all(address.startswith(("#", "/")) and not address.startswith("//") for address in addresses)
    assert "/api/exports/{file}" in page.text
    style = await client.get("/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text
