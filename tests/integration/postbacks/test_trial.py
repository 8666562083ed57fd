"""Send test really sends."""

from __future__ import annotations

import asyncio

import pytest

from loadtests.emulators.receiver import running_receiver
from postbacks.schema import ConfigError
from postbacks.trial import send_test
from tests.integration.postbacks.scene import LOOPBACK


async def test_the_sample_conversion_is_sent_and_shown() -> None:
    async with running_receiver() as receiver:
        receiver.mode("a", "status", status=403, body="bad token tok-12345")
        config = {"url": receiver.url_of("a") + "?id={click_id}&net={amount_net}&token=tok-12345"}
        tried = await send_test("postback", config, facts={"amount_net": "1.00"}, egress_allow=LOOPBACK)
        [request] = receiver.received("a")
    assert request.query == "id=01jd8z6h3n5p7r9t1v2x4y6z8b&net=1.00&token=tok-12345"
    assert [verdict.outcome for verdict in tried.verdicts] == ["transient"]
    assert (tried.status_code, tried.answer) == (403, "bad token ***")
    assert tried.request.endswith("&token=***")


async def test_a_reason_phrase_that_echoes_a_secret_is_masked() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 no tok-12345 \xff here\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tried = await send_test("postback", {"url": f"http://127.0.0.1:{port}/?token=tok-12345"}, egress_allow=LOOPBACK)
    server.close()
    assert tried.verdicts[0].words == "403 no *** ? here"


async def test_a_private_address_says_how_to_allow_it() -> None:
    tried = await send_test("postback", {"url": "http://127.0.0.1:1/"})
    assert "CLICKBIND_EGRESS_ALLOW" in tried.verdicts[0].words


async def test_a_mistake_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match="unknown variable"):
        await send_test("postback", {"url": "https://h.example/{nope}"})
