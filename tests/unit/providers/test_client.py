"""HTTP to OnlyFansAPI: what failures mean, and that a create is asked once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tracker.providers import transport as transport_module
from tracker.providers.base import ProviderError
from tracker.providers.onlyfansapi import links
from tracker.providers.onlyfansapi.accounts import read_account
from tracker.providers.onlyfansapi.client import Client, Transport, classify, next_offset

PAGE = b"<!DOCTYPE html><html><head><title>502: Bad gateway</title></head></html>"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "retry_after", "uncertain"),
    [
        (502, {}, PAGE, "transient", None, True),
        (520, {}, PAGE, "transient", None, True),
        (524, {}, PAGE, "transient", None, True),
        (504, {}, PAGE, "transient", None, True),
        (503, {}, PAGE, "transient", None, True),
        (500, {}, b'{"message":"Server Error"}', "transient", None, True),
        (503, {}, b'{"message":"Service Unavailable"}', "transient", None, True),
        (503, {"retry-after": "30"}, b'{"error":"ACCOUNT_REAUTHENTICATING","message":"..."}', "session", 30, False),
        (401, {}, b'{"error":"ONLYFANS_SESSION_EXPIRED","message":"gone"}', "session", None, False),
        (400, {}, b'{"error":"ONLYFANS_COM_ERROR","message":"x","onlyfans_response":{"status":401}}', "session", None, False),
        (401, {}, b'{"error":"Unauthorized. Go to https://app.onlyfansapi.com/api-keys"}', "auth", None, False),
        (402, {}, b'{"error":"out of credits"}', "auth", None, False),
        (429, {"retry-after": "0"}, b'{"status":429,"retry_after":30}', "throttled", 30, False),
        (429, {"retry-after": "0"}, PAGE, "throttled", None, False),
        (429, {"retry-after": "12"}, b"{}", "throttled", 12, False),
        (400, {}, b'{"error":"ONLYFANS_COM_RATE_LIMIT_ERROR","message":"slow"}', "throttled", None, False),
        (404, {}, b'{"error":"ONLYFANS_COM_ERROR","message":"x","onlyfans_response":{"status":404}}', "permanent", None, False),
        (404, {}, b'{"error":{"code":"account_not_found"}}', "permanent", None, False),
        (404, {}, b'{"error":"account_not_found"}', "permanent", None, False),
        (422, {}, b'{"error":"VALIDATION_ERROR","message":"The name field is required."}', "permanent", None, False),
        (302, {}, b"", "permanent", None, False),
        (400, {}, b'{"error":"ONLYFANS_COM_ERROR","onlyfans_response":{"status":502}}', "transient", None, True),
        (418, {}, b"\xff\xfe[", "permanent", None, False),
    ],
)  # fmt: skip
def test_every_failure_has_a_kind(
    status: int, headers: dict[str, str], body: bytes, kind: str, retry_after: float | None, uncertain: bool
) -> None:
    error = classify(status, headers, body)
    assert (error.kind, error.retry_after, error.uncertain, error.status) == (kind, retry_after, uncertain, status)
    assert error.message
    assert "<" not in error.message


def test_vendor_words_reach_the_operator() -> None:
    error = classify(422, {}, b'{"error":"VALIDATION_ERROR","message":"The name field is required."}')
    assert "The name field is required." in error.message


def test_pages_end_by_what_the_vendor_says_not_by_their_length() -> None:
    following = {
        "_pagination": {"next_page": "https://app.onlyfansapi.com/api/a/x?offset=200&limit=100"},
        "data": {"list": []},
    }
    assert next_offset(following, 100, 100) == 200
    assert next_offset({"_pagination": {"next_page": None}, "data": {"list": [1], "hasMore": True}}, 0, 100) == 100
    assert (
        next_offset({"_pagination": {"next_page": None}, "data": {"list": [1] * 100, "hasMore": False}}, 0, 100) is None
    )
    assert next_offset({"_pagination": {"next_page": "http://x/?offset=0"}, "data": {}}, 100, 100) == 200
    assert next_offset([], 0, 100) is None


def test_account_rows() -> None:
    row = {"id": "acct_A1", "onlyfans_id": "518588958", "onlyfans_username": "madison", "display_name": "Madison"}
    info = read_account(row | {"is_authenticated": True, "onlyfans_user_data": {"subscribePrice": 0}})
    assert (info.session, info.subscribe_price_cents, info.platform_user_id) == ("ok", 0, "518588958")
    assert (
        read_account(row | {"is_authenticated": False, "authentication_progress": "started"}).session == "reconnecting"
    )
    assert read_account(row | {"is_authenticated": False, "authentication_progress": "failed"}).session == "dead"
    assert read_account(row).session == "unknown"


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[Client]]]:
    """A client of a stub that answers everything with one handler."""
    closing: list[Any] = []

    async def start(handler: Handler, timeout: float = 5.0) -> Client:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        transport = Transport(str(server.make_url("/")), timeout)
        closing.extend((transport.close, server.close))
        return Client(transport, "key-1", "acct_A1")

    yield start
    for close in closing:
        await close()


async def test_a_create_is_sent_once_whatever_comes_back(serve: Callable[[Handler], Awaitable[Client]]) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path} {request.headers['Authorization']}")
        return web.Response(status=504, body=PAGE, content_type="text/html")

    client = await serve(handler)
    with pytest.raises(ProviderError) as failed:
        await links.create(client, "tracking_link", "cb-1", None)
    assert failed.value.uncertain
    assert asked == ["POST /api/acct_A1/tracking-links Bearer key-1"]
    assert client.calls == 1


async def test_a_read_is_tried_again_and_decimals_stay_exact(
    serve: Callable[[Handler], Awaitable[Client]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "READ_RETRY_PAUSES", (0.0, 0.0))
    answers = [(502, PAGE), (200, b"<html>"), (200, b'{"data":19.99}')]

    async def handler(request: web.Request) -> web.StreamResponse:
        status, body = answers.pop(0)
        return web.Response(status=status, body=body)

    client = await serve(handler)
    assert str((await client.get("/api/x"))["data"]) == "19.99"
    assert client.calls == 3


async def test_the_deadline_is_total_and_the_outcome_uncertain() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        # A drip keeps every single read alive; only a total deadline ends it.
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    server = TestServer(app)
    await server.start_server()
    transport = Transport(str(server.make_url("/")), 0.2)
    with pytest.raises(ProviderError) as failed:
        await Client(transport, "key", "acct_A1").post("/api/x", {})
    assert (failed.value.kind, failed.value.uncertain) == ("transient", True)
    await transport.close()
    await server.close()


async def test_nobody_listening_is_certain_and_bad_keys_never_leave(
    serve: Callable[[Handler], Awaitable[Client]],
) -> None:
    transport = Transport("http://127.0.0.1:1", 1.0)
    with pytest.raises(ProviderError) as failed:
        await Client(transport, "key", "acct_A1").post("/api/x", {})
    assert (failed.value.kind, failed.value.uncertain) == ("transient", False)
    for key in ("", "kéy", "a\nb"):
        with pytest.raises(ProviderError) as refused:
            await Client(transport, key, "acct_A1").post("/api/x", {})
        assert refused.value.kind == "auth"
        assert not key or key not in str(refused.value)
    await transport.close()


@pytest.mark.parametrize(
    ("answer", "url", "code"),
    [
        ({"data": [{"id": 7, "campaignCode": 3, "campaignName": "cb-1", "countSubscribers": 0}]}, None, "3"),
        (
            {"data": {"id": 7, "campaignCode": 3, "campaignUrl": "https://onlyfans.com/m/c3"}},
            "https://onlyfans.com/m/c3",
            "3",
        ),
    ],
)
async def test_creates_answer_an_array_or_an_object(
    serve: Callable[[Handler], Awaitable[Client]], answer: dict[str, Any], url: str | None, code: str
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    link = await links.create(await serve(handler), "tracking_link", "cb-1", None)
    assert (link.provider_link_id, link.url, link.code) == ("7", url, code)


async def test_a_create_answer_without_a_link_is_uncertain(serve: Callable[[Handler], Awaitable[Client]]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": []})

    with pytest.raises(ProviderError) as failed:
        await links.create(await serve(handler), "tracking_link", "cb-1", None)
    assert failed.value.uncertain


async def test_the_api_key_is_in_no_log_and_no_error(
    serve: Callable[[Handler], Awaitable[Client]], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "Unauthorized."}, status=401)

    client = await serve(handler)
    with caplog.at_level(logging.DEBUG), pytest.raises(ProviderError) as refused:
        await client.get("/api/accounts")
    assert caplog.records, "httpx and httpcore did log"
    printed = capsys.readouterr()
    for text in (caplog.text, str(refused.value), repr(refused.value), printed.out, printed.err):
        assert "key-1" not in text
