"""The schema and its page: every route with every answer, nothing from another host."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.exports.scene import api, furnish
from tests.integration.openapi.fit import misfit
from tracker.api.docs import _examples
from tracker.api.manual import METHODS
from tracker.api.shapes import shape
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


async def test_every_operation_has_examples_that_fit(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/schema/openapi.json")).json()
    found = await operations(client)
    assert found.keys() == _examples().keys(), "record them again: python -m loadtests.examples"
    for name, operation in found.items():
        forms = list(operation.get("requestBody", {}).get("content", {}).items())
        for status, answer in operation["responses"].items():
            forms += [(f"{status} {form}", one) for form, one in answer.get("content", {}).items()]
        assert any(form.startswith("2") for form, _ in forms), f"{name}: an answer that is a success"
        for form, one in forms:
            if form.endswith(("openxmlformats-officedocument.spreadsheetml.sheet", "parquet")):
                continue  # the same table as the CSV, and nothing to read
            assert "example" in one, (name, form)
            assert not misfit(one["schema"], schema["components"], one["example"]), (name, form)


async def test_examples_tell_no_secret_and_nothing_of_the_machine(client: httpx.AsyncClient) -> None:
    text = json.dumps(_examples())
    assert not re.search(r"cb_[0-9A-Za-z]{6,}", text), "a key"
    assert not re.search(r"127\.0\.0\.1:|localhost|/tmp/", text)
    assert set(re.findall(r"[?&]token=([\w-]+)", text)) == {"the-token-of-the-link"}
    assert len(set(re.findall(r'"(?:csrf_token|webhook_secret)": "([^"]*)"', text))) == 2


def test_a_shape_claims_what_an_example_shows() -> None:
    told = shape({"data": [{"id": 1, "tags": ["a"]}, {"id": 2, "name": None}], "_meta": {}})
    for answer, fits in (
        ({"data": [], "_meta": {}}, True),
        ({"data": None, "_meta": {}}, True),
        ({"data": [{"id": 3.5, "tags": [], "name": "x", "more": 1}], "_meta": {}}, True),
        ({"data": [{"id": "3"}], "_meta": {}}, False),
        ({"data": [{"tags": [1]}], "_meta": {}}, False),
        ({"data": {}, "_meta": {}}, False),
        ({"_meta": {}}, False),
        ([], False),
    ):
        assert (misfit(told, {}, answer) == "") == fits, answer


async def test_the_page_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert page.text.count("<script") == 1
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert addresses
    assert all(address.startswith(("#", "/", "data:,")) and not address.startswith("//") for address in addresses)
    for name in await operations(client):
        assert f'id="{re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")}"' in page.text, name
    script = await client.get("/docs/filter.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert not re.search(r"https?:|innerHTML|eval", script.text)
    style = await client.get("/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text
